//! Why a peer, or what it wants, is refused.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use emac_core::units::Micros;
use tonic::{Code, Status};
use tracing::warn;

/// A line of log a reason in this time; the rest is only counted.
pub(crate) const LOG_EVERY: Micros = Micros(10_000_000);
/// Most characters of a peer's own words in a log line or an answer.
const WORDS_MAX: usize = 128;

/// Why somebody was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The TLS handshake failed: no certificate, a strange one, an expired one, no TLS at all.
    Handshake,
    /// Nothing says who it is.
    Missing,
    /// Its identity cannot be read.
    Malformed,
    /// Its identity is of a trust domain that is not believed.
    TrustDomain,
    /// Its token is not signed by a known key.
    Signature,
    /// Its certificate or token has expired.
    Expired,
    /// Its token is for something else.
    Scope,
    /// It reports for another workload.
    Workload,
    /// It asks for the budgets of another workload.
    Resource,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Handshake,
        Self::Missing,
        Self::Malformed,
        Self::TrustDomain,
        Self::Signature,
        Self::Expired,
        Self::Scope,
        Self::Workload,
        Self::Resource,
    ];

    /// Stable label for metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Missing => "no_identity",
            Self::Malformed => "malformed",
            Self::TrustDomain => "trust_domain",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::Scope => "scope",
            Self::Workload => "workload",
            Self::Resource => "resource",
        }
    }

    const fn code(self) -> Code {
        match self {
            Self::Scope | Self::Workload | Self::Resource => Code::PermissionDenied,
            _ => Code::Unauthenticated,
        }
    }
}

/// Counts refusals, and logs them at a bounded rate.
#[derive(Debug, Default)]
pub(super) struct Refusals([Reason; Refusal::ALL.len()]);

#[derive(Debug, Default)]
struct Reason {
    count: AtomicU64,
    log: Mutex<Logged>,
}

#[derive(Debug, Default)]
struct Logged {
    next: Micros,
    silent: u64,
}

impl Refusals {
    /// Refusals by reason since the start.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Refusal::ALL
            .iter()
            .zip(&self.0)
            .map(|(refusal, reason)| (refusal.label(), reason.count.load(Relaxed)))
    }

    /// Counts, logs if it is time to, and makes the status to answer with.
    pub(super) fn refuse(&self, refusal: Refusal, why: &str, now: Micros) -> Status {
        let why = shown(why);
        if let Some(reason) = self.0.get(refusal as usize) {
            reason.count.fetch_add(1, Relaxed);
            let mut log = reason.log.lock().unwrap_or_else(PoisonError::into_inner);
            if now >= log.next {
                let not_logged = std::mem::take(&mut log.silent);
                log.next = now.after(LOG_EVERY);
                warn!(reason = refusal.label(), not_logged, "peer refused: {why}");
            } else {
                log.silent += 1;
            }
        }
        Status::new(refusal.code(), why)
    }
}

/// A peer's words without what a terminal would obey, and cut.
pub(crate) fn shown(words: &str) -> String {
    let mut escaped: String = words.chars().take(4 * WORDS_MAX).flat_map(char::escape_debug).collect();
    escaped.truncate(escaped.floor_char_boundary(4 * WORDS_MAX));
    escaped.replace("\\\"", "\"").replace("\\'", "'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_counted_and_one_line_of_it_logged() {
        let refusals = Refusals::default();
        for _ in 0..1_000 {
            refusals.refuse(Refusal::Workload, "x", Micros(1));
        }
        let log = refusals.0[Refusal::Workload as usize].log.lock().unwrap();
        assert_eq!((log.silent, log.next), (999, Micros(10_000_001)));
        let counts: Vec<_> = refusals.counts().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counts, [("workload", 1_000)]);
    }

    #[test]
    fn words_of_a_peer_are_bounded_and_tell_a_terminal_nothing() {
        let status = Refusals::default().refuse(
            Refusal::Missing,
            &format!("\u{1b}[2J{}", "é".repeat(9_000)),
            Micros(1),
        );
        assert!(status.message().len() <= 4 * WORDS_MAX && status.message().starts_with("\\u{1b}[2J"));
    }
}
