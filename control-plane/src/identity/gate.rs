//! The one place that decides who a peer is and what it may say.

use std::net::SocketAddr;
use std::sync::Arc;

use emac_core::evidence::HopRecord;
use emac_core::id::WorkloadName;
use emac_proto::convert::NodeReport;
use emac_push::service::{Admission, Client};
use rustls::ServerConfig;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Status};

use super::incoming::Transport;
use super::keep::Credentials;
use super::refusal::{Refusal, Refusals};
use super::tls::Protocol;
use super::{forwarded, spiffe};
use crate::clock::Clock;
use crate::config::{Identity, Proof};

/// What all streams ask.
#[derive(Debug)]
pub struct Gate {
    /// `None`: nobody proves anything.
    proof: Option<(Proof, Arc<Credentials>)>,
    refusals: Refusals,
    clock: Clock,
}

/// Who opened a stream.
#[derive(Clone, Debug)]
pub struct Peer {
    who: Who,
    /// When its proof ends.
    until_unix_s: Option<u64>,
    gate: Arc<Gate>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    Anybody,
    /// `<namespace>/<account>`.
    Account(WorkloadName),
    /// A token's.
    Workload(WorkloadName),
}

impl Gate {
    /// Who is believed what.
    pub fn new(identity: &Identity, credentials: Option<Arc<Credentials>>, clock: Clock) -> Self {
        let proof = match identity {
            Identity::Nobody => None,
            Identity::Proven(proof) => credentials.map(|credentials| (proof.clone(), credentials)),
        };
        Self { proof, refusals: Refusals::default(), clock }
    }

    /// Refusals by reason since the start.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.refusals.counts()
    }

    /// When the control plane's own certificate ends, seconds since 1970; `None` without TLS of its own.
    pub fn own_certificate_until_unix_s(&self) -> Option<u64> {
        self.proof.as_ref()?.1.until_unix_s()
    }

    pub(super) fn tls(&self, protocol: Protocol) -> Option<Arc<ServerConfig>> {
        self.proof.as_ref()?.1.tls(protocol)
    }

    pub(super) fn unix_s(&self) -> u64 {
        self.clock.unix_ms() / 1_000
    }

    pub(super) fn refuse(&self, refusal: Refusal, why: &str) -> Status {
        self.refusals.refuse(refusal, why, self.clock.now())
    }

    /// Puts the [`Peer`] that opens a stream into its request.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, with the reason.
    pub fn identify(self: &Arc<Self>, mut request: Request<()>) -> Result<Request<()>, Status> {
        let transport = request.extensions().get::<Transport>().cloned();
        let peer = self.peer(transport.as_ref(), request.metadata())?;
        request.extensions_mut().insert(peer);
        Ok(request)
    }

    fn peer(self: &Arc<Self>, transport: Option<&Transport>, metadata: &MetadataMap) -> Result<Peer, Status> {
        let peer = |who, until_unix_s| Peer { who, until_unix_s, gate: Arc::clone(self) };
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
        let bearer =
            metadata.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        if let Some((keys, token)) = credentials.keys().zip(bearer) {
            let (workload, until) = keys.verify(token.trim(), self.unix_s()).map_err(told)?;
            return Ok(peer(Who::Workload(workload), Some(until)));
        }
        Err(told((Refusal::Missing, ways(proof))))
    }
}

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

fn from_whom(from: Option<SocketAddr>, why: &str) -> String {
    from.map_or_else(|| why.to_owned(), |from| format!("{why} (from {from})"))
}

impl Peer {
    /// Whether it may send a report: of its own workload, with its own calls only.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` or `UNAUTHENTICATED`, with the reason.
    pub fn may_report(&self, report: &NodeReport) -> Result<(), Status> {
        if self.who == Who::Anybody {
            return Ok(());
        }
        self.is_in_time()?;
        let workload = &report.workload;
        if !self.speaks_for(workload) {
            return Err(self.refuse(Refusal::Workload, &format!("reports for {workload}")));
        }
        let delta = &report.report.delta;
        let own = workload.as_str();
        // The caller of a call that arrived is not the reporter's to say; that it arrived at the reporter is.
        let side = |record: &HopRecord| match record.inbound {
            true => record.hop.destination.clone(),
            false => record.hop.source.clone(),
        };
        let sources = delta.hops.keys().map(|hop| hop.source.clone()).chain(delta.records.iter().map(side));
        match sources.into_iter().find(|source| source != own) {
            None => Ok(()),
            Some(other) => {
                Err(self.refuse(Refusal::Workload, &format!("reports calls of `{other}` as {workload}")))
            }
        }
    }

    fn speaks_for(&self, workload: &WorkloadName) -> bool {
        match &self.who {
            Who::Anybody => true,
            Who::Workload(own) => own == workload,
            Who::Account(account) if account == workload => true,
            Who::Account(account) => {
                let proof = self.gate.proof.as_ref().map(|(proof, _)| proof);
                let mut accounts = proof.into_iter().flat_map(|proof| &proof.accounts);
                let listed = accounts.find(|(name, _)| name == account);
                listed.is_some_and(|(_, allowed)| allowed.iter().any(|one| one.covers(workload)))
            }
        }
    }

    fn is_in_time(&self) -> Result<(), Status> {
        match self.until_unix_s {
            Some(until) if self.gate.unix_s() >= until => {
                Err(self.refuse(Refusal::Expired, "its proof has expired"))
            }
            _ => Ok(()),
        }
    }

    fn refuse(&self, refusal: Refusal, why: &str) -> Status {
        let who = match &self.who {
            Who::Anybody => "anybody".to_owned(),
            Who::Account(account) => format!("account {account}"),
            Who::Workload(workload) => format!("token of {workload}"),
        };
        self.gate.refuse(refusal, &format!("{who} {why}"))
    }
}

impl Client for Peer {
    fn may_ask(&self, names: &[&str]) -> Result<(), Status> {
        if self.who == Who::Anybody {
            return Ok(());
        }
        self.is_in_time()?;
        let own = |name: &&str| WorkloadName::new(name).is_ok_and(|workload| self.speaks_for(&workload));
        match names.iter().find(|name| !own(name)) {
            None => Ok(()),
            Some(&"*") => Err(self.refuse(Refusal::Resource, "asks for the budgets of all workloads")),
            Some(name) => Err(self.refuse(Refusal::Resource, &format!("asks for the budgets of {name}"))),
        }
    }
}

impl Admission for Gate {
    fn admit(&self, known: &Extensions) -> Result<Arc<dyn Client>, Status> {
        match known.get::<Peer>() {
            Some(peer) => Ok(Arc::new(peer.clone())),
            None => Err(self.refuse(Refusal::Missing, "no identity")),
        }
    }
}
