//! The moments at which a caller went on, and what had just answered then.

use std::collections::BTreeMap;

use super::super::SUPPORT_MIN;
use super::super::log::{Activity, Event, Log, Run};
use super::super::relation::Union;
use super::{BREAK_NS, broken_off};
use emac_trace::CallOutcome;

/// Counts over all moments. Places are positions in the list of activities; one more stands for the caller's end.
pub(super) struct Moments {
    activities: Vec<Activity>,
    /// By moment and trigger.
    triggered: BTreeMap<(usize, usize), u64>,
    /// How often each moment occurred, triggered or not.
    occurred: BTreeMap<usize, u64>,
    /// By loser and winner: overlapping, and the first ended because the second answered.
    cancelled: BTreeMap<(usize, usize), u64>,
    /// How often that would happen by chance, by the lengths of the losers that ended with an error of any kind.
    by_chance: BTreeMap<(usize, usize), f64>,
}

/// One time in so many is more than chance: a call that has nothing to do with a moment is over just before it now and then, in the gap between the
/// answer and the next step, which is short beside the calls.
pub(super) const CHANCE_PART: u64 = 50;
/// And one time in so many where that gap may be long.
const OFTEN_PART: u64 = 10;
/// Percent of a call's beginnings that another must trigger to be what it waits for: more than half, and not all, since a parallel call may be over in
/// between.
const TRIGGERS_PERCENT: u64 = 60;
/// Rivals cancelled for a call that show that it wins. It is asked of calls that are rivals already, so one less than [`SUPPORT_MIN`]: the third may
/// have been the other way round.
const CANCELLED_MIN: u64 = 2;

/// Of what chance makes so many times as much is taken off: it spreads.
const CHANCE_TIMES: f64 = 3.0;

impl Moments {
    /// Looks at every run. O(runs · calls²).
    pub(super) fn of(activities: &[Activity], log: &Log) -> Self {
        let mut moments = Self {
            activities: activities.to_vec(),
            triggered: BTreeMap::new(),
            occurred: BTreeMap::new(),
            cancelled: BTreeMap::new(),
            by_chance: BTreeMap::new(),
        };
        log.runs.iter().for_each(|run| moments.look_at(run));
        moments
    }

    fn place(&self, activity: Activity) -> usize {
        self.activities.binary_search(&activity).unwrap_or(usize::MAX)
    }

    fn look_at(&mut self, run: &Run) {
        for (next, event) in run.events.iter().enumerate() {
            let before = run.events.get(..next).unwrap_or_default();
            // What comes again follows itself.
            if before.iter().all(|earlier| earlier.activity != event.activity) {
                self.moment(self.place(event.activity), event.start, before);
            }
        }
        if run.went_on {
            self.moment(self.activities.len(), run.until, &run.events);
        }
        self.look_for_cancelled(run);
    }

    fn moment(&mut self, moment: usize, at: i64, before: &[Event]) {
        *self.occurred.entry(moment).or_default() += 1;
        let over =
            before.iter().filter(|event| !event.message && !event.running_at(at) && event.outcome.answered());
        let Some(trigger) = over.max_by_key(|event| event.end) else { return };
        let place = self.place(trigger.activity);
        *self.triggered.entry((moment, place)).or_default() += 1;
    }

    fn look_for_cancelled(&mut self, run: &Run) {
        for loser in run.events.iter().filter(|event| event.outcome != CallOutcome::Good) {
            let answered = run
                .events
                .iter()
                .filter(|event| event.outcome.answered() && event.activity != loser.activity);
            let went_on = run.went_on_after(loser.end);
            let winners = answered.clone().filter(|winner| broken_off(loser, winner, went_on));
            // It ended for one answer, the nearest: a short call that began right then is over soon, too.
            if let Some(winner) = winners.min_by_key(|winner| (winner.end - loser.end).abs()) {
                let pair = (self.place(loser.activity), self.place(winner.activity));
                *self.cancelled.entry(pair).or_default() += 1;
            }
            for winner in answered.filter(|winner| loser.start < winner.end) {
                if loser.outcome == CallOutcome::Error {
                    let pair = (self.place(loser.activity), self.place(winner.activity));
                    let chance = BREAK_NS as f64 / (loser.end - loser.start).max(BREAK_NS) as f64;
                    *self.by_chance.entry(pair).or_default() += chance;
                }
            }
        }
    }

    /// How often one call ended because another had answered, less what chance makes of errors.
    fn cancelled(&self, loser: usize, winner: usize) -> u64 {
        let seen = self.cancelled.get(&(loser, winner)).copied().unwrap_or(0);
        let chance = self.by_chance.get(&(loser, winner)).copied().unwrap_or(0.0);
        seen.saturating_sub((CHANCE_TIMES * chance).ceil() as u64)
    }

    /// Whether one of two calls was cancelled for the other.
    pub(super) fn is_cancelled(&self, a: usize, b: usize) -> bool {
        self.cancelled(a, b) + self.cancelled(b, a) >= SUPPORT_MIN
    }

    /// Whether a call is what had just answered when another began, more often than chance.
    pub(super) fn sets_going(&self, trigger: usize, moment: usize) -> bool {
        let all = self.occurred.get(&moment).copied().unwrap_or(0);
        self.triggered.get(&(moment, trigger)).is_some_and(|count| count * CHANCE_PART >= all)
    }

    /// The same, so often that it is no chance either where the caller works between two calls.
    pub(super) fn often_sets_going(&self, trigger: usize, moment: usize) -> bool {
        let all = self.occurred.get(&moment).copied().unwrap_or(0);
        self.triggered.get(&(moment, trigger)).is_some_and(|count| count * OFTEN_PART >= all)
    }

    /// Whether a call lets the caller end more often than chance.
    pub(super) fn ends(&self, place: usize) -> bool {
        self.sets_going(place, self.activities.len())
    }

    /// Whether a call is what had just answered when another began, in most requests.
    pub(super) fn triggers(&self, trigger: usize, moment: usize) -> bool {
        let all = self.occurred.get(&moment).copied().unwrap_or(0);
        self.triggered.get(&(moment, trigger)).is_some_and(|count| count * 100 >= all * TRIGGERS_PERCENT)
    }

    /// Whether others were cancelled for a call.
    pub(super) fn wins(&self, place: usize) -> bool {
        (0..self.activities.len()).any(|other| self.cancelled(other, place) >= CANCELLED_MIN)
    }

    /// Joins calls that were cancelled for each other.
    pub(super) fn join_cancelled(&self, union: &mut Union) {
        let n = self.activities.len();
        let pairs = (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b)));
        pairs.filter(|&(a, b)| self.is_cancelled(a, b)).for_each(|(a, b)| union.join(a, b));
    }
}
