//! What a sidecar saw, from the request that is counted to the report that is acknowledged.
//!
//! Twins of `emac/v1/evidence.proto`, whose comments specify the meaning of each field. A [`Delta`] is what happened between
//! two moments; deltas add up in any order. A [`Recorder`] makes them (one per VM), an [`Outbox`] sees to it that each is
//! counted exactly once (one per sidecar, held by the leader).
//!
//! Left out: sending and encoding (the filter does it with `emac-proto`), and telling deltas of two clocks apart (the control
//! plane files a report under its own time of arrival).

pub mod delta;
pub mod outbox;
pub mod recorder;
#[cfg(test)]
mod tests;

pub use delta::{
    DecisionCounts, DecisionKind, Delta, EvidenceLimits, FilterHealth, HopDelta, HopRecord, JourneyDelta,
};
pub use outbox::{Acknowledged, Outbox, Report};
pub use recorder::{HopIndex, HopKeyRef, JourneyEnd, JourneyIndex, Recorder};
