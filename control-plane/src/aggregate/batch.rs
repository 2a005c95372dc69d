//! A transaction being put together: many reports, one commit.
//!
//! Totals in it are whole new values, begun from the aggregate's when first touched, so a batch costs what it touches. Nothing
//! of it is visible before [`super::Aggregate::apply`], which is called only after the store has it.

use emac_core::evidence::{HopDelta, HopRecord, JourneyDelta};
use emac_core::id::{HopKey, JourneyName};
use emac_core::units::{Generation, Micros};
use emac_proto::convert::NodeReport;

use super::{Aggregate, HOPS_MAX, JOURNEY_OVERFLOW, JOURNEYS_MAX, overflow_hop};
use crate::marks::{Mark, ReportStatus, life};
use crate::store::Changes;
use crate::totals::{HopTotals, JourneyTotals};

/// Hop records of one report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Envoy's node id of the sidecar.
    pub node: String,
    /// At least one.
    pub records: Vec<HopRecord>,
}

/// Reports on their way into store and memory together.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) changes: Changes,
    pub(super) counted: Vec<NodeReport>,
}

impl Batch {
    /// An empty batch, in which marks that are too old are forgotten.
    pub fn new(aggregate: &Aggregate, now: Micros, unix_ms: u64, generation: Generation) -> Self {
        let forgotten = aggregate.marks.idle(aggregate.served(now), unix_ms);
        let floor = forgotten.iter().map(|(_, epoch)| *epoch).fold(aggregate.marks.floor(), u64::max);
        let served = aggregate.served(now);
        let changes = Changes { forgotten, floor, generation, served, ..Changes::default() };
        Self { changes, counted: Vec::new() }
    }

    /// Sets right what a failed transaction may have left on the disk: memory is the truth, so every row it touched is written as it
    /// stands here, and marks that are not here are withdrawn.
    pub fn set_right(&mut self, aggregate: &Aggregate, failed: &Changes) {
        for life in failed.marks.keys().chain(&failed.withdrawn) {
            match aggregate.marks.get(life) {
                Some(mark) => drop(self.changes.marks.insert(life.clone(), mark)),
                None => self.changes.withdrawn.push(life.clone()),
            }
        }
        let journey = |name| aggregate.journeys.get(name).map(|it| it.totals.clone()).unwrap_or_default();
        let hop = |key| aggregate.hops.get(key).map(|it| it.totals.clone()).unwrap_or_default();
        self.changes.journeys.extend(failed.journeys.keys().map(|name| (name.clone(), journey(name))));
        self.changes.hops.extend(failed.hops.keys().map(|key| (key.clone(), hop(key))));
    }

    /// What the store is to write.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The same, when the store could not.
    pub fn into_changes(self) -> Changes {
        self.changes
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
        let life = life(&report.workload, &report.node, report.report.epoch);
        let (sequence, served) = (report.report.sequence, self.changes.served);
        let staged = &self.changes.marks;
        // As stores of before have it: a report that comes again must not count again.
        let bare = (report.node.clone(), report.report.epoch);
        let is_bare = aggregate.marks.get(&life).is_none()
            && !staged.contains_key(&life)
            && aggregate.marks.get(&bare).is_some();
        let verdict = aggregate.marks.judge(staged, if is_bare { &bare } else { &life }, sequence, served);
        if let ReportStatus::Count { .. } = verdict {
            self.add_judged(aggregate, report);
        }
        verdict
    }

    /// Adds a report that has been judged to count: here, or by another replica.
    pub fn add_judged(&mut self, aggregate: &Aggregate, report: NodeReport) {
        let life = life(&report.workload, &report.node, report.report.epoch);
        // A life forgotten by this very batch is alive after all.
        self.changes.forgotten.retain(|forgotten| *forgotten != life);
        let mark = Mark { sequence: report.report.sequence, seen: self.changes.served };
        self.changes.marks.insert(life, mark);
        self.add_totals(aggregate, &report);
        self.counted.push(report);
    }

    /// The reports that count, for somebody else to add.
    pub fn into_counted(self) -> Vec<NodeReport> {
        self.counted
    }

    /// Leaves the last seconds alone: what is added is of before them.
    pub fn forget_recent(&mut self) {
        self.counted.clear();
    }

    fn add_totals(&mut self, aggregate: &Aggregate, report: &NodeReport) {
        for (name, delta) in &report.report.delta.journeys {
            add_journey(self.journey(aggregate, name), delta);
        }
        for (key, delta) in &report.report.delta.hops {
            add_hop(self.hop(aggregate, key), delta);
        }
    }

    fn journey(&mut self, aggregate: &Aggregate, name: &JourneyName) -> &mut JourneyTotals {
        let known = |name| aggregate.journeys.contains_key(name) || self.changes.journeys.contains_key(name);
        let room = aggregate.journeys.len() + self.changes.journeys.len() < JOURNEYS_MAX;
        let overflow = JourneyName::new(JOURNEY_OVERFLOW).ok().filter(|_| !room && !known(name));
        let place = overflow.unwrap_or_else(|| name.clone());
        let before = aggregate.journeys.get(&place);
        let begin = || before.map(|journey| journey.totals.clone()).unwrap_or_default();
        self.changes.journeys.entry(place).or_insert_with(begin)
    }

    fn hop(&mut self, aggregate: &Aggregate, key: &HopKey) -> &mut HopTotals {
        let known = aggregate.hops.contains_key(key) || self.changes.hops.contains_key(key);
        let room = aggregate.hops.len() + self.changes.hops.len() < HOPS_MAX;
        let place = if known || room { key.clone() } else { overflow_hop() };
        let before = aggregate.hops.get(&place);
        let begin = || before.map(|hop| hop.totals.clone()).unwrap_or_default();
        self.changes.hops.entry(place).or_insert_with(begin)
    }
}

fn add_journey(totals: &mut JourneyTotals, delta: &JourneyDelta) {
    totals.outcomes.merge(&delta.outcomes);
    totals.within_deadline = totals.within_deadline.saturating_add(delta.within_deadline);
    totals.degraded = totals.degraded.saturating_add(delta.degraded);
    totals.latency.add(&delta.latency);
}

fn add_hop(totals: &mut HopTotals, delta: &HopDelta) {
    totals.outcomes.merge(&delta.outcomes);
    totals.retries = totals.retries.saturating_add(delta.retries);
    totals.decisions.merge(&delta.decisions);
    totals.latency.add(&delta.latency);
    totals.alternate_latency.add(&delta.alternate_latency);
}
