//! What there is to send: immutable, versioned, shared between all streams.

use emac_core::units::Micros;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Name of a resource, unique within its kind.
pub type Name = Arc<str>;
/// Version of a resource or of a set: opaque, equal if and only if the content is.
pub type Version = Arc<str>;

/// One resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Version of this resource.
    pub version: Version,
    /// The encoded message.
    pub body: Arc<[u8]>,
}

/// All resources of one kind at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceSet {
    /// Version of the whole, told to state-of-the-world clients.
    pub version: Version,
    /// By name.
    pub resources: BTreeMap<Name, Resource>,
}

/// All kinds at one moment. A kind that is absent has not been published yet, and requests for it wait: "nobody has planned
/// yet" must not reach a client as "you have no budgets". A kind that is there and empty is answered as such.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    published: Micros,
    sets: BTreeMap<Arc<str>, Arc<ResourceSet>>,
}

impl Snapshot {
    /// Nothing yet, published at a time.
    pub fn published_at(published: Micros) -> Self {
        Self { published, sets: BTreeMap::new() }
    }

    /// When it was published.
    pub fn published(&self) -> Micros {
        self.published
    }

    /// This snapshot with the set of one kind replaced.
    #[must_use]
    pub fn with(mut self, type_url: &str, set: Arc<ResourceSet>) -> Self {
        self.sets.insert(type_url.into(), set);
        self
    }

    /// The set of a kind, if it has been published.
    pub fn get(&self, type_url: &str) -> Option<&ResourceSet> {
        self.sets.get(type_url).map(|set| &**set)
    }
}
