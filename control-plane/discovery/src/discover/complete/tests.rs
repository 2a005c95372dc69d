use emac_compile::model::EvidenceSource;
use emac_trace::read::{ReadSettings, read_source};
use emac_trace::{Assembler, TraceLimits};

use super::*;

/// Journeys of so many requests, each the spans that `of` writes as Zipkin's JSON.
fn journeys(requests: u64, of: impl Fn(u64) -> String) -> Vec<Discovered> {
    let spans: Vec<String> = (1..=requests).map(of).collect();
    let mut assembler = Assembler::new(TraceLimits::default(), Observations::default());
    read_source(format!("[{}]", spans.join(",")).as_bytes(), &ReadSettings::default(), &mut assembler)
        .unwrap();
    let assembled = assembler.finish();
    let known = DiscoveryEvidence {
        observations: &assembled.consumer,
        symbols: &assembled.symbols,
        labels: &assembled.labels,
        mesh: &MeshFacts::default(),
        profile: ConfidenceProfile::Calibrated,
    };
    complete(&known, &DiscoveryContext { intents: &[], source: EvidenceSource::Traces, evidence: &[] })
}

/// A span of request `n`: id, parent (0: none), kind, service (empty: none), name, start and duration in milliseconds.
fn span(
    n: u64,
    (id, parent): (u64, u64),
    kind: &str,
    service: &str,
    name: &str,
    (from, ms): (u64, u64),
) -> String {
    let parent = if parent == 0 { String::new() } else { format!(r#""parentId":"{parent:x}","#) };
    let start = 1_700_000_000_000_000 + n * 1_000_000 + from * 1_000;
    format!(
        r#"{{"traceId":"{n:x}","id":"{id:x}",{parent}"kind":"{kind}","name":"{name}","timestamp":{start},"duration":{},"localEndpoint":{{"serviceName":"{service}"}}}}"#,
        ms * 1_000
    )
}

fn structures(found: &[Discovered]) -> Vec<String> {
    found.iter().filter_map(|one| one.structure().map(ToString::to_string)).collect()
}

/// `orders` asks `billing`; whoever called it is never seen.
fn headless(n: u64) -> String {
    [
        span(n, (2, 9), "SERVER", "orders", "post /order", (0, 50)),
        span(n, (3, 2), "CLIENT", "orders", "post", (5, 30)),
        span(n, (4, 3), "SERVER", "billing", "post /bill", (6, 20)),
    ]
    .join(",")
}

#[test]
fn an_entry_whose_caller_is_never_seen_is_a_journey() {
    let found = journeys(100, |n| match n {
        1..=5 => span(n, (1, 0), "SERVER", "orders", "get /healthz", (0, 1)),
        _ => headless(n),
    });
    assert_eq!(structures(&found), ["Series(orders, billing)", "orders"]);
    assert_eq!(found[0].traces, 95);
}

#[test]
fn a_part_whose_caller_was_lost_is_none() {
    let whole = |n| {
        let front = span(n, (9, 0), "SERVER", "front", "post /", (0, 80));
        format!("{front},{}", headless(n))
    };
    let found = journeys(100, |n| if n <= 5 { headless(n) } else { whole(n) });
    assert_eq!(structures(&found), ["Series(front, orders, billing)"]);
}

#[test]
fn nothing_nameless_is_sure() {
    let found = journeys(100, |n| {
        [
            span(n, (1, 0), "SERVER", "", "get /a", (0, 50)),
            span(n, (2, 1), "CLIENT", "", "call", (5, 30)),
            span(n, (3, 2), "SERVER", "", "get /b", (6, 20)),
        ]
        .join(",")
    });
    let model = &found[0].model;
    assert_eq!(model.confidence.flags, [NAMELESS]);
    assert!(!model.findings.is_empty());
    let sure = |finding: &emac_compile::model::Finding| {
        finding.status == Status::Identified || finding.confidence.get() > NAMELESS_MAX
    };
    assert!(!model.findings.values().any(sure), "{:?}", model.findings);
}

#[test]
fn operations_of_one_service_share_its_domain() {
    let found = journeys(100, |n| {
        [
            span(n, (1, 0), "SERVER", "front", "get /", (0, 90)),
            span(n, (2, 1), "SERVER", "goods", "get /one", (5, 20)),
            span(n, (3, 1), "SERVER", "goods", "get /all", (40, 20)),
        ]
        .join(",")
    });
    let domains: Vec<_> =
        found[0].model.domains.iter().map(|(name, one)| (name.as_str(), &one.domains)).collect();
    let of = |name: &str| domains.iter().find(|(found, _)| *found == name).unwrap().1;
    let goods = || domains.iter().map(|(name, _)| *name).filter(|name| name.starts_with("goods"));
    assert_eq!(goods().count(), 2, "{domains:?}");
    assert!(goods().all(|name| of(name).iter().any(|domain| domain == "service:goods")), "{domains:?}");
    assert!(!of("front").iter().any(|domain| domain.starts_with("service:")), "{domains:?}");
}
