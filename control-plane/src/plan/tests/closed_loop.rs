//! The planner against the sidecar's own machine: a simulated checkout, evidence by the second, a new plan by the second.
//!
//! What each phase must show is what the demo shows on real Envoys; here it takes no time and is the same every time.

use std::collections::{BTreeMap, VecDeque};

use emac_core::context::{Absolute, Remaining};
use emac_core::enforce::{AfterFailure, Asks, Before, Body, CallAction, Enforcer};
use emac_core::outcome::Outcome;

use super::*;

const GET: Asks = Asks { grpc: false, idempotent: true, body: Body::Whole };
const RATE: u64 = 200;
const WINDOW_S: usize = 5;
/// Way from the edge to the front and back, and through each sidecar.
const OVERHEAD_US: u64 = 2_000;

/// A state of [`emac_core::mix`].
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        emac_core::mix::unit(&mut self.0)
    }

    fn lognormal(&mut self, p50_ms: f64, p99_ms: f64) -> u64 {
        let sigma = (p99_ms / p50_ms).ln() / 2.326;
        let normal = (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos();
        (1_000.0 * p50_ms * (sigma * normal).exp()) as u64
    }
}

/// A service as it is right now.
#[derive(Clone, Copy)]
struct Service {
    p50_ms: f64,
    p99_ms: f64,
    /// Share of answers that come a second late.
    late: f64,
    down: bool,
}

impl Service {
    const fn usual(p50_ms: f64, p99_ms: f64) -> Self {
        Self { p50_ms, p99_ms, late: 0.0, down: false }
    }

    /// Latency in microseconds and whether the answer is good.
    fn call(self, random: &mut Random) -> (u64, bool) {
        if self.down {
            return (500, false);
        }
        let late = if random.unit() < self.late { 1_000_000 } else { 0 };
        (OVERHEAD_US + late + random.lognormal(self.p50_ms, self.p99_ms), true)
    }
}

struct World {
    random: Random,
    services: BTreeMap<&'static str, Service>,
    front: Enforcer,
    intents: [JourneyInput; 1],
    plan: PlanSnapshot,
    seconds: VecDeque<EvidenceByHop>,
    now: u64,
}

/// A phase as its users saw it.
#[derive(Default)]
struct Seen {
    requests: u64,
    within: u64,
    degraded: u64,
    alternate: u64,
}

impl Seen {
    fn share(&self, part: u64) -> f64 {
        part as f64 / self.requests as f64
    }
}

impl World {
    fn new(mode: Mode) -> Self {
        let mut intent = checkout();
        intent.runtime.mode = mode;
        intent.runtime.damping.period = Millis(1_000);
        let services = [
            ("front", Service::usual(3.0, 8.0)),
            ("cart", Service::usual(20.0, 60.0)),
            ("pricing", Service::usual(20.0, 60.0)),
            ("paya", Service::usual(30.0, 90.0)),
            ("payb", Service::usual(30.0, 90.0)),
        ];
        let plan = first(&intent, &EvidenceByHop::new());
        let mut world = Self {
            random: Random(1),
            services: services.into_iter().collect(),
            front: Enforcer::new(Mode::Enforce),
            intents: [intent],
            plan,
            seconds: VecDeque::new(),
            now: NOW * 1_000,
        };
        world.take_budgets();
        world
    }

    fn take_budgets(&mut self) {
        let budgets = &self.plan.workloads[&workload("shop/front")];
        self.front.apply(Micros(self.now), Micros(self.now), budgets).unwrap();
    }

    /// Runs a phase; what is seen leaves out the first second, in which the plan learns.
    fn phase(&mut self, seconds: u64, change: impl Fn(&mut BTreeMap<&'static str, Service>)) -> Seen {
        change(&mut self.services);
        let mut seen = Seen::default();
        for second in 0..seconds {
            let mut evidence = EvidenceByHop::new();
            let mut here = Seen::default();
            for _ in 0..RATE {
                self.request(&mut evidence, &mut here);
                self.now += 1_000_000 / RATE;
            }
            self.learn(evidence);
            if second > 0 {
                seen.requests += here.requests;
                seen.within += here.within;
                seen.degraded += here.degraded;
                seen.alternate += here.alternate;
            }
        }
        seen
    }

    fn learn(&mut self, evidence: EvidenceByHop) {
        self.seconds.push_back(evidence);
        if self.seconds.len() > WINDOW_S {
            self.seconds.pop_front();
        }
        let mut window = EvidenceByHop::new();
        for (key, hop) in self.seconds.iter().flatten() {
            let held = window.entry(key.clone()).or_default();
            held.outcomes.merge(&hop.outcomes);
            held.latency.merge(&hop.latency);
            held.alternate_latency.merge(&hop.alternate_latency);
            held.alternate_asked += hop.alternate_asked;
        }
        self.plan = plan(&self.intents, &window, Some(&self.plan), self.now / 1_000);
        self.take_budgets();
    }

    fn request(&mut self, evidence: &mut EvidenceByHop, seen: &mut Seen) {
        let start = self.now;
        let deadline = Remaining(Millis(400)).at(Micros(start));
        let at = start + OVERHEAD_US + self.services["front"].call(&mut self.random).0;
        let (cart, cart_well) = self.hop("cart", at, deadline, evidence);
        let (pricing, pricing_well) = self.hop("pricing", at, deadline, evidence);
        let (mut end, mut well) = (cart.max(pricing), cart_well.is_good() && pricing_well.is_good());
        let mut paid = Outcome::Error;
        if well {
            (end, paid) = self.hop("paya", end, deadline, evidence);
            well = paid.is_good();
        }
        seen.requests += 1;
        seen.within += u64::from(well && end + OVERHEAD_US <= start + 400_000);
        seen.degraded += u64::from(pricing_well == Outcome::Fallback);
        seen.alternate += u64::from(paid == Outcome::Alternate);
    }

    /// One call through the front's sidecar: when it is over, and how.
    fn hop(
        &mut self,
        to: &'static str,
        at: u64,
        deadline: Absolute,
        evidence: &mut EvidenceByHop,
    ) -> (u64, Outcome) {
        let hop = self.front.resolve("checkout", to, "");
        let decision = self.front.on_request(Micros(at), hop, Some(deadline), GET);
        let record = evidence
            .entry(super::evidence(&[(to, HopEvidence::default())]).into_keys().next().unwrap())
            .or_default();
        let timeout = match decision.action {
            CallAction::Call(call) if decision.acts() => call.timeout,
            CallAction::FallbackBefore(Before::Static) if decision.acts() => {
                record.outcomes.add(Outcome::Fallback);
                return (at, Outcome::Fallback);
            }
            CallAction::FallbackBefore(Before::Route { .. }) | CallAction::Refuse if decision.acts() => {
                record.outcomes.add(Outcome::Shed);
                return (at, Outcome::Shed);
            }
            _ => None,
        };
        let (took, good) = self.services[to].call(&mut self.random);
        let limit = timeout.map_or(u64::MAX, |timeout| timeout.to_micros().0);
        if good && took <= limit {
            record.latency.record(Micros(took));
            record.outcomes.add(Outcome::Success);
            self.front.on_end(hop, 0);
            return (at + took, Outcome::Success);
        }
        let failed = at + took.min(limit);
        let (end, outcome) = self.after_failure(hop, failed, deadline, record, took > limit);
        record.outcomes.add(outcome);
        self.front.on_end(hop, 0);
        (end, outcome)
    }

    fn after_failure(
        &mut self,
        hop: emac_core::enforce::HopRef,
        failed: u64,
        deadline: Absolute,
        record: &mut HopEvidence,
        late: bool,
    ) -> (u64, Outcome) {
        let follow = self.front.on_failure(Micros(failed), hop, Some(deadline), GET);
        let badly = if late { Outcome::Timeout } else { Outcome::Error };
        match follow.what {
            _ if !follow.acts() => (failed, badly),
            AfterFailure::Pass(_) => (failed, badly),
            AfterFailure::Static => (failed, Outcome::Fallback),
            AfterFailure::Callout { timeout } => {
                record.alternate_asked += 1;
                let (took, good) = self.services["payb"].call(&mut self.random);
                let limit = timeout.to_micros().0;
                if good && took <= limit {
                    record.alternate_latency.record(Micros(took));
                    (failed + took, Outcome::Alternate)
                } else {
                    (failed + took.min(limit), badly)
                }
            }
        }
    }
}

trait Good {
    fn is_good(&self) -> bool;
}

impl Good for Outcome {
    fn is_good(&self) -> bool {
        matches!(self, Self::Success | Self::Fallback | Self::Alternate)
    }
}

fn set(services: &mut BTreeMap<&'static str, Service>, name: &'static str, service: Service) {
    services.insert(name, service);
}

/// healthy, paya-slow, paya-down, pricing-slow, pricing-down, recovered.
fn six_phases(world: &mut World) -> Vec<Seen> {
    let pay = Service::usual(30.0, 90.0);
    let price = Service::usual(20.0, 60.0);
    vec![
        world.phase(10, |_| {}),
        world.phase(10, |s| set(s, "paya", Service::usual(300.0, 900.0))),
        world.phase(10, |s| set(s, "paya", Service { down: true, ..pay })),
        world.phase(10, |s| {
            set(s, "paya", pay);
            set(s, "pricing", Service { late: 0.15, ..price });
        }),
        world.phase(10, |s| set(s, "pricing", Service { down: true, ..price })),
        world.phase(15, |s| set(s, "pricing", price)),
    ]
}

#[test]
fn the_demo_holds_when_enforced_and_does_not_when_observed() {
    let (mut enforced, mut observed) = (World::new(Mode::Enforce), World::new(Mode::Observe));
    let (with, without) = (six_phases(&mut enforced), six_phases(&mut observed));
    let within = |phases: &[Seen], i: usize| phases[i].share(phases[i].within);
    for phase in [0, 1, 2, 3] {
        assert!(within(&with, phase) >= 0.995, "phase {phase}: {}", within(&with, phase));
    }
    for phase in [1, 2, 3] {
        assert!(within(&without, phase) < 0.9, "phase {phase}: {}", within(&without, phase));
    }
    assert!((within(&with, 0) - within(&without, 0)).abs() < 0.005, "healthy: no difference");
    assert!(with[0].share(with[0].alternate) < 0.03 && with[0].share(with[0].degraded) < 0.01, "healthy");
    assert!(with[2].share(with[2].alternate) > 0.99, "down: everything by the alternate");
    let slow = with[3].share(with[3].degraded);
    assert!((0.1..0.2).contains(&slow), "15 % of prices are late: {slow}");
    // An outage is not hidden: a fifth of the prices come from the cache, the others fail.
    let down = with[4].share(with[4].degraded);
    assert!((0.15..0.21).contains(&down), "{down}");
    assert!(within(&with, 4) < 0.22);
    assert!(within(&with, 5) >= 0.99, "recovered: {}", within(&with, 5));
}

#[test]
fn a_healthy_minute_changes_the_plan_a_few_times_at_most() {
    let mut world = World::new(Mode::Enforce);
    world.phase(10, |_| {});
    let mut generations = Vec::new();
    for _ in 0..60 {
        world.phase(1, |_| {});
        generations.push(world.plan.generation);
    }
    generations.dedup();
    assert!(generations.len() <= 3, "{generations:?}");
}

/// The intent says nothing of latencies, and the services are far slower than the built-in default.
#[test]
fn wrong_defaults_are_outvoted_within_seconds() {
    let world = |mode| {
        let mut world = World::new(mode);
        for component in world.intents[0].components.values_mut() {
            component.latency = None;
        }
        world.front = Enforcer::new(Mode::Enforce);
        world.plan = first(&world.intents[0], &EvidenceByHop::new());
        world.take_budgets();
        for name in ["cart", "pricing"] {
            set(&mut world.services, name, Service::usual(60.0, 110.0));
        }
        for name in ["paya", "payb"] {
            set(&mut world.services, name, Service::usual(90.0, 150.0));
        }
        world.phase(10, |_| {});
        world.phase(10, |_| {})
    };
    let (with, without) = (world(Mode::Enforce), world(Mode::Observe));
    let within = |seen: &Seen| seen.share(seen.within);
    assert!(within(&with) >= within(&without) - 0.01, "{} {}", within(&with), within(&without));
    assert!(with.share(with.alternate) < 0.2, "{}", with.share(with.alternate));
}
