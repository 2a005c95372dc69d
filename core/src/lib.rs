//! The heart of EmaC: latency sketches, journey algebra, budgets and the sidecar's decisions.
//!
//! Everything here is sans-I/O: time and randomness are passed in, nothing is read or written, and the same code runs in the
//! sidecar (wasm), in the control plane, in simulation and under the fuzzer.
//!
//! Invariant: no panic. `unwrap`, `expect`, `panic!` and indexing are denied outside tests.
//! Invariant: no wire format but the sketch's own; messages live in `emac-proto`.
#![no_std]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

extern crate alloc;
#[cfg(any(test, feature = "twin"))]
extern crate std;

pub mod bound;
pub mod budget;
pub mod context;
pub mod decimal;
pub mod enforce;
pub mod entry;
pub mod evidence;
pub mod id;
pub mod journey;
#[cfg(test)]
mod laws;
pub mod mix;
pub mod outcome;
mod probability;
pub mod sketch;
pub mod units;
