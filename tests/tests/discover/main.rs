//! Discovery against worlds whose truth is known, and the worlds against themselves.

mod generator;
