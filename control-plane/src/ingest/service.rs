//! `emac.v1.EvidenceService`: a stream a sidecar.
//!
//! Each report is answered in order, once durable. Whatever is wrong ends the stream with a status that says what to do:
//! INVALID_ARGUMENT names the field (the report will never be taken), RESOURCE_EXHAUSTED and UNAVAILABLE mean "again later",
//! UNAUTHENTICATED and PERMISSION_DENIED that the peer has not proven to be who it reports for ([`crate::identity`]),
//! FAILED_PRECONDITION that the epoch is too old to be told from one already counted.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use emac_proto::v1::evidence_service_server::{EvidenceService, EvidenceServiceServer};
use emac_proto::v1::{ReportRequest, ReportResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use tracing::debug;

use crate::identity::Peer;

use super::plausible;
use super::{Answer, NodeReport, Queue, Stats, SubmitError};

/// Most bytes of a report: 257 hops with two full sketches each take 2.3 MB.
const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Most streams at once, as many as may ask for budgets.
const STREAMS_MAX: u64 = 10_000;

/// The service.
#[derive(Debug)]
pub struct EvidenceReceiver {
    queue: Queue,
    stats: Arc<Stats>,
    shutdown: CancellationToken,
}

impl EvidenceReceiver {
    /// Streams end when `shutdown` is cancelled, each after the report it is at.
    pub fn new(queue: Queue, stats: Arc<Stats>, shutdown: CancellationToken) -> Self {
        Self { queue, stats, shutdown }
    }

    /// The tonic server.
    pub fn into_server(self) -> EvidenceServiceServer<Self> {
        EvidenceServiceServer::new(self).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }
}

#[tonic::async_trait]
impl EvidenceService for EvidenceReceiver {
    type ReportStream = ReceiverStream<Result<ReportResponse, Status>>;

    async fn report(
        &self,
        request: Request<Streaming<ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        // Nobody comes past the gate without; should somebody, it is nobody.
        let peer = request.extensions().get::<Peer>().cloned();
        let peer = peer.ok_or_else(|| Status::unauthenticated("no identity"))?;
        let open = Open::new(&self.stats).ok_or_else(|| {
            Status::resource_exhausted(format!("stream limit reached: {STREAMS_MAX} streams are open"))
        })?;
        let (answers, receiver) = mpsc::channel(1);
        let (queue, stats) = (self.queue.clone(), Arc::clone(&self.stats));
        let stream = Stream { queue, stats, peer, order: Order::default(), _open: open };
        let shutdown = self.shutdown.clone();
        tokio::spawn(stream.run(request.into_inner(), answers, shutdown));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

struct Stream {
    queue: Queue,
    stats: Arc<Stats>,
    peer: Peer,
    order: Order,
    _open: Open,
}

/// A place among the open streams, given back when dropped.
struct Open(Arc<Stats>);

impl Open {
    fn new(stats: &Arc<Stats>) -> Option<Self> {
        Stats::add(&stats.streams, 1);
        let open = Self(Arc::clone(stats));
        (stats.streams.load(Relaxed) <= STREAMS_MAX).then_some(open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        Stats::take(&self.0.streams, 1);
    }
}

impl Stream {
    async fn run(
        mut self,
        mut reports: Streaming<ReportRequest>,
        answers: mpsc::Sender<Result<ReportResponse, Status>>,
        shutdown: CancellationToken,
    ) {
        loop {
            let next = tokio::select! {
                () = shutdown.cancelled() => break,
                next = reports.message() => next,
            };
            // A broken stream is the sidecar's restart or the network's: it will come again.
            let Ok(Some(report)) = next else { break };
            let answer = self.handle(report).await;
            let ended = answer.is_err();
            if answers.send(answer).await.is_err() || ended {
                break;
            }
        }
    }

    async fn handle(&mut self, request: ReportRequest) -> Result<ReportResponse, Status> {
        let report = self.check(request).inspect_err(|status| {
            Stats::add(&self.stats.invalid, 1);
            debug!(problem = status.message(), "report refused");
        })?;
        Stats::add(&self.stats.records, report.report.delta.records.len() as u64);
        let epoch = report.report.epoch;
        let answer = self.queue.submit(report).map_err(|error| self.turned_away(error))?;
        match answer.await.unwrap_or(Answer::NotStored) {
            Answer::Durable(acknowledged_sequence) => Ok(ReportResponse { epoch, acknowledged_sequence }),
            Answer::Expired => {
                Err(Status::failed_precondition("epoch: too long silent to be told from a duplicate"))
            }
            Answer::Implausible => Err(Status::failed_precondition(
                "sequence: further ahead than time since the last report allows; send it again later",
            )),
            Answer::Ahead => Err(Status::failed_precondition(
                "epoch: a day or more ahead of this control plane's clock; set the clock that is wrong",
            )),
            Answer::Full => {
                Err(Status::resource_exhausted("too many sidecars are remembered; send it again later"))
            }
            Answer::NotStored => {
                Err(Status::unavailable("evidence cannot be stored now; send it again later"))
            }
        }
    }

    fn check(&mut self, request: ReportRequest) -> Result<NodeReport, Status> {
        let report =
            NodeReport::try_from(request).map_err(|invalid| Status::invalid_argument(invalid.to_string()))?;
        self.peer.may_report(&report)?;
        plausible::check(&report.report).map_err(Status::invalid_argument)?;
        self.order.check(&report).map_err(Status::invalid_argument)?;
        Ok(report)
    }

    fn turned_away(&self, error: SubmitError) -> Status {
        Stats::add(&self.stats.turned_away, 1);
        match error {
            SubmitError::QueueFull => {
                Status::resource_exhausted("the evidence queue is full; send it again later")
            }
            SubmitError::ShuttingDown => Status::unavailable(error.to_string()),
        }
    }
}

/// What came last on a stream. A stream is one sidecar's and keeps the order of what was sent, so a step back or a gap on it is no
/// loss but a confused sender.
#[derive(Debug, Default)]
struct Order {
    last: Option<(String, u64, u64)>,
}

impl Order {
    fn check(&mut self, report: &NodeReport) -> Result<(), String> {
        if let Some((node, epoch, sequence)) = &self.last {
            if *node != report.node {
                return Err(format!("node: a stream belongs to one node; this one began as {node:?}"));
            }
            let next = sequence.saturating_add(1);
            if *epoch == report.report.epoch && ![*sequence, next].contains(&report.report.sequence) {
                return Err(format!(
                    "sequence: {} after {sequence}; expected {next}",
                    report.report.sequence
                ));
            }
        }
        self.last = Some((report.node.clone(), report.report.epoch, report.report.sequence));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let stats = Arc::default();
        let mut open: Vec<_> = (0..STREAMS_MAX).map(|_| Open::new(&stats).unwrap()).collect();
        assert!(Open::new(&stats).is_none());
        open.pop();
        assert!(Open::new(&stats).is_some());
        assert_eq!(stats.snapshot().streams, STREAMS_MAX - 1);
    }
}
