//! Models of a journey and what follows from them.
//!
//! In reading order: [`model`] is what the system is, as a candidate or accepted; [`declared`] a journey as it stands in a repository, and the rule which
//! structure acts; [`compile`] computes bounds and decides; [`accept`] is the one way from a candidate to an accepted model; [`emit`] writes
//! artifacts for review; [`export`] hands the journey to other tools; [`simulate`] asks what if.
//!
//! Models live here and not beside the intent, because only [`accept`] may make an accepted one: the constructor is private to this crate.

pub mod accept;
pub mod compile;
pub mod declared;
pub mod emit;
pub mod export;
pub mod model;
pub mod simulate;
