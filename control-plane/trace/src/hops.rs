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
//! Records are one request's when they have the trace id or the request id in common ([`meet`]). Tries of the proxy (`attempts`, or several inbound
//! records behind one outbound one) are the mesh's, not the application's, whose tries are records of their own; a call that the filter cut
//! at the journey's budget is no timeout that anybody configured.
//!
//! What hop records do not tell: calls of journeys that nobody declared, unless the edge follows some of them; requests without `traceparent`
//! and `x-request-id`; messages, what a workload does by itself, and whether a call that was shed reached anybody (it is an error).

mod link;
mod meet;
#[cfg(test)]
mod tests;

use emac_core::context::UNDECLARED;
use emac_core::evidence::HopRecord;
use emac_core::outcome::{EndedBy, Outcome};

use super::assemble::{Marks, SpanRecord};
use super::{Assembler, CallOutcome, Consumer, Oddity, Refused, Sink, SpanKind, Symbol, Symbols, TraceId};
pub(super) use link::Linker;
pub(super) use meet::Meetings;

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
        // What nobody declared is told from other journeys as requests of tracing are: by its entry and its calls.
        let undeclared = record.hop.journey == UNDECLARED;
        let journey = if undeclared { Symbol::NONE } else { self.symbols().of(&record.hop.journey) };
        let request = Some(TraceId(u128::from_be_bytes(record.request_id))).filter(|id| id.0 != 0);
        let met = self.meetings().id_of(id, request);
        if met.constant {
            let request = request.unwrap_or(id);
            self.odd(Oddity::ConstantRequestId, format_args!("request id {request}, trace {id}, by {node}"));
        }
        if let Some(also) = met.also {
            self.join_hops(also, met.id);
        }
        self.take(met.id, taken, Some(journey));
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
    record.outcome = outcome_of(hop.outcome, hop.ended_by);
    record.marks = Marks::of_hop(hop.outcome == Outcome::Timeout && hop.ended_by == EndedBy::Filter);
    if !hop.inbound {
        record.peer = symbols.of(&hop.hop.destination);
        record.attempt = u8::try_from(hop.attempts).unwrap_or(u8::MAX);
    }
    Some(record)
}

/// A call that the filter gave up on when the journey's budget was spent is an answer to the application, and a bad one: its time says
/// something of the budget, not of a timeout that somebody configured.
const fn outcome_of(outcome: Outcome, ended_by: EndedBy) -> CallOutcome {
    match outcome {
        Outcome::Timeout if matches!(ended_by, EndedBy::Filter) => CallOutcome::Error,
        // How long somebody listened is no fault of either side.
        Outcome::Success | Outcome::Stream => CallOutcome::Good,
        Outcome::Error | Outcome::Shed => CallOutcome::Error,
        Outcome::Timeout => CallOutcome::Timeout,
        Outcome::Fallback => CallOutcome::Fallback,
        Outcome::Alternate => CallOutcome::Alternate,
        Outcome::Cancelled => CallOutcome::Cancelled,
    }
}
