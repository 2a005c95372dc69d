//! One stream of the aggregated service: its kinds, what they wait for, and which is sent next.

use super::error::StreamError;
use super::exchange::{ErrorDetail, Exchange, Nonces, Receipt, Shipment};
use super::kind::{Kind, KindTable, Scope};
use super::resource::{ResourceSet, Snapshot, Version};
use emac_core::units::Micros;
use emac_proto::xds::Node;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most bytes kept of a node's id; what follows tells no two nodes apart.
const NODE_BYTES_MAX: usize = 512;

/// How much one client may ask for and be sent at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Names one client may be subscribed to, per kind.
    pub names_max: usize,
    /// A response that may be split is split at this many bytes of resources (a single larger one still goes). Full-state
    /// responses cannot be split.
    pub response_bytes_max: usize,
}

impl Default for StreamLimits {
    /// 4 096 names: far above the one a sidecar needs, and below 300 bytes each about a megabyte. 1 MiB a response: a quarter
    /// of what gRPC clients accept by default.
    fn default() -> Self {
        Self { names_max: 4_096, response_bytes_max: 1 << 20 }
    }
}

/// The parts of a request that both variants share.
pub trait Request {
    /// Kind asked for; may be empty on a stream of one kind.
    fn type_url(&self) -> &str;
    /// Response it answers; empty for none.
    fn nonce(&self) -> &str;
    /// Set in a refusal.
    fn error_detail(&self) -> Option<ErrorDetail>;
    /// Who asks; required in the first request of a stream only.
    fn node(&self) -> Option<&Node>;
    /// First resource it asks for by name, the wildcard aside.
    fn named(&self) -> Option<&str>;
}

/// The state of one kind on one stream, in one variant of the protocol.
pub trait Watch: Default {
    /// The request message.
    type Request: Request;
    /// The response message.
    type Response;
    /// Whether a request with a stale nonce still changes the subscription.
    const STALE_SUBSCRIBES: bool;

    /// Takes over the subscription of a request.
    fn receive(&mut self, kind: &Kind, request: &Self::Request);
    /// Names the client has the server remember.
    fn names_len(&self) -> usize;
    /// Names the client is subscribed to; `*` stands for all.
    fn asked(&self) -> impl Iterator<Item = &str>;
    /// What the client is owed, given what is current.
    fn due(&mut self, kind: &Kind, set: &ResourceSet) -> Due;
    /// Makes the response, and notes what the client now holds.
    fn respond(
        &mut self,
        kind: &Kind,
        set: &ResourceSet,
        part: Part,
        nonce: &str,
        limits: StreamLimits,
    ) -> (Self::Response, Shipment);
    /// Forgets that the client holds anything, so that all of it is sent again.
    fn refresh(&mut self);
}

/// What a client is owed of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Resources, or an answer.
    pub updates: bool,
    /// News of resources that are no more.
    pub removals: bool,
}

/// Which half of what is owed a response carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Resources now, removals when no kind has resources to send.
    Updates,
    /// Removals.
    Removals,
    /// Both in one response.
    Both,
}

/// A request, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The kind it was about.
    pub type_url: Arc<str>,
    /// What it said about earlier responses.
    pub receipt: Receipt,
}

/// The machine of one stream. Cost: a poll looks at each kind's held and current resources once, no more than the client is
/// subscribed to.
#[derive(Debug)]
pub struct Stream<W> {
    kinds: Arc<KindTable>,
    scope: Scope,
    limits: StreamLimits,
    nonces: Nonces,
    node_id: Option<String>,
    open: BTreeMap<usize, Open<W>>,
}

#[derive(Debug, Default)]
struct Open<W> {
    watch: W,
    exchange: Exchange,
    refreshed: Option<Micros>,
}

// === impl Stream ===

impl<W: Watch> Stream<W> {
    /// A stream that has received nothing yet.
    pub fn new(kinds: Arc<KindTable>, scope: Scope, limits: StreamLimits) -> Self {
        Self { kinds, scope, limits, nonces: Nonces::default(), node_id: None, open: BTreeMap::new() }
    }

    /// Id of the client's node, from the first request that gave one.
    pub fn node_id(&self) -> Option<&str> {
        self.node_id.as_deref()
    }

    /// Version of the newest response of a kind that the client accepted.
    pub fn accepted(&self, type_url: &str) -> Option<&Version> {
        let (place, _) = self.kinds.find(type_url)?;
        self.open.get(&place)?.exchange.accepted()
    }

    /// Takes a request. Call [`Stream::poll`] afterwards: it may have asked for something.
    ///
    /// # Errors
    /// [`StreamError`], with which the stream must end.
    pub fn on_request(&mut self, request: &W::Request) -> Result<Received, StreamError> {
        self.remember_node(request);
        let type_url = self.type_url(request)?;
        let kinds = Arc::clone(&self.kinds);
        let Some((place, kind)) = kinds.find(&type_url) else {
            return Ok(Received { type_url, receipt: Receipt::UnknownKind });
        };
        let open = self.open.entry(place).or_default();
        let receipt = open.exchange.answer(request.nonce(), request.error_detail());
        if W::STALE_SUBSCRIBES || !matches!(receipt, Receipt::Stale { .. }) {
            open.watch.receive(kind, request);
        }
        check_names(&kind.type_url, open.watch.names_len(), self.limits.names_max)?;
        Ok(Received { type_url, receipt })
    }

    /// Names the client is subscribed to, over all kinds; `*` stands for all.
    pub fn asked(&self) -> impl Iterator<Item = &str> {
        self.open.values().flat_map(|open| open.watch.asked())
    }

    /// The next message to send, if anything is owed. Call it again until it returns nothing.
    pub fn poll(&mut self, snapshot: &Snapshot, now: Micros) -> Option<W::Response> {
        self.refresh_expired(now);
        let due = self.due(snapshot);
        let (place, part) = choose(&due)?;
        let kind = self.kinds.get(place)?;
        let open = self.open.get_mut(&place)?;
        let nonce = self.nonces.next();
        let set = snapshot.get(&kind.type_url)?;
        let (response, shipment) = open.watch.respond(kind, set, part, &nonce, self.limits);
        open.exchange.sent(nonce, shipment);
        open.refreshed.get_or_insert(now);
        Some(response)
    }

    /// When to poll again although nothing happens: the next resend of a kind with a time to live.
    pub fn wake_at(&self) -> Option<Micros> {
        let due = |(place, open): (&usize, &Open<W>)| {
            Some(open.refreshed?.after(self.kinds.get(*place)?.ttl?.resend_every))
        };
        self.open.iter().filter_map(due).min()
    }

    fn remember_node(&mut self, request: &W::Request) {
        if let (None, Some(node)) = (&self.node_id, request.node()) {
            self.node_id = Some(node.id[..node.id.floor_char_boundary(NODE_BYTES_MAX)].to_owned());
        }
    }

    fn type_url(&self, request: &W::Request) -> Result<Arc<str>, StreamError> {
        match (&self.scope, request.type_url()) {
            (Scope::Aggregated, "") => Err(StreamError::NoTypeUrl),
            (Scope::Aggregated, asked) => Ok(asked.into()),
            (Scope::Single(served), asked) if asked.is_empty() || asked == &**served => Ok(served.clone()),
            (Scope::Single(served), asked) => {
                Err(StreamError::WrongKind { served: served.to_string(), asked: asked.to_string() })
            }
        }
    }

    fn refresh_expired(&mut self, now: Micros) {
        for (place, open) in &mut self.open {
            let ttl = self.kinds.get(*place).and_then(|kind| kind.ttl);
            let (Some(ttl), Some(refreshed)) = (ttl, open.refreshed) else { continue };
            if now >= refreshed.after(ttl.resend_every) {
                open.watch.refresh();
                open.refreshed = None;
            }
        }
    }

    fn due(&mut self, snapshot: &Snapshot) -> Vec<(usize, Due)> {
        let kinds = &self.kinds;
        let due = |(place, open): (&usize, &mut Open<W>)| {
            let kind = kinds.get(*place)?;
            Some((*place, open.watch.due(kind, snapshot.get(&kind.type_url)?)))
        };
        self.open.iter_mut().filter_map(due).collect()
    }
}

fn check_names(type_url: &str, asked: usize, max: usize) -> Result<(), StreamError> {
    if asked <= max {
        return Ok(());
    }
    Err(StreamError::TooManyNames { type_url: type_url.to_string(), asked, max })
}

/// Make before break: updates in table order, then removals in reverse. A kind's own removals ride with its updates unless
/// another kind still has updates to send.
fn choose(due: &[(usize, Due)]) -> Option<(usize, Part)> {
    let mut updating = due.iter().filter(|(_, due)| due.updates);
    let Some((place, first)) = updating.next() else {
        let last = due.iter().rev().find(|(_, due)| due.removals)?;
        return Some((last.0, Part::Removals));
    };
    let part = if first.removals && updating.next().is_none() { Part::Both } else { Part::Updates };
    Some((*place, part))
}
