//! Common cause: a share `beta` of the failures is the domain's, the rest each component's own (the beta-factor model, Fleming 1975, with
//! unequal members).
//!
//! A domain fails with probability `beta · min u` over its members' unavailabilities `u`: a common cause cannot fail more often than
//! the member it takes down most rarely. Given the domains, components are independent, so the value is exact: the sum over the
//! states of the domains. Common causes lower a race and raise a series.

mod causes;
mod program;

use alloc::collections::BTreeMap;

use super::{Assumption, Bound, DomainName, Facts, Interval, Unbound, View};
use crate::journey::{ComponentName, Expr, Journey};
use causes::Causes;

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
    let at = |end: fn(Interval) -> f64| Causes::new(journey, facts, betas, view, end)?.value();
    let (a, b) = (at(Interval::lo)?, at(Interval::hi)?);
    Ok(Bound { interval: Interval::of(a.min(b), a.max(b)), assumption: Assumption::CommonCause })
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
    rises: bool,
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
        let causes = Causes::new(journey, facts, betas, view, Interval::lo)?;
        Ok(Self { causes, rises: rises(journey.root()) })
    }

    /// As [`break_even_beta`]. A few evaluations, several hundred at worst.
    ///
    /// # Errors
    /// [`InvalidBeta::TooMany`] with this domain, or [`InvalidBeta::Excess`] without it.
    pub fn of(&mut self, domain: &str, objective: f64) -> Result<Option<f64>, InvalidBeta> {
        let Some((place, stated)) = self.causes.consider(domain)? else {
            // With one member or none there is nothing to share.
            return Ok((self.causes.value()? < objective).then_some(0.0));
        };
        let found = self.search(place, objective);
        self.causes.settle(place, stated);
        found
    }

    fn search(&mut self, place: usize, objective: f64) -> Result<Option<f64>, InvalidBeta> {
        if self.causes.with(place, 0.0)? < objective {
            return Ok(Some(0.0));
        }
        let mut search = Search { causes: &mut self.causes, place, objective, rises: self.rises };
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
    /// The value rises with every component.
    rises: bool,
}

impl Search<'_, '_> {
    /// From small betas to large.
    fn first_below(&mut self) -> Result<Option<f64>, InvalidBeta> {
        let down = self.causes.when_down(self.place)?;
        let mut open = alloc::vec![(0, STEPS)];
        while let Some((from, to)) = open.pop() {
            if self.rises && self.surely_holds(from, to, down)? {
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

    fn surely_holds(&mut self, from: u16, to: u16, down: f64) -> Result<bool, InvalidBeta> {
        let up = self.causes.when_up(self.place, beta(from))?;
        let fails = |step| beta(step) * self.causes.least(self.place);
        Ok((1.0 - fails(to)) * up + fails(from) * down >= self.objective)
    }
}

fn beta(step: u16) -> f64 {
    f64::from(step) / f64::from(STEPS)
}

/// Whether the value rises with every component: no alternate is worth more than one asked before it.
fn rises(expr: &Expr) -> bool {
    let own = match expr {
        Expr::Fallback { alternates, .. } => {
            alternates.iter().zip(alternates.iter().skip(1)).all(|(a, b)| a.weight >= b.weight)
        }
        _ => true,
    };
    own && expr.children().into_iter().all(rises)
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
        let mut causes = Causes::new(&journey, &facts, &none, View::Immediate, Interval::lo).unwrap();
        let (place, _) = causes.consider("x").unwrap().unwrap();
        let down = causes.when_down(place).unwrap();
        assert_eq!(down, 0.5, "c alone");
        // x fails a quarter to three eighths of the time. At a quarter a and b work 2/3 of the time on their own:
        // 5/8 (1 - 1/3 x 1/3 x 1/2) + 1/4 x 1/2 = 0.71528.
        let mut holds = |objective| {
            let mut search = Search { causes: &mut causes, place, objective, rises: true };
            search.surely_holds(STEPS / 2, STEPS / 4 * 3, down).unwrap()
        };
        assert!(holds(0.7152) && !holds(0.7153));
    }

    #[test]
    fn a_value_rises_unless_an_alternate_is_worth_more_than_one_before_it() {
        for (text, expected) in [
            ("Series(a, Race(b, c))", true),
            ("Fallback(a, 0.8*b, 0.5*c)", true),
            ("Fallback(a, 0.5*b, 0.5*c)", true),
            ("Fallback(a, 0.5*b, 0.8*c)", false),
            ("Series(a, Fallback(b, 0.5*c, 0.8*d))", false),
            ("Fallback(a, 0.8*Fallback(b, 0.5*c, 0.8*d), 0.5*e)", false),
        ] {
            assert_eq!(rises(journey(text).root()), expected, "{text}");
        }
    }
}
