//! The value of people's orders, which all replicas share: written by compare-and-swap, watched by every replica. What it says is not this module's business.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::bytes::Bytes;
use tokio::sync::watch;

use super::blob::{self, Found};
use super::kept::Kept;
use super::layout::Layout;

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
