//! A robust stopwatch: contenders take turns, so that a noisy moment hits all of them, and the median round counts. It runs on the thread's own
//! processor time, which is what "one core" means: waiting for a core that others use is not part of the work.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Rounds measured; odd, so that the median is a measurement.
const ROUNDS: usize = 31;
/// Length of one contender's turn.
const TURN: Duration = Duration::from_millis(4);

/// Work to be timed; returns how many operations it did.
pub type Work<'a> = Box<dyn FnMut() -> u64 + 'a>;

/// Nanoseconds per operation of each contender: the median over interleaved rounds. About an eighth of a second each.
pub fn side_by_side(mut contenders: Vec<Option<Work<'_>>>) -> Vec<Option<f64>> {
    let mut rounds: Vec<Vec<f64>> = vec![Vec::with_capacity(ROUNDS); contenders.len()];
    for _ in 0..ROUNDS {
        for (work, rounds) in contenders.iter_mut().zip(&mut rounds) {
            rounds.extend(work.as_mut().map(|work| turn(work)));
        }
    }
    rounds.into_iter().map(median).collect()
}

fn turn(work: &mut Work<'_>) -> f64 {
    let begin = used();
    let mut operations = 0;
    while used() - begin < TURN {
        operations += work();
    }
    (used() - begin).as_nanos() as f64 / operations.max(1) as f64
}

/// Processor time of this thread.
fn used() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// The middle value; `None` of nothing.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contenders_are_told_apart() {
        let slow = || -> u64 {
            std::hint::black_box((0..20_000_u64).map(std::hint::black_box).sum::<u64>());
            1
        };
        let quick = || -> u64 { std::hint::black_box(1) };
        let times = side_by_side(vec![Some(Box::new(slow)), None, Some(Box::new(quick))]);
        assert!(times[1].is_none() && times[0] > times[2]);
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![]), None);
    }
}
