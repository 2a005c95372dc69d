mod consoles;
mod damage;
mod data;
mod formats;
mod others;

use std::collections::BTreeMap;

use super::*;
use crate::{Oddity, Refused, Span, SpanId, Symbol, Symbols, TraceId};

/// Keeps everything.
#[derive(Debug, Default)]
struct Kept {
    symbols: Symbols,
    spans: Vec<Span>,
    labels: BTreeMap<(String, String), String>,
    refused: BTreeMap<Refused, u64>,
    examples: Vec<String>,
    odd: Vec<String>,
    links: Vec<(SpanId, TraceId, SpanId)>,
    sampled: Vec<f64>,
}

impl Sink for Kept {
    fn symbols(&mut self) -> &mut Symbols {
        &mut self.symbols
    }

    fn span(&mut self, span: Span) {
        self.spans.push(span);
    }

    fn label(&mut self, service: Symbol, key: &str, value: &str) {
        self.labels.insert((self.symbols.text(service).to_owned(), key.to_owned()), value.to_owned());
    }

    fn sampled(&mut self, probability: f64) {
        self.sampled.push(probability);
    }

    fn within(&mut self, service: Symbol, _: &str) -> Symbol {
        service
    }

    fn linked(&mut self, root: &Span, (trace, span): (TraceId, SpanId)) {
        self.links.push((root.id, trace, span));
    }

    fn odd(&mut self, oddity: Oddity, example: std::fmt::Arguments<'_>) {
        self.odd.push(format!("{oddity:?}: {example}"));
    }

    fn refuse(&mut self, reason: Refused, example: std::fmt::Arguments<'_>) {
        self.examples.push(example.to_string());
        *self.refused.entry(reason).or_default() += 1;
    }
}

impl Kept {
    fn text(&self, symbol: Symbol) -> &str {
        self.symbols.text(symbol)
    }

    /// Number of spans by what `of` says of each.
    fn count<T: Ord>(&self, of: impl Fn(&Span) -> T) -> BTreeMap<T, usize> {
        let mut counts = BTreeMap::new();
        self.spans.iter().for_each(|span| *counts.entry(of(span)).or_default() += 1);
        counts
    }
}

fn read_with(bytes: &[u8], settings: &ReadSettings) -> (Kept, Result<(u64, u64), ReadError>) {
    let mut kept = Kept::default();
    let result = read_source(bytes, settings, &mut kept);
    (kept, result)
}

fn read(bytes: impl AsRef<[u8]>) -> (Kept, Result<(u64, u64), ReadError>) {
    read_with(bytes.as_ref(), &ReadSettings::default())
}
