//! The filter as a shared object, `libemac_filter.so`, for `envoy.filters.http.dynamic_modules`: the second shell around the logic of
//! `emac-filter`, beside the wasm module.
//!
//! `abi` is what Envoy calls and what is asked of it, and the only file with `unsafe`; `hooks` is what happens then; `host` the port;
//! `worker` what the streams of a thread share, `process` what the threads share; `control` the streams to the control plane; `clock` the
//! one thread of ours; `metrics` counters with labels; `identity` who this is.
//!
//! Where wasm has a VM a thread and shared data between them, here each worker's state lies under a lock of its own, which only that worker
//! takes, but for the tick: then the main thread takes what was counted, also from a worker that has no requests and so no way to be
//! reached. Streams to the control plane are opened by a state of the main thread's own that sees no requests, through a cluster of Envoy,
//! so that whatever TLS the mesh has for that cluster holds for them too.
//!
//! Invariant: a request never fails because of the filter. A panic is stopped at the border, counted, and the request passes.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod abi;
mod clock;
mod control;
mod hooks;
mod host;
mod identity;
mod metrics;
mod process;
mod worker;
