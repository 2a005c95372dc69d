//! However plans, orders, the configuration's line, renewals and restarts follow each other: what is published is what is allowed, and every
//! sidecar takes it.

use std::collections::{BTreeMap, BTreeSet};

use super::publication::empty;
use super::*;
use crate::config::Stopped;
use emac_core::budget::{HopBudget, JourneyBudget, Mode, SuccessPredicate, WorkloadBudgets};
use emac_core::id::{JourneyName, WorkloadName};
use emac_core::units::{Micros, Millis, Ppm};
use emac_proto::{WORKLOAD_BUDGETS_TYPE_URL, v1};
use emac_push::proxies::{Connection, Variant};
use proptest::prelude::*;
use prost::Message;

const JOURNEYS: [&str; 2] = ["checkout", "search"];
const WORKLOADS: [&str; 2] = ["shop/edge", "shop/front"];

fn journey(name: &str) -> JourneyName {
    JourneyName::new(name).unwrap()
}

fn workload(name: &str) -> WorkloadName {
    WorkloadName::new(name).unwrap()
}

/// Budgets of both workloads for both journeys, with these modes; `seed` makes them differ otherwise.
fn budgets(modes: [Mode; 2], seed: u64) -> BTreeMap<WorkloadName, Arc<WorkloadBudgets>> {
    let one = |name: &&str| {
        let mut budgets = empty(workload(name));
        for (journey_name, mode) in JOURNEYS.iter().zip(modes) {
            budgets.journeys.push(JourneyBudget {
                journey: journey(journey_name),
                deadline: Millis(400 + seed),
                mode,
                priority: 0,
                record: Ppm::new(0).unwrap(),
                entry: Vec::new(),
            });
            budgets.hops.push(HopBudget {
                journey: journey(journey_name),
                destination: "pay".to_owned(),
                operation: String::new(),
                mode,
                timeout: Some(Millis(100)),
                per_try_timeout: None,
                reserve: Millis(0),
                useful_min: Millis(0),
                alone: None,
                without_context: false,
                stream: false,
                retry: None,
                fallback: None,
                success: SuccessPredicate::default(),
            });
        }
        (workload(name), Arc::new(budgets))
    };
    WORKLOADS.iter().map(one).collect()
}

fn order(by: &str) -> Order {
    Order { by: by.to_owned(), proven: true, why: "INC-1".to_owned(), at_unix_ms: 1 }
}

/// One process after the other on one state directory, and a sidecar of each workload that outlives them.
struct World {
    folder: tempfile::TempDir,
    publisher: Arc<Publisher>,
    proxies: Arc<Proxies>,
    enforcement: Enforcement,
    plan: PlanSnapshot,
    clock_ms: u64,
    configured: Option<Stopped>,
    held: BTreeMap<String, v1::WorkloadBudgets>,
    connections: Vec<Connection>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (publisher, proxies): (Arc<Publisher>, Arc<Proxies>) = Default::default();
        let keep = Keep::of(Some(folder.path()));
        let enforcement =
            Enforcement::new(Arc::clone(&publisher), Arc::clone(&proxies), keep, None, Generation(0), 1_000);
        Self {
            folder,
            publisher,
            proxies,
            enforcement,
            plan: PlanSnapshot::default(),
            clock_ms: 1_000,
            configured: None,
            held: BTreeMap::new(),
            connections: Vec::new(),
        }
    }

    fn now(&self) -> Moment {
        Moment { at: Micros(self.clock_ms * 1_000), unix_ms: self.clock_ms }
    }

    /// As the planner numbers plans.
    fn plan(&mut self, modes: [Mode; 2], seed: u64) {
        let mut workloads = budgets(modes, seed);
        let told = |all: &BTreeMap<WorkloadName, Arc<WorkloadBudgets>>| {
            all.values().map(|one| (one.journeys.clone(), one.hops.clone())).collect::<Vec<_>>()
        };
        if told(&workloads) != told(&self.plan.workloads) {
            let next = self.clock_ms.max(self.plan.generation.0 + 1);
            workloads.values_mut().for_each(|budgets| Arc::make_mut(budgets).generation = Generation(next));
            self.plan = PlanSnapshot { generation: Generation(next), workloads, journeys: BTreeMap::new() };
        }
        self.enforcement.publish(Arc::new(self.plan.clone()), self.now());
    }

    /// SIGKILL, and a new process whose clock may have gone back.
    fn restart(&mut self, clock_ms: u64, stored: Generation) {
        self.publisher = Arc::default();
        self.proxies = Arc::default();
        self.clock_ms = clock_ms;
        self.plan = PlanSnapshot { generation: stored, ..PlanSnapshot::default() };
        self.enforcement = Enforcement::new(
            Arc::clone(&self.publisher),
            Arc::clone(&self.proxies),
            Keep::of(Some(self.folder.path())),
            self.configured.clone(),
            stored,
            clock_ms,
        );
    }

    /// What is published now, and every sidecar takes it as sidecars do.
    fn look(&mut self) -> BTreeMap<String, v1::WorkloadBudgets> {
        let snapshot = self.publisher.snapshot();
        let set = snapshot.get(WORKLOAD_BUDGETS_TYPE_URL);
        let resources = set.into_iter().flat_map(|set| &set.resources);
        let all: BTreeMap<String, v1::WorkloadBudgets> = resources
            .map(|(name, resource)| (name.to_string(), v1::WorkloadBudgets::decode(&*resource.body).unwrap()))
            .collect();
        for (name, offered) in &all {
            if let Some(held) = self.held.get(name) {
                assert!(offered.generation >= held.generation, "{name}: a generation went back");
                if offered.generation == held.generation {
                    assert_eq!(told(offered), told(held), "{name}: a renewal says something else");
                }
            }
            self.held.insert(name.clone(), offered.clone());
        }
        all
    }
}

fn told(budgets: &v1::WorkloadBudgets) -> (&[v1::JourneyBudget], &[v1::HopBudget]) {
    (&budgets.journeys, &budgets.hops)
}

/// Journeys that act somewhere.
fn acting(published: &BTreeMap<String, v1::WorkloadBudgets>) -> BTreeSet<String> {
    let enforce = v1::Mode::Enforce as i32;
    let all = published.values();
    all.flat_map(|budgets| {
        let journeys =
            budgets.journeys.iter().filter(move |it| it.mode == enforce).map(|it| it.journey.clone());
        let hops = budgets.hops.iter().filter(move |it| it.mode == enforce).map(|it| it.journey.clone());
        journeys.chain(hops).collect::<Vec<_>>()
    })
    .collect()
}

#[derive(Clone, Debug)]
enum Step {
    Plan([Mode; 2], u64),
    /// Stop or resume all, or the journeys of these places.
    Order(Action, Option<Vec<usize>>),
    Configure(Option<Option<Vec<usize>>>),
    Renew,
    Stranger,
    Tend,
    Restart {
        back_ms: u64,
    },
}

fn steps() -> impl Strategy<Value = Step> {
    let mode = || prop::sample::select(vec![Mode::Observe, Mode::DryRun, Mode::Enforce, Mode::Enforce]);
    let which = || prop::option::of(prop::collection::vec(0..2_usize, 1..3));
    let action = prop::sample::select(vec![Action::Stop, Action::Resume]);
    prop_oneof![
        4 => ([mode(), mode()], 0..3_u64).prop_map(|(modes, seed)| Step::Plan(modes, seed)),
        4 => (action, which()).prop_map(|(action, which)| Step::Order(action, which)),
        1 => prop::option::of(which()).prop_map(Step::Configure),
        1 => Just(Step::Renew),
        1 => Just(Step::Stranger),
        1 => Just(Step::Tend),
        1 => (0..5_000_u64).prop_map(|back_ms| Step::Restart { back_ms }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0x5709), failure_persistence: None, ..ProptestConfig::with_cases(120) })]

    #[test]
    fn what_is_published_is_what_is_allowed_whatever_follows_what(
        steps in prop::collection::vec((steps(), 0..200_u64), 1..40),
    ) {
        let mut world = World::new();
        // The slow twin: a word for each journey, from either voice.
        let (mut ordered, mut configured) = ([false; 2], [false; 2]);
        let mut declared: Option<[Mode; 2]> = None;
        for (step, wait_ms) in steps {
            world.clock_ms += wait_ms;
            match step {
                Step::Plan(modes, seed) => {
                    world.plan(modes, seed);
                    declared = Some(modes);
                }
                Step::Order(action, which) => {
                    for place in which.clone().unwrap_or_else(|| vec![0, 1]) {
                        ordered[place] = action == Action::Stop;
                    }
                    let names = which.map(|all| all.iter().map(|&at| JOURNEYS[at].to_owned()).collect());
                    world.enforcement.order(action, names, order("ann"), None, world.now()).unwrap();
                }
                Step::Configure(line) => {
                    configured = [0, 1].map(|at| {
                        line.as_ref().is_some_and(|which| which.as_ref().is_none_or(|all| all.contains(&at)))
                    });
                    let names = |all: Vec<usize>| all.iter().map(|&at| journey(JOURNEYS[at])).collect();
                    world.configured = line
                        .map(|which| Stopped { journeys: which.map(names), ..Stopped::default() });
                    world.enforcement.configure(world.configured.clone(), world.now());
                }
                Step::Renew => {
                    let later = Moment { at: Micros(world.clock_ms * 1_000 + 20_000_000), unix_ms: world.clock_ms };
                    world.publisher.renew(later);
                }
                Step::Stranger => {
                    let connection = world.proxies.connect(Variant::Delta, 99, world.now()).unwrap();
                    connection.introduce(Some("gone-1"), Some("shop/gone"));
                    world.connections.push(connection);
                }
                Step::Tend => world.enforcement.tend(world.now()),
                Step::Restart { back_ms } => {
                    let stored = world.enforcement.generation();
                    world.restart(world.clock_ms.saturating_sub(back_ms).max(1), stored);
                    declared = None;
                }
            }
            let published = world.look();
            let stopped = [0, 1].map(|at| ordered[at] || configured[at]);
            let stops = world.enforcement.stops();
            prop_assert_eq!(JOURNEYS.map(|name| stops.why(name).is_some()), stopped);
            let expected: BTreeSet<String> = [0, 1]
                .into_iter()
                .filter(|&at| !stopped[at] && declared.is_some_and(|modes| modes[at] == Mode::Enforce))
                .map(|at| JOURNEYS[at].to_owned())
                .collect();
            prop_assert_eq!(acting(&published), expected);
        }
    }
}

#[test]
fn a_generation_grows_though_only_the_switch_remembers_it() {
    let mut world = World::new();
    world.clock_ms = 9_000_000;
    world.plan([Mode::Enforce; 2], 0);
    world.look();
    world.enforcement.order(Action::Stop, None, order("ann"), None, world.now()).unwrap();
    assert!(acting(&world.look()).is_empty());
    // The clock was ahead, and of evidence nothing was stored.
    world.restart(5, Generation(0));
    assert!(world.enforcement.is_unheard(), "no window of evidence is waited for");
    world.plan([Mode::Enforce; 2], 0);
    assert!(acting(&world.look()).is_empty());
    world.enforcement.order(Action::Resume, None, order("ann"), None, world.now()).unwrap();
    assert_eq!(acting(&world.look()).len(), 2);
}

#[test]
fn a_stop_needs_no_planner_and_reaches_whom_no_plan_knows() {
    let mut world = World::new();
    world.plan([Mode::Enforce; 2], 0);
    let connection = world.proxies.connect(Variant::Delta, 9, world.now()).unwrap();
    connection.introduce(Some("gone-1"), Some("shop/gone"));
    world.enforcement.tend(world.now());
    assert!(!world.look().contains_key("shop/gone"));
    world.enforcement.order(Action::Stop, None, order("ann"), None, world.now()).unwrap();
    let published = world.look();
    assert!(acting(&published).is_empty() && published["shop/gone"].journeys.is_empty());
    // Before there was ever a plan, too.
    let mut world = World::new();
    world.enforcement.order(Action::Stop, None, order("ann"), None, world.now()).unwrap();
    let connection = world.proxies.connect(Variant::Delta, 9, world.now()).unwrap();
    connection.introduce(Some("front-1"), Some("shop/front"));
    world.enforcement.tend(world.now());
    assert!(world.look()["shop/front"].hops.is_empty());
    world.plan([Mode::Enforce; 2], 0);
    assert!(acting(&world.look()).is_empty());
}

/// Threads: one plans as fast as it can, another stops and looks.
#[test]
fn after_a_stop_was_taken_nothing_that_acts_is_published() {
    let world = World::new();
    let (enforcement, publisher) = (&world.enforcement, &world.publisher);
    let ended = std::sync::atomic::AtomicBool::new(false);
    let now = world.now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut generation = 1_000;
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                generation += 1;
                let workloads = budgets([Mode::Enforce; 2], generation);
                let plan =
                    PlanSnapshot { generation: Generation(generation), workloads, journeys: BTreeMap::new() };
                enforcement.publish(Arc::new(plan), now);
            }
        });
        let enforced = || {
            let snapshot = publisher.snapshot();
            let set = snapshot.get(WORKLOAD_BUDGETS_TYPE_URL);
            let mut bodies = set.into_iter().flat_map(|set| set.resources.values());
            bodies.any(|resource| {
                let budgets = v1::WorkloadBudgets::decode(&*resource.body).unwrap();
                budgets.journeys.iter().any(|journey| journey.mode == v1::Mode::Enforce as i32)
            })
        };
        for _ in 0..30 {
            while !enforced() {
                std::thread::yield_now();
            }
            enforcement.order(Action::Stop, None, order("ann"), None, now).unwrap();
            for _ in 0..50 {
                if enforced() {
                    ended.store(true, std::sync::atomic::Ordering::Relaxed);
                    panic!("budgets that act were published after the stop was taken");
                }
            }
            enforcement.order(Action::Resume, None, order("ann"), None, now).unwrap();
        }
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn an_order_by_who_did_not_see_the_last_one_is_overtaken() {
    let world = World::new();
    let order_at = |action, seen| world.enforcement.order(action, None, order("ann"), seen, world.now());
    assert_eq!(order_at(Action::Stop, Some(0)), Ok(true));
    assert_eq!(order_at(Action::Resume, Some(0)), Err(Overtaken { revision: 1 }));
    assert_eq!(order_at(Action::Resume, Some(1)), Ok(true));
    // The same request sent again by somebody who overheard it.
    assert_eq!(order_at(Action::Stop, None), Ok(true));
    assert_eq!(order_at(Action::Resume, Some(1)), Err(Overtaken { revision: 3 }));
}

#[test]
fn what_cannot_be_kept_is_in_force_and_kept_later() {
    let world = World::new();
    let path = world.folder.path().join("enforcement.json");
    // In the way, for who runs as root too.
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    world.enforcement.order(Action::Stop, None, order("ann"), None, world.now()).unwrap();
    let view = world.enforcement.view();
    assert!(view.stops.all() && !view.durable && view.unkept.is_some());
    std::fs::remove_dir(&path).unwrap();
    world.enforcement.tend(world.now());
    let view = world.enforcement.view();
    assert!(view.durable && view.unkept.is_none() && path.is_file());
}

#[test]
fn a_damaged_record_stops_everything_rather_than_to_forget_a_stop() {
    let mut world = World::new();
    std::fs::write(world.folder.path().join("enforcement.json"), "{").unwrap();
    world.restart(1_000, Generation(0));
    let stops = world.enforcement.stops();
    let why = &stops.switch.all.as_ref().unwrap().why;
    assert!(stops.all() && why.contains("cannot be read"), "{why}");
}

#[test]
fn a_record_that_is_removed_or_emptied_is_written_anew() {
    let mut world = World::new();
    let at = |name: &str| world.folder.path().join(name);
    let (record, copy) = (at("enforcement.json"), at("enforcement.copy.json"));
    world.enforcement.order(Action::Stop, None, order("ann"), None, world.now()).unwrap();
    let kept = std::fs::read(&record).unwrap();
    for emptied in [false, true] {
        let lose = |path: &std::path::Path| {
            if emptied { std::fs::write(path, "") } else { std::fs::remove_file(path) }
        };
        lose(&record).unwrap();
        world.enforcement.tend(world.now());
        assert_eq!(std::fs::read(&record).unwrap(), kept);
        [&record, &copy].iter().for_each(|path| lose(path).unwrap());
        world.enforcement.tend(world.now());
        assert_eq!(
            (std::fs::read(&record).unwrap(), std::fs::read(&copy).unwrap()),
            (kept.clone(), kept.clone())
        );
    }
    std::fs::remove_file(&record).unwrap();
    world.restart(1_000, Generation(0));
    let view = world.enforcement.view();
    assert!(
        view.stops.all() && view.told.record.as_ref().unwrap().contains("still stopped"),
        "{:?}",
        view.told
    );
    assert_eq!(std::fs::read(&record).unwrap(), kept, "at once");
    world.enforcement.order(Action::Resume, None, order("ann"), None, world.now()).unwrap();
    assert_eq!(world.enforcement.view().told.record, None);
}
