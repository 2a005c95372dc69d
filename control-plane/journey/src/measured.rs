//! Evidence for a journey as a document (kind `JourneyEvidence`): counts and latencies of its components over a window.
//!
//! ```yaml
//! apiVersion: emac.dev/v1alpha1
//! kind: JourneyEvidence
//! metadata: {name: checkout}
//! spec:
//!   observedAt: 2026-01-31T12:00:00Z
//!   window: 30d
//!   journey: {requests: 20000, good: 19960}
//!   components:
//!     cart: {requests: 20000, good: 19990, latency: [{within: 50ms, count: 19000}, {within: 200ms, count: 19980}]}
//!     paya: {requests: 20000, good: 19900, latencySketch: AAEC...}     # base64 of the sidecars' sketch
//! ```
//!
//! `latency` counts good answers cumulatively, as classic histograms do. Several documents of one journey add up. It is how evidence from
//! anywhere reaches `emac compile` and `gate`; a running control plane keeps its own.

mod read;

use std::collections::BTreeMap;

use emac_core::journey::ComponentName;
use emac_core::sketch::Sketch;
use emac_core::units::Micros;

pub use read::{KIND, read, table};

/// What was seen of a journey.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeasuredEvidence {
    /// `metadata.name`: the journey.
    pub journey: String,
    /// `observedAt`, milliseconds since 1970; of several documents the oldest, and `None` when one of them does not say: as a whole it is not
    /// known to be younger.
    pub observed_at_unix_ms: Option<u64>,
    /// `window`.
    pub window: Option<Micros>,
    /// `journey`: at its edge.
    pub whole: Option<Counts>,
    /// `components`.
    pub components: BTreeMap<ComponentName, Seen>,
}

/// Requests and good answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All intended requests.
    pub requests: u64,
    /// Answered well; at most `requests`.
    pub good: u64,
}

/// What was seen of a component.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// How often it was asked and answered well.
    pub counts: Counts,
    /// How quickly.
    pub latency: Latency,
}

/// Latencies of good answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Latency {
    /// Not known.
    #[default]
    Unknown,
    /// `latencySketch`.
    Sketch(Sketch),
    /// `latency`: (bound, answers at most bound), ascending in both.
    Cumulative(Vec<(Micros, u64)>),
}

impl MeasuredEvidence {
    /// Adds what another document says of the same journey. Latencies in two different forms cannot be added: they become unknown.
    pub fn add(&mut self, other: Self) {
        self.observed_at_unix_ms =
            self.observed_at_unix_ms.zip(other.observed_at_unix_ms).map(|(a, b)| a.min(b));
        self.window = self.window.or(other.window);
        if let Some(counts) = other.whole {
            self.whole.get_or_insert_default().add(counts);
        }
        for (name, seen) in other.components {
            match self.components.get_mut(&name) {
                Some(known) => known.add(seen),
                None => drop(self.components.insert(name, seen)),
            }
        }
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.good = self.good.saturating_add(other.good);
    }
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.counts.add(other.counts);
        self.latency = match (std::mem::take(&mut self.latency), other.latency) {
            (Latency::Sketch(mut a), Latency::Sketch(b)) => {
                a.merge(&b);
                Latency::Sketch(a)
            }
            (Latency::Cumulative(a), Latency::Cumulative(b)) if same_bounds(&a, &b) => Latency::Cumulative(
                a.into_iter().zip(b).map(|((bound, a), (_, b))| (bound, a.saturating_add(b))).collect(),
            ),
            _ => Latency::Unknown,
        };
    }
}

fn same_bounds(a: &[(Micros, u64)], b: &[(Micros, u64)]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|((a, _), (b, _))| a == b)
}

#[cfg(test)]
mod tests;
