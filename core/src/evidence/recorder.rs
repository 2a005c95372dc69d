//! What one VM records into, request by request.
//!
//! A hop is registered once and then known by its index: counting a call is two array accesses and no hashing. Looking an index
//! up takes borrowed strings and allocates nothing.
//!
//! Bound: with the default limits 257 hops and 64 journeys, that is at most 578 sketches of 3.5 KB (2 MB), each allocated when
//! its first value comes and handed over with the delta, and 1 024 records. Hops are never unregistered, so that an index stays
//! valid; what comes after the cap is counted under one overflow hop.

use alloc::string::String;
use alloc::vec::Vec;
use core::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::delta::{
    DecisionKind, Delta, EvidenceLimits, FilterHealth, HopDelta, HopRecord, JourneyDelta, overflow_key,
};
use crate::id::{HopKey, JourneyName};
use crate::outcome::Outcome;
use crate::units::Micros;

/// Place of a hop in the recorder that gave it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HopIndex(usize);

/// Place of a journey in the recorder that gave it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JourneyIndex(usize);

/// A [`HopKey`] that borrows its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HopKeyRef<'a> {
    /// Journey name, or empty.
    pub journey: &'a str,
    /// `<namespace>/<workload>` of the caller.
    pub source: &'a str,
    /// Istio service host or Envoy cluster.
    pub destination: &'a str,
    /// Operation, or empty.
    pub operation: &'a str,
}

impl<'a> From<&'a HopKey> for HopKeyRef<'a> {
    fn from(key: &'a HopKey) -> Self {
        Self {
            journey: &key.journey,
            source: &key.source,
            destination: &key.destination,
            operation: &key.operation,
        }
    }
}

impl HopKeyRef<'_> {
    /// The key itself, each part cut to [`HopKey::PART_BYTES_MAX`].
    pub fn to_key(self) -> HopKey {
        let Self { journey, source, destination, operation } = self.cut();
        HopKey {
            journey: journey.into(),
            source: source.into(),
            destination: destination.into(),
            operation: operation.into(),
        }
    }

    fn cut(self) -> Self {
        Self {
            journey: cut(self.journey),
            source: cut(self.source),
            destination: cut(self.destination),
            operation: cut(self.operation),
        }
    }
}

/// As many whole characters as fit.
fn cut(part: &str) -> &str {
    part.get(..part.floor_char_boundary(HopKey::PART_BYTES_MAX)).unwrap_or_default()
}

/// How a journey ended at the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JourneyEnd {
    /// As the user saw it.
    pub outcome: Outcome,
    /// First byte in to last byte out.
    pub latency: Micros,
    /// The answer came before the deadline; looked at for good answers only.
    pub within_deadline: bool,
    /// Some hop gave a degraded answer; looked at for good answers only.
    pub degraded: bool,
}

struct Hop {
    key: HopKey,
    delta: HopDelta,
}

/// Counts of one VM since the last [`Recorder::take_delta`].
#[derive(Default)]
pub struct Recorder {
    limits: EvidenceLimits,
    hops: Vec<Hop>,
    index: HashTable<HopIndex>,
    hasher: DefaultHashBuilder,
    overflow: Option<HopIndex>,
    journeys: Vec<(JourneyName, JourneyDelta)>,
    records: Vec<HopRecord>,
    health: FilterHealth,
}

impl Recorder {
    /// An empty recorder.
    pub fn new(limits: EvidenceLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The index of a hop, registered on first sight. Above the cap every new hop gets the index of the overflow hop, and each
    /// such call is counted in [`FilterHealth::overflow`]: so call it once a request. Parts longer than
    /// [`HopKey::PART_BYTES_MAX`] are cut.
    pub fn hop(&mut self, key: HopKeyRef<'_>) -> HopIndex {
        let key = key.cut();
        let hash = self.hasher.hash_one(key);
        let known = |at: &HopIndex| self.hops.get(at.0).is_some_and(|hop| HopKeyRef::from(&hop.key) == key);
        match self.index.find(hash, known) {
            Some(at) => *at,
            None if self.has_room_for(key) => self.register(hash, key.to_key()),
            None => self.overflow_hop(key.source),
        }
    }

    /// The name of a hop.
    pub fn hop_key(&self, hop: HopIndex) -> Option<&HopKey> {
        self.hops.get(hop.0).map(|hop| &hop.key)
    }

    /// Counts how a request of a hop ended: once a request. Latencies of good answers are kept, those of an alternate apart.
    #[inline]
    pub fn record(&mut self, hop: HopIndex, outcome: Outcome, latency: Micros) {
        if let Some(delta) = self.delta(hop) {
            delta.outcomes.add(outcome);
            match outcome {
                Outcome::Success => delta.latency.record(latency),
                Outcome::Alternate => delta.alternate_latency.record(latency),
                _ => {}
            }
        }
    }

    /// Counts tries after the first.
    pub fn retried(&mut self, hop: HopIndex, retries: u32) {
        if let Some(delta) = self.delta(hop) {
            delta.retries = delta.retries.saturating_add(u64::from(retries));
        }
    }

    /// Counts what was decided for a request of a hop.
    pub fn decided(&mut self, hop: HopIndex, kind: DecisionKind) {
        if let Some(delta) = self.delta(hop) {
            delta.decisions.add(kind);
        }
    }

    /// The index of a journey, registered on first sight; `None` above the cap, and then counted in
    /// [`FilterHealth::overflow`].
    pub fn journey(&mut self, name: &JourneyName) -> Option<JourneyIndex> {
        if let Some(at) = self.journeys.iter().position(|(known, _)| known == name) {
            return Some(JourneyIndex(at));
        }
        if self.journeys.len() >= self.limits.journeys {
            self.health.overflow = self.health.overflow.saturating_add(1);
            return None;
        }
        self.journeys.push((name.clone(), JourneyDelta::default()));
        Some(JourneyIndex(self.journeys.len() - 1))
    }

    /// Counts how a journey ended, at the edge. Good answers are [`Outcome::Success`], [`Outcome::Fallback`] and
    /// [`Outcome::Alternate`].
    pub fn record_journey(&mut self, journey: JourneyIndex, end: JourneyEnd) {
        let Some((_, delta)) = self.journeys.get_mut(journey.0) else { return };
        delta.outcomes.add(end.outcome);
        if matches!(end.outcome, Outcome::Success | Outcome::Fallback | Outcome::Alternate) {
            delta.latency.record(end.latency);
            delta.within_deadline = delta.within_deadline.saturating_add(u64::from(end.within_deadline));
            delta.degraded = delta.degraded.saturating_add(u64::from(end.degraded));
        }
    }

    /// Keeps a single call, or counts it as dropped when there is no room before the next delta.
    pub fn keep(&mut self, record: HopRecord) {
        if self.records.len() < self.limits.records {
            self.records.push(record);
        } else {
            self.health.dropped = self.health.dropped.saturating_add(1);
        }
    }

    /// The health counters, to be added to.
    pub fn health_mut(&mut self) -> &mut FilterHealth {
        &mut self.health
    }

    /// Everything since the last time; indices stay valid, the two states of health stay as they are.
    pub fn take_delta(&mut self) -> Delta {
        let health = core::mem::take(&mut self.health);
        self.health.generation = health.generation;
        self.health.stale = health.stale;
        let mut delta = Delta { records: core::mem::take(&mut self.records), health, ..Delta::default() };
        for hop in self.hops.iter_mut().filter(|hop| !hop.delta.is_empty()) {
            delta.hops.insert(hop.key.clone(), core::mem::take(&mut hop.delta));
        }
        for (name, journey) in self.journeys.iter_mut().filter(|(_, journey)| !journey.is_empty()) {
            delta.journeys.insert(name.clone(), core::mem::take(journey));
        }
        delta
    }

    #[inline]
    fn delta(&mut self, hop: HopIndex) -> Option<&mut HopDelta> {
        self.hops.get_mut(hop.0).map(|hop| &mut hop.delta)
    }

    /// The overflow hop's own name is not for registering: a delta names each hop once.
    fn has_room_for(&self, key: HopKeyRef<'_>) -> bool {
        self.index.len() < self.limits.hops && key.destination != HopKey::OVERFLOW_DESTINATION
    }

    fn register(&mut self, hash: u64, key: HopKey) -> HopIndex {
        let at = self.push(key);
        let Self { hops, index, hasher, .. } = self;
        let hash_of =
            |at: &HopIndex| hops.get(at.0).map_or(0, |hop| hasher.hash_one(HopKeyRef::from(&hop.key)));
        index.insert_unique(hash, at, hash_of);
        at
    }

    fn overflow_hop(&mut self, source: &str) -> HopIndex {
        self.health.overflow = self.health.overflow.saturating_add(1);
        match self.overflow {
            Some(at) => at,
            None => {
                let at = self.push(overflow_key(String::from(source)));
                self.overflow = Some(at);
                at
            }
        }
    }

    fn push(&mut self, key: HopKey) -> HopIndex {
        self.hops.push(Hop { key, delta: HopDelta::default() });
        HopIndex(self.hops.len() - 1)
    }
}
