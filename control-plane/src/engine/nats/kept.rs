//! The values of the bucket, as every replica sees them change.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;
use tokio::sync::watch;
use tracing::warn;

use super::blob::Found;
use super::layout::Layout;
use super::message::Head;
use super::reader::{Begin, Reader};
use super::status::Status;

/// Heads by key, the newest of each.
#[derive(Debug)]
pub(super) struct Kept {
    heads: watch::Sender<BTreeMap<String, Found>>,
}

impl Default for Kept {
    fn default() -> Self {
        Self { heads: watch::Sender::new(BTreeMap::new()) }
    }
}

impl Kept {
    /// Watches the bucket for ever.
    pub(super) async fn run(self: Arc<Self>, layout: Layout, status: Arc<Status>) {
        let mut reader = Reader::new(&layout.state.stream, layout.names.heads(), Begin::Latest, &status);
        loop {
            let entry = reader.next().await;
            let key = entry.subject.rsplit('.').next().unwrap_or_default();
            match Head::decode(entry.payload) {
                Ok(head) => self.set(key, Found { revision: entry.sequence, head }),
                Err(error) => warn!(key, %error, "not a value of this program; left alone"),
            }
        }
    }

    /// What is there, as far as this replica has heard.
    pub(super) fn head(&self, key: &str) -> Found {
        self.heads.borrow().get(key).cloned().unwrap_or_default()
    }

    /// Takes over what was heard, or written by this replica, unless something newer was.
    pub(super) fn set(&self, key: &str, found: Found) {
        self.heads.send_if_modified(|heads| {
            let newer = heads.get(key).is_none_or(|known| known.revision < found.revision);
            if newer {
                heads.insert(key.to_owned(), found);
            }
            newer
        });
    }

    pub(super) fn changes(&self) -> watch::Receiver<BTreeMap<String, Found>> {
        self.heads.subscribe()
    }
}
