//! Spans of many requests, mixed and in any order, put together request by request.
//!
//! A trace never says that it is over. In a file it is over when the file is; in a running server when it has been silent for
//! [`TraceLimits::silence_ns`]; and in both when there is no room left, where the trace that was silent longest goes first. What comes later
//! for a trace that was handed on is counted and dropped: half a tree mixed into statistics as if it were a whole one would be worse than
//! nothing.
//!
//! Memory: 60 bytes a span, in one arena whose pieces are reused, and about 100 bytes a trace. Time is told by [`Assembler::tick`].
//!
//! A link between traces joins nothing: a message whose consumer begins a trace of its own is two traces, and that they are linked is told.

mod aliases;
mod arena;
mod late;
mod links;
mod open;
mod record;

use std::fmt;

use super::hops::{Linker, Meetings};
use super::join::{JoinContext, Joiner};
use super::quality::{Quality, SignalQuality};
use super::{Oddity, Refused, Sink, Span, SpanId, Symbol, Symbols, Trace, TraceId};
use aliases::Aliases;
pub use labels::Labels;
use late::Finished;
use links::Links;
use open::{Open, OpenTraces};
pub(super) use record::{Marks, SpanRecord};

mod labels;

/// Bounds of what an [`Assembler`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceLimits {
    /// Most spans of traces that are not over.
    pub spans_open_max: usize,
    /// Most spans of one trace; the rest is counted. A million spans in one trace are an attack or a mistake.
    pub spans_per_trace_max: u32,
    /// Traces that are remembered after they were handed on, to know late spans.
    pub finished_max: usize,
    /// A trace without news for so long is over, nanoseconds.
    pub silence_ns: u64,
}

impl Default for TraceLimits {
    /// 90 MB of spans at most, and the half minute after which even slow exporters have sent their batches.
    fn default() -> Self {
        Self {
            spans_open_max: 1_500_000,
            spans_per_trace_max: 100_000,
            finished_max: 1 << 16,
            silence_ns: 30_000_000_000,
        }
    }
}

/// Takes traces as they are over.
pub trait Consumer {
    /// A trace; its names are of `symbols`.
    fn trace(&mut self, trace: &Trace, symbols: &Symbols);
}

impl<F: FnMut(&Trace, &Symbols)> Consumer for F {
    fn trace(&mut self, trace: &Trace, symbols: &Symbols) {
        self(trace, symbols);
    }
}

/// What is left when everything was handed on.
#[derive(Debug)]
pub struct Assembled<C> {
    /// As it was given.
    pub consumer: C,
    /// All names.
    pub symbols: Symbols,
    /// Hints at failure domains.
    pub labels: Labels,
    /// How good the signal was.
    pub quality: SignalQuality,
}

/// See the module.
#[derive(Debug)]
pub struct Assembler<C> {
    limits: TraceLimits,
    consumer: C,
    symbols: Symbols,
    aliases: Aliases,
    labels: Labels,
    open: OpenTraces,
    finished: Finished,
    linker: Linker,
    links: Links,
    meetings: Meetings,
    joiner: Joiner,
    quality: Quality,
    now_ns: u64,
    records: Vec<SpanRecord>,
}

impl<C: Consumer> Assembler<C> {
    /// An assembler that hands traces to `consumer`.
    pub fn new(limits: TraceLimits, consumer: C) -> Self {
        Self {
            limits,
            consumer,
            symbols: Symbols::default(),
            aliases: Aliases::default(),
            labels: Labels::default(),
            open: OpenTraces::default(),
            finished: Finished::new(limits.finished_max),
            linker: Linker::default(),
            links: Links::default(),
            meetings: Meetings::default(),
            joiner: Joiner::default(),
            quality: Quality::default(),
            now_ns: 0,
            records: Vec::new(),
        }
    }

    /// Says that two names are one service's: what is reported as `name` counts as `of`.
    pub fn alias(&mut self, name: &str, of: &str) {
        let (name, of) = (self.symbols.of(name), self.symbols.of(of));
        self.aliases.state(name, of);
    }

    /// Tells the time, on any clock that does not go back, and hands on what has been silent. A file needs no ticks.
    pub fn tick(&mut self, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
        let over = self.now_ns.saturating_sub(self.limits.silence_ns);
        while self.open.oldest().is_some_and(|open| open.seen_ns < over) {
            self.finish_oldest(false);
        }
    }

    /// Hands everything on: the end of a file.
    pub fn flush(&mut self) {
        while self.open.oldest().is_some() {
            self.finish_oldest(false);
        }
    }

    /// Hands everything on, and itself out.
    pub fn finish(mut self) -> Assembled<C> {
        // Nothing comes too late any more.
        self.finished = Finished::new(0);
        self.flush();
        let quality = self.quality();
        let labels = self.take_labels();
        Assembled { consumer: self.consumer, symbols: self.symbols, labels, quality }
    }

    /// Who takes the traces.
    pub const fn consumer(&self) -> &C {
        &self.consumer
    }

    /// Who takes the traces.
    pub const fn consumer_mut(&mut self) -> &mut C {
        &mut self.consumer
    }

    /// All names.
    pub const fn names(&self) -> &Symbols {
        &self.symbols
    }

    /// Hints at failure domains.
    pub const fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Takes the hints out: what is said from now on is counted from nothing.
    pub fn take_labels(&mut self) -> Labels {
        let labels = std::mem::take(&mut self.labels);
        if self.aliases.is_empty() { labels } else { labels.renamed(|service| self.aliases.resolve(service)) }
    }

    /// Spans of traces that are not over.
    pub const fn spans_open(&self) -> usize {
        self.open.spans()
    }

    /// How good the signal was so far. O(services and instances).
    pub fn quality(&self) -> SignalQuality {
        let quality = self.quality.report(&self.symbols, self.joiner.clocks());
        SignalQuality { links: self.links.report(&self.aliases, &self.symbols), ..quality }
    }

    /// Takes a span, or the record of a hop; `journey` only where it is known, which only hops do.
    pub(super) fn take(&mut self, id: TraceId, record: SpanRecord, journey: Option<Symbol>) {
        self.quality.spans += 1;
        let place = match self.open.touch(id, journey.is_some(), self.now_ns) {
            Some(place) => place,
            None if self.finished.knows(id, journey.is_some()) => {
                self.quality.late += 1;
                return;
            }
            None => self.open.begin(id, journey, self.now_ns),
        };
        if self.open.add(place, record, self.limits.spans_per_trace_max) {
            while self.open.spans() > self.limits.spans_open_max {
                self.finish_oldest(true);
            }
        } else {
            self.quality.cut += 1;
        }
    }

    pub(super) const fn meetings(&mut self) -> &mut Meetings {
        &mut self.meetings
    }

    /// Hops of two ids are one request's: those of `from`, if it is not over, are from now on `into`'s.
    pub(super) fn join_hops(&mut self, from: TraceId, into: TraceId) {
        let Some(open) = self.open.take(from, &mut self.records) else { return };
        let records = std::mem::take(&mut self.records);
        self.quality.spans -= records.len() as u64;
        records.iter().for_each(|&record| self.take(into, record, open.journey));
        self.records = records;
    }

    fn finish_oldest(&mut self, evicted: bool) {
        let Some(open) = self.open.take_oldest(&mut self.records) else { return };
        self.finished.remember(open.id, open.journey.is_some());
        self.quality.evicted += u64::from(evicted);
        self.hand_on(&open, evicted);
    }

    fn hand_on(&mut self, open: &Open, evicted: bool) {
        let Self { records, joiner, quality, consumer, symbols, linker, links, aliases, .. } = self;
        if open.journey.is_some() {
            quality.hops += records.len() as u64;
            quality.duplicates += linker.link(records, symbols);
        }
        let context = JoinContext {
            id: open.id,
            journey: open.journey.unwrap_or_default(),
            whole: !evicted && !open.cut,
            hops: open.journey.is_some(),
        };
        aliases.apply(records);
        links.saw(open.id, records);
        joiner.join(context, records, symbols, quality, |trace, symbols| consumer.trace(trace, symbols));
    }
}

impl<C: Consumer> Sink for Assembler<C> {
    fn symbols(&mut self) -> &mut Symbols {
        &mut self.symbols
    }

    fn span(&mut self, mut span: Span) {
        if span.parent == Some(span.id) {
            self.odd(Oddity::SelfParent, format_args!("span {} of trace {}", span.id, span.trace));
            span.parent = None;
        }
        if span.by_proxy {
            self.aliases.learn(span.service, &mut self.symbols);
        }
        self.take(span.trace, SpanRecord::of(&span), None);
    }

    fn label(&mut self, service: Symbol, key: &str, value: &str) {
        self.labels.add(service, key, value, 1);
    }

    fn labels(&mut self, service: Symbol, key: &str, value: &str, times: u64) {
        self.labels.add(service, key, value, times);
    }

    fn within(&mut self, service: Symbol, namespace: &str) -> Symbol {
        self.aliases.within(service, namespace, &mut self.symbols)
    }

    fn linked(&mut self, root: &Span, to: (TraceId, SpanId)) {
        self.links.root(root, to);
    }

    fn sampled(&mut self, probability: f64) {
        self.quality.sampling.add(probability);
    }

    fn odd(&mut self, oddity: Oddity, example: fmt::Arguments<'_>) {
        self.quality.odd.entry(oddity).or_default().count(example);
    }

    fn refuse(&mut self, reason: Refused, example: fmt::Arguments<'_>) {
        self.quality.refused.entry(reason).or_default().count(example);
    }
}
