//! The last seconds of one journey or hop.

use emac_core::units::{Micros, Millis};
use emac_core::window::{Merge, Window};

/// Half a second a slot: the period of planning, so that a plan looks at whole slots and one that is filling.
pub(super) const SLOT: Micros = Micros(500_000);

/// A sliding sum over the last seconds, made when the first value comes: most stored hops are silent for ever.
#[derive(Debug)]
pub struct Recent<T> {
    slots: u64,
    /// Slot of the last value; the window has not moved since, because readers share it.
    at: u64,
    window: Option<Window<T>>,
}

impl<T: Merge> Recent<T> {
    /// A sum over at least `length`: the open slot comes on top of the full ones.
    pub fn new(length: Millis) -> Self {
        Self { slots: slots(length), at: 0, window: None }
    }

    /// Adds a value that arrived at `now`.
    pub fn record(&mut self, now: Micros, value: &T) {
        if self.window.is_none() {
            self.window = Window::new(SLOT, usize::try_from(self.slots).unwrap_or(usize::MAX)).ok();
        }
        if let Some(window) = &mut self.window {
            window.record(now, value);
            self.at = now.0 / SLOT.0;
        }
    }

    /// The sum of what arrived within the length before `now`, rounded up to a slot. Costs a merge a slot.
    pub fn total(&self, now: Micros) -> T {
        let passed = (now.0 / SLOT.0).saturating_sub(self.at);
        let last = usize::try_from(self.slots.saturating_sub(passed)).unwrap_or(usize::MAX);
        self.window.as_ref().map_or_else(T::default, |window| window.total(last))
    }
}

/// The full slots of a length, and the open one.
pub(super) fn slots(length: Millis) -> u64 {
    length.to_micros().0.div_ceil(SLOT.0).max(1).saturating_add(1)
}

/// Where a sum over `length` begins at `now`: at the start of its oldest slot, or with the process.
pub(super) fn begin(length: Millis, now: Micros) -> Micros {
    let oldest = (now.0 / SLOT.0).saturating_add(1).saturating_sub(slots(length));
    Micros(oldest.saturating_mul(SLOT.0))
}

#[cfg(test)]
mod tests {
    use emac_core::outcome::{Outcome, OutcomeCounts};

    use super::*;

    fn one() -> OutcomeCounts {
        let mut counts = OutcomeCounts::default();
        counts.add(Outcome::Success);
        counts
    }

    #[test]
    fn a_sum_begins_where_its_oldest_slot_does() {
        let begin = |now| begin(Millis(2_000), Micros(now)).0;
        assert_eq!([0, 2_400_000, 2_500_000, 9_900_000].map(begin), [0, 0, 500_000, 7_500_000]);
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten_without_a_new_value() {
        let mut recent = Recent::new(Millis(2_000));
        assert_eq!(recent.total(Micros(0)), OutcomeCounts::default());
        for half_second in 0..10 {
            recent.record(Micros(half_second * SLOT.0), &one());
        }
        let total_at = |half_second: u64| recent.total(Micros(half_second * SLOT.0)).total();
        assert_eq!([9, 10, 11, 13, 14, 1_000].map(total_at), [5, 4, 3, 1, 0, 0]);
    }
}
