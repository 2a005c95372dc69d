//! Failure domains.
