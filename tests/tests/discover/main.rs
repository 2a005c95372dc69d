//! Discovery against worlds whose truth is known, and the worlds against themselves.

mod domains;
mod files;
mod formats;
mod found;
mod generator;
mod hostile;
mod pages;
mod recordings;
mod targets;
mod worlds;
