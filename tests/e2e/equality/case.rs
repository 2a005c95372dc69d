//! One run of a kind through one listener: how both ends of it know each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::kind::{Bounds, DEADLINE_MS, Kind, Mark, TIGHT_MS};
use super::seen::Seen;

/// Longest wait of one end for the other; only reached when something is wrong.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

/// Which listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// Without the filter.
    Plain,
    Inbound,
    Outbound,
    /// Outbound, with the filter twice in the chain, as two manifests may put it.
    Twice,
    /// A gateway.
    Edge,
    /// In front of a workload at the edge.
    Entry,
}

impl Side {
    /// Whether journeys begin here.
    pub(super) const fn is_edge(self) -> bool {
        matches!(self, Self::Edge | Self::Entry)
    }
}

/// What the client says of a journey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Talk {
    /// Nothing.
    Silent,
    /// A context as this side's callers send it.
    Live,
    /// At an edge: a context from outside, which must not be believed.
    Foreign,
}

/// How far one end has read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Progress {
    interim: usize,
    head: usize,
    body: usize,
    whole: usize,
    ended: bool,
    begun: usize,
    done: usize,
}

/// A run.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) id: String,
    pub(super) kind: &'static Kind,
    pub(super) side: Side,
    pub(super) talk: Talk,
    /// Contexts of the version before this one.
    old: bool,
    /// What the client has read.
    pub(super) client: Reader,
    /// What the upstream has read.
    pub(super) upstream: Reader,
    requests: Mutex<Vec<Seen>>,
}

/// Progress of one end.
#[derive(Debug)]
pub(super) struct Reader(watch::Sender<Progress>);

impl Default for Reader {
    fn default() -> Self {
        Self(watch::Sender::new(Progress::default()))
    }
}

impl Reader {
    pub(super) fn interim(&self) {
        self.0.send_modify(|progress| progress.interim += 1);
    }

    pub(super) fn head(&self) {
        self.0.send_modify(|progress| progress.head += 1);
    }

    pub(super) fn body(&self, bytes: usize) {
        self.0.send_modify(|progress| progress.body += bytes);
    }

    pub(super) fn whole(&self) {
        self.0.send_modify(|progress| progress.whole += 1);
    }

    /// Nothing more will be read.
    pub(super) fn ended(&self) {
        self.0.send_modify(|progress| progress.ended = true);
    }

    /// Waits; gives up when nothing more will come.
    pub(super) async fn wait(&self, mark: Mark) {
        self.until(|progress| {
            progress.ended
                || match mark {
                    Mark::Interim => progress.interim > 0,
                    Mark::Head => progress.head > 0,
                    Mark::Body(bytes) => progress.body >= bytes,
                    Mark::Whole => progress.whole > 0,
                }
        })
        .await;
    }

    async fn until(&self, condition: impl FnMut(&Progress) -> bool) {
        let mut receiver = self.0.subscribe();
        let _ = tokio::time::timeout(PATIENCE, receiver.wait_for(condition)).await;
    }
}

impl Case {
    /// Headers that tell which run a request belongs to, and its baggage.
    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        let entry = if self.kind.bounds == Bounds::Tight { "tight" } else { "shop" };
        let names = [("x-kind", self.kind.name), ("x-case", &self.id), ("x-entry", entry)];
        let mut headers: Vec<_> = names.map(|(name, value)| (name, value.to_owned())).into();
        let others = if self.kind.bare { None } else { Some("userid=alice;p=1".to_owned()) };
        let members: Vec<String> = self.context().into_iter().chain(others).collect();
        if !members.is_empty() {
            headers.push(("baggage", members.join(",")));
        }
        headers
    }

    /// Milliseconds that a live context leaves.
    pub(super) fn deadline_ms(&self) -> u64 {
        match self.kind.bounds {
            Bounds::Generous => DEADLINE_MS,
            Bounds::Tight => TIGHT_MS,
        }
    }

    fn context(&self) -> Option<String> {
        let (mark, deadline) = match (self.talk, self.side) {
            (Talk::Silent, _) | (_, Side::Plain) => return None,
            (Talk::Foreign, _) => ('r', 1),
            (Talk::Live, Side::Outbound | Side::Twice) => ('a', now_ms() + self.deadline_ms()),
            (Talk::Live, _) => ('r', self.deadline_ms()),
        };
        Some(if self.old {
            format!("emac=v1:checkout:{deadline}:0000")
        } else {
            format!("emac=v2.checkout.{mark}{deadline}.0000")
        })
    }

    /// A request has reached the upstream; which one of this run.
    pub(super) fn begin(&self) -> usize {
        let mut number = 0;
        self.upstream.0.send_modify(|progress| {
            number = progress.begun;
            progress.begun += 1;
        });
        number
    }

    /// What the upstream saw of one request.
    pub(super) fn finish(&self, seen: Seen) {
        if let Ok(mut requests) = self.requests.lock() {
            requests.push(seen);
        }
        self.upstream.0.send_modify(|progress| progress.done += 1);
    }

    /// All that the upstream saw, once it is at rest.
    pub(super) async fn requests(&self) -> Vec<Seen> {
        let expected = self.kind.reached;
        self.upstream.until(|progress| progress.done >= expected && progress.done == progress.begun).await;
        let mut requests = self.requests.lock().map(|requests| requests.clone()).unwrap_or_default();
        // Streams of one connection, and the shadow of a request, come in any order.
        requests.sort_by(|a, b| a.lines.cmp(&b.lines));
        requests
    }
}

/// Runs by name.
#[derive(Debug)]
pub(super) struct Cases {
    /// Contexts are of the version before this one.
    old: bool,
    runs: Mutex<HashMap<String, Arc<Case>>>,
}

impl Cases {
    pub(super) fn new(old: bool) -> Self {
        Self { old, runs: Mutex::default() }
    }

    /// A new run, known to the upstreams.
    pub(super) fn open(&self, kind: &'static Kind, side: Side, talk: Talk) -> Arc<Case> {
        let id = format!("{}.{side:?}.{talk:?}", kind.name);
        let (client, upstream) = (Reader::default(), Reader::default());
        let (old, requests) = (self.old, Mutex::default());
        let case = Arc::new(Case { id, kind, side, talk, old, client, upstream, requests });
        if let Ok(mut runs) = self.runs.lock() {
            runs.insert(case.id.clone(), Arc::clone(&case));
        }
        case
    }

    pub(super) fn find(&self, id: &[u8]) -> Option<Arc<Case>> {
        let id = std::str::from_utf8(id).ok()?;
        self.runs.lock().ok()?.get(id).cloned()
    }
}

/// Milliseconds of this machine's clock, which Envoy's is.
pub(super) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
