//! What the caller of each operator does.

use emac_core::journey::Join;
use emac_core::units::Millis;

use super::super::step::{Losers, Step};
use super::{At, End, Ended, Engine};

impl Engine<'_> {
    pub(super) fn series<'s>(&mut self, steps: impl Iterator<Item = &'s Step>, at: At) -> End {
        let mut end = End { at: at.start, good: true };
        for (i, step) in steps.enumerate() {
            let start = end.at + if i == 0 { 0 } else { self.gap() };
            end = self.step(step, at.later(start));
            if !end.good {
                break;
            }
        }
        end
    }

    pub(super) fn parallel(
        &mut self,
        join: Join,
        spread_ns: f64,
        fail_fast: bool,
        losers: Losers,
        branches: &[Step],
        at: At,
    ) -> End {
        let mut order: Vec<usize> = (0..branches.len()).collect();
        // Started in the order of the program text, mostly: schedulers differ.
        if self.draw.chance(0.3) {
            order.rotate_left(1);
        }
        let first = self.run.acts.len();
        let mut start = at.start;
        let mut ends = Vec::with_capacity(branches.len());
        for i in order {
            ends.push(self.step(&branches[i], at.later(start)));
            start += self.draw.exponential(spread_ns) as i64;
        }
        let end = joined(join, fail_fast, ends);
        self.abandon(first, at.caller, end.at, losers, Ended::Cancelled);
        End { at: end.at.max(at.start) + self.gap(), ..end }
    }

    pub(super) fn race(&mut self, delay: Millis, losers: Losers, branches: &[Step], at: At) -> End {
        let first = self.run.acts.len();
        let mut best: Option<i64> = None;
        let mut last = at.start;
        for (i, branch) in branches.iter().enumerate() {
            let stagger = if delay.0 == 0 { self.gap() } else { delay.0 as i64 * 1_000_000 };
            let start = at.start + i as i64 * stagger;
            if delay.0 > 0 && best.is_some_and(|best| best <= start) {
                break;
            }
            let end = self.step(branch, at.later(start));
            last = last.max(end.at);
            if end.good {
                best = Some(best.map_or(end.at, |best| best.min(end.at)));
            }
        }
        let end = best.unwrap_or(last);
        self.abandon(first, at.caller, end, losers, Ended::Cancelled);
        End { at: end + self.gap(), good: best.is_some() }
    }

    pub(super) fn fallback(&mut self, steps: &[Step], at: At) -> End {
        let mut end = End { at: at.start, good: false };
        for (i, step) in steps.iter().enumerate() {
            let start = end.at + if i == 0 { 0 } else { self.gap() };
            end = self.step(step, at.later(start));
            if end.good {
                break;
            }
        }
        end
    }

    pub(super) fn branch(&mut self, id: usize, choices: &[(f64, Option<Step>)], at: At) -> End {
        let chosen = self.draw.weighted(choices.iter().map(|(p, _)| *p));
        self.run.choices.push((id, chosen));
        match &choices[chosen].1 {
            Some(step) => self.step(step, at),
            None => End { at: at.start, good: true },
        }
    }

    pub(super) fn retry(&mut self, attempts: u32, backoff_ns: f64, body: &Step, at: At) -> End {
        let mut end = End { at: at.start, good: false };
        for attempt in 1..=attempts {
            let pause = if attempt == 1 { 0 } else { (backoff_ns * self.draw.between(0.5, 1.5)) as i64 };
            let attempt = attempt as u16;
            end = self.step(body, At { start: end.at + pause, attempt, ..at });
            if end.good {
                break;
            }
        }
        end
    }

    pub(super) fn timeout(&mut self, after: Millis, losers: Losers, body: &Step, at: At) -> End {
        let first = self.run.acts.len();
        let end = self.step(body, at);
        let limit =
            at.start.saturating_add(i64::try_from(after.0.saturating_mul(1_000_000)).unwrap_or(i64::MAX));
        if end.at <= limit {
            return end;
        }
        let losers = if losers == Losers::LeftRunning { Losers::HungUp } else { losers };
        self.abandon(first, at.caller, limit, losers, Ended::Timeout);
        End { at: limit + self.gap(), good: false }
    }
}

/// When the caller of parallel branches knows the outcome and goes on.
fn joined(join: Join, fail_fast: bool, mut ends: Vec<End>) -> End {
    ends.sort_by_key(|end| end.at);
    let need = match join {
        Join::All => ends.len(),
        Join::AtLeast(k) => k as usize,
    };
    let spare = ends.len() - need;
    let enough = ends.iter().filter(|end| end.good).nth(need.saturating_sub(1)).map(|end| end.at);
    let too_few = ends.iter().filter(|end| !end.good).nth(spare).map(|end| end.at);
    let last = ends.last().map_or(0, |end| end.at);
    match (enough, too_few) {
        (Some(at), _) => End { at, good: true },
        (None, Some(at)) if fail_fast => End { at, good: false },
        _ => End { at: last, good: false },
    }
}
