//! OpenTelemetry protocol: `TracesData` and `ExportTraceServiceRequest`, which are one message on the wire, as protobuf and as JSON.

pub(super) mod json;
pub(super) mod proto;

use crate::SpanKind;

/// `Span.SpanKind`; what is not known counts as not said.
const fn kind(number: i128) -> SpanKind {
    match number {
        2 => SpanKind::Server,
        3 => SpanKind::Client,
        4 => SpanKind::Producer,
        5 => SpanKind::Consumer,
        _ => SpanKind::Internal,
    }
}

/// `Status.StatusCode`.
pub(super) const STATUS_ERROR: i128 = 2;
