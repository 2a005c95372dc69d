//! Services of a world: how long they take, how often they fail, where they run.

use super::draw::Draw;

/// Index of a service in its world.
pub type ServiceId = usize;

/// A service or a database.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name, which is the component's name in the truth.
    pub name: String,
    /// Never reports spans itself: only its callers' clients know it.
    pub database: bool,
    /// Probability that it fails by itself, whatever it calls.
    pub failure: f64,
    /// Median of its own work, nanoseconds.
    pub latency_ns: f64,
    /// Sigma of the logarithm of its own work.
    pub sigma: f64,
    /// Pods, each with its own clock; at least 1.
    pub instances: u16,
    /// Its calls stand below an internal span of its own.
    pub wraps: bool,
    /// Labels of each instance in turn: (key, value). A key with two values is a conflict.
    pub labels: Vec<(&'static str, String)>,
}

/// Names a reader can follow; a number is added where they run out.
const NOUNS: [&str; 32] = [
    "cart", "pricing", "paya", "payb", "orders", "stock", "users", "search", "rates", "geo", "reviews",
    "ads", "email", "shipping", "quote", "currency", "catalog", "coupons", "fraud", "tax", "session",
    "profile", "media", "feed", "timeline", "graph", "text", "url", "offers", "seats", "points", "audit",
];

impl Service {
    /// Service number `id` of a world, without labels yet.
    pub(super) fn new(id: ServiceId, draw: &mut Draw) -> Self {
        let noun = NOUNS[id % NOUNS.len()];
        let name = if id < NOUNS.len() { noun.to_owned() } else { format!("{noun}-{}", id / NOUNS.len()) };
        Self {
            name,
            database: false,
            failure: draw.between(0.0, 0.004),
            latency_ns: draw.lognormal(4e6, 0.8),
            sigma: draw.between(0.2, 0.6),
            instances: 1 + draw.below(3) as u16,
            wraps: false,
            labels: Vec::new(),
        }
    }

    /// A service of one pod that fails with this probability and takes about this long.
    pub fn plain(name: &str, failure: f64, latency_ms: f64) -> Self {
        Self {
            name: name.to_owned(),
            database: false,
            failure,
            latency_ns: latency_ms * 1e6,
            sigma: 0.3,
            instances: 1,
            wraps: false,
            labels: Vec::new(),
        }
    }

    /// Makes it fail often enough to be stood in for: nobody races or retries what never fails.
    pub(super) fn make_flaky(&mut self, draw: &mut Draw) {
        self.failure = draw.between(0.04, 0.12);
    }

    /// What a caller's operation on it is called.
    pub fn operation(&self) -> String {
        if self.database { format!("SELECT {}", self.name) } else { format!("GET /{}", self.name) }
    }

    /// Name of one of its instances.
    pub fn instance(&self, number: u16) -> String {
        format!("{}-{number}", self.name)
    }
}
