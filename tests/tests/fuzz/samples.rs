//! Valid messages to start from: every field set somewhere.

use emac_core::evidence::{
    DecisionKind, Delta, EvidenceLimits, HopKeyRef, HopRecord, JourneyEnd, Outbox, Recorder, Report,
};
use emac_core::id::JourneyName;
use emac_core::outcome::Outcome;
use emac_core::sketch::Sketch;
use emac_core::units::Micros;
use emac_proto::v1;

pub(crate) fn sketches() -> Vec<Sketch> {
    let spread = [0, 1, 2, 900, 950, 20_000, 20_400, 21_000, 3_000_000, 1 << 27, u64::MAX];
    let mut wide = Sketch::new();
    spread.iter().for_each(|&value| wide.record(Micros(value)));
    let mut dense = Sketch::new();
    (0..1_000).for_each(|n| dense.record(Micros(10_000 + n * n / 50)));
    let mut full = wide.clone();
    full.record_n(Micros(77), u32::MAX);
    full.record_n(Micros(77), 9);
    vec![Sketch::new(), wide, dense, full]
}

pub(crate) fn budgets() -> Vec<v1::WorkloadBudgets> {
    let full = v1::WorkloadBudgets {
        workload: "shop/front".into(),
        generation: 7,
        model_digest: "ab".repeat(32),
        issued_at_unix_ms: 1_700_000_000_000,
        valid_for_ms: 30_000,
        on_expiry: v1::OnExpiry::Release.into(),
        journeys: vec![journey()],
        hops: vec![hop("paya", Some(alternate())), hop("pricing", Some(cached()))],
    };
    let mut bare = full.clone();
    bare.journeys[0].entry.clear();
    bare.hops =
        vec![v1::HopBudget { journey: "checkout".into(), destination: "cart".into(), ..Default::default() }];
    vec![full, bare]
}

fn journey() -> v1::JourneyBudget {
    let header = v1::HeaderMatch { name: "x-tenant".into(), value: "gold".into() };
    let by_path = v1::EntryRule {
        host: "shop.example".into(),
        method: "POST".into(),
        path_template: "/api/v1/cart/{id}/**".into(),
        headers: vec![header],
        grpc: String::new(),
    };
    let by_grpc = v1::EntryRule { grpc: "shop.v1.Checkout/Place".into(), ..Default::default() };
    v1::JourneyBudget {
        journey: "checkout".into(),
        deadline_ms: 800,
        mode: v1::Mode::Enforce.into(),
        priority: 9,
        record_ppm: 10_000,
        entry: vec![by_path, by_grpc],
    }
}

fn hop(destination: &str, fallback: Option<v1::Fallback>) -> v1::HopBudget {
    v1::HopBudget {
        journey: "checkout".into(),
        destination: destination.into(),
        operation: "GET /price/{id}".into(),
        mode: v1::Mode::DryRun.into(),
        timeout_ms: 300,
        per_try_timeout_ms: 120,
        reserve_ms: 50,
        useful_min_ms: 10,
        retry: Some(v1::RetryBudget {
            ratio_ppm: 200_000,
            floor_milli_per_s: 500,
            burst: 10,
            max_retries: 2,
        }),
        fallback,
        success: Some(v1::SuccessPredicate {
            http: vec![v1::StatusRange { first: 200, last: 404 }],
            grpc: vec![5],
        }),
        without_context: true,
        timeout_alone_ms: 450,
        reserve_alone_ms: 15,
        stream: false,
    }
}

fn header(name: &str, value: &str) -> v1::Header {
    v1::Header { name: name.into(), value: value.into() }
}

fn alternate() -> v1::Fallback {
    let alternate = v1::Alternate {
        cluster: "payb".into(),
        authority: "payb.shop".into(),
        path: "/pay".into(),
        route_header: Some(header("x-emac-route", "payb")),
        allow_non_idempotent: true,
        body_bytes_max: 4_096,
        timeout_ms: 200,
    };
    let kind = Some(v1::fallback::Kind::Alternate(alternate));
    v1::Fallback { kind, weight_ppm: 1_000_000, budget_ppm: 0, burst: 0 }
}

fn cached() -> v1::Fallback {
    let response = v1::StaticResponse {
        status: 200,
        headers: vec![header("content-type", "application/json")],
        body: b"{\"price\":1}".to_vec(),
    };
    let kind = Some(v1::fallback::Kind::StaticResponse(response));
    v1::Fallback { kind, weight_ppm: 500_000, budget_ppm: 200_000, burst: 20 }
}

/// A report with everything in it, as a sidecar would make it.
pub(crate) fn report() -> Report {
    let mut outbox = Outbox::new(77, Micros(1_000_000), Micros(5_000_000), EvidenceLimits::default());
    outbox.enqueue(delta());
    outbox.next_to_send(Micros(2_000_000)).cloned().expect("something was enqueued")
}

fn delta() -> Delta {
    let mut recorder = Recorder::new(EvidenceLimits::default());
    let key = HopKeyRef {
        journey: "checkout",
        source: "shop/front",
        destination: "paya.shop.svc",
        operation: "POST /pay",
    };
    let hop = recorder.hop(key);
    for (n, outcome) in (1..).zip(Outcome::ALL) {
        recorder.record(hop, outcome, Micros(n * 9_000));
    }
    DecisionKind::ALL.into_iter().for_each(|kind| recorder.decided(hop, kind));
    recorder.retried(hop, 3);
    let name = JourneyName::new("checkout").expect("a valid name");
    let journey = recorder.journey(&name).expect("the first journey");
    let end = JourneyEnd {
        outcome: Outcome::Success,
        latency: Micros(250_000),
        within_deadline: true,
        degraded: true,
    };
    recorder.record_journey(journey, end);
    recorder.keep(HopRecord {
        trace_id: [7; 16],
        parent_span_id: [3; 8],
        hop: key.to_key(),
        start_unix_us: 1_500_000,
        duration: Micros(9_000),
        outcome: Outcome::Timeout,
        attempts: 2,
        status: 504,
        inbound: false,
        request_id: [0; 16],
        ended_by: emac_core::outcome::EndedBy::Unknown,
    });
    let health = recorder.health_mut();
    (health.context_missing, health.generation, health.stale) = (2, 7, true);
    recorder.take_delta()
}
