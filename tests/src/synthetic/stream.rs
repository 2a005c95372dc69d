//! Spans as they arrive at a backend: sampled, some lost or doubled, each when its host exports it, so that traces interleave.
//!
//! Held at a time: the spans of a few seconds (half a minute for late ones), whatever the number of requests.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use emac_trace::{Sink, Span, Symbols};

use super::draw::Draw;
use super::spans::{Clocks, Names, Recorder};
use super::world::World;

/// Mean time from a span's end to its export, nanoseconds.
const BATCH_NS: f64 = 1e9;
/// How much later a late one is.
const LATE_NS: i64 = 30_000_000_000;

/// The spans of a world in the order of their arrival.
pub struct Spans<'a> {
    world: &'a World,
    names: Names,
    clocks: Clocks,
    /// Number of the next request.
    next: u64,
    /// Arrivals, the first on top.
    waiting: BinaryHeap<Reverse<Arrival>>,
    arrivals: u64,
}

struct Arrival {
    at_ns: i64,
    /// Breaks ties.
    number: u64,
    span: Span,
}

impl Arrival {
    const fn key(&self) -> (i64, u64) {
        (self.at_ns, self.number)
    }
}

impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Arrival {}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Arrival {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl World {
    /// Every span that arrives, in the order of arrival, with names in `symbols`.
    pub fn spans<'a>(&'a self, symbols: &mut Symbols) -> Spans<'a> {
        Spans {
            world: self,
            names: Names::new(self, symbols),
            clocks: Clocks::new(self),
            next: 0,
            waiting: BinaryHeap::new(),
            arrivals: 0,
        }
    }

    /// Everything into a sink, labels first.
    pub fn feed(&self, sink: &mut dyn Sink) {
        let spans = self.spans(sink.symbols());
        for service in &self.services {
            let name = sink.symbols().of(&service.name);
            service.labels.iter().for_each(|(key, value)| sink.label(name, key, value));
        }
        spans.for_each(|span| sink.span(span));
    }
}

impl Spans<'_> {
    /// Lets the next request happen.
    fn advance(&mut self) {
        let request = self.world.request(self.next);
        self.next += 1;
        if !self.world.is_sampled(request.trace) {
            return;
        }
        let recorder = Recorder { world: self.world, names: &self.names, clocks: &self.clocks };
        let spans = recorder.spans(&request);
        let mut draw = Draw::new(self.world.settings.seed, "way", request.number);
        spans.into_iter().for_each(|(end_ns, span)| self.send(end_ns, span, &mut draw));
    }

    fn send(&mut self, end_ns: i64, span: Span, draw: &mut Draw) {
        let signals = self.world.settings.signals;
        if draw.chance(signals.dropped) {
            return;
        }
        for _ in 0..1 + u8::from(draw.chance(signals.duplicated)) {
            let late = if draw.chance(signals.late) { LATE_NS } else { 0 };
            let at_ns = end_ns + draw.exponential(BATCH_NS) as i64 + late;
            self.arrivals += 1;
            self.waiting.push(Reverse(Arrival { at_ns, number: self.arrivals, span }));
        }
    }
}

impl Iterator for Spans<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        // Whatever arrives before the next request begins cannot be overtaken by it any more.
        let slot_ns = self.world.settings.window_s * 1e9 / self.world.settings.requests.max(1) as f64;
        while self.next < self.world.settings.requests {
            let begins_ns = (self.next as f64 * slot_ns) as i64;
            if self.waiting.peek().is_some_and(|first| first.0.at_ns <= begins_ns) {
                break;
            }
            self.advance();
        }
        self.waiting.pop().map(|Reverse(arrival)| arrival.span)
    }
}
