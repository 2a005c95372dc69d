//! What all readers share: who takes the spans, names already known, what was counted.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use hashbrown::HashMap;

use super::error::Found;
use super::keys::Keys;
use super::{Progress, ReadSettings};
use crate::{Oddity, Refused, Sink, Span, SpanId, Symbol, Symbols, TraceId};

/// Bytes between two reports of progress.
const PROGRESS_BYTES: u64 = 1 << 20;

/// What a reader works with.
pub(super) struct ReadContext<'s> {
    sink: &'s mut dyn Sink,
    pub(super) keys: Keys,
    /// Operations by what spans are called.
    pub(super) operations: Memo,
    /// Services, peers and instances.
    pub(super) names: Memo,
    element_bytes_max: usize,
    pub(super) deferred_max: usize,
    /// The file that is being read is the output of a console: other lines may stand in it.
    pub(super) console: bool,
    /// Spans taken.
    pub(super) spans: u64,
    /// Spans refused.
    pub(super) refused: u64,
    progress: &'s mut dyn FnMut(Progress),
    /// Bytes read of all files, before decompression.
    pub(super) bytes: Rc<Cell<u64>>,
    bytes_total: u64,
    reported: u64,
}

impl<'s> ReadContext<'s> {
    pub(super) fn new(
        settings: &ReadSettings,
        bytes_total: u64,
        sink: &'s mut dyn Sink,
        progress: &'s mut dyn FnMut(Progress),
    ) -> Self {
        Self {
            sink,
            keys: Keys::new(settings.label_keys.iter().map(String::as_str)),
            operations: Memo::default(),
            names: Memo::default(),
            element_bytes_max: settings.element_bytes_max,
            deferred_max: settings.deferred_max,
            console: false,
            spans: 0,
            refused: 0,
            progress,
            bytes: Rc::default(),
            bytes_total,
            reported: 0,
        }
    }

    /// A window over `source`, as large as the settings allow.
    pub(super) fn window<'r>(&self, source: impl std::io::Read + 'r) -> super::window::ReadWindow<'r> {
        super::window::ReadWindow::new(source, self.element_bytes_max)
    }

    pub(super) fn take(&mut self, span: Span, link: Option<(TraceId, SpanId)>) {
        self.spans += 1;
        if let Some(to) = link.filter(|_| span.parent.is_none()) {
            self.sink.linked(&span, to);
        }
        self.sink.span(span);
    }

    /// Takes how likely a trace was recorded.
    pub(super) fn sampled(&mut self, probability: f64) {
        self.sink.sampled(probability);
    }

    /// The symbol of a service that says in which namespace it is.
    pub(super) fn within(&mut self, service: Symbol, namespace: &str) -> Symbol {
        if service.is_none() || namespace.is_empty() {
            return service;
        }
        self.sink.within(service, namespace)
    }

    /// Counts a span that is odd but taken; `example` tells which.
    pub(super) fn odd(&mut self, oddity: Oddity, example: fmt::Arguments<'_>) {
        self.sink.odd(oddity, example);
    }

    /// Counts a span that could not be taken; `example` tells which.
    pub(super) fn refuse(&mut self, reason: Refused, example: fmt::Arguments<'_>) {
        self.refused += 1;
        self.sink.refuse(reason, example);
    }

    /// The same with what was found there.
    pub(super) fn malformed_item(&mut self, what: &str, found: &Found) {
        self.refuse(Refused::Malformed, format_args!("{what}{found}"));
    }

    /// Counts something that stands where a span was expected.
    pub(super) fn malformed(&mut self, what: &str) {
        self.refuse(Refused::Malformed, format_args!("{what}"));
    }

    pub(super) fn label(&mut self, service: Symbol, key: &str, value: &str) {
        self.labels(service, key, value, 1);
    }

    /// The same for what was said several times.
    pub(super) fn labels(&mut self, service: Symbol, key: &str, value: &str, times: u64) {
        if !value.is_empty() {
            self.sink.labels(service, key, value, times);
        }
    }

    /// The symbol of a name as it is.
    pub(super) fn name(&mut self, name: &str) -> Symbol {
        if name.is_empty() {
            return Symbol::NONE;
        }
        self.names.symbol(name, self.sink.symbols(), |symbols| symbols.of(name))
    }

    /// The symbol of the operation that a span's name means.
    pub(super) fn operation(&mut self, name: &str) -> Symbol {
        let of = |symbols: &mut Symbols| symbols.of(&super::operation::operation(name));
        self.operations.symbol(name, self.sink.symbols(), of)
    }

    /// Says how far reading is, now and then.
    pub(super) fn progress(&mut self) {
        if self.bytes.get() >= self.reported + PROGRESS_BYTES {
            self.report();
        }
    }

    /// Says how far reading is.
    pub(super) fn report(&mut self) {
        self.reported = self.bytes.get();
        (self.progress)(Progress { bytes: self.reported, bytes_total: self.bytes_total, spans: self.spans });
    }
}

/// Symbols of names seen, so that a name is made once and not a span.
#[derive(Default)]
pub(super) struct Memo {
    by_name: HashMap<Box<str>, Symbol>,
}

impl Memo {
    /// Names kept. Spans named by ids would otherwise grow it without bound; it then begins anew.
    const NAMES_MAX: usize = 1 << 16;

    fn symbol(
        &mut self,
        name: &str,
        symbols: &mut Symbols,
        make: impl FnOnce(&mut Symbols) -> Symbol,
    ) -> Symbol {
        if let Some(&symbol) = self.by_name.get(name) {
            return symbol;
        }
        let symbol = make(symbols);
        if self.by_name.len() >= Self::NAMES_MAX {
            self.by_name.clear();
        }
        self.by_name.insert(name.into(), symbol);
        symbol
    }
}
