//! Reports on their way into NATS: published, and acknowledged to the sidecar once JetStream has them.
//!
//! What this replica knows already is answered here, by the same judgement that counts: a duplicate needs no second place in the stream, and a report that
//! would not count is refused as a control plane that is alone refuses it. Who counts is [`super::share`]'s business.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use async_nats::jetstream::message::PublishMessage;
use emac_core::units::Micros;
use emac_proto::convert::NodeReport;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tracing::warn;

use super::layout::{Layout, whole};
use super::members::hash;
use super::message::pack;
use super::status::{Part, Status};
use super::view::Position;
use crate::aggregate::Aggregate;
use crate::clock::Clock;
use crate::ingest::{Answer, Stats, Waiting};
use crate::marks::{MarkChanges, ReportStatus, Served, life};

/// Reports on their way at once.
const FLIGHT: u32 = 4_096;
/// A report that JetStream has not acknowledged by then is not acknowledged to its sidecar either; should it be stored after all, its mark tells.
const PATIENCE: Duration = Duration::from_secs(5);

/// Headers of a message, and what the log adds to a report.
const ENVELOPE: usize = 4 << 10;

/// Everything a report passes.
pub(super) struct Door {
    pub(super) status: Arc<Status>,
    /// Comes when NATS is there.
    pub(super) layout: watch::Receiver<Option<Layout>>,
    pub(super) position: watch::Receiver<Position>,
    pub(super) aggregate: Arc<RwLock<Aggregate>>,
    pub(super) stats: Arc<Stats>,
    pub(super) clock: Clock,
}

impl Door {
    /// Starts a thread that ends when every queue is gone and everything queued is answered.
    ///
    /// # Errors
    /// When the system refuses another thread.
    pub(super) fn spawn(
        self,
        reports: Receiver<Waiting>,
        runtime: Handle,
    ) -> std::io::Result<JoinHandle<()>> {
        let (door, flight) = (Arc::new(self), Arc::new(Semaphore::new(FLIGHT as usize)));
        std::thread::Builder::new().name("door".into()).spawn(move || {
            while let Ok(waiting) = reports.recv() {
                Stats::take(&door.stats.queued, 1);
                let Ok(place) = runtime.block_on(Arc::clone(&flight).acquire_owned()) else { return };
                let door = Arc::clone(&door);
                runtime.spawn(async move {
                    let answer = door.pass(waiting.report).await;
                    // A stream that has gone away will send again.
                    let _ = waiting.answer.send(answer);
                    drop(place);
                });
            }
            let _ = runtime.block_on(flight.acquire_many(FLIGHT));
        })
    }

    async fn pass(&self, report: NodeReport) -> Answer {
        if let Some(known) = self.known(&report) {
            return known;
        }
        let begun = self.clock.now();
        let published = self.publish(&report).await;
        self.stats.committed(Micros(self.clock.now().0.saturating_sub(begun.0)));
        match published {
            Ok(()) => {
                self.status.well(Part::Evidence);
                Answer::Durable(report.report.sequence)
            }
            Err(problem) => {
                Stats::add(&self.stats.commit_failures, 1);
                Stats::add(&self.stats.not_stored, 1);
                if let Some(problem) = problem {
                    self.status.trouble(Part::Evidence, format!("reports cannot be stored: {problem}"));
                }
                Answer::NotStored
            }
        }
    }

    /// What the marks say, where they are of the present.
    fn known(&self, report: &NodeReport) -> Option<Answer> {
        if !self.position.borrow().is_live() {
            return None;
        }
        let life = life(&report.workload, &report.node, report.report.epoch);
        let verdict = {
            let aggregate = self.aggregate.read().unwrap_or_else(PoisonError::into_inner);
            let now = self.clock.moment();
            let now = Served { served: aggregate.served(now.at), unix_ms: now.unix_ms };
            aggregate.marks().judge(&MarkChanges::default(), &life, report.report.sequence, now)
        };
        let (counter, answer) = match verdict {
            ReportStatus::Count { .. } => return None,
            ReportStatus::Duplicate { sequence } => (&self.stats.duplicates, Answer::Durable(sequence)),
            ReportStatus::Expired => (&self.stats.expired, Answer::Expired),
            ReportStatus::Implausible => (&self.stats.implausible, Answer::Implausible),
            ReportStatus::Ahead => (&self.stats.ahead, Answer::Ahead),
            ReportStatus::Full => (&self.stats.turned_away, Answer::Full),
        };
        Stats::add(counter, 1);
        Some(answer)
    }

    /// Returns once JetStream has it. No reason is given when NATS is away, which is said elsewhere.
    async fn publish(&self, report: &NodeReport) -> Result<(), Option<String>> {
        let layout = self.layout.borrow().clone().ok_or(None)?;
        if !self.status.is_connected() {
            return Err(None);
        }
        let NodeReport { node, workload, report: told } = report;
        let partition = partition(report, layout.partitions);
        let payload = pack(&NodeReport::to_wire(node, workload, told));
        let most = layout.context.client().max_payload().saturating_sub(ENVELOPE);
        if payload.len() > most {
            let bytes = payload.len();
            warn!(%workload, node, bytes, most, "a report is longer than NATS takes and waits; set `max_payload: 8MB` in its configuration");
            return Err(None);
        }
        let id = format!("{workload} {node} {} {}", told.epoch, told.sequence);
        let message = PublishMessage::build().payload(payload).message_id(id);
        let subject = layout.names.evidence(partition);
        let sent = async {
            let sent = layout.context.send_publish(subject.clone(), message).await;
            let stored = async { sent.map_err(|e| whole(&e))?.await.map_err(|e| whole(&e)) };
            stored.await
        };
        match tokio::time::timeout(PATIENCE, sent).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Some(self.status.explain(format!("{subject}: {error}")))),
            Err(_) => Err(Some(self.status.explain(format!("{subject}: no answer within {PATIENCE:?}")))),
        }
    }
}

/// Both lives of a sidecar and all of its epochs are in one partition, in order.
fn partition(report: &NodeReport, partitions: u16) -> u16 {
    let hash = hash(&format!("{} {}", report.workload, report.node));
    u16::try_from(hash % u64::from(partitions.max(1))).unwrap_or(0)
}
