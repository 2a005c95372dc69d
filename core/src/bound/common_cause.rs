//! Common cause. Beta: how often a failure domain fails, as a share of the unavailability of its most available member; when it fails, all its
//! members fail. The rest of their failures is each one's own (the beta-factor model, Fleming 1975, with unequal members): a common cause
//! cannot fail more often than the member it takes down most rarely, so it causes that share of that member's failures, and a smaller one
//! of the others'. Members are those the outcome depends on. Given the domains, components are
//! independent, so the value is exact: the sum over the states of the domains. Common causes lower a race and raise a series; of a domain with
//! one member they lower a retry and raise a repetition, because they fail every try.

mod causes;
mod program;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Assumption, Bound, DomainName, Facts, Interval, Unbound, View, shared_fate};
use crate::journey::{ComponentName, Journey};
use causes::{Causes, End};

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

/// Availability when each domain of `betas` fails as often as that says. Domains without an entry cause nothing. Exact for exact facts
/// unless the bound says that it is loose; with intervals of availability it holds for all values in them. O(2^domains · size).
///
/// # Errors
/// [`InvalidBeta`].
pub fn common_cause(
    journey: &Journey,
    facts: &Facts,
    betas: &BTreeMap<DomainName, f64>,
    view: View,
) -> Result<Bound, InvalidBeta> {
    let mut lower = Causes::new(journey, facts, betas, view, End::Lower)?;
    let mut upper = Causes::new(journey, facts, betas, view, End::Upper)?;
    let mut interval = Interval::of(lower.value()?, upper.value()?);
    let mut loose = lower.loose;
    loose.shared |= upper.loose.shared;
    loose.choices |= upper.loose.choices;
    if loose.any() {
        // Domains that fail are what the envelope is about.
        interval = interval.and(shared_fate(journey, facts, view)?.interval);
    }
    Ok(Bound { interval, assumption: Assumption::CommonCause, loose })
}

/// The least beta of `domain`, the other domains as in `betas`, from which on the value is below `objective`. `None` when it holds
/// up to 1. See [`BreakEven`].
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
    BreakEven::new(journey, facts, betas, view)?.of(domain, objective)
}

/// Break-even betas of a journey's domains, one after the other, the others as stated.
///
/// The value is `(1 - f) up(f) + f down` with f the domain's own failures, `up` rising in f (what the domain causes, members do not cause
/// themselves) and `down` without f. So on an interval of f it is at least `(1 - last f) up(first f) + first f down`, and an interval on
/// which that suffices is passed over whole; others are cut in two, down to 1/256 of beta, where the ends alone are looked at. The
/// crossing is refined by halving.
pub struct BreakEven<'a> {
    causes: Causes<'a>,
    /// What the envelope promises whatever the betas.
    envelope: f64,
}

impl<'a> BreakEven<'a> {
    /// Betas of the other domains.
    ///
    /// # Errors
    /// [`InvalidBeta`].
    pub fn new(
        journey: &'a Journey,
        facts: &'a Facts,
        betas: &BTreeMap<DomainName, f64>,
        view: View,
    ) -> Result<Self, InvalidBeta> {
        let causes = Causes::new(journey, facts, betas, view, End::Lower)?;
        Ok(Self { causes, envelope: shared_fate(journey, facts, view)?.interval.lo() })
    }

    /// Domains whose beta matters, by name: with two members that the outcome depends on, or with one that is asked again.
    pub fn domains(&self) -> Vec<DomainName> {
        self.causes.candidates()
    }

    /// As [`break_even_beta`]. A few evaluations, several hundred at worst.
    ///
    /// # Errors
    /// [`InvalidBeta::TooMany`] with this domain, or [`InvalidBeta::Excess`] without it.
    pub fn of(&mut self, domain: &str, objective: f64) -> Result<Option<f64>, InvalidBeta> {
        let Some((place, stated)) = self.causes.consider(domain)? else {
            // There is nothing to share.
            return Ok((self.causes.value()? < objective).then_some(0.0));
        };
        let found = self.search(place, objective);
        self.causes.settle(place, stated);
        found
    }

    fn search(&mut self, place: usize, objective: f64) -> Result<Option<f64>, InvalidBeta> {
        if self.envelope >= objective {
            return Ok(None);
        }
        if self.causes.with(place, 0.0)? < objective {
            return Ok(Some(0.0));
        }
        let mut search = Search { causes: &mut self.causes, place, objective };
        match search.first_below() {
            Err(InvalidBeta::Excess { .. }) => Ok(None),
            found => found,
        }
    }
}

const STEPS: u16 = 256;

struct Search<'c, 'a> {
    causes: &'c mut Causes<'a>,
    place: usize,
    objective: f64,
}

impl Search<'_, '_> {
    /// From small betas to large.
    fn first_below(&mut self) -> Result<Option<f64>, InvalidBeta> {
        let mut open = alloc::vec![(0, STEPS)];
        while let Some((from, to)) = open.pop() {
            if self.causes.between(self.place, beta(from), beta(to))? >= self.objective {
                continue;
            }
            if to - from > 1 {
                let middle = u16::midpoint(from, to);
                open.extend([(middle, to), (from, middle)]);
            } else if self.causes.with(self.place, beta(to))? < self.objective {
                let fails = |beta| self.causes.with(self.place, beta).is_ok_and(|v| v < self.objective);
                return Ok(Some(halve(beta(from), beta(to), fails)));
            }
        }
        Ok(None)
    }
}

fn beta(step: u16) -> f64 {
    f64::from(step) / f64::from(STEPS)
}

/// The least value from which on `fails`, between one that does not and one that does, to the last bit.
pub(super) fn halve(mut holds: f64, mut fails_at: f64, mut fails: impl FnMut(f64) -> bool) -> f64 {
    for _ in 0..64 {
        let middle = f64::midpoint(holds, fails_at);
        if fails(middle) { fails_at = middle } else { holds = middle }
    }
    fails_at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::tests::{facts, journey};

    #[test]
    fn an_interval_is_passed_over_when_its_lower_bound_suffices() {
        let journey = journey("Race(a, b, c)");
        let facts = facts(&[("a", 0.5, &["x"]), ("b", 0.5, &["x"]), ("c", 0.5, &[])]);
        let none = BTreeMap::new();
        let mut causes = Causes::new(&journey, &facts, &none, View::Immediate, End::Lower).unwrap();
        let (place, _) = causes.consider("x").unwrap().unwrap();
        // x fails a quarter to three eighths of the time. At a quarter a and b work 2/3 of the time on their own; while it is down c alone
        // does: 5/8 (1 - 1/3 x 1/3 x 1/2) + 1/4 x 1/2 = 0.71528.
        let least = causes.between(place, 0.5, 0.75).unwrap();
        assert!((least - (5.0 / 8.0 * (1.0 - 1.0 / 18.0) + 1.0 / 8.0)).abs() < 1e-15, "{least}");
    }
}
