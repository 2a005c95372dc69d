//! Envoy: typed generation of its bootstrap.
//!
//! A [`Bootstrap`] is what the testbed says about one Envoy (node, listeners, clusters, the filter in its chain); `to_json` turns
//! it into the static configuration Envoy reads. JSON rather than YAML: Envoy accepts both and serde_json writes it.

mod bootstrap;
mod cluster;
mod filter;
mod listener;

pub use bootstrap::{Bootstrap, Node};
pub use cluster::{Cluster, Protocol};
pub use filter::{EmacFilter, HttpFilter, LABELS, NATIVE_TYPE, emac_filter, noop_wasm, runtime};
pub use listener::{Direction, HeaderRoute, Listener, RetryPolicy, RoutePolicy, VirtualHost};

/// Why a test that needs something of the machine cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotRun(pub String);
