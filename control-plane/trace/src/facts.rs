//! Facts known of real recordings (their README files say how), through a reading just good enough for them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::testing::{show, span};
use super::{Assembler, SignalQuality, Sink, Span, SpanId, SpanKind, Symbols, Trace, TraceId, TraceLimits};

/// Files of a folder of recordings, sorted; none if they are not there, which is said.
fn files(folder: &str) -> Vec<PathBuf> {
    let root = std::env::var_os("EMAC_SHARED_DATA").map(PathBuf::from);
    let root =
        root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")));
    let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    if files.is_empty() {
        println!("not run: no recordings in {}", root.join(folder).display());
    }
    files
}

fn json(file: &PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn hex(text: &str) -> u64 {
    u64::from_str_radix(text.get(text.len().saturating_sub(16)..).unwrap_or_default(), 16).unwrap_or_default()
}

fn kind(text: &str) -> SpanKind {
    match text.to_ascii_lowercase().as_str() {
        "client" => SpanKind::Client,
        "server" => SpanKind::Server,
        "producer" => SpanKind::Producer,
        "consumer" => SpanKind::Consumer,
        _ => SpanKind::Internal,
    }
}

fn new_span(
    trace: &str,
    ids: (u64, u64),
    names: (&str, &str),
    times_us: (&Value, &Value),
    symbols: &mut Symbols,
) -> Span {
    let mut new = span("1 0 - a b 0 0", symbols);
    new.trace = TraceId(hex(trace).into());
    new.id = SpanId(ids.0);
    new.parent = Some(SpanId(ids.1)).filter(|parent| parent.0 != 0);
    (new.service, new.operation) = (symbols.of(names.0), symbols.of(names.1));
    new.start_ns = times_us.0.as_i64().unwrap() * 1_000;
    new.duration_ns = times_us.1.as_i64().unwrap_or_default() * 1_000;
    new
}

fn jaeger(value: &Value, sink: &mut impl Sink) {
    for trace in value["data"].as_array().unwrap() {
        for span in trace["spans"].as_array().unwrap() {
            let service = text(&trace["processes"][text(span, "processID")], "serviceName");
            let parent = span["references"]
                .as_array()
                .and_then(|all| all.first())
                .map_or("", |one| text(one, "spanID"));
            let ids = (hex(text(span, "spanID")), hex(parent));
            let times = (&span["startTime"], &span["duration"]);
            let mut new = new_span(
                text(span, "traceID"),
                ids,
                (service, text(span, "operationName")),
                times,
                sink.symbols(),
            );
            let tags = span["tags"].as_array().into_iter().flatten();
            new.kind = tags
                .filter(|tag| tag["key"] == "span.kind")
                .map(|tag| kind(text(tag, "value")))
                .next()
                .unwrap_or_default();
            sink.span(new);
        }
    }
}

fn zipkin(value: &Value, sink: &mut impl Sink) {
    for span in value.as_array().unwrap() {
        let ids = (hex(text(span, "id")), hex(text(span, "parentId")));
        let names = (text(&span["localEndpoint"], "serviceName"), text(span, "name"));
        let mut new = new_span(
            text(span, "traceId"),
            ids,
            names,
            (&span["timestamp"], &span["duration"]),
            sink.symbols(),
        );
        new.kind = kind(text(span, "kind"));
        new.shared = span["shared"] == true;
        new.peer = sink.symbols().of(text(&span["remoteEndpoint"], "serviceName"));
        sink.span(new);
    }
}

struct Recording {
    traces: Vec<Trace>,
    symbols: Symbols,
    quality: SignalQuality,
}

fn read(files: &[PathBuf], reader: fn(&Value, &mut Assembler<Keep>)) -> Recording {
    let mut assembler = Assembler::new(TraceLimits::default(), Keep::default());
    files.iter().for_each(|file| reader(&json(file), &mut assembler));
    let done = assembler.finish();
    Recording { traces: done.consumer.0, symbols: done.symbols, quality: done.quality }
}

#[derive(Default)]
struct Keep(Vec<Trace>);

impl super::Consumer for Keep {
    fn trace(&mut self, trace: &Trace, _: &Symbols) {
        self.0.push(trace.clone());
    }
}

impl Recording {
    /// How many traces have each shape: services and operations by depth, times left out.
    fn shapes(&self) -> BTreeMap<String, usize> {
        let mut shapes = BTreeMap::new();
        for trace in &self.traces {
            let mut timeless = trace.clone();
            let mut calls: Vec<usize> = (0..trace.calls.len()).collect();
            calls.sort_by_key(|&i| (trace.calls[i].parent, self.symbols.text(trace.calls[i].operation)));
            timeless.calls.iter_mut().for_each(|call| (call.start_ns, call.end_ns) = (0, 0));
            let mut lines: Vec<String> =
                show(&timeless, &self.symbols).lines().map(|line| line.replace(" 0..0", "")).collect();
            if self.traces.len() > 1 {
                lines.sort();
            }
            *shapes.entry(lines.join("\n")).or_default() += 1;
        }
        shapes
    }

    /// Start of the n-th call of an operation against that of another, nanoseconds: whether they come in order, and whether they overlap.
    fn pair(&self, trace: &Trace, first: &str, second: &str) -> (bool, bool) {
        let call = |name: &str| {
            *trace
                .calls
                .iter()
                .find(|call| self.symbols.text(call.via) == name || self.symbols.text(call.operation) == name)
                .unwrap()
        };
        let (a, b) = (call(first), call(second));
        assert_eq!(a.parent, b.parent);
        (a.end_ns <= b.start_ns, a.start_ns < b.end_ns && b.start_ns < a.end_ns)
    }
}

#[test]
fn hotels_are_five_calls_in_series() {
    let files = files("traceweaver/hotel_reservation/hotel_load100");
    let found = read(&files, jaeger);
    assert_eq!(found.traces.len(), files.len());
    for trace in &found.traces {
        assert_eq!((trace.calls.len(), trace.complete), (6, true));
        let nested = trace.calls.iter().all(|call| {
            call.parent.is_none_or(|parent| {
                let parent = trace.calls[parent as usize];
                parent.start_ns <= call.start_ns && call.end_ns <= parent.end_ns
            })
        });
        assert!(nested, "clocks are corrected");
        let [nearby, check, profiles] = [
            "/search.Search/Nearby",
            "/reservation.Reservation/CheckAvailability",
            "/profile.Profile/GetProfiles",
        ];
        for (a, b) in [(nearby, check), (check, profiles), ("/geo.Geo/Nearby", "/rate.Rate/GetRates")] {
            assert_eq!(found.pair(trace, a, b), (true, false));
        }
    }
    if !files.is_empty() {
        let skewed: Vec<&str> = found.quality.skews.iter().map(|skew| &*skew.service).collect();
        assert_eq!(skewed, ["reservation", "search"]);
        assert!(found.quality.skews.iter().all(|skew| (1..=856_000).contains(&skew.offset_ns)));
    }
}

#[test]
fn node_services_fan_out_in_parallel() {
    let files = files("traceweaver/nodejs_microservices/node_load100");
    let found = read(&files, jaeger);
    assert_eq!(found.traces.len(), files.len());
    for trace in &found.traces {
        assert_eq!((trace.calls.len(), trace.complete), (6, true));
        assert!(found.pair(trace, "span-service2", "span-service3").1);
    }
    assert!(found.shapes().len() <= 1, "{:?}", found.shapes());
}

#[test]
fn posts_have_one_shape_and_the_labelled_orders() {
    let files = files("deathstarbench");
    let found = read(&files, jaeger);
    if files.is_empty() {
        return;
    }
    assert_eq!((found.traces.len(), found.quality.spans, found.quality.complete), (20, 660, 20));
    type BothWays = ((bool, bool), (bool, bool));
    let counted = |a: &str, b: &str| {
        let pairs: Vec<_> = found.traces.iter().map(|t| (found.pair(t, a, b), found.pair(t, b, a))).collect();
        let count = |want: fn(&BothWays) -> bool| pairs.iter().filter(|pair| want(pair)).count();
        (count(|p| p.0.0), count(|p| p.1.0), count(|p| p.0.1))
    };
    assert_eq!(counted("compose_text_client", "compose_creator_client"), (1, 3, 16));
    assert_eq!(counted("compose_media_client", "compose_unique_id_client"), (6, 8, 6));
    assert_eq!(counted("compose_urls_client", "compose_user_mentions_client"), (0, 0, 20));
    assert_eq!(counted("write_user_timeline_client", "write_home_timeline_client"), (20, 0, 0));
    assert_eq!(found.shapes().len(), 1);
    assert_eq!(found.traces[0].calls.len(), 12);
}

#[test]
fn zipkin_joins_shared_halves_and_messages() {
    let files = files("zipkin");
    let Some([envoy, kafka, yelp]) = files.get(..3) else { return };
    let envoy = read(std::slice::from_ref(envoy), zipkin);
    assert_eq!((envoy.traces.len(), envoy.traces[0].calls.len()), (1, 1));
    let shape = |found: &Recording| found.shapes().into_keys().next().unwrap();
    let yelp = read(std::slice::from_ref(yelp), zipkin);
    assert_eq!((yelp.quality.spans, yelp.quality.conflicting, yelp.traces.len()), (16, 0, 1));
    insta::assert_snapshot!(shape(&yelp), @r"
    routing post /location/update/v4
      unknown post
        yelp_main/api_proxy post api proxy proxy via post
          yelp-main get my_cache_name_v2
            memcache get my_cache_name_v2
          yelp-main txn: user_get_basic_and_scout_info
            mysql begin
            memcache get user_details_cache-20150901
            memcache get_multi my_cache_name_v1
            mysql commit
      yelp-main post
        mobile_api post /location/update/v4 via post
          memcache get_multi mobile_api_nonce
          memcache set mobile_api_nonce
          spectre get
          blt post
    ");
    let kafka = read(std::slice::from_ref(kafka), zipkin);
    insta::assert_snapshot!(shape(&kafka), @r"
    servicea poll message
      kafka send message
      serviceb poll via send message
      servicea poll via send message
      kafka send message
      kafka send message
      serviceb poll via send message
      servicea poll via send message
      kafka send message
      kafka send message
      servicea poll via send message
      serviceb poll via send message
      kafka send message
    ");
}
