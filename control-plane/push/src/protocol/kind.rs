//! The kinds of resource a server knows, in the order in which it sends them.

use emac_core::units::Micros;
use std::sync::Arc;

/// What a state-of-the-world response of a kind contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Everything subscribed, always; absence means removal (listeners and clusters).
    Full,
    /// At least what changed; absence means nothing (every other kind).
    Partial,
}

/// Resources that vanish at the client unless they are sent again in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TtlPolicy {
    /// Everything subscribed is sent again when this much time has passed since it last was; less than the time to live.
    pub resend_every: Micros,
}

/// One kind of resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Type URL of the resource message.
    pub type_url: Arc<str>,
    /// What a state-of-the-world response contains.
    pub state: State,
    /// Set when resources have a time to live.
    pub ttl: Option<TtlPolicy>,
}

impl Kind {
    /// A kind without time to live.
    pub fn new(type_url: &str, state: State) -> Self {
        Self { type_url: type_url.into(), state, ttl: None }
    }
}

/// The kinds served, in sending order: what is referred to comes before what refers to it, so that a client never sees a
/// reference to something it has not got. Removals go the other way round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindTable(Vec<Kind>);

impl KindTable {
    /// The kinds in sending order. Of two kinds with one type URL the first counts.
    pub fn new(kinds: Vec<Kind>) -> Self {
        Self(kinds)
    }

    /// Place and description of a kind.
    pub fn find(&self, type_url: &str) -> Option<(usize, &Kind)> {
        self.0.iter().enumerate().find(|(_, kind)| &*kind.type_url == type_url)
    }

    /// The kind at a place given by [`KindTable::find`].
    pub fn get(&self, place: usize) -> Option<&Kind> {
        self.0.get(place)
    }
}

/// What a stream may be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every kind of the table; each request names its own.
    Aggregated,
    /// One kind, which requests need not name.
    Single(Arc<str>),
}
