//! Whether this replica can write plans: one that holds the planner's place and may not write would leave all replicas without a new plan.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longer than a NATS server takes to be replaced by another: that passes by itself, whoever plans.
const AFTER: Duration = Duration::from_secs(6);
/// For so long after the last attempt it leaves the place to others; then it may have been given what it lacks.
const FOR: Duration = Duration::from_secs(30);

/// Failures to write a plan, since the last success.
#[derive(Debug, Default)]
pub(in super::super) struct Fitness(Mutex<Failures>);

#[derive(Debug, Default)]
struct Failures {
    first: Option<Instant>,
    unfit_until: Option<Instant>,
}

impl Fitness {
    /// A plan was written.
    pub(super) fn wrote(&self) {
        *self.failures() = Failures::default();
    }

    /// A plan could not be written, for no fault of another planner. Whether that makes it unfit just now.
    pub(super) fn could_not(&self, now: Instant) -> bool {
        let mut failures = self.failures();
        let first = *failures.first.get_or_insert(now);
        let was = failures.unfit_until.is_some_and(|until| until > now);
        if now.duration_since(first) >= AFTER {
            failures.unfit_until = Some(now + FOR);
        }
        !was && failures.unfit_until.is_some_and(|until| until > now)
    }

    /// Whether another should plan.
    pub(in super::super) fn is_unfit(&self, now: Instant) -> bool {
        self.failures().unfit_until.is_some_and(|until| until > now)
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_for_long_leaves_the_place_and_may_come_back_later() {
        let (fitness, begin) = (Fitness::default(), Instant::now());
        let at = |ms| begin + Duration::from_millis(ms);
        assert!(!fitness.could_not(at(0)) && !fitness.could_not(at(5_900)));
        assert!(!fitness.is_unfit(at(5_900)));
        assert!(fitness.could_not(at(6_000)) && !fitness.could_not(at(7_000)));
        assert!(fitness.is_unfit(at(36_900)) && !fitness.is_unfit(at(37_000)));
        fitness.wrote();
        assert!(!fitness.is_unfit(at(8_000)) && !fitness.could_not(at(8_000)));
    }
}
