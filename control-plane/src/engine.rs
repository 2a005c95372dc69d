//! Where evidence and plans are kept when several control planes share them.
//!
//! The embedded engine needs nothing of this: [`crate::store`] under [`crate::ingest::Committer`], one process, one file. [`nats`] is the other one.

pub mod nats;
