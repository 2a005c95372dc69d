//! 10 000 random expressions against exact enumeration, for every assumption: no violation.

use std::collections::{BTreeMap, BTreeSet};
use std::prelude::v1::*;
use std::vec;

use super::random::{Random, Shape, expression};
use super::twin::{Twin, base, scopes, separate, states};
use super::*;
use crate::journey::Expr;

const ROUNDING: f64 = 1e-12;

/// Every timeout's share, known exactly.
fn state_within(facts: &mut Facts, expr: &Expr, share: f64) {
    if let Expr::Timeout { after, body } | Expr::Retry { per_try_timeout: Some(after), body, .. } = expr {
        facts.set_within(body, *after, Interval::of(share, share));
    }
    expr.children().into_iter().for_each(|child| state_within(facts, child, share));
}

struct Case {
    journey: Journey,
    /// The journey with names that stand for events.
    twin: Expr,
    random: Random,
    lean: f64,
    within: f64,
    view: View,
}

impl Case {
    fn new(seed: u64, repeated_tries: bool) -> Self {
        let mut random = Random(seed);
        let shape = Shape { leaves: 2 + random.below(4), names: 2 + random.below(4), repeated_tries };
        let journey = expression(&mut random, shape);
        let view = if random.below(2) == 0 { View::Immediate } else { View::Eventual };
        let twin = separate(journey.root(), view);
        Self { journey, twin, lean: random.unit(), within: random.unit(), view, random }
    }

    fn names(&self) -> BTreeSet<ComponentName> {
        self.journey.leaves().into_iter().cloned().collect()
    }

    /// The events of repeated components, each with the component it is of; the others need no state, each of their calls being
    /// independent of everything.
    fn events(&self) -> BTreeSet<Event> {
        let scopes = scopes(&self.twin, self.view);
        let mut events = BTreeSet::new();
        self.exact(&mut |(name, tries)| {
            events.extend(event(&scopes, name, &tries));
            0.5
        });
        events
    }

    fn exact(&self, up: &mut dyn FnMut(super::twin::Call<'_>) -> f64) -> f64 {
        Twin { up, lean: self.lean, within: self.within, view: self.view }.value(&self.twin, &[])
    }

    /// Facts whose intervals hold the given values; half of the time wider.
    fn facts(&mut self, values: &BTreeMap<ComponentName, (f64, f64)>) -> Facts {
        let mut facts = Facts::default();
        for (name, (lo, hi)) in values {
            let slack = if self.random.below(2) == 0 { 0.0 } else { 0.1 * self.random.unit() };
            let availability = Interval::of(lo - slack, hi + slack);
            facts.components.insert(name.clone(), Component { availability, domains: known(&[]) });
        }
        state_within(&mut facts, self.journey.root(), self.within);
        facts
    }

    fn availability(&mut self) -> f64 {
        match self.random.below(8) {
            0 => 0.0,
            1 => 1.0,
            2 => 1.0 - 1e-6 * self.random.unit(),
            _ => self.random.unit(),
        }
    }

    fn check(&self, bound: Bound, exact: f64) {
        let inside = bound.interval.encloses(Interval::of(exact, exact), ROUNDING);
        assert!(
            inside,
            "{}: {exact} is not in {} ({})",
            self.journey,
            bound.interval,
            bound.assumption.label()
        );
    }
}

/// Runs random cases until that many were checked: a check says false when exact enumeration would take too long.
fn until(cases: u64, salt: u64, mut check: impl FnMut(Case) -> bool) {
    let (mut checked, mut seed) = (0, 0);
    while checked < cases {
        checked += u64::from(check(Case::new(seed ^ salt, true)));
        seed += 1;
        assert!(seed < 2 * cases, "most cases must be checked");
    }
}

type Event = (ComponentName, Vec<u32>);

fn event(scopes: &BTreeMap<ComponentName, usize>, name: &ComponentName, tries: &[u32]) -> Option<Event> {
    scopes.get(name).map(|&scope| (name.clone(), tries[..scope].to_vec()))
}

/// Most events whose states are gone through.
const EVENTS_MAX: usize = 10;

/// Independent components, repeated ones conditioned on globally (the code under test does it node by node). `None` when that takes
/// too long.
fn exact_independent(case: &Case, values: &BTreeMap<ComponentName, f64>) -> Option<f64> {
    let scopes = scopes(&case.twin, case.view);
    let events: BTreeMap<Event, f64> =
        case.events().into_iter().map(|e| (e.clone(), values[&base(&e.0)])).collect();
    let given = |(weight, state): (f64, BTreeMap<&Event, bool>)| {
        let up = |name: &ComponentName, tries: &[u32]| {
            let state = event(&scopes, name, tries).map(|event| state[&event]);
            state.map_or(values[&base(name)], |up| f64::from(u8::from(up)))
        };
        weight * case.exact(&mut |(name, tries)| up(name, &tries))
    };
    (events.len() <= EVENTS_MAX).then(|| states(&events).map(given).sum())
}

#[test]
fn independent_holds_and_the_law_of_enclosure_too() {
    until(10_000, 0, |mut case| {
        let values: BTreeMap<ComponentName, f64> =
            case.names().into_iter().map(|name| (name, case.availability())).collect();
        let Some(exact) = exact_independent(&case, &values) else { return false };
        let pairs = values.iter().map(|(name, a)| (name.clone(), (*a, *a))).collect();
        let mut facts = case.facts(&pairs);
        let bound = independent(&case.journey, &facts, case.view).unwrap();
        case.check(bound, exact);
        for component in facts.components.values_mut() {
            component.domains = match case.random.below(4) {
                0 => Domains::Missing,
                1 => known(&["x"]),
                2 => known(&["x", "y"]),
                _ => known(&[]),
            };
        }
        let envelope = shared_fate(&case.journey, &facts, case.view).unwrap();
        let any = any_dependence(&case.journey, &facts, case.view).unwrap();
        what_if_agrees(&case.journey, &facts);
        case.check(envelope, exact);
        let law = |outer: Bound, inner: Bound| {
            assert!(
                outer.interval.encloses(inner.interval, ROUNDING),
                "{}: {} {}, {} {}",
                case.journey,
                outer.assumption.label(),
                outer.interval,
                inner.assumption.label(),
                inner.interval
            );
        };
        law(envelope, bound);
        law(any, envelope);
        true
    });
}

/// Attribution's own evaluation is the envelope's lower end, also after a change.
fn what_if_agrees(journey: &Journey, facts: &Facts) {
    let lower = |facts: &Facts| shared_fate(journey, facts, View::Immediate).unwrap().interval.lo();
    let now = lower(facts);
    for found in attribute(journey, facts).unwrap() {
        let (best, worst) = (Interval::of(1.0, 1.0), Interval::of(0.0, 0.0));
        let best = lower(&facts.with(&found.component, best));
        assert!((best - now - found.gain).abs() < ROUNDING, "{journey}: {found:?}");
        let importance = best - lower(&facts.with(&found.component, worst));
        assert!((importance - found.importance).abs() < ROUNDING, "{journey}: {found:?}");
    }
}

#[test]
fn exact_facts_give_exact_independence() {
    until(2_000, 0, |mut case| {
        let values: BTreeMap<ComponentName, f64> =
            case.names().into_iter().map(|name| (name, case.availability())).collect();
        let mut facts = Facts::default();
        for (name, a) in &values {
            facts.components.insert(name.clone(), component(*a, &[]));
        }
        state_within(&mut facts, case.journey.root(), case.within);
        let interval = independent(&case.journey, &facts, case.view).unwrap().interval;
        let Some(exact) = exact_independent(&case, &values) else { return false };
        let loose = case.journey.to_string().contains('[');
        assert!(
            loose || (interval.lo() - exact).abs() < 1e-12 && interval.width() < 1e-12,
            "{}",
            case.journey
        );
        true
    });
}

#[test]
fn any_dependence_holds_on_random_joint_distributions() {
    until(10_000, 0xa5a5, |mut case| {
        let atoms = {
            let atoms = 2 + case.random.below(7);
            case.random.parts(atoms)
        };
        let bias = case.random.unit();
        let mut random = Random(case.random.next());
        let mut table: BTreeMap<(ComponentName, Vec<u32>), Vec<bool>> = BTreeMap::new();
        let mut exact = 0.0;
        for (atom, weight) in atoms.iter().enumerate() {
            exact += weight
                * case.exact(&mut |(name, tries)| {
                    let draws = table
                        .entry((name.clone(), tries))
                        .or_insert_with(|| (0..atoms.len()).map(|_| random.unit() < bias).collect());
                    f64::from(u8::from(draws[atom]))
                });
        }
        // Marginals: of each component the least and the most over its tries.
        let mut values: BTreeMap<ComponentName, (f64, f64)> = BTreeMap::new();
        for ((name, _), draws) in &table {
            let marginal = draws.iter().zip(&atoms).filter(|(up, _)| **up).map(|(_, w)| w).sum::<f64>();
            let held = values.entry(base(name)).or_insert((1.0, 0.0));
            *held = (held.0.min(marginal), held.1.max(marginal));
        }
        // Nobody waits for the others.
        case.names().into_iter().for_each(|name| {
            values.entry(name).or_insert((0.5, 0.5));
        });
        let facts = case.facts(&values);
        case.check(any_dependence(&case.journey, &facts, case.view).unwrap(), exact);
        true
    });
}

#[test]
fn the_envelope_and_common_cause_hold_for_domains_that_fail() {
    until(10_000, 0x5a5a, |mut case| {
        let zones = ["x", "y"];
        let domain_up: BTreeMap<ComponentName, f64> =
            zones.iter().map(|zone| (name(zone), case.availability())).collect();
        let own: BTreeMap<ComponentName, f64> =
            case.names().into_iter().map(|name| (name, case.availability())).collect();
        let homes: BTreeMap<ComponentName, Vec<&str>> = own
            .keys()
            .map(|name| (name.clone(), zones.into_iter().filter(|_| case.random.below(2) == 0).collect()))
            .collect();
        let scopes = scopes(&case.twin, case.view);
        let mut events: BTreeMap<Event, f64> =
            case.events().into_iter().map(|event| (event.clone(), own[&base(&event.0)])).collect();
        if events.len() > EVENTS_MAX {
            return false;
        }
        events.extend(domain_up.iter().map(|(zone, up)| ((zone.clone(), vec![]), *up)));
        let mut exact = 0.0;
        for (weight, state) in states(&events) {
            exact += weight
                * case.exact(&mut |(call, tries)| {
                    let housed = homes[&base(call)].iter().all(|zone| state[&(name(zone), vec![])]);
                    let own_state = event(&scopes, call, &tries).map(|event| state[&event]);
                    let up = own_state.map_or(own[&base(call)], |up| f64::from(u8::from(up)));
                    if housed { up } else { 0.0 }
                });
        }
        let marginal = |call: &ComponentName| {
            own[call] * homes[call].iter().map(|zone| domain_up[&name(zone)]).product::<f64>()
        };
        let mut facts = case.facts(&own.keys().map(|n| (n.clone(), (marginal(n), marginal(n)))).collect());
        for (name, component) in &mut facts.components {
            component.domains = known(&homes[name]);
        }
        case.check(shared_fate(&case.journey, &facts, case.view).unwrap(), exact);
        // Nothing known about the domains: the lower end still holds.
        for component in facts.components.values_mut() {
            component.domains = Domains::Conflicting;
        }
        let blind = shared_fate(&case.journey, &facts, case.view).unwrap();
        assert!(blind.interval.lo() <= exact + ROUNDING, "{}: {} {exact}", case.journey, blind.interval);
        true
    });
}

fn waited(expr: &Expr, view: View) -> BTreeSet<ComponentName> {
    match expr {
        Expr::Leaf(name) => [name.clone()].into(),
        Expr::Async(_) if view == View::Immediate => BTreeSet::new(),
        other => other.children().into_iter().flat_map(|child| waited(child, view)).collect(),
    }
}

#[test]
fn common_cause_is_exact() {
    until(3_000, 0x3c3c, |mut case| {
        let values: BTreeMap<ComponentName, f64> =
            case.names().into_iter().map(|name| (name, 0.5 + 0.5 * case.random.unit())).collect();
        let mut facts = Facts::default();
        for (name, a) in &values {
            let domains: &[&str] = if case.random.below(3) == 0 { &[] } else { &["x"] };
            facts.components.insert(name.clone(), component(*a, domains));
        }
        state_within(&mut facts, case.journey.root(), case.within);
        let beta = case.random.unit();
        let betas = [("x".to_string(), beta)].into_iter().collect();
        let Bound { interval, .. } = common_cause(&case.journey, &facts, &betas, case.view).unwrap();

        // Members are those the outcome waits for.
        let waited: BTreeSet<ComponentName> = waited(case.journey.root(), case.view);
        let members: Vec<&ComponentName> = facts
            .components
            .iter()
            .filter(|(name, c)| c.domains == known(&["x"]) && waited.contains(*name))
            .map(|(n, _)| n)
            .collect();
        let least = members.iter().map(|n| 1.0 - values[*n]).fold(1.0, f64::min);
        let fails = beta * least;
        let given = |up: bool| {
            let own = |n: &ComponentName| match (members.contains(&n), up) {
                (true, false) => 0.0,
                (true, true) => (values[n] / (1.0 - fails)).min(1.0),
                _ => values[n],
            };
            exact_independent(&case, &values.keys().map(|n| (n.clone(), own(n))).collect())
        };
        let (Some(up), Some(down)) = (given(true), given(false)) else { return false };
        let exact = (1.0 - fails) * up + fails * down;
        let loose = case.journey.to_string().contains('[');
        assert!(loose || (interval.lo() - exact).abs() < 1e-12, "{}: {interval} {exact}", case.journey);
        true
    });
}

// === Slack to the optimum over all joint distributions ===

/// Least and most of `sum x_w value_w` over distributions `x` on worlds with the given marginals, by going through every basis.
fn optimum(values: &[f64], marginals: &[f64]) -> (f64, f64) {
    let rows = marginals.len() + 1;
    let column = |world: usize| -> Vec<f64> {
        (0..marginals.len()).map(|i| f64::from(u8::from(world >> i & 1 == 1))).chain([1.0]).collect()
    };
    let target: Vec<f64> = marginals.iter().copied().chain([1.0]).collect();
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    for basis in (0..1_u32 << values.len()).filter(|set| set.count_ones() as usize == rows) {
        let worlds: Vec<usize> = (0..values.len()).filter(|w| basis >> w & 1 == 1).collect();
        let columns: Vec<Vec<f64>> = worlds.iter().map(|&w| column(w)).collect();
        if let Some(x) = solve(&columns, &target).filter(|x| x.iter().all(|&x| x >= -1e-9)) {
            let sum: f64 = x.iter().zip(&worlds).map(|(x, &w)| x * values[w]).sum();
            least = least.min(sum);
            most = most.max(sum);
        }
    }
    (least, most)
}

fn solve(columns: &[Vec<f64>], target: &[f64]) -> Option<Vec<f64>> {
    let n = target.len();
    let mut m: Vec<Vec<f64>> =
        (0..n).map(|r| columns.iter().map(|c| c[r]).chain([target[r]]).collect()).collect();
    for c in 0..n {
        let pivot = (c..n).max_by(|&a, &b| m[a][c].abs().total_cmp(&m[b][c].abs()))?;
        m.swap(c, pivot);
        if m[c][c].abs() < 1e-9 {
            return None;
        }
        let row = m[c].clone();
        for (_, other) in m.iter_mut().enumerate().filter(|(r, _)| *r != c) {
            let factor = other[c] / row[c];
            other.iter_mut().zip(&row).for_each(|(x, p)| *x -= factor * p);
        }
    }
    Some((0..n).map(|r| m[r][n] / m[r][r]).collect())
}

#[test]
fn slack_of_any_dependence_to_the_optimum() {
    let (mut sum, mut worst, mut sharp, mut all) = (0.0, 0.0_f64, 0, 0);
    for seed in 0..400 {
        let mut random = Random(seed);
        let leaves = 2 + random.below(2) + usize::from(seed % 20 == 0);
        let journey = expression(&mut random, Shape { leaves, names: leaves, repeated_tries: false });
        let twin = separate(journey.root(), View::Eventual);
        let mut case = Case { journey, twin, lean: 0.0, within: 1.0, view: View::Eventual, random };
        if case.journey.to_string().contains('[') {
            continue;
        }
        let names: Vec<ComponentName> = case.names().into_iter().collect();
        let marginals: Vec<f64> = names.iter().map(|_| case.random.unit()).collect();
        let values: Vec<f64> = (0..1_usize << names.len())
            .map(|world| {
                case.exact(&mut |(call, _)| {
                    let place = names.iter().position(|n| *n == base(call)).unwrap();
                    f64::from(u8::from(world >> place & 1 == 1))
                })
            })
            .collect();
        let (least, most) = optimum(&values, &marginals);
        let pairs = names.iter().cloned().zip(marginals.iter().map(|m| (*m, *m))).collect::<BTreeMap<_, _>>();
        let mut facts = Facts::default();
        for (name, (a, _)) in &pairs {
            facts.components.insert(name.clone(), component(*a, &[]));
        }
        state_within(&mut facts, case.journey.root(), 1.0);
        let Bound { interval, .. } = any_dependence(&case.journey, &facts, View::Eventual).unwrap();
        assert!(interval.encloses(Interval::of(least, most), 1e-7), "{}", case.journey);
        let slack = (least - interval.lo()).max(interval.hi() - most).max(0.0);
        (sum, worst, all) = (sum + slack, worst.max(slack), all + 1);
        sharp += usize::from(slack < 1e-7);
    }
    std::println!(
        "any dependence: sharp in {sharp} of {all} expressions, mean slack {:.4}, worst {worst:.4}",
        sum / f64::from(all)
    );
    assert!(sharp * 2 > all as usize, "sharp more often than not");
}
