//! A transaction being put together: many reports, one commit.
//!
//! It holds what the reports add, summed up by where it is filed, so it costs what they bring. Nothing of it is visible before
//! [`super::Aggregate::apply`], which is called only after the store has it.

use std::collections::BTreeMap;
use std::sync::Arc;

use emac_core::evidence::{HopDelta, HopRecord, JourneyDelta};
use emac_core::id::{HopKey, JourneyName};
use emac_core::units::{Generation, Micros};
use emac_proto::convert::NodeReport;

use super::room::{Claims, Entry, Judge};
use super::{
    Aggregate, JOURNEY_OVERFLOW, Rank, TIDY_EVERY, bytes_of, is_overflow_hop, overflow_hop, overflow_journey,
};
use crate::changes::Changes;
use crate::marks::{Mark, ReportStatus, Served, life};

/// Hop records of one report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Envoy's node id of the sidecar.
    pub node: String,
    /// At least one.
    pub records: Vec<HopRecord>,
}

/// Reports on their way into store and memory together.
#[derive(Debug)]
pub struct Batch {
    pub(super) changes: Changes,
    /// Without their journeys and hops, which are in the changes.
    pub(super) counted: Vec<NodeReport>,
    pub(super) hops: Claims<Arc<HopKey>>,
    pub(super) journeys: Claims<JourneyName>,
    /// Who named new journeys.
    pub(super) owners: BTreeMap<JourneyName, String>,
    /// Calls and requests that found no place of their own.
    pub(super) lost_calls: u64,
    pub(super) tidied: bool,
    /// What is added is of before the last seconds.
    pub(super) past: bool,
    /// One of those that found none, for people.
    lost: Option<String>,
    finished: bool,
    now: Micros,
    served: Served,
}

impl Batch {
    /// An empty batch; now and then one in which marks that are too old are forgotten.
    pub fn new(aggregate: &Aggregate, now: Micros, unix_ms: u64, generation: Generation) -> Self {
        let served = aggregate.moment(now, unix_ms);
        let commit = aggregate.commit + 1;
        let floor = aggregate.marks.floor();
        let mut changes = Changes { commit, floor, generation, served: served.served, ..Changes::default() };
        let tidied = now.since(aggregate.tidied) >= TIDY_EVERY;
        if tidied {
            aggregate.marks.tidy(&mut changes.marks, served);
        }
        Self {
            changes,
            counted: Vec::new(),
            hops: Claims::new(&aggregate.hop_room),
            journeys: Claims::new(&aggregate.journey_room),
            owners: BTreeMap::new(),
            lost_calls: 0,
            tidied,
            past: false,
            lost: None,
            finished: false,
            now,
            served,
        }
    }

    /// What the store is to write.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Reports that count.
    pub fn counted(&self) -> usize {
        self.counted.len()
    }

    /// Takes out the single calls of the reports that count, report by report.
    pub fn take_records(&mut self) -> Vec<Recorded> {
        let taken = self.counted.iter_mut().map(|report| Recorded {
            node: report.node.clone(),
            records: std::mem::take(&mut report.report.delta.records),
        });
        taken.filter(|recorded| !recorded.records.is_empty()).collect()
    }

    /// Judges a report and, if it counts, adds it.
    pub fn add(&mut self, aggregate: &Aggregate, report: NodeReport) -> ReportStatus {
        let verdict = self.judge(aggregate, &report);
        if let ReportStatus::Count { .. } = verdict {
            self.add_evidence(aggregate, report);
        }
        verdict
    }

    /// Judges a report and, if it counts, moves its mark; what it says is for somebody else to add.
    pub fn judge(&mut self, aggregate: &Aggregate, report: &NodeReport) -> ReportStatus {
        let life = life(&report.workload, &report.node, report.report.epoch);
        let sequence = report.report.sequence;
        let (marks, staged) = (&aggregate.marks, &mut self.changes.marks);
        let is_known = staged.marks.contains_key(&life) || marks.get(&life).is_some();
        // As stores of before have it: a report that comes again must not count again.
        let bare = (report.node.clone(), report.report.epoch);
        let is_bare = !is_known && marks.get(&bare).is_some();
        let verdict = marks.judge(staged, if is_bare { &bare } else { &life }, sequence, self.served);
        if let ReportStatus::Count { .. } = verdict {
            if !is_known && !marks.make_room(staged, &life, self.served) {
                return ReportStatus::Full;
            }
            marks.stage(staged, life, Mark { sequence, seen: self.served.served });
        }
        verdict
    }

    /// Adds a report that another replica judged to count, whatever its mark says here. Its mark has a place even where there is none: who judged
    /// it found one.
    pub fn add_judged(&mut self, aggregate: &Aggregate, report: NodeReport) {
        let life = life(&report.workload, &report.node, report.report.epoch);
        let (marks, staged) = (&aggregate.marks, &mut self.changes.marks);
        if !staged.marks.contains_key(&life) && marks.get(&life).is_none() {
            marks.make_room(staged, &life, self.served);
        }
        marks.stage(staged, life, Mark { sequence: report.report.sequence, seen: self.served.served });
        self.add_evidence(aggregate, report);
    }

    /// Leaves the last seconds alone: what is added is of before them.
    pub fn forget_recent(&mut self) {
        self.past = true;
        self.counted.clear();
    }

    /// Calls and requests that found no place of their own, and one of those.
    pub fn without_place(&self) -> Option<(u64, &str)> {
        self.lost.as_deref().map(|example| (self.lost_calls, example))
    }

    /// The last step: entries that have to go take their totals with them. To be called before the changes are stored.
    pub fn finish(&mut self, aggregate: &Aggregate) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let hops = self
            .hops
            .gone()
            .filter_map(|key| aggregate.hops.get(key).map(|hop| (Arc::clone(key), hop.totals.clone())));
        self.changes.evicted_hops = hops.collect();
        let journeys = self.journeys.gone().filter_map(|name| {
            aggregate.journeys.get(name).map(|journey| (name.clone(), journey.totals.clone()))
        });
        self.changes.evicted_journeys = journeys.collect();
    }

    fn add_evidence(&mut self, aggregate: &Aggregate, mut report: NodeReport) {
        for (name, delta) in std::mem::take(&mut report.report.delta.journeys) {
            match self.place_of_journey(aggregate, name, report.workload.as_str(), &delta) {
                Some(place) => merge(&mut self.changes.journeys, place, delta, JourneyDelta::merge),
                None => self.lose("journey", "overflow", delta.outcomes.total()),
            }
        }
        for (key, delta) in std::mem::take(&mut report.report.delta.hops) {
            let place = self.place_of_hop(aggregate, key, &delta);
            merge(&mut self.changes.hops, place, delta, HopDelta::merge);
        }
        self.counted.push(report);
    }

    fn place_of_journey(
        &mut self,
        aggregate: &Aggregate,
        name: JourneyName,
        workload: &str,
        delta: &JourneyDelta,
    ) -> Option<JourneyName> {
        if aggregate.journeys.contains_key(&name) {
            self.journeys.stays(&name);
            return Some(name);
        }
        if self.changes.journeys.contains_key(&name) || aggregate.declared.contains(&name) {
            return Some(name);
        }
        let overflow = overflow_journey();
        let judge = JourneyJudge { aggregate, batch: &self.changes };
        let (room, limits) = (&aggregate.journey_room, aggregate.limits_of_journeys());
        if overflow.as_ref() == Some(&name) || self.journeys.claim(room, &limits, workload, self.now, &judge)
        {
            self.owners.insert(name.clone(), workload.to_owned());
            return Some(name);
        }
        self.lose("journey", name.as_str(), delta.outcomes.total());
        overflow
    }

    fn place_of_hop(&mut self, aggregate: &Aggregate, key: HopKey, delta: &HopDelta) -> Arc<HopKey> {
        if let Some((known, _)) = aggregate.hops.get_key_value(&key) {
            self.hops.stays(known);
            return Arc::clone(known);
        }
        if let Some((known, _)) = self.changes.hops.get_key_value(&key) {
            return Arc::clone(known);
        }
        let judge = HopJudge { aggregate, batch: &self.changes };
        let (room, limits) = (&aggregate.hop_room, aggregate.limits_of_hops());
        if is_overflow_hop(&key) || self.hops.claim(room, &limits, &key.source, self.now, &judge) {
            return Arc::new(key);
        }
        self.lose("hop to", &key.destination, delta.outcomes.total());
        Arc::new(overflow_hop())
    }

    fn lose(&mut self, what: &str, name: &str, calls: u64) {
        self.lost_calls += calls;
        self.lost.get_or_insert_with(|| format!("{what} {:?}", name.chars().take(80).collect::<String>()));
    }
}

/// Adds to a place, without a copy when it is the first.
fn merge<K: Ord, V>(places: &mut BTreeMap<K, V>, place: K, value: V, merge: impl Fn(&mut V, &V)) {
    match places.get_mut(&place) {
        Some(there) => merge(there, &value),
        None => drop(places.insert(place, value)),
    }
}

struct HopJudge<'a> {
    aggregate: &'a Aggregate,
    batch: &'a Changes,
}

impl Judge<Arc<HopKey>> for HopJudge<'_> {
    fn rank(&self, key: &Arc<HopKey>) -> Option<Rank> {
        let is_free = |_: &&_| !self.batch.hops.contains_key(key);
        let hop = self.aggregate.hops.get(key).filter(is_free)?;
        Some(Rank::new(hop.seen, hop.totals.outcomes.total()))
    }

    fn owner(&self, key: &Arc<HopKey>) -> String {
        key.source.clone()
    }

    fn bytes(&self, key: &Arc<HopKey>) -> usize {
        self.aggregate.hops.get(key).map_or(0, |hop| bytes_of(key, hop))
    }

    fn all<'k>(&'k self) -> impl Iterator<Item = Entry<'k, Arc<HopKey>>> {
        let all = self.aggregate.hops.iter().filter(|(key, _)| !is_overflow_hop(key));
        all.map(|(key, hop)| {
            let rank = Rank::new(hop.seen, hop.totals.outcomes.total());
            Entry { key, owner: &key.source, rank }
        })
    }
}

struct JourneyJudge<'a> {
    aggregate: &'a Aggregate,
    batch: &'a Changes,
}

impl Judge<JourneyName> for JourneyJudge<'_> {
    fn rank(&self, name: &JourneyName) -> Option<Rank> {
        let is_free =
            |_: &&_| !self.batch.journeys.contains_key(name) && !self.aggregate.declared.contains(name);
        let journey = self.aggregate.journeys.get(name).filter(is_free)?;
        Some(Rank::new(journey.seen, journey.totals.outcomes.total()))
    }

    fn owner(&self, name: &JourneyName) -> String {
        self.aggregate.journeys.get(name).and_then(|journey| journey.owner.clone()).unwrap_or_default()
    }

    fn bytes(&self, _: &JourneyName) -> usize {
        0
    }

    fn all<'k>(&'k self) -> impl Iterator<Item = Entry<'k, JourneyName>> {
        let may_go =
            |name: &JourneyName| name.as_str() != JOURNEY_OVERFLOW && !self.aggregate.declared.contains(name);
        let all = self.aggregate.journeys.iter().filter(move |(name, _)| may_go(name));
        all.map(|(key, journey)| {
            let rank = Rank::new(journey.seen, journey.totals.outcomes.total());
            Entry { key, owner: journey.owner.as_deref().unwrap_or_default(), rank }
        })
    }
}
