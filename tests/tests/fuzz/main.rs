//! Every decoder and parser, on hostile input: none may panic, and what is accepted obeys a law, by round trip where there is one.
//!
//! `cargo test` runs a fixed number of fixed inputs in a few seconds; with `EMAC_FUZZ_SECONDS` each target instead explores new ones
//! for so long, and shrinks what fails (`make fuzz`).

mod context;
mod discovery;
mod harness;
mod messages;
mod samples;
mod sketch;
mod text;
mod traces;
