//! Hop records of our own sidecars as traces: a mesh without a tracing backend tells its calls too.
//!
//! A record has no id and names no parent. What it has: the span id that stood in `traceparent` (`parent_span_id`), which a call's two
//! sidecars saw alike unless a tracer stands between them; the names of workload and destination; and times, by one clock for both sides of
//! a sidecar. From these [`link`](Linker::link) finds
//!
//! | record | its parent |
//! |---|---|
//! | outbound | the inbound record of the same sidecar that was open when it began |
//! | inbound | the outbound record with its workload as destination and the same span id; else the nearest in time of those to it |
//! | inbound, of a workload that nobody called | the callout to an alternate: made up beside the call of the same span id that failed or was answered by an alternate |
//!
//! and then they are spans like any others (inbound served, outbound asking). The longest record without a parent is the root; the others
//! lost their caller's record.
//!
//! What hop records do not tell: calls of journeys that nobody declared (the edge marks requests of known journeys only), requests without a
//! `traceparent`, messages, what a workload does by itself, and whether a call that was shed reached anybody (it is an error).

mod link;
#[cfg(test)]
mod tests;

use emac_core::evidence::HopRecord;
use emac_core::outcome::Outcome;

use super::assemble::SpanRecord;
use super::{Assembler, CallOutcome, Consumer, Refused, Sink, SpanKind, Symbols, TraceId};
pub(super) use link::Linker;

/// Before this the clock was not set: 1971.
const START_US_MIN: u64 = 31_536_000_000_000;

impl<C: Consumer> Assembler<C> {
    /// Takes a record of the sidecar `node`; of a trace with spans too, hops make a trace of their own. A record without a trace or from
    /// before 1971 is refused.
    pub fn hop(&mut self, node: &str, record: &HopRecord) {
        let id = TraceId(u128::from_be_bytes(record.trace_id));
        if id.0 == 0 {
            return self.refuse(Refused::Id, format_args!("a hop record of {node} without a trace id"));
        }
        let Some(taken) = record_of(node, record, self.symbols()) else {
            let start = record.start_unix_us;
            return self.refuse(Refused::Time, format_args!("a hop record of {node}, start {start} us"));
        };
        let journey = self.symbols().of(&record.hop.journey);
        self.take(id, taken, Some(journey));
    }
}

/// `parent` is the span id of `traceparent`, until linked.
fn record_of(node: &str, hop: &HopRecord, symbols: &mut Symbols) -> Option<SpanRecord> {
    let nanos = |us: u64| i64::try_from(us).ok()?.checked_mul(1_000);
    let start_ns = nanos(Some(hop.start_unix_us).filter(|&us| us >= START_US_MIN)?)?;
    let duration_ns = nanos(hop.duration.0)?;
    start_ns.checked_add(duration_ns)?;
    let (kind, workload) = match hop.inbound {
        true => (SpanKind::Server, &hop.hop.destination),
        false => (SpanKind::Client, &hop.hop.source),
    };
    let mut record = SpanRecord::new(kind, symbols.of(workload), start_ns, duration_ns);
    record.parent = u64::from_be_bytes(hop.parent_span_id);
    record.instance = symbols.of(node);
    record.operation = symbols.of(&hop.hop.operation);
    record.outcome = outcome_of(hop.outcome);
    if !hop.inbound {
        record.peer = symbols.of(&hop.hop.destination);
        record.attempt = u8::try_from(hop.attempts).unwrap_or(u8::MAX);
    }
    Some(record)
}

const fn outcome_of(outcome: Outcome) -> CallOutcome {
    match outcome {
        // How long somebody listened is no fault of either side.
        Outcome::Success | Outcome::Stream => CallOutcome::Good,
        Outcome::Error | Outcome::Shed => CallOutcome::Error,
        Outcome::Timeout => CallOutcome::Timeout,
        Outcome::Fallback => CallOutcome::Fallback,
        Outcome::Alternate => CallOutcome::Alternate,
        Outcome::Cancelled => CallOutcome::Cancelled,
    }
}
