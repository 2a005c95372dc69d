//! Spans that stand before what says who reported them.
//!
//! Jaeger writes a trace's processes behind its spans, and JSON objects have no order: a resource may follow its spans. Spans wait here, 96
//! bytes each, until their reporter is known.

use hashbrown::HashMap;

use super::context::ReadContext;
use super::found::{RawSpan, Reporter, UNKNOWN};
use crate::{Oddity, Refused, Span, SpanId, TraceId};

/// Reporters by their name within a trace, and spans that wait for one.
#[derive(Default)]
pub(super) struct Deferred {
    by_name: HashMap<Box<str>, usize>,
    reporters: Vec<Option<Reporter>>,
    spans: Vec<(usize, Span)>,
    /// Links of the spans at these places, in their order.
    links: Vec<(usize, (TraceId, SpanId))>,
    labels: Vec<(usize, Box<str>, Box<str>)>,
}

impl Deferred {
    /// Takes a span of the reporter called `name`: at once when that one is known, and later when not.
    pub(super) fn take(&mut self, name: &str, found: &RawSpan<'_>, context: &mut ReadContext<'_>) {
        let at = self.place(name);
        self.take_of(at, found, context);
    }

    /// The same for the reporter at a [`place`](Self::place).
    pub(super) fn take_of(&mut self, at: usize, found: &RawSpan<'_>, context: &mut ReadContext<'_>) {
        if let Some(reporter) = self.reporters.get(at).copied().flatten() {
            return found.hand_on(reporter, context);
        }
        match found.span(Reporter::default(), context) {
            Ok(span) => self.defer(at, span, found, context),
            Err(reason) => context.refuse(reason, format_args!("{found}")),
        }
    }

    fn defer(&mut self, at: usize, span: Span, found: &RawSpan<'_>, context: &mut ReadContext<'_>) {
        if self.spans.len() >= context.deferred_max {
            context
                .refuse(Refused::Malformed, format_args!("{found}: too many wait for their service's name"));
            return;
        }
        self.links.extend(found.link.map(|link| (self.spans.len(), link)));
        self.spans.push((at, span));
        let labels = found.attributes.labels.iter();
        self.labels
            .extend(labels.map(|(key, value)| (at, Box::from(key.as_ref()), Box::from(value.as_ref()))));
    }

    /// Whether the reporter called `name` is known.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.by_name.get(name).and_then(|&at| self.reporters.get(at)).is_some_and(Option::is_some)
    }

    /// Says who the reporter called `name` is.
    pub(super) fn reporter(&mut self, name: &str, reporter: Reporter) {
        let at = self.place(name);
        self.set(at, reporter);
    }

    /// The same of the reporter at a [`place`](Self::place).
    pub(super) fn set(&mut self, at: usize, reporter: Reporter) {
        if let Some(place) = self.reporters.get_mut(at) {
            *place = Some(reporter);
        }
    }

    /// Where a reporter without a name is kept.
    pub(super) fn nameless(&mut self) -> usize {
        self.reporters.push(None);
        self.reporters.len() - 1
    }

    /// Where the reporter called `name` is kept.
    pub(super) fn place(&mut self, name: &str) -> usize {
        if let Some(&at) = self.by_name.get(name) {
            return at;
        }
        let at = self.nameless();
        self.by_name.insert(name.into(), at);
        at
    }

    /// Hands on what waits; a reporter that never came is unknown.
    pub(super) fn settle(&mut self, context: &mut ReadContext<'_>) {
        self.by_name.clear();
        if self.spans.is_empty() {
            self.reporters.clear();
            return;
        }
        let unknown = context.name(UNKNOWN);
        let reporters = std::mem::take(&mut self.reporters);
        let of = |at: usize| reporters.get(at).copied().flatten().unwrap_or_default();
        let mut links = std::mem::take(&mut self.links).into_iter().peekable();
        for (place, (at, mut span)) in std::mem::take(&mut self.spans).into_iter().enumerate() {
            let service = Some(of(at).service).filter(|service| !service.is_none());
            let own = Some(span.service).filter(|service| !service.is_none());
            span.service = service.or(own).unwrap_or(unknown);
            if span.service == unknown {
                context.odd(Oddity::Nameless, format_args!("span {} of trace {}", span.id, span.trace));
            }
            let instance = Some(of(at).instance).filter(|instance| !instance.is_none());
            span.instance = instance.unwrap_or(span.instance);
            let link = links.next_if(|(of, _)| *of == place).map(|(_, link)| link);
            context.take(span, link);
        }
        for (at, key, value) in std::mem::take(&mut self.labels) {
            let service = Some(of(at).service).filter(|service| !service.is_none());
            context.label(service.unwrap_or(unknown), &key, &value);
        }
    }
}
