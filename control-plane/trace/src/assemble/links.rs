//! Links between traces: a message's consumer that begins a trace of its own is a journey of its own, and whose message it took is told.
//!
//! A message and who takes it come in any order and any time apart, in a server for ever. So a link is counted once both are known, and only what still
//! waits for the other is kept by itself: the last [`MAX`] of either side, 14 MB at most.

use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashMap;

use super::SpanRecord;
use super::aliases::Aliases;
use crate::quality::{Counted, Link};
use crate::{Span, SpanId, SpanKind, Symbol, Symbols, TraceId};

/// Spans that sent messages, and links of roots to spans not seen so far, that are remembered.
const MAX: usize = 1 << 16;
/// Most pairs of sender and taker that are told apart.
const KINDS_MAX: usize = 4_096;

/// A service, and what of it: the topic that it sent to, or the operation by which it took.
type End = (Symbol, Symbol);

#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    /// By sender, where it was seen, and taker.
    counted: BTreeMap<(Option<End>, End), Counted>,
    /// Of pairs above [`KINDS_MAX`].
    others: Counted,
    senders: Last<End>,
    /// Roots by the span that they link to.
    waiting: Last<Vec<(TraceId, End)>>,
}

/// The last values that came, by span.
#[derive(Clone, Debug)]
struct Last<T> {
    by_span: HashMap<(TraceId, u64), T>,
    /// In the order in which they came.
    order: VecDeque<(TraceId, u64)>,
}

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self { by_span: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> Last<T> {
    /// Remembers that something comes for a span; what is forgotten for it.
    fn comes(&mut self, span: (TraceId, u64)) -> Option<((TraceId, u64), T)> {
        self.order.push_back(span);
        let oldest = if self.order.len() > MAX { self.order.pop_front() } else { None };
        oldest.and_then(|oldest| Some((oldest, self.by_span.remove(&oldest)?)))
    }
}

impl Links {
    /// A root that links to a span of another trace.
    pub(super) fn root(&mut self, root: &Span, to: (TraceId, SpanId)) {
        let Span { trace, service, operation, .. } = *root;
        let (to, taker) = ((to.0, to.1.0), (service, operation));
        if let Some(&sender) = self.senders.by_span.get(&to) {
            self.count(Some(sender), (trace, taker), to);
            return;
        }
        if let Some((forgotten, roots)) = self.waiting.comes(to) {
            roots.into_iter().for_each(|root| self.count(None, root, forgotten));
        }
        self.waiting.by_span.entry(to).or_default().push((trace, taker));
    }

    /// Remembers who sent messages in a request. Records have their final names.
    pub(super) fn saw(&mut self, trace: TraceId, records: &[SpanRecord]) {
        for record in records.iter().filter(|record| record.kind == SpanKind::Producer) {
            let (span, sender) = ((trace, record.id), (record.service, record.peer));
            for root in self.waiting.by_span.remove(&span).unwrap_or_default() {
                self.count(Some(sender), root, span);
            }
            self.senders.comes(span);
            self.senders.by_span.insert(span, sender);
        }
    }

    fn count(&mut self, sender: Option<End>, root: (TraceId, End), to: (TraceId, u64)) {
        let (trace, taker) = root;
        let known = self.counted.len() < KINDS_MAX || self.counted.contains_key(&(sender, taker));
        let counted = if known { self.counted.entry((sender, taker)).or_default() } else { &mut self.others };
        counted.count(format_args!("trace {trace} links to {} of trace {}", SpanId(to.1), to.0));
    }

    /// Who took whose messages, in the order of names.
    pub(super) fn report(&self, aliases: &Aliases, symbols: &Symbols) -> Vec<Link> {
        let mut all = Self { counted: self.counted.clone(), others: self.others.clone(), ..Self::default() };
        let unmet =
            self.waiting.order.iter().filter_map(|span| Some((span, self.waiting.by_span.get(span)?)));
        let unmet: BTreeMap<_, _> = unmet.collect();
        for (&to, roots) in unmet {
            roots.iter().for_each(|&root| all.count(None, root, to));
        }
        let named = |(service, of): End| {
            [symbols.text(aliases.resolve(service)), symbols.text(of)].join(" ").trim().to_owned()
        };
        let mut found: BTreeMap<(String, String), Counted> = BTreeMap::new();
        for ((sender, taker), counted) in all.counted {
            let from = sender.map_or_else(|| "a span that is not among these".to_owned(), named);
            found.entry((from, named(taker))).or_default().add(counted);
        }
        let others = (all.others.count > 0).then(|| Link {
            from: "above the limit".to_owned(),
            to: "others".to_owned(),
            traces: all.others,
        });
        let link = |((from, to), traces): ((String, String), Counted)| Link { from, to, traces };
        found.into_iter().map(link).chain(others).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::span;

    /// A root of trace `trace` by the worker, which links to span 1 of trace `to`.
    fn root(links: &mut Links, symbols: &mut Symbols, trace: u128, to: u128) {
        let root = Span { trace: TraceId(trace), ..span("5 0 o worker process 0 1", symbols) };
        links.root(&root, (TraceId(to), SpanId(1)));
    }

    fn message(links: &mut Links, symbols: &mut Symbols, trace: u128) {
        let sent = SpanRecord::of(&span("1 0 p front send 0 1 >kafka:orders", symbols));
        links.saw(TraceId(trace), &[sent]);
    }

    fn told(links: &Links, symbols: &Symbols) -> Vec<(String, u64)> {
        let all = links.report(&Aliases::default(), symbols).into_iter();
        all.map(|link| (format!("{} -> {}", link.from, link.to), link.traces.count)).collect()
    }

    #[test]
    fn whoever_comes_first_a_link_is_counted_once() {
        let (mut links, mut symbols) = (Links::default(), Symbols::default());
        message(&mut links, &mut symbols, 1);
        root(&mut links, &mut symbols, 101, 1);
        root(&mut links, &mut symbols, 102, 2);
        root(&mut links, &mut symbols, 103, 2);
        message(&mut links, &mut symbols, 2);
        root(&mut links, &mut symbols, 104, 3);
        let known = "front kafka:orders -> worker process".to_owned();
        let unknown = "a span that is not among these -> worker process".to_owned();
        assert_eq!(told(&links, &symbols), [(unknown, 1), (known, 3)]);
    }

    #[test]
    fn a_server_runs_for_ever_and_counts_every_link() {
        let (mut links, mut symbols) = (Links::default(), Symbols::default());
        let rounds = MAX as u128 + 1_000;
        for round in 1..=rounds {
            message(&mut links, &mut symbols, round);
            root(&mut links, &mut symbols, round << 64, round);
            root(&mut links, &mut symbols, round << 65, round << 32);
        }
        let counts: Vec<u64> = told(&links, &symbols).iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [rounds as u64, rounds as u64]);
        assert!(links.senders.by_span.len() <= MAX && links.waiting.by_span.len() <= MAX);
        assert!(links.senders.order.len() <= MAX && links.waiting.order.len() <= MAX);
    }
}
