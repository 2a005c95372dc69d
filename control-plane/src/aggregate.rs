//! What is known: lifetime totals, the last seconds, and who reported.
//!
//! Everything here is plain memory behind one lock; [`crate::store`] keeps the durable part, and only the committer of
//! [`crate::ingest`] writes. Evidence is filed under its time of arrival, so that clocks of hosts are never compared.
//!
//! Bounds: [`HOPS_MAX`] hops and [`JOURNEYS_MAX`] journeys; what is above is filed under an overflow entry, so that totals stay
//! exact while memory stays bounded. A sidecar that reported nothing for [`NODE_KEPT`] leaves the list.

mod batch;
mod recent;
mod touched;

use std::collections::BTreeMap;
use std::sync::Arc;

use emac_core::evidence::{Delta, FilterHealth, HopDelta, JourneyDelta};
use emac_core::id::{HopKey, JourneyName, WorkloadName};
use emac_core::units::{Generation, Micros, Millis};
use emac_proto::convert::NodeReport;

use crate::marks::Marks;
use crate::store::Stored;
use crate::totals::{HopTotals, JourneyTotals};

pub use batch::{Batch, Recorded};
pub use recent::Recent;
use touched::Touched;

/// Most hops kept apart: a thousand workloads with four calls each. A busy hop takes 75 KB of windows per five seconds.
pub const HOPS_MAX: usize = 4_096;
/// Most journeys kept apart.
pub const JOURNEYS_MAX: usize = 512;
/// The journey that takes what the cap leaves over.
pub const JOURNEY_OVERFLOW: &str = "overflow";
/// How long a silent sidecar is listed.
pub const NODE_KEPT: Micros = Micros(3_600 * 1_000_000);

/// A journey: since ever, and lately.
#[derive(Debug)]
pub struct Journey {
    /// Since the store began.
    pub totals: JourneyTotals,
    /// The last seconds.
    pub recent: Recent<JourneyDelta>,
    /// When its requests were last reported to this process.
    pub seen: Option<Micros>,
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
    marks: Marks,
    journeys: BTreeMap<JourneyName, Journey>,
    hops: BTreeMap<Arc<HopKey>, Hop>,
    touched: Touched,
    nodes: BTreeMap<String, Node>,
    /// Sum of all filters' counters since this process began.
    health: FilterHealth,
    served_before: Micros,
}

impl Aggregate {
    /// From what is stored; `window` is how far back the last seconds reach.
    pub fn new(stored: Stored, window: Millis) -> Self {
        let journey = |totals| Journey { totals, recent: Recent::new(window), seen: None };
        let hop = |totals| Hop { totals, recent: Recent::new(window), seen: None };
        Self {
            window,
            marks: Marks::from_parts(stored.marks, stored.floor),
            journeys: stored.journeys.into_iter().map(|(name, totals)| (name, journey(totals))).collect(),
            hops: stored.hops.into_iter().map(|(key, totals)| (Arc::new(key), hop(totals))).collect(),
            touched: Touched::new(window),
            nodes: BTreeMap::new(),
            health: FilterHealth::default(),
            served_before: stored.served,
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

    // === writing ===

    /// Takes over a committed batch.
    pub fn apply(&mut self, now: Micros, batch: Batch) {
        let Batch { changes, counted } = batch;
        self.marks.apply(changes.marks);
        self.marks.forget(&changes.forgotten);
        for (name, totals) in changes.journeys {
            self.journey(name).totals = totals;
        }
        for (key, totals) in changes.hops {
            self.hop(key).totals = totals;
        }
        for report in counted {
            self.file(now, report);
        }
        self.nodes.retain(|_, node| now.since(node.seen) < NODE_KEPT);
    }

    /// Files a counted report under the last seconds and its sender.
    fn file(&mut self, now: Micros, report: NodeReport) {
        let NodeReport { node, workload, report } = report;
        let Delta { journeys, hops, health, .. } = report.delta;
        for (name, journey) in &journeys {
            let name = self.place_of_journey(name);
            let place = self.journey(name);
            place.recent.record(now, journey);
            place.seen = Some(now);
        }
        for (key, hop) in &hops {
            let key = self.place_of_hop(key);
            self.touch(now, &key);
            let place = self.hop(key);
            place.recent.record(now, hop);
            place.seen = Some(now);
        }
        self.health.merge(&health);
        let generation = Generation(health.generation);
        let (epoch, sequence, stale) = (report.epoch, report.sequence, health.stale);
        let seen = Node { workload, epoch, sequence, seen: now, generation, stale };
        self.nodes.insert(node, seen);
    }

    fn journey(&mut self, name: JourneyName) -> &mut Journey {
        let window = self.window;
        let empty = || Journey { totals: JourneyTotals::default(), recent: Recent::new(window), seen: None };
        self.journeys.entry(name).or_insert_with(empty)
    }

    fn hop(&mut self, key: HopKey) -> &mut Hop {
        let window = self.window;
        let empty = || Hop { totals: HopTotals::default(), recent: Recent::new(window), seen: None };
        self.hops.entry(Arc::new(key)).or_insert_with(empty)
    }

    fn touch(&mut self, now: Micros, key: &HopKey) {
        if let Some((key, hop)) = self.hops.get_key_value(key) {
            self.touched.add(now, hop.seen, key);
        }
    }

    // === caps ===

    /// Where a journey is filed once the batch that brought it is applied.
    fn place_of_journey(&self, name: &JourneyName) -> JourneyName {
        match JourneyName::new(JOURNEY_OVERFLOW) {
            Ok(overflow) if !self.journeys.contains_key(name) => overflow,
            _ => name.clone(),
        }
    }

    /// Where a hop is filed once the batch that brought it is applied.
    fn place_of_hop(&self, key: &HopKey) -> HopKey {
        if self.hops.contains_key(key) { key.clone() } else { overflow_hop() }
    }
}

/// The hop that takes what the cap leaves over.
fn overflow_hop() -> HopKey {
    HopKey { destination: HopKey::OVERFLOW_DESTINATION.to_string(), ..HopKey::default() }
}

#[cfg(test)]
mod tests;
