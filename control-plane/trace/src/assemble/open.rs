//! Traces that are not over, in the order of their last news.

use hashbrown::HashMap;

use super::SpanRecord;
use super::arena::{Arena, NONE};
use crate::{Symbol, TraceId};

/// A trace that is not over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) id: TraceId,
    /// Some: made of hops, on this journey.
    pub(super) journey: Option<Symbol>,
    /// The last news.
    pub(super) seen_ns: u64,
    /// There were more spans than the limit.
    pub(super) cut: bool,
    spans: u32,
    chain: u32,
    /// Neighbours in the order of the last news.
    older: u32,
    newer: u32,
}

/// Spans and hops of one request are two traces: they tell the same twice.
type RequestKey = (TraceId, bool);

/// See the module. Places are indices into `traces`.
#[derive(Debug)]
pub(super) struct OpenTraces {
    arena: Arena,
    traces: Vec<Open>,
    free: Vec<u32>,
    by_id: HashMap<RequestKey, u32>,
    /// Spans of one trace often come together.
    last: Option<(RequestKey, u32)>,
    oldest: u32,
    newest: u32,
}

impl Default for OpenTraces {
    fn default() -> Self {
        Self {
            arena: Arena::default(),
            traces: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            last: None,
            oldest: NONE,
            newest: NONE,
        }
    }
}

impl OpenTraces {
    pub(super) const fn spans(&self) -> usize {
        self.arena.used()
    }

    pub(super) fn oldest(&self) -> Option<&Open> {
        self.traces.get(self.oldest as usize)
    }

    /// The place of an open trace, of which there is news.
    pub(super) fn touch(&mut self, id: TraceId, hops: bool, now_ns: u64) -> Option<u32> {
        let key = (id, hops);
        let place = match self.last {
            Some((last, place)) if last == key => place,
            _ => *self.by_id.get(&key)?,
        };
        self.last = Some((key, place));
        if self.newest != place {
            self.unchain(place);
            self.chain_newest(place);
        }
        self.traces.get_mut(place as usize)?.seen_ns = now_ns;
        Some(place)
    }

    /// Opens a trace.
    pub(super) fn begin(&mut self, id: TraceId, journey: Option<Symbol>, now_ns: u64) -> u32 {
        let open = Open {
            id,
            journey,
            seen_ns: now_ns,
            cut: false,
            spans: 0,
            chain: NONE,
            older: NONE,
            newer: NONE,
        };
        let place = match self.free.pop() {
            Some(place) => {
                if let Some(slot) = self.traces.get_mut(place as usize) {
                    *slot = open;
                }
                place
            }
            None => {
                self.traces.push(open);
                // No more traces than spans, of which there are fewer.
                u32::try_from(self.traces.len() - 1).unwrap_or(NONE)
            }
        };
        self.by_id.insert((id, journey.is_some()), place);
        self.chain_newest(place);
        place
    }

    /// Adds a record, unless there is no room.
    pub(super) fn add(&mut self, place: u32, record: SpanRecord, spans_max: u32) -> bool {
        let Some(open) = self.traces.get_mut(place as usize) else { return false };
        let chain = if open.spans < spans_max { self.arena.push(record, open.chain) } else { None };
        match chain {
            Some(chain) => {
                open.chain = chain;
                open.spans += 1;
            }
            None => open.cut = true,
        }
        chain.is_some()
    }

    /// Closes the trace that was silent longest; its records go to `out`, in the order they came.
    pub(super) fn take_oldest(&mut self, out: &mut Vec<SpanRecord>) -> Option<Open> {
        self.take_at(self.oldest, out)
    }

    /// Closes a trace of hops, if it is open, as [`Self::take_oldest`].
    pub(super) fn take(&mut self, id: TraceId, out: &mut Vec<SpanRecord>) -> Option<Open> {
        let place = *self.by_id.get(&(id, true))?;
        self.take_at(place, out)
    }

    fn take_at(&mut self, place: u32, out: &mut Vec<SpanRecord>) -> Option<Open> {
        let open = *self.traces.get(place as usize)?;
        self.unchain(place);
        self.by_id.remove(&(open.id, open.journey.is_some()));
        self.last = None;
        self.free.push(place);
        self.arena.take(open.chain, out);
        Some(open)
    }

    fn unchain(&mut self, place: u32) {
        let Some(&Open { older, newer, .. }) = self.traces.get(place as usize) else { return };
        match self.traces.get_mut(older as usize) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
        match self.traces.get_mut(newer as usize) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
    }

    fn chain_newest(&mut self, place: u32) {
        let newest = std::mem::replace(&mut self.newest, place);
        match self.traces.get_mut(newest as usize) {
            Some(before) => before.newer = place,
            None => self.oldest = place,
        }
        if let Some(open) = self.traces.get_mut(place as usize) {
            (open.older, open.newer) = (newest, NONE);
        }
    }
}
