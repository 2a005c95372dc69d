//! Domains that can fail, and what their members are left with.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::InvalidBeta;
use super::program::Program;
use crate::bound::evaluate::Walk;
use crate::bound::independent::Independent;
use crate::bound::{DomainName, Domains, Facts, Interval, Unbound, View};
use crate::journey::{ComponentName, Journey};

/// Domains conditioned on: 2^12 evaluations.
const DOMAINS_MAX: usize = 12;
/// Two ways to compute one product differ by less.
const ROUNDING: f64 = 1e-12;

/// A journey's value as a function of its domains' betas, at one end of its components' intervals.
pub(super) struct Causes<'a> {
    journey: &'a Journey,
    facts: &'a Facts,
    view: View,
    /// Components, sorted, and their availability.
    names: Vec<&'a ComponentName>,
    availability: Vec<f64>,
    /// Of every domain with two members or more.
    members: BTreeMap<&'a str, Vec<usize>>,
    /// Those that cause something.
    domains: Vec<Domain>,
    program: Option<Program<'a>>,
    /// Kept between evaluations.
    stack: Vec<Interval>,
}

struct Domain {
    name: DomainName,
    beta: f64,
    /// The least unavailability of its members.
    least: f64,
    /// Places among the components.
    members: Vec<usize>,
}

impl<'a> Causes<'a> {
    pub(super) fn new(
        journey: &'a Journey,
        facts: &'a Facts,
        betas: &BTreeMap<DomainName, f64>,
        view: View,
        end: fn(Interval) -> f64,
    ) -> Result<Self, InvalidBeta> {
        let of = |name: &ComponentName| {
            let known = facts.components.get(name).ok_or_else(|| Unbound(name.clone()))?;
            Ok::<_, Unbound>(end(known.availability))
        };
        let leaves = journey.leaves();
        // The first in reading order is told.
        leaves.iter().try_for_each(|name| of(name).map(drop))?;
        let names: Vec<_> = leaves.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let availability: Vec<f64> = names.iter().map(|name| of(name)).collect::<Result<_, _>>()?;
        let (members, program) = (members(facts, &names), Program::new(journey.root(), &names, facts, view));
        let (domains, stack) = (Vec::new(), Vec::new());
        let mut causes = Self { journey, facts, view, names, availability, members, domains, program, stack };
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

    /// `None` when it has less than two members.
    fn add(&mut self, domain: &str, beta: f64) -> Result<Option<usize>, InvalidBeta> {
        let Some(members) = self.members.get(domain).cloned() else { return Ok(None) };
        let count = self.domains.len() + 1;
        if count > DOMAINS_MAX {
            return Err(InvalidBeta::TooMany { count, max: DOMAINS_MAX });
        }
        let unavailability = |&place: &usize| 1.0 - self.availability.get(place).copied().unwrap_or(1.0);
        let least = members.iter().map(unavailability).fold(1.0, f64::min);
        self.domains.push(Domain { name: domain.into(), beta, least, members });
        Ok(Some(self.domains.len() - 1))
    }

    /// Makes a domain's beta one to be varied: where it stands and what is stated of it, nothing included. `None` when it has less than two
    /// members.
    pub(super) fn consider(&mut self, domain: &str) -> Result<Option<(usize, Option<f64>)>, InvalidBeta> {
        let stated = self.domains.iter().enumerate().find(|(_, known)| known.name == domain);
        match stated.map(|(place, known)| (place, Some(known.beta))) {
            Some(stated) => Ok(Some(stated)),
            None => Ok(self.add(domain, 0.0)?.map(|place| (place, None))),
        }
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
        Ok(self.over_states(&own, &[]))
    }

    /// With another beta of one domain.
    pub(super) fn with(&mut self, place: usize, beta: f64) -> Result<f64, InvalidBeta> {
        self.set(place, beta);
        self.value()
    }

    /// While that domain is up.
    pub(super) fn when_up(&mut self, place: usize, beta: f64) -> Result<f64, InvalidBeta> {
        self.set(place, beta);
        let own = self.own()?;
        Ok(self.over_states(&own, &[(place, false)]))
    }

    /// While that domain is down: whatever its beta, its members fail and the others do not know of it.
    pub(super) fn when_down(&mut self, place: usize) -> Result<f64, InvalidBeta> {
        self.set(place, 0.0);
        let own = self.own()?;
        Ok(self.over_states(&own, &[(place, true)]))
    }

    fn set(&mut self, place: usize, beta: f64) {
        if let Some(domain) = self.domains.get_mut(place) {
            domain.beta = beta;
        }
    }

    /// Availability of each component while all its domains are up.
    fn own(&self) -> Result<Vec<f64>, InvalidBeta> {
        let mut up = alloc::vec![1.0; self.names.len()];
        for domain in &self.domains {
            for &member in &domain.members {
                if let Some(up) = up.get_mut(member) {
                    *up *= 1.0 - domain.beta * domain.least;
                }
            }
        }
        let share = |((&up, &availability), name): ((&f64, &f64), &&ComponentName)| {
            if availability > up + ROUNDING {
                return Err(InvalidBeta::Excess { component: (*name).clone() });
            }
            // 0 / 0 counts as 1: states in which domains that always fail are up have no weight.
            Ok((availability / up).min(1.0))
        };
        up.iter().zip(&self.availability).zip(&self.names).map(share).collect()
    }

    /// Mean over the states of the domains; of those in `given` the state is known (down or not).
    fn over_states(&mut self, own: &[f64], given: &[(usize, bool)]) -> f64 {
        let mut sum = 0.0;
        for state in 0..1_u32 << self.domains.len() {
            let down = |place: usize| state >> place & 1 == 1;
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
                sum += weight * self.given_domains(&values);
            }
        }
        sum
    }

    fn given_domains(&mut self, values: &[f64]) -> f64 {
        if let Some(program) = &self.program {
            return program.lower(values, &mut self.stack);
        }
        let mut facts = self.facts.clone();
        for (name, &value) in self.names.iter().zip(values) {
            if let Some(component) = facts.components.get_mut(*name) {
                component.availability = Interval::of(value, value);
            }
        }
        let mut walk = Walk::new(self.journey, &facts, &Independent, self.view);
        // Every leaf is known.
        walk.value(self.journey.root()).map_or(0.0, |value| value.lo())
    }
}

/// Members of every domain that has two or more.
fn members<'a>(facts: &'a Facts, names: &[&ComponentName]) -> BTreeMap<&'a str, Vec<usize>> {
    let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, name) in names.iter().enumerate() {
        if let Some(Domains::Known(known)) = facts.components.get(*name).map(|component| &component.domains) {
            known.iter().for_each(|domain| members.entry(domain).or_default().push(place));
        }
    }
    members.retain(|_, members| members.len() > 1);
    members
}
