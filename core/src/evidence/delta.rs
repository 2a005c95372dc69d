//! Deltas: counts and sketches of journeys and hops, single calls, and the filter's own health.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{HopKey, JourneyName};
use crate::outcome::{EndedBy, Outcome, OutcomeCounts};
use crate::sketch::Sketch;
use crate::units::Micros;

/// Most entries of one report, as the wire allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvidenceLimits {
    /// Journeys; what is above is dropped and counted.
    pub journeys: usize,
    /// Hops besides the overflow hop, which takes what is above.
    pub hops: usize,
    /// Single calls; what is above is dropped and counted.
    pub records: usize,
}

impl Default for EvidenceLimits {
    fn default() -> Self {
        Self { journeys: 64, hops: 256, records: 1_024 }
    }
}

/// What was decided for a request, whether or not it was acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DecisionKind {
    /// No budget, or stale and released.
    Pass,
    /// Call within the budget.
    Call,
    /// The fallback answers, the destination is not called.
    FallbackBefore,
    /// The fallback answers after a failure.
    FallbackAfter,
    /// Not enough time left and no fallback.
    Refuse,
    /// A degraded fallback was wanted and its budget was spent.
    BudgetSpent,
    /// Retries switched off because their budget was spent.
    RetryDenied,
}

impl DecisionKind {
    /// Every kind, in the order of the wire.
    pub const ALL: [Self; 7] = [
        Self::Pass,
        Self::Call,
        Self::FallbackBefore,
        Self::FallbackAfter,
        Self::Refuse,
        Self::BudgetSpent,
        Self::RetryDenied,
    ];

    /// Stable label for metrics and files.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Call => "call",
            Self::FallbackBefore => "fallback_before",
            Self::FallbackAfter => "fallback_after",
            Self::Refuse => "refuse",
            Self::BudgetSpent => "budget_spent",
            Self::RetryDenied => "retry_denied",
        }
    }
}

/// Decisions by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecisionCounts([u64; 7]);

impl DecisionCounts {
    /// Counts in the order of [`DecisionKind::ALL`].
    pub const fn from_array(counts: [u64; 7]) -> Self {
        Self(counts)
    }

    /// Counts in the order of [`DecisionKind::ALL`].
    pub const fn to_array(self) -> [u64; 7] {
        self.0
    }

    /// Decisions of one kind.
    pub fn get(&self, kind: DecisionKind) -> u64 {
        self.0.get(kind as usize).copied().unwrap_or(0)
    }

    /// Counts one decision.
    pub fn add(&mut self, kind: DecisionKind) {
        if let Some(count) = self.0.get_mut(kind as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// Adds another count, saturating.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.saturating_add(theirs);
        }
    }
}

/// The journey as its user saw it; recorded at the edge only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JourneyDelta {
    /// How requests ended.
    pub outcomes: OutcomeCounts,
    /// Latency of good answers.
    pub latency: Sketch,
    /// Good answers within the deadline.
    pub within_deadline: u64,
    /// Good answers in which some hop gave a degraded answer.
    pub degraded: u64,
}

impl JourneyDelta {
    /// Adds another delta; counts saturate.
    pub fn merge(&mut self, other: &Self) {
        self.outcomes.merge(&other.outcomes);
        self.latency.merge(&other.latency);
        self.within_deadline = self.within_deadline.saturating_add(other.within_deadline);
        self.degraded = self.degraded.saturating_add(other.degraded);
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

/// The calls of one hop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HopDelta {
    /// How requests ended.
    pub outcomes: OutcomeCounts,
    /// Latency of good answers of the destination itself.
    pub latency: Sketch,
    /// Tries after the first.
    pub retries: u64,
    /// What was decided.
    pub decisions: DecisionCounts,
    /// Latency of the alternate's good answers.
    pub alternate_latency: Sketch,
}

impl HopDelta {
    /// Adds another delta; counts saturate.
    pub fn merge(&mut self, other: &Self) {
        self.outcomes.merge(&other.outcomes);
        self.latency.merge(&other.latency);
        self.retries = self.retries.saturating_add(other.retries);
        self.decisions.merge(&other.decisions);
        self.alternate_latency.merge(&other.alternate_latency);
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

/// One call, for discovery.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HopRecord {
    /// Trace id of W3C Trace Context; of a request without one the bits of its `x-request-id` ([`crate::context::request_id`]).
    pub trace_id: [u8; 16],
    /// The caller's span id as it stood in `traceparent` when the call left the workload; zeros where there was none.
    pub parent_span_id: [u8; 8],
    /// Which hop.
    pub hop: HopKey,
    /// When the call began, microseconds since 1970 by the sidecar's clock.
    pub start_unix_us: u64,
    /// How long it took.
    pub duration: Micros,
    /// How it ended.
    pub outcome: Outcome,
    /// Tries that the proxy made, 1 for a call that it did not retry. A try of the application is a record of its own.
    pub attempts: u32,
    /// HTTP status, or 0 when none was seen.
    pub status: u16,
    /// An inbound request: the parent of the calls it caused.
    pub inbound: bool,
    /// The bits of `x-request-id` where they are not the trace id; zeros: none. Records of one request have one of the two in common.
    pub request_id: [u8; 16],
    /// Who ended it.
    pub ended_by: EndedBy,
}

/// Counters of things that should not happen, and two states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilterHealth {
    /// Requests that should have carried a context and did not.
    pub context_missing: u64,
    /// Contexts that could not be read, or were foreign.
    pub context_invalid: u64,
    /// Requests counted under the overflow hop, or on a journey above the cap.
    pub overflow: u64,
    /// Records, and requests of journeys, that were not reported.
    pub dropped: u64,
    /// Times the clock went backwards.
    pub clock_backwards: u64,
    /// Things that cannot happen.
    pub internal_errors: u64,
    /// Highest generation acted on; 0 for none.
    pub generation: u64,
    /// The lease was expired at some time.
    pub stale: bool,
}

impl FilterHealth {
    /// Adds counters (saturating), keeps the higher generation and either's staleness.
    pub fn merge(&mut self, other: &Self) {
        self.context_missing = self.context_missing.saturating_add(other.context_missing);
        self.context_invalid = self.context_invalid.saturating_add(other.context_invalid);
        self.overflow = self.overflow.saturating_add(other.overflow);
        self.dropped = self.dropped.saturating_add(other.dropped);
        self.clock_backwards = self.clock_backwards.saturating_add(other.clock_backwards);
        self.internal_errors = self.internal_errors.saturating_add(other.internal_errors);
        self.generation = self.generation.max(other.generation);
        self.stale |= other.stale;
    }

    /// Whether every counter is zero; the two states are not looked at.
    pub fn is_quiet(&self) -> bool {
        Self { generation: 0, stale: false, ..*self } == Self::default()
    }
}

/// The body of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Journeys that ended, by name.
    pub journeys: BTreeMap<JourneyName, JourneyDelta>,
    /// Calls that ended, by hop.
    pub hops: BTreeMap<HopKey, HopDelta>,
    /// Single calls, in no particular order.
    pub records: Vec<HopRecord>,
    /// The filter's own state.
    pub health: FilterHealth,
}

impl Delta {
    /// Adds another delta. Commutative and associative but for the order of records.
    pub fn merge(&mut self, other: Self) {
        for (name, journey) in other.journeys {
            self.journeys.entry(name).or_default().merge(&journey);
        }
        for (key, hop) in other.hops {
            self.hops.entry(key).or_default().merge(&hop);
        }
        self.records.extend(other.records);
        self.health.merge(&other.health);
    }

    /// Adds another delta within limits: hops above the cap go to the overflow hop, so that totals stay exact; journeys and
    /// records above theirs are dropped. Both are counted in `health`.
    pub fn merge_within(&mut self, other: Self, limits: &EvidenceLimits) {
        self.health.merge(&other.health);
        other.journeys.into_iter().for_each(|(name, journey)| self.add_journey(name, &journey, limits));
        other.hops.into_iter().for_each(|(key, hop)| self.add_hop(key, &hop, limits));
        let room = limits.records.saturating_sub(self.records.len());
        let dropped = other.records.len().saturating_sub(room) as u64;
        self.health.dropped = self.health.dropped.saturating_add(dropped);
        self.records.extend(other.records.into_iter().take(room));
    }

    /// Whether there is nothing to count; the two states in `health` alone are no news.
    pub fn is_empty(&self) -> bool {
        self.journeys.is_empty() && self.hops.is_empty() && self.records.is_empty() && self.health.is_quiet()
    }

    fn add_journey(&mut self, name: JourneyName, journey: &JourneyDelta, limits: &EvidenceLimits) {
        if self.journeys.len() < limits.journeys || self.journeys.contains_key(&name) {
            self.journeys.entry(name).or_default().merge(journey);
        } else {
            self.health.dropped = self.health.dropped.saturating_add(journey.outcomes.total());
        }
    }

    fn add_hop(&mut self, key: HopKey, hop: &HopDelta, limits: &EvidenceLimits) {
        if let Some(mine) = self.hops.get_mut(&key) {
            return mine.merge(hop);
        }
        if !is_overflow(&key) && self.has_room_for_a_hop(limits) {
            self.hops.insert(key, hop.clone());
            return;
        }
        if !is_overflow(&key) {
            self.health.overflow = self.health.overflow.saturating_add(hop.outcomes.total());
        }
        let overflow = self.overflow_hop().cloned().unwrap_or_else(|| overflow_key(key.source));
        self.hops.entry(overflow).or_default().merge(hop);
    }

    /// The overflow hop does not count; it is looked for only when it matters.
    fn has_room_for_a_hop(&self, limits: &EvidenceLimits) -> bool {
        self.hops.len() < limits.hops || (self.hops.len() == limits.hops && self.overflow_hop().is_some())
    }

    fn overflow_hop(&self) -> Option<&HopKey> {
        self.hops.keys().find(|key| is_overflow(key))
    }
}

fn is_overflow(key: &HopKey) -> bool {
    key.destination == HopKey::OVERFLOW_DESTINATION
}

/// The hop that takes what the cap leaves over, named after the first source that needed it (a sidecar has one).
pub(super) fn overflow_key(source: String) -> HopKey {
    HopKey { source, destination: HopKey::OVERFLOW_DESTINATION.into(), ..HopKey::default() }
}
