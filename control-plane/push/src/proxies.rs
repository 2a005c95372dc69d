//! Who is connected, what they were sent, what they accepted and what they refused.
//!
//! One entry a stream, for as long as the stream lives, kept by a [`Connection`] that removes it when dropped; totals live on.
//! Of a stream that ended the last entry of its node is kept until the node opens another, for at most [`PAST_KEPT`].
//! Entries are bounded: in number by the cap on streams and by [`PAST_MAX`], in size by cutting what clients say about themselves.

use super::protocol::{ErrorDetail, Receipt, Shipment};
use super::snapshot::generation_of;
use super::standing::End;
use emac_core::sketch::Sketch;
use emac_core::units::Micros;
use emac_core::units::Moment;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Longest node id, workload name or error message kept; longer ones are cut.
const TEXT_BYTES_MAX: usize = 512;
/// Most nodes remembered whose stream ended; beyond it the one that ended first is forgotten and counted.
pub const PAST_MAX: usize = 1_000;
/// How long a node whose stream ended is remembered.
pub const PAST_KEPT: Micros = Micros(3_600 * 1_000_000);

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
    /// Whether its last answer was a refusal.
    #[serde(skip)]
    pub refused_last: bool,
    /// When it connected.
    #[serde(skip)]
    pub connected: Micros,
    /// When its last request came.
    #[serde(skip)]
    pub heard: Option<Micros>,
    /// When the oldest response was sent that it has not answered, by itself or with a later one.
    #[serde(skip)]
    pub owed_since: Option<Micros>,
    /// When the newest response was sent.
    #[serde(skip)]
    pub sent: Option<Micros>,
}

/// A stream that ended and that its node did not open again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// As it was at its end.
    pub proxy: Proxy,
    /// When that was.
    pub at: Micros,
    /// How it ended.
    pub end: End,
}

/// A response and what the client said to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answered {
    /// Milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The same on the clock that durations are measured by.
    #[serde(skip)]
    pub at: Micros,
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
    /// Nodes forgotten because their stream ended [`PAST_KEPT`] ago.
    pub forgotten_by_time: u64,
    /// Nodes forgotten because more than [`PAST_MAX`] were remembered.
    pub forgotten_by_number: u64,
}

/// How long things took, over all streams since the start of the process.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    /// From publishing a plan, or a lease anew, to handing it to a stream that was open.
    pub push: Sketch,
    /// From handing a response to its stream to its acceptance.
    pub acknowledgement: Sketch,
}

/// The registry. Cheap to share; a lock is held for the length of a few assignments.
#[derive(Debug, Default)]
pub struct Proxies {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    totals: Totals,
    latencies: Latencies,
    connected: BTreeMap<u64, Proxy>,
    past: BTreeMap<String, Past>,
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
    pub fn connect(self: &Arc<Self>, variant: Variant, max: usize, now: Moment) -> Option<Connection> {
        let mut inner = self.lock();
        if inner.connected.len() >= max {
            inner.totals.turned_away += 1;
            return None;
        }
        inner.totals.streams += 1;
        let stream = inner.totals.streams;
        inner.connected.insert(stream, Proxy::new(stream, variant, now));
        Some(Connection { proxies: Arc::clone(self), stream })
    }

    /// Counts a stream that was turned away before it was entered.
    pub fn turned_away(&self) {
        self.lock().totals.turned_away += 1;
    }

    /// Streams open now.
    pub fn connected(&self) -> usize {
        self.lock().connected.len()
    }

    /// The open streams, oldest first.
    pub fn list(&self) -> Vec<Proxy> {
        self.lock().connected.values().cloned().collect()
    }

    /// The last stream of each node that has none open, by node.
    pub fn past(&self, now: Micros) -> Vec<Past> {
        let mut inner = self.lock();
        inner.forget(now);
        let open: BTreeSet<&str> = inner.connected.values().map(|proxy| proxy.node.as_str()).collect();
        inner.past.values().filter(|past| !open.contains(past.proxy.node.as_str())).cloned().collect()
    }

    /// Sums since the start.
    pub fn totals(&self) -> Totals {
        self.lock().totals
    }

    /// How long things took since the start.
    pub fn latencies(&self) -> Latencies {
        self.lock().latencies.clone()
    }

    /// Every change is a few assignments, so a poisoned lock holds nothing half done.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
    fn remember(&mut self, past: Past) {
        self.forget(past.at);
        self.past.insert(past.proxy.node.clone(), past);
        if self.past.len() > PAST_MAX
            && let Some(first) =
                self.past.iter().min_by_key(|(_, past)| past.at).map(|(node, _)| node.clone())
        {
            self.past.remove(&first);
            self.totals.forgotten_by_number += 1;
        }
    }

    fn forget(&mut self, now: Micros) {
        let before = self.past.len();
        self.past.retain(|_, past| now.since(past.at) < PAST_KEPT);
        self.totals.forgotten_by_time += (before - self.past.len()) as u64;
    }
}

// === impl Connection ===

impl Connection {
    /// Notes who the client is; the first of each that it says counts.
    pub fn introduce(&self, node: Option<&str>, workload: Option<&str>) {
        self.update(|inner, proxy| {
            if let (true, Some(node)) = (proxy.node.is_empty(), node) {
                proxy.node = cut(node);
                inner.past.remove(&proxy.node);
            }
            if let (true, Some(workload)) = (proxy.workload.is_empty(), workload) {
                proxy.workload = cut(workload);
            }
        });
    }

    /// Notes a response sent, and how long ago its news was published, where it is news.
    pub fn pushed(&self, at: Micros, since_published: Option<Micros>) {
        self.update(|inner, proxy| {
            inner.totals.pushes += 1;
            if let Some(since) = since_published {
                inner.latencies.push.record(since);
            }
            proxy.sent = Some(at);
            proxy.pushes += 1;
            proxy.owed_since.get_or_insert(at);
        });
    }

    /// Notes what a request said about earlier responses.
    pub fn received(&self, receipt: &Receipt, now: Moment) {
        self.update(|inner, proxy| {
            proxy.heard = Some(now.at);
            let totals = &mut inner.totals;
            match receipt {
                Receipt::Subscribed => {}
                Receipt::Stale { .. } => totals.stale += 1,
                Receipt::UnknownKind => totals.unknown_kind += 1,
                Receipt::Acked(shipment) => {
                    if let Some(sent) = proxy.sent {
                        inner.latencies.acknowledgement.record(now.at.since(sent));
                    }
                    totals.acks += 1;
                    proxy.acks += 1;
                    proxy.owed_since = None;
                    proxy.accepted = Some(answered(shipment, None, now));
                }
                Receipt::Nacked { shipment, error } => {
                    totals.nacks += 1;
                    proxy.nacks += 1;
                    proxy.owed_since = None;
                    proxy.refused = Some(answered(shipment, Some(error), now));
                }
            }
            proxy.refused_last = match receipt {
                Receipt::Acked(_) => false,
                Receipt::Nacked { .. } => true,
                _ => proxy.refused_last,
            };
        });
    }

    /// Notes that the stream ended. A client that never said who it is is not remembered.
    pub fn ended(&self, end: End, at: Micros) {
        let mut inner = self.proxies.lock();
        if let Some(proxy) = inner.connected.remove(&self.stream)
            && !proxy.node.is_empty()
        {
            inner.remember(Past { proxy, at, end });
        }
    }

    fn update(&self, change: impl FnOnce(&mut Inner, &mut Proxy)) {
        let mut inner = self.proxies.lock();
        // Out and in again, so that the change may touch the rest too.
        if let Some(mut proxy) = inner.connected.remove(&self.stream) {
            change(&mut inner, &mut proxy);
            inner.connected.insert(self.stream, proxy);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.proxies.lock().connected.remove(&self.stream);
    }
}

impl Proxy {
    fn new(stream: u64, variant: Variant, now: Moment) -> Self {
        let (node, workload) = (String::new(), String::new());
        let (pushes, acks, nacks, accepted, refused) = (0, 0, 0, None, None);
        Self {
            stream,
            node,
            workload,
            variant,
            connected_since_unix_ms: now.unix_ms,
            pushes,
            acks,
            nacks,
            accepted,
            refused,
            refused_last: false,
            connected: now.at,
            heard: None,
            owed_since: None,
            sent: None,
        }
    }
}

fn answered(shipment: &Shipment, error: Option<&ErrorDetail>, now: Moment) -> Answered {
    let version = match shipment.resources.as_slice() {
        [(_, version)] => version,
        _ => &shipment.version,
    };
    Answered {
        at_unix_ms: now.unix_ms,
        at: now.at,
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

    fn at(seconds: u64) -> Moment {
        Moment { at: Micros(seconds * 1_000_000), unix_ms: seconds }
    }

    #[test]
    fn a_node_without_a_stream_is_remembered_until_it_comes_back_or_an_hour_has_passed() {
        let proxies = Arc::<Proxies>::default();
        let open = |node: &str, seconds| {
            let connection = proxies.connect(Variant::Delta, 9, at(seconds)).unwrap();
            connection.introduce(Some(node), Some("shop/cart"));
            connection
        };
        let past = |seconds| -> Vec<_> {
            let past = proxies.past(at(seconds).at);
            past.into_iter().map(|past| (past.proxy.node, past.at, past.end)).collect()
        };
        let (first, second) = (open("a", 1), open("a", 2));
        first.ended(End::Closed, at(3).at);
        assert_eq!(past(4), [], "the other stream of the node is open");
        second.ended(End::Broken, at(5).at);
        drop((first, second));
        assert_eq!(past(6), [("a".to_owned(), at(5).at, End::Broken)]);
        let back = open("a", 7);
        assert_eq!(past(8), []);
        back.ended(End::Broken, at(9).at);
        assert_eq!((past(3_608).len(), past(3_609).len()), (1, 0));
        assert_eq!(proxies.totals().forgotten_by_time, 1);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_goes_first() {
        let proxies = Arc::<Proxies>::default();
        for n in 0..=PAST_MAX as u64 {
            let connection = proxies.connect(Variant::Delta, 9, at(0)).unwrap();
            connection.introduce(Some(&format!("n{}", PAST_MAX as u64 - n)), None);
            connection.ended(End::Broken, Micros(n));
        }
        let past = proxies.past(Micros(2_000));
        assert_eq!((past.len(), proxies.totals().forgotten_by_number), (PAST_MAX, 1));
        assert!(past.iter().all(|past| past.at > Micros(0)));
    }

    #[test]
    fn an_answer_is_owed_from_the_first_response_until_the_newest_is_answered() {
        let proxies = Arc::<Proxies>::default();
        let connection = proxies.connect(Variant::Delta, 1, at(1)).unwrap();
        let owed = || proxies.list()[0].owed_since;
        connection.pushed(at(2).at, None);
        connection.pushed(at(3).at, Some(Micros(7)));
        assert_eq!(owed(), Some(at(2).at));
        connection.received(&Receipt::Stale { error: None }, at(4));
        assert_eq!(owed(), Some(at(2).at));
        connection.received(&Receipt::Acked(Shipment::default()), at(5));
        assert_eq!((owed(), proxies.list()[0].heard), (None, Some(at(5).at)));
        let Latencies { push, acknowledgement } = proxies.latencies();
        let around = |sketch: &Sketch| sketch.quantile(0.5).unwrap().round();
        assert_eq!((push.count(), around(&push)), (1, 7.0));
        let taken = around(&acknowledgement) / 2e6;
        assert!(acknowledgement.count() == 1 && (0.98..1.02).contains(&taken), "{taken}");
    }

    #[test]
    fn what_a_client_says_about_itself_is_cut_and_its_entry_goes_with_it() {
        let proxies = Arc::<Proxies>::default();
        let connection = proxies.connect(Variant::Delta, 1, at(7)).unwrap();
        assert!(proxies.connect(Variant::Sotw, 1, at(8)).is_none());
        connection.introduce(Some(&"é".repeat(10_000)), Some("shop/cart"));
        connection.introduce(Some("another"), Some("shop/other"));
        let error = ErrorDetail { code: 3, message: "x".repeat(10_000) };
        connection.received(&Receipt::Nacked { shipment: Shipment::default(), error }, at(9));
        let proxy = &proxies.list()[0];
        assert_eq!((proxy.node.len(), proxy.workload.as_str()), (TEXT_BYTES_MAX, "shop/cart"));
        assert_eq!(proxy.refused.as_ref().map(|r| (r.at_unix_ms, r.error.len())), Some((9, TEXT_BYTES_MAX)));
        drop(connection);
        assert_eq!(proxies.connected(), 0);
        let totals = proxies.totals();
        assert_eq!((totals.streams, totals.turned_away, totals.nacks), (1, 1, 1));
    }
}
