//! Links between traces: a message's consumer that begins a trace of its own is a journey of its own, and whose message it took is told.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::SpanRecord;
use super::aliases::Aliases;
use crate::quality::{Counted, Link};
use crate::{Span, SpanId, SpanKind, Symbol, Symbols, TraceId};

/// Roots with a link, and spans that sent messages, that are remembered; 7 MB at most.
const MAX: usize = 1 << 16;

#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    roots: Vec<Linked>,
    senders: HashMap<(TraceId, u64), (Symbol, Symbol)>,
    dropped: u64,
}

#[derive(Clone, Copy, Debug)]
struct Linked {
    trace: TraceId,
    service: Symbol,
    operation: Symbol,
    to: (TraceId, SpanId),
}

impl Links {
    /// A root that links to a span of another trace.
    pub(super) fn root(&mut self, root: &Span, to: (TraceId, SpanId)) {
        if self.roots.len() >= MAX {
            self.dropped += 1;
            return;
        }
        let Span { trace, service, operation, .. } = *root;
        self.roots.push(Linked { trace, service, operation, to });
    }

    /// Remembers who sent messages in a request. Records have their final names.
    pub(super) fn saw(&mut self, trace: TraceId, records: &[SpanRecord]) {
        for record in records.iter().filter(|record| record.kind == SpanKind::Producer) {
            if self.senders.len() < MAX {
                self.senders.insert((trace, record.id), (record.service, record.peer));
            }
        }
    }

    /// Who took whose messages, in the order of names.
    pub(super) fn report(&self, aliases: &Aliases, symbols: &Symbols) -> Vec<Link> {
        let mut found: BTreeMap<(String, String), Counted> = BTreeMap::new();
        for Linked { trace, service, operation, to } in &self.roots {
            let sender = self.senders.get(&(to.0, to.1.0));
            let from = sender.map_or_else(
                || "a span that is not among these".to_owned(),
                |&(service, peer)| [symbols.text(service), symbols.text(peer)].join(" ").trim().to_owned(),
            );
            let to_name = [symbols.text(aliases.resolve(*service)), symbols.text(*operation)].join(" ");
            let counted = found.entry((from, to_name.trim().to_owned())).or_default();
            counted.count(format_args!("trace {trace} links to {} of trace {}", to.1, to.0));
        }
        let link = |((from, to), traces): ((String, String), Counted)| Link { from, to, traces };
        let dropped = (self.dropped > 0).then(|| Link {
            from: "spans above the limit".to_owned(),
            to: "others".to_owned(),
            traces: Counted { count: self.dropped, example: String::new() },
        });
        found.into_iter().map(link).chain(dropped).collect()
    }
}
