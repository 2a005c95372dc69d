//! The value of people's orders, which all replicas share: written by compare-and-swap, watched by every replica. What it says is not this module's business.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::bytes::Bytes;
use tokio::sync::watch;

use super::Cluster;
use super::blob::{self, Found};
use super::kept::Kept;
use super::layout::Layout;
use super::status::Part;

/// Key in the bucket.
const KEY: &str = "enforcement";

/// The value as it was found.
#[derive(Clone, Debug)]
pub struct SharedOrders {
    /// What it says, or why that cannot be read; `None`: nothing was ever written, or somebody deleted it.
    pub bytes: Result<Option<Bytes>, String>,
    found: Found,
}

impl SharedOrders {
    /// Of the bucket: grows with every change.
    pub fn revision(&self) -> u64 {
        self.found.revision
    }
}

/// Ticks when a value of the bucket changes.
#[derive(Debug)]
pub struct Changes(watch::Receiver<BTreeMap<String, Found>>);

impl Changes {
    /// Comes with the next change, at once when one came since the last call; never once the engine has ended.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A replica that does not do as the newest order says, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Its name.
    pub replica: String,
    /// Its API.
    pub http: String,
    /// For how long it has not been heard.
    pub silent: Duration,
}

/// The value in its bucket.
#[derive(Debug)]
pub(super) struct Orders {
    pub(super) layout: Layout,
    pub(super) kept: Arc<Kept>,
}

impl Orders {
    /// The value as NATS has it now.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) async fn read(&self) -> Result<SharedOrders, String> {
        let found = blob::find(&self.layout, KEY).await?;
        Ok(self.of(found).await)
    }

    /// The value, if this replica has heard of one that is newer. Values of the bucket are heard in their order: who has heard of a plan has heard of every
    /// order that was written before it.
    pub(super) async fn newer_than(&self, revision: u64) -> Option<SharedOrders> {
        let found = self.kept.head(KEY);
        if found.revision <= revision { None } else { Some(self.of(found).await) }
    }

    async fn of(&self, found: Found) -> SharedOrders {
        let bytes = blob::value(&self.layout, KEY, &found).await;
        SharedOrders { bytes, found }
    }

    /// Writes a value in place of the one that was found, if nobody was faster. Returns it as it is there now.
    ///
    /// # Errors
    /// Why it is not written.
    pub(super) async fn write(&self, before: &SharedOrders, bytes: Bytes) -> Result<SharedOrders, String> {
        let order = before.found.head.order + 1;
        let found = blob::write(&self.layout, KEY, &before.found, order, bytes.clone()).await?;
        self.kept.set(KEY, found.clone());
        Ok(SharedOrders { bytes: Ok(Some(bytes)), found })
    }

    pub(super) fn changes(&self) -> Changes {
        Changes(self.kept.changes())
    }
}

impl Cluster {
    /// People's orders as NATS has them now.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub async fn orders(&self) -> Result<SharedOrders, String> {
        let read = self.shared_orders()?.read().await;
        match &read {
            Ok(_) => self.status.well(Part::Orders),
            Err(problem) if self.status.is_connected() => {
                let problem = self.status.explain(problem);
                self.status
                    .trouble(Part::Orders, format!("orders about enforcement cannot be read: {problem}"));
            }
            Err(_) => {}
        }
        read
    }

    /// People's orders, if those that this replica has heard of are newer than a revision.
    ///
    /// # Errors
    /// When NATS was never there.
    pub async fn orders_after(&self, revision: u64) -> Result<Option<SharedOrders>, String> {
        Ok(self.shared_orders()?.newer_than(revision).await)
    }

    /// Puts people's orders in the place of those that were read before; `Err` where that failed, which is said unless another replica was faster.
    ///
    /// # Errors
    /// With what is there instead, if that could be read.
    pub async fn write_orders(
        &self,
        before: &SharedOrders,
        bytes: Vec<u8>,
    ) -> Result<SharedOrders, Option<SharedOrders>> {
        let orders = self.shared_orders().map_err(|_| None)?;
        let problem = match orders.write(before, bytes.into()).await {
            Ok(written) => {
                self.status.well(Part::Orders);
                return Ok(written);
            }
            Err(problem) => problem,
        };
        match orders.read().await {
            Ok(found) if found.revision() != before.revision() => Err(Some(found)),
            _ => {
                if self.status.is_connected() {
                    let problem = self.status.explain(problem);
                    let text =
                        format!("orders about enforcement cannot be given to the other replicas: {problem}");
                    self.status.trouble(Part::Orders, text);
                }
                Err(None)
            }
        }
    }

    /// Changes of the bucket; `None` before NATS is there.
    pub fn changes(&self) -> Option<Changes> {
        self.orders.get().map(Orders::changes)
    }

    fn shared_orders(&self) -> Result<&Orders, String> {
        self.orders.get().ok_or_else(|| "NATS is not connected".to_owned())
    }

    /// Tells the others how far this replica follows the shared orders.
    pub fn obey(&self, raised: u64) {
        self.obeys.send_if_modified(|obeys| std::mem::replace(obeys, raised) != raised);
    }

    /// Replicas heard lately that do not follow the shared orders so far, as far as they told.
    pub fn behind(&self, raised: u64) -> Vec<Behind> {
        let others = self.members.all(Instant::now()).into_iter();
        let others = others.filter(|(_, beat)| beat.id != self.me && !beat.leaving && beat.obeys < raised);
        others.map(|(silent, beat)| Behind { replica: beat.id, http: beat.http, silent }).collect()
    }
}
