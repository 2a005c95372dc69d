use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::budget::{
    Alternate, EntryRule, FallbackBudget, HopBudget, JourneyBudget, OnExpiry, RetryBudget, StaticResponse,
};
use crate::id::{JourneyName, WorkloadName};
use crate::units::{Millis, Ppm};

const GET: Failure = Failure { grpc: false, idempotent: true, body: Body::Whole };

fn ppm(parts: u32) -> Ppm {
    Ppm::new(parts).unwrap()
}

fn journey() -> JourneyBudget {
    JourneyBudget {
        journey: JourneyName::new("checkout").unwrap(),
        deadline: Millis(400),
        mode: Mode::Enforce,
        priority: 7,
        record: ppm(10_000),
        entry: vec![EntryRule { path_template: "/checkout".into(), ..EntryRule::default() }],
    }
}

fn hop() -> HopBudget {
    HopBudget {
        journey: JourneyName::new("checkout").unwrap(),
        destination: "pricing".into(),
        operation: String::new(),
        mode: Mode::Enforce,
        timeout: Some(Millis(100)),
        per_try_timeout: None,
        reserve: Millis(20),
        useful_min: Millis(5),
        retry: None,
        fallback: None,
        success: SuccessPredicate::default(),
    }
}

fn cached(share: u32, burst: u32) -> Fallback {
    Fallback {
        kind: FallbackKind::Static(StaticResponse { status: 200, headers: vec![], body: b"{}".to_vec() }),
        weight: ppm(500_000),
        budget: Some(FallbackBudget { share: ppm(share), burst }),
    }
}

fn other_provider() -> Fallback {
    Fallback {
        kind: FallbackKind::Alternate(Alternate {
            cluster: "payb".into(),
            authority: String::new(),
            path: String::new(),
            route_header: Some(("x-provider".into(), "b".into())),
            allow_non_idempotent: false,
            body_bytes_max: 1_024,
            timeout: Millis(150),
        }),
        weight: Ppm::ONE,
        budget: None,
    }
}

fn plan(generation: u64, hops: Vec<HopBudget>) -> WorkloadBudgets {
    WorkloadBudgets {
        workload: WorkloadName::new("shop/front").unwrap(),
        generation: Generation(generation),
        model_digest: String::new(),
        issued_at_unix_ms: 0,
        valid_for: Millis(10_000),
        on_expiry: OnExpiry::Release,
        journeys: vec![journey()],
        hops,
    }
}

fn enforcer(hop: HopBudget) -> (Enforcer, HopRef) {
    let mut enforcer = Enforcer::new(Mode::Enforce);
    enforcer.apply(Micros(0), Micros(0), &plan(1, vec![hop])).unwrap();
    let hop = enforcer.resolve("checkout", "pricing", "GET /price");
    (enforcer, hop)
}

fn at(ms: u64) -> Option<Absolute> {
    Some(Absolute(Millis(ms)))
}

fn timeout(decision: Decision) -> Option<u64> {
    match decision.verdict {
        Verdict::Call(call) => call.timeout.map(|timeout| timeout.0),
        _ => None,
    }
}

#[test]
fn a_hop_without_budget_passes() {
    let mut enforcer = Enforcer::new(Mode::Enforce);
    let hop = enforcer.resolve("checkout", "pricing", "");
    let decision = enforcer.on_request(Micros(0), hop, at(5), false);
    assert_eq!((decision.verdict, decision.state, decision.acts()), (Verdict::Pass, HopState::Cold, false));
    assert!(!enforcer.on_failure(Micros(0), hop, None, GET).acts());
}

#[test]
fn the_lower_of_hop_timeout_and_remaining_time_rules() {
    let (mut enforcer, hop) = enforcer(hop());
    assert_eq!(timeout(enforcer.on_request(Micros(0), hop, None, false)), Some(100));
    assert_eq!(timeout(enforcer.on_request(Micros(0), hop, at(300), false)), Some(100));
    assert_eq!(timeout(enforcer.on_request(Micros(0), hop, at(80), false)), Some(60));
    assert_eq!(timeout(enforcer.on_request(Micros(0), hop, at(25), false)), Some(5));
    assert_eq!(enforcer.on_request(Micros(0), hop, at(24), false).verdict, Verdict::Refuse);
    assert_eq!(enforcer.on_request(Micros(500_000), hop, at(300), false).verdict, Verdict::Refuse);
}

#[test]
fn an_operation_has_its_own_budget_before_its_destination() {
    let mut enforcer = Enforcer::new(Mode::Enforce);
    let own = HopBudget { operation: "GET /price".into(), timeout: Some(Millis(9)), ..hop() };
    enforcer.apply(Micros(0), Micros(0), &plan(1, vec![hop(), own])).unwrap();
    for (operation, expected) in [("GET /price", 9), ("GET /other", 100), ("", 100)] {
        let hop = enforcer.resolve("checkout", "pricing", operation);
        assert_eq!(timeout(enforcer.on_request(Micros(0), hop, None, false)), Some(expected));
    }
    assert!(!enforcer.resolve("checkout", "cart", "").has_budget());
    assert!(!enforcer.resolve("other", "pricing", "").has_budget());
}

#[test]
fn a_call_without_context_has_the_budget_of_the_only_journey_that_makes_it() {
    let mut enforcer = Enforcer::new(Mode::Enforce);
    let search = JourneyName::new("search").unwrap();
    let mut budgets = plan(1, vec![hop(), HopBudget { destination: "cart".into(), ..hop() }]);
    budgets.journeys.push(JourneyBudget { journey: search.clone(), ..journey() });
    budgets.hops.push(HopBudget { journey: search, destination: "cart".into(), ..hop() });
    enforcer.apply(Micros(0), Micros(0), &budgets).unwrap();
    let has_budget = |destination| enforcer.resolve("", destination, "GET /").has_budget();
    assert_eq!(["pricing", "cart", "other"].map(has_budget), [true, false, false]);
    assert_eq!(enforcer.resolve("", "pricing", ""), enforcer.resolve("checkout", "pricing", ""));
    assert!(!enforcer.tells_operations_apart());
}

#[test]
fn too_late_for_a_call_is_early_enough_for_a_fallback() {
    let (mut with_static, hop_ref) = enforcer(HopBudget { fallback: Some(cached(0, 1)), ..hop() });
    let first = with_static.on_request(Micros(0), hop_ref, at(10), false);
    assert_eq!(first.verdict, Verdict::FallbackBefore(Before::Static));
    let second = with_static.on_request(Micros(0), hop_ref, at(10), false);
    assert_eq!(
        (second.verdict, second.budget_spent, second.state),
        (Verdict::Refuse, true, HopState::Exhausted)
    );
    let (mut with_static, hop_ref) = enforcer(HopBudget { fallback: Some(cached(0, 1)), ..hop() });
    assert_eq!(with_static.on_request(Micros(0), hop_ref, at(10), true).verdict, Verdict::Refuse);

    let (mut with_alternate, hop_ref) = enforcer(HopBudget { fallback: Some(other_provider()), ..hop() });
    let decision = with_alternate.on_request(Micros(0), hop_ref, at(10), true);
    assert_eq!(decision.verdict, Verdict::FallbackBefore(Before::Route { timeout: Millis(10) }));
    assert_eq!(with_alternate.on_request(Micros(0), hop_ref, at(0), true).verdict, Verdict::Refuse);
}

#[test]
fn a_callout_repeats_only_what_may_be_repeated() {
    let may = |fallback: Fallback, failure: Failure| {
        let (mut enforcer, hop) = enforcer(HopBudget { fallback: Some(fallback), ..hop() });
        enforcer.on_request(Micros(0), hop, at(300), failure.grpc);
        enforcer.on_failure(Micros(100_000), hop, at(300), failure).what
    };
    let callout = AfterFailure::Callout { timeout: Millis(150) };
    let no = AfterFailure::Pass(NoFallback::NotRepeatable);
    let post = Failure { idempotent: false, ..GET };
    assert_eq!(may(other_provider(), GET), callout);
    assert_eq!(may(other_provider(), post), no);
    assert_eq!(may(other_provider(), Failure { body: Body::TooLong, ..GET }), no);
    assert_eq!(may(other_provider(), Failure { grpc: true, ..GET }), no);
    let mut allowed = other_provider();
    if let FallbackKind::Alternate(alternate) = &mut allowed.kind {
        alternate.allow_non_idempotent = true;
    }
    assert_eq!(may(allowed.clone(), post), callout);
    if let FallbackKind::Alternate(alternate) = &mut allowed.kind {
        alternate.cluster.clear();
    }
    assert_eq!(may(allowed, GET), AfterFailure::Pass(NoFallback::NoneDeclared));
    assert_eq!(may(cached(0, 1), post), AfterFailure::Static);
}

#[test]
fn a_callout_is_bounded_by_the_deadline() {
    let (mut enforcer, hop) = enforcer(HopBudget { fallback: Some(other_provider()), ..hop() });
    let after =
        |enforcer: &mut Enforcer, ms: u64| enforcer.on_failure(Micros(ms * 1_000), hop, at(300), GET).what;
    assert_eq!(after(&mut enforcer, 250), AfterFailure::Callout { timeout: Millis(50) });
    assert_eq!(after(&mut enforcer, 300), AfterFailure::Pass(NoFallback::NoTime));
}

#[test]
fn what_could_not_answer_is_not_paid_for() {
    let (mut enforcer, hop) = enforcer(HopBudget { fallback: Some(cached(0, 1)), ..hop() });
    assert_eq!(enforcer.on_failure(Micros(0), hop, None, GET).what, AfterFailure::Static);
    enforcer.on_fallback_failed(hop);
    assert_eq!(enforcer.on_failure(Micros(0), hop, None, GET).what, AfterFailure::Static);
    let spent = enforcer.on_failure(Micros(0), hop, None, GET);
    assert_eq!((spent.what, spent.acts()), (AfterFailure::Pass(NoFallback::BudgetSpent), false));
}

#[test]
fn workers_divide_the_burst_among_them() {
    let spend = |workers: u32| {
        let machines = (0..workers).map(|_| enforcer(HopBudget { fallback: Some(cached(1, 10)), ..hop() }));
        machines
            .map(|(mut enforcer, _)| {
                enforcer.share_among(workers);
                enforcer
                    .apply(
                        Micros(0),
                        Micros(0),
                        &plan(2, vec![HopBudget { fallback: Some(cached(1, 10)), ..hop() }]),
                    )
                    .unwrap();
                let hop = enforcer.resolve("checkout", "pricing", "");
                (0..20).filter(|_| enforcer.on_failure(Micros(0), hop, None, GET).acts()).count()
            })
            .sum::<usize>()
    };
    assert_eq!([1, 2, 4, 16].map(spend), [10, 10, 8, 16]);
}

#[test]
fn retries_stop_when_their_budget_is_spent_and_debts_come_first() {
    let retry = RetryBudget { ratio: ppm(500_000), floor_milli_per_s: 0, burst: 2, max_retries: 3 };
    let (mut enforcer, hop) = enforcer(HopBudget { retry: Some(retry), ..hop() });
    let mut ask = |retries| {
        let decision = enforcer.on_request(Micros(0), hop, None, false);
        enforcer.on_end(hop, retries);
        match decision.verdict {
            Verdict::Call(call) => (call.max_retries, decision.retry_denied),
            _ => (None, false),
        }
    };
    assert_eq!(ask(3), (Some(3), false)); // two tokens spent, one owed
    assert_eq!(ask(0), (Some(0), true)); // half a token
    assert_eq!(ask(0), (Some(0), true)); // pays the debt
    assert_eq!(ask(0), (Some(0), true)); // half a token
    assert_eq!(ask(0), (Some(3), false));
}

#[test]
fn an_expired_lease_holds_or_releases() {
    let mut enforcer = Enforcer::new(Mode::Enforce);
    let mut budgets = plan(1, vec![hop()]);
    for (generation, on_expiry, acts) in [(1, OnExpiry::Release, false), (2, OnExpiry::Hold, true)] {
        budgets.generation = Generation(generation);
        budgets.on_expiry = on_expiry;
        let now = Micros(generation * 100_000_000);
        enforcer.apply(now, now, &budgets).unwrap();
        let hop = enforcer.resolve("checkout", "pricing", "");
        assert!(enforcer.on_request(now, hop, None, false).acts());
        let later = now.after(Micros(10_000_000));
        let decision = enforcer.on_request(later, hop, None, false);
        assert_eq!((decision.state, decision.acts()), (HopState::Stale, acts));
        assert!(enforcer.is_stale());
    }
}

#[test]
fn older_budgets_are_refused_and_the_same_renew() {
    let (mut enforcer, hop) = enforcer(hop());
    let later = Micros(9_000_000);
    assert_eq!(enforcer.apply(later, later, &plan(1, vec![])), Ok(Applied::Renewed));
    assert!(enforcer.is_current(hop) && hop.has_budget());
    assert!(enforcer.on_request(Micros(18_000_000), hop, None, false).acts());
    assert_eq!(enforcer.apply(later, later, &plan(2, vec![])), Ok(Applied::Replaced));
    assert!(!enforcer.is_current(hop));
    assert_eq!(enforcer.on_request(later, hop, None, false).state, HopState::Cold);
    assert!(matches!(enforcer.apply(later, later, &plan(1, vec![])), Err(RefusedBudgets::Older(_))));
    assert_eq!(enforcer.generation(), Generation(2));
}

#[test]
fn broken_budgets_leave_the_good_ones() {
    let (mut enforcer, hop_ref) = enforcer(hop());
    let mut stray = hop();
    stray.journey = JourneyName::new("other").unwrap();
    let refused = enforcer.apply(Micros(0), Micros(0), &plan(2, vec![hop(), stray])).unwrap_err();
    assert_eq!(alloc::format!("{refused}"), "hops[1].journey: not listed under journeys");
    let mut empty_rule = plan(2, vec![]);
    empty_rule.journeys[0].entry.push(EntryRule::default());
    let refused = enforcer.apply(Micros(0), Micros(0), &empty_rule).unwrap_err();
    assert_eq!(alloc::format!("{refused}"), "journeys[0].entry[1]: an entry rule must state something");
    assert_eq!(enforcer.generation(), Generation(1));
    assert!(enforcer.on_request(Micros(0), hop_ref, None, false).acts());
}

#[test]
fn budgets_of_the_configuration_rule_until_a_plan_comes() {
    let mut enforcer = Enforcer::with_static(Mode::Enforce, &plan(0, vec![hop()]), Micros(0)).unwrap();
    let hop = enforcer.resolve("checkout", "pricing", "");
    assert!(enforcer.on_request(Micros(u64::MAX), hop, None, false).acts());
    assert_eq!(enforcer.apply(Micros(0), Micros(0), &plan(1, vec![])), Ok(Applied::Replaced));
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Observe), Just(Mode::DryRun), Just(Mode::Enforce)]
}

fn any_hop() -> impl Strategy<Value = HopBudget> {
    let fallback = prop_oneof![
        Just(None),
        Just(Some(other_provider())),
        (1..500_000_u32, 1..5_u32).prop_map(|(share, burst)| Some(cached(share, burst))),
    ];
    let retry = prop::option::of((0..1_000_000_u32, 1..5_u32, 0..4_u32));
    let times = (prop::option::of(1..500_u64), prop::option::of(1..500_u64), 0..300_u64, 0..100_u64);
    (times, mode(), fallback, retry).prop_map(
        |((timeout, per_try, reserve, useful), mode, fallback, retry)| HopBudget {
            mode,
            timeout: timeout.map(Millis),
            per_try_timeout: per_try.map(Millis),
            reserve: Millis(reserve),
            useful_min: Millis(useful),
            fallback,
            retry: retry.map(|(ratio, burst, max_retries)| RetryBudget {
                ratio: ppm(ratio),
                floor_milli_per_s: 0,
                burst,
                max_retries,
            }),
            ..hop()
        },
    )
}

/// (clock, deadline, fails, retries)
type Step = (u64, Option<u64>, bool, u32);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..3_000_000_u64, prop::option::of(0..3_500_u64), any::<bool>(), 0..4_u32);
    prop::collection::vec(step, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(0xE4F0),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_call_outlives_its_deadline(budget in any_hop(), steps in steps()) {
        let (reserve, useful) = (budget.reserve.0, budget.useful_min.0);
        let longest = budget.timeout.map_or(u64::MAX, |timeout| timeout.0);
        let (mut enforcer, hop) = enforcer(budget);
        for (now, deadline, fails, _) in steps {
            let now = Micros(now);
            let left = deadline.map_or(u64::MAX, |ms| (ms * 1_000).saturating_sub(now.0) / 1_000);
            match enforcer.on_request(now, hop, deadline.map(|ms| Absolute(Millis(ms))), false).verdict {
                Verdict::Call(call) => {
                    let timeout = call.timeout.map_or(u64::MAX, |timeout| timeout.0);
                    prop_assert!(timeout >= 1 && timeout <= longest);
                    prop_assert!(deadline.is_none() || (timeout <= left - reserve && left - reserve >= useful));
                    prop_assert!(call.per_try.is_none_or(|per_try| per_try.0 <= timeout));
                }
                Verdict::FallbackBefore(Before::Route { timeout }) => prop_assert!(timeout.0 >= 1 && timeout.0 <= left),
                Verdict::Refuse | Verdict::FallbackBefore(Before::Static) => {
                    prop_assert!(left.saturating_sub(reserve) < useful.max(1));
                }
                Verdict::Pass => {}
            }
            if fails
                && let AfterFailure::Callout { timeout } =
                    enforcer.on_failure(now, hop, deadline.map(|ms| Absolute(Millis(ms))), GET).what
            {
                prop_assert!(timeout.0 >= 1 && timeout.0 <= left);
            }
        }
    }

    #[test]
    fn a_degraded_fallback_stays_within_its_share(budget in any_hop(), steps in steps(), again in prop::option::of(0..150_usize)) {
        let limits = budget.fallback.as_ref().and_then(|fallback| fallback.budget);
        let (mut enforcer, mut hop) = enforcer(budget.clone());
        let (mut requests, mut degraded) = (0_u64, 0_u64);
        for (at, (now, deadline, fails, retries)) in steps.into_iter().enumerate() {
            let deadline = deadline.map(|ms| Absolute(Millis(ms)));
            // A new plan in the middle must not refill anything.
            if again == Some(at) {
                enforcer.apply(Micros(0), Micros(0), &plan(2, vec![budget.clone()])).unwrap();
                hop = enforcer.resolve("checkout", "pricing", "");
            }
            requests += 1;
            let decision = enforcer.on_request(Micros(now), hop, deadline, false);
            degraded += u64::from(decision.verdict == Verdict::FallbackBefore(Before::Static));
            if fails && matches!(decision.verdict, Verdict::Call(_)) {
                let followup = enforcer.on_failure(Micros(now), hop, deadline, GET);
                degraded += u64::from(followup.what == AfterFailure::Static);
            }
            enforcer.on_end(hop, retries);
            if let Some(limits) = limits {
                let allowed = requests * u64::from(limits.share.get()) / 1_000_000 + u64::from(limits.burst);
                prop_assert!(degraded <= allowed, "{degraded} > {allowed}");
            }
        }
    }

    #[test]
    fn only_enforcing_acts(budget in any_hop(), cap in mode(), steps in steps()) {
        let effective = budget.mode.min(cap);
        let mut enforcer = Enforcer::new(cap);
        enforcer.apply(Micros(0), Micros(0), &plan(1, vec![budget])).unwrap();
        let hop = enforcer.resolve("checkout", "pricing", "");
        for (now, deadline, _, _) in steps {
            let deadline = deadline.map(|ms| Absolute(Millis(ms)));
            let decision = enforcer.on_request(Micros(now), hop, deadline, false);
            let followup = enforcer.on_failure(Micros(now), hop, deadline, GET);
            prop_assert!(effective == Mode::Enforce || !(decision.acts() || followup.acts()));
            prop_assert!(effective != Mode::Observe || decision.verdict == Verdict::Pass);
        }
    }

    /// The same requests get the same verdicts, whether or not they are acted upon.
    #[test]
    fn dry_run_decides_as_enforcing_does(budget in any_hop(), steps in steps()) {
        let (mut enforcing, hop) = enforcer(HopBudget { mode: Mode::Enforce, ..budget.clone() });
        let (mut dry, _) = enforcer(HopBudget { mode: Mode::DryRun, ..budget });
        for (now, deadline, _, retries) in steps {
            let deadline = deadline.map(|ms| Absolute(Millis(ms)));
            let [a, b] = [&mut enforcing, &mut dry].map(|machine| {
                let decision = machine.on_request(Micros(now), hop, deadline, false);
                let followup = machine.on_failure(Micros(now), hop, deadline, GET);
                machine.on_end(hop, retries);
                (decision.verdict, decision.retry_denied, followup.what)
            });
            prop_assert_eq!(a, b);
        }
    }
}
