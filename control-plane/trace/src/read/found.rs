//! From what a reader found of a span to the span.

use std::borrow::Cow;
use std::fmt;

use super::attributes::{Attributes, host_of_cluster};
use super::context::ReadContext;
use super::error::shown;
use super::id::{self, Form};
use super::json::Value;
use crate::{Oddity, Refused, Span, SpanId, SpanKind, Symbol, TraceId};

/// What stands for a service that nobody names.
pub(super) const UNKNOWN: &str = "unknown";

/// Whether a service's name is nobody's: the one that stands for none, or an SDK's default (`unknown_service:java`).
pub fn is_nameless(service: &str) -> bool {
    service == UNKNOWN || service.starts_with("unknown_service")
}

/// Longest name of a span shown in an example, in characters.
const NAME_SHOWN_MAX: usize = 60;
/// A clock that was never set says 1970: what began before 1971 has no time.
const START_NS_MIN: i128 = 365 * 86_400 * 1_000_000_000;

/// Who reported spans: an OTLP resource, a Jaeger process, a Zipkin endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reporter {
    /// None until it is known.
    pub(super) service: Symbol,
    pub(super) instance: Symbol,
}

impl Reporter {
    /// Takes what a resource says; its labels are handed on.
    pub(super) fn new(attributes: &Attributes<'_>, context: &mut ReadContext<'_>) -> Self {
        let service = attributes.service_name().map_or(Symbol::NONE, |name| context.name(&name));
        let service = context.within(service, attributes.namespace());
        let reporter = Self { service, instance: context.name(attributes.instance()) };
        reporter.hand_on_labels(attributes, 1, context);
        reporter
    }

    /// Hands on the labels of what a resource says, which was said so often.
    pub(super) fn hand_on_labels(
        self,
        attributes: &Attributes<'_>,
        times: u64,
        context: &mut ReadContext<'_>,
    ) {
        for (key, value) in attributes.labels.iter().filter(|_| !self.service.is_none()) {
            context.labels(self.service, key, value, times);
        }
    }
}

/// Parent, as a format says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Parent {
    #[default]
    None,
    Is(SpanId),
    /// Something is said, but it is no id.
    Unreadable,
}

/// A span as its format gives it. Times in nanoseconds, unchecked.
#[derive(Clone, Debug, Default)]
pub(super) struct RawSpan<'a> {
    pub(super) trace: Option<TraceId>,
    pub(super) id: Option<SpanId>,
    pub(super) parent: Parent,
    pub(super) kind: SpanKind,
    pub(super) name: Cow<'a, str>,
    pub(super) start_ns: Option<i128>,
    pub(super) duration_ns: Option<i128>,
    /// The format says that it failed.
    pub(super) error: bool,
    pub(super) shared: bool,
    /// The format leaves times to the other half of the call.
    pub(super) times_optional: bool,
    /// The first link to a span of another trace.
    pub(super) link: Option<(TraceId, SpanId)>,
    /// The first field whose value could not be understood, and the value.
    pub(super) bad: Option<(&'static str, String)>,
    pub(super) attributes: Attributes<'a>,
}

/// As an example of what was refused.
impl fmt::Display for RawSpan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "span `{}`", shown(&self.name, NAME_SHOWN_MAX))?;
        match (self.trace, self.id) {
            (Some(trace), Some(id)) => write!(f, " ({id} of trace {trace})")?,
            (Some(trace), None) => write!(f, " (of trace {trace}, without an id)")?,
            (None, Some(id)) => write!(f, " ({id}, without a trace)")?,
            (None, None) => f.write_str(" (without ids)")?,
        }
        match (self.start_ns, self.duration_ns) {
            (Some(start), Some(duration)) => write!(f, ", start {start} ns, duration {duration} ns")?,
            (Some(start), None) => write!(f, ", start {start} ns, no end")?,
            (None, _) => f.write_str(", no start")?,
        }
        self.bad.as_ref().map_or(Ok(()), |(field, value)| write!(f, "; {field} is `{value}`"))
    }
}

impl RawSpan<'_> {
    /// Takes a trace id.
    pub(super) fn set_trace(&mut self, value: &Value<'_>, form: Form) {
        self.trace = id::trace_id(value, form);
        self.keep_bad(self.trace.is_none(), "trace id", value);
    }

    /// Takes its own id.
    pub(super) fn set_id(&mut self, value: &Value<'_>, form: Form) {
        self.id = id::span_id(value, form);
        self.keep_bad(self.id.is_none(), "span id", value);
    }

    /// Takes its parent's id.
    pub(super) fn set_parent(&mut self, value: &Value<'_>, form: Form) {
        self.parent = match id::span_id(value, form) {
            Some(parent) => Parent::Is(parent),
            None if id::says_none(value) => Parent::None,
            None => Parent::Unreadable,
        };
        self.keep_bad(self.parent == Parent::Unreadable, "parent id", value);
    }

    /// Takes a time in nanoseconds that `read` finds in a value.
    pub(super) fn time(
        &mut self,
        field: &'static str,
        value: &Value<'_>,
        read: impl Fn(&Value<'_>) -> Option<i128>,
    ) -> Option<i128> {
        let found = read(value);
        self.keep_bad(found.is_none(), field, value);
        found
    }

    /// Takes a link; the first one to another trace counts, which is known once the span's own is.
    pub(super) fn set_links(&mut self, links: &[(TraceId, SpanId)]) {
        self.link = links.iter().copied().find(|(trace, _)| Some(*trace) != self.trace);
    }

    fn keep_bad(&mut self, is_bad: bool, field: &'static str, value: &Value<'_>) {
        if is_bad && *value != Value::Null && self.bad.is_none() {
            self.bad = Some((field, value.shown()));
        }
    }

    /// The span, its service and instance by its reporter or else by its own attributes; the service is none when neither says it.
    pub(super) fn span(&self, reporter: Reporter, context: &mut ReadContext<'_>) -> Result<Span, Refused> {
        let (trace, id) = self.trace.zip(self.id).ok_or(Refused::Id)?;
        let parent = self.parent(id, trace, context)?;
        let (start_ns, duration_ns) = self.times()?;
        let attributes = &self.attributes;
        if let Some(probability) = attributes.probability() {
            context.sampled(probability);
        }
        Ok(Span {
            trace,
            id,
            parent,
            kind: self.kind,
            service: self.service(reporter, context),
            operation: context.operation(&attributes.name(&self.name)),
            peer: self.peer(context),
            instance: self.instance(reporter, context),
            start_ns,
            duration_ns,
            outcome: attributes.outcome(self.error, self.kind == SpanKind::Client),
            status: attributes.status(),
            attempt: u8::try_from(attributes.attempt).unwrap_or(u8::MAX),
            shared: self.shared,
            by_proxy: attributes.by_proxy(),
            to_store: attributes.peer_is_store(),
        })
    }

    /// Hands on the span of a reporter, or counts why not.
    pub(super) fn hand_on(&self, reporter: Reporter, context: &mut ReadContext<'_>) {
        let mut span = match self.span(reporter, context) {
            Ok(span) => span,
            Err(reason) => return context.refuse(reason, format_args!("{self}")),
        };
        if span.service.is_none() {
            let fronted = self.fronted();
            if fronted.is_none() {
                context.odd(Oddity::Nameless, format_args!("span {} of trace {}", span.id, span.trace));
            }
            span.service = context.name(fronted.unwrap_or(UNKNOWN));
        }
        for (key, value) in &self.attributes.labels {
            context.label(span.service, key, value);
        }
        context.take(span, self.link);
    }

    fn parent(
        &self,
        id: SpanId,
        trace: TraceId,
        context: &mut ReadContext<'_>,
    ) -> Result<Option<SpanId>, Refused> {
        match self.parent {
            Parent::None => Ok(None),
            Parent::Unreadable => Err(Refused::Id),
            Parent::Is(parent) if parent == id => {
                context.odd(Oddity::SelfParent, format_args!("span {id} of trace {trace}"));
                Ok(None)
            }
            Parent::Is(parent) => Ok(Some(parent)),
        }
    }

    /// Start and duration; what a format leaves to the other half of the call is [`Span::NO_TIME`].
    fn times(&self) -> Result<(i64, i64), Refused> {
        if self.times_optional && (self.start_ns.is_none() || self.duration_ns.is_none()) {
            let start = self.start_ns.filter(|&start| start >= START_NS_MIN);
            let known = |ns: Option<i128>| ns.and_then(|ns| i64::try_from(ns).ok()).unwrap_or(Span::NO_TIME);
            return Ok((known(start), known(self.duration_ns.filter(|&ns| ns >= 0))));
        }
        let times = self.start_ns.zip(self.duration_ns);
        let (start, duration) =
            times.filter(|&(start, duration)| start >= START_NS_MIN && duration >= 0).ok_or(Refused::Time)?;
        let end = start.checked_add(duration).ok_or(Refused::Time)?;
        i64::try_from(end).map_err(|_| Refused::Time)?;
        Ok((i64::try_from(start).unwrap_or(i64::MAX), i64::try_from(duration).unwrap_or(i64::MAX)))
    }

    fn service(&self, reporter: Reporter, context: &mut ReadContext<'_>) -> Symbol {
        match self.attributes.service_name() {
            Some(name) if reporter.service.is_none() => context.name(&name),
            _ => reporter.service,
        }
    }

    fn instance(&self, reporter: Reporter, context: &mut ReadContext<'_>) -> Symbol {
        if reporter.instance.is_none() { context.name(self.attributes.instance()) } else { reporter.instance }
    }

    fn peer(&self, context: &mut ReadContext<'_>) -> Symbol {
        match self.kind {
            SpanKind::Client | SpanKind::Producer => context.name(&self.attributes.peer()),
            _ => Symbol::NONE,
        }
    }

    /// Whom a proxy that does not say its own name stands for: the cluster it asks on behalf of its caller.
    fn fronted(&self) -> Option<&str> {
        let fronts = matches!(self.kind, SpanKind::Server | SpanKind::Consumer);
        Some(host_of_cluster(&self.attributes.cluster)).filter(|name| fronts && !name.is_empty())
    }
}
