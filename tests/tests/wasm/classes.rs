//! Which bound is right for which call: those of no journey, those that stand alone, streams, and retries of a quiet hop.

use emac_proto::v1::{HopBudget, RetryBudget};
use emac_tests::wasm_host::Direction;
use serde_json::json;

use crate::support::{
    Sidecar, alternate, configuration, equal, hop, module_or_return, static_fallback, with_hops,
};

#[test]
fn a_call_without_context_is_nobodys_journey_unless_its_hop_says_so() {
    let taken = HopBudget { without_context: true, ..hop("cart", 200) };
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([taken, hop("paya", 100)]));
    assert_eq!(sidecar.plain_call("paya").send().cut_after_ms(), None);
    assert_eq!(sidecar.plain_call("cart").send().cut_after_ms(), Some(200));
    assert_eq!(sidecar.call("paya", 900).send().cut_after_ms(), Some(100));
}

#[test]
fn a_call_that_no_fallback_can_follow_has_its_own_bound() {
    let module = module_or_return!();
    let alone = |fallback| HopBudget {
        timeout_alone_ms: 700,
        reserve_ms: 500,
        reserve_alone_ms: 10,
        fallback: Some(fallback),
        ..hop("paya", 100)
    };
    let sidecar = Sidecar::holding(module.clone(), &with_hops([alone(equal(alternate()))]));
    let bound = |method: &str, length: &str| {
        let call = sidecar.call("paya", 900).method(method).header("content-length", length);
        call.body(b"x").send().cut_after_ms()
    };
    assert_eq!(bound("PUT", "64"), Some(100));
    assert_eq!(bound("PUT", "65"), Some(700), "too long to be said again");
    assert_eq!(bound("POST", "1"), Some(700), "may not be said again");
    assert_eq!(sidecar.call("paya", 900).grpc("shop.Pay/Now").send().cut_after_ms(), Some(700));
    assert_eq!(sidecar.call("paya", 300).method("POST").send().cut_after_ms(), Some(290));

    // A burst of three degraded answers, then the call has all the time there is.
    let sidecar = Sidecar::holding(module, &with_hops([alone(static_fallback())]));
    let bounds: Vec<_> = (0..5)
        .map(|_| {
            let mut call = sidecar.call("paya", 900).send();
            let bound = call.cut_after_ms();
            call.finish();
            bound
        })
        .collect();
    assert_eq!(bounds, [Some(100), Some(100), Some(100), Some(700), Some(700)]);
}

#[test]
fn a_declared_stream_is_not_bounded() {
    let watch = HopBudget {
        operation: "GET /watch".to_string(),
        stream: true,
        useful_min_ms: 400,
        ..hop("cart", 200)
    };
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([watch, hop("cart", 200)]));
    let mut stream = sidecar.call("cart", 5).path("/watch/").send();
    assert!(stream.forwarded());
    assert_eq!(stream.cut_after_ms(), None);
    assert_eq!(sidecar.call("cart", 900).path("/add").send().cut_after_ms(), Some(200));
}

/// The default of an intent: `RetryBudget::DEFAULT` of the core.
fn default_retries() -> RetryBudget {
    RetryBudget { ratio_ppm: 200_000, floor_milli_per_s: 10_000, burst: 100, max_retries: 0 }
}

/// Whether the call's retries were left to the route. Its first try fails, its second is good.
fn may_retry(sidecar: &Sidecar, worker: usize) -> bool {
    let mut call = sidecar.call("cart", 900).worker(worker).send();
    let left = call.request_header("x-envoy-max-retries").is_none();
    call.attempts(if left { 2 } else { 1 });
    call.respond(200, &[], b"");
    call.finish();
    left
}

#[test]
fn a_quiet_hop_retries_as_without_the_filter() {
    let module = module_or_return!();
    let budgets = with_hops([HopBudget { retry: Some(default_retries()), ..hop("cart", 200) }]);
    for spread in [1, 4] {
        let sidecar = Sidecar::with(module.clone(), 4, json!({}));
        sidecar.push(&budgets);
        // All workers are busy and known to be.
        assert!((0..4).all(|worker| may_retry(&sidecar, worker)));
        sidecar.settle();
        let denied = (0..20).filter(|call| !may_retry(&sidecar, call % spread)).count();
        assert_eq!(denied, 0, "over {spread} workers");
    }
}

/// Reloads of every VM, as by five upgrades of the module, and fifty pushes of the configuration.
#[test]
fn neither_reloads_nor_pushes_shrink_a_budget() {
    let sidecar = Sidecar::with(module_or_return!(), 4, json!({}));
    let budgets = with_hops([HopBudget { retry: Some(default_retries()), ..hop("cart", 200) }]);
    sidecar.push(&budgets);
    let busy = || {
        for worker in 0..4 {
            let mut call = sidecar.plain_call("other").worker(worker).send();
            call.respond(200, &[], b"");
            call.finish();
        }
        sidecar.host.run_for(2_000);
    };
    for _ in 0..5 {
        busy();
        (1..=4).for_each(|vm| sidecar.host.reload(vm));
    }
    for push in 0..50 {
        sidecar.host.reconfigure(Direction::Outbound, &configuration(json!({"max_hops": 100 + push})));
    }
    // Who has gone is forgotten within a lease, and what was spent or cut meanwhile is saved up again.
    (0..12).for_each(|_| busy());
    may_retry(&sidecar, 0);
    let allowed = (0..100).take_while(|_| may_retry(&sidecar, 0)).count();
    // A quarter of a hundred, and a fifth of each call beside.
    assert!((24..=36).contains(&allowed), "{allowed}");
}
