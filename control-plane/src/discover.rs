//! Discovery: from many traces to a candidate model of each journey, with a reason for every field.
//!
//! In the order of the data: [`observe`] takes traces one by one and keeps what inference needs, bounded; [`journeys`] tells which traces are of one
//! journey; [`structure`] finds, for every caller, how its calls combine, by statistics over many requests and never by one trace's overlap.
//!
//! Everything here is pure: no clock, no file, no randomness. What is sampled is chosen by a hash of the trace id, so that the same traces give the
//! same model in whatever order they come.

pub mod observe;
pub mod structure;
