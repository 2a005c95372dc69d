//! `emac.v1.EvidenceService`: a stream a sidecar.
//!
//! Each report is answered in order, once durable. Whatever is wrong ends the stream with a status that says what to do:
//! INVALID_ARGUMENT names the field (the report will never be taken), RESOURCE_EXHAUSTED and UNAVAILABLE mean "again later",
//! UNAUTHENTICATED and PERMISSION_DENIED that the peer has not proven to be who it reports for ([`crate::identity`]),
//! FAILED_PRECONDITION that the epoch is too old to be told from one already counted.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use emac_proto::codec::Bounded as _;
use emac_proto::convert::REPORT_BYTES_MAX;
use emac_proto::v1::evidence_service_server::{EvidenceService, EvidenceServiceServer};
use emac_proto::v1::{ReportRequest, ReportResponse};
use emac_push::drain::drained;
use emac_push::service::said_below;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::config::ConnectionLimits;
use crate::identity::{Holder, Peer, StreamKind};
use crate::places::Place;
use crate::refusal::Refusal;

use super::plausible::{self, Rates};
use super::{Answer, NodeReport, Queue, Stats, SubmitError};

/// Most bytes of a message: what a report of the stated limits takes, and room for fields that a newer sidecar may add.
const MESSAGE_BYTES_MAX: usize = REPORT_BYTES_MAX + (64 << 10);

/// The service.
#[derive(Debug)]
pub struct EvidenceReceiver {
    queue: Queue,
    stats: Arc<Stats>,
    rates: Arc<Rates>,
    limits: ConnectionLimits,
    shutdown: CancellationToken,
    drain: Duration,
}

impl EvidenceReceiver {
    /// Streams end within `drain` of the cancellation of `shutdown`, each after the report it is at.
    pub fn new(
        queue: Queue,
        stats: Arc<Stats>,
        limits: ConnectionLimits,
        shutdown: CancellationToken,
    ) -> Self {
        Self { queue, stats, rates: Arc::default(), limits, shutdown, drain: Duration::ZERO }
    }

    /// Streams end one after the other, within this time.
    #[must_use]
    pub fn with_drain(self, drain: Duration) -> Self {
        Self { drain, ..self }
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
        let open = Open::new(peer.open(StreamKind::Evidence)?, &self.stats);
        let (answers, receiver) = mpsc::channel(1);
        let (queue, stats, limits) = (self.queue.clone(), Arc::clone(&self.stats), self.limits);
        let rates = Arc::clone(&self.rates);
        let stream = Stream { queue, stats, rates, limits, peer, order: Order::default(), _open: open };
        let drained = drained(self.shutdown.clone(), self.drain);
        tokio::spawn(stream.run(request.into_inner(), answers, drained));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

struct Stream {
    queue: Queue,
    stats: Arc<Stats>,
    rates: Arc<Rates>,
    limits: ConnectionLimits,
    peer: Peer,
    order: Order,
    _open: Open,
}

/// An open stream, counted until it is dropped.
struct Open {
    stats: Arc<Stats>,
    _place: Place<Holder>,
}

impl Open {
    fn new(place: Place<Holder>, stats: &Arc<Stats>) -> Self {
        Stats::add(&stats.streams, 1);
        Self { stats: Arc::clone(stats), _place: place }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        Stats::take(&self.stats.streams, 1);
    }
}

/// Why no report comes.
enum Ended {
    /// Nobody is there any more.
    Gone,
    /// The peer is told.
    Refused(Status),
}

impl Stream {
    async fn run(
        mut self,
        mut reports: Streaming<ReportRequest>,
        answers: mpsc::Sender<Result<ReportResponse, Status>>,
        drained: impl Future<Output = ()>,
    ) {
        let peer = self.peer.clone();
        let stalled = Duration::from_millis(self.limits.stalled.0);
        let mut first = Some(Duration::from_millis(self.limits.first_message.0));
        let mut drained = std::pin::pin!(drained);
        loop {
            let next = tokio::select! {
                () = &mut drained => {
                    Err(Ended::Refused(Status::unavailable("the control plane is shutting down")))
                }
                status = peer.expired() => Err(Ended::Refused(status)),
                next = self.next(&mut reports, first.take()) => next,
            };
            let answer = match next {
                Ok(report) => self.handle(report).await,
                Err(Ended::Refused(status)) => Err(status),
                Err(Ended::Gone) => break,
            };
            let ended = answer.is_err();
            match tokio::time::timeout(stalled, answers.send(answer)).await {
                Ok(Ok(())) if !ended => {}
                Ok(_) => break,
                Err(_) => {
                    self.peer.refuse(Refusal::SlowReader, "does not read the answers to its reports");
                    break;
                }
            }
        }
        peer.leave();
    }

    /// The next report. `within`: how soon it has to come.
    async fn next(
        &self,
        reports: &mut Streaming<ReportRequest>,
        within: Option<Duration>,
    ) -> Result<ReportRequest, Ended> {
        let message = match within {
            None => reports.message().await,
            Some(within) => match tokio::time::timeout(within, reports.message()).await {
                Ok(message) => message,
                Err(_) => {
                    let does = format!("opened a stream of evidence and sent no report within {within:?}");
                    return Err(Ended::Refused(self.peer.refuse(Refusal::Silent, &does)));
                }
            },
        };
        match message {
            Ok(Some(report)) => Ok(report),
            Ok(None) => Err(Ended::Gone),
            Err(status) => Err(self.unread(&status)),
        }
    }

    /// What was wrong with what came.
    fn unread(&self, status: &Status) -> Ended {
        if let Some(said) = said_below(status) {
            return Ended::Refused(said);
        }
        let words = status.message();
        // A stream that broke has the transport's error as its cause: the sidecar's restart, or the network's. It will come again.
        let refusal = match status.code() {
            _ if status.source().is_some() => return Ended::Gone,
            Code::Cancelled => return Ended::Gone,
            Code::OutOfRange => Refusal::TooLarge,
            _ => Refusal::Garbage,
        };
        Stats::add(&self.stats.invalid, 1);
        let why = match refusal {
            Refusal::TooLarge => {
                format!(
                    "a report of the stated limits has at most {MESSAGE_BYTES_MAX} bytes and {} fields and entries: {words}",
                    ReportRequest::FIELDS_MAX
                )
            }
            _ => format!("not a report: {words}"),
        };
        // Sent again it would be as wrong.
        Ended::Refused(self.peer.refuse_with(refusal, Code::InvalidArgument, &why))
    }

    async fn handle(&mut self, request: ReportRequest) -> Result<ReportResponse, Status> {
        let report = self.check(request).inspect_err(|_| Stats::add(&self.stats.invalid, 1))?;
        Stats::add(&self.stats.records, report.report.delta.records.len() as u64);
        let epoch = report.report.epoch;
        let refused =
            |refusal: Refusal, code: Code, why: &str| Err(self.peer.refuse_with(refusal, code, why));
        let taken = self.rates.take(report.workload.as_str(), &report.node, &report.report, self.peer.now());
        let taken = match taken {
            Ok(taken) => taken,
            Err(why) => return refused(Refusal::Rate, Code::ResourceExhausted, &why),
        };
        let answer = match self.queue.submit(report) {
            Ok(answer) => answer.await.unwrap_or(Answer::NotStored),
            Err(error) => {
                self.rates.give_back(taken);
                return Err(self.turned_away(error));
            }
        };
        if !matches!(answer, Answer::Durable(_)) {
            self.rates.give_back(taken);
        }
        match answer {
            Answer::Durable(acknowledged_sequence) => Ok(ReportResponse { epoch, acknowledged_sequence }),
            Answer::Expired => refused(
                Refusal::Sequence,
                Code::FailedPrecondition,
                "epoch: too long silent to be told from a duplicate",
            ),
            Answer::Implausible => refused(
                Refusal::Sequence,
                Code::FailedPrecondition,
                "sequence: further ahead than time since the last report, or since its epoch, allows; send it again later",
            ),
            Answer::Ahead => refused(
                Refusal::Sequence,
                Code::FailedPrecondition,
                "epoch: a day or more ahead of this control plane's clock; set the clock that is wrong",
            ),
            Answer::Full => refused(
                Refusal::NoRoom,
                Code::ResourceExhausted,
                "too many sidecars are remembered; send it again later",
            ),
            // Not the peer's fault, and counted and logged where the disk failed.
            Answer::NotStored => {
                Err(Status::unavailable("evidence cannot be stored now; send it again later"))
            }
        }
    }

    fn check(&mut self, request: ReportRequest) -> Result<NodeReport, Status> {
        let peer = self.peer.clone();
        let invalid = |why: String| peer.refuse_with(Refusal::Invalid, Code::InvalidArgument, &why);
        let report = NodeReport::try_from(request).map_err(|problem| invalid(problem.to_string()))?;
        peer.may_report(&report)?;
        plausible::check(&report.report).map_err(invalid)?;
        self.order.check(&report).map_err(invalid)?;
        Ok(report)
    }

    fn turned_away(&self, error: SubmitError) -> Status {
        Stats::add(&self.stats.turned_away, 1);
        match error {
            SubmitError::QueueFull => self.peer.refuse_with(
                Refusal::NoRoom,
                Code::ResourceExhausted,
                "the evidence queue is full; send it again later",
            ),
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
