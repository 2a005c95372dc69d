//! Group commit: one thread, one transaction for everything that has gathered.
//!
//! The first report of a batch waits at most the configured delay for company, then all are stored together; while the disk
//! flushes, the next batch gathers by itself. So a commit costs one flush however many sidecars report, and an acknowledgement
//! comes within two flushes and the delay.
//!
//! A thread of its own, because a flush blocks. It ends when every [`Queue`] is gone and everything queued is answered.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use emac_core::units::{Generation, Micros};
use emac_push::paced::Paced;
use tokio::sync::oneshot;
use tracing::{error, warn};

use super::{NodeReport, Records, Stats};
use crate::aggregate::{Aggregate, Batch};
use crate::clock::Clock;
use crate::marks::ReportStatus;
use crate::store::Store;

/// Most reports in a transaction: bounds its memory and the wait of the first.
const BATCH_MAX: usize = 512;

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Everything up to this sequence is counted and durable.
    Durable(u64),
    /// Its epoch was forgotten: it may have been counted and is not counted again.
    Expired,
    /// Its sequence is further ahead than reports can come; nothing was counted.
    Implausible,
    /// Its epoch is further ahead of this calendar than clocks are; nothing was counted.
    Ahead,
    /// No room for another epoch.
    Full,
    /// The disk failed; nothing was counted.
    NotStored,
}

/// Why a report was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Too many reports wait; send it again later.
    #[error("the evidence queue is full")]
    QueueFull,
    /// The control plane is ending; send it to the next one.
    #[error("the control plane is shutting down")]
    ShuttingDown,
}

/// A report on its way, and where its answer goes.
#[derive(Debug)]
pub struct Waiting {
    /// Checked.
    pub report: NodeReport,
    /// Dropped without an answer: not stored.
    pub answer: oneshot::Sender<Answer>,
}

/// The way in; cheap to clone.
#[derive(Clone, Debug)]
pub struct Queue {
    sender: SyncSender<Waiting>,
    stats: Arc<Stats>,
}

impl Queue {
    /// A queue of at most `capacity` reports, and its other end, which takes each from [`Stats::queued`].
    pub fn new(capacity: usize, stats: Arc<Stats>) -> (Self, Receiver<Waiting>) {
        let (sender, receiver) = sync_channel(capacity.max(1));
        (Self { sender, stats }, receiver)
    }

    /// Queues a report; the receiver gets its answer once that is durable.
    ///
    /// # Errors
    /// [`SubmitError`]; the report is not counted.
    pub fn submit(&self, report: NodeReport) -> Result<oneshot::Receiver<Answer>, SubmitError> {
        let (answer, receiver) = oneshot::channel();
        Stats::add(&self.stats.queued, 1);
        self.sender.try_send(Waiting { report, answer }).map_err(|refused| {
            Stats::take(&self.stats.queued, 1);
            match refused {
                TrySendError::Full(_) => SubmitError::QueueFull,
                TrySendError::Disconnected(_) => SubmitError::ShuttingDown,
            }
        })?;
        Ok(receiver)
    }
}

/// How a committer works.
#[derive(Clone, Copy, Debug)]
pub struct CommitterSettings {
    /// Reports that may wait, at least 1.
    pub queue: usize,
    /// How long the first report of a batch waits for company.
    pub delay: Duration,
}

/// The only writer of store and aggregate.
pub struct Committer {
    store: Store,
    aggregate: Arc<RwLock<Aggregate>>,
    stats: Arc<Stats>,
    clock: Clock,
    /// The last generation issued, to be stored along.
    generation: Box<dyn Fn() -> Generation + Send>,
    /// Where single calls go, if anybody looks at them.
    records: Option<Records>,
    delay: Duration,
    log: Lines,
}

/// Lines that come with reports.
#[derive(Default)]
struct Lines {
    no_place: Paced,
    missing: Paced,
    failed: Paced,
}

impl Committer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system refuses another thread.
    pub fn spawn(
        settings: CommitterSettings,
        store: Store,
        aggregate: Arc<RwLock<Aggregate>>,
        stats: Arc<Stats>,
        clock: Clock,
        generation: impl Fn() -> Generation + Send + 'static,
        records: Option<Records>,
    ) -> std::io::Result<(Queue, JoinHandle<()>)> {
        let (queue, receiver) = Queue::new(settings.queue, Arc::clone(&stats));
        let generation = Box::new(generation);
        let delay = settings.delay;
        let log = Lines::default();
        let mut committer = Self { store, aggregate, stats, clock, generation, records, delay, log };
        let thread =
            std::thread::Builder::new().name("committer".into()).spawn(move || committer.run(&receiver))?;
        Ok((queue, thread))
    }

    fn run(&mut self, receiver: &Receiver<Waiting>) {
        while let Ok(first) = receiver.recv() {
            let batch = gather(first, receiver, &self.clock, self.delay);
            Stats::take(&self.stats.queued, batch.len() as u64);
            self.commit(batch);
        }
        // The last word: time served and generation, so that they are not lost with an idle end.
        let last = self.empty_batch();
        self.store_batch(last);
    }

    fn commit(&mut self, waiting: Vec<Waiting>) {
        let mut batch = self.empty_batch();
        let judged: Vec<_> = {
            let aggregate = self.aggregate.read().unwrap_or_else(PoisonError::into_inner);
            let judge = |Waiting { report, answer }: Waiting| {
                let sequence = report.report.sequence;
                (batch.add(&aggregate, report), sequence, answer)
            };
            let judged = waiting.into_iter().map(judge).collect();
            batch.finish(&aggregate);
            judged
        };
        let stored = batch.counted() == 0 || self.store_batch(batch);
        for (verdict, sequence, answer) in judged {
            // A stream that has gone away will send again and be told "duplicate".
            let _ = answer.send(self.answer(verdict, sequence, stored));
        }
    }

    fn empty_batch(&self) -> Batch {
        let aggregate = self.aggregate.read().unwrap_or_else(PoisonError::into_inner);
        Batch::new(&aggregate, self.clock.now(), self.clock.unix_ms(), (self.generation)())
    }

    /// Store first, memory second: what can be seen is durable.
    fn store_batch(&mut self, mut batch: Batch) -> bool {
        let begun = self.clock.now();
        let result = self.store.commit(batch.changes(), &self.aggregate);
        let now = self.clock.now();
        self.stats.committed(now.since(begun));
        self.stats.last_commit_failed.store(result.is_err(), Relaxed);
        match result {
            Ok(()) => {
                self.tell(now, &batch);
                if let Some(records) = &self.records {
                    batch.take_records().into_iter().for_each(|recorded| records.offer(recorded));
                }
                self.aggregate.write().unwrap_or_else(PoisonError::into_inner).apply(now, batch);
                true
            }
            Err(problem) => {
                Stats::add(&self.stats.commit_failures, 1);
                if let Some(not_logged) = self.log.failed.due(now) {
                    error!(%problem, reports = batch.counted(), not_logged, "evidence is not acknowledged");
                }
                false
            }
        }
    }

    /// Says now and then what is counted under an overflow entry.
    fn tell(&mut self, now: Micros, batch: &Batch) {
        let Some((calls, example)) = batch.without_place() else { return };
        if let Some(not_logged) = self.log.no_place.due(now) {
            warn!(
                calls,
                example,
                not_logged,
                "evidence is counted under an overflow entry: its table, or its workload's share, is full of hops or journeys in use; \
                 see emac_table_entries and raise evidence.capacity"
            );
        }
    }

    fn answer(&self, verdict: ReportStatus, sequence: u64, stored: bool) -> Answer {
        match verdict {
            ReportStatus::Count { .. } if !stored => self.counting(&self.stats.not_stored, Answer::NotStored),
            ReportStatus::Count { missing } => {
                if missing > 0
                    && let Some(not_logged) = self.log.missing.due(self.clock.now())
                {
                    warn!(
                        missing,
                        not_logged, "reports of a sidecar are missing: acknowledged by another store"
                    );
                }
                Stats::add(&self.stats.missing, missing);
                self.counting(&self.stats.counted, Answer::Durable(sequence))
            }
            // The one it repeats may stand in this very batch.
            ReportStatus::Duplicate { .. } if !stored => {
                self.counting(&self.stats.not_stored, Answer::NotStored)
            }
            ReportStatus::Duplicate { sequence } => {
                self.counting(&self.stats.duplicates, Answer::Durable(sequence))
            }
            ReportStatus::Expired => self.counting(&self.stats.expired, Answer::Expired),
            ReportStatus::Implausible => self.counting(&self.stats.implausible, Answer::Implausible),
            ReportStatus::Ahead => self.counting(&self.stats.ahead, Answer::Ahead),
            ReportStatus::Full => self.counting(&self.stats.turned_away, Answer::Full),
        }
    }

    fn counting(&self, counter: &std::sync::atomic::AtomicU64, answer: Answer) -> Answer {
        Stats::add(counter, 1);
        answer
    }
}

/// The first report and what comes within `delay` of it, at most [`BATCH_MAX`].
fn gather(first: Waiting, receiver: &Receiver<Waiting>, clock: &Clock, delay: Duration) -> Vec<Waiting> {
    let (mut batch, begun) = (vec![first], clock.now());
    while batch.len() < BATCH_MAX {
        let waited = Duration::from_micros(clock.now().since(begun).0);
        match receiver.recv_timeout(delay.saturating_sub(waited)) {
            Ok(next) => batch.push(next),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    batch
}

#[cfg(test)]
mod tests;
