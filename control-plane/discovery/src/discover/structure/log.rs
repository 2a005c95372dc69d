//! How the calls of one caller lay in time, request by request.

use std::collections::BTreeSet;

use super::SUPPORT_MIN;
use emac_trace::{CallOutcome, TraceId};

/// One of the caller's calls, by its place in the caller's list of sites.
pub type Activity = u32;

/// Requests of one caller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// Those in which it called somebody.
    pub runs: Vec<Run>,
    /// How many times, in the same proportion, it called nobody.
    pub empty: u64,
}

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its calls by start, at least one.
    pub events: Vec<Event>,
    /// When the caller went on: the start of what followed, or its own end. Nanoseconds after it began.
    pub until: i64,
    /// Whether it went on as if all were well.
    pub went_on: bool,
    /// Something had failed before these calls could be reached: what is missing was not reached, rather than not wanted.
    pub blocked: bool,
    /// Which trace.
    pub trace: TraceId,
}

/// One call. Times are nanoseconds after the caller began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which.
    pub activity: Activity,
    /// When it began.
    pub start: i64,
    /// When it ended, or was not needed any more.
    pub end: i64,
    /// How it ended.
    pub outcome: CallOutcome,
    /// Tries in one span, at least 1.
    pub attempts: u16,
    /// It was not needed any more, or never waited for: its end is the moment of that.
    pub cut: bool,
    /// It failed, and another call answered in its place.
    pub replaced: bool,
    /// It is a message: there is nothing to wait for.
    pub message: bool,
}

/// Two calls touch rather than overlap when they share less than this: a caller sends the next call from one thread while another still
/// closes the span before.
const TOUCH_NS: i64 = 50_000;
/// And less than this part of the shorter one: of calls that take microseconds a touch is not most of the call.
const TOUCH_PART: i64 = 20;

/// Requests that went well are looked at alone while they are one in so many of all, and [`SUPPORT_MIN`]: fewer show less than those that failed.
const WELL_PART: usize = 20;

impl Event {
    /// Whether this call was over when the other began, give or take a touch.
    pub(super) fn before(&self, other: &Self) -> bool {
        let shorter = (self.end - self.start).min(other.end - other.start);
        self.end - other.start <= TOUCH_NS.min(shorter / TOUCH_PART)
    }

    /// Whether it was still running at a moment, give or take a touch.
    pub(super) fn running_at(&self, moment: i64) -> bool {
        self.end - moment > TOUCH_NS.min((self.end - self.start) / TOUCH_PART)
    }
}

impl Run {
    /// Whether every call ended well.
    pub(super) fn is_clean(&self) -> bool {
        self.events.iter().all(|event| event.cut || !event.outcome.failed())
    }

    /// Whether the last try of every call ended well: what is missing then was not wanted, rather than not reached.
    pub(super) fn is_mended(&self) -> bool {
        self.events.iter().filter(|event| !event.cut && event.outcome.failed()).all(|event| self.mends(event))
    }

    /// Whether shares may be counted of it: these calls were reached, and had they not been wanted, the run would be here all the same.
    ///
    /// Where the caller failed by itself after calls that did well, a run that left them out could not be told from one that never reached them; so
    /// neither counts. A run that a call of these failed would have gone on without it, and counts.
    pub(super) fn tells(&self) -> bool {
        let failed = |event: &Event| !event.cut && event.outcome.failed();
        !self.blocked && (self.went_on || self.events.iter().any(failed))
    }

    /// Whether something failed before a moment, among calls that are not of a part, and was not mended.
    fn is_blocked(&self, keep: &BTreeSet<Activity>, until: Option<i64>) -> bool {
        let before = |event: &Event| until.is_none_or(|until| event.start < until);
        let failed = |event: &&Event| {
            !event.cut && event.outcome.failed() && !keep.contains(&event.activity) && before(event)
        };
        self.events.iter().filter(failed).any(|event| !self.mends(event))
    }

    /// Whether a failure was mended: another answered instead, or the same call did well later.
    fn mends(&self, failed: &Event) -> bool {
        failed.replaced
            || self.of(failed.activity).any(|again| again.start >= failed.end && !again.outcome.failed())
    }

    /// Whether the caller went on after a moment: something was called later, or it ended well.
    pub(super) fn went_on_after(&self, moment: i64) -> bool {
        self.went_on || self.events.iter().any(|event| event.start >= moment)
    }

    /// Calls of one activity, by start.
    pub(super) fn of(&self, activity: Activity) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.activity == activity)
    }

    /// First start and last end of one activity.
    pub(super) fn hull(&self, activity: Activity) -> Option<Event> {
        let first = *self.of(activity).next()?;
        let end = self.of(activity).map(|event| event.end).max()?;
        Some(Event { end, ..first })
    }
}

impl Log {
    /// What is called, ascending.
    pub(super) fn activities(&self) -> Vec<Activity> {
        let all: BTreeSet<_> =
            self.runs.iter().flat_map(|run| &run.events).map(|event| event.activity).collect();
        all.into_iter().collect()
    }

    /// Runs in which nothing failed; all of them when hardly any is so.
    ///
    /// A failed step ends a series early, so runs with failures show less than there is.
    pub(super) fn clean(&self) -> Vec<&Run> {
        let clean: Vec<_> = self.runs.iter().filter(|run| run.is_clean()).collect();
        if clean.len() >= self.enough() { clean } else { self.runs.iter().collect() }
    }

    /// How many runs stand for all of them.
    fn enough(&self) -> usize {
        (self.runs.len() / WELL_PART).max(SUPPORT_MIN as usize).min(self.runs.len())
    }

    /// Runs of which shares are counted.
    pub(super) fn telling(&self) -> u64 {
        self.runs.iter().filter(|run| run.tells()).count() as u64
    }

    /// Those, and empty ones.
    pub(super) fn total(&self) -> u64 {
        self.telling() + self.empty
    }

    /// Runs that went well, failures mended; all of them when hardly any is so.
    pub(super) fn mended(&self) -> Vec<&Run> {
        let mended: Vec<_> = self.runs.iter().filter(|run| run.went_on && run.is_mended()).collect();
        if mended.len() >= self.enough() { mended } else { self.runs.iter().collect() }
    }

    /// The calls that `keep` names, each run with when and whether the caller went on after them. A run without any of them is empty when the
    /// caller went on and nothing had failed before, and tells nothing otherwise. Runs that are empty already are not this part's to count.
    pub(super) fn project(&self, keep: &BTreeSet<Activity>, after: &BTreeSet<Activity>) -> Self {
        let mut log = Self::default();
        for run in &self.runs {
            let events: Vec<_> =
                run.events.iter().filter(|event| keep.contains(&event.activity)).copied().collect();
            let next = run
                .events
                .iter()
                .filter(|event| after.contains(&event.activity))
                .map(|event| event.start)
                .min();
            let went_on = next.is_some() || run.went_on;
            let blocked = run.blocked || run.is_blocked(keep, next);
            if !events.is_empty() {
                let until = next.unwrap_or(run.until);
                log.runs.push(Run { events, until, went_on, blocked, trace: run.trace });
            } else if went_on && !blocked {
                log.empty += 1;
            }
        }
        log
    }
}
