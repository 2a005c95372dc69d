//! One partition's share of the work: judging its evidence and writing what counts into the log. One replica holds it at a time.
//!
//! Holding is an entry of the log itself. Each entry names the one before it (compare-and-swap on the subject's last sequence), so of two replicas that both
//! believe to hold the partition one is refused and learns it there: a replica that was frozen, cut off or declared dead cannot write a word behind its
//! successor's back. An entry holds whole reports and how far the evidence is judged, together: after any crash the next holder begins where the log ends, and
//! what it reads again it knows by its marks.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use emac_core::units::Generation;
use emac_proto::convert::NodeReport;
use emac_proto::v1::ReportRequest;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::layout::Layout;
use super::members::{Members, assign};
use super::merge::merge;
use super::message::{BYTES_MAX, Counted, REPORTS_MAX, fitting, pack, reports};
use super::reader::{Begin, Entry, Reader};
use super::status::{Part, Status};
use super::view::{Partition, Position};
use crate::aggregate::{Aggregate, Batch};
use crate::clock::Clock;
use crate::ingest::Stats;
use crate::marks::ReportStatus;

/// How often a replica looks whether a partition is to be taken or given up.
const LOOK: Duration = Duration::from_millis(200);
/// How long the first report of an entry waits for company: longer means fewer entries and later totals; acknowledgements do not wait for it.
const GATHER: Duration = Duration::from_millis(100);
/// How often judged evidence is removed.
const PURGE: Duration = Duration::from_secs(3);
/// A log that does not show what was written within this is lost: everything is begun anew from what it does show.
const SHOWN: Duration = Duration::from_secs(10);

/// What the shares of a replica work with.
#[derive(Clone)]
pub(super) struct Shares {
    pub(super) layout: Layout,
    pub(super) status: Arc<Status>,
    pub(super) members: Arc<Members>,
    pub(super) aggregate: Arc<RwLock<Aggregate>>,
    pub(super) stats: Arc<Stats>,
    pub(super) clock: Clock,
    pub(super) position: watch::Receiver<Position>,
    pub(super) stop: CancellationToken,
}

/// One of them.
struct Share {
    common: Shares,
    partition: u16,
    purged: (Instant, u64),
}

/// What to do about a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duty {
    Nothing,
    Take,
    Work,
    GiveUp,
}

/// The entry was not written, or nobody knows.
struct Lost;

impl Shares {
    /// Starts every share; each ends, its partition given up, when `stop` is cancelled.
    pub(super) fn spawn(&self, tasks: &mut tokio::task::JoinSet<()>) {
        for partition in 0..self.layout.partitions {
            let share = Share { common: self.clone(), partition, purged: (Instant::now(), 0) };
            tasks.spawn(share.run());
        }
    }
}

impl Share {
    async fn run(mut self) {
        loop {
            match self.duty() {
                Duty::Take => drop(self.write(self.common.members.me(), None).await),
                Duty::GiveUp => drop(self.write("", None).await),
                Duty::Work => drop(self.work().await),
                Duty::Nothing if self.common.stop.is_cancelled() => return,
                // It is another's business now, and so is what was wrong with it.
                Duty::Nothing => self.common.status.well(Part::Log(self.partition)),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn stands(&self) -> Partition {
        let position = self.common.position.borrow();
        position.partitions.get(usize::from(self.partition)).cloned().unwrap_or_default()
    }

    fn duty(&self) -> Duty {
        let (members, now) = (&self.common.members, Instant::now());
        let holder = self.stands().holder;
        let mine = holder.as_deref() == Some(members.me());
        if self.common.stop.is_cancelled() {
            return if mine && self.common.status.is_connected() { Duty::GiveUp } else { Duty::Nothing };
        }
        if !self.common.position.borrow().is_live() || !members.hears(now) {
            return Duty::Nothing;
        }
        let ready = members.ready(now);
        let assigned = assign(self.common.layout.partitions, &ready);
        let wanted = assigned.get(usize::from(self.partition)) == Some(&Some(members.me()));
        match (mine, wanted) {
            (true, true) => Duty::Work,
            (true, false) if !ready.is_empty() => Duty::GiveUp,
            (true, false) => Duty::Work,
            (false, true) if holder.is_none_or(|holder| !members.is_live(&holder, now)) => Duty::Take,
            (false, _) => Duty::Nothing,
        }
    }

    /// Judges what comes, until the duty is another.
    async fn work(&mut self) -> Result<(), Lost> {
        let begin = self.begin().await?;
        info!(partition = self.partition, from = begin, "counting");
        let layout = self.common.layout.clone();
        let status = Arc::clone(&self.common.status);
        let filter = layout.names.evidence(self.partition);
        let mut reader = Reader::new(&layout.evidence, filter, Begin::Sequence(begin), &status);
        while self.duty() == Duty::Work {
            if let Some(entries) = self.gather(&mut reader).await {
                self.count(entries).await?;
            }
            self.purge().await;
        }
        Ok(())
    }

    /// The first evidence not judged. A stream that ends before that was made anew: then all of it is not judged.
    async fn begin(&self) -> Result<u64, Lost> {
        let info = self.common.layout.evidence.get_info().await.map_err(|error| self.lost(&error))?;
        let judged = self.stands().evidence;
        if judged <= info.state.last_sequence {
            return Ok(judged + 1);
        }
        warn!(partition = self.partition, "the evidence stream was made anew; all of it is judged");
        Ok(1)
    }

    /// What comes within [`GATHER`] of the first; nothing when nothing comes for a while.
    async fn gather(&self, reader: &mut Reader<'_>) -> Option<Vec<Entry>> {
        let first = tokio::time::timeout(LOOK, reader.next()).await.ok()?;
        let (mut bytes, mut entries) = (first.payload.len(), vec![first]);
        let end = tokio::time::Instant::now() + GATHER;
        while entries.len() < REPORTS_MAX && bytes < BYTES_MAX {
            let Ok(next) = tokio::time::timeout_at(end, reader.next()).await else { break };
            bytes += next.payload.len();
            entries.push(next);
        }
        Some(entries)
    }

    async fn count(&self, mut entries: Vec<Entry>) -> Result<(), Lost> {
        while !entries.is_empty() {
            let rest = entries.split_off(fitting(entries.iter().map(|entry| entry.payload.len())));
            self.count_some(entries).await?;
            entries = rest;
        }
        Ok(())
    }

    async fn count_some(&self, entries: Vec<Entry>) -> Result<(), Lost> {
        let Some(evidence) = entries.last().map(|entry| entry.sequence) else { return Ok(()) };
        let (mut counted, verdicts) = self.judge(entries);
        merge(&mut counted);
        let wire = counted.iter().map(|it| NodeReport::to_wire(&it.node, &it.workload, &it.report));
        let wire: Vec<ReportRequest> = wire.collect();
        self.write(self.common.members.me(), Some((evidence, wire))).await?;
        verdicts.into_iter().for_each(|verdict| note(&self.common.stats, verdict));
        Ok(())
    }

    /// By the marks of the log, which shows everything that this replica wrote.
    fn judge(&self, entries: Vec<Entry>) -> (Vec<NodeReport>, Vec<ReportStatus>) {
        let common = &self.common;
        let aggregate = common.aggregate.read().unwrap_or_else(PoisonError::into_inner);
        let mut batch = Batch::new(&aggregate, common.clock.now(), common.clock.unix_ms(), Generation(0));
        let (mut counted, mut verdicts) = (Vec::new(), Vec::new());
        for entry in entries.into_iter().filter(|entry| !entry.payload.is_empty()) {
            for report in reports(&entry.payload) {
                match report {
                    Ok(report) => {
                        let verdict = batch.judge(&aggregate, &report);
                        verdicts.push(verdict);
                        counted.extend(matches!(verdict, ReportStatus::Count { .. }).then_some(report));
                    }
                    Err(problem) => {
                        Stats::add(&common.stats.invalid, 1);
                        let (partition, sequence) = (self.partition, entry.sequence);
                        warn!(partition, sequence, problem, "evidence that is no report; skipped");
                    }
                }
            }
        }
        (counted, verdicts)
    }

    /// Writes an entry after the last one known, and waits until this replica's own view shows it.
    async fn write(&self, holder: &str, judged: Option<(u64, Vec<ReportRequest>)>) -> Result<(), Lost> {
        let stands = self.stands();
        let (evidence, reports) = judged.unwrap_or((stands.evidence, Vec::new()));
        let entry = pack(&Counted { replica: holder.to_owned(), evidence, reports });
        let message = PublishMessage::build().payload(entry).expected_last_subject_sequence(stands.entry);
        let subject = self.common.layout.names.counted(self.partition);
        let context = &self.common.layout.context;
        let sent = context.send_publish(subject, message).await.map_err(|error| self.lost(&error))?;
        let written = match sent.await {
            Ok(written) => written.sequence,
            // Another replica was faster: nothing is wrong, and this one knows better in a moment.
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => return Err(Lost),
            Err(error) => return Err(self.lost(&error)),
        };
        self.common.status.well(Part::Log(self.partition));
        let mut position = self.common.position.clone();
        let shown = position.wait_for(|position| position.sequence >= written);
        match tokio::time::timeout(SHOWN, shown).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Lost),
        }
    }

    fn lost(&self, error: &dyn std::error::Error) -> Lost {
        let problem = self.common.status.explain(error);
        if self.common.status.is_connected() {
            self.common
                .status
                .trouble(Part::Log(self.partition), format!("what counts cannot be written: {problem}"));
        }
        debug!(partition = self.partition, problem, "not written; begun anew from the log");
        Lost
    }

    /// Removes evidence that the log has judged.
    async fn purge(&mut self) {
        let judged = self.stands().evidence;
        if self.purged.0.elapsed() < PURGE || self.purged.1 == judged {
            return;
        }
        self.purged = (Instant::now(), judged);
        let layout = &self.common.layout;
        let purge =
            layout.evidence.purge().filter(layout.names.evidence(self.partition)).sequence(judged + 1);
        if let Err(error) = purge.await {
            warn!(
                partition = self.partition,
                problem = self.common.status.explain(error),
                "judged evidence is not removed"
            );
        }
    }
}

fn note(stats: &Stats, verdict: ReportStatus) {
    match verdict {
        ReportStatus::Count { missing } => {
            Stats::add(&stats.missing, missing);
            Stats::add(&stats.counted, 1);
        }
        ReportStatus::Duplicate { .. } => Stats::add(&stats.duplicates, 1),
        ReportStatus::Implausible => Stats::add(&stats.implausible, 1),
        ReportStatus::Expired => Stats::add(&stats.expired, 1),
        ReportStatus::Ahead => Stats::add(&stats.ahead, 1),
        ReportStatus::Full => Stats::add(&stats.turned_away, 1),
    }
}
