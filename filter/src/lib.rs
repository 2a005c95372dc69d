//! The sidecar filter: a proxy-wasm module that observes hops and enforces budgets.
//!
//! [`host`] is the port to the proxy, `envoy` the adapter of the wasm module and the only place that names the SDK (the adapter of Envoy's
//! dynamic modules is a crate of its own, `filter/native`); [`root`] is the life of a VM, [`stream`] that of a request, [`vm`] what they
//! share. Decisions are `emac-core`'s.
//!
//! Invariant: a request never fails because of the filter. What goes wrong inside is counted, and the request passes.
//! Invariant: no panic. `unwrap`, `expect`, `panic!` and indexing are denied outside tests.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod config;
#[cfg(target_arch = "wasm32")]
mod envoy;
pub mod host;
pub mod metrics;
pub mod root;
pub mod stream;
#[cfg(test)]
mod testing;
pub mod vm;
