//! How an Envoy is set up before it starts.

use super::artifact::FilterModule;
use super::driver::Host;
use super::properties::{Phase, Properties};

/// The two listeners of a sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Towards the application; `xds.listener_direction` 1.
    Inbound,
    /// Away from it; 2.
    Outbound,
}

impl Direction {
    pub(super) fn number(self) -> i64 {
        match self {
            Self::Inbound => 1,
            Self::Outbound => 2,
        }
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Inbound => "emac-inbound",
            Self::Outbound => "emac-outbound",
        }
    }
}

/// An Envoy that has not started.
#[derive(Clone)]
pub struct Setup {
    pub(super) module: FilterModule,
    pub(super) workers: usize,
    pub(super) plugins: Vec<(Direction, String)>,
    pub(super) node: Properties,
}

impl Setup {
    /// One worker, no listeners, a node without metadata.
    pub fn new(module: FilterModule) -> Self {
        let mut node = Properties::default();
        node.set(Phase::Request, &["xds", "node", "id"], "node-1");
        Self { module, workers: 1, plugins: Vec::new(), node }
    }

    /// Number of worker threads; the main thread's VM comes on top.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// A listener with the plugin configuration given.
    pub fn listener(mut self, direction: Direction, configuration: &str) -> Self {
        self.plugins.push((direction, configuration.to_string()));
        self
    }

    /// A text property of every root context, such as `["xds", "node", "metadata", "NAMESPACE"]`.
    pub fn node(mut self, path: &[&str], value: &str) -> Self {
        self.node.set(Phase::Request, path, value);
        self
    }

    /// Starts every thread's VM and configures its plugins.
    ///
    /// # Panics
    /// When the module traps, misses an import or refuses its configuration.
    pub fn start(self) -> Host {
        Host::start(&self)
    }
}
