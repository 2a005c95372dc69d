//! Domains that can fail, and what their members are left with.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::InvalidBeta;
use super::program::Program;
use crate::bound::choices::{Branches, Chosen};
use crate::bound::evaluate::{Walk, repeated};
use crate::bound::independent::Independent;
use crate::bound::seen::{operands, seen};
use crate::bound::{DomainName, Domains, Facts, Interval, Loose, Unbound, View};
use crate::journey::{ComponentName, Expr, Journey};

/// Domains conditioned on: 2^12 evaluations.
const DOMAINS_MAX: usize = 12;
/// Two ways to compute one product differ by less.
const ROUNDING: f64 = 1e-12;

/// Which end of the value.
///
/// A domain fails with beta times the unavailability of one of its members, and its members' own failures are the rest, so with intervals of
/// availability the value need not rise with each of them. It does rise with all while the domains' failures are given, and these lie between
/// what the members' upper and lower ends make of them: less of them fails less, more of them leaves its members less to fail by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Lower,
    Upper,
}

impl End {
    const fn of(self, interval: Interval) -> f64 {
        match self {
            Self::Lower => interval.lo(),
            Self::Upper => interval.hi(),
        }
    }

    /// What is known when this end is.
    const fn alone(self, value: f64) -> Interval {
        match self {
            Self::Lower => Interval::of(value, 1.0),
            Self::Upper => Interval::of(0.0, value),
        }
    }
}

/// A journey's value as a function of its domains' betas, at one end of its components' intervals.
pub(super) struct Causes<'a> {
    journey: &'a Journey,
    facts: &'a Facts,
    view: View,
    end: End,
    /// Components that the outcome depends on, sorted, and their availability.
    names: Vec<&'a ComponentName>,
    availability: Vec<Interval>,
    /// Of every domain that can cause what its members do not cause alone.
    members: BTreeMap<&'a str, Vec<usize>>,
    /// Those that cause something.
    domains: Vec<Domain>,
    program: Option<Program<'a>>,
    /// Whether some branch has an interval.
    open: bool,
    /// Kept between evaluations.
    stack: Vec<Interval>,
    /// What had to be given up.
    pub(super) loose: Loose,
}

struct Domain {
    name: DomainName,
    beta: f64,
    /// The least unavailability of its members, as it weighs at this end and as it is taken from the members' own.
    least: f64,
    least_own: f64,
    /// Places among the components.
    members: Vec<usize>,
}

/// States of the domains, of some of which the state is known (down or not).
type Given<'g> = &'g [(usize, bool)];

impl<'a> Causes<'a> {
    pub(super) fn new(
        journey: &'a Journey,
        facts: &'a Facts,
        betas: &BTreeMap<DomainName, f64>,
        view: View,
        end: End,
    ) -> Result<Self, InvalidBeta> {
        let of = |name: &ComponentName| {
            let known = facts.components.get(name).ok_or_else(|| Unbound(name.clone()))?;
            Ok::<_, Unbound>(known.availability)
        };
        // The first in reading order is told.
        journey.leaves().iter().try_for_each(|name| of(name).map(drop))?;
        let root = journey.root();
        let names: Vec<_> = seen(root, view).into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let availability = names.iter().map(|name| of(name)).collect::<Result<_, _>>()?;
        let members = members(facts, &names, &tried(root, view));
        let program = Program::new(root, &names, facts, view);
        let (domains, stack, loose) = (Vec::new(), Vec::new(), Loose::default());
        let open = has_interval(root);
        let mut causes = Self {
            journey,
            facts,
            view,
            end,
            names,
            availability,
            members,
            domains,
            program,
            open,
            stack,
            loose,
        };
        if let Some((domain, &beta)) = betas.iter().find(|(_, beta)| !(0.0..=1.0).contains(*beta)) {
            return Err(InvalidBeta::Range { domain: domain.clone(), beta });
        }
        let stated = || betas.iter().filter(|(_, beta)| **beta > 0.0);
        let count = stated().filter(|(domain, _)| causes.members.contains_key(domain.as_str())).count();
        if count > DOMAINS_MAX {
            return Err(InvalidBeta::TooMany { count, max: DOMAINS_MAX });
        }
        for (domain, &beta) in stated() {
            causes.add(domain, beta)?;
        }
        Ok(causes)
    }

    /// `None` when it causes nothing that its members do not.
    fn add(&mut self, domain: &str, beta: f64) -> Result<Option<usize>, InvalidBeta> {
        let Some(members) = self.members.get(domain).cloned() else { return Ok(None) };
        let count = self.domains.len() + 1;
        if count > DOMAINS_MAX {
            return Err(InvalidBeta::TooMany { count, max: DOMAINS_MAX });
        }
        let least = |end: End| {
            let of = |&place: &usize| 1.0 - self.availability.get(place).map_or(1.0, |a| end.of(*a));
            members.iter().map(of).fold(1.0, f64::min)
        };
        let (least, least_own) = match self.end {
            End::Lower => (least(End::Lower), least(End::Upper)),
            End::Upper => (least(End::Upper), least(End::Lower)),
        };
        self.domains.push(Domain { name: domain.into(), beta, least, least_own, members });
        Ok(Some(self.domains.len() - 1))
    }

    /// Makes a domain's beta one to be varied: where it stands and what is stated of it, nothing included. `None` when it causes
    /// nothing that its members do not.
    pub(super) fn consider(&mut self, domain: &str) -> Result<Option<(usize, Option<f64>)>, InvalidBeta> {
        let stated = self.domains.iter().enumerate().find(|(_, known)| known.name == domain);
        match stated.map(|(place, known)| (place, Some(known.beta))) {
            Some(stated) => Ok(Some(stated)),
            None => Ok(self.add(domain, 0.0)?.map(|place| (place, None))),
        }
    }

    /// Names of the domains that can cause something.
    pub(super) fn candidates(&self) -> Vec<DomainName> {
        self.members.keys().map(|name| (*name).into()).collect()
    }

    /// Back to what was stated.
    pub(super) fn settle(&mut self, place: usize, stated: Option<f64>) {
        match stated {
            Some(beta) => self.set(place, beta),
            None => drop(self.domains.pop()),
        }
    }

    /// The least unavailability of a domain's members.
    pub(super) fn least(&self, place: usize) -> f64 {
        self.domains.get(place).map_or(0.0, |domain| domain.least)
    }

    pub(super) fn value(&mut self) -> Result<f64, InvalidBeta> {
        let own = self.own()?;
        Ok(self.over(|causes, chosen| causes.over_states(&own, chosen, &[])))
    }

    /// With another beta of one domain.
    pub(super) fn with(&mut self, place: usize, beta: f64) -> Result<f64, InvalidBeta> {
        self.set(place, beta);
        self.value()
    }

    /// What the value surely is at least while beta of a domain lies between two values: its own failures of the first, the domain's of the
    /// last.
    pub(super) fn between(&mut self, place: usize, from: f64, to: f64) -> Result<f64, InvalidBeta> {
        self.set(place, from);
        let own = self.own()?;
        let fails = |beta| beta * self.least(place);
        let (first, last) = (fails(from), fails(to));
        Ok(self.over(|causes, chosen| {
            let up = causes.over_states(&own, chosen, &[(place, false)]);
            let down = causes.over_states(&own, chosen, &[(place, true)]);
            (1.0 - last) * up + first * down
        }))
    }

    /// The least, or at the upper end the greatest, over one choice of the branches' probabilities for all states of the domains.
    fn over(&mut self, mut value: impl FnMut(&mut Self, &Chosen) -> f64) -> f64 {
        if !self.open {
            return value(self, &Chosen::new());
        }
        let affected = self.domains.iter().flat_map(|domain| &domain.members);
        let mut moving = repeated(self.journey.root(), self.view);
        moving.extend(affected.filter_map(|&place| self.names.get(place).copied()));
        let branches = Branches::new(self.journey.root(), self.view, &moving);
        let states = 1_usize << self.domains.len();
        // Of one end alone the other is not known: it may be anything.
        let end = self.end;
        let at = |chosen: &Chosen| {
            let value = value(self, chosen);
            Ok::<_, core::convert::Infallible>(end.alone(value))
        };
        let Ok((interval, loose)) = branches.over(states, at);
        self.loose.choices |= loose;
        self.end.of(interval)
    }

    fn set(&mut self, place: usize, beta: f64) {
        if let Some(domain) = self.domains.get_mut(place) {
            domain.beta = beta;
        }
    }

    /// Availability of each component while all its domains are up.
    fn own(&self) -> Result<Vec<f64>, InvalidBeta> {
        let mut up = alloc::vec![(1.0, 1.0); self.names.len()];
        for domain in &self.domains {
            for &member in &domain.members {
                if let Some((up, up_own)) = up.get_mut(member) {
                    *up *= 1.0 - domain.beta * domain.least;
                    *up_own *= 1.0 - domain.beta * domain.least_own;
                }
            }
        }
        let share = |((&(up, up_own), &availability), name): ((&(f64, f64), &Interval), &&ComponentName)| {
            let availability = self.end.of(availability);
            if availability > up + ROUNDING {
                return Err(InvalidBeta::Excess { component: (*name).clone() });
            }
            // 0 / 0 counts as 1: states in which domains that always fail are up have no weight.
            Ok((availability / up_own).min(1.0))
        };
        up.iter().zip(&self.availability).zip(&self.names).map(share).collect()
    }

    /// Mean over the states of the domains.
    fn over_states(&mut self, own: &[f64], chosen: &Chosen, given: Given<'_>) -> f64 {
        let mut sum = 0.0;
        for state in 0..1_u32 << self.domains.len() {
            let down = |place: usize| is_down(state, place);
            if given.iter().any(|&(place, known)| down(place) != known) {
                continue;
            }
            let mut weight = 1.0;
            let mut values = own.to_vec();
            for (place, domain) in self.domains.iter().enumerate() {
                let fails = domain.beta * domain.least;
                if !given.iter().any(|&(known, _)| known == place) {
                    weight *= if down(place) { fails } else { 1.0 - fails };
                }
                for &member in domain.members.iter().filter(|_| down(place)) {
                    values.iter_mut().skip(member).take(1).for_each(|value| *value = 0.0);
                }
            }
            if weight > 0.0 {
                sum += weight * self.given_domains(&values, chosen);
            }
        }
        sum
    }

    fn given_domains(&mut self, values: &[f64], chosen: &Chosen) -> f64 {
        if let Some(program) = &self.program {
            return self.end.of(program.value(values, chosen, &mut self.stack));
        }
        let rules = Independent::default();
        let mut walk = Walk::new(self.journey, self.facts, &rules, self.view);
        let exactly = |(name, value): (&&'a ComponentName, &f64)| (*name, Interval::of(*value, *value));
        walk.values = self.names.iter().zip(values).map(exactly).collect();
        walk.chosen.clone_from(chosen);
        // Every leaf is known.
        let value = walk.value(self.journey.root()).map_or(0.0, |value| self.end.of(value));
        self.loose.shared |= walk.loose.shared;
        value
    }
}

/// A bit of the state for each domain.
const fn is_down(state: u32, place: usize) -> bool {
    state >> place & 1 == 1
}

fn has_interval(expr: &Expr) -> bool {
    let own = match expr {
        Expr::Branch(choices) => choices.iter().any(|choice| !choice.probability.is_exact()),
        _ => false,
    };
    own || expr.children().into_iter().any(has_interval)
}

/// Components that are asked again within one request, for which a domain with one member matters too: it fails all tries.
fn tried(root: &Expr, view: View) -> BTreeSet<&ComponentName> {
    let mut found = BTreeSet::new();
    let mut open = alloc::vec![root];
    while let Some(expr) = open.pop() {
        if matches!(expr, Expr::Retry { attempts: 2.., .. } | Expr::Repeat { count: 2.., .. }) {
            found.extend(seen(expr, view));
        }
        open.extend(operands(expr, view));
    }
    found
}

/// Domains that cause what their members do not cause alone: with two members that the outcome depends on, or one that is asked again.
pub(super) fn members<'a>(
    facts: &'a Facts,
    names: &[&ComponentName],
    tried: &BTreeSet<&ComponentName>,
) -> BTreeMap<&'a str, Vec<usize>> {
    let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, name) in names.iter().enumerate() {
        if let Some(Domains::Known(known)) = facts.components.get(*name).map(|component| &component.domains) {
            known.iter().for_each(|domain| members.entry(domain).or_default().push(place));
        }
    }
    let again = |place: &usize| names.get(*place).is_some_and(|name| tried.contains(name));
    members.retain(|_, members| members.len() > 1 || members.iter().any(again));
    members
}
