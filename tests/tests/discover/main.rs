//! Discovery against worlds whose truth is known, and the worlds against themselves.

mod found;
mod generator;
mod hostile;
mod targets;
