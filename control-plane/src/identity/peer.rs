//! Who opened a stream, and what it may say and ask on it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use emac_core::evidence::HopRecord;
use emac_core::id::WorkloadName;
use emac_core::units::Micros;
use emac_document::shown;
use emac_proto::convert::NodeReport;
use emac_push::service::{Client, Fault};
use tonic::{Code, Status};

use super::gate::{Gate, Holder, StreamKind};
use super::transport::{Cut, Origin};
use crate::places::{Full, Place};
use crate::refusal::{Refusal, WORDS_MAX};

/// A proof that ends later is looked at again after this time: timers cannot wait for ever, and calendars are set.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How long a stream that was ended may take to be read to its end; then it is taken away.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// Who opened a stream.
#[derive(Clone, Debug)]
pub struct Peer {
    pub(super) who: Who,
    /// When its proof ends.
    pub(super) until_unix_s: Option<u64>,
    pub(super) origin: Origin,
    pub(super) cut: Cut,
    pub(super) gate: Arc<Gate>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Anybody,
    /// `<namespace>/<account>`.
    Account(WorkloadName),
    /// A token's.
    Workload(WorkloadName),
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

    /// Time since the process began.
    pub(crate) fn now(&self) -> Micros {
        self.gate.clock.now()
    }

    /// A place for a stream.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED`, with the reason.
    pub fn open(&self, kind: StreamKind) -> Result<Place<Holder>, Status> {
        let [evidence, push] = &self.gate.streams;
        let places = match kind {
            StreamKind::Evidence => evidence,
            StreamKind::Push => push,
        };
        let holder = match &self.who {
            Who::Anybody => Holder::Origin(self.origin),
            Who::Account(name) | Who::Workload(name) => Holder::Proven(name.clone()),
        };
        let label = kind.label();
        places.take(holder).map_err(|full| match full {
            Full::All { most } => self.refuse(
                Refusal::Streams,
                &format!("comes too late: all {most} streams of {label} are taken (connections.streams)"),
            ),
            Full::Peer { held } => self.refuse(
                Refusal::StreamsOfPeer,
                &format!("has {held} streams of {label}, as many as are free (connections.streams)"),
            ),
        })
    }

    /// Waits until what it proved itself by has expired; the status with which its streams end. For ever where nothing expires.
    pub async fn expired(&self) -> Status {
        let Some(until) = self.until_unix_s else { return std::future::pending().await };
        loop {
            let left = Duration::from_secs(until.saturating_sub(self.gate.unix_s()));
            if left.is_zero() {
                return self.refuse(Refusal::Expired, "comes with a proof that has expired");
            }
            tokio::time::sleep(left.min(LOOK_AGAIN)).await;
        }
    }

    /// Ends a stream soon, also where the peer does not read that it has ended.
    pub fn leave(&self) {
        let Cut(cut) = self.cut.clone();
        tokio::spawn(async move {
            tokio::time::sleep(LEAVE_WITHIN).await;
            cut.cancel();
        });
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
                Err(self.refuse(Refusal::Expired, "comes with a proof that has expired"))
            }
            _ => Ok(()),
        }
    }

    /// Counts, logs at a bounded rate, and makes the status to answer with: who it is, and what it does.
    pub fn refuse(&self, refusal: Refusal, does: &str) -> Status {
        self.gate.refuse(refusal, &format!("{} {does}", self.who))
    }

    /// The same with the words and the code of a status that is answered as it is.
    pub fn refuse_with(&self, refusal: Refusal, code: Code, why: &str) -> Status {
        let told = self.gate.refusals.refuse_as(
            refusal,
            code,
            &format!("{why} ({})", self.who),
            self.gate.clock.now(),
        );
        Status::new(told.code(), shown(why, WORDS_MAX))
    }
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anybody => f.write_str("anybody"),
            Self::Account(account) => write!(f, "account {account}"),
            Self::Workload(workload) => write!(f, "token of {workload}"),
        }
    }
}

/// A stream of budgets and who has it.
pub(super) struct PushClient {
    peer: Peer,
    /// Given back with the stream.
    _place: Place<Holder>,
}

impl PushClient {
    pub(super) fn new(peer: Peer, place: Place<Holder>) -> Self {
        Self { peer, _place: place }
    }
}

impl Client for PushClient {
    fn may_ask(&self, names: &[&str]) -> Result<(), Status> {
        let peer = &self.peer;
        if peer.who == Who::Anybody {
            return Ok(());
        }
        peer.is_in_time()?;
        let own = |name: &&str| WorkloadName::new(name).is_ok_and(|workload| peer.speaks_for(&workload));
        match names.iter().find(|name| !own(name)) {
            None => Ok(()),
            Some(&"*") => Err(peer.refuse(Refusal::Resource, "asks for the budgets of all workloads")),
            Some(name) => Err(peer.refuse(Refusal::Resource, &format!("asks for the budgets of {name}"))),
        }
    }

    fn expired(&self) -> Pin<Box<dyn Future<Output = Status> + Send + '_>> {
        Box::pin(self.peer.expired())
    }

    fn refused(&self, fault: Fault, status: Status) -> Status {
        let refusal = match fault {
            Fault::Silent => Refusal::Silent,
            Fault::SlowReader => Refusal::SlowReader,
            Fault::Garbage => Refusal::Garbage,
            Fault::TooLarge => Refusal::TooLarge,
            Fault::Request => Refusal::Request,
        };
        self.peer.refuse_with(refusal, status.code(), status.message())
    }

    fn leave(&self) {
        self.peer.leave();
    }
}
