//! A span at rest.

use crate::{CallOutcome, Span, SpanKind, SpanOutcome, Symbol};

/// What joining needs of a span, in 56 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanRecord {
    pub(crate) id: u64,
    /// 0: none.
    pub(crate) parent: u64,
    pub(crate) start_ns: i64,
    pub(crate) duration_ns: i64,
    pub(crate) service: Symbol,
    pub(crate) operation: Symbol,
    pub(crate) peer: Symbol,
    pub(crate) instance: Symbol,
    /// 0: not said; 255 stands for more.
    pub(crate) attempt: u8,
    pub(crate) kind: SpanKind,
    /// A superset of a span's: hops know of fallbacks.
    pub(crate) outcome: CallOutcome,
    pub(crate) marks: Marks,
}

/// What else is known of a span: a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Marks(u8);

impl Marks {
    const SHARED: u8 = 1;
    const BY_PROXY: u8 = 2;
    const TO_STORE: u8 = 4;
    const CUT: u8 = 8;

    const fn of(span: &Span) -> Self {
        let shared = if span.shared { Self::SHARED } else { 0 };
        let by_proxy = if span.by_proxy { Self::BY_PROXY } else { 0 };
        let to_store = if span.to_store { Self::TO_STORE } else { 0 };
        Self(shared | by_proxy | to_store)
    }

    pub(crate) const fn of_hop(cut: bool) -> Self {
        Self(if cut { Self::CUT } else { 0 })
    }

    /// The filter gave up on it: the journey's budget was spent.
    pub(crate) const fn cut(self) -> bool {
        self.0 & Self::CUT != 0
    }

    /// A proxy reported it, in the name of its workload.
    pub(crate) const fn by_proxy(self) -> bool {
        self.0 & Self::BY_PROXY != 0
    }

    /// Its peer is a database, a cache or a broker.
    pub(crate) const fn to_store(self) -> bool {
        self.0 & Self::TO_STORE != 0
    }
}

impl SpanRecord {
    pub(crate) fn of(span: &Span) -> Self {
        Self {
            id: span.id.0,
            parent: span.parent.map_or(0, |parent| parent.0),
            start_ns: span.start_ns,
            duration_ns: if span.duration_ns == Span::NO_TIME {
                Span::NO_TIME
            } else {
                span.duration_ns.max(0)
            },
            service: span.service,
            operation: span.operation,
            peer: span.peer,
            instance: span.instance,
            attempt: span.attempt,
            kind: span.kind,
            outcome: outcome_of(span.outcome),
            marks: Marks::of(span),
        }
    }

    /// Nothing is said yet but who, when and which side.
    pub(crate) const fn new(kind: SpanKind, service: Symbol, start_ns: i64, duration_ns: i64) -> Self {
        Self {
            id: 0,
            parent: 0,
            start_ns,
            duration_ns,
            service,
            operation: Symbol::NONE,
            peer: Symbol::NONE,
            instance: Symbol::NONE,
            attempt: 0,
            kind,
            outcome: CallOutcome::Good,
            marks: Marks(0),
        }
    }

    pub(crate) const fn end_ns(&self) -> i64 {
        self.start_ns.saturating_add(self.duration_ns)
    }

    /// Says that somebody is called.
    pub(crate) const fn calls(&self) -> bool {
        matches!(self.kind, SpanKind::Client | SpanKind::Producer)
    }

    /// Says that it was called.
    pub(crate) const fn is_called(&self) -> bool {
        matches!(self.kind, SpanKind::Server | SpanKind::Consumer)
    }

    /// Total order of contents: equal records stand side by side, records of one id together, the earlier one first.
    pub(crate) fn order(&self) -> impl Ord + use<> {
        let names = [self.service, self.operation, self.peer, self.instance];
        let sides = (self.kind as u8, self.marks, self.outcome as u8, self.attempt);
        (self.id, self.start_ns, self.duration_ns, self.parent, sides, names)
    }
}

const fn outcome_of(outcome: SpanOutcome) -> CallOutcome {
    match outcome {
        SpanOutcome::Good => CallOutcome::Good,
        SpanOutcome::Error => CallOutcome::Error,
        SpanOutcome::Timeout => CallOutcome::Timeout,
        SpanOutcome::Cancelled => CallOutcome::Cancelled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_small() {
        assert_eq!(size_of::<SpanRecord>(), 56);
    }
}
