//! Clocks of different hosts, told apart by what cannot be: a callee at work before it was called.
//!
//! A served span lies inside the span of whoever waited for it. If `o` is what must be added to the callee's times to have them on the
//! caller's clock, then `client.start - server.start <= o <= client.end - server.end`: the offset interval of NTP (RFC 5905, section 8)
//! without its two stamps in between. Intervals of the same two clocks intersect, over all traces, until they contradict each other: then
//! one of the clocks was set, or drifted, and what was known is forgotten.
//!
//! An interval with 0 in it proves nothing, and nothing is moved. Otherwise `o` is its middle, which is right when both ways of the network
//! take equally long and never wrong by more than half the interval; no method can do better from two spans. Two callers' offsets of one
//! callee are not combined, and drift within a trace is left out.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::Symbol;
use super::assemble::SpanRecord;

/// Service and instance: what has a clock of its own.
pub(super) type Clock = (Symbol, Symbol);

/// Pairs of clocks that are remembered; the others are corrected trace by trace. 5 MB.
const PAIRS_MAX: usize = 1 << 16;

/// Offsets that are possible, nanoseconds; `hi` is `i64::MAX` where nothing bounds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) lo: i64,
    pub(super) hi: i64,
}

/// What is known of pairs of clocks.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    pairs: HashMap<(Clock, Clock), KnownOffset>,
    restarts: u64,
}

#[derive(Clone, Copy, Debug)]
struct KnownOffset {
    interval: Interval,
    /// Largest offset that was certain, with its sign.
    certain_ns: i64,
}

impl Interval {
    /// Offsets with which `inner` lies inside `outer`; only its start can be held to it if it is longer, or nobody waits.
    pub(super) fn fitting(outer: &SpanRecord, inner: &SpanRecord, waits: bool) -> Self {
        let lo = outer.start_ns.saturating_sub(inner.start_ns);
        let hi = outer.end_ns().saturating_sub(inner.end_ns());
        Self { lo, hi: if waits && lo <= hi { hi } else { i64::MAX } }
    }

    fn and(self, other: Self) -> Option<Self> {
        let both = Self { lo: self.lo.max(other.lo), hi: self.hi.min(other.hi) };
        (both.lo <= both.hi).then_some(both)
    }

    /// The possible offset nearest to none.
    pub(super) fn nearest(self) -> i64 {
        0.clamp(self.lo, self.hi)
    }

    /// The likeliest offset.
    fn middle(self) -> i64 {
        match self.nearest() {
            0 => 0,
            nearest if self.hi == i64::MAX => nearest,
            _ => self.lo.midpoint(self.hi),
        }
    }
}

impl Clocks {
    /// Offset of a callee whose caller's span is known, and which teaches something about their clocks.
    pub(super) fn learn(&mut self, caller: &SpanRecord, callee: &SpanRecord, waits: bool) -> i64 {
        let pair = (clock_of(caller), clock_of(callee));
        if pair.0 == pair.1 {
            return 0;
        }
        let seen = Interval::fitting(caller, callee, waits);
        let full = self.pairs.len() >= PAIRS_MAX;
        let Some(known) = self.pairs.get_mut(&pair) else {
            if !full {
                self.pairs.insert(pair, KnownOffset { interval: seen, certain_ns: seen.nearest() });
            }
            return seen.middle();
        };
        let both = known.interval.and(seen);
        self.restarts += u64::from(both.is_none());
        known.interval = both.unwrap_or(seen);
        let certain = known.interval.nearest();
        if certain.unsigned_abs() > known.certain_ns.unsigned_abs() {
            known.certain_ns = certain;
        }
        known.interval.middle()
    }

    /// Offset of a callee that was called somewhere within `outer`: as known, else moved as little as possible.
    ///
    /// That it ends after `outer` says nothing of the clocks: nobody may have waited for it. Moved for that, it would seem to begin before what its
    /// caller did first.
    pub(super) fn guess(&self, outer: &SpanRecord, callee: &SpanRecord, waits: bool) -> i64 {
        let pair = (clock_of(outer), clock_of(callee));
        if pair.0 == pair.1 {
            return 0;
        }
        let is_begun_within = (outer.start_ns..=outer.end_ns()).contains(&callee.start_ns);
        let fitting = Interval::fitting(outer, callee, waits && !is_begun_within);
        match self.pairs.get(&pair).map(|known| known.interval) {
            Some(known) => known.and(fitting).unwrap_or(known).middle(),
            None => fitting.nearest(),
        }
    }

    /// For each clock, the largest offset against a caller's clock that was certain; only those that were.
    pub(super) fn certain(&self) -> BTreeMap<Clock, i64> {
        let mut worst: BTreeMap<Clock, i64> = BTreeMap::new();
        for (&(_, callee), known) in self.pairs.iter().filter(|(_, known)| known.certain_ns != 0) {
            let worst = worst.entry(callee).or_default();
            // Of two equally large ones the positive: the order of a hash map must not show.
            let rank = |offset: i64| (offset.unsigned_abs(), offset);
            if rank(known.certain_ns) > rank(*worst) {
                *worst = known.certain_ns;
            }
        }
        worst
    }

    /// How often what was known of two clocks turned out wrong.
    pub(super) const fn restarts(&self) -> u64 {
        self.restarts
    }
}

pub(super) const fn clock_of(record: &SpanRecord) -> Clock {
    (record.service, record.instance)
}
