//! The control plane as a library: evidence in, accepted models, bounds and budgets out. One folder a stage, in pipeline order.

pub mod document;
pub mod intent;
pub mod plan;
pub mod push;
pub mod slo;
