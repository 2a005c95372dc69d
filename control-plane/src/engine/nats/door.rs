//! Reports on their way into NATS: published, and acknowledged to the sidecar once JetStream has them.
//!
//! What comes for a partition while a message of it is on its way goes with the next one, together: a server that syncs each write to the disk takes some
//! hundred messages a second, whatever is in them. A report that finds nothing on its way waits for nothing.
//!
//! What this replica knows already is answered here, by the same judgement that counts: a duplicate needs no second place in the stream, and a report that
//! would not count is refused as a control plane that is alone refuses it. Who counts is [`super::share`]'s business.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use async_nats::jetstream::message::PublishMessage;
use emac_core::units::Micros;
use emac_proto::convert::NodeReport;
use emac_proto::v1::ReportRequest;
use prost::Message as _;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tracing::warn;

use super::layout::{Layout, whole};
use super::members::hash;
use super::message::{Evidence, REPORTS_MAX, fitting, pack};
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

/// Messages on their way at once: as many as there are partitions, by default.
const LANES: u64 = 16;

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
            let mut lanes = BTreeMap::new();
            while let Ok(waiting) = reports.recv() {
                Stats::take(&door.stats.queued, 1);
                let Ok(place) = runtime.block_on(Arc::clone(&flight).acquire_owned()) else { return };
                if let Some(known) = door.known(&waiting.report) {
                    // A stream that has gone away will send again.
                    let _ = waiting.answer.send(known);
                    continue;
                }
                let passing = Passing::new(waiting, door.clock.now(), place);
                let lane = lanes.entry(passing.hash % LANES).or_insert_with(|| {
                    let (sender, queue) = mpsc::unbounded_channel();
                    runtime.spawn(Arc::clone(&door).publish_all(queue));
                    sender
                });
                // Its task ends only when this thread does.
                let _ = lane.send(passing);
            }
            drop(lanes);
            let _ = runtime.block_on(flight.acquire_many(FLIGHT));
        })
    }

    /// Publishes what comes, message after message.
    async fn publish_all(self: Arc<Self>, mut queue: mpsc::UnboundedReceiver<Passing>) {
        let mut reports = Vec::new();
        while queue.recv_many(&mut reports, REPORTS_MAX).await > 0 {
            while !reports.is_empty() {
                let partitions = self.layout.borrow().as_ref().map_or(1, |layout| layout.partitions);
                let of = |passing: &Passing| partition(passing.hash, partitions);
                let first = reports.first().map(of);
                let alike = reports.iter().take_while(|passing| Some(of(passing)) == first);
                let fit = fitting(alike.map(|passing| passing.report.encoded_len()));
                let rest = reports.split_off(fit);
                self.pass(std::mem::replace(&mut reports, rest)).await;
            }
        }
    }

    /// Publishes reports together and answers each.
    async fn pass(&self, together: Vec<Passing>) {
        let (mut reports, mut answers) = (Vec::new(), Vec::new());
        for Passing { report, answer, hash, begun, place } in together {
            answers.push((report.sequence, answer, begun, place));
            reports.push((hash, report));
        }
        let count = answers.len() as u64;
        let stored = match self.publish(reports).await {
            Ok(()) => {
                self.status.well(Part::Evidence);
                true
            }
            Err(problem) => {
                Stats::add(&self.stats.commit_failures, 1);
                Stats::add(&self.stats.not_stored, count);
                if let Some(problem) = problem {
                    self.status.trouble(Part::Evidence, format!("reports cannot be stored: {problem}"));
                }
                false
            }
        };
        let now = self.clock.now();
        for (sequence, answer, begun, _place) in answers {
            self.stats.committed(now.since(begun));
            let said = if stored { Answer::Durable(sequence) } else { Answer::NotStored };
            // A stream that has gone away will send again.
            let _ = answer.send(said);
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

    /// Returns once JetStream has them; they are of one partition. No reason is given when NATS is away, which is said elsewhere.
    async fn publish(&self, reports: Vec<(u64, ReportRequest)>) -> Result<(), Option<String>> {
        let layout = self.layout.borrow().clone().ok_or(None)?;
        let Some((hash, first)) = reports.first().filter(|_| self.status.is_connected()) else {
            return Err(None);
        };
        let (workload, node) = (first.workload.clone(), first.node.clone());
        let subject = layout.names.evidence(partition(*hash, layout.partitions));
        let payload = pack(&Evidence { reports: reports.into_iter().map(|(_, report)| report).collect() });
        let most = layout.context.client().max_payload().saturating_sub(ENVELOPE);
        if payload.len() > most {
            let bytes = payload.len();
            warn!(
                workload,
                node,
                bytes,
                most,
                "a report is longer than NATS takes and waits; set `max_payload: 8MB` in its configuration"
            );
            return Err(None);
        }
        let message = PublishMessage::build().payload(payload);
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

/// A report on its way.
struct Passing {
    report: ReportRequest,
    answer: oneshot::Sender<Answer>,
    /// Of its sidecar: both lives of one and all of its epochs are in one partition, in order.
    hash: u64,
    begun: Micros,
    place: OwnedSemaphorePermit,
}

impl Passing {
    fn new(waiting: Waiting, begun: Micros, place: OwnedSemaphorePermit) -> Self {
        let NodeReport { node, workload, report } = &waiting.report;
        let hash = hash(&format!("{workload} {node}"));
        let report = NodeReport::to_wire(node, workload, report);
        Self { report, answer: waiting.answer, hash, begun, place }
    }
}

fn partition(hash: u64, partitions: u16) -> u16 {
    u16::try_from(hash % u64::from(partitions.max(1))).unwrap_or(0)
}
