//! A journey for other tools to compute.

mod open_psa;

pub use open_psa::{NotExported, open_psa};

#[cfg(test)]
mod tests;
