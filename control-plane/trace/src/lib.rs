//! Traces: whatever a tracing backend or a sidecar wrote, as trees of calls.
//!
//! In the order of the data: readers of each format hand [`Span`]s to a [`Sink`]; the assembler puts the spans of a request together, joins the two
//! halves of a call, corrects the clocks, and hands [`Trace`]s on. Everything streams: what is held is bounded by what is open, not by
//! the size of a file, and what had to be left out is counted.

mod assemble;
mod call;
mod hops;
mod join;
mod quality;
pub mod read;
mod skew;
mod span;
mod symbol;

#[cfg(test)]
mod facts;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod testing;

pub use assemble::{Assembled, Assembler, Consumer, Labels, TraceLimits};
pub use call::{Call, CallKind, CallOutcome, Trace};
pub use quality::{Counted, Link, ServiceRecorders, SignalQuality, Skew};
pub use read::is_nameless;
pub use span::{Oddity, Refused, Sink, Span, SpanId, SpanKind, SpanOutcome, TraceId};
pub use symbol::{Symbol, Symbols};
