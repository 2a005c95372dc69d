//! The control plane as a library: evidence in, accepted models, bounds and budgets out. One folder a stage, in pipeline order.

// What people write.
pub mod declared;
pub mod document;
pub mod emit;
pub mod guard;
pub mod intent;
pub mod measured;
pub mod mesh;
pub mod model;
pub mod schema;
pub mod slo;

// The loop: evidence in, plans made, budgets out.
pub mod accept;
pub mod aggregate;
pub mod compile;
pub mod discover;
pub mod ingest;
pub mod marks;
pub mod plan;
pub mod push;
pub mod replay;
pub mod simulate;
pub mod totals;
pub mod trace;
pub mod watch;

// The process around it.
pub mod cli;
pub mod clock;
pub mod config;
pub mod serve;
pub mod store;
