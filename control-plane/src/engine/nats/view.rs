//! What this replica knows: the last snapshot and the log after it, applied in order. Every replica does the same and so knows the same.
//!
//! Totals, marks and who holds which partition come from nothing else, so that a partition that moves needs no handing over: the next holder knows it
//! already. Evidence of the last seconds is filed as it is heard; of what is read later only what is young enough by the calendar.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use emac_core::units::{Generation, Micros};
use emac_proto::convert::NodeReport;
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::layout::{Layout, Names};
use super::message::{Counted, unpack};
use super::reader::{Begin, Entry, Reader};
use super::snapshot::{self, Snapshot};
use super::status::{Part, Status};
use crate::aggregate::{Aggregate, Batch};
use crate::clock::Clock;
use crate::ingest::Records;

/// How far the log is applied.
#[derive(Clone, Debug, Default)]
pub(super) struct Position {
    /// Sequence of the log up to which everything is applied.
    pub(super) sequence: u64,
    /// Since when everything in the log is applied as it comes; before, this is the past.
    pub(super) since: Option<Instant>,
    pub(super) partitions: Vec<Partition>,
}

impl Position {
    /// Whether this is the present.
    pub(super) fn is_live(&self) -> bool {
        self.since.is_some()
    }
}

/// A partition, as of a position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Partition {
    /// Replica that holds it.
    pub(super) holder: Option<Arc<str>>,
    /// Sequence of its last entry: what the next one must name.
    pub(super) entry: u64,
    /// Evidence up to here is judged.
    pub(super) evidence: u64,
}

/// What the view writes, and needs for it.
pub(super) struct View {
    pub(super) layout: Layout,
    pub(super) status: Arc<Status>,
    pub(super) aggregate: Arc<RwLock<Aggregate>>,
    pub(super) clock: Clock,
    pub(super) records: Option<Records>,
    pub(super) position: watch::Sender<Position>,
}

/// Why the log cannot be followed from where it was.
enum Broken {
    /// Entries between are gone: they are in a snapshot by now.
    Behind,
}

impl View {
    /// Follows the log for ever.
    pub(super) async fn run(self) {
        let mut begun = None;
        loop {
            match snapshot::load(&self.layout).await {
                Ok(found) => {
                    let snapshot = found.unwrap_or_default();
                    let again = begun.replace(snapshot.position.sequence) == Some(snapshot.position.sequence);
                    let Broken::Behind = self.follow(snapshot, again).await;
                    info!("this replica fell behind the log and begins with the last snapshot");
                    tokio::time::sleep(super::PAUSE).await;
                }
                Err(problem) => {
                    self.status.trouble(Part::View, self.status.explain(problem));
                    tokio::time::sleep(super::PAUSE).await;
                }
            }
        }
    }

    /// From a snapshot on. `anyhow`: there is no later one, so what is missing between is missing for ever.
    async fn follow(&self, snapshot: Snapshot, anyhow: bool) -> Broken {
        let begin = snapshot.position.sequence;
        self.begin(snapshot);
        let end = self.end().await;
        let mut reader = Reader::new(
            &self.layout.counted,
            self.layout.names.all_counted(),
            Begin::Sequence(begin + 1),
            &self.status,
        );
        self.reached(begin, end);
        loop {
            let entry = reader.next().await;
            let at = self.position.borrow().sequence;
            // Up to the snapshot there may be gaps; after it the log has none, unless a later snapshot was cut off from it.
            if entry.sequence != at + 1 && at > 0 {
                if !anyhow {
                    return Broken::Behind;
                }
                error!(
                    from = at + 1,
                    to = entry.sequence - 1,
                    "entries of the log are gone and in no snapshot; what they counted is lost"
                );
            }
            self.apply(&entry);
            self.reached(entry.sequence, end);
        }
    }

    /// Takes over a snapshot in place of everything known.
    fn begin(&self, snapshot: Snapshot) {
        let mut position = snapshot.position;
        position.partitions.resize(usize::from(self.layout.partitions), Partition::default());
        let mut aggregate = self.aggregate.write().unwrap_or_else(PoisonError::into_inner);
        aggregate.begin_anew(snapshot.stored);
        self.position.send_replace(Position { since: None, ..position });
    }

    /// The last sequence of the log now.
    async fn end(&self) -> u64 {
        loop {
            match self.layout.counted.get_info().await {
                Ok(info) => return info.state.last_sequence,
                Err(error) => {
                    self.status.trouble(Part::View, self.status.explain(format!("reading the log: {error}")));
                    tokio::time::sleep(super::PAUSE).await;
                }
            }
        }
    }

    fn reached(&self, sequence: u64, end: u64) {
        self.position.send_if_modified(|position| {
            let news = !position.is_live() && sequence >= end;
            if news {
                info!(sequence, "everything counted is known");
                position.since = Some(Instant::now());
                self.status.well(Part::View);
            }
            news
        });
    }

    fn apply(&self, entry: &Entry) {
        let counted: Counted = unpack(&entry.payload).unwrap_or_else(|problem| {
            warn!(
                problem,
                subject = entry.subject,
                sequence = entry.sequence,
                "not an entry of the log; skipped"
            );
            Counted::default()
        });
        let now = self.clock.now();
        let batch = self.batch(now, &counted, entry.unix_ms);
        // Both under the lock: who looks at one with the lock held sees the other at the same place.
        let mut aggregate = self.aggregate.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(batch) = batch {
            aggregate.apply(now, batch);
        }
        self.position.send_modify(|position| {
            position.sequence = entry.sequence;
            let place = Names::partition(&entry.subject).map(usize::from);
            if let Some(partition) = place.and_then(|place| position.partitions.get_mut(place)) {
                let holder = (!counted.replica.is_empty()).then(|| counted.replica.as_str().into());
                *partition = Partition { holder, entry: entry.sequence, evidence: counted.evidence };
            }
        });
    }

    fn batch(&self, now: Micros, counted: &Counted, unix_ms: u64) -> Option<Batch> {
        if counted.reports.is_empty() {
            return None;
        }
        let aggregate = self.aggregate.read().unwrap_or_else(PoisonError::into_inner);
        let mut batch = Batch::new(&aggregate, now, self.clock.unix_ms(), Generation(0));
        for report in counted.reports.iter().cloned().filter_map(|report| NodeReport::try_from(report).ok()) {
            batch.add_judged(&aggregate, report);
        }
        let young = self.clock.unix_ms().abs_diff(unix_ms) <= aggregate.window().0;
        if self.position.borrow().is_live() || young {
            let records = batch.take_records();
            if let Some(queue) = &self.records {
                records.into_iter().for_each(|recorded| queue.offer(recorded));
            }
        } else {
            batch.forget_recent();
        }
        Some(batch)
    }
}
