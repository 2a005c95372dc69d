//! What goes wrong is counted, and what happens is published with labels, in the metrics that Prometheus reads.

use emac_proto::v1::{HopBudget, OnExpiry, WorkloadBudgets};
use emac_tests::wasm_host::{Behaviour, Direction};
use serde_json::json;

use crate::support::{Sidecar, WORKLOAD, hop, module_or_return, static_fallback, with_hops};

/// A call that ends well.
fn call(sidecar: &Sidecar) {
    let mut call = sidecar.call("cart", 900).send();
    call.respond(200, &[], b"");
    call.finish();
}

/// The value of a counter or gauge without labels, after a report.
fn counted(sidecar: &Sidecar, name: &str) -> u64 {
    sidecar.settle();
    sidecar.host.metric(name)
}

#[test]
fn every_kind_of_bad_input_has_its_counter() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 100)]));
    call(&sidecar);
    for name in ["emac_context_missing_total", "emac_context_invalid_total", "emac_nack_total"] {
        assert_eq!(counted(&sidecar, name), 0, "{name}");
    }
    sidecar.plain_call("cart").send().finish();
    assert_eq!(counted(&sidecar, "emac_context_missing_total"), 1);
    sidecar.arrival("emac=nonsense").send().finish();
    assert_eq!(counted(&sidecar, "emac_context_invalid_total"), 1);
    sidecar.arrival("emac=v1:unheard-of:100:0000").send().finish();
    assert_eq!(counted(&sidecar, "emac_journey_unknown_total"), 1);
    sidecar.host.world().clock_ns -= 60_000_000_000;
    call(&sidecar);
    assert!(counted(&sidecar, "emac_clock_backwards_total") >= 1);
    sidecar.host.control_plane().push_bytes(WORKLOAD, vec![0xff; 9]);
    assert_eq!(counted(&sidecar, "emac_nack_total"), 1);
    sidecar.host.kill_control_plane();
    assert!(counted(&sidecar, "emac_stream_lost_total") >= 2);
    sidecar.host.control_plane().behaviour = Behaviour::Garbage;
    sidecar.host.run_for(30_000);
    assert!(counted(&sidecar, "emac_control_plane_garbage_total") >= 1);
}

#[test]
fn older_budgets_and_an_expired_lease_are_seen() {
    let lease = |generation| WorkloadBudgets {
        generation,
        valid_for_ms: 40_000,
        on_expiry: OnExpiry::Release.into(),
        ..with_hops([hop("cart", 100)])
    };
    let sidecar = Sidecar::holding(module_or_return!(), &lease(7));
    assert_eq!(counted(&sidecar, "emac_budget_generation"), 7);
    sidecar.push(&lease(6));
    assert_eq!(counted(&sidecar, "emac_budgets_older_total"), 1);
    assert_eq!(counted(&sidecar, "emac_budget_stale"), 0);
    sidecar.host.kill_control_plane();
    sidecar.host.run_for(60_000);
    call(&sidecar);
    assert_eq!(counted(&sidecar, "emac_budget_stale"), 1);
}

#[test]
fn overflow_and_a_configuration_that_cannot_be_read_are_counted() {
    let module = module_or_return!();
    let sidecar = Sidecar::with(module.clone(), 1, json!({"max_hops": 1}));
    for destination in ["a", "b", "b"] {
        sidecar.plain_call(destination).send().finish();
    }
    assert_eq!(counted(&sidecar, "emac_overflow_total"), 2);
    let broken = Sidecar::with(module, 1, json!({"mode": "everything"}));
    assert!(counted(&broken, "emac_config_invalid_total") >= 1);
}

#[test]
fn hops_and_decisions_carry_labels() {
    let pricing = HopBudget { fallback: Some(static_fallback()), ..hop("pricing", 100) };
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([pricing, hop("cart", 100)]));
    call(&sidecar);
    call(&sidecar);
    let mut failing = sidecar.call("pricing", 900).send();
    failing.upstream_refuses();
    failing.finish();
    sidecar.settle();
    let sum = |parts: &[&str]| sidecar.host.metric_sum(parts);
    let cart = ["journey=.=checkout;.;", "destination=.=cart;.;"];
    assert_eq!(sum(&["emac_hop_requests_total.", cart[0], cart[1], "outcome=.=success;.;"]), 2);
    assert_eq!(sum(&["emac_decisions_total.", cart[0], cart[1], "decision=.=call;.;"]), 2);
    assert_eq!(sum(&["emac_hop_requests_total.", "destination=.=pricing;.;", "outcome=.=fallback;.;"]), 1);
    assert_eq!(
        sum(&["emac_decisions_total.", "destination=.=pricing;.;", "decision=.=fallback_after;.;"]),
        1
    );
}

#[test]
fn the_journeys_result_and_latency_are_published_at_the_edge() {
    let sidecar = Sidecar::with(module_or_return!(), 1, json!({"role": "edge"}));
    sidecar.push(&with_hops([]));
    for (status, took) in [(200, 120), (200, 40), (500, 30)] {
        let mut visit = sidecar.host.request(Direction::Outbound).path("/checkout").send();
        sidecar.host.advance(took);
        visit.respond(status, &[], b"");
        visit.finish();
    }
    sidecar.settle();
    let journey = "journey_requests_total.journey=.=checkout;.;result=.=";
    assert_eq!(sidecar.host.metric(&format!("{journey}success;.;")), 2);
    assert_eq!(sidecar.host.metric(&format!("{journey}error;.;")), 1);
    let latency = sidecar.host.histogram(&["journey_latency_milliseconds", "journey=.=checkout;.;"]);
    assert_eq!(latency, [120, 40], "milliseconds of good answers");
}
