use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::budget::{
    Alone, Alternate, EntryRule, FallbackBudget, HopBudget, JourneyBudget, OnExpiry, RetryBudget,
    StaticResponse,
};
use crate::id::{JourneyName, WorkloadName};
use crate::units::{Millis, Ppm};

const GET: Asks = Asks { grpc: false, idempotent: true, body: Body::Whole };
const GRPC: Asks = Asks { grpc: true, ..GET };

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
        alone: None,
        retry: None,
        fallback: None,
        success: SuccessPredicate::default(),
        without_context: false,
        stream: false,
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

fn timeout(decision: CallDecision) -> Option<u64> {
    match decision.action {
        CallAction::Call(call) => call.timeout.map(|timeout| timeout.0),
        _ => None,
    }
}

#[test]
fn a_hop_without_budget_passes() {
    let mut enforcer = Enforcer::new(Mode::Enforce);
    let hop = enforcer.resolve("checkout", "pricing", "");
    let decision = enforcer.on_request(Micros(0), hop, at(5), GET);
    assert_eq!((decision.action, decision.state, decision.acts()), (CallAction::Pass, HopState::Cold, false));
    assert!(!enforcer.on_failure(Micros(0), hop, None, GET).acts());
}

#[test]
fn the_lower_of_hop_timeout_and_remaining_time_rules() {
    let (mut enforcer, hop) = enforcer(hop());
    assert_eq!(timeout(enforcer.on_request(Micros(0), hop, None, GET)), Some(100));
    assert_eq!(timeout(enforcer.on_request(Micros(0), hop, at(300), GET)), Some(100));
    assert_eq!(timeout(enforcer.on_request(Micros(0), hop, at(80), GET)), Some(60));
    assert_eq!(timeout(enforcer.on_request(Micros(0), hop, at(25), GET)), Some(5));
    assert_eq!(enforcer.on_request(Micros(0), hop, at(24), GET).action, CallAction::Refuse);
    assert_eq!(enforcer.on_request(Micros(500_000), hop, at(300), GET).action, CallAction::Refuse);
}

#[test]
fn an_operation_has_its_own_budget_before_its_destination() {
    let mut enforcer = Enforcer::new(Mode::Enforce);
    let own = HopBudget { operation: "GET /price".into(), timeout: Some(Millis(9)), ..hop() };
    enforcer.apply(Micros(0), Micros(0), &plan(1, vec![hop(), own])).unwrap();
    for (operation, expected) in [("GET /price", 9), ("GET /other", 100), ("", 100)] {
        let hop = enforcer.resolve("checkout", "pricing", operation);
        assert_eq!(timeout(enforcer.on_request(Micros(0), hop, None, GET)), Some(expected));
    }
    assert!(!enforcer.resolve("checkout", "cart", "").has_budget());
    assert!(!enforcer.resolve("other", "pricing", "").has_budget());
}

#[test]
fn a_call_without_context_is_nobodys_journey_unless_one_hop_takes_it() {
    let mut enforcer = Enforcer::new(Mode::Enforce);
    let search = JourneyName::new("search").unwrap();
    let to = |destination: &str, takes| HopBudget {
        destination: destination.into(),
        without_context: takes,
        ..hop()
    };
    let mut budgets =
        plan(1, vec![to("pricing", true), to("stock", false), to("cart", true), to("paya", true)]);
    budgets.journeys.push(JourneyBudget { journey: search.clone(), ..journey() });
    let searched = |destination, takes| HopBudget { journey: search.clone(), ..to(destination, takes) };
    budgets.hops.extend([searched("cart", true), searched("paya", false), searched("ads", false)]);
    enforcer.apply(Micros(0), Micros(0), &budgets).unwrap();
    let has_budget = |destination| enforcer.resolve("", destination, "GET /").has_budget();
    let expected = [
        ("pricing", true),
        ("stock", false),
        ("cart", false),
        ("paya", true),
        ("ads", false),
        ("other", false),
    ];
    for (destination, taken) in expected {
        assert_eq!(has_budget(destination), taken, "{destination}");
    }
    assert_eq!(enforcer.resolve("", "pricing", ""), enforcer.resolve("checkout", "pricing", ""));
    assert_eq!(enforcer.resolve("", "paya", ""), enforcer.resolve("checkout", "paya", ""));
    assert!(!enforcer.tells_operations_apart());
}

#[test]
fn nothing_bounds_a_stream() {
    let budget = HopBudget { stream: true, fallback: Some(cached(0, 5)), retry: Some(scarce()), ..hop() };
    let (mut enforcer, hop) = enforcer(budget);
    assert!(enforcer.is_stream(hop));
    let decision = enforcer.on_request(Micros(0), hop, at(0), GET);
    assert_eq!((decision.action, decision.acts()), (CallAction::Pass, false));
    assert!(!enforcer.on_failure(Micros(0), hop, at(0), GET).acts());
}

fn scarce() -> RetryBudget {
    RetryBudget { ratio: ppm(1), floor_milli_per_s: 0, burst: 1, max_retries: 1 }
}

#[test]
fn a_call_that_stands_alone_leaves_no_time_to_an_alternate() {
    let alone = Some(Alone { timeout: Millis(350), reserve: Millis(10) });
    let reserve = Millis(150);
    let post = Asks { idempotent: false, ..GET };
    let announced = |bytes| Asks { body: Body::Announced(bytes), ..GET };
    let hop = |fallback| HopBudget { alone, reserve, fallback: Some(fallback), ..hop() };
    let (mut with_alternate, hop_ref) = enforcer(hop(other_provider()));
    for (asks, deadline, expected) in [
        (GET, None, 100),
        (GET, at(400), 100),
        (announced(1_024), at(400), 100),
        (Asks { body: Body::Coming, ..GET }, at(400), 100),
        (announced(1_025), None, 350),
        (announced(1_025), at(400), 350),
        (Asks { body: Body::TooLong, ..GET }, at(400), 350),
        (post, at(200), 190),
    ] {
        let decision = with_alternate.on_request(Micros(0), hop_ref, deadline, asks);
        assert_eq!(timeout(decision), Some(expected), "{asks:?} {deadline:?}");
    }
    // Too late for both of them: who can be reached without the call is asked, else there is still time for the call alone.
    let late = with_alternate.on_request(Micros(0), hop_ref, at(100), post);
    assert_eq!(late.action, CallAction::FallbackBefore(Before::Route { timeout: Millis(100) }));
    let (mut with_static, hop_ref) = enforcer(hop(cached(0, 1)));
    assert_eq!(timeout(with_static.on_request(Micros(0), hop_ref, at(100), GRPC)), Some(90));
    // A degraded answer is possible while its budget lasts.
    assert_eq!(timeout(with_static.on_request(Micros(0), hop_ref, at(400), post)), Some(100));
    assert!(with_static.on_failure(Micros(0), hop_ref, at(400), post).acts());
    assert_eq!(timeout(with_static.on_request(Micros(0), hop_ref, at(400), post)), Some(350));
    let late = with_static.on_request(Micros(0), hop_ref, at(100), post);
    assert_eq!((timeout(late), late.budget_spent), (Some(90), true));
    assert_eq!(with_static.on_request(Micros(0), hop_ref, at(14), post).action, CallAction::Refuse);
}

#[test]
fn a_try_keeps_its_share_of_a_call_that_stands_alone() {
    let alone = Some(Alone { timeout: Millis(300), reserve: Millis(0) });
    let (mut enforcer, hop) = enforcer(HopBudget {
        alone,
        per_try_timeout: Some(Millis(50)),
        fallback: Some(other_provider()),
        ..hop()
    });
    let mut per_try = |asks| match enforcer.on_request(Micros(0), hop, None, asks).action {
        CallAction::Call(call) => call.per_try,
        _ => None,
    };
    assert_eq!([GET, GRPC].map(&mut per_try), [Some(Millis(50)), Some(Millis(150))]);
}

#[test]
fn too_late_for_a_call_is_early_enough_for_a_fallback() {
    let (mut with_static, hop_ref) = enforcer(HopBudget { fallback: Some(cached(0, 1)), ..hop() });
    let first = with_static.on_request(Micros(0), hop_ref, at(10), GET);
    assert_eq!(first.action, CallAction::FallbackBefore(Before::Static));
    let second = with_static.on_request(Micros(0), hop_ref, at(10), GET);
    assert_eq!(
        (second.action, second.budget_spent, second.state),
        (CallAction::Refuse, true, HopState::Exhausted)
    );
    let (mut with_static, hop_ref) = enforcer(HopBudget { fallback: Some(cached(0, 1)), ..hop() });
    assert_eq!(with_static.on_request(Micros(0), hop_ref, at(10), GRPC).action, CallAction::Refuse);

    let (mut with_alternate, hop_ref) = enforcer(HopBudget { fallback: Some(other_provider()), ..hop() });
    let decision = with_alternate.on_request(Micros(0), hop_ref, at(10), GRPC);
    assert_eq!(decision.action, CallAction::FallbackBefore(Before::Route { timeout: Millis(10) }));
    assert_eq!(with_alternate.on_request(Micros(0), hop_ref, at(0), GRPC).action, CallAction::Refuse);

    let (mut without_any, hop_ref) = enforcer(hop());
    let refused = without_any.on_request(Micros(0), hop_ref, at(10), GET);
    assert_eq!(
        (refused.action, refused.state, refused.budget_spent),
        (CallAction::Refuse, HopState::Fresh, false)
    );
}

#[test]
fn who_only_observes_pays_for_no_answer() {
    let budget = HopBudget { mode: Mode::Observe, fallback: Some(cached(0, 1)), ..hop() };
    let (mut enforcer, hop) = enforcer(budget);
    for _ in 0..2 {
        let followup = enforcer.on_failure(Micros(0), hop, None, GET);
        assert_eq!(followup.what, AfterFailure::Pass(NoFallback::NoneDeclared));
    }
    assert_eq!(
        enforcer.on_request(Micros(0), hop, None, GET).state,
        HopState::Fresh,
        "its one answer is left"
    );
}

#[test]
fn without_a_number_of_its_own_a_hop_leaves_the_routes_retries() {
    let retry = RetryBudget { max_retries: 0, ..scarce() };
    let (mut enforcer, hop) = enforcer(HopBudget { retry: Some(retry), ..hop() });
    let decision = enforcer.on_request(Micros(0), hop, None, GET);
    let call = CallBounds { timeout: Some(Millis(100)), per_try: None, max_retries: None };
    assert_eq!((decision.action, decision.retry_denied), (CallAction::Call(call), false));
}

#[test]
fn a_callout_repeats_only_what_may_be_repeated() {
    let may = |fallback: Fallback, asks: Asks| {
        let (mut enforcer, hop) = enforcer(HopBudget { fallback: Some(fallback), ..hop() });
        enforcer.on_request(Micros(0), hop, at(300), asks);
        enforcer.on_failure(Micros(100_000), hop, at(300), asks).what
    };
    let callout = AfterFailure::Callout { timeout: Millis(150) };
    let no = AfterFailure::Pass(NoFallback::NotRepeatable);
    let post = Asks { idempotent: false, ..GET };
    assert_eq!(may(other_provider(), GET), callout);
    assert_eq!(may(other_provider(), post), no);
    assert_eq!(may(other_provider(), Asks { body: Body::TooLong, ..GET }), no);
    assert_eq!(may(other_provider(), GRPC), no);
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

/// A quiet hop of a pod: twenty calls, a tenth of a second apart, whose first try fails and whose second is good.
#[test]
fn at_low_traffic_every_first_failure_may_be_retried() {
    for workers in [1, 2, 4] {
        let (mut enforcer, hop) = enforcer(HopBudget { retry: Some(RetryBudget::DEFAULT), ..hop() });
        enforcer.share_among(workers);
        let denied = (0..20_u64).filter(|call| {
            let decision = enforcer.on_request(Micros(call * 100_000), hop, None, GET);
            enforcer.on_end(hop, 1);
            decision.retry_denied
        });
        assert_eq!(denied.count(), 0, "{workers} workers");
    }
}

#[test]
fn retries_stop_when_their_budget_is_spent_and_debts_come_first() {
    let retry = RetryBudget { ratio: ppm(500_000), floor_milli_per_s: 0, burst: 2, max_retries: 3 };
    let (mut enforcer, hop) = enforcer(HopBudget { retry: Some(retry), ..hop() });
    let mut ask = |retries| {
        let decision = enforcer.on_request(Micros(0), hop, None, GET);
        enforcer.on_end(hop, retries);
        match decision.action {
            CallAction::Call(call) => (call.max_retries, decision.retry_denied),
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
        assert!(enforcer.on_request(now, hop, None, GET).acts());
        let later = now.after(Micros(10_000_000));
        let decision = enforcer.on_request(later, hop, None, GET);
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
    assert!(enforcer.on_request(Micros(18_000_000), hop, None, GET).acts());
    assert_eq!(enforcer.apply(later, later, &plan(2, vec![])), Ok(Applied::Replaced));
    assert!(!enforcer.is_current(hop));
    assert_eq!(enforcer.on_request(later, hop, None, GET).state, HopState::Cold);
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
    assert!(enforcer.on_request(Micros(0), hop_ref, None, GET).acts());
}

#[test]
fn budgets_of_the_configuration_rule_until_a_plan_comes() {
    let mut enforcer = Enforcer::with_static(Mode::Enforce, &plan(0, vec![hop()]), Micros(0)).unwrap();
    let hop = enforcer.resolve("checkout", "pricing", "");
    assert!(enforcer.on_request(Micros(u64::MAX), hop, None, GET).acts());
    assert_eq!(enforcer.apply(Micros(0), Micros(0), &plan(1, vec![])), Ok(Applied::Replaced));
}

/// A request of which only the path matters.
struct To(&'static str);

impl Request for To {
    fn host(&self) -> &[u8] {
        b"shop.example"
    }
    fn method(&self) -> &[u8] {
        b"GET"
    }
    fn path(&self) -> &[u8] {
        self.0.as_bytes()
    }
    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }
}

#[test]
fn a_request_enters_the_first_journey_with_a_rule_that_matches() {
    let mut enforcer = Enforcer::new(Mode::Enforce);
    assert!(!enforcer.knows_journeys() && enforcer.classify(&To("/checkout")).is_none());
    let rule = |path: &str| EntryRule { path_template: path.into(), ..EntryRule::default() };
    let mut budgets = plan(1, vec![]);
    budgets.journeys.push(JourneyBudget {
        journey: JourneyName::new("browse").unwrap(),
        deadline: Millis(900),
        entry: vec![rule("/search"), rule("/**")],
        ..journey()
    });
    enforcer.apply(Micros(0), Micros(0), &budgets).unwrap();
    let entered = |path| enforcer.classify(&To(path)).map(|journey| journey.name.as_str());
    assert_eq!(
        ["/checkout", "/search", "/item/7"].map(entered),
        [Some("checkout"), Some("browse"), Some("browse")]
    );
    assert!(enforcer.knows_journeys());
    let deadline = |name| enforcer.journey(name).map(|journey| journey.deadline);
    assert_eq!(["checkout", "browse", "other"].map(deadline), [Some(Millis(400)), Some(Millis(900)), None]);
}

#[test]
fn a_request_that_no_rule_matches_enters_no_journey() {
    let (enforcer, _) = enforcer(hop());
    assert!(enforcer.classify(&To("/search")).is_none());
}

#[test]
fn machines_divide_what_they_hold_as_soon_as_they_know_how_many_they_are() {
    let retry = RetryBudget { ratio: ppm(0), floor_milli_per_s: 0, burst: 4, max_retries: 1 };
    let budget = HopBudget { fallback: Some(cached(0, 10)), retry: Some(retry), ..hop() };
    let (mut enforcer, hop) = enforcer(budget);
    enforcer.share_among(2);
    let answered = (0..20).filter(|_| enforcer.on_failure(Micros(0), hop, None, GET).acts()).count();
    let mut retry_allowed = || {
        let denied = enforcer.on_request(Micros(0), hop, None, GET).retry_denied;
        enforcer.on_end(hop, u32::from(!denied));
        !denied
    };
    let retried = (0..20).filter(|_| retry_allowed()).count();
    assert_eq!((answered, retried), (5, 2));
}

#[test]
fn a_hop_is_asked_what_it_declares() {
    let success = SuccessPredicate { http: vec![(200, 204)], grpc: vec![5] };
    let (enforcer, plain) = enforcer(hop());
    assert_eq!(enforcer.fallback(plain), None);
    assert_eq!(enforcer.success(plain), Some(&SuccessPredicate::default()));
    assert!(!enforcer.counts_retries(plain) && !enforcer.is_stream(plain));
    assert!(!enforcer.tells_operations_apart() && !enforcer.is_stale());
    let full = HopBudget {
        operation: "GET /price".into(),
        fallback: Some(cached(0, 1)),
        success: success.clone(),
        retry: Some(scarce()),
        ..hop()
    };
    let (enforcer, full) = self::enforcer(full);
    assert_eq!(enforcer.fallback(full), Some(&cached(0, 1)));
    assert_eq!(enforcer.success(full), Some(&success));
    assert!(enforcer.counts_retries(full) && enforcer.tells_operations_apart());
    let without_budget = enforcer.resolve("checkout", "cart", "");
    assert_eq!((enforcer.fallback(without_budget), enforcer.success(without_budget)), (None, None));
    assert!(!enforcer.counts_retries(without_budget) && !enforcer.is_stream(without_budget));
}

#[test]
fn listeners_that_share_a_machine_cap_it_each() {
    let (mut enforcer, hop) = enforcer(hop());
    for (cap, acts) in [(Mode::DryRun, false), (Mode::Enforce, true), (Mode::Observe, false)] {
        enforcer.cap_mode(cap);
        let decision = enforcer.on_request(Micros(0), hop, None, GET);
        assert_eq!((decision.mode, decision.acts()), (cap, acts));
    }
}

#[test]
fn labels_are_those_of_the_documentation() {
    let states = [HopState::Cold, HopState::Fresh, HopState::Stale, HopState::Exhausted];
    assert_eq!(states.map(HopState::label), ["cold", "fresh", "stale", "exhausted"]);
    let call = CallBounds { timeout: None, per_try: None, max_retries: None };
    let actions = [
        CallAction::Pass,
        CallAction::Call(call),
        CallAction::FallbackBefore(Before::Static),
        CallAction::Refuse,
    ];
    assert_eq!(actions.map(CallAction::label), ["pass", "call", "fallback_before", "refuse"]);
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
    let alone = prop::option::of((0..500_u64, 0..300_u64));
    (times, mode(), fallback, retry, alone).prop_map(
        |((timeout, per_try, reserve, useful), mode, fallback, retry, alone)| HopBudget {
            mode,
            alone: alone.map(|(more, reserve_alone)| Alone {
                timeout: Millis(timeout.unwrap_or(1) + more),
                reserve: Millis(reserve_alone.min(reserve)),
            }),
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

/// Kinds of calls, by a number at hand.
fn asks(kind: u32) -> Asks {
    match kind {
        0 => GET,
        1 => GRPC,
        2 => Asks { idempotent: false, ..GET },
        _ => Asks { body: Body::Announced(4_096), ..GET },
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..3_000_000_u64, prop::option::of(0..3_500_u64), any::<bool>(), 0..4_u32);
    prop::collection::vec(step, 1..150)
}

proptest! {
    #![proptest_config(crate::laws::config(200, 0xE4F0))]

    #[test]
    fn no_call_outlives_its_deadline(budget in any_hop(), steps in steps()) {
        let (reserve, useful) = (budget.reserve.0, budget.useful_min.0);
        let longest = budget.timeout.map_or(u64::MAX, |timeout| timeout.0);
        let longest = budget.alone.map_or(longest, |alone| alone.timeout.0.max(longest));
        let least = budget.alone.map_or(reserve, |alone| alone.reserve.0);
        let (mut enforcer, hop) = enforcer(budget);
        for (now, deadline, fails, retries) in steps {
            let now = Micros(now);
            let asks = asks(retries);
            let left = deadline.map_or(u64::MAX, |ms| (ms * 1_000).saturating_sub(now.0) / 1_000);
            match enforcer.on_request(now, hop, deadline.map(|ms| Absolute(Millis(ms))), asks).action {
                CallAction::Call(call) => {
                    let timeout = call.timeout.map_or(u64::MAX, |timeout| timeout.0);
                    prop_assert!(timeout >= 1 && timeout <= longest);
                    prop_assert!(deadline.is_none() || (timeout <= left - least && left - least >= useful));
                    prop_assert!(call.per_try.is_none_or(|per_try| per_try.0 <= timeout));
                }
                CallAction::FallbackBefore(Before::Route { timeout }) => prop_assert!(timeout.0 >= 1 && timeout.0 <= left),
                CallAction::Refuse | CallAction::FallbackBefore(Before::Static) => {
                    prop_assert!(left.saturating_sub(reserve) < useful.max(1));
                }
                CallAction::Pass => {}
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
            let decision = enforcer.on_request(Micros(now), hop, deadline, GET);
            degraded += u64::from(decision.action == CallAction::FallbackBefore(Before::Static));
            if fails && matches!(decision.action, CallAction::Call(_)) {
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
            let decision = enforcer.on_request(Micros(now), hop, deadline, GET);
            let followup = enforcer.on_failure(Micros(now), hop, deadline, GET);
            prop_assert!(effective == Mode::Enforce || !(decision.acts() || followup.acts()));
            prop_assert!(effective != Mode::Observe || decision.action == CallAction::Pass);
        }
    }

    /// Over the same calls: nobody is cut earlier, or refused, because no fallback can follow; who can be followed is bounded as without
    /// the longer bounds.
    #[test]
    fn standing_alone_never_shortens_a_call(budget in any_hop(), steps in steps()) {
        let enforcing = HopBudget { mode: Mode::Enforce, ..budget };
        let (mut plain, hop) = enforcer(HopBudget { alone: None, ..enforcing.clone() });
        let (mut both, _) = enforcer(enforcing.clone());
        for (now, deadline, fails, kind) in steps {
            let (now, asks) = (Micros(now), asks(kind));
            let deadline = deadline.map(|ms| Absolute(Millis(ms)));
            let [a, b] = [&mut plain, &mut both].map(|machine| {
                let decision = machine.on_request(now, hop, deadline, asks);
                let followup = fails.then(|| machine.on_failure(now, hop, deadline, asks).what);
                (decision, followup)
            });
            prop_assert_eq!(a.1, b.1);
            match (a.0.action, b.0.action) {
                (CallAction::Call(a), CallAction::Call(b)) => {
                    if enforcing.timeout.is_some() || enforcing.alone.is_none() {
                        prop_assert!(a.timeout <= b.timeout || b.timeout.is_none());
                        prop_assert!(a.per_try <= b.per_try);
                    }
                }
                (CallAction::Refuse, CallAction::Call(_)) => prop_assert!(enforcing.alone.is_some()),
                (a, b) => prop_assert_eq!(a, b),
            }
        }
    }

    /// The parts of all workers sum to at least what is allowed, and to less than one a worker more; each has some.
    #[test]
    fn what_a_quiet_hop_is_promised_is_divided_and_not_lost(burst in 1..200_u32, floor_milli_per_s in 0..20_000_u32, workers in 1..64_u32) {
        let retry = RetryBudget { ratio: ppm(0), floor_milli_per_s, burst, max_retries: 1 };
        let (mut at_once, mut in_ten_seconds) = (0, 0);
        for _ in 0..workers {
            let (mut enforcer, _) = enforcer(HopBudget { retry: Some(retry), ..hop() });
            enforcer.share_among(workers);
            // Taken by a plan, too.
            let retried = HopBudget { retry: Some(retry), ..self::hop() };
            let next = WorkloadBudgets { on_expiry: OnExpiry::Hold, ..plan(2, vec![retried]) };
            enforcer.apply(Micros(0), Micros(0), &next).unwrap();
            let hop = enforcer.resolve("checkout", "pricing", "");
            let mut allowed = |now, wanted: u32| {
                (0..wanted).take_while(|_| {
                    let denied = enforcer.on_request(Micros(now), hop, None, GET).retry_denied;
                    if !denied {
                        enforcer.on_end(hop, 1);
                    }
                    !denied
                }).count() as u32
            };
            let own = allowed(0, u32::MAX);
            prop_assert!(own >= 1);
            at_once += own;
            // A call every tenth of a second pays for one retry each, at most.
            in_ten_seconds += (1..=100_u64).map(|tenth| allowed(tenth * 100_000, 1)).sum::<u32>();
        }
        prop_assert!(burst <= at_once && at_once < burst + workers);
        let floor = f64::from(floor_milli_per_s) / 100.0;
        let most = f64::from(floor_milli_per_s + workers) / 100.0;
        prop_assert!(f64::from(in_ten_seconds) <= most + 1e-9);
        // A call a tenth of a second uses at most ten retries a second; a bucket of one token spills.
        if floor <= 100.0 * f64::from(workers) && burst >= 2 * workers {
            prop_assert!(f64::from(in_ten_seconds) > floor - f64::from(workers) - 1e-9, "{} of {}", in_ten_seconds, floor);
        }
    }

    /// The same requests get the same actions, whether or not they are acted upon.
    #[test]
    fn dry_run_decides_as_enforcing_does(budget in any_hop(), steps in steps()) {
        let (mut enforcing, hop) = enforcer(HopBudget { mode: Mode::Enforce, ..budget.clone() });
        let (mut dry, _) = enforcer(HopBudget { mode: Mode::DryRun, ..budget });
        for (now, deadline, _, retries) in steps {
            let (deadline, asks) = (deadline.map(|ms| Absolute(Millis(ms))), asks(retries));
            let [a, b] = [&mut enforcing, &mut dry].map(|machine| {
                let decision = machine.on_request(Micros(now), hop, deadline, asks);
                let followup = machine.on_failure(Micros(now), hop, deadline, asks);
                machine.on_end(hop, retries);
                (decision.action, decision.retry_denied, followup.what)
            });
            prop_assert_eq!(a, b);
        }
    }
}
