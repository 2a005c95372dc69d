//! The typed expression of a journey: which components must answer, in which order, and what may answer instead.
//!
//! [`Expr`] is plain data that parsers build; [`Journey`] is an expression that has passed every rule of the language, in normal
//! form. Bounds and budgets take only the latter, so they need not check again. The canonical text, read back by [`parse()`], is
//! `Series(front, Parallel(cart, pricing), Race(paya, payb))`; it round-trips.
//!
//! Depth is limited ([`Expr::DEPTH_MAX`]), so functions over a [`Journey`] may recurse; the check itself does not.
//!
//! What is left out: what a component *is* (its SLO, its hop, its failure domains). A leaf is a name; the caller binds it.

mod canonical;
mod check;
mod component;
mod expr;
mod normalize;
pub mod parse;

pub use check::{InvalidExpr, Journey, Problem};
pub use component::ComponentName;
pub use expr::{Alternative, Choice, Expr, InvalidProbability, Join, Probability};
pub use parse::{InvalidText, parse};

#[cfg(test)]
pub(crate) mod tests;
