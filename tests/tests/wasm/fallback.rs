//! Every kind of fallback: static with its budget, an alternate after a failure and before the call; and when there is none.

use emac_proto::v1::{Alternate, DecisionCounts, Header, HopBudget, OutcomeCounts, ReportRequest};
use emac_tests::wasm_host::Exchange;

use crate::support::{Sidecar, alternate, equal, hop, module_or_return, static_fallback, with_hops};

fn decisions(of: impl Fn(&DecisionCounts) -> u64) -> impl Fn(&ReportRequest) -> u64 {
    move |report| report.hops.iter().filter_map(|hop| hop.decisions.as_ref()).map(&of).sum()
}

fn pricing_with_cache(module: emac_tests::wasm_host::FilterModule) -> Sidecar {
    let hop = HopBudget { fallback: Some(static_fallback()), ..hop("pricing", 100) };
    Sidecar::holding(module, &with_hops([hop]))
}

fn paya_with(module: emac_tests::wasm_host::FilterModule, alternate: Alternate) -> Sidecar {
    let hop = HopBudget { fallback: Some(equal(alternate)), ..hop("paya", 100) };
    Sidecar::holding(module, &with_hops([hop]))
}

/// Every way a destination can fail its caller.
const FAILURES: [fn(&mut Exchange); 3] = [
    |call| call.upstream_times_out(),
    |call| call.upstream_refuses(),
    |call| call.respond(500, &[("content-type", "text/html")], b"<h1>oops</h1>"),
];

#[test]
fn a_static_answer_replaces_a_failure_whatever_the_failure() {
    let sidecar = pricing_with_cache(module_or_return!());
    for fail in FAILURES {
        let mut call = sidecar.call("pricing", 900).send();
        fail(&mut call);
        let response = call.finish();
        assert_eq!((response.status(), response.text().as_str()), (200, r#"{"price":"cached"}"#));
        assert_eq!(response.headers.get("content-type"), Some("application/json"));
    }
    assert_eq!(sidecar.outcome("pricing"), OutcomeCounts { fallback: 3, ..OutcomeCounts::default() });
    assert_eq!(sidecar.sum(decisions(|d| d.fallback_after)), 3);
}

#[test]
fn a_static_answer_is_given_at_once_when_the_call_would_come_too_late() {
    let sidecar = pricing_with_cache(module_or_return!());
    let call = sidecar.call("pricing", 0).send();
    assert!(!call.forwarded());
    let response = call.finish();
    assert_eq!((response.status(), response.text().as_str()), (200, r#"{"price":"cached"}"#));
    assert_eq!(sidecar.outcome("pricing").fallback, 1);
    assert_eq!(sidecar.sum(decisions(|d| d.fallback_before)), 1);
}

#[test]
fn a_degraded_fallback_stops_at_its_budget_so_that_an_outage_shows() {
    let sidecar = pricing_with_cache(module_or_return!());
    let mut degraded = 0;
    for _ in 0..200 {
        let mut call = sidecar.call("pricing", 900).send();
        call.upstream_refuses();
        degraded += u64::from(call.finish().status() == 200);
    }
    assert!((40..=44).contains(&degraded), "20 % of 200 and a burst of 3 at most, got {degraded}");
    let counts = sidecar.outcome("pricing");
    assert_eq!((counts.fallback, counts.error), (degraded, 200 - degraded));
    assert_eq!(sidecar.sum(decisions(|d| d.budget_spent)), 200 - degraded);
}

#[test]
fn an_answer_that_is_good_is_left_alone() {
    let sidecar = pricing_with_cache(module_or_return!());
    for status in [200, 204, 301, 404, 429] {
        let mut call = sidecar.call("pricing", 900).send();
        call.respond(status, &[("x-own", "1")], b"body");
        let response = call.finish();
        assert_eq!((response.status(), response.text().as_str()), (status, "body"));
        assert_eq!(response.headers.get("x-own"), Some("1"));
    }
}

#[test]
fn the_alternate_answers_after_every_kind_of_failure() {
    let sidecar = paya_with(module_or_return!(), alternate());
    for fail in FAILURES {
        let mut call = sidecar.call("paya", 900).path("/pay?id=7").header("x-user", "u1").send();
        fail(&mut call);
        let asked = call.callout().expect("the alternate is asked");
        assert_eq!((asked.cluster.as_str(), asked.timeout_ms), ("payb", 300));
        assert_eq!(asked.headers.get(":path"), Some("/pay?id=7"));
        assert_eq!(asked.headers.get(":authority"), Some("paya"));
        assert_eq!(asked.headers.get("x-user"), Some("u1"));
        assert!(call.response().is_none(), "the failure is held back");
        call.answer_callout(201, &[("x-provider", "b")], b"paid");
        let response = call.finish();
        assert_eq!((response.status(), response.text().as_str()), (201, "paid"));
        assert_eq!(response.headers.get("x-provider"), Some("b"));
    }
    assert_eq!(sidecar.outcome("paya"), OutcomeCounts { alternate: 3, ..OutcomeCounts::default() });
}

#[test]
fn the_alternate_gets_no_more_time_than_the_journey_has() {
    let sidecar = paya_with(module_or_return!(), alternate());
    let mut call = sidecar.call("paya", 250).send();
    sidecar.host.advance(100);
    call.upstream_times_out();
    assert_eq!(call.callout().expect("asked").timeout_ms, 150);
}

#[test]
fn a_small_body_goes_to_the_alternate_and_a_long_one_keeps_the_failure() {
    let sidecar = paya_with(module_or_return!(), Alternate { allow_non_idempotent: true, ..alternate() });
    let mut small = sidecar.call("paya", 900).method("POST").chunk([b'a'; 32]).chunk([b'b'; 32]).send();
    assert_eq!(small.forwarded_body().len(), 64, "the body is copied, not held back");
    small.upstream_times_out();
    assert_eq!(small.callout().expect("asked").body, [[b'a'; 32], [b'b'; 32]].concat());
    small.answer_callout(200, &[], b"");
    small.finish();
    let mut long = sidecar.call("paya", 900).method("POST").chunk([b'a'; 33]).chunk([b'b'; 32]).send();
    long.upstream_times_out();
    assert!(long.callout().is_none());
    assert_eq!(long.finish().status(), 504);
    let counts = sidecar.outcome("paya");
    assert_eq!((counts.alternate, counts.timeout), (1, 1));
}

#[test]
fn only_methods_that_may_be_said_twice_are_unless_allowed() {
    let module = module_or_return!();
    for (allow, method, asked) in [
        (false, "GET", true),
        (false, "HEAD", true),
        (false, "PUT", true),
        (false, "DELETE", true),
        (false, "OPTIONS", true),
        (false, "POST", false),
        (false, "PATCH", false),
        (true, "POST", true),
        (true, "PATCH", true),
    ] {
        let sidecar = paya_with(module.clone(), Alternate { allow_non_idempotent: allow, ..alternate() });
        let mut call = sidecar.call("paya", 900).method(method).send();
        call.upstream_refuses();
        assert_eq!(call.callout().is_some(), asked, "{method}, allowed: {allow}");
    }
}

#[test]
fn when_the_alternate_fails_too_the_first_failure_is_the_answer() {
    let sidecar = paya_with(module_or_return!(), alternate());
    let mut broken = sidecar.call("paya", 900).send();
    broken.upstream_times_out();
    broken.break_callout();
    assert_eq!(broken.finish().status(), 504);
    let mut bad = sidecar.call("paya", 900).send();
    bad.respond(500, &[], b"oops");
    bad.answer_callout(503, &[], b"");
    let status = bad.finish().status();
    assert!(status == 500 || status == 503, "{status}");
    let counts = sidecar.outcome("paya");
    assert_eq!((counts.timeout, counts.error), (1, 1));
}

#[test]
fn a_missing_alternate_cluster_leaves_the_failure() {
    let sidecar = paya_with(module_or_return!(), alternate());
    sidecar.host.world().missing_clusters.insert("payb".to_string());
    let mut call = sidecar.call("paya", 900).send();
    call.upstream_refuses();
    assert_eq!(call.finish().status(), 503);
    assert_eq!(sidecar.outcome("paya").error, 1);
}

#[test]
fn a_caller_who_leaves_while_the_alternate_is_asked_is_cancelled() {
    let sidecar = paya_with(module_or_return!(), alternate());
    let mut call = sidecar.call("paya", 900).send();
    call.upstream_times_out();
    assert!(call.callout().is_some());
    call.cancel();
    assert_eq!(sidecar.outcome("paya"), OutcomeCounts { cancelled: 1, ..OutcomeCounts::default() });
}

fn by_route() -> Alternate {
    let header = Header { name: "x-emac-alternate".to_string(), value: "payb".to_string() };
    Alternate { cluster: String::new(), body_bytes_max: 0, route_header: Some(header), ..alternate() }
}

#[test]
fn a_call_not_worth_making_goes_to_the_alternates_route() {
    let hop = HopBudget { fallback: Some(equal(by_route())), useful_min_ms: 50, ..hop("paya", 100) };
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop]));
    let send = |left| sidecar.call("paya", left).route("x-emac-alternate", "payb", "payb").send();
    assert_eq!(send(60).cluster(), "paya");
    let mut late = send(40);
    assert_eq!((late.cluster(), late.rerouted()), ("payb", true));
    late.respond(200, &[], b"paid");
    assert_eq!(late.finish().status(), 200);
    assert_eq!(send(40).cut_after_ms(), Some(40));
    assert_eq!(sidecar.outcome("paya").alternate, 1);
}

#[test]
fn a_route_cache_that_cannot_be_cleared_does_not_lose_the_request() {
    let hop = HopBudget { fallback: Some(equal(by_route())), useful_min_ms: 50, ..hop("paya", 100) };
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop]));
    sidecar.host.world().missing_functions.insert("clear_route_cache".to_string());
    let mut call = sidecar.call("paya", 40).route("x-emac-alternate", "payb", "payb").send();
    if call.forwarded() {
        call.respond(200, &[], b"");
    }
    assert!(call.finish().status() != 0);
}

#[test]
fn a_grpc_call_that_is_cut_is_deadline_exceeded() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 100)]));
    let mut call = sidecar.call("cart", 900).grpc("shop.Cart/Add").body(b"\0\0\0\0\0").send();
    assert_eq!(call.cut_after_ms(), Some(100));
    let response = call.finish();
    assert_eq!((response.status(), response.grpc_status()), (200, Some(4)));
    let mut refused = sidecar.call("cart", 900).grpc("shop.Cart/Add").body(b"\0\0\0\0\0").send();
    refused.upstream_refuses();
    assert_eq!(refused.finish().grpc_status(), Some(14), "the answers of others stay");
    let counts = sidecar.outcome("cart");
    assert_eq!((counts.timeout, counts.error), (1, 1));
}

#[test]
fn grpc_status_decides_the_outcome_wherever_it_stands() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 100)]));
    for status in [0, 4, 5, 14] {
        let mut call = sidecar.call("cart", 900).grpc("shop.Cart/Add").body(b"\0\0\0\0\0").send();
        call.respond_grpc(status, b"\0\0\0\0\0");
        let response = call.finish();
        assert_eq!(
            response.grpc_status(),
            Some(status),
            "an answer of the service itself is never rewritten"
        );
    }
    let counts = sidecar.outcome("cart");
    assert_eq!((counts.success, counts.timeout + counts.error), (1, 3));
}
