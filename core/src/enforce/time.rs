//! Deadline arithmetic: T = min(hop timeout, remaining - reserve), with the timeout and reserve of a call that stands alone where no
//! fallback can follow.
//!
//! What remains is never more than the journey's own deadline, so that a clock that jumped cannot stretch it. Nothing here returns
//! zero: to Envoy a timeout of zero is none at all.

use super::plan::Hop;
use crate::budget::Alone;
use crate::context::Absolute;
use crate::units::{Micros, Millis};

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    /// So long; `None`: nothing bounds it.
    Enough(Option<Millis>),
    /// Less than is of use.
    TooLate,
}

impl Time {
    pub(super) fn for_call(hop: &Hop, alone: Option<Alone>, deadline: Option<Absolute>, now: Micros) -> Self {
        let (timeout, reserve) =
            alone.map_or((hop.timeout, hop.reserve), |alone| (Some(alone.timeout), alone.reserve));
        let Some(left) = left(hop, deadline, now) else { return Self::Enough(timeout) };
        let left = Millis(left.0.saturating_sub(reserve.0));
        if left < hop.useful_min.max(Millis(1)) {
            return Self::TooLate;
        }
        Self::Enough(Some(timeout.map_or(left, |timeout| timeout.min(left))))
    }

    /// The reserve is for such cases: it is not kept back from an alternate. `None` when nothing is left.
    pub(super) fn for_alternate(
        longest: Millis,
        hop: &Hop,
        deadline: Option<Absolute>,
        now: Micros,
    ) -> Option<Millis> {
        let timeout = left(hop, deadline, now).map_or(longest, |left| left.min(longest));
        (timeout.0 > 0).then_some(timeout)
    }
}

fn left(hop: &Hop, deadline: Option<Absolute>, now: Micros) -> Option<Millis> {
    deadline.map(|deadline| deadline.left(now).0.min(hop.journey_deadline))
}
