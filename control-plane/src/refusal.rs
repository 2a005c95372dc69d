//! Why a peer, its connection, its stream or what it says is refused: told to it, counted, and logged at a bounded rate.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use emac_core::units::Micros;
use emac_document::shown;
use emac_push::paced::Paced;
use tonic::{Code, Status};
use tracing::warn;

/// Most characters of a refusal in a log line or an answer: a peer's own word at its longest (512), and what is wrong with it.
pub const WORDS_MAX: usize = 1_024;

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
    /// The system hands out no more connections.
    Accept,
    /// All connections are taken.
    Connections,
    /// It has as many connections as are left for all others.
    ConnectionsOfPeer,
    /// All streams are taken.
    Streams,
    /// It has as many streams as are left for all others.
    StreamsOfPeer,
    /// Its connection or stream began and nothing came on it in time.
    Silent,
    /// It does not read what it is sent.
    SlowReader,
    /// What it sends is not what is spoken here: no gRPC, no protobuf, half a message, an unknown method.
    Garbage,
    /// Its message is larger than any valid one.
    TooLarge,
    /// Its report breaks the specification, or claims what cannot be.
    Invalid,
    /// Its report is numbered as none can be that comes now.
    Sequence,
    /// It counts more than time allows.
    Rate,
    /// Its request for budgets breaks the protocol.
    Request,
    /// No room: the queue is full, or too many sidecars are remembered.
    NoRoom,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::Handshake,
        Self::Missing,
        Self::Malformed,
        Self::TrustDomain,
        Self::Signature,
        Self::Expired,
        Self::Scope,
        Self::Workload,
        Self::Resource,
        Self::Accept,
        Self::Connections,
        Self::ConnectionsOfPeer,
        Self::Streams,
        Self::StreamsOfPeer,
        Self::Silent,
        Self::SlowReader,
        Self::Garbage,
        Self::TooLarge,
        Self::Invalid,
        Self::Sequence,
        Self::Rate,
        Self::Request,
        Self::NoRoom,
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
            Self::Accept => "not_accepted",
            Self::Connections => "connections",
            Self::ConnectionsOfPeer => "connections_of_peer",
            Self::Streams => "streams",
            Self::StreamsOfPeer => "streams_of_peer",
            Self::Silent => "silent",
            Self::SlowReader => "slow_reader",
            Self::Garbage => "garbage",
            Self::TooLarge => "too_large",
            Self::Invalid => "invalid",
            Self::Sequence => "sequence",
            Self::Rate => "rate",
            Self::Request => "request",
            Self::NoRoom => "no_room",
        }
    }

    /// gRPC code of the answer where nothing says another.
    const fn code(self) -> Code {
        match self {
            Self::Scope | Self::Workload | Self::Resource => Code::PermissionDenied,
            Self::Accept
            | Self::Connections
            | Self::ConnectionsOfPeer
            | Self::Streams
            | Self::StreamsOfPeer
            | Self::Rate
            | Self::NoRoom => Code::ResourceExhausted,
            Self::Sequence => Code::FailedPrecondition,
            Self::Silent | Self::SlowReader => Code::DeadlineExceeded,
            Self::Garbage | Self::TooLarge | Self::Invalid | Self::Request => Code::InvalidArgument,
            _ => Code::Unauthenticated,
        }
    }
}

/// Counts refusals, and logs them at a bounded rate.
#[derive(Debug, Default)]
pub struct Refusals([Tally; Refusal::ALL.len()]);

/// Refusals for one reason.
#[derive(Debug, Default)]
pub struct Tally {
    count: AtomicU64,
    log: Paced,
}

impl Refusals {
    /// Refusals by reason since the start.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Refusal::ALL.iter().zip(&self.0).map(|(refusal, tally)| (refusal.label(), tally.count()))
    }

    /// Counts, logs if it is time to, and makes the status to answer with.
    pub fn refuse(&self, refusal: Refusal, why: &str, now: Micros) -> Status {
        self.refuse_as(refusal, refusal.code(), why, now)
    }

    /// The same with a code of its own.
    pub fn refuse_as(&self, refusal: Refusal, code: Code, why: &str, now: Micros) -> Status {
        let why = shown(why, WORDS_MAX);
        if let Some(tally) = self.0.get(refusal as usize) {
            tally.add("peer", refusal.label(), &why, now);
        }
        Status::new(code, why)
    }
}

impl Tally {
    /// Refusals since the start.
    pub fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// Counts one of `what` more, and logs it if none was for ten seconds.
    pub fn add(&self, what: &str, reason: &str, why: &str, now: Micros) {
        self.count.fetch_add(1, Relaxed);
        if let Some(not_logged) = self.log.due(now) {
            warn!(reason, not_logged, "{what} refused: {why}");
        }
    }
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
        let log = &refusals.0[Refusal::Workload as usize].log;
        assert_eq!((log.due(Micros(10_000_000)), log.due(Micros(10_000_001))), (None, Some(1_000)));
        let counts: Vec<_> = refusals.counts().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counts, [("workload", 1_000)]);
    }

    #[test]
    fn each_reason_has_its_place_and_its_label() {
        for (place, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, place);
        }
        let labels: std::collections::BTreeSet<_> = Refusal::ALL.map(Refusal::label).into();
        assert_eq!(labels.len(), Refusal::ALL.len());
    }

    #[test]
    fn words_of_a_peer_are_bounded_and_tell_a_terminal_nothing() {
        let status = Refusals::default().refuse(
            Refusal::Missing,
            &format!("\u{1b}[2J{}", "é".repeat(90_000)),
            Micros(1),
        );
        assert!(status.message().starts_with("\\u{1b}[2J") && status.message().len() < 3 * WORDS_MAX);
    }
}
