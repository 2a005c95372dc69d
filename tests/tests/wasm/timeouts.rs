//! Timeout, deadline and retry decisions before a call, and how far each mode lets them go.

use emac_proto::v1::{DecisionCounts, HopBudget, Mode, ReportRequest, WorkloadBudgets};

use crate::support::{Sidecar, budgets, hop, module_or_return, scarce_retries, static_fallback, with_hops};

fn decisions(of: impl Fn(&DecisionCounts) -> u64) -> impl Fn(&ReportRequest) -> u64 {
    move |report| report.hops.iter().filter_map(|hop| hop.decisions.as_ref()).map(&of).sum()
}

#[test]
fn a_call_gets_the_smaller_of_its_own_timeout_and_what_the_journey_leaves() {
    let tight = HopBudget { reserve_ms: 40, ..hop("cart", 200) };
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([tight]));
    for (left, timeout) in [(1_000, 200), (240, 200), (239, 199), (100, 60), (41, 1)] {
        let mut call = sidecar.call("cart", left).send();
        assert_eq!(call.request_header("x-envoy-upstream-rq-timeout-ms"), None, "the route keeps its own");
        assert_eq!(call.cut_after_ms(), Some(timeout), "{left} ms left");
        assert_eq!(call.finish().status(), 504);
    }
    assert_eq!(sidecar.outcome("cart").timeout, 5);
}

/// A route's timeout of a try is never lengthened: it is read from what the router says, and left alone until it is known.
#[test]
fn the_time_of_a_try_is_only_ever_shortened() {
    let tries = HopBudget { per_try_timeout_ms: 90, ..hop("cart", 200) };
    for (expected, wanted) in
        [(Some("250"), Some("90")), (Some("90"), None), (Some("60"), None), (None, None)]
    {
        let sidecar = Sidecar::holding(module_or_return!(), &with_hops([tries.clone()]));
        let send = || {
            let mut call = sidecar.call("cart", 1_000).send();
            let per_try = call.request_header("x-envoy-upstream-rq-per-try-timeout-ms");
            if let Some(expected) = expected {
                call.router_adds("x-envoy-expected-rq-timeout-ms", expected);
            }
            call.respond(200, &[], b"");
            call.finish();
            per_try
        };
        assert_eq!(send(), None, "not known yet");
        assert_eq!(send().as_deref(), wanted, "route: {expected:?}");
    }
}

#[test]
fn an_answer_in_time_may_take_its_time_to_end() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 200)]));
    let mut call = sidecar.call("cart", 1_000).send();
    sidecar.host.run_for(199);
    call.respond(200, &[], b"the first bytes");
    assert_eq!(call.cut_after_ms(), None);
    assert_eq!(call.finish().status(), 200);
    assert_eq!(sidecar.outcome("cart").success, 1);
}

/// Whoever stops enforcement means the calls under way too.
#[test]
fn a_call_under_way_when_enforcement_is_stopped_waits_as_if_there_were_no_filter() {
    let stopped = |mode: Mode| {
        let mut budgets = with_hops([HopBudget {
            mode: mode.into(),
            fallback: Some(static_fallback()),
            ..hop("cart", 9_000)
        }]);
        budgets.journeys[0].deadline_ms = 60_000;
        budgets
    };
    for (after, cut) in [(stopped(Mode::Observe), false), (budgets(), false), (stopped(Mode::Enforce), true)]
    {
        let sidecar = Sidecar::holding(module_or_return!(), &stopped(Mode::Enforce));
        let mut call = sidecar.call("cart", 50_000).send();
        sidecar.push(&WorkloadBudgets { generation: 2, ..after });
        assert_eq!(call.cut_after_ms().is_some(), cut);
        if !cut {
            call.respond(200, &[], b"late");
        }
        assert_eq!((call.finish().status(), sidecar.outcome("cart").fallback), (200, u64::from(cut)));
    }
}

#[test]
fn a_call_that_would_come_too_late_is_refused_at_once() {
    let late = HopBudget { useful_min_ms: 30, reserve_ms: 20, ..hop("cart", 200) };
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([late]));
    assert!(sidecar.call("cart", 50).send().forwarded(), "30 ms are enough");
    let refused = sidecar.call("cart", 49).send();
    assert!(!refused.forwarded());
    assert_eq!(refused.local_reply().map(|reply| reply.status), Some(504));
    assert_eq!(refused.finish().status(), 504);
    assert_eq!(sidecar.outcome("cart").shed, 1);
    assert_eq!(sidecar.sum(decisions(|d| d.refuse)), 1);
}

#[test]
fn a_refused_grpc_call_ends_as_deadline_exceeded() {
    let late = HopBudget { useful_min_ms: 100, ..hop("cart", 200) };
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([late]));
    let refused = sidecar.call("cart", 50).grpc("shop.Cart/Add").body(b"\0\0\0\0\0").send();
    assert!(!refused.forwarded());
    assert_eq!(refused.finish().grpc_status(), Some(4));
}

#[test]
fn observing_touches_nothing_and_dry_run_counts_what_it_would_have_done() {
    let module = module_or_return!();
    for (journey, hop_mode, acts, counts) in [
        (Mode::Observe, Mode::Enforce, false, false),
        (Mode::Enforce, Mode::Observe, false, false),
        (Mode::DryRun, Mode::Enforce, false, true),
        (Mode::Enforce, Mode::DryRun, false, true),
        (Mode::Enforce, Mode::Enforce, true, true),
    ] {
        let mut budgets =
            with_hops([HopBudget { mode: hop_mode.into(), useful_min_ms: 100, ..hop("cart", 200) }]);
        budgets.journeys[0].mode = journey.into();
        let sidecar = Sidecar::holding(module.clone(), &budgets);
        let mut call = sidecar.call("cart", 500).send();
        assert_eq!(call.cut_after_ms(), acts.then_some(200), "{journey:?}/{hop_mode:?}");
        call.finish();
        let late = sidecar.call("cart", 50).send();
        assert_eq!(late.forwarded(), !acts, "{journey:?}/{hop_mode:?}");
        assert_eq!(sidecar.sum(decisions(|d| d.call)), u64::from(counts), "{journey:?}/{hop_mode:?}");
    }
}

#[test]
fn a_hop_without_a_budget_passes() {
    let sidecar = Sidecar::holding(module_or_return!(), &budgets());
    let mut call = sidecar.call("elsewhere", 500).send();
    assert!(call.forwarded());
    assert_eq!(call.cut_after_ms(), None);
    call.respond(200, &[], b"");
    call.finish();
    assert_eq!(sidecar.sum(decisions(|d| d.pass)), 1);
}

#[test]
fn an_operation_with_its_own_budget_goes_before_its_destinations() {
    let operation = HopBudget { operation: "GET /price/{id}".to_string(), ..hop("pricing", 80) };
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("pricing", 300), operation]));
    assert_eq!(sidecar.call("pricing", 900).path("/stock/7?x=1").send().cut_after_ms(), Some(300));
    assert_eq!(sidecar.call("pricing", 900).path("/price/7?x=1").send().cut_after_ms(), Some(80));
}

#[test]
fn retries_stop_when_their_budget_is_spent() {
    let hop = HopBudget { retry: Some(scarce_retries()), ..hop("cart", 200) };
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop]));
    let retries = |attempts: u64| {
        let mut call = sidecar.call("cart", 900).send();
        let allowed = call.request_header("x-envoy-max-retries");
        call.attempts(attempts);
        call.respond(200, &[], b"");
        call.finish();
        allowed
    };
    assert_eq!(retries(3).as_deref(), Some("2"), "the bucket starts with its burst");
    assert_eq!(retries(1).as_deref(), Some("0"), "two retries emptied it");
    for _ in 0..20 {
        retries(1);
    }
    assert_eq!(retries(1).as_deref(), Some("2"), "a tenth of a token a request fills it again");
    assert!(sidecar.sum(decisions(|d| d.retry_denied)) >= 1);
    assert_eq!(sidecar.sum(|report| report.hops.iter().map(|hop| hop.retries).sum()), 2);
}
