//! The sidecar filter: one wasm module in every Envoy.
//!
//! Invariant: no panic, no wait, no unbounded memory, and no request broken by the filter itself.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]
