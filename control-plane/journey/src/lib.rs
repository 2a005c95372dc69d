//! The journey's language: what people write about a journey, read and checked.
//!
//! [`intent`] is what a journey promises and what may be done to keep the promise; [`slo`] what its components promise (OpenSLO); [`guard`] what must hold
//! before an automatic action (CEL), with a ledger of every answer; [`measured`] what was seen of it, as a document.

pub mod guard;
pub mod intent;
pub mod measured;
pub mod slo;
mod types;

pub use types::{COMPONENT_PATTERN, by_component, component};
