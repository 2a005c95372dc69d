//! Made-up traffic, and what must follow from it.

use super::super::Pair;

/// Traffic that is the same every minute, from one minute to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// Which instances, zones or pods.
    pub(super) instance: &'static str,
    pub(super) from: u64,
    /// Its series end here.
    pub(super) until: u64,
    /// Good requests a step.
    pub(super) good: u64,
    /// Failed requests a step.
    pub(super) failed: u64,
    /// There is no series of good requests.
    pub(super) without_good: bool,
    /// One request fails, halfway.
    pub(super) once: bool,
}

impl Part {
    pub(super) fn whole(good: u64, failed: u64) -> Self {
        Self { instance: "", from: 0, until: u64::MAX, good, failed, without_good: false, once: false }
    }

    pub(super) fn never_good(failed: u64) -> Self {
        Self { without_good: true, ..Self::whole(0, failed) }
    }
}

/// What happens in a test.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    /// Seconds between samples.
    pub(super) step_seconds: u64,
    pub(super) minutes: u64,
    pub(super) parts: Vec<Part>,
}

impl Traffic {
    /// Good and failed requests of some parts in the minutes before one.
    fn events(&self, parts: &[Part], minute: u64, window_minutes: u64) -> (f64, f64) {
        let begin = minute.saturating_sub(window_minutes);
        let of = |part: &Part| {
            let (from, until) = (begin.max(part.from), minute.min(part.until));
            let steps = until.saturating_sub(from) as f64 * 60.0 / self.step_seconds as f64;
            let half = self.minutes / 2;
            let once = part.once && begin < half && half <= minute;
            (steps * part.good as f64, steps * part.failed as f64 + f64::from(u8::from(once)))
        };
        parts.iter().map(of).fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// Whether a pair fires; `None` where it is too near to say.
    pub(super) fn fires(&self, parts: &[Part], minute: u64, pair: &Pair, budget: f64) -> Option<bool> {
        let share = |window: u64| {
            let (good, failed) = self.events(parts, minute, window);
            if good + failed > 0.0 { (failed / (good + failed), failed) } else { (0.0, 0.0) }
        };
        let minutes = |window: emac_core::units::Micros| (window.0 / 60_000_000).max(1);
        let ((long, failures), (short, _)) = (share(minutes(pair.long)), share(minutes(pair.short)));
        let scaled = |by: f64| pair.fires(budget, (long * by).min(1.0), (short * by).min(1.0), failures * by);
        match (scaled(0.93), scaled(1.07), scaled(1.0)) {
            // All requests are all requests, by any estimate.
            (_, _, true) if long >= 1.0 && short >= 1.0 && failures >= 6.0 => Some(true),
            (true, true, _) => Some(true),
            (false, false, _) => Some(false),
            _ => None,
        }
    }
}
