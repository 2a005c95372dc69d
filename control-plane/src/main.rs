//! emac
fn main() {}
