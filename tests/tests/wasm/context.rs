//! The context on both listeners: baggage, traceparent join, none; and everything that can be wrong with it.

use emac_tests::wasm_host::Direction;
use serde_json::json;

use crate::support::{Sidecar, budgets, hop, module_or_return, with_hops};

/// Deadline field of our member of a baggage header, with its mark.
fn deadline_of(baggage: &str) -> Option<String> {
    let ours = baggage.split(',').find(|member| member.trim().starts_with("emac=v2."))?;
    ours.split('.').nth(2).map(str::to_owned)
}

#[test]
fn remaining_becomes_absolute_inside_and_remaining_again_outside() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 500)]));
    let inbound = sidecar.arrival("emac=v1:checkout:800:0000").send();
    let inside = inbound.request_header("baggage").expect("our member");
    assert_eq!(deadline_of(&inside), Some(format!("a{}", sidecar.now_ms() + 800)));

    // The application takes 150 ms before it calls on.
    sidecar.host.advance(150);
    let mut outbound = sidecar.plain_call("cart").header("baggage", &inside).send();
    let outside = outbound.request_header("baggage").expect("our member");
    assert_eq!(deadline_of(&outside).as_deref(), Some("r650"), "application time is deducted");
    assert_eq!(outbound.cut_after_ms(), Some(500));
}

#[test]
fn the_members_of_others_keep_their_bytes_and_order() {
    let sidecar = Sidecar::holding(module_or_return!(), &budgets());
    let arrival = sidecar.arrival("a=1;p=x, emac=v1:checkout:800:0000 ,b=%20").send();
    let inside = arrival.request_header("baggage").expect("baggage");
    let others: Vec<&str> = inside.split(',').map(str::trim).filter(|m| !m.starts_with("emac=")).collect();
    assert_eq!(others, ["a=1;p=x", "b=%20"]);
    assert_eq!(inside.matches("emac=").count(), 1);
}

#[test]
fn a_context_that_cannot_be_read_lets_the_request_through_and_is_counted() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 500)]));
    let bad = [
        "emac=",
        "emac=v2:checkout:800:0000",
        "emac=v1:checkout:800",
        "emac=v1:Check out:800:0000",
        "emac=v1:checkout:-1:0000",
        "emac=v1:checkout:99999999999999999999999:0000",
        "emac=v1:checkout:120001:0000",
        "emac=v1:checkout:800:zz",
        "emac=v1:checkout:800:0000,emac=v1:checkout:900:0000",
    ];
    for baggage in bad {
        let mut arrival = sidecar.arrival(baggage).send();
        assert!(arrival.forwarded(), "{baggage:.60} must not stop the request");
        arrival.respond(200, &[], b"");
        assert_eq!(arrival.finish().status(), 200);
    }
    let invalid = sidecar.sum(|report| report.health.as_ref().map_or(0, |health| health.context_invalid));
    assert_eq!(invalid, bad.len() as u64);
}

#[test]
fn bytes_that_are_no_text_are_only_an_invalid_context() {
    let sidecar = Sidecar::holding(module_or_return!(), &budgets());
    let odd = sidecar
        .host
        .request(Direction::Inbound)
        .header("baggage", b"emac=v1:\xff\xfe:800:0000".as_slice())
        .send();
    assert!(odd.forwarded());
}

#[test]
fn a_journey_nobody_declared_flows_without_a_budget() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 500)]));
    let deadline = sidecar.now_ms() + 700;
    let mut call =
        sidecar.plain_call("cart").header("baggage", format!("emac=v1:unheard-of:{deadline}:0000")).send();
    assert!(call.forwarded());
    assert_eq!(call.cut_after_ms(), None);
    call.respond(200, &[], b"");
    call.finish();
    assert_eq!(sidecar.outcome("cart").success, 1);
}

#[test]
fn a_call_without_context_is_counted_as_missing() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 500)]));
    let mut call = sidecar.plain_call("cart").send();
    assert!(call.forwarded());
    call.respond(200, &[], b"");
    call.finish();
    let missing = sidecar.sum(|report| report.health.as_ref().map_or(0, |health| health.context_missing));
    assert_eq!(missing, 1);
}

#[test]
fn applications_that_forward_only_traceparent_are_joined() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let child = "00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01";
    let other = "00-0000000000000000a3ce929d0e0e4736-1111111111111111-01";
    let sidecar = Sidecar::with(module_or_return!(), 2, json!({"join": "traceparent"}));
    sidecar.push(&with_hops([hop("cart", 500)]));
    sidecar.arrival("emac=v1:checkout:400:0000").header("traceparent", trace).worker(0).send();
    sidecar.host.advance(50);
    // The application calls on from another connection, so another thread may carry it.
    let mut joined = sidecar.plain_call("cart").header("traceparent", child).worker(1).send();
    assert_eq!(joined.cut_after_ms(), Some(350));
    let stranger = sidecar.plain_call("cart").header("traceparent", other).worker(1).send();
    assert_eq!(stranger.request_header("baggage"), None);
}

#[test]
fn a_clock_that_goes_back_stretches_nothing_and_stops_nothing() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 500)]));
    let inbound = sidecar.arrival("emac=v1:checkout:300:0000").send();
    let inside = inbound.request_header("baggage").expect("our member");
    sidecar.host.world().clock_ns -= 3_600_000_000_000;
    let mut call = sidecar.plain_call("cart").header("baggage", &inside).send();
    assert!(call.forwarded());
    call.respond(200, &[], b"");
    assert_eq!(call.finish().status(), 200);
    assert_eq!(sidecar.outcome("cart").success, 1);
    let mut unanswered = sidecar.plain_call("cart").header("baggage", &inside).send();
    assert_eq!(unanswered.cut_after_ms(), Some(500), "the hop's own");
}
