//! The planning loop: changed journeys while they have time, else a look at the others and plans of some, then what changed goes out.

use std::collections::VecDeque;

use super::costs::Costs;
use super::queue::Nanos;

/// How often it plans by itself.
pub(super) const PERIOD: Nanos = 500_000_000;
/// Time for journeys that somebody changed, and for those with evidence only, each from its first.
const CHANGED: Nanos = 150_000_000;
const REFRESH: Nanos = PERIOD / 4 / 2;
/// While journeys change, the others are looked at this often only.
const LOOK_EVERY: Nanos = 1_000_000_000;
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
    Changed,
    Look,
    Others,
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
    /// When the phase began, and the last look at all.
    began: Nanos,
    looked: Nanos,
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
            looked: 0,
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
        self.done = 0;
        let wanted = if self.begun { self.changed } else { self.journeys };
        Some(match wanted {
            0 => self.start(now, Phase::Look, self.journeys),
            wanted => self.start(now, Phase::Changed, wanted),
        })
    }

    /// Threads as the planner starts them, each with a piece.
    fn start(&mut self, now: Nanos, phase: Phase, journeys: usize) -> (usize, Nanos) {
        (self.phase, self.began) = (phase, now);
        let pieces = if phase == Phase::Look { journeys.div_ceil(LOOKS) } else { journeys };
        self.out = self.cores.min(journeys / FEW).max(1).min(pieces);
        self.left = pieces - self.out;
        (0..self.out).for_each(|_| self.take());
        (self.out, self.length())
    }

    /// How long a piece of the phase takes. What changed is read when it is planned; of the first plan there is nothing to read.
    fn length(&self) -> Nanos {
        match self.phase {
            Phase::Changed if !self.begun => self.costs.plan,
            Phase::Changed => self.costs.look + self.costs.plan,
            Phase::Look => self.costs.look * LOOKS as Nanos,
            _ => self.costs.refresh,
        }
    }

    /// A piece is begun.
    fn take(&mut self) {
        match self.phase {
            Phase::Changed => self.done += 1,
            Phase::Others => {
                self.refreshed += 1;
                self.forget(1);
                self.planned.push_back((self.began, 1));
            }
            _ => {}
        }
    }

    /// A piece is done.
    pub(super) fn end(&mut self, now: Nanos) -> (Next, Option<(usize, Nanos)>) {
        if self.left > 0 && self.may_go_on(now) {
            self.left -= 1;
            self.take();
            return (Next::Piece(self.length()), None);
        }
        self.out -= 1;
        if self.out > 0 {
            return (Next::Nothing, None);
        }
        if self.phase == Phase::Changed && self.begun && now - self.looked >= LOOK_EVERY {
            return (Next::Nothing, Some(self.start(now, Phase::Look, self.journeys)));
        }
        if self.phase == Phase::Look {
            self.looked = self.began;
            self.longest_look = self.longest_look.max(now - self.began);
            let due = self.due(now);
            if due > 0 {
                return (Next::Nothing, Some(self.start(now, Phase::Others, due)));
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

    /// Whether the next piece may be begun. The first plan has all the time, and so has a look.
    fn may_go_on(&self, now: Nanos) -> bool {
        let passed = now - self.began;
        match self.phase {
            Phase::Changed => !self.begun || passed < CHANGED,
            Phase::Others => passed < REFRESH,
            _ => true,
        }
    }

    /// Journeys planned too long ago.
    fn due(&self, now: Nanos) -> usize {
        self.planned
            .iter()
            .take_while(|(at, _)| now.saturating_sub(*at) >= REFRESH_AFTER)
            .map(|(_, n)| n)
            .sum()
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
