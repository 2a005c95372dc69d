//! Damping: a plan moves only when it pays, not too often and not too far.
//!
//! Times move together: the way from the old split to the new one is a convex combination of two splits that keep the deadline, so
//! every step of it keeps the deadline too, which hop-by-hop limits would not.

use emac_core::budget::curve::Allocation;
use emac_core::units::Millis;

use super::snapshot::{Damped, JourneyPlan};
use emac_journey::intent::RuntimePolicy;

/// What is about to change.
pub(super) struct Move<'a> {
    pub(super) policy: &'a RuntimePolicy,
    pub(super) previous: &'a JourneyPlan,
    pub(super) optimum: Vec<Allocation>,
    /// Predicted success at the optimum less that of the times in force, on the same curves.
    pub(super) gain: f64,
    pub(super) now_unix_ms: u64,
}

/// Whether two plans are about the same leaves and the same time, so that one can be a step towards the other.
pub(super) fn comparable(previous: &JourneyPlan, optimum: &[Allocation], planned: Millis) -> bool {
    let same = |(leaf, new): (&super::LeafPlan, &Allocation)| {
        let old = &leaf.allocation;
        (&old.leaf, old.place, old.tries) == (&new.leaf, new.place, new.tries)
    };
    previous.planned == planned
        && previous.leaves.len() == optimum.len()
        && previous.leaves.iter().zip(optimum).all(same)
}

/// The allocations to put in force.
pub(super) fn damp(change: Move<'_>) -> (Vec<Allocation>, Damped) {
    let Move { policy, previous, optimum, gain, now_unix_ms } = change;
    let old: Vec<&Allocation> = previous.leaves.iter().map(|leaf| &leaf.allocation).collect();
    // A clock that went back ends the period: waiting for it to come round again could take for ever.
    let since = now_unix_ms.checked_sub(previous.changed_unix_ms);
    let early = since.is_some_and(|since| since < policy.damping.period.0);
    let hysteresis = policy.damping.hysteresis.get();
    let moves = |of: &dyn Fn(&Allocation) -> Millis| {
        old.iter().zip(&optimum).map(|(o, n)| relative(of(o), of(n), previous.planned)).fold(0.0, f64::max)
    };
    let times = moves(&|a| a.time);
    // Quantiles from a few seconds of calls; what follows from them is rounder than a timeout.
    let others = moves(&|a| a.useful).max(moves(&|a| a.useful_after)).max(moves(&|a| a.needed_after));
    let times_move = times > hysteresis && gain > policy.damping.gain_min.get();
    let (stay, damped) = match (times_move || others > 2.0 * hysteresis, early) {
        (false, _) => (true, Damped::Hysteresis),
        (true, true) => (true, Damped::Period),
        (true, false) => (false, Damped::No),
    };
    if stay {
        return (old.into_iter().cloned().collect(), damped);
    }
    let reach = if times_move { (policy.damping.step_max.get() / times).min(1.0) } else { 0.0 };
    let damped = match times_move {
        true if reach < 1.0 => Damped::Step,
        true => Damped::No,
        false => Damped::Hysteresis,
    };
    let stepped = old.into_iter().zip(optimum).map(|(old, new)| step(old, new, reach)).collect();
    (stepped, damped)
}

/// Size of a move, relative to the old value; what is small against the deadline counts as a twentieth of it.
fn relative(old: Millis, new: Millis, planned: Millis) -> f64 {
    old.0.abs_diff(new.0) as f64 / old.0.max(planned.0 / 20).max(1) as f64
}

fn step(old: &Allocation, new: Allocation, reach: f64) -> Allocation {
    // Rounded down: the sum of the parts stays within the whole.
    let between = |old: Millis, new: Millis| {
        Millis((old.0 as f64 + reach * (new.0 as f64 - old.0 as f64)).floor().max(0.0) as u64)
    };
    Allocation { time: between(old.time, new.time), start: between(old.start, new.start), ..new }
}
