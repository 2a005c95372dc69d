//! A sample of one caller's occurrences, chosen by hash.

use super::SiteId;
use emac_trace::{CallOutcome, TraceId};

/// One time that a caller called.
#[derive(Clone, Debug, PartialEq)]
pub struct Occurrence {
    /// Of the trace and the place in it; the sample keeps the smallest.
    pub hash: u64,
    /// Which shape the trace has.
    pub shape: u32,
    /// Which trace.
    pub trace: TraceId,
    /// In order of their start.
    pub calls: Box<[SampledCall]>,
    /// When the caller itself ended, nanoseconds after it began.
    pub end_ns: i64,
    /// How the caller itself ended.
    pub outcome: CallOutcome,
}

/// One call of it. Times are nanoseconds after the caller began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampledCall {
    /// Which.
    pub site: SiteId,
    /// When it began.
    pub start_ns: i64,
    /// When it ended.
    pub end_ns: i64,
    /// How it ended.
    pub outcome: CallOutcome,
    /// Tries in one span, at least 1.
    pub attempts: u16,
    /// Nobody waits for it.
    pub message: bool,
}

/// The occurrences with the smallest hashes. Between two clean-ups it holds up to twice as many as asked for.
#[derive(Debug, Default)]
pub struct Sample {
    kept: Vec<Occurrence>,
    /// Larger hashes are not wanted any more.
    below: Option<u64>,
    calls: usize,
}

impl Sample {
    /// Whether an occurrence of this hash would be kept.
    pub(super) fn wants(&self, hash: u64, most: usize) -> bool {
        self.kept.len() < most || self.below.is_none_or(|below| hash < below)
    }

    /// Takes one. Amortised O(1).
    pub(super) fn take(&mut self, occurrence: Occurrence, most: usize) {
        self.calls += occurrence.calls.len();
        self.kept.push(occurrence);
        if self.kept.len() >= 2 * most {
            self.shrink(most);
        }
    }

    /// Keeps the `most` smallest.
    pub(super) fn shrink(&mut self, most: usize) {
        if most == 0 || self.kept.len() <= most {
            return;
        }
        let (_, last, _) = self.kept.select_nth_unstable_by_key(most - 1, |occurrence| occurrence.hash);
        self.below = Some(last.hash);
        self.kept.truncate(most);
        self.calls = self.kept.iter().map(|occurrence| occurrence.calls.len()).sum();
    }

    /// Calls held.
    pub(super) const fn calls(&self) -> usize {
        self.calls
    }

    /// The `most` smallest by hash, ascending.
    pub fn smallest(&self, most: usize) -> Vec<&Occurrence> {
        let mut all: Vec<_> = self.kept.iter().collect();
        all.sort_unstable_by_key(|occurrence| (occurrence.hash, occurrence.trace));
        all.truncate(most);
        all
    }
}
