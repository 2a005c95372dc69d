//! Evidence: every request exactly once, whatever becomes of it; caps; records of the same traces everywhere.

use std::collections::BTreeSet;

use emac_proto::v1::{
    HopBudget, HopRecord, Outcome, OutcomeCounts, ReportRequest, StatusRange, SuccessPredicate,
};
use emac_tests::wasm_host::{Direction, FilterModule};
use serde_json::{Value, json};

use crate::support::{Sidecar, budgets, hop, module_or_return, total, with_hops};

#[test]
fn every_request_ends_in_exactly_one_outcome() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 500)]));
    for round in 0..10 {
        for kind in 0..6 {
            let mut call = sidecar.call("cart", if kind == 5 { 0 } else { 900 }).send();
            sidecar.host.advance(round);
            match kind {
                0 => call.respond(200, &[], b"ok"),
                1 => call.respond(503, &[], b"busy"),
                2 => call.upstream_times_out(),
                3 => call.upstream_refuses(),
                _ => {}
            }
            if kind == 4 { call.cancel() } else { drop(call.finish()) }
        }
    }
    let counts = sidecar.outcome("cart");
    let expected = OutcomeCounts {
        success: 10,
        error: 20,
        timeout: 10,
        cancelled: 10,
        shed: 10,
        ..OutcomeCounts::default()
    };
    assert_eq!(counts, expected);
    assert_eq!(total(&counts), 60);
}

#[test]
fn what_was_counted_is_reported_when_its_root_context_ends() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 500)]));
    let counted = || sidecar.host.metric_sum(&["emac_hop_requests_total", "cart"]);
    let before = counted();
    for _ in 0..5 {
        let mut call = sidecar.call("cart", 900).send();
        call.respond(200, &[], b"ok");
        drop(call.finish());
    }
    assert_eq!(counted(), before, "reported before it was due");
    let configuration = json!({"workload": "shop/front", "tick_ms": 60_000}).to_string();
    sidecar.host.reconfigure(Direction::Outbound, &configuration);
    assert_eq!(counted(), before, "the inbound listener still has the old one");
    sidecar.host.reconfigure(Direction::Inbound, &configuration);
    assert_eq!(counted(), before + 5);
}

#[test]
fn inbound_requests_are_no_hops_of_their_own() {
    let sidecar = Sidecar::holding(module_or_return!(), &budgets());
    let mut arrival = sidecar.arrival("emac=v1:checkout:800:0000").send();
    arrival.respond(200, &[], b"");
    arrival.finish();
    assert!(sidecar.outcomes().is_empty());
}

#[test]
fn a_caller_who_leaves_is_cancelled_before_and_after_the_answer_began() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 500)]));
    sidecar.call("cart", 900).send().cancel();
    let mut begun = sidecar.call("cart", 900).send();
    begun.respond(200, &[], b"half");
    begun.cancel();
    let counts = sidecar.outcome("cart");
    assert_eq!(total(&counts), 2);
    assert!(counts.cancelled >= 1);
}

#[test]
fn more_hops_than_the_cap_go_to_the_overflow_and_are_counted() {
    let sidecar = Sidecar::with(module_or_return!(), 1, json!({"max_hops": 4}));
    sidecar.push(&budgets());
    for destination in 0..10 {
        let mut call = sidecar.call(&format!("d{destination}"), 900).send();
        assert!(call.forwarded());
        call.respond(200, &[], b"");
        call.finish();
    }
    let outcomes = sidecar.outcomes();
    assert_eq!(outcomes.values().map(total).sum::<u64>(), 10, "none is lost: {outcomes:?}");
    assert_eq!(outcomes.len(), 5, "{outcomes:?}");
    assert_eq!(outcomes.get("_overflow").map(|counts| counts.success), Some(6));
    let overflow = sidecar.sum(|report| report.health.as_ref().map_or(0, |health| health.overflow));
    assert_eq!(overflow, 6);
}

#[test]
fn the_latency_of_good_answers_is_measured_by_the_clock() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 500)]));
    for took in [10, 20, 40] {
        let mut call = sidecar.call("cart", 900).send();
        sidecar.host.advance(took);
        call.respond(200, &[], b"");
        call.finish();
    }
    let mut slow = sidecar.call("cart", 900).send();
    sidecar.host.advance(500);
    slow.upstream_times_out();
    slow.finish();
    sidecar.settle();
    sidecar.settle();
    let control_plane = sidecar.host.control_plane();
    let deltas = control_plane.counted().into_iter().flat_map(|report| &report.hops);
    let mut sketch = emac_core::sketch::Sketch::new();
    for delta in deltas.filter(|delta| !delta.latency.is_empty()) {
        sketch.merge_encoded(&delta.latency).expect("a sketch");
    }
    assert_eq!(sketch.count(), 3, "a timeout is no latency");
}

/// A sidecar of another workload, with the same journeys; half of all traces are recorded.
fn recording(module: FilterModule, workload: &str, more: Value) -> Sidecar {
    let mut base = json!({"workload": workload, "node": workload});
    base.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let sidecar = Sidecar::with(module, 1, base);
    let mut budgets = with_hops([hop("cart", 500)]);
    budgets.workload = workload.to_string();
    budgets.journeys[0].record_ppm = 500_000;
    sidecar.push(&budgets);
    sidecar
}

fn trace(number: u32) -> String {
    let id = u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    format!("00-{id:032x}-{:016x}-01", number + 1)
}

fn records(sidecar: &Sidecar) -> Vec<HopRecord> {
    sidecar.settle();
    sidecar.settle();
    sidecar.host.control_plane().counted().into_iter().flat_map(|report| report.records.clone()).collect()
}

/// Takes a request through both listeners of a pod; the baggage it calls on with.
fn through(sidecar: &Sidecar, baggage: &str, trace: &str) -> String {
    let mut arrival = sidecar.arrival(baggage).header("traceparent", trace).send();
    let inside = arrival.request_header("baggage").expect("our context");
    let mut call = sidecar.plain_call("cart").header("baggage", &inside).header("traceparent", trace).send();
    let outside = call.request_header("baggage").expect("our context");
    call.respond(200, &[], b"");
    call.finish();
    arrival.respond(200, &[], b"");
    arrival.finish();
    outside
}

#[test]
fn the_edge_chooses_traces_and_every_sidecar_records_the_same_ones() {
    let module = module_or_return!();
    let gateway = recording(module.clone(), "shop/gateway", json!({"role": "edge"}));
    let pods = ["shop/front", "shop/cart"].map(|workload| recording(module.clone(), workload, json!({})));
    for number in 0..100 {
        let trace = trace(number);
        let entered =
            gateway.host.request(Direction::Outbound).path("/checkout").header("traceparent", &trace);
        let mut entered = entered.send();
        let mut baggage = entered.request_header("baggage").expect("our context");
        for pod in &pods {
            baggage = through(pod, &baggage, &trace);
        }
        entered.respond(200, &[], b"");
        entered.finish();
    }
    let chosen = |records: &[HopRecord], inbound: bool| -> BTreeSet<Vec<u8>> {
        let of = |record: &&HopRecord| record.inbound == inbound;
        records.iter().filter(of).map(|record| record.trace_id.clone()).collect()
    };
    let at_the_edge = chosen(&records(&gateway), false);
    assert!((30..=70).contains(&at_the_edge.len()), "about half of 100, got {}", at_the_edge.len());
    for pod in &pods {
        let records = records(pod);
        assert_eq!(chosen(&records, true), at_the_edge);
        assert_eq!(chosen(&records, false), at_the_edge);
    }
}

#[test]
fn a_record_tells_what_happened() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 500)]));
    let started_us = sidecar.now_ms() * 1_000;
    let sampled = format!("emac=v1:checkout:{}:0100", sidecar.now_ms() + 900);
    let mut call =
        sidecar.plain_call("cart").header("baggage", sampled).header("traceparent", trace(1)).send();
    sidecar.host.advance(25);
    call.respond(503, &[], b"");
    call.finish();
    let unsampled = sidecar.call("cart", 900).header("traceparent", trace(2)).send();
    unsampled.finish();
    let records = records(&sidecar);
    assert_eq!(records.len(), 1);
    let HopRecord { hop, duration_us, status, start_unix_us, outcome, parent_span_id, inbound, .. } =
        records[0].clone();
    let hop = hop.unwrap_or_default();
    assert_eq!(
        (hop.journey.as_str(), hop.source.as_str(), hop.destination.as_str()),
        ("checkout", "shop/front", "cart")
    );
    assert_eq!((duration_us, status, inbound), (25_000, 503, false));
    assert!((started_us..started_us + 1_000).contains(&start_unix_us));
    assert_eq!(outcome, i32::from(Outcome::Error));
    assert_eq!(parent_span_id, 2_u64.to_be_bytes());
}

#[test]
fn reports_are_valid_for_the_control_plane() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 500)]));
    for _ in 0..3 {
        let mut call = sidecar.call("cart", 900).send();
        call.respond(200, &[], b"");
        call.finish();
        sidecar.settle();
    }
    let control_plane = sidecar.host.control_plane();
    let reports: Vec<&ReportRequest> = control_plane.counted();
    assert!(!reports.is_empty());
    for (index, report) in reports.iter().enumerate() {
        emac_proto::convert::NodeReport::try_from((*report).clone()).expect("valid");
        assert_eq!(report.sequence, index as u64 + 1, "sequences start at 1 and grow by 1");
        assert_eq!((report.node.as_str(), report.workload.as_str()), ("front-1", "shop/front"));
        assert!(report.start_unix_ms <= report.end_unix_ms);
    }
}

/// Nothing tells the callee's proxy from the callee, or a wrong password from a wrong caller: a success, and not a silent one.
#[test]
fn a_callee_that_says_no_is_counted_beside() {
    let named = SuccessPredicate { http: vec![StatusRange { first: 200, last: 403 }], ..Default::default() };
    let settled = HopBudget { success: Some(named), ..hop("paya", 500) };
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 500), settled]));
    for (cluster, status) in [("cart", 403), ("cart", 429), ("cart", 404), ("paya", 403)] {
        let mut call = sidecar.call(cluster, 900).send();
        call.respond(status, &[], b"no");
        call.finish();
    }
    assert_eq!((sidecar.outcome("cart").success, sidecar.outcome("paya").success), (3, 1));
    assert_eq!(sidecar.host.metric("emac_denied_total"), 2);
}
