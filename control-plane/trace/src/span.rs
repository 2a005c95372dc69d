//! One span, in the terms that all tracing formats share (OpenTelemetry's trace data model, the superset).

use std::fmt;

use super::{Symbol, Symbols};

/// Trace id of W3C Trace Context; shorter ids of older formats are zero-extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(pub u128);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Span id, unique within its trace only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(pub u64);

/// A span. 80 bytes, no heap: a million open ones take 80 MB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Whose request it is of.
    pub trace: TraceId,
    /// Its own id.
    pub id: SpanId,
    /// The span that caused it; `None` for a root. A span that names itself is one.
    pub parent: Option<SpanId>,
    /// Which side of a call it is.
    pub kind: SpanKind,
    /// Who reported it.
    pub service: Symbol,
    /// Its name, with ids in paths replaced (`GET /users/{id}`).
    pub operation: Symbol,
    /// Whom a client or producer says it calls (Envoy cluster, `peer.service`, database, topic, host); none when it does not say.
    pub peer: Symbol,
    /// Host, pod or process whose clock stamped it; none: the service has one clock.
    pub instance: Symbol,
    /// Nanoseconds since 1970 by that clock; [`Span::NO_TIME`] when not said (Zipkin leaves it to the other half of the call).
    pub start_ns: i64,
    /// Nanoseconds, not negative; [`Span::NO_TIME`] when not said.
    pub duration_ns: i64,
    /// How it ended.
    pub outcome: SpanOutcome,
    /// HTTP or gRPC status; 0 when none was said.
    pub status: u16,
    /// Which try this is, from 1; 0 when not said (`http.request.resend_count`, `x-envoy-attempt-count`).
    pub attempt: u8,
    /// Both sides of a call share one id (Zipkin).
    pub shared: bool,
    /// A proxy reported it, in the name of the workload that it stands before.
    pub by_proxy: bool,
    /// The peer is a database, a cache or a broker: one thing, whatever is asked of it.
    pub to_store: bool,
}

impl Span {
    /// "Not said."
    pub const NO_TIME: i64 = i64::MIN;
}

/// Which side of a call a span is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpanKind {
    /// Work within a service, or not said.
    #[default]
    Internal,
    /// The caller's side.
    Client,
    /// The callee's side.
    Server,
    /// Sends a message and does not wait.
    Producer,
    /// Takes a message.
    Consumer,
}

/// How a span ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpanOutcome {
    /// Nothing was said, which all formats mean as "well".
    #[default]
    Good,
    /// A bad answer.
    Error,
    /// No answer in time.
    Timeout,
    /// The caller went away, or did not need the answer any more.
    Cancelled,
}

/// Why a span was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refused {
    /// An id is missing, zero or no hexadecimal number.
    Id,
    /// A time is missing, negative, before 1971, or ends before it begins.
    Time,
    /// It is no object of the format.
    Malformed,
}

impl Refused {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Id, Self::Time, Self::Malformed];

    /// Stable label for metrics and reports.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Time => "time",
            Self::Malformed => "malformed",
        }
    }

    /// What a span of it lacks, and what was expected.
    pub const fn says(self) -> &'static str {
        match self {
            Self::Id => "without usable ids (16 or 32 hexadecimal digits, not zero)",
            Self::Time => "without usable times (after 1970, the end not before the start)",
            Self::Malformed => "that are no spans of their format",
        }
    }
}

/// What is odd about a span that is taken all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oddity {
    /// It names itself as its parent; it is taken for a root.
    SelfParent,
    /// The request id of a hop record is some client's constant; it joins nothing.
    ConstantRequestId,
    /// Nothing says which service reported it.
    Nameless,
    /// A document says that it does not hold everything.
    Partial,
}

impl Oddity {
    /// Stable label for reports.
    pub const fn label(self) -> &'static str {
        match self {
            Self::SelfParent => "self_parent",
            Self::ConstantRequestId => "constant_request_id",
            Self::Nameless => "nameless",
            Self::Partial => "partial",
        }
    }

    /// What is said of them, behind their number.
    pub const fn says(self) -> &'static str {
        match self {
            Self::SelfParent => "spans name themselves as their parent, taken for roots",
            Self::ConstantRequestId => {
                "records have a request id that many requests share, which joins none: let the edge make request ids (Envoy: preserve_external_request_id: false)"
            }
            Self::Nameless => {
                "spans name no service (service.name is missing): all are taken for one, and nothing found can act on its own"
            }
            Self::Partial => "answers say that they lack something",
        }
    }
}

/// Takes what a reader finds. Nothing a reader meets stops it but a broken file: a span that cannot be taken is refused, and the rest goes on.
pub trait Sink {
    /// The table that the spans' names are of.
    fn symbols(&mut self) -> &mut Symbols;

    /// Takes a span. Spans of a trace come in any order, and not together.
    fn span(&mut self, span: Span);

    /// Takes an attribute of a service's resource or span that may tell a failure domain (`k8s.cluster.name`, `cloud.availability_zone`, ...).
    fn label(&mut self, service: Symbol, key: &str, value: &str);

    /// Takes the same attribute as often as it was said.
    fn labels(&mut self, service: Symbol, key: &str, value: &str, times: u64) {
        (0..times).for_each(|_| self.label(service, key, value));
    }

    /// Takes what a span says of how likely its trace was recorded at all, in (0, 1].
    fn sampled(&mut self, probability: f64);

    /// Says in which namespace a service is; answers by which symbol it is to be known. Two namespaces may have a service of one name.
    fn within(&mut self, service: Symbol, namespace: &str) -> Symbol;

    /// Takes a link of a root, which is handed over next, to a span of another trace: a message's consumer that begins a trace of its own.
    fn linked(&mut self, root: &Span, to: (TraceId, SpanId));

    /// Counts a span that is odd but taken; `example` tells which.
    fn odd(&mut self, oddity: Oddity, example: fmt::Arguments<'_>);

    /// Counts a span that could not be taken; `example` tells which.
    fn refuse(&mut self, reason: Refused, example: fmt::Arguments<'_>);
}
