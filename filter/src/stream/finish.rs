//! How a request ended, as the caller saw it.

use emac_core::budget::SuccessPredicate;
use emac_core::outcome::{EndedBy, Outcome};
use emac_core::units::Micros;

use super::headers::{EVENT_STREAM, integer};
use crate::host::{Host, taken};

const GRPC_DEADLINE_EXCEEDED: u32 = 4;
/// `101`: an upgraded connection has no end of its response.
const SWITCHING_PROTOCOLS: u16 = 101;
/// What lasts longer is looked at twice: it may be a stream that its request did not show.
const LONG: Micros = Micros(1_000_000);

/// Bits of `response.flags` that say that the caller ended a response, by leaving or by breaking the protocol: `DC`, `IH`, `DPE`, `DR`.
const CALLER_ENDED: u64 = 1 << 14 | 1 << 17 | 1 << 18 | 1 << 28;
/// Bits that tell how a request went, not how it ended: `DI` (a delay was injected), `RFCF` (from a cache).
const SAYS_NOTHING: u64 = 1 << 9 | 1 << 20;

/// What was seen of a request that was left to the upstream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Where it was looked at.
    pub(super) status: Option<u16>,
    /// The response came to its end.
    pub(super) complete: bool,
    pub(super) grpc: bool,
    /// Where trailers told it.
    pub(super) grpc_status: Option<u32>,
    /// The answer has no end to wait for.
    pub(super) endless: bool,
    /// So the request would have it.
    pub(super) asks_endless: bool,
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
    /// A success, but for that it says no: to a login that is wrong, or to a caller that should be allowed.
    pub(super) denied: bool,
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
            Outcome::Success if seen.grpc && status == 200 => outcome_of_grpc(host, seen, predicate),
            Outcome::Success if !seen.complete => outcome_of_torn(host),
            outcome => outcome,
        }
    };
    let denied = outcome == Outcome::Success && matches!(status, 401 | 403 | 407 | 429);
    Finished { outcome, status, degraded: false, denied }
}

/// Whose word the end of a request is that was left to the upstream. Only in `on_log`; asks the host where it did not end well.
pub(super) fn ended_by(host: &dyn Host, outcome: Outcome) -> EndedBy {
    match outcome {
        Outcome::Success | Outcome::Stream => return EndedBy::Callee,
        Outcome::Cancelled => return EndedBy::Caller,
        _ => {}
    }
    // Envoy 1.40, `source/common/stream_info`: an answer that came, or began to; anything else the proxy says for itself.
    let said = details(host, |details| match details {
        b"" => EndedBy::Unknown,
        details if details.starts_with(b"via_upstream") => EndedBy::Callee,
        details if details.starts_with(b"upstream_reset_after_response_started") => EndedBy::Callee,
        _ => EndedBy::Mesh,
    });
    said.unwrap_or(EndedBy::Unknown)
}

/// What is made of the proxy's own word for how a response came about.
fn details<R>(host: &dyn Host, make: impl FnOnce(&[u8]) -> R) -> Option<R> {
    taken(|read| host.property(&["response", "code_details"], read), make)
}

/// Whether the proxy follows a redirect itself: the request comes through the chain again.
pub(super) fn is_redirected(host: &dyn Host, complete: bool) -> bool {
    // The answer that was followed went to nobody, so the proxy may know no status of it.
    !complete
        && matches!(final_status(host), 0 | 300..400)
        && details(host, |details| details == b"internal_redirect").unwrap_or_default()
}

/// As it went to the caller; 0 when none did. Only in `on_log`.
pub(super) fn final_status(host: &dyn Host) -> u16 {
    integer(host, &["response", "code"]).and_then(|code| u16::try_from(code).ok()).unwrap_or_default()
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
    let judge = |details: &[u8]| {
        let says = |word: &[u8]| details.windows(word.len()).any(|part| part == word);
        if good {
            // A missing route, a denial, a limit: the proxy's word is not the callee's.
            let callee = details.is_empty() || details == b"via_upstream" || details == b"direct_response";
            if callee { Outcome::Success } else { Outcome::Error }
        } else if status == 504 && (says(b"timeout") || says(b"duration")) {
            Outcome::Timeout
        } else if status == 503 && (says(b"overflow") || says(b"overload")) {
            Outcome::Shed
        } else {
            Outcome::Error
        }
    };
    details(host, judge).unwrap_or_else(|| judge(b""))
}

fn outcome_of_grpc(host: &dyn Host, seen: Seen, predicate: Option<&SuccessPredicate>) -> Outcome {
    let by_log = || integer(host, &["response", "grpc_status"]).and_then(|code| u32::try_from(code).ok());
    match seen.grpc_status.or_else(by_log) {
        None if !seen.complete => outcome_of_torn(host),
        Some(code) if predicate.map_or(code == 0, |predicate| predicate.accepts_grpc(code)) => {
            Outcome::Success
        }
        Some(GRPC_DEADLINE_EXCEEDED) => Outcome::Timeout,
        _ => Outcome::Error,
    }
}

/// The response began well and did not end.
fn outcome_of_torn(host: &dyn Host) -> Outcome {
    let flags = integer(host, &["response", "flags"]).unwrap_or_default();
    who_ended(flags)
}

/// The callee and the way to it are to blame, unless nothing but the caller is.
const fn who_ended(flags: u64) -> Outcome {
    let others = flags & !(CALLER_ENDED | SAYS_NOTHING);
    if flags & CALLER_ENDED != 0 && others == 0 { Outcome::Cancelled } else { Outcome::Error }
}

/// An answer that goes on: an upgraded connection, a tunnel, events, more than one gRPC message.
fn is_stream(host: &dyn Host, status: u16, seen: Seen) -> bool {
    let says = |path: &[&str], what: &[u8]| {
        taken(|read| host.property(path, read), |value| value.starts_with(what)).unwrap_or_default()
    };
    seen.endless
        || status == SWITCHING_PROTOCOLS
        || seen.asks_endless && (200..300).contains(&status)
        || (seen.latency >= LONG || !seen.complete)
            && (says(&["response", "headers", "content-type"], EVENT_STREAM)
                || says(&["request", "method"], b"CONNECT"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Cancelled, Error};

    /// Every response flag of Envoy 1.40 (`CoreResponseFlag`, in the order of its bits, by its name in the access log), and what an answer
    /// is that it tore after good headers.
    const FLAGS: [(&str, Outcome); 30] = [
        ("LH", Error),
        ("UH", Error),
        ("UT", Error),
        ("LR", Error),
        ("UR", Error),
        ("UF", Error),
        ("UC", Error),
        ("UO", Error),
        ("NR", Error),
        ("DI", Error),
        ("FI", Error),
        ("RL", Error),
        ("UAEX", Error),
        ("RLSE", Error),
        ("DC", Cancelled),
        ("URX", Error),
        ("SI", Error),
        ("IH", Cancelled),
        ("DPE", Cancelled),
        ("UMSDR", Error),
        ("RFCF", Error),
        ("NFCF", Error),
        ("DT", Error),
        ("UPE", Error),
        ("NC", Error),
        ("OM", Error),
        ("DF", Error),
        ("DO", Error),
        ("DR", Cancelled),
        ("UDO", Error),
    ];

    #[test]
    fn every_flag_says_whose_doing_it_was() {
        for (bit, (name, outcome)) in FLAGS.into_iter().enumerate() {
            assert_eq!(who_ended(1 << bit), outcome, "{name}");
            let left = 1 << 14;
            let told = matches!(name, "DI" | "RFCF");
            let both = if outcome == Cancelled || told { Cancelled } else { Error };
            assert_eq!(who_ended(1 << bit | left), both, "{name}, and the caller left");
        }
        assert_eq!(who_ended(0), Error, "torn, and nobody says why");
    }
}
