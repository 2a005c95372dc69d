//! The spans of one request.

mod kept;

use std::collections::BTreeMap;
use std::fmt;

use tokio::sync::OwnedSemaphorePermit;

pub(crate) use kept::KeptBatch;

use emac_trace::{Counted, Oddity, Refused, Sink, Span, SpanId, Symbol, Symbols, TraceId};

/// Decoded spans with their own table of names, so that requests are decoded side by side.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) symbols: Symbols,
    pub(super) spans: Vec<Span>,
    pub(super) labels: Vec<(Symbol, Box<str>, Box<str>)>,
    /// Where the roots at these places of `spans` link to, in their order.
    links: Vec<(usize, (TraceId, SpanId))>,
    /// What spans say of their sampling.
    sampled: Vec<f64>,
    refused: BTreeMap<Refused, Counted>,
    odd: BTreeMap<Oddity, Counted>,
    /// Services that say their namespace: what stands for each here, the service and the namespace.
    homes: Vec<(Symbol, Symbol, Box<str>)>,
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
        for (known_as, service, namespace) in &self.homes {
            let service = names.translate(*service, sink);
            let of_sink = sink.within(service, namespace);
            names.is(*known_as, of_sink);
        }
        for (service, key, value) in &self.labels {
            let service = names.translate(*service, sink);
            sink.label(service, key, value);
        }
        self.sampled.iter().for_each(|&probability| sink.sampled(probability));
        let mut links = self.links.iter().peekable();
        for (place, span) in self.spans.iter().enumerate() {
            let translated = Span {
                service: names.translate(span.service, sink),
                operation: names.translate(span.operation, sink),
                peer: names.translate(span.peer, sink),
                instance: names.translate(span.instance, sink),
                ..*span
            };
            if let Some((_, to)) = links.next_if(|(of, _)| *of == place) {
                sink.linked(&translated, *to);
            }
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

    fn within(&mut self, service: Symbol, namespace: &str) -> Symbol {
        let same = |home: &&(Symbol, Symbol, Box<str>)| home.1 == service && *home.2 == *namespace;
        if let Some((known_as, ..)) = self.homes.iter().find(same) {
            return *known_as;
        }
        // No name has this character; what it means is the sink's to say.
        let text = format!("{}\u{1f}{namespace}", self.symbols.text(service));
        let known_as = self.symbols.of(&text);
        self.homes.push((known_as, service, namespace.into()));
        known_as
    }

    fn label(&mut self, service: Symbol, key: &str, value: &str) {
        self.labels.push((service, key.into(), value.into()));
    }

    fn linked(&mut self, _: &Span, to: (TraceId, SpanId)) {
        // The root is handed over next.
        self.links.push((self.spans.len(), to));
    }

    fn sampled(&mut self, probability: f64) {
        self.sampled.push(probability);
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
        let known = self.to.get(symbol.index()).copied().flatten();
        let translated = known.unwrap_or_else(|| sink.symbols().of(self.from.text(symbol)));
        self.is(symbol, translated);
        translated
    }

    fn is(&mut self, symbol: Symbol, of_sink: Symbol) {
        if self.to.len() <= symbol.index() {
            self.to.resize(symbol.index() + 1, None);
        }
        if let Some(place) = self.to.get_mut(symbol.index()) {
            *place = Some(of_sink);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emac_trace::read::{ReadSettings, read_otlp_json};
    use emac_trace::{Assembler, Trace, TraceLimits};

    /// Two requests of one namespace each; the names that `assembler` gives their services.
    fn services(namespaces: [&str; 2]) -> Vec<String> {
        let mut found = Vec::new();
        let mut assembler = Assembler::new(TraceLimits::default(), |trace: &Trace, symbols: &Symbols| {
            found.extend(trace.calls.iter().map(|call| symbols.text(call.service).to_owned()));
        });
        for (i, namespace) in namespaces.iter().enumerate() {
            let id = i + 1;
            let text = format!(
                r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"cart"}}}},
                {{"key":"k8s.namespace.name","value":{{"stringValue":"{namespace}"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"{id}","spanId":"{id}",
                "kind":2,"name":"get","startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000000000001"}}]}}]}}]}}"#
            );
            let mut batch = Batch::default();
            assert_eq!(
                read_otlp_json(text.into_bytes(), &ReadSettings::default(), &mut batch).unwrap(),
                (1, 0)
            );
            batch.replay(&mut assembler);
        }
        drop(assembler.finish());
        found.sort();
        found
    }

    #[test]
    fn namespaces_come_through() {
        assert_eq!(services(["shop", "shop"]), ["cart", "cart"]);
        assert_eq!(services(["shop", "bank"]), ["cart.bank", "cart.shop"]);
    }
}
