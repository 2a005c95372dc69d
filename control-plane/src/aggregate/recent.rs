//! The last seconds of one journey or hop, in few bytes.
//!
//! A sum over slots of half a second, each of which leaves it as a whole. What came is kept packed ([`crate::packed`]), slot behind slot in one
//! piece of memory, and added up when somebody asks: a hop with a few calls a slot takes some four hundred bytes for five
//! seconds, where sums as values took 75 KB.

use std::marker::PhantomData;

use emac_core::units::{Micros, Millis};

use crate::packed::{Packed, Reader, write_bytes, write_varint};

/// Half a second a slot: the period of planning, so that a plan looks at whole slots and one that is filling.
pub(super) const SLOT: Micros = Micros(500_000);
/// What the open slot may hold before its values are added up: beyond, they are again whenever that has doubled.
const OPEN_BYTES: u32 = 512;

/// A sliding sum over the last seconds; without memory of its own before the first value and after long silence.
#[derive(Debug)]
pub struct Recent<T> {
    slots: u64,
    /// The open slot; the window has not moved since, because readers share it.
    at: u64,
    /// Closed slots as (number, packed sum behind its length), then from `open` on the packed values of the open slot.
    bytes: Vec<u8>,
    open: u32,
    /// Length of the open part at which it is added up.
    limit: u32,
    /// Values in the open part.
    values: u32,
    of: PhantomData<fn() -> T>,
}

impl<T: Packed> Recent<T> {
    /// A sum over at least `length`: the open slot comes on top of the full ones.
    pub fn new(length: Millis) -> Self {
        Self {
            slots: slots(length),
            at: 0,
            bytes: Vec::new(),
            open: 0,
            limit: OPEN_BYTES,
            values: 0,
            of: PhantomData,
        }
    }

    /// Adds a value that arrived at `now`. A clock that went back adds to the open slot.
    pub fn record(&mut self, now: Micros, value: &T) {
        let slot = now.0 / SLOT.0;
        if slot > self.at {
            self.close();
            self.at = slot;
            self.expire();
        }
        value.pack(&mut self.bytes);
        self.values = self.values.saturating_add(1);
        if self.bytes.len() - self.open as usize > self.limit as usize {
            self.add_up();
            let length = self.bytes.len() - self.open as usize;
            self.limit = u32::try_from(2 * length).unwrap_or(u32::MAX).max(OPEN_BYTES);
        }
    }

    /// The sum of what arrived within the length before `now`, rounded up to a slot. Costs a merge a value kept.
    pub fn total(&self, now: Micros) -> T {
        let (mut total, now) = (T::default(), (now.0 / SLOT.0).max(self.at));
        let mut closed = self.closed();
        while let Some((slot, bytes)) = next_slot(&mut closed) {
            if slot.saturating_add(self.slots) > now {
                merge_all(&mut total, bytes);
            }
        }
        if self.at.saturating_add(self.slots) > now {
            merge_all(&mut total, self.bytes.get(self.open as usize..).unwrap_or_default());
        }
        total
    }

    /// Gives its memory back when everything in it has left the window.
    pub(super) fn forget(&mut self, now: Micros) {
        if self.at.saturating_add(self.slots) <= now.0 / SLOT.0 {
            (self.bytes, self.open) = (Vec::new(), 0);
            (self.limit, self.values) = (OPEN_BYTES, 0);
        }
    }

    /// Memory beside the value itself.
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    fn closed(&self) -> Reader<'_> {
        Reader::new(self.bytes.get(..self.open as usize).unwrap_or_default())
    }

    /// Makes one value of those in the open slot.
    fn add_up(&mut self) {
        let mut total = T::default();
        merge_all(&mut total, self.bytes.get(self.open as usize..).unwrap_or_default());
        self.bytes.truncate(self.open as usize);
        total.pack(&mut self.bytes);
        self.values = 1;
    }

    /// Moves the open slot to the closed ones.
    fn close(&mut self) {
        if self.values > 1 {
            self.add_up();
        }
        let sum = self.bytes.split_off(self.open as usize);
        if sum.is_empty() {
            return;
        }
        write_varint(&mut self.bytes, self.at);
        write_bytes(&mut self.bytes, &sum);
        self.open = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        (self.limit, self.values) = (OPEN_BYTES, 0);
    }

    /// Drops closed slots that have left the window.
    fn expire(&mut self) {
        let mut closed = self.closed();
        let mut left = closed.len();
        while let Some((slot, _)) = next_slot(&mut closed) {
            if slot.saturating_add(self.slots) > self.at {
                break;
            }
            left = closed.len();
        }
        let gone = self.open as usize - left;
        self.bytes.drain(..gone);
        self.open -= gone as u32;
        // A busy time is not paid for ever.
        if self.bytes.capacity() > 4 * (self.bytes.len() + 64) {
            self.bytes.shrink_to(2 * self.bytes.len());
        }
    }
}

/// The next closed slot, and what is packed in it.
fn next_slot<'a>(closed: &mut Reader<'a>) -> Option<(u64, &'a [u8])> {
    Some((closed.varint().ok()?, closed.bytes().ok()?))
}

/// Adds values packed here before, so that none of them is damaged.
fn merge_all<T: Packed>(total: &mut T, bytes: &[u8]) {
    let mut values = Reader::new(bytes);
    while !values.is_empty() && total.merge_packed(&mut values).is_ok() {}
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
    use emac_core::evidence::HopDelta;
    use emac_core::outcome::{Outcome, OutcomeCounts};
    use emac_core::sketch::Sketch;
    use proptest::prelude::*;

    use super::*;

    fn one(latency_us: u64) -> HopDelta {
        let (mut outcomes, mut latency) = (OutcomeCounts::default(), Sketch::new());
        outcomes.add(Outcome::Success);
        latency.record(Micros(latency_us));
        HopDelta { outcomes, latency, ..HopDelta::default() }
    }

    #[test]
    fn a_sum_begins_where_its_oldest_slot_does() {
        let begin = |now| begin(Millis(2_000), Micros(now)).0;
        assert_eq!([0, 2_400_000, 2_500_000, 9_900_000].map(begin), [0, 0, 500_000, 7_500_000]);
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten_without_a_new_value() {
        let mut recent = Recent::new(Millis(2_000));
        assert_eq!(recent.total(Micros(0)), HopDelta::default());
        for half_second in 0..10 {
            recent.record(Micros(half_second * SLOT.0), &one(7));
        }
        let total_at = |half_second: u64| recent.total(Micros(half_second * SLOT.0)).outcomes.total();
        assert_eq!([9, 10, 11, 13, 14, 1_000].map(total_at), [5, 4, 3, 1, 0, 0]);
        recent.forget(Micros(13 * SLOT.0));
        assert_eq!(recent.total(Micros(13 * SLOT.0)).outcomes.total(), 1);
        recent.forget(Micros(14 * SLOT.0));
        assert_eq!(recent.heap_bytes(), 0);
    }

    /// A hundred sidecars of one workload report the same hop, each ten times in a slot.
    #[test]
    fn memory_follows_the_distribution_and_not_the_reports() {
        let mut recent = Recent::new(Millis(5_000));
        for step in 0..20_000_u64 {
            recent.record(Micros(step * 500), &one(1_000 + step % 97 * 100));
        }
        assert_eq!(recent.total(Micros(9_999_500)).outcomes.total(), 11_000);
        assert!(recent.heap_bytes() < 8_000, "{}", recent.heap_bytes());
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0x5107), failure_persistence: None, ..ProptestConfig::with_cases(200) })]

        /// Against every value with its slot, kept apart.
        #[test]
        fn a_sum_is_that_of_the_values_in_its_slots(
            steps in prop::collection::vec((prop_oneof![4 => 0..300_000_u64, 1 => 0..6_000_000_u64], 1..90_000_000_u64), 1..120),
            later in 0..8_000_000_u64,
        ) {
            let (mut recent, mut values, mut now) = (Recent::new(Millis(2_000)), Vec::new(), 0);
            for (gap, latency) in steps {
                now += gap;
                recent.record(Micros(now), &one(latency));
                values.push((now / SLOT.0, latency));
            }
            let last = (now + later) / SLOT.0;
            let mut expected = HopDelta::default();
            values.iter().filter(|(slot, _)| last - slot < 5).for_each(|(_, latency)| expected.merge(&one(*latency)));
            prop_assert_eq!(recent.total(Micros(now + later)), expected);
        }
    }
}
