//! A moment in each request: which calls had begun, and how they stood.

use std::collections::BTreeSet;

use super::super::super::log::{Activity, Event, Log, Run};
use super::super::broken_off;
use emac_trace::CallOutcome;

/// How a call stood at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    Answered,
    Failed,
    /// Still running, or given up because another had answered.
    Pending,
}

/// A call begun before a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    pub(super) place: usize,
    pub(super) end: i64,
    pub(super) stand: Stand,
}

/// A moment in one request.
#[derive(Clone, Debug)]
pub(super) struct Sight {
    pub(super) at: i64,
    pub(super) begun: Vec<Begun>,
}

/// A moment in every request that has it: the start of a call, when it is made for the `nth` time (from 0), or the caller's end. Messages are never
/// waited for, and not looked at.
pub(super) fn sights(moment: usize, nth: usize, activities: &[Activity], log: &Log) -> Vec<Sight> {
    let place = |activity: Activity| activities.binary_search(&activity).ok();
    let sight = |run: &Run| {
        let (at, before) = match activities.get(moment) {
            Some(activity) => {
                let mut made = run.events.iter().enumerate().filter(|(_, event)| event.activity == *activity);
                let (next, _) = made.nth(nth)?;
                (run.events.get(next)?.start, run.events.get(..next)?)
            }
            None if run.went_on => (run.until, run.events.as_slice()),
            None => return None,
        };
        let mut begun: Vec<Begun> = Vec::with_capacity(before.len());
        for event in before.iter().filter(|event| !event.message) {
            let Some(place) = place(event.activity) else { continue };
            let one = Begun { place, end: event.end, stand: stand(event, run, at) };
            match begun.iter_mut().find(|known| known.place == place) {
                // Of what is tried again, or comes again, the last one counts.
                Some(known) if known.stand != Stand::Pending => *known = one,
                Some(_) => {}
                None => begun.push(one),
            }
        }
        Some(Sight { at, begun })
    };
    log.runs.iter().filter_map(sight).collect()
}

fn stand(event: &Event, run: &Run, at: i64) -> Stand {
    // An error may fall into the moment of another's answer by chance; how often it does is looked at over all requests, elsewhere.
    let lost = || {
        let others =
            run.events.iter().filter(|other| other.activity != event.activity && other.outcome.answered());
        event.outcome == CallOutcome::Cancelled
            && others.into_iter().any(|winner| broken_off(event, winner, run.went_on_after(event.end)))
    };
    if event.cut || event.running_at(at) || (!event.outcome.answered() && lost()) {
        Stand::Pending
    } else if event.outcome.answered() {
        Stand::Answered
    } else {
        Stand::Failed
    }
}

impl Sight {
    /// Ends the calls of a group when so many of them had answered, as their caller wanted no more. `ends` is room to work in.
    pub(super) fn decide(&mut self, members: Members, needed: u32, ends: &mut Vec<i64>) {
        let Some(enough) = self.enough(members, needed, ends) else { return };
        for begun in self.begun.iter_mut().filter(|begun| members.has(begun.place)) {
            if begun.stand == Stand::Pending || begun.end > enough {
                (begun.end, begun.stand) = (enough, Stand::Answered);
            }
        }
    }

    /// When so many members had answered; `None` while fewer had. `ends` is room to work in.
    pub(super) fn enough(&self, members: Members, needed: u32, ends: &mut Vec<i64>) -> Option<i64> {
        let answered = |begun: &&Begun| members.has(begun.place) && begun.stand == Stand::Answered;
        ends.clear();
        ends.extend(self.begun.iter().filter(answered).map(|begun| begun.end));
        ends.sort_unstable();
        ends.get(needed.saturating_sub(1) as usize).copied()
    }
}

/// A group of calls by place, of which there are 64 at most: asked for at every call of every moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Members(u64);

impl Members {
    pub(super) fn of(places: &BTreeSet<usize>) -> Self {
        Self(places.iter().fold(0, |all, &place| all | 1_u64.checked_shl(place as u32).unwrap_or(0)))
    }

    pub(super) fn has(self, place: usize) -> bool {
        1_u64.checked_shl(place as u32).is_some_and(|bit| self.0 & bit != 0)
    }
}

/// "No call": the caller's own begin, which everything comes after.
pub(super) const BEGIN: (i64, usize) = (0, usize::MAX);
/// In the place of a call: so many answers of a group.
pub(super) const GROUP: usize = usize::MAX - 1;

/// The last two ends among the calls of some places. One that still ran is left out: asked for are calls that hardly ever do, and where one does its record
/// errs, which is no evidence for a race.
pub(super) fn last_two(sight: &Sight, of: impl Fn(usize) -> bool) -> [(i64, usize); 2] {
    let mut last = [BEGIN, BEGIN];
    for begun in sight.begun.iter().filter(|begun| begun.stand != Stand::Pending && of(begun.place)) {
        insert(&mut last, (begun.end, begun.place));
    }
    last
}

pub(super) fn insert(last: &mut [(i64, usize); 2], one: (i64, usize)) {
    if last[0] == BEGIN || one.0 > last[0].0 {
        *last = [one, last[0]];
    } else if last[1] == BEGIN || one.0 > last[1].0 {
        last[1] = one;
    }
}
