//! What an xDS server must show, case by case: the numbers are those of the 51 rules in the design data (`xds-rules`), retold
//! from public test suites and the protocol document. A test's name begins with the numbers it holds.
//!
//! Case 45 (a stream that fails leaves nothing behind) needs a running service and is in `ads`.

mod both;
mod delta;
mod property;
mod script;
mod sotw;
mod wire;
