//! Success by deadline: `f(t)` is the best probability to succeed within `t`, over every static way to split `t`.
//!
//! Built bottom-up over a [`Journey`](crate::journey::Journey) on a [`Grid`] of whole milliseconds; where an operator splits its
//! time, the arg max is kept, so that walking down again gives every leaf its timeout:
//!
//! | operator | curve |
//! |---|---|
//! | leaf | `F(t)`: success and in time |
//! | series | `max over t1+t2<=t of f1(t1) f2(t2)` |
//! | parallel | `prod f_i(t)`, or at least k of them |
//! | race | `1 - prod (1 - f_i(t - i delay))`, or `max` when the branches share fate |
//! | fallback | `max over t1+t2<=t, t1>=least of f1(t1) + min(1 - f1(t1), budget) w f2(t2)` |
//! | retry n | `f(t/n) min(E, 1 + budget)`, `E = sum_{k<n} (1 - f(t/n))^k` attempts expected |
//! | branch | `sum q_i f_i(t)`, the least over the interval of `q` |
//! | timeout d | `f(min(t, d))` |
//! | repeat n | `f(t/n)^n` |
//! | async | 1: nobody waits |
//!
//! A plan made of such splits is a promise that holds without any run-time knowledge; sidecars that pass unspent time on do
//! better. Independence of the leaves is assumed throughout (a choice of timeouts needs an order of merit, not a bound; bounds
//! with their assumption are `bound`'s). Cost: O(leaves · cells²), 5 leaves on 400 cells about half a million products.
//!
//! Left out: adaptive policies (timeouts as a function of the time left), and splits across journeys.

mod achieved;
mod compare;
mod evaluate;
mod grid;
mod leaf;
mod operators;
mod split;

pub use achieved::achieved;
pub use compare::{equal, greedy, proportional};
pub use evaluate::{Evaluation, Fate, Inputs, UnboundLeaf, evaluate};
pub use grid::{Curve, Grid, InvalidGrid};
pub use leaf::{at_once, lognormal, lower_confidence, measured};
pub use split::{Allocation, Place};

#[cfg(test)]
mod tests;
