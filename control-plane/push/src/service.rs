//! The aggregated discovery service: one task a stream, and no logic.
//!
//! A task waits for whatever comes first (a request, a new snapshot, room to send, the end) and asks the stream's machine what
//! to send only when there is room for it, so a slow client is sent the latest state when it is ready and nothing piles up: one
//! response waits in the channel, the rest is the transport's window.
//!
//! Left out: encryption and the checking of certificates, which the server's listener does; what a client may see is decided in one
//! place, [`Admission`] and the [`Client`] it lets in.

mod session;

use super::paced::Paced;
use super::protocol::{Code, Kind, KindTable, State, StreamError, StreamLimits, Watch};
use super::proxies::{Connection, Proxies, Variant};
use super::snapshot::Feed;
use super::{Now, protocol};
use emac_proto::WORKLOAD_BUDGETS_TYPE_URL;
use emac_proto::xds::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use emac_proto::xds::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

/// Bounds on what clients may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceLimits {
    /// Streams open at once.
    pub streams_max: usize,
    /// Longest request. Names of a reconnecting wildcard client are the largest thing a request holds.
    pub request_bytes_max: usize,
    /// A stream whose client says nothing for this long at its start is ended: it would hold a place for nothing.
    pub first_request_within: Duration,
    /// A stream whose client takes nothing of what it is sent for this long is ended.
    pub read_within: Duration,
    /// Streams end within this time of the server's end, one after the other.
    pub drain: Duration,
    /// Bounds within a stream.
    pub stream: StreamLimits,
}

impl Default for ServiceLimits {
    fn default() -> Self {
        Self {
            streams_max: 65_536,
            request_bytes_max: 4 << 20,
            first_request_within: Duration::from_secs(30),
            read_within: Duration::from_secs(30),
            drain: Duration::ZERO,
            stream: StreamLimits::default(),
        }
    }
}

/// Who may connect; called once a stream, with what the layers before this one know of its client.
pub trait Admission: Send + Sync {
    /// Lets the client in, or says why not (it is told).
    ///
    /// # Errors
    /// The status with which the stream ends.
    fn admit(&self, known: &tonic::Extensions) -> Result<Arc<dyn Client>, Status>;
}

/// What a layer below the service said to the client, if that is why nothing more can be read of it: a status on its way through a body comes
/// out as the cause of another.
pub fn said_below(status: &Status) -> Option<Status> {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        match error.downcast_ref::<Status>() {
            Some(said) => return Some(Status::new(said.code(), said.message())),
            None => cause = error.source(),
        }
    }
    None
}

/// What a client does wrong, for which its stream is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its first request did not come in time.
    Silent,
    /// It does not read what it is sent.
    SlowReader,
    /// What it sends is no request.
    Garbage,
    /// Its request is longer than any may be.
    TooLarge,
    /// Its request breaks the protocol.
    Request,
}

/// A client that was let in. Dropped with its stream.
pub trait Client: Send + Sync {
    /// Whether it may have the resources of these names, `*` standing for all; asked at each of its requests.
    ///
    /// # Errors
    /// The status with which the stream ends.
    fn may_ask(&self, names: &[&str]) -> Result<(), Status>;

    /// Waits until what the client proved itself by has expired; the status with which the stream ends then. By default for ever.
    fn expired(&self) -> Pin<Box<dyn Future<Output = Status> + Send + '_>> {
        Box::pin(std::future::pending())
    }

    /// Hears why the stream ends, and says with which status.
    fn refused(&self, _fault: Fault, status: Status) -> Status {
        status
    }

    /// Called at the end of a stream: sees to it that it goes, also where the client does not read its end.
    fn leave(&self) {}
}

/// Lets everybody have everything: for a listener that only the trusted can reach.
#[derive(Clone, Copy, Debug, Default)]
pub struct AdmitAll;

impl Admission for AdmitAll {
    fn admit(&self, _known: &tonic::Extensions) -> Result<Arc<dyn Client>, Status> {
        Ok(Arc::new(Self))
    }
}

impl Client for AdmitAll {
    fn may_ask(&self, _names: &[&str]) -> Result<(), Status> {
        Ok(())
    }
}

/// The gRPC service.
#[derive(Clone)]
pub struct PushService {
    shared: Arc<Shared>,
}

/// The responses of one stream. Boxed: a channel has room for 32 of whatever it carries, however few may wait.
type Answers<R> = Unboxed<Result<R, Status>>;

/// What comes out of a channel of boxes.
pub struct Unboxed<T>(ReceiverStream<Box<T>>);

impl<T> Stream for Unboxed<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.0).poll_next(cx).map(|it| it.map(|boxed| *boxed))
    }
}

/// What all streams use.
#[derive(Clone)]
struct Shared {
    kinds: Arc<KindTable>,
    limits: ServiceLimits,
    feed: Arc<Feed>,
    proxies: Arc<Proxies>,
    admission: Arc<dyn Admission>,
    now: Now,
    shutdown: CancellationToken,
    log: Arc<Log>,
}

/// Lines that clients can cause.
#[derive(Default)]
struct Log {
    refused: Paced,
    unknown_kind: Paced,
}

// === impl PushService ===

impl PushService {
    /// Serves budgets from `feed` until `shutdown`, on which every stream ends with `UNAVAILABLE` so that its client
    /// looks for another server.
    pub fn new(feed: Arc<Feed>, proxies: Arc<Proxies>, now: Now, shutdown: CancellationToken) -> Self {
        // Partial state, as the protocol has it for every kind but listeners and clusters.
        let kinds = Arc::new(KindTable::new(vec![Kind::new(WORKLOAD_BUDGETS_TYPE_URL, State::Partial)]));
        let (limits, admission) = (ServiceLimits::default(), Arc::new(AdmitAll));
        Self {
            shared: Arc::new(Shared {
                kinds,
                limits,
                feed,
                proxies,
                admission,
                now,
                shutdown,
                log: Arc::default(),
            }),
        }
    }

    /// With other bounds.
    #[must_use]
    pub fn with_limits(mut self, limits: ServiceLimits) -> Self {
        Arc::make_mut(&mut self.shared).limits = limits;
        self
    }

    /// With somebody at the door.
    #[must_use]
    pub fn with_admission(mut self, admission: Arc<dyn Admission>) -> Self {
        Arc::make_mut(&mut self.shared).admission = admission;
        self
    }

    /// As a service of a tonic server.
    pub fn into_server(self) -> AggregatedDiscoveryServiceServer<Self> {
        let request_bytes_max = self.shared.limits.request_bytes_max;
        AggregatedDiscoveryServiceServer::new(self).max_decoding_message_size(request_bytes_max)
    }

    fn open<W>(
        &self,
        variant: Variant,
        request: Request<Streaming<W::Request>>,
    ) -> Result<Response<Answers<W::Response>>, Status>
    where
        W: Watch + Send + 'static,
        W::Request: Send + 'static,
        W::Response: Send + 'static,
    {
        let client = self.shared.admission.admit(request.extensions()).inspect_err(|status| {
            if status.code() == tonic::Code::ResourceExhausted {
                self.shared.proxies.turned_away();
            }
        })?;
        let connection = self.connect(variant)?;
        // One response may wait; more would only grow old.
        let (out, responses) = mpsc::channel(1);
        let session = session::Session::<W>::new(Arc::clone(&self.shared), connection, client);
        tokio::spawn(session.run(request.into_inner(), out));
        Ok(Response::new(Unboxed(ReceiverStream::new(responses))))
    }

    fn connect(&self, variant: Variant) -> Result<Connection, Status> {
        let (max, now) = (self.shared.limits.streams_max, (self.shared.now)());
        let connection = self.shared.proxies.connect(variant, max, now);
        connection.ok_or_else(|| {
            Status::resource_exhausted(format!("stream limit reached: {max} streams are open"))
        })
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for PushService {
    type StreamAggregatedResourcesStream = Answers<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Answers<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        self.open::<protocol::SotwWatch>(Variant::Sotw, request)
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        self.open::<protocol::DeltaWatch>(Variant::Delta, request)
    }
}

impl From<StreamError> for Status {
    fn from(error: StreamError) -> Self {
        let code = match error.code() {
            Code::InvalidArgument => tonic::Code::InvalidArgument,
            Code::ResourceExhausted => tonic::Code::ResourceExhausted,
            Code::Unavailable => tonic::Code::Unavailable,
        };
        Self::new(code, error.to_string())
    }
}
