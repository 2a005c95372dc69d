//! The spans of one request.

use std::collections::BTreeMap;
use std::fmt;

use tokio::sync::OwnedSemaphorePermit;

use emac_trace::{Counted, Oddity, Refused, Sink, Span, Symbol, Symbols};

/// Decoded spans with their own table of names, so that requests are decoded side by side.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) symbols: Symbols,
    pub(super) spans: Vec<Span>,
    pub(super) labels: Vec<(Symbol, Box<str>, Box<str>)>,
    refused: BTreeMap<Refused, Counted>,
    odd: BTreeMap<Oddity, Counted>,
    /// Its place in the queue, given back when dropped.
    room: Option<OwnedSemaphorePermit>,
}

impl Batch {
    /// Number of spans.
    pub fn spans(&self) -> usize {
        self.spans.len()
    }

    /// Number of spans that could not be taken.
    pub fn refused(&self) -> u64 {
        self.refused.values().map(|refused| refused.count).sum()
    }

    pub(super) fn keep(&mut self, room: OwnedSemaphorePermit) {
        self.room = Some(room);
    }

    /// Hands everything on, with the names of `sink`. O(spans).
    pub fn replay(&self, sink: &mut dyn Sink) {
        let mut names = Names { from: &self.symbols, to: Vec::new() };
        for (service, key, value) in &self.labels {
            let service = names.translate(*service, sink);
            sink.label(service, key, value);
        }
        for span in &self.spans {
            let translated = Span {
                service: names.translate(span.service, sink),
                operation: names.translate(span.operation, sink),
                peer: names.translate(span.peer, sink),
                instance: names.translate(span.instance, sink),
                ..*span
            };
            sink.span(translated);
        }
        for (&oddity, Counted { count, example }) in &self.odd {
            (0..*count).for_each(|_| sink.odd(oddity, format_args!("{example}")));
        }
        for (&reason, Counted { count, example }) in &self.refused {
            (0..*count).for_each(|_| sink.refuse(reason, format_args!("{example}")));
        }
    }
}

impl Sink for Batch {
    fn symbols(&mut self) -> &mut Symbols {
        &mut self.symbols
    }

    fn span(&mut self, span: Span) {
        self.spans.push(span);
    }

    fn label(&mut self, service: Symbol, key: &str, value: &str) {
        self.labels.push((service, key.into(), value.into()));
    }

    fn odd(&mut self, oddity: Oddity, example: fmt::Arguments<'_>) {
        self.odd.entry(oddity).or_default().count(example);
    }

    fn refuse(&mut self, reason: Refused, example: fmt::Arguments<'_>) {
        self.refused.entry(reason).or_default().count(example);
    }
}

/// From one table of names to another's.
struct Names<'a> {
    from: &'a Symbols,
    to: Vec<Option<Symbol>>,
}

impl Names<'_> {
    fn translate(&mut self, symbol: Symbol, sink: &mut dyn Sink) -> Symbol {
        if self.to.len() <= symbol.index() {
            self.to.resize(symbol.index() + 1, None);
        }
        let known = self.to.get(symbol.index()).copied().flatten();
        let translated = known.unwrap_or_else(|| sink.symbols().of(self.from.text(symbol)));
        if let Some(place) = self.to.get_mut(symbol.index()) {
            *place = Some(translated);
        }
        translated
    }
}
