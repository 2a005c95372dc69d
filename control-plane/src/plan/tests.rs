mod closed_loop;
mod limits;

use std::collections::BTreeMap;

use emac_core::budget::{FallbackKind, HopBudget, Mode, StaticResponse, WorkloadBudgets};
use emac_core::id::{HopKey, JourneyName, WorkloadName};
use emac_core::journey::{ComponentName, Journey, parse};
use emac_core::outcome::OutcomeCounts;
use emac_core::sketch::Sketch;
use emac_core::units::{Generation, Micros, Millis, Ppm, Ratio};

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use emac_compile::declared::Declared;
use emac_journey::intent::{self, HopRef, LatencyDefault, Reach, RuntimePolicy};
use emac_journey::slo::Promises;

pub(super) const NOW: u64 = 1_700_000_000_000;
const CHECKOUT: &str = "Series(front, Parallel(cart, Fallback(pricing, 0.8*cached)), Fallback(paya, payb))";

fn workload(name: &str) -> WorkloadName {
    WorkloadName::new(name).unwrap()
}

fn component(reach: Reach, p50: u64, p99: u64) -> ComponentInput {
    let latency = Some(LatencyDefault { p50: Millis(p50), p99: Millis(p99) });
    ComponentInput { reach, latency, ..ComponentInput::default() }
}

fn hop(source: Option<&str>, destination: &str) -> Reach {
    let answers = workload(&format!("shop/{destination}"));
    Reach::Hop(HopRef {
        source: source.map(workload),
        destination: destination.to_owned(),
        workload: Some(answers),
        ..HopRef::default()
    })
}

/// The demo's intent: 400 ms, edge -> front -> (cart, pricing), payments.
pub(super) fn checkout() -> JourneyInput {
    let front = Some("shop/front");
    let cached = StaticResponse { status: 200, headers: vec![], body: b"{}".to_vec() };
    let components = [
        ("front", component(hop(None, "front"), 5, 25)),
        ("cart", component(hop(front, "cart"), 20, 60)),
        ("pricing", component(hop(front, "pricing"), 20, 60)),
        ("cached", component(Reach::Static(cached), 1, 1)),
        ("paya", component(hop(front, "paya"), 30, 90)),
        ("payb", component(hop(front, "payb"), 30, 90)),
    ];
    JourneyInput {
        name: JourneyName::new("checkout").unwrap(),
        model_digest: "ab".repeat(32),
        declaration: String::new(),
        structure: Journey::new(parse(CHECKOUT).unwrap()).unwrap(),
        deadline: Millis(400),
        objective: Ratio::new(0.995).unwrap(),
        entry: vec![emac_core::budget::EntryRule {
            path_template: "/checkout".to_owned(),
            ..Default::default()
        }],
        runtime: RuntimePolicy {
            mode: Mode::Enforce,
            edges: vec![workload("shop/edge")],
            ..RuntimePolicy::default()
        },
        components: components.into_iter().map(|(n, c)| (ComponentName::new(n).unwrap(), c)).collect(),
    }
}

/// `share` of 1 000 calls take `p50..2 p50`, the others ten times that; all succeed unless cut at `cut`.
pub(super) fn seen(p50: u64, slow_share: f64, cut: Option<u64>) -> HopEvidence {
    let mut latency = Sketch::new();
    let mut late = 0;
    for i in 0..1_000_u64 {
        let quick_ms = p50 + p50 * (i % 100) / 100;
        let is_slow = (i as f64 + 0.5) / 1_000.0 > 1.0 - slow_share;
        let ms = if is_slow { 10 * quick_ms } else { quick_ms };
        if cut.is_some_and(|cut| ms > cut) { late += 1 } else { latency.record(Micros(ms * 1_000)) }
    }
    let outcomes = OutcomeCounts::from_array([1_000 - late, 0, late, 0, 0, 0, 0, 0]);
    HopEvidence { outcomes, latency, ..HopEvidence::default() }
}

pub(super) fn dead() -> HopEvidence {
    HopEvidence {
        outcomes: OutcomeCounts::from_array([0, 1_000, 0, 0, 0, 0, 0, 0]),
        ..HopEvidence::default()
    }
}

fn evidence(hops: &[(&str, HopEvidence)]) -> EvidenceByHop {
    let key = |destination: &str| HopKey {
        journey: "checkout".to_owned(),
        source: "shop/front".to_owned(),
        destination: destination.to_owned(),
        operation: String::new(),
    };
    hops.iter().map(|(destination, hop)| (key(destination), hop.clone())).collect()
}

fn healthy() -> EvidenceByHop {
    evidence(&[
        ("cart", seen(15, 0.0, None)),
        ("pricing", seen(15, 0.0, None)),
        ("paya", seen(25, 0.0, None)),
        ("payb", seen(25, 0.0, None)),
    ])
}

fn budget<'a>(snapshot: &'a PlanSnapshot, source: &str, destination: &str) -> &'a HopBudget {
    let resource = &snapshot.workloads[&workload(source)];
    resource.hops.iter().find(|hop| hop.destination == destination).unwrap()
}

fn of_journey(snapshot: &PlanSnapshot) -> &JourneyPlan {
    snapshot.journeys.values().next().unwrap()
}

fn leaf<'a>(snapshot: &'a PlanSnapshot, name: &str) -> &'a LeafPlan {
    of_journey(snapshot).leaves.iter().find(|leaf| leaf.allocation.leaf.as_str() == name).unwrap()
}

fn first(intent: &JourneyInput, evidence: &EvidenceByHop) -> PlanSnapshot {
    plan(std::slice::from_ref(intent), evidence, None, NOW)
}

#[test]
fn a_cold_start_already_has_every_budget() {
    let snapshot = first(&checkout(), &EvidenceByHop::new());
    assert_eq!(snapshot.generation, Generation(NOW));
    let names: Vec<&str> = snapshot.workloads.keys().map(WorkloadName::as_str).collect();
    assert_eq!(names, ["shop/cart", "shop/edge", "shop/front", "shop/paya", "shop/payb", "shop/pricing"]);
    assert!(
        snapshot.workloads.values().all(|w| w.journeys.len() == 1 && w.journeys[0].deadline == Millis(400))
    );
    let entries = |name: &str| snapshot.workloads[&workload(name)].journeys[0].entry.len();
    assert_eq!((entries("shop/edge"), entries("shop/front")), (1, 0));

    // The edge's call lasts as long as the journey may.
    assert_eq!(budget(&snapshot, "shop/edge", "front").timeout, Some(Millis(400)));
    assert_eq!(leaf(&snapshot, "front").bound, Bound::Encloses);

    let paya = budget(&snapshot, "shop/front", "paya");
    assert!((70..=170).contains(&paya.timeout.unwrap().0), "{paya:?}");
    let fallback = paya.fallback.as_ref().unwrap();
    let FallbackKind::Alternate(alternate) = &fallback.kind else { panic!("{fallback:?}") };
    assert_eq!((alternate.cluster.as_str(), fallback.weight, fallback.budget), ("payb", Ppm::ONE, None));
    assert!(alternate.timeout > paya.timeout.unwrap());
    assert!(paya.reserve.0 >= 40, "payb is left enough: {paya:?}");

    let pricing = budget(&snapshot, "shop/front", "pricing").fallback.as_ref().unwrap();
    assert_eq!(pricing.budget.map(|budget| budget.share.get()), Some(200_000));
    assert_eq!(pricing.weight.get(), 800_000);
    assert!(matches!(pricing.kind, FallbackKind::Static(_)));

    // Nothing answers for the cart: it may use what payment does not need at the least.
    let cart = budget(&snapshot, "shop/front", "cart");
    assert!(cart.timeout.unwrap().0 > 330 && cart.fallback.is_none(), "{cart:?}");
    assert!(cart.reserve.0 >= 20 && cart.reserve.0 < 60, "{cart:?}");
    assert!(snapshot.workloads[&workload("shop/front")].hops.iter().all(|hop| hop.destination != "payb"));
    assert!(of_journey(&snapshot).predicted_lower > 0.99, "{:?}", of_journey(&snapshot));
    assert_eq!(leaf(&snapshot, "paya").source, CurveSource::Default { calls: 0 });
}

/// Without its fallback the payment is the last of the journey, and may use all that is left.
#[test]
fn a_call_that_no_fallback_can_follow_has_the_bounds_it_would_have_without_one() {
    let mut plain = checkout();
    plain.structure = Journey::new(parse("Series(front, Parallel(cart, pricing), paya)").unwrap()).unwrap();
    for evidence in [EvidenceByHop::new(), healthy()] {
        let (both, plain) = (first(&checkout(), &evidence), first(&plain, &evidence));
        let (paya, without) = (budget(&both, "shop/front", "paya"), budget(&plain, "shop/front", "paya"));
        let alone = paya.alone.unwrap();
        assert!(alone.timeout > paya.timeout.unwrap() && alone.reserve < paya.reserve, "{paya:?}");
        assert_eq!((Some(alone.timeout), alone.reserve), (without.timeout, without.reserve));
        assert_eq!((without.alone, budget(&both, "shop/front", "cart").alone), (None, None));
    }
}

#[test]
fn what_the_intent_opts_into_is_planned() {
    let mut intent = checkout();
    let cart = intent.components.get_mut(&ComponentName::new("cart").unwrap()).unwrap();
    let Reach::Hop(hop) = &mut cart.reach else { panic!("a hop") };
    (hop.without_context, hop.stream) = (true, true);
    let snapshot = first(&intent, &healthy());
    let flags = |destination| {
        let hop = budget(&snapshot, "shop/front", destination);
        (hop.without_context, hop.stream)
    };
    assert_eq!(["cart", "paya"].map(flags), [(true, true), (false, false)]);
}

/// How long an answer was listened to is no latency, and a stream no failure.
#[test]
fn streams_say_nothing_of_a_destination() {
    let mut streams = healthy();
    for hop in streams.values_mut() {
        hop.outcomes.merge(&OutcomeCounts::from_array([0, 0, 0, 0, 0, 0, 0, 5_000]));
    }
    assert_eq!(of_journey(&first(&checkout(), &streams)), of_journey(&first(&checkout(), &healthy())));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0xA70E),
        ..ProptestConfig::default()
    })]

    /// Whatever the services are like: standing alone is never tighter, and only who has a fallback stands alone otherwise.
    #[test]
    fn standing_alone_is_never_tighter(
        deadline in 20_u64..2_000,
        times in prop::collection::vec((1_u64..300, 0.0..1.0), 4),
        edge: bool,
        max in prop::option::of(1_u64..500),
        twice: bool,
    ) {
        let mut intent = checkout();
        intent.deadline = Millis(deadline);
        intent.runtime.timeout_max = max.map(Millis);
        if twice {
            let text = "Series(paya, front, Fallback(Retry(attempts=2, pricing), 0.8*cached), Fallback(paya, payb))";
            intent.structure = Journey::new(parse(text).unwrap()).unwrap();
        }
        if edge {
            intent.runtime.edges.push(workload("shop/front"));
        }
        let names = ["cart", "pricing", "paya", "payb"];
        let seen: Vec<_> = names.into_iter().zip(times).map(|(name, (p50, slow))| (name, seen(p50, slow, None))).collect();
        for resource in first(&intent, &evidence(&seen)).workloads.values() {
            for hop in &resource.hops {
                let Some(alone) = hop.alone else { continue };
                prop_assert!(hop.fallback.is_some());
                prop_assert!(Some(alone.timeout) >= hop.timeout && alone.reserve <= hop.reserve, "{:?}", hop);
                prop_assert!(alone.timeout <= Millis(deadline) && max.is_none_or(|max| alone.timeout <= Millis(max)));
            }
            let wire = emac_proto::v1::WorkloadBudgets::from(&**resource);
            let back = WorkloadBudgets::try_from(wire);
            prop_assert_eq!(back.as_ref(), Ok(&**resource));
        }
    }
}

#[test]
fn what_is_planned_is_what_the_wire_allows() {
    let mut tight = checkout();
    tight.deadline = Millis(3);
    let mut long = checkout();
    long.deadline = Millis(500_000);
    for (intent, evidence) in [
        (checkout(), healthy()),
        (checkout(), EvidenceByHop::new()),
        (checkout(), evidence(&[("paya", dead()), ("pricing", dead()), ("cart", dead())])),
        (tight, healthy()),
        (long, EvidenceByHop::new()),
    ] {
        for resource in first(&intent, &evidence).workloads.values() {
            let wire = emac_proto::v1::WorkloadBudgets::from(&**resource);
            assert_eq!(WorkloadBudgets::try_from(wire).as_ref(), Ok(&**resource));
        }
    }
}

#[test]
fn a_slow_primary_does_not_stretch_its_timeout() {
    let mut slow = healthy();
    slow.extend(evidence(&[("paya", seen(250, 0.0, None))]));
    let (before, after) = (first(&checkout(), &healthy()), first(&checkout(), &slow));
    let timeout = |snapshot| budget(snapshot, "shop/front", "paya").timeout.unwrap();
    assert!(timeout(&after) <= timeout(&before).max(Millis(170)), "{:?}", leaf(&after, "paya"));
    assert!(of_journey(&after).predicted_lower > 0.98, "{:?}", of_journey(&after));
    assert_eq!(leaf(&after, "paya").source, CurveSource::Measured { calls: 1_000 });
}

#[test]
fn a_hopeless_primary_still_gets_the_time_to_show_that_it_recovered() {
    let mut all = healthy();
    all.extend(evidence(&[("paya", dead()), ("payb", seen(110, 0.0, None))]));
    let paya = first(&checkout(), &all);
    let timeout = budget(&paya, "shop/front", "paya").timeout.unwrap();
    assert!((50..90).contains(&timeout.0), "{timeout}");
}

#[test]
fn a_dead_dependency_without_an_answer_is_predicted_honestly() {
    let down = |name| {
        let mut all = healthy();
        all.extend(evidence(&[(name, dead())]));
        of_journey(&first(&checkout(), &all)).predicted
    };
    assert!(down("cart") < 0.01);
    assert!(down("paya") > 0.98, "payb is an equal");
    assert!((0.15..0.17).contains(&down("pricing")), "20 % of 0.8: {}", down("pricing"));
}

#[test]
fn thin_evidence_promises_less_than_thick() {
    let thin = |hop: &HopEvidence| {
        let mut outcomes = [0; 8];
        outcomes[0] = 60;
        let mut latency = Sketch::new();
        hop.latency.buckets().take(60).for_each(|b| latency.record(b.upper));
        let lacking = 60 - latency.count() as u32;
        latency.record_n(Micros(20_000), lacking);
        HopEvidence { outcomes: OutcomeCounts::from_array(outcomes), latency, ..HopEvidence::default() }
    };
    let few: EvidenceByHop = healthy().iter().map(|(key, hop)| (key.clone(), thin(hop))).collect();
    let (few, many) = (first(&checkout(), &few), first(&checkout(), &healthy()));
    assert!(of_journey(&few).predicted_lower < of_journey(&many).predicted_lower);
    assert!(of_journey(&few).predicted_lower < of_journey(&few).predicted);
}

#[test]
fn noise_changes_nothing_and_keeps_the_generation() {
    let intents = [checkout()];
    let start = plan(&intents, &healthy(), None, NOW);
    let mut noisy = healthy();
    noisy.extend(evidence(&[("cart", seen(16, 0.0, None)), ("paya", seen(24, 0.0, None))]));
    let next = plan(&intents, &noisy, Some(&start), NOW + 60_000);
    assert_eq!(next.generation, start.generation);
    assert_eq!(next.workloads, start.workloads);
    assert_eq!(of_journey(&next).damped, Damped::Hysteresis);
    assert_eq!(of_journey(&next).changed_unix_ms, NOW);
}

/// Payment that needs more time than planned, so that moving pays.
fn slower_payment() -> EvidenceByHop {
    let mut all = healthy();
    all.extend(evidence(&[("paya", seen(60, 0.3, None)), ("payb", seen(110, 0.0, None))]));
    all
}

#[test]
fn a_change_comes_in_steps_one_a_period_and_keeps_the_deadline() {
    let intents = [checkout()];
    let mut careful = checkout();
    careful.runtime.damping.step_max = Ratio::new(0.1).unwrap();
    let careful = [careful];
    let start = plan(&intents, &healthy(), None, NOW);
    let early = plan(&careful, &slower_payment(), Some(&start), NOW + 4_999);
    assert_eq!((early.generation, of_journey(&early).damped), (start.generation, Damped::Period));

    let mut last = start.clone();
    let mut steps = 0;
    for round in 1..40 {
        let next = plan(&careful, &slower_payment(), Some(&last), NOW + round * 5_000);
        steps += u32::from(of_journey(&next).damped == Damped::Step);
        for (old, new) in of_journey(&last).leaves.iter().zip(&of_journey(&next).leaves) {
            let (old, new) = (old.allocation.time.0, new.allocation.time.0);
            assert!(old.abs_diff(new) as f64 <= 0.1 * old.max(19) as f64 + 1.0, "{old} {new}");
        }
        let time = |name| leaf(&next, name).allocation.time.0;
        assert!(time("front") + time("cart") + time("paya") + time("payb") <= 380);
        assert!(next.generation >= last.generation);
        last = next;
    }
    assert!(steps >= 2, "{steps}");
    assert_eq!(of_journey(&last).damped, Damped::Hysteresis, "it settles");
    assert!(last.generation > start.generation);
}

#[test]
fn a_generation_grows_even_when_the_clock_goes_back() {
    let start = first(&checkout(), &healthy());
    let mut shorter = checkout();
    shorter.deadline = Millis(300);
    let next = plan(&[shorter], &healthy(), Some(&start), 5);
    assert_eq!(next.generation, Generation(NOW + 1));
    let gone = plan(&[], &healthy(), Some(&next), 5);
    assert!(gone.workloads.is_empty() && gone.generation > next.generation);
}

#[test]
fn bounds_of_the_intent_hold() {
    let mut intent = checkout();
    intent.runtime.timeout_max = Some(Millis(80));
    intent.runtime.timeout_min = Millis(30);
    let snapshot = first(&intent, &healthy());
    for resource in snapshot.workloads.values() {
        assert!(resource.hops.iter().all(|hop| (30..=80).contains(&hop.timeout.unwrap().0)), "{resource:?}");
    }
    assert_eq!(leaf(&snapshot, "cart").bound, Bound::Maximum);
}

#[test]
fn a_retry_is_budgeted_and_split_into_tries() {
    let mut intent = checkout();
    intent.structure =
        Journey::new(parse("Series(front, Retry(attempts=2, cart), Fallback(paya, payb))").unwrap()).unwrap();
    let snapshot = first(&intent, &healthy());
    let cart = budget(&snapshot, "shop/front", "cart");
    assert_eq!(cart.retry.unwrap().max_retries, 1);
    assert!(cart.per_try_timeout.unwrap() < cart.timeout.unwrap());
}

#[test]
fn what_a_sidecar_cannot_do_is_said() {
    let mut intent = checkout();
    intent.structure = Journey::new(parse("Fallback(Series(cart, paya), payb)").unwrap()).unwrap();
    let snapshot = first(&intent, &healthy());
    assert!(
        of_journey(&snapshot).notes.iter().any(|note| note.contains("one hop")),
        "{:?}",
        of_journey(&snapshot)
    );
    intent.components = BTreeMap::new();
    assert!(first(&intent, &healthy()).workloads.len() == 1, "only the edge is known");
    intent.runtime.edges.clear();
    assert!(first(&intent, &healthy()).workloads.is_empty());
}

#[test]
fn evidence_of_operations_adds_up_when_the_hop_names_none() {
    let split: EvidenceByHop = healthy()
        .into_iter()
        .flat_map(|(key, hop)| {
            ["GET /a", "POST /b"].map(|op| (HopKey { operation: op.to_owned(), ..key.clone() }, hop.clone()))
        })
        .collect();
    assert_eq!(leaf(&first(&checkout(), &split), "cart").source, CurveSource::Measured { calls: 2_000 });
}

#[test]
fn an_alternate_is_judged_by_what_it_answered() {
    let with = |asked, answered: u32, failed| {
        let mut all = healthy();
        all.remove(&evidence(&[("payb", dead())]).into_keys().next().unwrap());
        let mut paya = seen(25, 0.5, Some(100));
        paya.alternate_latency.record_n(Micros(40_000), answered);
        paya.alternate_asked = asked;
        paya.outcomes = OutcomeCounts::from_array([500, failed, 0, 0, 0, u64::from(answered), 0, 0]);
        all.extend(evidence(&[("paya", paya)]));
        let snapshot = first(&checkout(), &all);
        (leaf(&snapshot, "payb").source, leaf(&snapshot, "payb").success)
    };
    assert_eq!(with(500, 450, 50).0, CurveSource::Measured { calls: 500 });
    assert!((with(500, 450, 50).1 - 0.9).abs() < 0.01);
    // Asked without being answered and without a failure: not asked in earnest.
    assert_eq!(with(500, 0, 0).0, CurveSource::Default { calls: 0 });
}

#[test]
fn equal_inputs_give_equal_plans() {
    assert_eq!(first(&checkout(), &slower_payment()), first(&checkout(), &slower_payment()));
}

fn example() -> Declared {
    let problems = emac_document::Problems::new();
    let file = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/checkout/intent.yaml"));
    let intent = intent::load(&[file.into()], &problems).remove(0);
    Declared::beside(intent, Promises::default(), file, &problems)
}

#[test]
fn the_planner_gets_what_the_example_says() {
    let plan = JourneyInput::of(&example()).unwrap();
    assert_eq!((plan.deadline, plan.runtime.mode), (Millis(400), Mode::Observe));
    assert_eq!(plan.runtime.edges[0].as_str(), "shop/edge");
    let payb = &plan.components[&ComponentName::new("payb").unwrap()];
    assert_eq!(payb.availability.get(), 0.995);
    let Reach::Hop(hop) = &payb.reach else { panic!("a hop") };
    assert_eq!((hop.source.as_ref().unwrap().as_str(), hop.callout.path.as_str()), ("shop/front", "/pay"));
}

#[test]
fn a_journey_that_nobody_enters_is_not_planned() {
    let mut declared = example();
    declared.intent.entry.clear();
    assert_eq!(JourneyInput::of(&declared), None);
}
