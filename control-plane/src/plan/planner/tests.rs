use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use emac_core::budget::WorkloadBudgets;
use emac_core::sketch::Sketch;
use emac_core::units::Millis;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::super::tests::{NOW, checkout, dead, seen};
use super::super::{HopEvidence, plan};
use super::*;

const FRONT: &str = "shop/front";

/// Evidence of some hops, reported at some time, and how often it was read.
#[derive(Default)]
struct Source {
    evidence: EvidenceByHop,
    seen: Micros,
    reads: AtomicUsize,
}

impl EvidenceSource for Source {
    fn last_seen(&self, hops: &[HopKey]) -> Option<Micros> {
        let any = hops.iter().any(|hop| self.evidence.contains_key(hop));
        any.then_some(self.seen)
    }

    fn read(&self, hops: &[HopKey], _: bool) -> EvidenceByHop {
        self.reads.fetch_add(1, Relaxed);
        let known = hops.iter().filter_map(|hop| self.evidence.get_key_value(hop));
        known.map(|(key, hop)| (key.clone(), hop.clone())).collect()
    }
}

impl Source {
    fn set(&mut self, journey: &str, destination: &str, hop: HopEvidence) {
        let (source, destination) = (FRONT.to_owned(), destination.to_owned());
        let key = HopKey { journey: journey.to_owned(), source, destination, operation: String::new() };
        self.evidence.insert(key, hop);
    }

    fn all_at(&mut self, journey: &str, p50: u64) {
        for destination in ["cart", "pricing", "paya", "payb"] {
            self.set(journey, destination, seen(p50, 0.0, None));
        }
    }
}

fn journey(name: &str, deadline: u64) -> JourneyInput {
    JourneyInput { name: JourneyName::new(name).unwrap(), deadline: Millis(deadline), ..checkout() }
}

fn moment(seconds: u64) -> Moment {
    Moment { at: Micros(seconds * 1_000_000), unix_ms: NOW + seconds * 1_000 }
}

fn told(snapshot: &PlanSnapshot) -> Vec<WorkloadBudgets> {
    let aside = |budgets: &Arc<WorkloadBudgets>| WorkloadBudgets {
        generation: Generation(0),
        issued_at_unix_ms: 0,
        ..(**budgets).clone()
    };
    snapshot.workloads.values().map(aside).collect()
}

/// With twenty journeys whose hops have been planned once.
fn started(source: &Source, intents: &[JourneyInput]) -> Planner {
    let mut planner = Planner::new(Generation(0));
    planner.retarget(intents);
    let step = planner.step(source, moment(0), |_| true);
    assert_eq!((step.planned, step.waiting), (intents.len(), 0));
    planner
}

fn names(count: usize) -> Vec<JourneyInput> {
    (0..count).map(|n| journey(&format!("j{n:02}"), 400)).collect()
}

#[test]
fn journeys_without_traffic_cost_no_reading_and_no_plan() {
    let (source, intents) = (Source::default(), names(20));
    let mut planner = started(&source, &intents);
    let (reads, generation) = (source.reads.load(Relaxed), planner.snapshot().generation);
    for second in 1..100 {
        assert_eq!(planner.step(&source, moment(second), |_| true), Step::default());
    }
    assert_eq!((source.reads.load(Relaxed), planner.snapshot().generation), (reads, generation));
}

#[test]
fn a_journey_that_somebody_changed_is_planned_before_what_moved() {
    let (mut source, mut intents) = (Source::default(), names(20));
    let mut planner = started(&source, &intents);
    for intent in &intents {
        source.all_at(intent.name.as_str(), 25);
    }
    source.seen = Micros(1_000_000);
    intents[7].deadline = Millis(300);
    planner.retarget(&intents);
    let step = planner.step(&source, moment(1), |class| class == Class::Changed);
    assert_eq!((step.planned, step.waiting, step.postponed), (1, 0, 19));
    let deadline = |n: usize| planner.snapshot().journeys[&intents[n].name].deadline;
    assert_eq!((deadline(7), deadline(8)), (Millis(300), Millis(400)));
    let step = planner.step(&source, moment(2), |_| true);
    assert_eq!((step.planned, step.postponed), (19, 0), "what was postponed is still to be done");
}

/// Otherwise a look at a large mesh takes the time of those that wait.
#[test]
fn while_changed_journeys_wait_the_others_are_looked_at_once_a_second() {
    let (mut source, mut intents) = (Source::default(), names(20));
    let mut planner = started(&source, &intents);
    for intent in &intents {
        source.all_at(intent.name.as_str(), 25);
    }
    source.seen = Micros(10_000_000);
    intents[..12].iter_mut().for_each(|intent| intent.deadline = Millis(300));
    planner.retarget(&intents);
    let mut reads = Vec::new();
    for tenth in 0..5_u64 {
        let left = AtomicUsize::new(3);
        let three_changed = |class| {
            class == Class::Changed && left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
        };
        let before = source.reads.load(Relaxed);
        let now = Moment { at: Micros(10_000_000 + tenth * 100_000), unix_ms: NOW + tenth * 100 };
        let step = planner.step(&source, now, three_changed);
        let (planned, waiting) = if tenth < 4 { (3, 9 - 3 * tenth as usize) } else { (0, 0) };
        assert_eq!((step.planned, step.waiting), (planned, waiting));
        reads.push(source.reads.load(Relaxed) - before);
    }
    // Three that are planned each time; eight others at first, and all when nothing changed any more.
    assert_eq!(reads, [3 + 8, 3, 3, 3, 20]);
}

#[test]
fn another_planner_goes_on_where_one_ended() {
    let mut source = Source::default();
    source.all_at("j0", 20_000);
    let intents = names(3);
    let plan = Arc::clone(started(&source, &intents).snapshot());
    let mut next = Planner::resume(Arc::clone(&plan));
    next.retarget(&intents);
    let step = next.step(&source, moment(1), |_| true);
    assert_eq!((step.planned, step.changed, step.removed), (3, vec![], vec![]));
    assert_eq!((next.snapshot().generation, &next.snapshot().workloads), (plan.generation, &plan.workloads));
    // The evidence is another, but the plan may not change so soon: also not because the planner did.
    source.all_at("j0", 80_000);
    let mut third = Planner::resume(Arc::clone(&plan));
    third.retarget(&intents);
    third.step(&source, moment(1), |_| true);
    let (before, after) = (&plan.journeys[&intents[0].name], &third.snapshot().journeys[&intents[0].name]);
    assert_ne!(after.damped, Damped::No);
    assert_eq!(started(&source, &intents).snapshot().journeys[&intents[0].name].damped, Damped::No);
    assert_eq!(before.changed_unix_ms, after.changed_unix_ms);
    // Whom no journey names any more is told so.
    let mut last = Planner::resume(plan);
    last.retarget(&[]);
    let step = last.step(&source, moment(1), |_| true);
    assert!(!step.removed.is_empty() && last.snapshot().workloads.is_empty());
}

#[test]
fn what_does_not_fit_into_one_step_waits_and_keeps_its_plan() {
    let (source, mut intents) = (Source::default(), names(9));
    let mut planner = started(&source, &intents);
    intents.iter_mut().for_each(|intent| intent.deadline = Millis(300));
    intents.remove(3);
    planner.retarget(&intents);
    let left = AtomicUsize::new(3);
    let few = |_| left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
    let step = planner.step(&source, moment(1), few);
    assert_eq!((step.planned, step.waiting), (3, 5));
    let deadlines: Vec<u64> = planner.snapshot().journeys.values().map(|plan| plan.deadline.0).collect();
    assert_eq!(deadlines.len(), 8, "the one that is gone is gone");
    assert_eq!(deadlines.iter().filter(|deadline| **deadline == 400).count(), 5);
    let at_the_edge = &planner.snapshot().workloads[&WorkloadName::new("shop/edge").unwrap()];
    assert_eq!(at_the_edge.journeys.len(), 8, "nobody lost the budgets of a journey that waits");
    assert_eq!(planner.step(&source, moment(2), |_| true).waiting, 0);
    assert_eq!(told(planner.snapshot()), told(&plan(&intents, &source.evidence, None, NOW)));
}

/// A thousand calls whose times are drawn anew.
fn drawn(random: &mut fastrand::Rng, p50_ms: f64, good: f64) -> HopEvidence {
    let (mut latency, mut counts) = (Sketch::new(), [0_u64; 8]);
    for _ in 0..1_000 {
        if random.f64() < good {
            counts[0] += 1;
            let ms = p50_ms * (0.5 + random.f64()) * if random.f64() < 0.05 { 4.0 } else { 1.0 };
            latency.record(Micros((ms * 1_000.0) as u64));
        } else {
            counts[1] += 1;
        }
    }
    HopEvidence {
        outcomes: emac_core::outcome::OutcomeCounts::from_array(counts),
        latency,
        ..HopEvidence::default()
    }
}

#[test]
fn the_noise_of_steady_traffic_moves_nothing_and_a_fault_does() {
    let mut random = fastrand::Rng::with_seed(0x0e_ac);
    let (mut source, intents) = (Source::default(), names(10));
    let mut draw = |source: &mut Source, second: u64, fault: bool| {
        for intent in &intents {
            for destination in ["cart", "pricing", "paya", "payb"] {
                let is_faulty = fault && intent.name.as_str() == "j04" && destination == "paya";
                let (p50, good) = if is_faulty { (20.0, 0.9) } else { (20.0, 0.995) };
                source.set(intent.name.as_str(), destination, drawn(&mut random, p50, good));
            }
        }
        source.seen = Micros(second * 1_000_000);
    };
    draw(&mut source, 0, false);
    let mut planner = started(&source, &intents);
    let (mut moved, mut looks) = (0, 0);
    for second in 1..=200 {
        draw(&mut source, second, false);
        moved += planner.step(&source, moment(second), |class| class != Class::Refresh).planned;
        looks += intents.len();
    }
    // Forty comparisons of shares and of distributions a journey and second at some 1 in 1 000, and steps that damping delays.
    assert!(moved * 10 < looks, "{moved} of {looks}");
    draw(&mut source, 300, true);
    let step = planner.step(&source, moment(300), |class| class != Class::Refresh);
    assert!((1..=3).contains(&step.planned), "{step:?}");
    let success = |name: &str| {
        let plan = &planner.snapshot().journeys[&JourneyName::new(name).unwrap()];
        plan.leaves.iter().find(|leaf| leaf.allocation.leaf.as_str() == "paya").unwrap().success
    };
    assert!(success("j04") < 0.93 && success("j05") > 0.95, "{} {}", success("j04"), success("j05"));
}

#[test]
fn evidence_that_ends_is_forgotten_once() {
    let (mut source, intents) = (Source::default(), names(1));
    source.all_at("j00", 25);
    let mut planner = started(&source, &intents);
    source.evidence.clear();
    assert_eq!(planner.step(&source, moment(1), |_| true).planned, 1);
    // Damping lets the plan go back to its defaults step by step; then nothing is left to do.
    let planned = |planner: &mut Planner, seconds: std::ops::Range<u64>| -> usize {
        seconds.map(|second| planner.step(&source, moment(second), |_| true).planned).sum()
    };
    assert!(planned(&mut planner, 2..100) <= 20);
    let reads = source.reads.load(Relaxed);
    assert_eq!((planned(&mut planner, 100..200), source.reads.load(Relaxed)), (0, reads));
}

#[test]
fn journeys_that_do_not_fit_are_named_as_the_twin_names_them() {
    let (source, intents) = (Source::default(), names(70));
    let mut planner = started(&source, &intents);
    let twin = plan(&intents, &EvidenceByHop::new(), None, NOW);
    assert_eq!(told(planner.snapshot()), told(&twin));
    let notes = |plan: &PlanSnapshot| -> Vec<BTreeSet<String>> {
        plan.journeys.values().map(|journey| journey.notes.iter().cloned().collect()).collect()
    };
    assert_eq!(notes(planner.snapshot()), notes(&twin));
    assert!(
        twin.journeys.values().any(|journey| journey.notes.iter().any(|note| note.contains("is left out")))
    );
    // Room again.
    planner.retarget(&intents[20..]);
    planner.step(&source, moment(1), |_| true);
    let twin = plan(&intents[20..], &EvidenceByHop::new(), None, NOW);
    assert_eq!((told(planner.snapshot()), notes(planner.snapshot())), (told(&twin), notes(&twin)));
}

/// What may happen to a control plane between two looks at it.
#[derive(Clone, Debug)]
enum Event {
    Deadline(usize, u64),
    Toggle(usize),
    Swap(usize, usize),
    Edge(usize),
    Latency(usize, u64),
    Fault(usize),
    Nothing,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..4_usize, 250..600_u64).prop_map(|(j, ms)| Event::Deadline(j, ms)),
        (0..4_usize).prop_map(Event::Toggle),
        (0..4_usize, 0..4_usize).prop_map(|(a, b)| Event::Swap(a, b)),
        (0..4_usize).prop_map(Event::Edge),
        (0..4_usize, 5..80_u64).prop_map(|(j, ms)| Event::Latency(j, ms)),
        (0..4_usize).prop_map(Event::Fault),
        Just(Event::Nothing),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(0x9_1a_77), failure_persistence: None, ..ProptestConfig::with_cases(12) })]

    /// Whatever happens, a planner with time tells every workload what planning everything would.
    #[test]
    fn a_planner_comes_to_the_plan_of_its_twin(events in proptest::collection::vec(event(), 1..14)) {
        let mut all: Vec<(bool, JourneyInput)> = (0..4).map(|n| (true, journey(&format!("j{n}"), 400))).collect();
        let (mut source, mut planner) = (Source::default(), Planner::new(Generation(0)));
        let mut twin: Option<PlanSnapshot> = None;
        for (round, event) in (1..).zip(events) {
            match event {
                Event::Deadline(j, ms) => all[j].1.deadline = Millis(ms),
                Event::Toggle(j) => all[j].0 = !all[j].0,
                Event::Swap(a, b) => all.swap(a, b),
                Event::Edge(j) => all[j].1.runtime.edges = vec![WorkloadName::new(&format!("shop/edge-{round}")).unwrap()],
                Event::Latency(j, ms) => source.all_at(&format!("j{j}"), ms),
                Event::Fault(j) => source.set(&format!("j{j}"), "paya", dead()),
                Event::Nothing => {}
            }
            let now = moment(round * 60);
            source.seen = now.at;
            let intents: Vec<_> = all.iter().filter(|(there, _)| *there).map(|(_, intent)| intent.clone()).collect();
            planner.retarget(&intents);
            let before = planner.snapshot().clone();
            let step = planner.step(&source, now, |_| true);
            let next = plan(&intents, &source.evidence, twin.as_ref(), now.unix_ms);
            prop_assert_eq!(told(planner.snapshot()), told(&next));
            prop_assert_eq!(planner.snapshot().journeys.keys().collect::<Vec<_>>(), next.journeys.keys().collect::<Vec<_>>());
            let moved: Vec<_> = before.workloads.iter().filter(|(name, old)| {
                planner.snapshot().workloads.get(*name).is_some_and(|new| !tells_alike(old, new))
            }).map(|(name, _)| name).collect();
            prop_assert!(moved.iter().all(|name| step.changed.contains(name)));
            prop_assert_eq!(planner.snapshot().generation > before.generation, !step.changed.is_empty() || !step.removed.is_empty());
            twin = Some(next);
        }
    }
}
