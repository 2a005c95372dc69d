//! Time that passes from event to event, and processor cores that take turns.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

/// Nanoseconds since a simulation began, or so many of them.
pub type Nanos = u64;

/// Longest that a job keeps a core while others wait, as a scheduler lets it.
const SLICE: Nanos = 1_000_000;

/// What will happen, the soonest first; of what happens at one time, in the order in which it was foreseen.
#[derive(Debug)]
pub struct Events<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    now: Nanos,
    /// How many there have been.
    number: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at: Nanos,
    number: u64,
    event: E,
}

/// Cores that several kinds of threads share, as the system's scheduler lets them: each kind waits in a lane of its own, and a free core takes from
/// the lane whose threads had the least time.
#[derive(Debug)]
pub struct Cores<J> {
    free: usize,
    lanes: Vec<Lane<J>>,
    /// What the threads of the lane taken from last have had.
    least: f64,
    /// Nanoseconds of work done for each lane.
    busy: Vec<Nanos>,
}

#[derive(Debug)]
struct Lane<J> {
    waiting: VecDeque<Job<J>>,
    running: usize,
    /// Most threads it has.
    threads: usize,
    /// Time that each of its threads has had; one that comes back has had as much as the others.
    had: f64,
}

#[derive(Debug)]
struct Job<J> {
    left: Nanos,
    what: J,
}

/// What a core does next.
#[derive(Debug)]
pub struct Turn<J> {
    /// For how long.
    pub length: Nanos,
    /// To be given back by [`Cores::end`] after that.
    pub running: Running<J>,
}

/// A job on a core.
#[derive(Debug)]
pub struct Running<J> {
    lane: usize,
    left: Nanos,
    what: J,
}

// === impl Events ===

impl<E> Default for Events<E> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), now: 0, number: 0 }
    }
}

impl<E> Events<E> {
    /// When the latest event was.
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// How many events were foreseen so far.
    pub fn foreseen(&self) -> u64 {
        self.number
    }

    /// Something will happen `after` so long.
    pub fn after(&mut self, after: Nanos, event: E) {
        self.at(self.now.saturating_add(after), event);
    }

    /// Something will happen at a time; what lies in the past happens now.
    pub fn at(&mut self, at: Nanos, event: E) {
        self.number += 1;
        self.heap.push(Reverse(Entry { at: at.max(self.now), number: self.number, event }));
    }

    /// What happens next, if it happens before `end`; the time is then its time.
    pub fn next_before(&mut self, end: Nanos) -> Option<E> {
        if self.heap.peek().is_none_or(|Reverse(entry)| entry.at >= end) {
            self.now = self.now.max(end);
            return None;
        }
        let Reverse(entry) = self.heap.pop()?;
        self.now = entry.at;
        Some(entry.event)
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Entry<E> {}

// === impl Cores ===

impl<J> Cores<J> {
    /// So many cores, at least one, and a lane for each number of threads.
    pub fn new(cores: usize, threads: &[usize]) -> Self {
        let lane =
            |threads: &usize| Lane { waiting: VecDeque::new(), running: 0, threads: *threads, had: 0.0 };
        let lanes: Vec<_> = threads.iter().map(lane).collect();
        Self { free: cores.max(1), least: 0.0, busy: vec![0; lanes.len()], lanes }
    }

    /// A job waits for a core.
    pub fn offer(&mut self, lane: usize, length: Nanos, what: J) {
        let lane = &mut self.lanes[lane];
        if lane.waiting.is_empty() && lane.running == 0 {
            lane.had = lane.had.max(self.least);
        }
        lane.waiting.push_back(Job { left: length, what });
    }

    /// What a free core does now; to be called until it says `None`, whenever something was offered or ended.
    pub fn take(&mut self) -> Option<Turn<J>> {
        if self.free == 0 {
            return None;
        }
        let ready = self.lanes.iter_mut().enumerate().filter(|(_, lane)| !lane.waiting.is_empty());
        let (place, lane) = ready.min_by(|(_, a), (_, b)| a.had.total_cmp(&b.had))?;
        let threads = (lane.waiting.len() + lane.running).min(lane.threads).max(1);
        let Job { left, what } = lane.waiting.pop_front()?;
        let length = left.min(SLICE);
        self.least = self.least.max(lane.had);
        lane.had += length as f64 / threads as f64;
        lane.running += 1;
        self.free -= 1;
        self.busy[place] += length;
        Some(Turn { length, running: Running { lane: place, left: left - length, what } })
    }

    /// A turn is over. What was done, if it is done; else it waits for its next turn.
    pub fn end(&mut self, running: Running<J>) -> Option<J> {
        self.free += 1;
        let Running { lane, left, what } = running;
        let lane = &mut self.lanes[lane];
        lane.running -= 1;
        if left == 0 {
            return Some(what);
        }
        lane.waiting.push_back(Job { left, what });
        None
    }

    /// Nanoseconds of work done for each lane so far, turns that run counted whole.
    pub fn busy(&self) -> &[Nanos] {
        &self.busy
    }
}
