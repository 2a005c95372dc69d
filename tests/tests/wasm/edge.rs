//! The edge: foreign contexts are stripped, journeys recognised, the truth recorded.

use emac_proto::v1::{EntryRule, JourneyBudget, JourneyDelta, Mode};
use emac_tests::wasm_host::{Direction, FilterModule, RequestBuilder};
use serde_json::json;

use crate::support::{Sidecar, budgets, hop, module_or_return, static_fallback, with_hops};

/// A gateway: one listener, requests enter the mesh here.
fn gateway(module: FilterModule, budgets: &emac_proto::v1::WorkloadBudgets) -> Sidecar {
    let sidecar = Sidecar::with(module, 1, json!({"role": "edge"}));
    sidecar.push(budgets);
    sidecar
}

fn visit(sidecar: &Sidecar, path: &str) -> RequestBuilder {
    sidecar.host.request(Direction::Outbound).cluster("front").path(path)
}

/// The journey as the control plane has it.
fn journey(sidecar: &Sidecar) -> JourneyDelta {
    sidecar.settle();
    sidecar.settle();
    let mut sum = JourneyDelta::default();
    for delta in sidecar.host.control_plane().counted().into_iter().flat_map(|report| &report.journeys) {
        let mut outcomes = sum.outcomes.unwrap_or_default();
        let more = delta.outcomes.unwrap_or_default();
        outcomes.success += more.success;
        outcomes.error += more.error;
        outcomes.timeout += more.timeout;
        outcomes.cancelled += more.cancelled;
        outcomes.stream += more.stream;
        sum.journey.clone_from(&delta.journey);
        sum.outcomes = Some(outcomes);
        sum.within_deadline += delta.within_deadline;
        sum.degraded += delta.degraded;
    }
    sum
}

#[test]
fn a_foreign_context_is_stripped_and_our_own_put_in_its_place() {
    let sidecar = gateway(module_or_return!(), &budgets());
    let entered =
        visit(&sidecar, "/checkout").header("baggage", "a=1,emac=v1:checkout:119000:0000,b=2").send();
    let baggage = entered.request_header("baggage").expect("our context");
    assert!(baggage.starts_with("emac=v2.checkout.r1000.") && baggage.ends_with(",a=1,b=2"), "{baggage}");
    let passing = visit(&sidecar, "/elsewhere").header("baggage", "emac=v1:checkout:119000:0000").send();
    assert_eq!(passing.request_header("baggage").filter(|baggage| baggage.contains("emac")), None);
}

#[test]
fn two_baggage_headers_hide_no_foreign_context_and_lose_no_other_member() {
    let sidecar = gateway(module_or_return!(), &budgets());
    let foreign = "emac=v1:checkout:119000:0000";
    for [first, second] in [["a=1", foreign], [foreign, "a=1"]] {
        let passing = visit(&sidecar, "/elsewhere").header("baggage", first).header("baggage", second).send();
        assert_eq!(passing.request_headers().all("baggage"), [b"a=1"], "{first} and {second}");
    }
}

#[test]
fn the_edge_bounds_its_own_call() {
    let sidecar = gateway(module_or_return!(), &with_hops([hop("front", 700)]));
    let mut entered = visit(&sidecar, "/checkout").send();
    assert_eq!(entered.cut_after_ms(), Some(700));
    assert_eq!(entered.finish().status(), 504);
}

#[test]
fn every_part_of_an_entry_rule_must_match() {
    let mut budgets = budgets();
    let rule = EntryRule {
        host: "shop.example".to_string(),
        method: "POST".to_string(),
        path_template: "/carts/{id}/pay".to_string(),
        headers: vec![emac_proto::v1::HeaderMatch { name: "x-kind".to_string(), value: "real".to_string() }],
        ..EntryRule::default()
    };
    let grpc = EntryRule { grpc: "shop.Checkout".to_string(), ..EntryRule::default() };
    budgets.journeys[0].entry = vec![rule, grpc];
    let sidecar = gateway(module_or_return!(), &budgets);
    let recognised = |request: RequestBuilder| {
        request.send().request_header("baggage").is_some_and(|baggage| baggage.contains("emac=v2.checkout."))
    };
    let full = |host: &str, method: &str, path: &str, kind: &str| {
        recognised(visit(&sidecar, path).authority(host).method(method).header("x-kind", kind))
    };
    assert!(full("Shop.Example:8443", "POST", "/carts/7/pay?x=1", "real"));
    assert!(!full("shop.other", "POST", "/carts/7/pay", "real"));
    assert!(!full("shop.example", "GET", "/carts/7/pay", "real"));
    assert!(!full("shop.example", "POST", "/carts/7/8/pay", "real"));
    assert!(!full("shop.example", "POST", "/carts/7/pay", "test"));
    assert!(recognised(visit(&sidecar, "/").grpc("shop.Checkout/Buy")));
    assert!(!recognised(visit(&sidecar, "/").grpc("shop.CheckoutOther/Buy")));
}

#[test]
fn the_first_journey_with_a_matching_rule_wins() {
    let mut budgets = budgets();
    let wide = EntryRule { path_template: "/**".to_string(), ..EntryRule::default() };
    budgets.journeys.push(JourneyBudget {
        journey: "browse".to_string(),
        deadline_ms: 300,
        mode: Mode::Enforce.into(),
        entry: vec![wide],
        ..JourneyBudget::default()
    });
    let sidecar = gateway(module_or_return!(), &budgets);
    let journey = |path: &str| visit(&sidecar, path).send().request_header("baggage").unwrap_or_default();
    assert!(journey("/checkout").contains("emac=v2.checkout.r1000."));
    assert!(journey("/anything/else").contains("emac=v2.browse.r300."));
}

#[test]
fn the_journey_is_counted_as_its_user_saw_it() {
    let sidecar = gateway(module_or_return!(), &budgets());
    for (status, took) in [(200, 10), (200, 999), (200, 1_500), (500, 20)] {
        let mut entered = visit(&sidecar, "/checkout").send();
        sidecar.host.advance(took);
        entered.respond(status, &[], b"");
        entered.finish();
    }
    let mut late = visit(&sidecar, "/checkout").send();
    sidecar.host.advance(1_000);
    late.upstream_times_out();
    late.finish();
    visit(&sidecar, "/checkout").send().cancel();
    let seen = journey(&sidecar);
    let outcomes = seen.outcomes.unwrap_or_default();
    assert_eq!(seen.journey, "checkout");
    assert_eq!((outcomes.success, outcomes.error, outcomes.timeout, outcomes.cancelled), (3, 1, 1, 1));
    assert_eq!(seen.within_deadline, 2);
}

#[test]
fn a_workload_at_the_edge_makes_the_context_itself() {
    let sidecar = Sidecar::with(module_or_return!(), 1, json!({"edge": true}));
    sidecar.push(&with_hops([hop("cart", 500)]));
    let inbound = sidecar.arrival("emac=v1:checkout:119000:0000").path("/checkout").send();
    let inside = inbound.request_header("baggage").expect("our context");
    let ours = format!("emac=v2.checkout.a{}.0000.", sidecar.now_ms() + 1_000);
    assert!(inside.starts_with(&ours), "{inside}");
    sidecar.host.advance(600);
    let mut call = sidecar.plain_call("cart").header("baggage", &inside).send();
    assert_eq!(call.cut_after_ms(), Some(400));
}

#[test]
fn a_degraded_hop_shows_in_the_journey() {
    let hop = emac_proto::v1::HopBudget { fallback: Some(static_fallback()), ..hop("front", 500) };
    let sidecar = gateway(module_or_return!(), &with_hops([hop]));
    let mut entered = visit(&sidecar, "/checkout").send();
    entered.upstream_refuses();
    assert_eq!(entered.finish().status(), 200);
    assert_eq!(journey(&sidecar).degraded, 1);
}
