//! A small world to try the product in: real services behind real Envoys, all on loopback, all in one call.
//!
//! ```no_run
//! # async fn scenario() -> Result<(), Box<dyn std::error::Error>> {
//! use emac_tests::testbed::{Fault, World};
//! use std::time::Duration;
//!
//! let world = World::builder().seed(7).start().await?;
//! world.service("paya").set_fault(Fault::Slow { factor: 10.0 }).await;
//! let samples = world.load().rate(100.0).duration(Duration::from_secs(2)).run().await;
//! let retries = world.stats().await?.sum("envoy_cluster_upstream_rq_retry", &[]);
//! # let _ = (samples, retries); Ok(()) }
//! ```
//!
//! The services run inside this process, so that a fault is a method call; each has an Envoy of its own with an inbound
//! listener and, when it calls others, an outbound one, and an edge Envoy stands before the first. [`Topology`] says who calls
//! whom; [`Topology::checkout`] is the one example used everywhere. The filter and the control plane are optional, so that the
//! same world measures bare Envoys. Dropping a [`World`] ends every process it started.
//!
//! Start a world from the thread (or runtime) that outlives it; see [`crate::supervise`] for why.

pub mod client;
mod control;
mod envoys;
mod fault;
pub mod grpc;
pub mod headers;
mod latency;
pub mod product;
pub mod scripted;
mod service;
mod sidecar;
mod topology;
mod world;

use std::time::Duration;

use tokio::time::Instant;

pub use control::{ControlPlane, ControlPorts, ControlSetup, Given};
pub use envoys::Envoy;
pub use fault::Fault;
pub use latency::Latency;
pub use service::{Propagate, Seen, Service};
pub use sidecar::{FilterSetup, Place};
pub use topology::{Call, ServiceSpec, Topology};
pub use world::{Builder, World, WorldError};

/// Asks `condition` every 20 ms until it holds. `false` when it did not within `timeout`.
pub async fn wait_until<F, Fut>(timeout: Duration, mut condition: F) -> bool
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let until = Instant::now() + timeout;
    loop {
        if condition().await {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
