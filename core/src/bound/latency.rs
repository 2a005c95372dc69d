//! Bands of latency: how much of the intended traffic is answered well by each time, from below and from above.
//!
//! A failure is mass at infinity and the denominator is every intended request, so a band is availability and latency in one: at the
//! threshold it bounds success by deadline, at infinity availability.
//!
//! | | any dependence | independent | comonotone |
//! |---|---|---|---|
//! | series | Makarov: `[max_s (La(s)+Lb(t-s)-1)+, min_s min(1, Ua(s)+Ub(t-s))]` | convolution | quantiles add |
//! | parallel | `[(sum L - (n-1))+, min U]` | product | min |
//! | race | `[max L, min(1, sum U)]` | `1 - prod (1 - F)` | max |
//! | atLeast k of n | Rueger | Poisson binomial | k-th largest |
//! | branch | mixture over the interval of q | same | same |
//! | timeout d | `F(min(x, d))` | same | same |
//! | retry n | first try to `n F` | tries one patience apart, to all at once | first try |
//! | fallback | alternates one patience later, to all at once | same | same |
//! | async | at once (immediate), its own (eventual) | same | same |
//!
//! A failure that is not bounded by a timeout may take for ever: then nothing asked after it counts in the lower end.
//!
//! Everything lives on one [`LatencyGrid`]; each step rounds outward, so a band stays a bound. (max,+) convolution is associative:
//! n series steps need n - 1 convolutions, joined as a balanced tree so that rounding happens log n times, not the Catalan number of
//! parenthesizations. Orders differ by rounding alone; a short series in a small journey is bounded by all of them together.
//!
//! Independence reads a p99 too low and comonotonicity too high on real loads: report all three. Sources: Makarov, Estimates for the
//! distribution function of a sum of two random variables when the marginals are fixed, Theory Probab. Appl. 26 (1981); Frank, Nelsen and
//! Schweizer 1987.

mod any_dependence;
mod band;
mod beta;
mod comonotone;
mod confidence;
mod evaluate;
mod grid;
mod independent;
mod steps;

pub use band::Band;
pub use confidence::{
    Confidence, Observed, clopper_pearson, dkw_epsilon, observed, observed_at, promised, promised_within,
};
pub(super) use evaluate::timely;
pub use evaluate::{Bands, LatencyFacts, any_dependence, bands};
pub use grid::LatencyGrid;

#[cfg(test)]
pub(super) mod tests;
