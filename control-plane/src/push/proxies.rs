//! Who is connected, what they were sent, what they accepted and what they refused.
//!
//! One entry a stream, for as long as the stream lives, kept by a [`Connection`] that removes it when dropped; totals live on.
//! Entries are bounded: in number by the cap on streams, in size by cutting what clients say about themselves.

use super::protocol::{ErrorDetail, Receipt, Shipment};
use super::snapshot::generation_of;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Longest node id, workload name or error message kept; longer ones are cut.
const TEXT_BYTES_MAX: usize = 512;

/// Which variant of the protocol a stream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// State of the world.
    Sotw,
    /// Incremental.
    Delta,
}

/// One connected proxy, as shown to people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proxy {
    /// Number of the stream, unique for the life of this process.
    pub stream: u64,
    /// Node id the client gave; empty until its first request.
    pub node: String,
    /// First resource it asked for by name: a sidecar asks for its own workload. Empty for a wildcard client.
    pub workload: String,
    /// Variant it speaks.
    pub variant: Variant,
    /// Milliseconds since 1970.
    pub connected_since_unix_ms: u64,
    /// Responses sent to it.
    pub pushes: u64,
    /// Responses it accepted.
    pub acks: u64,
    /// Responses it refused.
    pub nacks: u64,
    /// What it accepted last.
    pub accepted: Option<Answered>,
    /// What it refused last; stays after a later acceptance, so compare the times.
    pub refused: Option<Answered>,
}

/// A response and what the client said to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answered {
    /// Milliseconds since 1970.
    pub at_unix_ms: u64,
    /// Version of the resource, or of the set when the response carried none or several.
    pub version: String,
    /// Generation of the plan in that version.
    pub generation: Option<u64>,
    /// The client's words; empty for an acceptance.
    pub error: String,
}

/// Sums over all streams since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Streams opened.
    pub streams: u64,
    /// Streams turned away because of the cap.
    pub turned_away: u64,
    /// Responses sent.
    pub pushes: u64,
    /// Responses accepted.
    pub acks: u64,
    /// Responses refused.
    pub nacks: u64,
    /// Answers to a response that was not the newest.
    pub stale: u64,
    /// Requests for a kind that is not served.
    pub unknown_kind: u64,
}

/// The registry. Cheap to share; a lock is held for the length of a few assignments.
#[derive(Debug, Default)]
pub struct Proxies {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    totals: Totals,
    connected: BTreeMap<u64, Proxy>,
}

/// The entry of one stream; dropping it removes the entry.
#[derive(Debug)]
pub struct Connection {
    proxies: Arc<Proxies>,
    stream: u64,
}

// === impl Proxies ===

impl Proxies {
    /// Enters a stream, unless `max` are there already.
    pub fn connect(self: &Arc<Self>, variant: Variant, max: usize, unix_ms: u64) -> Option<Connection> {
        let mut inner = self.lock();
        if inner.connected.len() >= max {
            inner.totals.turned_away += 1;
            return None;
        }
        inner.totals.streams += 1;
        let stream = inner.totals.streams;
        inner.connected.insert(stream, Proxy::new(stream, variant, unix_ms));
        Some(Connection { proxies: Arc::clone(self), stream })
    }

    /// Streams open now.
    pub fn connected(&self) -> usize {
        self.lock().connected.len()
    }

    /// The open streams, oldest first.
    pub fn list(&self) -> Vec<Proxy> {
        self.lock().connected.values().cloned().collect()
    }

    /// Sums since the start.
    pub fn totals(&self) -> Totals {
        self.lock().totals
    }

    /// Every change is a few assignments, so a poisoned lock holds nothing half done.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Connection ===

impl Connection {
    /// Notes who the client is; the first of each that it says counts.
    pub fn introduce(&self, node: Option<&str>, workload: Option<&str>) {
        self.update(|_, proxy| {
            if let (true, Some(node)) = (proxy.node.is_empty(), node) {
                proxy.node = cut(node);
            }
            if let (true, Some(workload)) = (proxy.workload.is_empty(), workload) {
                proxy.workload = cut(workload);
            }
        });
    }

    /// Notes a response sent.
    pub fn pushed(&self) {
        self.update(|totals, proxy| {
            totals.pushes += 1;
            proxy.pushes += 1;
        });
    }

    /// Notes what a request said about earlier responses.
    pub fn received(&self, receipt: &Receipt, unix_ms: u64) {
        self.update(|totals, proxy| match receipt {
            Receipt::Subscribed => {}
            Receipt::Stale { .. } => totals.stale += 1,
            Receipt::UnknownKind => totals.unknown_kind += 1,
            Receipt::Acked(shipment) => {
                totals.acks += 1;
                proxy.acks += 1;
                proxy.accepted = Some(answered(shipment, None, unix_ms));
            }
            Receipt::Nacked { shipment, error } => {
                totals.nacks += 1;
                proxy.nacks += 1;
                proxy.refused = Some(answered(shipment, Some(error), unix_ms));
            }
        });
    }

    fn update(&self, change: impl FnOnce(&mut Totals, &mut Proxy)) {
        let mut inner = self.proxies.lock();
        let Inner { totals, connected } = &mut *inner;
        if let Some(proxy) = connected.get_mut(&self.stream) {
            change(totals, proxy);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.proxies.lock().connected.remove(&self.stream);
    }
}

impl Proxy {
    fn new(stream: u64, variant: Variant, connected_since_unix_ms: u64) -> Self {
        let (node, workload) = (String::new(), String::new());
        let (pushes, acks, nacks, accepted, refused) = (0, 0, 0, None, None);
        Self {
            stream,
            node,
            workload,
            variant,
            connected_since_unix_ms,
            pushes,
            acks,
            nacks,
            accepted,
            refused,
        }
    }
}

fn answered(shipment: &Shipment, error: Option<&ErrorDetail>, at_unix_ms: u64) -> Answered {
    let version = match shipment.resources.as_slice() {
        [(_, version)] => version,
        _ => &shipment.version,
    };
    Answered {
        at_unix_ms,
        version: version.to_string(),
        generation: generation_of(version).map(|generation| generation.0),
        error: error.map(|error| cut(&error.message)).unwrap_or_default(),
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_about_itself_is_cut_and_its_entry_goes_with_it() {
        let proxies = Arc::<Proxies>::default();
        let connection = proxies.connect(Variant::Delta, 1, 7).unwrap();
        assert!(proxies.connect(Variant::Sotw, 1, 8).is_none());
        connection.introduce(Some(&"é".repeat(10_000)), Some("shop/cart"));
        connection.introduce(Some("another"), Some("shop/other"));
        let error = ErrorDetail { code: 3, message: "x".repeat(10_000) };
        connection.received(&Receipt::Nacked { shipment: Shipment::default(), error }, 9);
        let proxy = &proxies.list()[0];
        assert_eq!((proxy.node.len(), proxy.workload.as_str()), (TEXT_BYTES_MAX, "shop/cart"));
        assert_eq!(proxy.refused.as_ref().map(|r| (r.at_unix_ms, r.error.len())), Some((9, TEXT_BYTES_MAX)));
        drop(connection);
        assert_eq!(proxies.connected(), 0);
        let totals = proxies.totals();
        assert_eq!((totals.streams, totals.turned_away, totals.nacks), (1, 1, 1));
    }
}
