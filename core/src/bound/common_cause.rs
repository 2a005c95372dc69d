//! Common cause: a share `beta` of the failures is the domain's, the rest each component's own (the beta-factor model, Fleming 1975, with
//! unequal members).
//!
//! A domain fails with probability `beta · min u` over its members' unavailabilities `u`: a common cause cannot fail more often than
//! the member it takes down most rarely. Given the domains, components are independent, so the value is exact: the sum over the
//! states of the domains. Common causes lower a race and raise a series.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::evaluate::Walk;
use super::independent::Independent;
use super::{Assumption, Bound, Component, DomainName, Domains, Facts, Interval, Unbound, View};
use crate::journey::{ComponentName, Journey};

/// Domains conditioned on: 2^12 evaluations.
const DOMAINS_MAX: usize = 12;

/// Why a common cause cannot be computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidBeta {
    /// No share.
    #[error("beta of {domain} is a share between 0 and 1, not {beta}")]
    Range {
        /// Of which domain.
        domain: DomainName,
        /// The value given.
        beta: f64,
    },
    /// The domains of a component fail more often than it does.
    #[error("the domains of {component} alone fail more often than the component: lower their beta")]
    Excess {
        /// Which component.
        component: ComponentName,
    },
    /// Too many states.
    #[error("{count} domains with a beta are more than {max}")]
    TooMany {
        /// Given.
        count: usize,
        /// Allowed.
        max: usize,
    },
    /// A leaf without facts.
    #[error(transparent)]
    Unbound(#[from] Unbound),
}

/// Availability when each domain of `betas` causes that share of its members' failures. Domains without an entry, or of which the
/// journey has one member only, cause none. Exact for exact facts; intervals of leaves are taken end by end. O(2^domains · size).
///
/// # Errors
/// [`InvalidBeta`].
pub fn common_cause(
    journey: &Journey,
    facts: &Facts,
    betas: &BTreeMap<DomainName, f64>,
    view: View,
) -> Result<Bound, InvalidBeta> {
    let at = |end: fn(Interval) -> f64| Causes::new(journey, facts, betas, end)?.value(journey, facts, view);
    let (a, b) = (at(Interval::lo)?, at(Interval::hi)?);
    Ok(Bound { interval: Interval::of(a.min(b), a.max(b)), assumption: Assumption::CommonCause })
}

/// The least beta of `domain`, the other domains as in `betas`, from which on the value is below `objective`. `None` when it holds
/// up to 1. Found on a grid of 1/256 and refined by halving: a dip narrower than that is not seen.
///
/// # Errors
/// [`InvalidBeta`] for `betas`; betas of `domain` that its members exclude count as the end of the search.
pub fn break_even_beta(
    journey: &Journey,
    facts: &Facts,
    betas: &BTreeMap<DomainName, f64>,
    domain: &str,
    objective: f64,
    view: View,
) -> Result<Option<f64>, InvalidBeta> {
    let value = |beta: f64| {
        let mut betas = betas.clone();
        betas.insert(domain.into(), beta);
        common_cause(journey, facts, &betas, view).map(|bound| bound.interval.lo())
    };
    if value(0.0)? < objective {
        return Ok(Some(0.0));
    }
    for step in 1..=STEPS {
        let (before, beta) = (f64::from(step - 1) / f64::from(STEPS), f64::from(step) / f64::from(STEPS));
        match value(beta) {
            Ok(now) if now < objective => {
                return Ok(Some(halve(before, beta, |b| value(b).is_ok_and(|v| v < objective))));
            }
            Ok(_) => {}
            Err(InvalidBeta::Excess { .. }) => return Ok(None),
            Err(other) => return Err(other),
        }
    }
    Ok(None)
}

const STEPS: u16 = 256;

/// The least value from which on `fails`, between one that does not and one that does, to the last bit.
pub(super) fn halve(mut holds: f64, mut fails_at: f64, fails: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..64 {
        let middle = f64::midpoint(holds, fails_at);
        if fails(middle) { fails_at = middle } else { holds = middle }
    }
    fails_at
}

/// Domains that can fail, and what their members are left with.
struct Causes {
    /// Probability that the domain fails, and its members.
    domains: Vec<(f64, Vec<ComponentName>)>,
    /// Availability of each component while all its domains are up.
    own: Facts,
}

impl Causes {
    fn new(
        journey: &Journey,
        facts: &Facts,
        betas: &BTreeMap<DomainName, f64>,
        end: fn(Interval) -> f64,
    ) -> Result<Self, InvalidBeta> {
        let mut domains = Vec::new();
        for (domain, &beta) in betas {
            if !(0.0..=1.0).contains(&beta) {
                return Err(InvalidBeta::Range { domain: domain.clone(), beta });
            }
            let members = members(journey, facts, domain);
            let least = members.values().map(|availability| 1.0 - end(*availability)).fold(1.0, f64::min);
            if members.len() > 1 && beta > 0.0 {
                domains.push((beta * least, members.into_keys().cloned().collect()));
            }
        }
        if domains.len() > DOMAINS_MAX {
            return Err(InvalidBeta::TooMany { count: domains.len(), max: DOMAINS_MAX });
        }
        let own = own_availability(facts, &domains, end)?;
        Ok(Self { domains, own })
    }

    fn value(&self, journey: &Journey, facts: &Facts, view: View) -> Result<f64, InvalidBeta> {
        // Unbound leaves are found here, before the states are gone through.
        Walk::new(journey, facts, &Independent, view).value(journey.root())?;
        let mut sum = 0.0;
        for state in 0..1_u32 << self.domains.len() {
            let mut weight = 1.0;
            let mut facts = self.own.clone();
            for (place, (fails, members)) in self.domains.iter().enumerate() {
                let down = state >> place & 1 == 1;
                weight *= if down { *fails } else { 1.0 - fails };
                members.iter().filter(|_| down).for_each(|name| set(&mut facts, name, 0.0));
            }
            if weight > 0.0 {
                let value = Walk::new(journey, &facts, &Independent, view).value(journey.root())?;
                sum += weight * value.lo();
            }
        }
        Ok(sum)
    }
}

fn set(facts: &mut Facts, name: &ComponentName, availability: f64) {
    if let Some(component) = facts.components.get_mut(name) {
        component.availability = Interval::of(availability, availability);
    }
}

fn members<'a>(journey: &'a Journey, facts: &Facts, domain: &str) -> BTreeMap<&'a ComponentName, Interval> {
    let of = |name: &'a ComponentName| facts.components.get(name).map(|component| (name, component));
    let inside = |(_, component): &(&ComponentName, &Component)| matches!(&component.domains, Domains::Known(domains) if domains.contains(domain));
    let leaves = journey.leaves().into_iter().filter_map(of).filter(inside);
    leaves.map(|(name, component)| (name, component.availability)).collect()
}

fn own_availability(
    facts: &Facts,
    domains: &[(f64, Vec<ComponentName>)],
    end: fn(Interval) -> f64,
) -> Result<Facts, InvalidBeta> {
    let mut own = facts.clone();
    for (name, component) in &facts.components {
        let inside = domains.iter().filter(|(_, members)| members.contains(name));
        let domains_up: f64 = inside.map(|(fails, _)| 1.0 - fails).product();
        let availability = end(component.availability);
        // Written so that 0 / 0 passes: what never works is not made worse by its domain.
        if availability > domains_up + ROUNDING {
            return Err(InvalidBeta::Excess { component: name.clone() });
        }
        let share = if domains_up > 0.0 { (availability / domains_up).min(1.0) } else { 0.0 };
        set(&mut own, name, share);
    }
    Ok(own)
}

/// Two ways to compute one product differ by less.
const ROUNDING: f64 = 1e-12;
