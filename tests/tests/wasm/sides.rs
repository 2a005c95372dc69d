//! What a sidecar's two listeners share and what not; two filters in one chain; one request that comes twice.

use emac_tests::wasm_host::{Direction, Exchange, Setup};
use serde_json::json;

use crate::support::{Sidecar, budgets, configuration, hop, module_or_return, total, with_hops};

fn baggage(exchange: &Exchange) -> String {
    exchange.request_header("baggage").unwrap_or_default()
}

/// Both listeners of a sidecar have the same plugin, so one root context a thread: whichever is asked first must not decide for both.
#[test]
fn each_request_is_on_the_side_of_its_own_listener() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 500)]));
    for round in 0..3 {
        let arrival = sidecar.arrival("emac=v2.checkout.r800.0000").send();
        let inside = baggage(&arrival);
        assert!(inside.starts_with("emac=v2.checkout.a"), "round {round}: {inside}");
        let mut call = sidecar.plain_call("cart").header("baggage", &inside).send();
        assert_eq!(baggage(&call), "emac=v2.checkout.r800.0000", "round {round}");
        call.respond(200, &[], b"");
        call.finish();
    }
    assert_eq!(sidecar.outcome("cart").success, 3);
    assert_eq!(sidecar.outcomes().values().map(total).sum::<u64>(), 3, "arrivals are no calls");
}

/// Where the inbound side of a pod has no filter, the application is given what remains on the wire and hands that on.
#[test]
fn a_remaining_deadline_that_reaches_the_outbound_side_is_no_time_of_1970() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 500)]));
    for context in
        ["emac=v2.checkout.r300.0000", "emac=v1:checkout:300:0000", "emac=v1%3Acheckout%3A300%3A0000"]
    {
        let mut call = sidecar.plain_call("cart").header("baggage", context).send();
        assert!(call.forwarded(), "{context}");
        assert_eq!(baggage(&call), "emac=v2.checkout.r300.0000", "{context}");
        assert_eq!(call.cut_after_ms(), Some(300), "{context}");
    }
}

/// Observing, too, hands on what it was given.
#[test]
fn observing_hands_on_what_remains() {
    let sidecar = Sidecar::holding(module_or_return!(), &budgets());
    let call = sidecar.plain_call("elsewhere").header("baggage", "emac=v2.checkout.r300.0000").send();
    assert_eq!(baggage(&call), "emac=v2.checkout.r300.0000");
}

/// A time of another pod's clock is not believed, and not left for the outbound side to believe.
#[test]
fn an_absolute_deadline_from_another_pod_is_taken_away() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 500)]));
    let at = sidecar.now_ms() + 5_000;
    for context in [format!("a=1,emac=v2.checkout.a{at}.0000.7"), format!("emac=v1:checkout:{at}:0000,a=1")] {
        let arrival = sidecar.arrival(&context).send();
        assert!(arrival.forwarded());
        assert_eq!(baggage(&arrival), "a=1", "{context}");
    }
    let invalid = sidecar.sum(|report| report.health.as_ref().map_or(0, |health| health.context_invalid));
    assert_eq!(invalid, 2);
}

/// A queue, an outbox, a task nobody waits for: their calls pass, without a deadline, for ever.
#[test]
fn a_journey_that_is_over_has_no_deadline() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 500)]));
    let mut arrival = sidecar.arrival("tenant=7,emac=v2.checkout.r300.0000").send();
    let inside = baggage(&arrival);
    // A call that is under way when the answer goes out is not cut either.
    let mut pending = sidecar.plain_call("cart").header("baggage", &inside).send();
    arrival.respond(200, &[], b"");
    arrival.finish();
    assert_eq!(pending.cut_after_ms(), None);
    pending.cancel();
    for later in [0, 400, 3_600_000] {
        sidecar.host.advance(later);
        let mut call = sidecar.plain_call("cart").header("baggage", &inside).send();
        assert!(call.forwarded(), "{later} ms later");
        assert_eq!(baggage(&call), "tenant=7", "{later} ms later");
        assert_eq!(call.cut_after_ms(), None, "{later} ms later");
        call.respond(200, &[], b"");
        assert_eq!(call.finish().status(), 200);
    }
    sidecar.settle();
    assert_eq!(sidecar.host.metric("emac_context_late_total"), 4);
}

/// A client that left without an answer: what was begun for it is cut when it would have been due.
#[test]
fn a_journey_that_was_left_still_ends_its_calls() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 500)]));
    let arrival = sidecar.arrival("emac=v2.checkout.r300.0000").send();
    let inside = baggage(&arrival);
    let mut pending = sidecar.plain_call("cart").header("baggage", &inside).send();
    sidecar.host.advance(100);
    arrival.cancel();
    assert_eq!(pending.cut_after_ms(), Some(200));
    assert!(!sidecar.plain_call("cart").header("baggage", &inside).send().forwarded(), "for nobody");
    sidecar.host.advance(60_000);
    assert!(sidecar.plain_call("cart").header("baggage", &inside).send().forwarded(), "but not for ever");
}

/// So it is for a context that is found under the trace id.
#[test]
fn a_trace_that_is_over_has_no_deadline() {
    let sidecar = Sidecar::with(module_or_return!(), 1, json!({"join": "traceparent"}));
    sidecar.push(&with_hops([hop("cart", 500)]));
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut arrival = sidecar.arrival("emac=v2.checkout.r300.0000").header("traceparent", trace).send();
    let joined = sidecar.plain_call("cart").header("traceparent", trace).send();
    assert_eq!(baggage(&joined), "emac=v2.checkout.r300.0000");
    arrival.respond(200, &[], b"");
    arrival.finish();
    sidecar.host.advance(5_000);
    let call = sidecar.plain_call("cart").header("traceparent", trace).send();
    assert!(call.forwarded());
    assert_eq!(baggage(&call), "");
}

/// A client that takes longer to send its request than the journey may last: the pod's own calls have their time.
#[test]
fn the_clients_upload_is_not_the_journeys_time() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 500)]));
    let arrival = sidecar
        .host
        .request(Direction::Inbound)
        .cluster("inbound")
        .header("baggage", "emac=v2.checkout.r300.0000");
    let mut arrival = arrival.body(b"the first piece").open().send();
    let inside = baggage(&arrival);
    sidecar.host.advance(2_000);
    let early = sidecar.plain_call("cart").header("baggage", &inside).send();
    assert_eq!(baggage(&early), "emac=v2.checkout.r300.0000", "its time has not begun");
    arrival.ends(b"the last piece");
    sidecar.host.advance(100);
    let mut call = sidecar.plain_call("cart").header("baggage", &inside).send();
    assert!(call.forwarded());
    assert_eq!(baggage(&call), "emac=v2.checkout.r200.0000");
    assert_eq!(call.cut_after_ms(), Some(200));
}

/// A copy of a request is on no journey, and what is done for it neither.
#[test]
fn mirrored_requests_carry_no_context() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 500)]));
    for host in ["front-shadow", "front-shadow:8080"] {
        let copy = sidecar.arrival("emac=v2.checkout.r300.0000,a=1").authority(host).send();
        assert_eq!(baggage(&copy), "a=1", "{host}");
    }
    let original = sidecar.arrival("emac=v2.checkout.r300.0000").authority("shadow.front:8080").send();
    assert!(baggage(&original).starts_with("emac=v2.checkout.a"));
}

#[test]
fn an_upgraded_connection_has_no_deadline() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 500)]));
    let mut call = sidecar.call("cart", 300).header("upgrade", "websocket").send();
    assert_eq!(call.cut_after_ms(), None);
    call.respond(101, &[], b"");
    call.finish();
    assert_eq!(sidecar.outcome("cart").stream, 1);
}

/// Baggage of others that leaves no room for ours stays as it is.
#[test]
fn the_baggage_of_others_goes_before_ours() {
    let sidecar = Sidecar::with(module_or_return!(), 1, json!({"role": "edge"}));
    sidecar.push(&with_hops([hop("front", 500)]));
    for full in [format!("a={}", "x".repeat(8_185)), vec!["a=1"; 64].join(",")] {
        let visit = sidecar.host.request(Direction::Outbound).cluster("front").path("/checkout");
        let visit = visit.header("baggage", &full).send();
        assert_eq!(baggage(&visit), full);
    }
    sidecar.settle();
    assert_eq!(sidecar.host.metric("emac_context_omitted_total"), 2);
}

/// A plugin for a namespace beside one for its gateway: whoever comes second leaves the request alone.
#[test]
fn the_second_filter_of_a_chain_steps_aside() {
    let module = module_or_return!();
    let (edge, sidecar) =
        (configuration(json!({"role": "edge"})), configuration(json!({"role": "outbound"})));
    // The mock has one filter a listener; the mark is what a filter before it in the chain leaves.
    let setup =
        Setup::new(module).listener(Direction::Outbound, &edge).listener(Direction::Inbound, &sidecar);
    let host = setup.start();
    host.control_plane().push(&with_hops([hop("front", 500)]));
    host.settle();
    host.run_for(1_000);
    let first = host.request(Direction::Outbound).cluster("front").path("/checkout").send();
    let mark = first.property(&["emac"]).expect("a mark");
    let second = host.request(Direction::Inbound).cluster("front").path("/checkout");
    let second =
        second.header("baggage", "emac=v2.checkout.r700.0000").property(&["emac"], mark.clone()).send();
    assert_eq!(baggage(&second), "emac=v2.checkout.r700.0000", "untouched");
    second.cancel();
    first.cancel();
    // The same request again, after the proxy followed a redirect.
    host.advance(100);
    let again =
        host.request(Direction::Outbound).cluster("front").path("/checkout").property(&["emac"], mark).send();
    assert_eq!(baggage(&again), "emac=v2.checkout.r900.0000", "what is left of 1 000 ms");
    again.cancel();
    host.run_for(1_000);
    assert_eq!(host.metric("emac_second_filter_total"), 1);
}

/// Plugins of one module share a VM, and so its budgets; how far each may go is its own to say, whichever was configured last.
#[test]
fn each_plugin_goes_as_far_as_its_own_mode() {
    let module = module_or_return!();
    let plugin = |mode: &str| configuration(json!({"role": "outbound", "mode": mode}));
    for (first, second) in [("enforce", "observe"), ("observe", "enforce")] {
        let setup = Setup::new(module.clone());
        let setup =
            setup.listener(Direction::Outbound, &plugin(first)).listener(Direction::Inbound, &plugin(second));
        let host = setup.start();
        host.control_plane().push(&with_hops([hop("cart", 200)]));
        host.settle();
        host.run_for(1_000);
        for (direction, mode) in [(Direction::Outbound, first), (Direction::Inbound, second)] {
            let call =
                host.request(direction).cluster("cart").header("baggage", "emac=v2.checkout.r900.0000");
            let cut = call.send().cut_after_ms();
            assert_eq!(cut, (mode == "enforce").then_some(200), "{mode} beside another");
        }
    }
}
