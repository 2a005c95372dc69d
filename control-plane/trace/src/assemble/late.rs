//! Traces that were handed on: what comes for them now comes too late.

use std::collections::VecDeque;

use hashbrown::HashSet;

use crate::TraceId;

/// The last so many.
#[derive(Debug)]
pub(super) struct Finished {
    max: usize,
    order: VecDeque<(TraceId, bool)>,
    known: HashSet<(TraceId, bool)>,
}

impl Finished {
    pub(super) fn new(max: usize) -> Self {
        Self { max, order: VecDeque::new(), known: HashSet::new() }
    }

    pub(super) fn knows(&self, id: TraceId, hops: bool) -> bool {
        !self.known.is_empty() && self.known.contains(&(id, hops))
    }

    pub(super) fn remember(&mut self, id: TraceId, hops: bool) {
        if self.max == 0 || !self.known.insert((id, hops)) {
            return;
        }
        if self.order.len() == self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back((id, hops));
    }
}
