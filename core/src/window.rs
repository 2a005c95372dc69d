//! A sliding window of time slots: what happened lately, in pieces that are forgotten one by one.
//!
//! Whatever merges can be kept: a slot holds the sum of what came in its time, and a total over the last `n` slots is a merge of
//! `n` values. The current slot is open, so a total over `n` slots covers between `n - 1` and `n` slot lengths.
//!
//! A clock that goes backwards is told to the caller and cannot lose or duplicate: a small step back stays in the current slot
//! (time stands still until the clock has caught up); a step back beyond the whole window means that the clock was wrong before,
//! so the window starts anew. A leap forwards empties it, in bounded time.
//!
//! Left out: running totals (they would need an inverse of merge) and slots of different lengths.

use alloc::collections::VecDeque;

use crate::evidence::{Delta, HopDelta, JourneyDelta};
use crate::outcome::OutcomeCounts;
use crate::sketch::Sketch;
use crate::units::Micros;

/// What adds up: a commutative monoid whose neutral element is the default.
pub trait Merge: Default {
    /// Adds another value.
    fn merge(&mut self, other: &Self);
}

/// How the time passed was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// Forwards, or not at all.
    Forwards,
    /// Backwards into or before an earlier slot: counted in the current slot.
    Backwards,
    /// Backwards by more than the window: everything was forgotten.
    Restarted,
}

/// Sums of the last slots of time.
#[derive(Clone, Debug)]
pub struct Window<T> {
    slot_length: Micros,
    slots: usize,
    /// Number of the open slot since the clock's zero; `None` before the first value.
    number: Option<u64>,
    open: T,
    /// Closed slots, the latest first; at most `slots - 1`.
    closed: VecDeque<T>,
}

/// A window without length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a window needs at least one slot of at least 1 us, not {slots} of {slot_length:?}")]
pub struct InvalidWindow {
    /// Length asked for.
    pub slot_length: Micros,
    /// Slots asked for.
    pub slots: usize,
}

impl<T: Merge> Window<T> {
    /// A window of `slots` slots.
    ///
    /// # Errors
    /// [`InvalidWindow`] when either is zero.
    pub fn new(slot_length: Micros, slots: usize) -> Result<Self, InvalidWindow> {
        if slot_length.0 == 0 || slots == 0 {
            return Err(InvalidWindow { slot_length, slots });
        }
        Ok(Self { slot_length, slots, number: None, open: T::default(), closed: VecDeque::new() })
    }

    /// Adds a value at `now`.
    pub fn record(&mut self, now: Micros, value: &T) -> Tick {
        let tick = self.advance(now);
        self.open.merge(value);
        tick
    }

    /// Closes the slots that are over by `now`, and forgets those that left the window: call it before [`Window::total`].
    pub fn advance(&mut self, now: Micros) -> Tick {
        let number = now.0 / self.slot_length.0;
        let open = *self.number.get_or_insert(number);
        if open > number {
            return self.step_back(open - number, number);
        }
        self.number = Some(number);
        // After as many steps as there are slots nothing old is left.
        (0..(number - open).min(self.slots as u64)).for_each(|_| self.close());
        Tick::Forwards
    }

    /// The sum over the open slot and the `last - 1` before it; all there are when `last` is larger.
    pub fn total(&self, last: usize) -> T {
        let mut total = T::default();
        if last > 0 {
            total.merge(&self.open);
            self.closed.iter().take(last - 1).for_each(|slot| total.merge(slot));
        }
        total
    }

    /// Slots in the window.
    pub const fn slots(&self) -> usize {
        self.slots
    }

    /// Length of a slot.
    pub const fn slot_length(&self) -> Micros {
        self.slot_length
    }

    fn close(&mut self) {
        self.closed.push_front(core::mem::take(&mut self.open));
        self.closed.truncate(self.slots - 1);
    }

    fn step_back(&mut self, by: u64, number: u64) -> Tick {
        if by <= self.slots as u64 {
            return Tick::Backwards;
        }
        self.number = Some(number);
        self.open = T::default();
        self.closed.clear();
        Tick::Restarted
    }
}

impl Merge for Sketch {
    fn merge(&mut self, other: &Self) {
        Self::merge(self, other);
    }
}

impl Merge for OutcomeCounts {
    fn merge(&mut self, other: &Self) {
        Self::merge(self, other);
    }
}

impl Merge for HopDelta {
    fn merge(&mut self, other: &Self) {
        Self::merge(self, other);
    }
}

impl Merge for JourneyDelta {
    fn merge(&mut self, other: &Self) {
        Self::merge(self, other);
    }
}

impl Merge for Delta {
    fn merge(&mut self, other: &Self) {
        Self::merge(self, other.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// Which values were recorded: merging twice or not at all shows.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    struct Seen(Vec<usize>);

    impl Merge for Seen {
        fn merge(&mut self, other: &Self) {
            self.0.extend(&other.0);
            self.0.sort_unstable();
        }
    }

    const SLOT: u64 = 10;

    fn window(slots: usize) -> Window<Seen> {
        Window::new(Micros(SLOT), slots).unwrap()
    }

    proptest! {
        #![proptest_config(crate::laws::config(256, 0x31d0))]

        #[test]
        fn the_total_is_what_came_in_the_last_slots(
            gaps in prop::collection::vec(0..35_u64, 1..40),
            slots in 1..6_usize,
            last in 0..8_usize,
        ) {
            let mut window = window(slots);
            let mut now = 0;
            let times: Vec<u64> = gaps.into_iter().map(|gap| { now += gap; now }).collect();
            for (id, &time) in times.iter().enumerate() {
                prop_assert_eq!(window.record(Micros(time), &Seen(std::vec![id])), Tick::Forwards);
            }
            let slots_back = |time: u64| (now / SLOT - time / SLOT) as usize;
            let expected = times.iter().enumerate().filter(|&(_, &time)| slots_back(time) < last.min(slots));
            prop_assert_eq!(window.total(last).0, expected.map(|(id, _)| id).collect::<Vec<_>>());
        }

        #[test]
        fn a_small_step_back_loses_nothing(times in prop::collection::vec(100..130_u64, 1..20)) {
            let mut window = window(4);
            let mut latest = 0;
            for (id, &time) in times.iter().enumerate() {
                let expected = if time / SLOT < latest / SLOT { Tick::Backwards } else { Tick::Forwards };
                prop_assert_eq!(window.record(Micros(time), &Seen(std::vec![id])), expected);
                latest = latest.max(time);
            }
            prop_assert_eq!(window.total(4).0, (0..times.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_leap_forwards_and_back_starts_anew() {
        let mut window = window(3);
        window.record(Micros(0), &Seen(std::vec![1]));
        assert_eq!(window.advance(Micros(u64::MAX)), Tick::Forwards);
        assert_eq!(window.total(3), Seen::default());
        window.record(Micros(u64::MAX), &Seen(std::vec![2]));
        assert_eq!(window.record(Micros(50), &Seen(std::vec![3])), Tick::Restarted);
        assert_eq!(window.total(3), Seen(std::vec![3]));
    }

    #[test]
    fn a_window_has_a_length() {
        assert!(Window::<Seen>::new(Micros(0), 3).is_err());
        assert!(Window::<Seen>::new(Micros(1), 0).is_err());
    }

    #[test]
    fn sketches_slide() {
        let mut window = Window::<Sketch>::new(Micros(SLOT), 2).unwrap();
        for now in 0..100 {
            let mut one = Sketch::new();
            one.record(Micros(now));
            window.record(Micros(now), &one);
        }
        assert_eq!((window.total(1).count(), window.total(2).count()), (10, 20));
    }
}
