//! Which hops moved: slot by slot, those that were reported in it.

use std::collections::VecDeque;
use std::sync::Arc;

use emac_core::id::HopKey;
use emac_core::units::{Micros, Millis};

use super::recent::{SLOT, slots};

/// The hops reported in each of the last slots, each once a slot.
#[derive(Debug)]
pub(super) struct Touched {
    /// Slots of the window.
    window: u64,
    /// (slot, its hops), ascending; as many as may leave the window unread between two readings.
    slots: VecDeque<(u64, Vec<Arc<HopKey>>)>,
}

impl Touched {
    pub(super) fn new(window: Millis) -> Self {
        Self { window: slots(window), slots: VecDeque::new() }
    }

    /// Notes a hop that is reported at `now` and was last seen at `seen`.
    pub(super) fn add(&mut self, now: Micros, seen: Option<Micros>, key: &Arc<HopKey>) {
        let slot = now.0 / SLOT.0;
        if self.slots.back().is_none_or(|(last, _)| *last < slot) {
            self.slots.push_back((slot, Vec::new()));
            let oldest = slot.saturating_sub(2 * self.window);
            while self.slots.pop_front_if(|(slot, _)| *slot < oldest).is_some() {}
        }
        if seen.is_none_or(|seen| seen.0 / SLOT.0 < slot)
            && let Some((_, keys)) = self.slots.back_mut()
        {
            keys.push(Arc::clone(key));
        }
    }

    /// Hops whose window differs between the two moments; `None` when they are further apart than is remembered.
    pub(super) fn moved(&self, since: Micros, now: Micros) -> Option<impl Iterator<Item = &Arc<HopKey>>> {
        let (since, now) = (since.0 / SLOT.0, now.0 / SLOT.0);
        if now.saturating_sub(since) > self.window {
            return None;
        }
        // A window at `n` begins with the slot after `n - window`.
        let left = move |slot: u64| {
            slot.saturating_add(self.window) > since && slot.saturating_add(self.window) <= now
        };
        let came = move |slot: u64| slot >= since;
        let slots = self.slots.iter().filter(move |(slot, _)| came(*slot) || left(*slot));
        Some(slots.flat_map(|(_, keys)| keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Arc<HopKey> {
        Arc::new(HopKey { destination: name.into(), ..HopKey::default() })
    }

    #[test]
    fn hops_move_when_they_are_reported_and_when_that_leaves_the_window() {
        // Two full slots and an open one.
        let (mut touched, a, b) = (Touched::new(Millis(1_000)), key("a"), key("b"));
        let at = |slot: u64| Micros(slot * SLOT.0);
        touched.add(at(10), None, &a);
        touched.add(at(10), Some(at(10)), &a);
        touched.add(at(11), Some(at(10)), &a);
        touched.add(at(12), None, &b);
        let moved = |since, now| {
            let moved = touched.moved(at(since), at(now)).unwrap().map(|key| key.destination.clone());
            moved.collect::<Vec<_>>().join("")
        };
        assert_eq!(moved(10, 12), "aab");
        assert_eq!(moved(12, 12), "b", "the open slot may have grown since");
        assert_eq!(
            (moved(13, 13), moved(12, 13), moved(13, 14), moved(14, 15)),
            ("".into(), "ab".into(), "a".into(), "b".into())
        );
        assert_eq!(moved(15, 18), "");
        assert!(touched.moved(at(15), at(19)).is_none());
    }
}
