//! Counters of this process, written by its tasks, read by /metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use emac_core::sketch::Sketch;
use emac_core::units::Micros;

use crate::totals::LatencyTotals;

/// Since this process began. Each counter is exact; they are not read at one instant.
#[derive(Debug, Default)]
pub struct Stats {
    /// Reports that counted.
    pub counted: AtomicU64,
    /// Reports that had been counted before.
    pub duplicates: AtomicU64,
    /// Sequences that never came.
    pub missing: AtomicU64,
    /// Reports that break their specification.
    pub invalid: AtomicU64,
    /// Reports whose sequence is further ahead than reports can come.
    pub implausible: AtomicU64,
    /// Reports whose epoch is further ahead of this calendar than clocks are.
    pub ahead: AtomicU64,
    /// Reports of a forgotten epoch.
    pub expired: AtomicU64,
    /// Reports turned away: queue full, or no room for another epoch.
    pub turned_away: AtomicU64,
    /// Reports in transactions that failed.
    pub not_stored: AtomicU64,
    /// Transactions that failed.
    pub commit_failures: AtomicU64,
    /// The latest transaction failed.
    pub last_commit_failed: AtomicBool,
    /// Reports waiting for the committer.
    pub queued: AtomicU64,
    /// Streams open.
    pub streams: AtomicU64,
    /// Single calls reported.
    pub records: AtomicU64,
    /// Those of them that found discovery's queue full.
    pub records_dropped: AtomicU64,
    /// Times changed intents were taken over.
    pub reloads: AtomicU64,
    /// Times they were refused.
    pub reloads_refused: AtomicU64,
    /// Journeys that went with their file.
    pub journeys_removed: AtomicU64,
    commits: Mutex<LatencyTotals>,
    plans: Mutex<LatencyTotals>,
}

/// The counters at about one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are those of [`Stats`]
pub struct StatsSnapshot {
    pub counted: u64,
    pub duplicates: u64,
    pub missing: u64,
    pub invalid: u64,
    pub implausible: u64,
    pub ahead: u64,
    pub expired: u64,
    pub turned_away: u64,
    pub not_stored: u64,
    pub commit_failures: u64,
    pub queued: u64,
    pub streams: u64,
    pub records: u64,
    pub records_dropped: u64,
    pub reloads: u64,
    pub reloads_refused: u64,
    pub commits: LatencyTotals,
    pub plans: LatencyTotals,
}

impl Stats {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Relaxed);
    }

    /// Takes from a gauge.
    pub fn take(counter: &AtomicU64, n: u64) {
        counter.fetch_sub(n, Relaxed);
    }

    /// Notes how long a transaction took.
    pub fn committed(&self, took: Micros) {
        note(&self.commits, took);
    }

    /// Notes how long a plan took.
    pub fn planned(&self, took: Micros) {
        note(&self.plans, took);
    }

    /// Reads every counter.
    pub fn snapshot(&self) -> StatsSnapshot {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        StatsSnapshot {
            counted: read(&self.counted),
            duplicates: read(&self.duplicates),
            missing: read(&self.missing),
            invalid: read(&self.invalid),
            implausible: read(&self.implausible),
            ahead: read(&self.ahead),
            expired: read(&self.expired),
            turned_away: read(&self.turned_away),
            not_stored: read(&self.not_stored),
            commit_failures: read(&self.commit_failures),
            queued: read(&self.queued),
            streams: read(&self.streams),
            records: read(&self.records),
            records_dropped: read(&self.records_dropped),
            reloads: read(&self.reloads),
            reloads_refused: read(&self.reloads_refused),
            commits: self.commits.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            plans: self.plans.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

fn note(histogram: &Mutex<LatencyTotals>, took: Micros) {
    let mut one = Sketch::new();
    one.record(took);
    histogram.lock().unwrap_or_else(PoisonError::into_inner).add(&one);
}
