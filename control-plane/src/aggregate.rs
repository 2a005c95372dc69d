//! What is known: lifetime totals, the last seconds, and who reported.
//!
//! Everything here is plain memory behind one lock; [`crate::store`] keeps the durable part, and only the committer of
//! [`crate::ingest`] writes. Evidence is filed under its time of arrival, so that clocks of hosts are never compared.
//!
//! Bounds: [`Capacity`]; what finds no place is filed under an overflow entry, and so is what an entry held that had to go (`room`), so
//! that totals stay exact while memory stays bounded. A batch costs what it brings; what looks at everything is done on a clock
//! (`TIDY_EVERY`).

mod batch;
mod fill;
mod recent;
mod room;
mod touched;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use emac_core::evidence::{FilterHealth, HopDelta, JourneyDelta};
use emac_core::id::{HopKey, JourneyName, WorkloadName};
use emac_core::units::{Generation, Micros, Millis};
use emac_proto::convert::NodeReport;

use crate::changes::Stored;
use crate::config::Capacity;
use crate::marks::{self, Marks, Served};
use crate::totals::{HopTotals, JourneyTotals};

pub use batch::{Batch, Recorded};
pub use fill::{Evicted, Fill};
use fill::{bytes_of, heap_of};
pub use recent::Recent;
use room::{Rank, Room};
use touched::Touched;

/// The journey that takes what finds no place.
pub const JOURNEY_OVERFLOW: &str = "overflow";
/// How long a silent sidecar is listed.
pub const NODE_KEPT: Micros = Micros(3_600 * 1_000_000);
/// How often everything is looked at: silent sidecars, idle marks, windows that are over.
const TIDY_EVERY: Micros = Micros(30 * 1_000_000);

/// A journey: since ever, and lately.
#[derive(Debug)]
pub struct Journey {
    /// Since the store began.
    pub totals: JourneyTotals,
    /// The last seconds.
    pub recent: Recent<JourneyDelta>,
    /// When its requests were last reported to this process.
    pub seen: Option<Micros>,
    /// The commit that changed it last.
    pub(crate) changed: u64,
    /// The workload that named it first, if no intent declares it and this process was there.
    owner: Option<String>,
}

/// A hop: since ever, and lately.
#[derive(Debug)]
pub struct Hop {
    /// Since the store began.
    pub totals: HopTotals,
    /// The last seconds.
    pub recent: Recent<HopDelta>,
    /// When its calls were last reported to this process.
    pub seen: Option<Micros>,
    /// The commit that changed it last.
    pub(crate) changed: u64,
}

/// A sidecar that reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Whose sidecar it is.
    pub workload: WorkloadName,
    /// Its current leader's epoch.
    pub epoch: u64,
    /// The last sequence counted.
    pub sequence: u64,
    /// When that came.
    pub seen: Micros,
    /// Generation it acts on, as of then.
    pub generation: Generation,
    /// Its lease had expired.
    pub stale: bool,
}

/// All evidence.
#[derive(Debug)]
pub struct Aggregate {
    window: Millis,
    capacity: Capacity,
    /// Whether entries make room for others.
    lets_go: bool,
    marks: Marks,
    journeys: BTreeMap<JourneyName, Journey>,
    /// Journeys of the intents in force: they always have a place.
    declared: BTreeSet<JourneyName>,
    journey_room: Room<JourneyName>,
    hops: BTreeMap<Arc<HopKey>, Hop>,
    hop_room: Room<Arc<HopKey>>,
    /// About what hops take in memory.
    hop_bytes: usize,
    touched: Touched,
    nodes: BTreeMap<String, Node>,
    /// Sum of all filters' counters since this process began.
    health: FilterHealth,
    served_before: Micros,
    /// The last commit in it.
    commit: u64,
    tidied: Micros,
    evicted: Evicted,
}

impl Aggregate {
    /// From what is stored; `window` is how far back the last seconds reach.
    pub fn new(stored: Stored, window: Millis) -> Self {
        let commit = stored.commit;
        let journey = |totals| Journey {
            totals,
            recent: Recent::new(window),
            seen: None,
            changed: commit,
            owner: None,
        };
        let hop = |totals| Hop { totals, recent: Recent::new(window), seen: None, changed: commit };
        let mut aggregate = Self {
            window,
            capacity: Capacity::default(),
            lets_go: true,
            marks: Marks::from_parts(stored.marks, stored.floors, stored.floor),
            journeys: stored.journeys.into_iter().map(|(name, totals)| (name, journey(totals))).collect(),
            declared: BTreeSet::new(),
            journey_room: Room::default(),
            hops: stored.hops.into_iter().map(|(key, totals)| (Arc::new(key), hop(totals))).collect(),
            hop_room: Room::default(),
            hop_bytes: 0,
            touched: Touched::new(window),
            nodes: BTreeMap::new(),
            health: FilterHealth::default(),
            served_before: stored.served,
            commit,
            tidied: Micros(0),
            evicted: Evicted::default(),
        };
        aggregate.take_places();
        aggregate.with_capacity(Capacity::default())
    }

    /// With so many places; what is there already stays.
    #[must_use]
    pub fn with_capacity(mut self, capacity: Capacity) -> Self {
        self.marks = self.marks.with_room(capacity.epochs);
        Self { capacity, ..self }
    }

    /// Hops and journeys that have a place keep it, and what finds none is filed under the overflow entries: where an addition is filed then follows
    /// from the additions before it alone, and not from when this process heard of them. For who adds the same as others and must come to the same
    /// totals. Bytes of hops and journeys of a workload are not bounded then, only numbers.
    pub fn keep_places(&mut self) {
        self.lets_go = false;
    }

    /// Begins anew with what is stored. Places, declared journeys, and what is counted since this process began stay.
    pub fn begin_anew(&mut self, stored: Stored) {
        let next = Self::new(stored, self.window).with_capacity(self.capacity);
        let before = std::mem::replace(self, next);
        (self.lets_go, self.health, self.evicted) = (before.lets_go, before.health, before.evicted);
        self.declare(before.declared);
    }

    fn take_places(&mut self) {
        for (key, hop) in &self.hops {
            self.hop_bytes += bytes_of(key, hop);
            if !is_overflow_hop(key) {
                self.hop_room.add(&key.source, Arc::clone(key));
            }
        }
        for name in self.journeys.keys().filter(|name| name.as_str() != JOURNEY_OVERFLOW) {
            self.journey_room.add("", name.clone());
        }
    }

    // === reading ===

    /// Journeys by name.
    pub fn journeys(&self) -> &BTreeMap<JourneyName, Journey> {
        &self.journeys
    }

    /// Hops by key.
    pub fn hops(&self) -> &BTreeMap<Arc<HopKey>, Hop> {
        &self.hops
    }

    /// Sidecars by Envoy's node id.
    pub fn nodes(&self) -> &BTreeMap<String, Node> {
        &self.nodes
    }

    /// Sum of all filters' counters since this process began; `generation` and `stale` are not sums and mean nothing here.
    pub fn health(&self) -> &FilterHealth {
        &self.health
    }

    /// Which reports are counted.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// The last commit that is in it.
    pub fn commit(&self) -> u64 {
        self.commit
    }

    /// How far back the last seconds reach.
    pub fn window(&self) -> Millis {
        self.window
    }

    /// From when to when the last seconds reach at `now`.
    pub fn span(&self, now: Micros) -> (Micros, Micros) {
        (recent::begin(self.window, now), now)
    }

    /// Time served over all lives of the store, for the age of marks.
    pub fn served(&self, now: Micros) -> Micros {
        self.served_before.after(now)
    }

    /// What each hop did lately; hops without calls are left out. Costs a merge of every slot of every hop: who reads again and
    /// again asks for what [`Aggregate::moved`] names.
    pub fn lately(&self, now: Micros) -> BTreeMap<HopKey, HopDelta> {
        self.lately_of(now, self.hops.keys().map(|key| &**key))
    }

    /// What these hops did lately; those without calls are left out.
    pub fn lately_of<'k>(
        &self,
        now: Micros,
        keys: impl IntoIterator<Item = &'k HopKey>,
    ) -> BTreeMap<HopKey, HopDelta> {
        keys.into_iter().filter_map(|key| Some((key.clone(), self.recent_of(now, key)?))).collect()
    }

    /// What one hop did lately; `None` without calls. Costs a merge of its slots.
    pub fn recent_of(&self, now: Micros, key: &HopKey) -> Option<HopDelta> {
        let recent = self.hops.get(key)?.recent.total(now);
        (!recent.is_empty()).then_some(recent)
    }

    /// Hops whose last seconds differ at `now` from what they were at `since`, some perhaps twice: those that were reported, and those of
    /// which a slot has left the window. Costs what it names. `None` when `since` is further back than the window: all of them may have.
    pub fn moved(&self, since: Micros, now: Micros) -> Option<impl Iterator<Item = &Arc<HopKey>>> {
        self.touched.moved(since, now)
    }

    /// Everything that outlives a process, as of `now`; the generation is not known here, and commits are those of a store.
    pub fn stored(&self, now: Micros) -> Stored {
        Stored {
            marks: self.marks.lives().clone(),
            floors: self.marks.floors().clone(),
            floor: self.marks.floor(),
            journeys: self.journeys.iter().map(|(name, it)| (name.clone(), it.totals.clone())).collect(),
            hops: self.hops.iter().map(|(key, it)| (HopKey::clone(key), it.totals.clone())).collect(),
            generation: Generation(0),
            served: self.served(now),
            commit: 0,
        }
    }

    // === writing ===

    /// Journeys of the intents in force: they have a place whoever else is there. To be called whenever intents change.
    pub fn declare(&mut self, journeys: impl IntoIterator<Item = JourneyName>) {
        let declared: BTreeSet<_> = journeys.into_iter().collect();
        let before = std::mem::replace(&mut self.declared, declared);
        for name in before.symmetric_difference(&self.declared) {
            let Some(journey) = self.journeys.get(name) else { continue };
            let owner = journey.owner.as_deref().unwrap_or_default();
            if self.declared.contains(name) {
                self.journey_room.remove(owner, name);
            } else {
                self.journey_room.add(owner, name.clone());
            }
        }
    }

    /// Takes over a committed batch.
    pub fn apply(&mut self, now: Micros, mut batch: Batch) {
        batch.finish(self);
        let Batch { changes, counted, hops, journeys, owners, tidied, past, lost_calls, .. } = batch;
        let recently = (!past).then_some(now);
        self.commit = changes.commit;
        self.evicted.marks += changes.marks.forgotten.len() as u64;
        for (sidecar, epoch) in &changes.marks.forgotten {
            self.delist(sidecar, *epoch);
        }
        self.marks.apply(changes.marks);
        (self.hop_room.found, self.journey_room.found) = (hops.found, journeys.found);
        self.push_out(&changes.evicted_hops, &changes.evicted_journeys);
        self.evicted.calls += lost_calls;
        for (name, delta) in &changes.journeys {
            self.add_journey(recently, name, delta, owners.get(name));
        }
        for (key, delta) in &changes.hops {
            self.add_hop(recently, key, delta);
        }
        for report in counted {
            self.list(now, report);
        }
        if tidied {
            self.tidy(now);
        }
    }

    /// Files totals of entries that go under the overflow entries.
    fn push_out(
        &mut self,
        hops: &BTreeMap<Arc<HopKey>, HopTotals>,
        journeys: &BTreeMap<JourneyName, JourneyTotals>,
    ) {
        for (key, totals) in hops {
            self.hop_room.remove(&key.source, key);
            if let Some(gone) = self.hops.remove(key) {
                self.hop_bytes = self.hop_bytes.saturating_sub(bytes_of(key, &gone));
            }
            let (_, overflow) = self.hop(&Arc::new(overflow_hop()));
            overflow.totals.add_all(totals);
        }
        for (name, totals) in journeys {
            let owner = self.journeys.remove(name).and_then(|journey| journey.owner).unwrap_or_default();
            self.journey_room.remove(&owner, name);
            if let Some(overflow) = overflow_journey() {
                self.journey(&overflow, None).totals.add_all(totals);
            }
        }
        self.evicted.hops += hops.len() as u64;
        self.evicted.journeys += journeys.len() as u64;
    }

    /// `now`: `None` for what is of before the last seconds.
    fn add_journey(
        &mut self,
        now: Option<Micros>,
        name: &JourneyName,
        delta: &JourneyDelta,
        owner: Option<&String>,
    ) {
        let journey = self.journey(name, owner);
        journey.totals.add(delta);
        let Some(now) = now else { return };
        journey.recent.record(now, delta);
        journey.seen = Some(now);
    }

    fn add_hop(&mut self, now: Option<Micros>, key: &Arc<HopKey>, delta: &HopDelta) {
        let commit = self.commit;
        let (before, hop) = self.hop(key);
        let seen = hop.seen;
        hop.totals.add(delta);
        if let Some(now) = now {
            hop.recent.record(now, delta);
            hop.seen = Some(now);
        }
        hop.changed = commit;
        let bytes = heap_of(hop);
        self.hop_bytes = (self.hop_bytes + bytes).saturating_sub(before);
        if let Some(now) = now {
            self.touched.add(now, seen, key);
        }
    }

    /// Lists the sender of a counted report.
    fn list(&mut self, now: Micros, report: NodeReport) {
        let NodeReport { node, workload, report } = report;
        let health = report.delta.health;
        self.health.merge(&health);
        let generation = Generation(health.generation);
        let (epoch, sequence, stale) = (report.epoch, report.sequence, health.stale);
        self.nodes.insert(node, Node { workload, epoch, sequence, seen: now, generation, stale });
    }

    /// A sidecar whose mark is forgotten is no longer listed: so the list is no longer than marks are many.
    fn delist(&mut self, sidecar: &str, epoch: u64) {
        let (workload, node) = marks::parts(sidecar);
        if self.nodes.get(node).is_some_and(|it| it.epoch == epoch && it.workload.as_str() == workload) {
            self.nodes.remove(node);
        }
    }

    fn tidy(&mut self, now: Micros) {
        self.tidied = now;
        self.nodes.retain(|_, node| now.since(node.seen) < NODE_KEPT);
        self.journeys.values_mut().for_each(|journey| journey.recent.forget(now));
        self.hops.values_mut().for_each(|hop| hop.recent.forget(now));
        self.hop_bytes = self.hops.iter().map(|(key, hop)| bytes_of(key, hop)).sum();
    }

    fn journey(&mut self, name: &JourneyName, owner: Option<&String>) -> &mut Journey {
        let (window, commit) = (self.window, self.commit);
        let is_counted = !self.declared.contains(name) && name.as_str() != JOURNEY_OVERFLOW;
        let journey = self.journeys.entry(name.clone()).or_insert_with(|| {
            if is_counted {
                self.journey_room.add(owner.map(String::as_str).unwrap_or_default(), name.clone());
            }
            let (totals, recent) = (JourneyTotals::default(), Recent::new(window));
            Journey { totals, recent, seen: None, changed: commit, owner: owner.cloned() }
        });
        journey.changed = commit;
        journey
    }

    /// A hop, made when it is new, and what it took beside itself.
    fn hop(&mut self, key: &Arc<HopKey>) -> (usize, &mut Hop) {
        let (window, changed) = (self.window, self.commit);
        let hop = self.hops.entry(Arc::clone(key)).or_insert_with(|| {
            if !is_overflow_hop(key) {
                self.hop_room.add(&key.source, Arc::clone(key));
            }
            let (totals, recent) = (HopTotals::default(), Recent::new(window));
            let hop = Hop { totals, recent, seen: None, changed };
            self.hop_bytes += bytes_of(key, &hop);
            hop
        });
        hop.changed = changed;
        (heap_of(hop), hop)
    }

    fn moment(&self, now: Micros, unix_ms: u64) -> Served {
        Served { served: self.served(now), unix_ms }
    }
}

/// The hop that takes what finds no place.
pub(crate) fn overflow_hop() -> HopKey {
    HopKey { destination: HopKey::OVERFLOW_DESTINATION.to_string(), ..HopKey::default() }
}

/// The journey that takes what finds no place.
pub(crate) fn overflow_journey() -> Option<JourneyName> {
    JourneyName::new(JOURNEY_OVERFLOW).ok()
}

fn is_overflow_hop(key: &HopKey) -> bool {
    key.destination == HopKey::OVERFLOW_DESTINATION && key.source.is_empty()
}

#[cfg(test)]
mod tests;
