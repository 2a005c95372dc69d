//! Artifacts: what a compiled journey becomes in other people's tools.
//!
//! Pure functions from a [`Compiled`](crate::compile::Compiled) journey to [`Artifact`]s; the same input gives the same bytes. Nothing is hard-coded twice: every
//! number comes from the intent or the bounds. [`write`](fn@write) alone touches the disk.

pub mod prometheus;

/// One generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Path below the output directory, with `/`.
    pub path: String,
    /// Its content.
    pub text: String,
}
