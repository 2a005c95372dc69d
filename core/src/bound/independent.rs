//! Components fail independently: the paper's A+.

use super::evaluate::{Part, Rules, Walk};
use super::{Assumption, Bound, Facts, Interval, Unbound, View, shared_fate};
use crate::journey::Journey;
use crate::probability;

/// Availability when components fail independently; an interval when those of leaves are. Exact but where one node shares more
/// than ten components between its operands (then wider). O(size · depth), doubled by each shared component.
///
/// # Errors
/// [`Unbound`] for the first leaf without facts.
pub fn independent(journey: &Journey, facts: &Facts, view: View) -> Result<Bound, Unbound> {
    let mut walk = Walk::new(journey, facts, &Independent, view);
    let mut interval = walk.value(journey.root())?;
    if walk.repeats() {
        // Conditioning lets an interval of a branch choose anew in each state; the envelope, which holds here too, does not.
        interval = interval.and(shared_fate(journey, facts, view)?.interval);
    }
    Ok(Bound { interval, assumption: Assumption::Independent })
}

pub(super) struct Independent;

fn each(parts: &[Part<'_>], formula: impl Fn(&mut dyn Iterator<Item = f64>) -> f64) -> Interval {
    let lo = formula(&mut parts.iter().map(|part| part.value.lo()));
    let hi = formula(&mut parts.iter().map(|part| part.value.hi()));
    Interval::of(lo, hi)
}

impl Rules for Independent {
    fn all(&self, parts: &[Part<'_>]) -> Interval {
        each(parts, |values| values.product())
    }

    fn any(&self, parts: &[Part<'_>]) -> Interval {
        each(parts, |values| probability::any(values))
    }

    fn at_least(&self, k: usize, parts: &[Part<'_>]) -> Interval {
        each(parts, |values| probability::at_least(k, values))
    }

    fn tries(&self, n: u32, body: Interval) -> Interval {
        let all_fail = |a: f64| probability::repeat(1.0 - a, n);
        Interval::of(1.0 - all_fail(body.lo()), 1.0 - all_fail(body.hi()))
    }

    fn times(&self, n: u32, body: Interval) -> Interval {
        Interval::of(probability::repeat(body.lo(), n), probability::repeat(body.hi(), n))
    }

    fn conditions(&self) -> bool {
        true
    }
}
