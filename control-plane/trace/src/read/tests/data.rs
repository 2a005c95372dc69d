//! Third-party traces, with the facts that are known of them.

use std::path::PathBuf;

use super::*;
use crate::{SpanId, SpanKind, SpanOutcome, TraceId};

/// Reads a file or folder of third-party data; `None`, and a line that says so, when it is not there.
fn shared(path: &str) -> Option<(Kept, Summary)> {
    let root = std::env::var_os("EMAC_SHARED_DATA").map(PathBuf::from);
    let root =
        root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")));
    let path = root.join(path);
    if !path.exists() {
        println!("not run: no {} under EMAC_SHARED_DATA or ../shared/data", path.display());
        return None;
    }
    let mut kept = Kept::default();
    let summary = read_paths(&[path], &ReadSettings::default(), &mut kept, &mut |_| {});
    assert!(summary.problems.is_empty(), "{:?}", summary.problems);
    assert_eq!(summary.refused, 0);
    Some((kept, summary))
}

impl Kept {
    fn services(&self) -> BTreeMap<&str, usize> {
        self.count(|span| self.text(span.service))
    }

    fn kinds(&self, kind: SpanKind) -> usize {
        self.spans.iter().filter(|span| span.kind == kind).count()
    }

    fn by_operation(&self, name: &str) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(move |span| self.text(span.operation) == name)
    }

    fn traces(&self) -> usize {
        self.count(|span| span.trace).len()
    }

    fn find(&self, trace: TraceId, id: SpanId) -> Option<&Span> {
        self.spans.iter().find(|span| span.trace == trace && span.id == id)
    }
}

#[test]
fn deathstarbench() {
    let Some((kept, _)) = shared("deathstarbench/traces-1695947455229.json") else { return };
    assert_eq!((kept.spans.len(), kept.traces(), kept.services().len()), (660, 20, 12));
    assert_eq!(kept.sampled, [0.2; 20], "each root says its sampler");
    let roots: Vec<_> = kept.spans.iter().filter(|span| span.parent.is_none()).collect();
    assert_eq!((roots.len(), roots.iter().map(|root| root.duration_ns).sum::<i64>()), (20, 98_507_000));
    let durations = roots.iter().map(|root| root.duration_ns / 1_000);
    assert_eq!((durations.clone().min(), durations.max()), (Some(3_445), Some(13_776)));
    assert_eq!(kept.by_operation("/wrk2-api/post/compose").count(), 40);
    assert!(
        kept.spans
            .iter()
            .all(|span| span.parent.is_none_or(|parent| kept.find(span.trace, parent).is_some()))
    );
    assert!(kept.spans.iter().all(|span| span.outcome == SpanOutcome::Good));
}

#[test]
fn hotel_reservation() {
    let Some((kept, summary)) = shared("traceweaver/hotel_reservation") else { return };
    assert_eq!((summary.files, kept.traces(), kept.spans.len()), (150, 150, 11 * 150));
    assert_eq!(kept.services().len(), 6);
    let roots: Vec<_> = kept.by_operation("HTTP GET /hotels").collect();
    assert!(roots.iter().all(|root| root.parent.is_none() && root.kind == SpanKind::Server));
    assert_eq!(roots.iter().map(|root| root.duration_ns).sum::<i64>(), 5_599_219_000);
    assert_eq!(kept.by_operation("/geo.Geo/Nearby").count(), 300);
    let server_first = |span: &&Span| {
        let parent = span.parent.and_then(|parent| kept.find(span.trace, parent));
        parent.is_some_and(|parent| {
            span.kind == SpanKind::Server
                && parent.kind == SpanKind::Client
                && span.start_ns < parent.start_ns
        })
    };
    assert_eq!(kept.spans.iter().filter(server_first).count(), 162);
}

#[test]
fn nodejs_microservices() {
    let Some((kept, summary)) = shared("traceweaver/nodejs_microservices") else { return };
    assert_eq!((summary.files, kept.traces(), kept.spans.len()), (150, 150, 6 * 150));
    assert!(kept.by_operation("span-service1").all(|span| span.id == SpanId(1)));
    let roots: Vec<_> = kept.spans.iter().filter(|span| span.parent.is_none()).collect();
    assert_eq!(roots.len(), 150);
    assert!(
        roots.iter().all(|root| kept.text(root.operation) == "init-span" && root.kind == SpanKind::Client)
    );
    assert_eq!(roots.iter().map(|root| root.duration_ns).sum::<i64>(), 2_447_000_000);
    assert!(
        kept.spans
            .iter()
            .all(|span| span.parent.is_none_or(|parent| kept.find(span.trace, parent).is_some()))
    );
}

#[test]
fn istio() {
    let Some((kept, summary)) = shared("istio-traces") else { return };
    assert_eq!((summary.files, kept.spans.len(), kept.traces()), (1, 8, 1));
    let services: Vec<_> = kept.services().into_keys().collect();
    let expected = [
        "details.bookinfo",
        "istio-ingressgateway.istio-system",
        "productpage.bookinfo",
        "ratings.bookinfo",
        "reviews.bookinfo",
    ];
    assert_eq!(services, expected);
    assert!(kept.spans.iter().all(|span| span.status == 200 && span.outcome == SpanOutcome::Good));
    for span in &kept.spans {
        let parent = span.parent.and_then(|parent| kept.find(span.trace, parent));
        match (span.kind, parent) {
            (SpanKind::Server, Some(parent)) => {
                assert_eq!(parent.peer, span.service);
                assert_eq!(parent.operation, span.operation);
                assert!(parent.start_ns <= span.start_ns);
            }
            (SpanKind::Client, Some(parent)) => assert_eq!(parent.service, span.service),
            _ => assert_eq!((span.duration_ns, kept.text(span.operation)), (11_932_000, "/productpage")),
        }
    }
    assert!(
        kept.spans
            .iter()
            .any(|span| kept.text(span.instance) == "istio-ingressgateway-79788cd94-wgmsp.istio-system")
    );
}

#[test]
fn otlp_documents() {
    let Some((kept, _)) = shared("otlp/opentelemetry-proto") else { return };
    let [span] = kept.spans[..] else { panic!("one span") };
    assert_eq!((kept.text(span.operation), kept.text(span.service)), ("I'm a server span", "my.service"));
    assert_eq!((span.kind, span.duration_ns), (SpanKind::Server, 1_000_000_000));
    assert_eq!(span.parent, Some(SpanId(0xeee1_9b7e_c3c1_b173)));

    let Some((kept, _)) = shared("otlp/jaeger/otel_traces_01.json") else { return };
    assert_eq!((kept.spans.len(), kept.traces()), (4, 2));
    assert_eq!(kept.services(), BTreeMap::from([("service-x", 4)]));
    let kinds: Vec<_> = kept.spans.iter().map(|span| span.kind).collect();
    assert_eq!(kinds, [SpanKind::Server, SpanKind::Client, SpanKind::Producer, SpanKind::Consumer]);
    assert!(kept.spans.iter().all(|span| span.outcome == SpanOutcome::Error));
    assert!(
        kept.spans
            .iter()
            .all(|span| span.parent.is_some_and(|parent| kept.find(span.trace, parent).is_none()))
    );
}

#[test]
fn zipkin() {
    let Some((yelp, _)) = shared("zipkin/yelp.json") else { return };
    assert_eq!((yelp.spans.len(), yelp.traces(), yelp.count(|span| span.id).len()), (16, 1, 13));
    assert_eq!(
        (yelp.kinds(SpanKind::Client), yelp.kinds(SpanKind::Server), yelp.kinds(SpanKind::Internal)),
        (11, 4, 1)
    );
    let services = BTreeMap::from([
        ("yelp-main", 7),
        ("mobile_api", 5),
        ("spectre", 1),
        ("yelp_main/api_proxy", 1),
        ("unknown", 1),
        ("routing", 1),
    ]);
    assert_eq!(yelp.services(), services);
    assert_eq!(yelp.count(|span| span.outcome == SpanOutcome::Good), BTreeMap::from([(true, 16)]));
    for id in [0x7a77_8764_a0d0_b594, 0xf5f2_6865_1b2a_2b34, 0x668e_d78a_d94b_35a1] {
        let shared: Vec<_> = yelp
            .spans
            .iter()
            .filter(|span| span.id == SpanId(id))
            .map(|span| (span.kind, span.shared))
            .collect();
        assert!(shared.contains(&(SpanKind::Server, true)) && shared.contains(&(SpanKind::Client, false)));
    }

    let Some((kafka, _)) = shared("zipkin/messaging-kafka.json") else { return };
    assert_eq!(
        (kafka.spans.len(), kafka.kinds(SpanKind::Producer), kafka.kinds(SpanKind::Consumer)),
        (28, 9, 7)
    );
    assert_eq!(kafka.services(), BTreeMap::from([("servicea", 22), ("serviceb", 6)]));
    assert_eq!(kafka.spans.iter().filter(|span| span.outcome == SpanOutcome::Error).count(), 3);

    let Some((envoy, _)) = shared("zipkin/envoy.json") else { return };
    let [span] = envoy.spans[..] else { panic!("one span") };
    assert_eq!(
        (envoy.text(span.service), span.status, span.duration_ns),
        ("service_google", 200, 127_115_000)
    );
}
