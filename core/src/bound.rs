//! Bounds of a journey's reliability, each under one named assumption.
//!
//! | | independent | domain envelope | any dependence |
//! |---|---|---|---|
//! | series, parallel all | prod a | lower prod, upper min over members sharing a domain | [max(0, sum a - (n-1)), min a] |
//! | race, fallback | 1 - prod(1-a) | lower max over members sharing a domain, upper 1 - prod(1-a) | [max a, min(1, sum a)] |
//! | atLeast k of n | Poisson binomial tail | both ends from the two above | Rueger |
//! | retry n | 1-(1-a)^n | lower a | [a, min(1, n a)] |
//! | repeat n | a^n | upper a | [max(0, n a - (n-1)), a] |
//! | branch | sum q a, an interval of q to its ends | same | same |
//! | timeout d | a times the share of answers within d | same | same |
//! | async | 1 for the immediate outcome, its own for the eventual one | same | same |
//!
//! Operators are monotone, so intervals of leaves propagate end by end; a fallback whose weights rise is not, and is enclosed by two
//! that are. A component that occurs twice is one event: under independence it is conditioned on, under the others its holders share
//! fate. Where all its occurrences lie inside one retry or repeat, each try is an event of its own, as it is for one that occurs once;
//! where some lie outside, trying again what is down does not bring it up. Law: any dependence encloses the envelope encloses
//! independence.
//!
//! "Pessimistic" names no bound here: full correlation lowers a race but raises a series.
//!
//! Source: "Emergence-as-Code" (arXiv 2602.05458), v1 and v2; Frechet 1935 for series and race under any dependence; Esary, Proschan
//! and Walkup, Association of random variables, Ann. Math. Stat. 38 (1967), for the envelope.

mod any_dependence;
mod attribution;
mod choices;
mod common_cause;
mod evaluate;
mod facts;
mod importance;
mod independent;
mod interval;
pub mod latency;
mod operator;
mod remembered;
mod seen;
mod shared_fate;

pub use any_dependence::any_dependence;
pub use attribution::{Attribution, Change, attribute, required, required_at, smallest_change, split_budget};
pub use common_cause::{BreakEven, InvalidBeta, break_even_beta, common_cause};
pub use evaluate::{Unbound, View};
pub use facts::{Component, DomainName, Domains, Facts};
pub use importance::{Importance, importance};
pub use independent::independent;
pub use interval::{Assumption, Bound, Interval, InvalidInterval, Loose};
pub use operator::with_fallback;
pub use seen::seen;
pub use shared_fate::shared_fate;

#[cfg(test)]
pub(crate) mod tests;
