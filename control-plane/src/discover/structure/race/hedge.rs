//! Hedges: calls that begin a fixed time after another, whatever that one does.
//!
//! A timer is the sign. A call that waits for another begins when that one ends, so the time from start to start varies as its duration does; calls made
//! at once begin together. Only a timer makes the time from start to start long and always the same.

use super::super::log::{Activity, Log};

/// Requests with both, at least.
const BOTH_MIN: usize = 5;
/// Shortest delay that is told from calls made at once, nanoseconds.
const DELAY_MIN_NS: i64 = 1_000_000;
/// How far the time from start to start may spread around its median, relative, and in nanoseconds: timers of busy hosts are late.
const SPREAD: f64 = 0.05;
const SPREAD_NS: i64 = 500_000;

/// Pairs (first, hedge) of places: the hedge is sometimes left out, and begins by a timer. O(runs · calls²).
pub(super) fn find(activities: &[Activity], log: &Log) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (place, first) in activities.iter().enumerate() {
        let others = activities.iter().enumerate().filter(|(other, _)| *other != place);
        found.extend(
            others.filter(|(_, second)| is_hedge(*first, **second, log)).map(|(other, _)| (place, other)),
        );
    }
    found
}

fn is_hedge(first: Activity, second: Activity, log: &Log) -> bool {
    let (mut gaps, mut lengths, mut alone) = (Vec::new(), Vec::new(), 0_usize);
    for run in &log.runs {
        let Some(one) = run.hull(first) else { continue };
        match run.hull(second) {
            Some(other) => {
                gaps.push(other.start - one.start);
                lengths.push(one.end - one.start);
            }
            None => alone += 1,
        }
    }
    gaps.sort_unstable();
    lengths.sort_unstable();
    let Some(&median) = gaps.get(gaps.len() / 2) else { return false };
    let close = |gap: &&i64| (**gap - median).abs() <= SPREAD_NS.max((median as f64 * SPREAD) as i64);
    let timed = gaps.iter().filter(close).count();
    let spread = |all: &[i64]| {
        all.get(all.len() * 9 / 10).copied().unwrap_or(0) - all.get(all.len() / 10).copied().unwrap_or(0)
    };
    gaps.len() >= BOTH_MIN
        && alone >= BOTH_MIN
        && median >= DELAY_MIN_NS
        && timed * 10 >= gaps.len() * 9
        // Were the first call's duration as steady as the delay, waiting for it would look the same.
        && spread(&lengths) > 4 * spread(&gaps).max(SPREAD_NS / 10)
}
