//! Requests and own failures of each service in time, for failures that come together.

use std::collections::BTreeMap;

use emac_trace::{Call, CallOutcome, Symbol, Trace};

/// What a service did in one slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotCount {
    /// Calls it got.
    pub requests: u64,
    /// Calls it failed by its own fault: nothing it called had failed.
    pub failures: u64,
}

/// Slots by service. When the time covered outgrows [`Series::SLOTS_MAX`] slots, two become one.
#[derive(Debug)]
pub struct Series {
    slot_ns: i64,
    /// By the symbol's position; the last slot written is kept beside the map, as calls come nearly in time.
    by_service: Vec<Slots>,
    scratch: Vec<bool>,
}

#[derive(Debug, Default)]
struct Slots {
    current: i64,
    count: SlotCount,
    earlier: BTreeMap<i64, SlotCount>,
}

impl Default for Series {
    fn default() -> Self {
        Self { slot_ns: Self::SLOT_NS, by_service: Vec::new(), scratch: Vec::new() }
    }
}

impl Series {
    /// First length of a slot: outages shorter than a few seconds are not worth a failure domain.
    pub const SLOT_NS: i64 = 5_000_000_000;
    /// Most slots a service.
    pub const SLOTS_MAX: usize = 4_096;

    /// Length of a slot, nanoseconds.
    pub const fn slot_ns(&self) -> i64 {
        self.slot_ns
    }

    /// Slots of a service by number (time since 1970 over the length of a slot).
    pub fn of(&self, service: Symbol) -> BTreeMap<i64, SlotCount> {
        let Some(slots) = self.by_service.get(service.index()) else { return BTreeMap::new() };
        let mut all = slots.earlier.clone();
        if slots.count.requests > 0 {
            all.entry(slots.current).or_default().add(slots.count);
        }
        all
    }

    /// Files the calls of a trace. O(calls) when they come in time, O(calls · log slots) at worst.
    pub(super) fn observe(&mut self, trace: &Trace) {
        self.mark_callers(trace);
        let mut longest = 0;
        for (call, &below_failed) in trace.calls.iter().zip(&self.scratch) {
            let service = call.service.index();
            if service >= self.by_service.len() {
                self.by_service.resize_with(service + 1, Slots::default);
            }
            let Some(slots) = self.by_service.get_mut(service) else { continue };
            slots.file(call.start_ns.div_euclid(self.slot_ns), count(call, below_failed));
            longest = longest.max(slots.earlier.len());
        }
        if longest > Self::SLOTS_MAX {
            self.coarsen();
        }
    }

    /// Which calls have a failed call below them.
    fn mark_callers(&mut self, trace: &Trace) {
        self.scratch.clear();
        self.scratch.resize(trace.calls.len(), false);
        for call in trace.calls.iter().filter(|call| call.outcome.failed()) {
            if let Some(mark) = call.parent.and_then(|parent| self.scratch.get_mut(parent as usize)) {
                *mark = true;
            }
        }
    }

    fn coarsen(&mut self) {
        self.slot_ns *= 2;
        for slots in &mut self.by_service {
            let all = std::mem::take(slots);
            slots.current = all.current.div_euclid(2);
            slots.count = all.count;
            for (number, count) in all.earlier {
                slots.earlier.entry(number.div_euclid(2)).or_default().add(count);
            }
        }
    }
}

impl Slots {
    fn file(&mut self, slot: i64, count: SlotCount) {
        if slot != self.current {
            let done = std::mem::take(&mut self.count);
            if done.requests > 0 {
                self.earlier.entry(self.current).or_default().add(done);
            }
            self.current = slot;
        }
        self.count.add(count);
    }
}

impl SlotCount {
    const fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.failures += other.failures;
    }
}

/// An answer that nobody waited for is neither a request nor a failure.
const fn count(call: &Call, below_failed: bool) -> SlotCount {
    let failed = call.outcome.failed() && !below_failed;
    match call.outcome {
        CallOutcome::Cancelled => SlotCount { requests: 0, failures: 0 },
        _ => SlotCount { requests: 1, failures: failed as u64 },
    }
}
