//! Hedges: calls that begin a fixed time after another, whatever that one does.
//!
//! A timer is the sign. A call that waits for another begins when that one ends, so the time from start to start varies as its duration does; calls made
//! at once begin together. Only a timer makes the time from start to start long and always the same.

use super::super::log::{Activity, Log};

/// Requests with both, at least, and with the first alone: two gaps are alike by chance, five seldom.
const BOTH_MIN: usize = 5;
/// Shortest delay that is told from calls made at once, nanoseconds: the unit in which delays are configured, and the tick of many clocks.
const DELAY_MIN_NS: i64 = 1_000_000;
/// How far the time from start to start may spread around its median, relative, and in nanoseconds: timers of busy hosts are late.
const SPREAD: f64 = 0.05;
const SPREAD_NS: i64 = 500_000;
/// Percent of delays that must lie so close: a pause of the caller's process delays its timer, and some do pause.
const TIMED_PERCENT: usize = 90;
/// So many times as much as the delay the first call's duration must spread: were it as steady, waiting for it would look the same.
const UNSTEADY_TIMES: i64 = 4;
/// Delays are taken to spread by this much at least, nanoseconds: less is the tick of a clock.
const TICK_NS: i64 = SPREAD_NS / 10;

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
    gaps.len() >= BOTH_MIN
        && alone >= BOTH_MIN
        && median >= DELAY_MIN_NS
        && timed * 100 >= gaps.len() * TIMED_PERCENT
        && spread(&lengths) > UNSTEADY_TIMES * spread(&gaps).max(TICK_NS)
}

/// From the 10th to the 90th percentile of ascending numbers: outliers at either end say nothing of a timer.
fn spread(ascending: &[i64]) -> i64 {
    let at = |place: usize| ascending.get(place).copied().unwrap_or(0);
    at(ascending.len() * 9 / 10) - at(ascending.len() / 10)
}
