//! How a request ended, as the caller saw it.

use emac_core::budget::SuccessPredicate;
use emac_core::outcome::Outcome;

use super::headers::integer;
use crate::host::Host;

const GRPC_DEADLINE_EXCEEDED: u32 = 4;
/// Envoy's response flag `DC`: the downstream connection went away.
const FLAG_DOWNSTREAM_GONE: u64 = 0x4000;
/// Flags `LH UH UT LR UR UF UC UO`: something on the way to the upstream failed.
const FLAGS_UPSTREAM_FAILED: u64 = 0xff;
/// `101`: an upgraded connection has no end of its response.
const SWITCHING_PROTOCOLS: u16 = 101;

/// The end of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) outcome: Outcome,
    /// 0 when none was seen.
    pub(super) status: u16,
    /// A hop answered in a degraded way.
    pub(super) degraded: bool,
}

/// Looks at the end of a request that was left to the upstream, whose `status` may be known already. Only in `on_log`; at most one host
/// call when all is well.
pub(super) fn classify(
    host: &dyn Host,
    status: Option<u16>,
    complete: bool,
    grpc: bool,
    predicate: Option<&SuccessPredicate>,
) -> Finished {
    let status = status.unwrap_or_else(|| final_status(host));
    let outcome = if status == 0 {
        Outcome::Cancelled
    } else if !complete && status != SWITCHING_PROTOCOLS {
        outcome_of_torn(host, status, predicate)
    } else if grpc && status == 200 {
        outcome_of_grpc(host, predicate)
    } else {
        outcome_of_status(host, status, predicate)
    };
    Finished { outcome, status, degraded: false }
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
    if accepts(predicate, status) {
        return Outcome::Success;
    }
    let details = host.property(&["response", "code_details"]).unwrap_or_default();
    let says = |word: &[u8]| details.windows(word.len()).any(|part| part == word);
    if status == 504 && says(b"timeout") {
        Outcome::Timeout
    } else if status == 503 && says(b"overflow") {
        Outcome::Shed
    } else {
        Outcome::Error
    }
}

fn outcome_of_grpc(host: &dyn Host, predicate: Option<&SuccessPredicate>) -> Outcome {
    let code = integer(host.property(&["response", "grpc_status"])).and_then(|code| u32::try_from(code).ok());
    match code {
        Some(code) if predicate.map_or(code == 0, |predicate| predicate.accepts_grpc(code)) => {
            Outcome::Success
        }
        Some(GRPC_DEADLINE_EXCEEDED) => Outcome::Timeout,
        _ => Outcome::Error,
    }
}

/// The response began and did not end.
fn outcome_of_torn(host: &dyn Host, status: u16, predicate: Option<&SuccessPredicate>) -> Outcome {
    let flags = integer(host.property(&["response", "flags"])).unwrap_or_default();
    if flags & FLAG_DOWNSTREAM_GONE != 0 {
        Outcome::Cancelled
    } else if flags & FLAGS_UPSTREAM_FAILED != 0 {
        Outcome::Error
    } else {
        outcome_of_status(host, status, predicate)
    }
}
