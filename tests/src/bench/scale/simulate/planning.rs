//! The planning loop: a look at every journey, then plans while each class of journeys has time, then what changed goes out.

use std::collections::VecDeque;

use super::costs::Costs;
use super::queue::Nanos;

/// How often it plans by itself.
pub(super) const PERIOD: Nanos = 500_000_000;
/// Time from the beginning of a step for journeys that somebody changed, and for those with evidence only.
const CHANGED: Nanos = 150_000_000;
const REFRESH: Nanos = PERIOD / 4 / 2;
/// A journey with evidence is planned again after so long.
const REFRESH_AFTER: Nanos = 5_000_000_000;
/// A thread less than this many journeys is not started.
const FEW: usize = 4;
/// Journeys looked at in one go, so that a simulation has events to the millisecond and not to the journey.
const LOOKS: usize = 8;

/// What a piece of a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Look,
    Plan,
    Publish,
}

/// What follows from a piece that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// One more piece of so long.
    Piece(Nanos),
    /// The others are still at it.
    Nothing,
    /// What was planned is to be published now, by one thread.
    Publish {
        /// Journeys of which budgets are new.
        changed: usize,
    },
}

/// The loop, and the journeys it knows.
#[derive(Debug)]
pub(super) struct Planning {
    costs: Costs,
    cores: usize,
    journeys: usize,
    phase: Phase,
    began: Nanos,
    /// Whether there has been a plan.
    pub begun: bool,
    /// Journeys that somebody changed: seen by this step or before, and since.
    changed: usize,
    since: usize,
    /// The loop is to go on at once.
    again: bool,
    /// Pieces of the phase not begun, and threads at work.
    left: usize,
    out: usize,
    /// Of this step: journeys planned because they changed.
    done: usize,
    /// When how many journeys were last planned, the longest ago first.
    planned: VecDeque<(Nanos, usize)>,
    /// The longest look so far.
    pub longest_look: Nanos,
    /// Journeys planned for their evidence's sake.
    pub refreshed: usize,
}

impl Planning {
    pub(super) fn new(costs: &Costs, cores: usize, journeys: usize) -> Self {
        Self {
            costs: costs.clone(),
            cores,
            journeys,
            phase: Phase::Idle,
            began: 0,
            begun: false,
            changed: 0,
            since: 0,
            again: false,
            left: 0,
            out: 0,
            done: 0,
            planned: VecDeque::new(),
            longest_look: 0,
            refreshed: 0,
        }
    }

    /// So many journeys changed.
    pub(super) fn change(&mut self, journeys: usize) {
        self.since += journeys;
        self.again = true;
    }

    /// Begins a step, if none is under way and there is reason: the period has passed (`tick`), something changed, or the step before left
    /// something. How many pieces of what length.
    pub(super) fn begin(&mut self, now: Nanos, tick: bool) -> Option<(usize, Nanos)> {
        if self.phase != Phase::Idle || !(tick || self.again) {
            return None;
        }
        self.again = false;
        self.changed = (self.changed + std::mem::take(&mut self.since)).min(self.journeys);
        (self.began, self.done) = (now, 0);
        if !self.begun {
            // Nothing was reported yet, so there is nothing to look at.
            return Some(self.start(Phase::Plan, self.journeys));
        }
        Some(self.start(Phase::Look, self.journeys.div_ceil(LOOKS)))
    }

    /// Threads as the planner starts them, each with a piece.
    fn start(&mut self, phase: Phase, pieces: usize) -> (usize, Nanos) {
        self.phase = phase;
        let (items, length) = match phase {
            Phase::Look => (pieces * LOOKS, self.costs.look * LOOKS as Nanos),
            _ if self.changed > 0 => (pieces, self.costs.plan),
            _ => (pieces, self.costs.refresh),
        };
        self.out = self.cores.min(items / FEW).max(1).min(pieces);
        self.left = pieces - self.out;
        if phase == Phase::Plan {
            let changed = self.out.min(self.changed);
            self.done += changed;
            self.refresh(self.out - changed);
        }
        (self.out, length)
    }

    /// A piece is done.
    pub(super) fn end(&mut self, now: Nanos) -> (Next, Option<(usize, Nanos)>) {
        match self.phase {
            Phase::Look if self.left > 0 => {
                self.left -= 1;
                return (Next::Piece(self.costs.look * LOOKS as Nanos), None);
            }
            Phase::Plan if self.left > 0 && self.may_go_on(now) => {
                self.left -= 1;
                if self.done < self.changed {
                    self.done += 1;
                    return (Next::Piece(self.costs.plan), None);
                }
                self.refresh(1);
                return (Next::Piece(self.costs.refresh), None);
            }
            _ => {}
        }
        self.out -= 1;
        if self.out > 0 {
            return (Next::Nothing, None);
        }
        if self.phase == Phase::Look {
            self.longest_look = self.longest_look.max(now - self.began);
            let due = self.changed + self.due(now);
            if due > 0 && self.may_go_on(now) {
                return (Next::Nothing, Some(self.start(Phase::Plan, due)));
            }
        }
        self.phase = Phase::Publish;
        (Next::Publish { changed: self.done }, None)
    }

    /// The plan is out.
    pub(super) fn published(&mut self, now: Nanos) {
        self.phase = Phase::Idle;
        if !self.begun {
            self.begun = true;
            self.changed = 0;
            self.planned.push_back((now, self.journeys));
            return;
        }
        self.changed -= self.done;
        self.again |= self.changed > 0;
        let newer = self.done;
        self.forget(newer);
        self.planned.push_back((now, newer));
    }

    /// Whether the next journey in order may be planned. The first plan has all the time.
    fn may_go_on(&self, now: Nanos) -> bool {
        let passed = now - self.began;
        !self.begun || passed < if self.done < self.changed { CHANGED } else { REFRESH }
    }

    /// Journeys planned too long ago.
    fn due(&self, now: Nanos) -> usize {
        self.planned
            .iter()
            .take_while(|(at, _)| now.saturating_sub(*at) >= REFRESH_AFTER)
            .map(|(_, n)| n)
            .sum()
    }

    fn refresh(&mut self, journeys: usize) {
        if journeys > 0 && self.begun {
            self.refreshed += journeys;
            self.forget(journeys);
            self.planned.push_back((self.began, journeys));
        }
    }

    /// So many of the journeys that were planned the longest ago.
    fn forget(&mut self, mut journeys: usize) {
        while journeys > 0
            && let Some((_, oldest)) = self.planned.front_mut()
        {
            let taken = journeys.min(*oldest);
            *oldest -= taken;
            journeys -= taken;
            if *oldest == 0 {
                self.planned.pop_front();
            }
        }
    }
}
