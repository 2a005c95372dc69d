//! How a span ended, by everything that is said of it.
//!
//! Who went away or waited in vain tells more than that it failed, so it is asked first: Envoy's response flags, gRPC's status, HTTP's
//! 504 and 499, `error.type`. Then an error is what the format says is one, HTTP's 5xx on either side, and the gRPC statuses that
//! are the server's fault (OpenTelemetry's conventions for gRPC server spans): NOT_FOUND or INVALID_ARGUMENT are answers.
//!
//! On the caller's side the same conventions call every 4xx and every gRPC status but OK an error: there that says no more than the status does.

use crate::SpanOutcome;
use crate::read::json::Value;

const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
const GRPC_CANCELLED: u16 = 1;
const GRPC_DEADLINE_EXCEEDED: u16 = 4;

/// What is said of the end of a span.
pub(super) struct Signs<'a> {
    pub(super) error: bool,
    /// It is the caller's record.
    pub(super) asks: bool,
    pub(super) error_type: &'a str,
    /// Envoy's, separated by commas.
    pub(super) response_flags: &'a str,
    pub(super) http: u16,
    pub(super) grpc: u16,
}

pub(super) fn outcome(signs: &Signs<'_>) -> SpanOutcome {
    if let Some(outcome) = by_flags(signs.response_flags).or_else(|| by_type(signs.error_type)) {
        return outcome;
    }
    match (signs.grpc, signs.http) {
        (GRPC_CANCELLED, _) | (0, 499) => SpanOutcome::Cancelled,
        (GRPC_DEADLINE_EXCEEDED, _) | (0, 504) => SpanOutcome::Timeout,
        (grpc, http) if is_server_fault(grpc) || http >= 500 => SpanOutcome::Error,
        _ if signs.error && !is_answer(signs) => SpanOutcome::Error,
        _ => SpanOutcome::Good,
    }
}

const HTTP_TOO_MANY: u16 = 429;
const GRPC_EXHAUSTED: u16 = 8;

/// Whether a caller's span is an error only because the callee's answer was not the best: the status says which, and nothing else went wrong. Who is
/// turned away for asking too often got no answer.
fn is_answer(signs: &Signs<'_>) -> bool {
    let is_status = |name: &str| name.parse() == Ok(signs.http) || grpc_named(name) == Some(signs.grpc);
    let is_turned_away = signs.http == HTTP_TOO_MANY || signs.grpc == GRPC_EXHAUSTED;
    let has_status = (400..500).contains(&signs.http) || signs.grpc != 0;
    signs.asks
        && has_status
        && !is_turned_away
        && (signs.error_type.is_empty() || is_status(signs.error_type))
}

/// Envoy, "Response flags": both the short names of logs and traces and the long ones of newer versions.
fn by_flags(flags: &str) -> Option<SpanOutcome> {
    if matches!(flags, "" | "-") {
        return None;
    }
    let has = |known: &[&str]| flags.split([',', ' ']).any(|flag| known.contains(&flag));
    if has(&["UT", "SI", "DT", "UMSDR", "UpstreamRequestTimeout", "StreamIdleTimeout", "DurationTimeout"]) {
        return Some(SpanOutcome::Timeout);
    }
    if has(&["DC", "DR", "DownstreamConnectionTermination", "DownstreamRemoteReset"]) {
        return Some(SpanOutcome::Cancelled);
    }
    let failed = has(&["UF", "UH", "UO", "UR", "UC", "UPE", "URX", "NC", "NR", "LR", "NoHealthyUpstream"]);
    failed.then_some(SpanOutcome::Error)
}

fn by_type(error_type: &str) -> Option<SpanOutcome> {
    let named = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(error_type));
    if named(&["timeout", "DEADLINE_EXCEEDED", "context.deadlineExceededError"]) {
        return Some(SpanOutcome::Timeout);
    }
    named(&["cancelled", "canceled"]).then_some(SpanOutcome::Cancelled)
}

const fn is_server_fault(grpc: u16) -> bool {
    matches!(grpc, 2 | 4 | 12..=15)
}

/// 100 to 599, as number or text; 0 for anything else.
pub(super) fn http_status(value: &Value<'_>) -> u16 {
    let status = value.integer().and_then(|status| u16::try_from(status).ok());
    status.filter(|status| (100..600).contains(status)).unwrap_or(0)
}

/// By number or by name; 0 (OK) for anything else.
pub(super) fn grpc_status(value: &Value<'_>) -> u16 {
    if let Some(number) = value.integer() {
        return u16::try_from(number).ok().filter(|&status| usize::from(status) < GRPC.len()).unwrap_or(0);
    }
    let Value::Text(text) = value else { return 0 };
    grpc_named(text).unwrap_or(0)
}

fn grpc_named(text: &str) -> Option<u16> {
    let at = GRPC.iter().position(|name| name.eq_ignore_ascii_case(text));
    at.and_then(|at| u16::try_from(at).ok())
}
