//! The one place that decides who a peer is and what it may say.

use std::sync::Arc;

use emac_core::id::WorkloadName;
use emac_push::service::{Admission, Client};
use rustls::ServerConfig;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Status};

use super::keep::Credentials;
use super::peer::{Peer, PushClient, Who};
use super::tls::Protocol;
use super::transport::{Cut, Origin, Remote, Transport};
use super::{forwarded, spiffe};
use crate::clock::Clock;
use crate::config::{ConnectionLimits, Identity, Proof};
use crate::places::{Full, Place, Places};
use crate::refusal::{Refusal, Refusals};

/// What all streams ask.
#[derive(Debug)]
pub struct Gate {
    /// `None`: nobody proves anything.
    pub(super) proof: Option<(Proof, Arc<Credentials>)>,
    pub(super) refusals: Refusals,
    limits: ConnectionLimits,
    /// Of connections, by port.
    connections: [Arc<Places<Origin>>; Port::ALL.len()],
    /// Of streams, by kind.
    pub(super) streams: [Arc<Places<Holder>>; StreamKind::ALL.len()],
    /// Bytes of messages under way.
    memory: Arc<Places<Origin>>,
    pub(super) clock: Clock,
}

/// A port, each with places of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Evidence and budgets.
    Grpc,
    /// API, health and metrics.
    Http,
    /// Traces over gRPC.
    OtlpGrpc,
    /// Traces over HTTP.
    OtlpHttp,
}

/// A kind of stream, each with places of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Reports.
    Evidence,
    /// Budgets.
    Push,
}

/// Who holds places for streams.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// Where nobody proves who it is.
    Origin(Origin),
    /// An account or a workload that is proven.
    Proven(WorkloadName),
}

impl Port {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Grpc, Self::Http, Self::OtlpGrpc, Self::OtlpHttp];

    /// Stable label for metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
            Self::OtlpGrpc => "otlp_grpc",
            Self::OtlpHttp => "otlp_http",
        }
    }

    /// What is spoken there.
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Grpc | Self::OtlpGrpc => Protocol::Grpc,
            Self::Http | Self::OtlpHttp => Protocol::Http,
        }
    }
}

impl StreamKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Evidence, Self::Push];

    /// Stable label for metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Evidence => "evidence",
            Self::Push => "budgets",
        }
    }
}

impl Gate {
    /// Who is believed what.
    pub fn new(
        identity: &Identity,
        credentials: Option<Arc<Credentials>>,
        limits: ConnectionLimits,
        clock: Clock,
    ) -> Self {
        let proof = match identity {
            Identity::Nobody => None,
            Identity::Proven(proof) => credentials.map(|credentials| (proof.clone(), credentials)),
        };
        let connections = Port::ALL.map(|_| Places::new(limits.open));
        let streams = StreamKind::ALL.map(|_| Places::new(limits.streams));
        let memory = Places::new(limits.messages_mib << 20);
        Self { proof, refusals: Refusals::default(), limits, connections, streams, memory, clock }
    }

    /// How much peers may take.
    pub fn limits(&self) -> &ConnectionLimits {
        &self.limits
    }

    /// Connections open now, by port.
    pub fn connections(&self) -> impl Iterator<Item = (&'static str, usize)> + '_ {
        Port::ALL.iter().zip(&self.connections).map(|(port, places)| (port.label(), places.taken()))
    }

    /// Streams open now, by kind.
    pub fn streams(&self) -> impl Iterator<Item = (&'static str, usize)> + '_ {
        StreamKind::ALL.iter().zip(&self.streams).map(|(kind, places)| (kind.label(), places.taken()))
    }

    /// A place for a connection.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED`, with the reason.
    pub fn connect(&self, port: Port, transport: &Transport) -> Result<Place<Origin>, Status> {
        let [grpc, http, otlp_grpc, otlp_http] = &self.connections;
        let places = match port {
            Port::Grpc => grpc,
            Port::Http => http,
            Port::OtlpGrpc => otlp_grpc,
            Port::OtlpHttp => otlp_http,
        };
        places.take(transport.remote.origin()).map_err(|full| {
            let (label, remote) = (port.label(), transport.remote);
            match full {
                Full::All { most } => self.refuse(
                    Refusal::Connections,
                    &format!("all {most} connections of port {label} are taken (connections.open); {remote} comes too late"),
                ),
                Full::Peer { held } => self.refuse(
                    Refusal::ConnectionsOfPeer,
                    &format!("{remote} has {held} connections to port {label}, as many as are free (connections.open)"),
                ),
            }
        })
    }

    /// Bytes for messages under way of a peer, none yet.
    pub(crate) fn memory(&self, remote: Remote) -> Place<Origin> {
        self.memory.none(remote.origin())
    }

    /// Bytes taken by messages under way.
    pub fn memory_taken(&self) -> usize {
        self.memory.taken()
    }

    /// Refusals by reason since the start.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.refusals.counts()
    }

    /// When the control plane's own certificate ends, seconds since 1970; `None` without TLS of its own.
    pub fn own_certificate_until_unix_s(&self) -> Option<u64> {
        self.proof.as_ref()?.1.until_unix_s()
    }

    pub(crate) fn tls(&self, protocol: Protocol) -> Option<Arc<ServerConfig>> {
        self.proof.as_ref()?.1.tls(protocol)
    }

    pub(crate) fn unix_s(&self) -> u64 {
        self.clock.unix_ms() / 1_000
    }

    /// Counts, logs at a bounded rate, and makes the status to answer with.
    pub fn refuse(&self, refusal: Refusal, why: &str) -> Status {
        self.refusals.refuse(refusal, why, self.clock.now())
    }

    /// Puts the [`Peer`] that opens a stream into its request.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, with the reason.
    pub fn identify(self: &Arc<Self>, mut request: Request<()>) -> Result<Request<()>, Status> {
        let transport = request.extensions().get::<Transport>().cloned();
        let cut = request.extensions().get::<Cut>().cloned().unwrap_or_default();
        let peer = self.peer(transport.as_ref(), cut, request.metadata())?;
        request.extensions_mut().insert(peer);
        Ok(request)
    }

    /// Whether somebody may send traces: where identities are proven by TLS, whoever proves one, whosesoever it is; else everybody.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, with the reason.
    pub fn may_send_traces(
        self: &Arc<Self>,
        known: Option<&Transport>,
        metadata: &MetadataMap,
    ) -> Result<(), Status> {
        match &self.proof {
            Some((proof, _)) if proof.tls.is_some() => self.peer(known, Cut::default(), metadata).map(|_| ()),
            _ => Ok(()),
        }
    }

    fn peer(
        self: &Arc<Self>,
        transport: Option<&Transport>,
        cut: Cut,
        metadata: &MetadataMap,
    ) -> Result<Peer, Status> {
        let origin = transport.map_or(Origin::Unix, |transport| transport.remote.origin());
        let gate = Arc::clone(self);
        let peer = |who, until_unix_s| Peer { who, until_unix_s, origin, cut, gate };
        let Some((proof, credentials)) = &self.proof else { return Ok(peer(Who::Anybody, None)) };
        let from = transport.map(|transport| transport.remote);
        let told = |(refusal, why): (Refusal, String)| self.refuse(refusal, &from_whom(from, &why));
        if let Some(certificate) = transport.and_then(|transport| transport.certificate.as_deref()) {
            let uri =
                certificate.uri.as_deref().ok_or_else(|| told(without_uri("the peer's certificate")))?;
            let account = spiffe::account(uri, &proof.trust_domains).map_err(told)?;
            return Ok(peer(Who::Account(account), Some(certificate.until_unix_s)));
        }
        let header = metadata.get_all(forwarded::HEADER).iter().next_back();
        if let Some(header) = header.filter(|_| proof.sidecar) {
            let uri = header.to_str().ok().and_then(forwarded::last_uri);
            let uri = uri.ok_or_else(|| told(without_uri(forwarded::HEADER)))?;
            let account = spiffe::account(&uri, &proof.trust_domains).map_err(told)?;
            return Ok(peer(Who::Account(account), None));
        }
        let mut shown = metadata.get_all("authorization").iter();
        let bearer = shown.next().and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        if credentials.keys().is_some() && shown.next().is_some() {
            return Err(told((Refusal::Malformed, SEVERAL_PROOFS.to_owned())));
        }
        if let Some((keys, token)) = credentials.keys().zip(bearer) {
            let (workload, until) = keys.verify(token.trim(), self.unix_s()).map_err(told)?;
            return Ok(peer(Who::Workload(workload), Some(until)));
        }
        Err(told((Refusal::Missing, ways(proof))))
    }
}

/// Of two proofs one may be somebody else's.
pub(crate) const SEVERAL_PROOFS: &str = "several `authorization` headers; expected one";

/// What a peer lacks: the ways that are configured.
fn ways(proof: &Proof) -> String {
    let ways = [
        (proof.tls.is_some(), "a client certificate"),
        (proof.sidecar, "`x-forwarded-client-cert` of a sidecar (mutual TLS in the mesh)"),
        (proof.token_keys.is_some(), "`authorization: Bearer` with a token of `emac token`"),
    ];
    let ways: Vec<_> = ways.into_iter().filter_map(|(is, way)| is.then_some(way)).collect();
    format!("no identity; expected {}", ways.join(", or "))
}

fn without_uri(what: &str) -> (Refusal, String) {
    (Refusal::Malformed, format!("{what} does not name exactly one URI"))
}

fn from_whom(from: Option<Remote>, why: &str) -> String {
    from.map_or_else(|| why.to_owned(), |from| format!("{why} (from {from})"))
}

impl Admission for Gate {
    fn admit(&self, known: &Extensions) -> Result<Arc<dyn Client>, Status> {
        match known.get::<Peer>() {
            Some(peer) => {
                let place = peer.open(StreamKind::Push)?;
                Ok(Arc::new(PushClient::new(peer.clone(), place)))
            }
            None => Err(self.refuse(Refusal::Missing, "no identity")),
        }
    }
}
