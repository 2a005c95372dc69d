//! How a request ended, as the caller saw it.

use emac_core::budget::SuccessPredicate;
use emac_core::outcome::Outcome;
use emac_core::units::Micros;

use super::headers::{EVENT_STREAM, integer};
use crate::host::Host;

const GRPC_DEADLINE_EXCEEDED: u32 = 4;
/// `101`: an upgraded connection has no end of its response.
const SWITCHING_PROTOCOLS: u16 = 101;
/// What lasts longer is looked at twice: it may be a stream that its request did not show.
const LONG: Micros = Micros(1_000_000);

/// Response flags of Envoy 1.40 (`envoy/stream_info/stream_info.h`, `CoreResponseFlag`; the number of the bit) that say who ended a
/// response before its end: the abbreviation of the access log, the bit, and whose doing it was.
const FLAGS: [(&str, u32, Who); 30] = [
    ("LH", 0, Who::Upstream),
    ("UH", 1, Who::Upstream),
    ("UT", 2, Who::Upstream),
    ("LR", 3, Who::Upstream),
    ("UR", 4, Who::Upstream),
    ("UF", 5, Who::Upstream),
    ("UC", 6, Who::Upstream),
    ("UO", 7, Who::Upstream),
    ("NR", 8, Who::Upstream),
    ("DI", 9, Who::Nobody),
    ("FI", 10, Who::Upstream),
    ("RL", 11, Who::Upstream),
    ("UAEX", 12, Who::Upstream),
    ("RLSE", 13, Who::Upstream),
    ("DC", 14, Who::Caller),
    ("URX", 15, Who::Upstream),
    ("SI", 16, Who::Upstream),
    ("IH", 17, Who::Caller),
    ("DPE", 18, Who::Caller),
    ("UMSDR", 19, Who::Upstream),
    ("RFCF", 20, Who::Nobody),
    ("NFCF", 21, Who::Upstream),
    ("DT", 22, Who::Upstream),
    ("UPE", 23, Who::Upstream),
    ("NC", 24, Who::Upstream),
    ("OM", 25, Who::Upstream),
    ("DF", 26, Who::Upstream),
    ("DO", 27, Who::Upstream),
    ("DR", 28, Who::Caller),
    ("UDO", 29, Who::Upstream),
];

/// Whose doing a flag says it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// The callee's, or that of the way to it: an error.
    Upstream,
    /// The caller's, who left or broke the protocol.
    Caller,
    /// It tells how the request went, not how it ended.
    Nobody,
}

/// What was seen of a request that was left to the upstream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Where it was looked at.
    pub(super) status: Option<u16>,
    /// The response came to its end.
    pub(super) complete: bool,
    pub(super) grpc: bool,
    /// The answer has no end to wait for.
    pub(super) endless: bool,
    pub(super) latency: Micros,
}

/// The end of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) outcome: Outcome,
    /// 0 when none was seen.
    pub(super) status: u16,
    /// A hop answered in a degraded way.
    pub(super) degraded: bool,
}

/// Looks at the end of a request that was left to the upstream. Only in `on_log`; at most one host call when all is well.
///
/// An answer that is known to be bad stays bad, whoever ended it; of one that was good so far, the flags say who did.
pub(super) fn classify(host: &dyn Host, seen: Seen, predicate: Option<&SuccessPredicate>) -> Finished {
    let status = seen.status.unwrap_or_else(|| final_status(host));
    let outcome = if status == 0 {
        Outcome::Cancelled
    } else {
        match outcome_of_status(host, status, predicate) {
            Outcome::Success if is_stream(host, status, seen) => Outcome::Stream,
            Outcome::Success if seen.grpc && status == 200 => outcome_of_grpc(host, seen.complete, predicate),
            Outcome::Success if !seen.complete => outcome_of_torn(host),
            outcome => outcome,
        }
    };
    Finished { outcome, status, degraded: false }
}

/// Whether the proxy follows a redirect itself: the request comes through the chain again.
pub(super) fn is_redirected(host: &dyn Host, complete: bool) -> bool {
    // The answer that was followed went to nobody, so the proxy may know no status of it.
    !complete
        && matches!(final_status(host), 0 | 300..400)
        && host.property(&["response", "code_details"]).as_deref() == Some(b"internal_redirect")
}

/// As it went to the caller; 0 when none did. Only in `on_log`.
pub(super) fn final_status(host: &dyn Host) -> u16 {
    integer(host.property(&["response", "code"]))
        .and_then(|code| u16::try_from(code).ok())
        .unwrap_or_default()
}

/// Whether an HTTP status is a good answer.
pub(super) fn accepts(predicate: Option<&SuccessPredicate>, status: u16) -> bool {
    predicate.map_or((100..500).contains(&status), |predicate| predicate.accepts_http(status))
}

fn outcome_of_status(host: &dyn Host, status: u16, predicate: Option<&SuccessPredicate>) -> Outcome {
    let good = accepts(predicate, status);
    if good && (status < 400 || predicate.is_some_and(|predicate| !predicate.http.is_empty())) {
        return Outcome::Success;
    }
    let details = host.property(&["response", "code_details"]).unwrap_or_default();
    let says = |word: &[u8]| details.windows(word.len()).any(|part| part == word);
    if good {
        // A missing route, a denial, a limit: the proxy's word is not the callee's.
        let callee = details.is_empty() || details == b"via_upstream" || details == b"direct_response";
        if callee { Outcome::Success } else { Outcome::Error }
    } else if status == 504 && says(b"timeout") {
        Outcome::Timeout
    } else if status == 503 && says(b"overflow") {
        Outcome::Shed
    } else {
        Outcome::Error
    }
}

fn outcome_of_grpc(host: &dyn Host, complete: bool, predicate: Option<&SuccessPredicate>) -> Outcome {
    let code = integer(host.property(&["response", "grpc_status"])).and_then(|code| u32::try_from(code).ok());
    match code {
        None if !complete => outcome_of_torn(host),
        Some(code) if predicate.map_or(code == 0, |predicate| predicate.accepts_grpc(code)) => {
            Outcome::Success
        }
        Some(GRPC_DEADLINE_EXCEEDED) => Outcome::Timeout,
        _ => Outcome::Error,
    }
}

/// The response began well and did not end.
fn outcome_of_torn(host: &dyn Host) -> Outcome {
    let flags = integer(host.property(&["response", "flags"])).unwrap_or_default();
    let any = |wanted: Who| FLAGS.iter().any(|&(_, bit, who)| who == wanted && flags & (1 << bit) != 0);
    if any(Who::Caller) && !any(Who::Upstream) { Outcome::Cancelled } else { Outcome::Error }
}

/// An answer that goes on: an upgraded connection, a tunnel, events, more than one gRPC message.
fn is_stream(host: &dyn Host, status: u16, seen: Seen) -> bool {
    let says = |path: &[&str], what: &[u8]| host.property(path).is_some_and(|value| value.starts_with(what));
    seen.endless
        || status == SWITCHING_PROTOCOLS
        || (seen.latency >= LONG || !seen.complete)
            && (says(&["response", "headers", "content-type"], EVENT_STREAM)
                || says(&["request", "method"], b"CONNECT"))
}
