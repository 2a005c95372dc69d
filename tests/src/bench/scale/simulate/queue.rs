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

/// Cores that several kinds of threads share: each kind waits in a lane of its own, and a free core takes from the lanes by turns.
#[derive(Debug)]
pub struct Cores<J> {
    free: usize,
    lanes: Vec<VecDeque<Job<J>>>,
    turn: usize,
    /// Nanoseconds of work done for each lane.
    busy: Vec<Nanos>,
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
    /// So many cores, at least one, and lanes.
    pub fn new(cores: usize, lanes: usize) -> Self {
        let waiting = (0..lanes).map(|_| VecDeque::new()).collect();
        Self { free: cores.max(1), lanes: waiting, turn: 0, busy: vec![0; lanes] }
    }

    /// A job waits for a core.
    pub fn offer(&mut self, lane: usize, length: Nanos, what: J) {
        self.lanes[lane].push_back(Job { left: length, what });
    }

    /// What a free core does now; to be called until it says `None`, whenever something was offered or ended.
    pub fn take(&mut self) -> Option<Turn<J>> {
        if self.free == 0 {
            return None;
        }
        let lanes = self.lanes.len();
        let lane = (0..lanes).map(|n| (self.turn + n) % lanes).find(|lane| !self.lanes[*lane].is_empty())?;
        let Job { left, what } = self.lanes[lane].pop_front()?;
        self.turn = (lane + 1) % lanes;
        self.free -= 1;
        let length = left.min(SLICE);
        self.busy[lane] += length;
        Some(Turn { length, running: Running { lane, left: left - length, what } })
    }

    /// A turn is over. What was done, if it is done; else it waits for its next turn.
    pub fn end(&mut self, running: Running<J>) -> Option<J> {
        self.free += 1;
        let Running { lane, left, what } = running;
        if left == 0 {
            return Some(what);
        }
        self.lanes[lane].push_back(Job { left, what });
        None
    }

    /// Nanoseconds of work done for each lane so far, turns that run counted whole.
    pub fn busy(&self) -> &[Nanos] {
        &self.busy
    }
}
