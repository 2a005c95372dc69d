//! The live loop of the control plane and the process around it: evidence in, budgets out. What it stands on has crates of its own beside `src`.

// Evidence in.
pub mod aggregate;
pub mod ingest;
pub mod marks;
pub mod store;
pub mod totals;

// Budgets out.
pub mod plan;

// The process around it.
pub mod cli;
pub mod clock;
pub mod config;
pub mod schema;
pub mod serve;
