//! Bounds of random expressions against exact enumeration: repeated components, async, intervals of branches, time limits of parts and of tries, and
//! common causes. No violation.
//!
//! A world is drawn, not computed from the bounds' formulas: each domain has a cause of a few levels, each component succeeds, and succeeds
//! quickly, with probabilities that fall with the levels of its domains; a component that stands in several places is up
//! or down for all of them, and how quickly it answers is drawn for each call. Every combination of levels, and of such states, is played
//! through the expression in time. So all successes are rising functions
//! of independent causes, one for each domain and one for each component.
//!
//! `EMAC_ORACLE=10000` goes through that many expressions (`make oracle`); else some hundred.

use std::collections::{BTreeMap, BTreeSet};
use std::prelude::v1::*;
use std::vec;

use super::random::{Random, Shape, expression};
use super::twin::{base, scopes, separate, states};
use super::*;
use crate::bound::latency::tests::call::{Mixed, Went, World, well_by};
use crate::bound::latency::{Band, LatencyFacts, LatencyGrid};
use crate::journey::Expr;
use crate::units::Millis;

const ROUNDING: f64 = 1e-9;

/// Expressions to go through.
fn cases() -> u64 {
    std::env::var("EMAC_ORACLE").ok().and_then(|count| count.parse().ok()).unwrap_or(300)
}

/// How one component behaves for each combination of levels of its domains, worst last.
struct Behaviour {
    domains: Vec<usize>,
    /// (succeeds, succeeds quickly) by level of the first domain and of the second.
    table: BTreeMap<(usize, usize), (f64, f64)>,
}

const QUICK: u64 = 3_000;
const SLOW: u64 = 20_000;

struct Scene {
    journey: Journey,
    /// Names stand for events.
    twin: Expr,
    view: View,
    lean: f64,
    random: Random,
    /// Probabilities of the levels of each domain.
    levels: Vec<Vec<f64>>,
    behaviours: BTreeMap<ComponentName, Behaviour>,
}

const DOMAINS: [&str; 2] = ["x", "y"];
/// Most states that are gone through, as a power of two.
const EVENTS_MAX: usize = 7;

type Event = (ComponentName, Vec<u32>);

impl Scene {
    /// `dependent`: components share domains, whose causes have several levels.
    fn new(seed: u64, dependent: bool) -> Self {
        let mut random = Random(seed);
        let shape = Shape { leaves: 2 + random.below(4), names: 2 + random.below(4), repeated_tries: true };
        let journey = expression(&mut random, shape);
        let view = if random.below(2) == 0 { View::Immediate } else { View::Eventual };
        let twin = separate(journey.root(), view);
        let levels = DOMAINS.map(|_| {
            if dependent {
                let n = 1 + random.below(2);
                random.parts(1 + n)
            } else {
                vec![1.0]
            }
        });
        let names: BTreeSet<ComponentName> = journey.leaves().into_iter().cloned().collect();
        let lean = random.unit();
        let levels = levels.into_iter().collect::<Vec<_>>();
        let behaviours =
            names.into_iter().map(|name| (name, behaviour(&mut random, &levels, dependent))).collect();
        Self { journey, twin, view, lean, random, levels, behaviours }
    }

    /// States that several calls share: of repeated components, in each try that all its occurrences lie in.
    fn events(&self) -> BTreeSet<Event> {
        let scopes = scopes(&self.twin, self.view);
        let mut events = BTreeSet::new();
        self.play(&mut |name, tries| {
            events.extend(scopes.get(name).map(|&scope| (name.clone(), tries[..scope].to_vec())));
            vec![(1.0, Went::Well(0))]
        });
        events
    }

    fn play(&self, fate: &mut dyn FnMut(&ComponentName, &[u32]) -> Mixed) -> Mixed {
        let fate = &mut |(name, place): (&ComponentName, Vec<usize>)| fate(name, &tries(&self.twin, &place));
        World { fate, lean: self.lean, view: self.view }.play(&self.twin, &[])
    }

    fn odds(&self, name: &ComponentName, world: &[usize]) -> (f64, f64) {
        let behaviour = &self.behaviours[&base(name)];
        let level = |place: usize| behaviour.domains.get(place).map_or(0, |&domain| world[domain]);
        behaviour.table[&(level(0), level(1))]
    }

    /// The share that is answered well in the end; `None` when going through takes too long.
    fn exact(&self) -> Option<f64> {
        let events = self.events();
        if events.len() > EVENTS_MAX {
            return None;
        }
        let scopes = scopes(&self.twin, self.view);
        let mut sum = 0.0;
        for first in 0..self.levels[0].len() {
            for second in 0..self.levels[1].len() {
                let world = [first, second];
                let weight = self.levels[0][first] * self.levels[1][second];
                let up = |event: &Event| self.odds(&event.0, &world).0;
                let chances: BTreeMap<Event, f64> =
                    events.iter().map(|event| (event.clone(), up(event))).collect();
                for (p, state) in states(&chances).filter(|(p, _)| *p > 0.0) {
                    let mixed = self.play(&mut |name, tries| {
                        let (up, quick) = self.odds(name, &world);
                        let event = scopes.get(name).map(|&scope| (name.clone(), tries[..scope].to_vec()));
                        match event.map(|event| state[&event]) {
                            Some(true) => fates(1.0, quick / up),
                            Some(false) => fates(0.0, 0.0),
                            None => fates(up, quick),
                        }
                    });
                    sum += weight * p * well_by(&mixed, None);
                }
            }
        }
        Some(sum)
    }

    /// (succeeds, succeeds quickly) of a component as a whole.
    fn marginal(&self, name: &ComponentName) -> (f64, f64) {
        let mut sum = (0.0, 0.0);
        for (first, p) in self.levels[0].iter().enumerate() {
            for (second, q) in self.levels[1].iter().enumerate() {
                let (up, quick) = self.odds(name, &[first, second]);
                sum = (sum.0 + p * q * up, sum.1 + p * q * quick);
            }
        }
        sum
    }

    fn facts(&mut self) -> Facts {
        let grid = LatencyGrid::for_journey(&self.journey, Millis(30).to_micros());
        let (mut facts, mut bands) = (Facts::default(), BTreeMap::new());
        let names: Vec<ComponentName> = self.behaviours.keys().cloned().collect();
        for name in names {
            let (up, quick) = self.marginal(&name);
            let slack = if self.random.below(3) == 0 { 0.05 * self.random.unit() } else { 0.0 };
            let at = |t: u64| {
                if t >= SLOW {
                    up
                } else if t >= QUICK {
                    quick
                } else {
                    0.0
                }
            };
            let curve = |shift: f64| {
                grid.edges().iter().map(|edge| at(edge.0) + shift).chain([up + shift]).collect::<Vec<_>>()
            };
            let lower = curve(-slack);
            bands.insert(name.clone(), Band::new(lower, curve(slack)));
            let domains =
                self.behaviours[&name].domains.iter().map(|&domain| DOMAINS[domain]).collect::<Vec<_>>();
            let availability = Interval::of(up - slack, up + slack);
            facts.components.insert(name, Component { availability, domains: known(&domains) });
        }
        facts.set_latency(LatencyFacts { grid, components: bands }.into());
        facts
    }
}

/// Which try of each repetition on the way to a call.
fn tries(root: &Expr, place: &[usize]) -> Vec<u32> {
    let (mut expr, mut tries) = (root, vec![]);
    for &step in place {
        let children = expr.children();
        expr = match expr {
            Expr::Retry { .. } | Expr::Repeat { .. } => {
                tries.push(step as u32);
                children[0]
            }
            _ => children[step],
        };
    }
    tries
}

fn behaviour(random: &mut Random, levels: &[Vec<f64>], dependent: bool) -> Behaviour {
    let mut domains: Vec<usize> = (0..DOMAINS.len()).filter(|_| random.below(2) == 0).collect();
    if !dependent && random.below(2) == 0 {
        domains.clear();
    }
    let level =
        |place: usize, domains: &[usize]| domains.get(place).map_or(1, |&domain| levels[domain].len());
    let (first, second) = (level(0, &domains), level(1, &domains));
    let mut table: BTreeMap<(usize, usize), (f64, f64)> = BTreeMap::new();
    for a in 0..first {
        for b in 0..second {
            // At most what any better combination has.
            let before: Vec<(f64, f64)> =
                [a.checked_sub(1).map(|a| (a, b)), b.checked_sub(1).map(|b| (a, b))]
                    .into_iter()
                    .flatten()
                    .map(|key| table[&key])
                    .collect();
            let most = before.iter().fold((1.0, 1.0), |m, x| (f64::min(m.0, x.0), f64::min(m.1, x.1)));
            let share = |random: &mut Random| match random.below(6) {
                0 => 0.0,
                1 | 2 => 1.0,
                _ => random.unit(),
            };
            let up = most.0 * share(random);
            let quick = f64::min(most.1, up) * share(random);
            table.insert((a, b), (up, quick));
        }
    }
    Behaviour { domains, table }
}

fn fates(up: f64, quick: f64) -> Mixed {
    let all =
        [(quick, Went::Well(QUICK)), (up - quick, Went::Well(SLOW)), (1.0 - up, Went::Badly(Some(1_000)))];
    all.into_iter().filter(|(p, _)| *p > 0.0).collect()
}

fn check(scene: &Scene, bound: &Bound, exact: f64) {
    assert!(
        bound.interval.encloses(Interval::of(exact, exact), ROUNDING),
        "{} {:?}: {exact} is not in {} ({})",
        scene.journey,
        scene.view,
        bound.interval,
        bound.assumption.label()
    );
}

/// Runs scenes until that many were checked.
fn until(salt: u64, dependent: bool, mut each: impl FnMut(&mut Scene, f64)) {
    let (mut checked, mut seed) = (0, 0);
    while checked < cases() {
        let mut scene = Scene::new(seed ^ salt, dependent);
        seed += 1;
        if let Some(exact) = scene.exact() {
            each(&mut scene, exact);
            checked += 1;
        }
    }
}

#[test]
fn every_bound_holds_where_components_are_independent() {
    let (mut narrow, mut all) = (0, 0);
    until(0x0a0a, false, |scene, exact| {
        let facts = scene.facts();
        let independent = independent(&scene.journey, &facts, scene.view).unwrap();
        check(scene, &independent, exact);
        check(scene, &shared_fate(&scene.journey, &facts, scene.view).unwrap(), exact);
        check(scene, &any_dependence(&scene.journey, &facts, scene.view).unwrap(), exact);
        narrow += u64::from(independent.interval.width() < 1e-9);
        all += 1;
    });
    std::println!("independence: a point in {narrow} of {all} expressions");
}

#[test]
fn the_envelope_holds_where_domains_are_causes() {
    until(0x0b0b, true, |scene, exact| {
        let mut facts = scene.facts();
        check(scene, &shared_fate(&scene.journey, &facts, scene.view).unwrap(), exact);
        check(scene, &any_dependence(&scene.journey, &facts, scene.view).unwrap(), exact);
        for component in facts.components.values_mut() {
            component.domains = Domains::Missing;
        }
        let blind = shared_fate(&scene.journey, &facts, scene.view).unwrap().interval.lo();
        assert!(blind <= exact + ROUNDING, "{}: {blind} {exact}", scene.journey);
    });
}

/// Domains of the beta model, played as causes of two levels.
#[test]
fn common_cause_holds_where_domains_fail_by_their_betas() {
    let (mut narrow, mut all, mut seed) = (0, 0, 0);
    while all < cases() {
        seed += 1;
        let mut scene = Scene::new(seed ^ 0x0c0c, false);
        let waited: BTreeSet<ComponentName> = scene.journey.root().leaves().into_iter().cloned().collect();
        let waited: BTreeSet<ComponentName> = if scene.view == View::Eventual {
            waited
        } else {
            seen(scene.journey.root(), View::Immediate).into_iter().cloned().collect()
        };
        let betas = [0.5 * scene.random.unit(), 0.5 * scene.random.unit()];
        let whole: BTreeMap<ComponentName, (f64, f64)> =
            waited.iter().map(|name| (name.clone(), scene.marginal(name))).collect();
        let fails: Vec<f64> = (0..2)
            .map(|domain| {
                let inside = |name: &ComponentName| scene.behaviours[name].domains.contains(&domain);
                let failures = whole.iter().filter(|(name, _)| inside(name)).map(|(_, (up, _))| 1.0 - up);
                failures.reduce(f64::min).map_or(0.0, |least| betas[domain] * least)
            })
            .collect();
        let mut possible = true;
        let own: BTreeMap<ComponentName, (f64, f64)> = whole
            .iter()
            .map(|(name, (up, quick))| {
                let left: f64 =
                    scene.behaviours[name].domains.iter().map(|&domain| 1.0 - fails[domain]).product();
                possible &= *up <= left;
                (name.clone(), (up / left, quick / left))
            })
            .collect();
        if !possible || own.values().any(|(up, _)| !up.is_finite()) {
            continue;
        }
        let facts = {
            let mut facts = scene.facts();
            // Betas are shares of exact availabilities.
            for (name, component) in &mut facts.components {
                let up = scene.marginal(name).0;
                component.availability = Interval::of(up, up);
            }
            facts
        };
        scene.levels = fails.iter().map(|f| vec![1.0 - f, *f]).collect();
        for (name, (up, quick)) in own {
            let behaviour = scene.behaviours.get_mut(&name).unwrap();
            let worse = |place: usize| 0..if behaviour.domains.len() > place { 2 } else { 1 };
            let key = |a: usize, b: usize| ((a, b), if a + b == 0 { (up, quick) } else { (0.0, 0.0) });
            behaviour.table = worse(0).flat_map(|a| worse(1).map(move |b| key(a, b))).collect();
        }
        let nobody: Vec<ComponentName> =
            scene.behaviours.keys().filter(|name| !waited.contains(*name)).cloned().collect();
        for name in nobody {
            scene
                .behaviours
                .insert(name, Behaviour { domains: vec![], table: [((0, 0), (0.5, 0.5))].into() });
        }
        let Some(exact) = scene.exact() else { continue };
        let stated = DOMAINS.iter().zip(betas).map(|(domain, beta)| ((*domain).to_string(), beta)).collect();
        // A domain that matters to nobody may be overstated.
        let Ok(bound) = common_cause(&scene.journey, &facts, &stated, scene.view) else { continue };
        check(&scene, &bound, exact);
        check(&scene, &shared_fate(&scene.journey, &facts, scene.view).unwrap(), exact);
        narrow += u64::from(bound.interval.width() < 1e-9);
        all += 1;
    }
    std::println!("common cause: a point in {narrow} of {all} expressions");
}

/// A- is exact where some world attains it: one in which each component fails with one of its domains or on its own.
#[test]
fn a_minus_is_attained_more_often_than_when_shared_components_only_tied() {
    let (mut before, mut now, mut all, mut seed) = (0, 0, 0, 0);
    while all < cases() {
        seed += 1;
        let mut scene = Scene::new(seed ^ 0x0d0d, false);
        let text = scene.journey.to_string();
        if text.contains('[') || text.contains("Timeout") || text.contains("perTry") {
            continue;
        }
        let homes: Vec<(ComponentName, Vec<usize>)> = scene
            .behaviours
            .iter()
            .map(|(name, behaviour)| (name.clone(), behaviour.domains.clone()))
            .collect();
        let values: BTreeMap<ComponentName, f64> =
            homes.iter().map(|(name, _)| (name.clone(), scene.random.unit())).collect();
        let mut facts = Facts::default();
        for (name, domains) in &homes {
            let domains = domains.iter().map(|&domain| DOMAINS[domain]).collect::<Vec<_>>();
            facts.components.insert(name.clone(), component(values[name], &domains));
        }
        let mut least = f64::INFINITY;
        for mut choice in 0..homes.iter().map(|(_, domains)| domains.len() + 1).product::<usize>() {
            let followed: Vec<Option<usize>> = homes
                .iter()
                .map(|(_, domains)| {
                    let place = choice % (domains.len() + 1);
                    choice /= domains.len() + 1;
                    domains.get(place).copied()
                })
                .collect();
            follow(&mut scene, &homes, &followed, &values);
            let Some(exact) = scene.exact() else { break };
            least = least.min(exact);
        }
        if least.is_infinite() {
            continue;
        }
        let rules = super::super::shared_fate::SharedFate { facts: Some(&facts), conditions: false };
        let mut walk = evaluate::Walk::new(&scene.journey, &facts, &rules, scene.view);
        let tied = walk.value(scene.journey.root()).unwrap().lo();
        let ours = shared_fate(&scene.journey, &facts, scene.view).unwrap().interval.lo();
        assert!(ours <= least + ROUNDING, "{}: {ours} {least}", scene.journey);
        before += u64::from((tied - least).abs() < ROUNDING);
        now += u64::from((ours - least).abs() < ROUNDING);
        all += 1;
    }
    std::println!("A-: attained in {now} of {all} expressions, {before} when shared components only tied");
    assert!(now > before);
}

/// Components that follow a domain are down together with it, as often as they are down.
fn follow(
    scene: &mut Scene,
    homes: &[(ComponentName, Vec<usize>)],
    followed: &[Option<usize>],
    values: &BTreeMap<ComponentName, f64>,
) {
    for domain in 0..DOMAINS.len() {
        let mut ends: Vec<f64> = homes
            .iter()
            .zip(followed)
            .filter(|(_, followed)| **followed == Some(domain))
            .map(|((name, _), _)| values[name])
            .chain([0.0, 1.0])
            .collect();
        ends.sort_by(f64::total_cmp);
        scene.levels[domain] = ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let members = homes.iter().zip(followed).filter(|(_, followed)| **followed == Some(domain));
        for ((name, _), _) in members {
            let up = |level: usize| f64::from(u8::from(ends[level + 1] <= values[name]));
            let table = (0..ends.len() - 1).map(|level| ((level, 0), (up(level), up(level)))).collect();
            scene.behaviours.insert(name.clone(), Behaviour { domains: vec![domain], table });
        }
    }
    for ((name, _), _) in homes.iter().zip(followed).filter(|(_, followed)| followed.is_none()) {
        let table = [((0, 0), (values[name], values[name]))].into();
        scene.behaviours.insert(name.clone(), Behaviour { domains: vec![], table });
    }
}
