//! An interval of probability, and the assumption it holds under.

use core::fmt;

use crate::units::Ratio;

/// `[lo, hi]` within `[0, 1]`, never NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    lo: f64,
    hi: f64,
}

/// No interval within `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("[{lo}, {hi}] is no interval between 0 and 1")]
pub struct InvalidInterval {
    /// The lower end given.
    pub lo: f64,
    /// The upper end given.
    pub hi: f64,
}

impl Interval {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { lo: 0.0, hi: 1.0 };

    /// Checks order and range; `-0.0` becomes `0.0`.
    ///
    /// # Errors
    /// [`InvalidInterval`] for NaN, ends in the wrong order, or outside `[0, 1]`.
    pub fn new(lo: f64, hi: f64) -> Result<Self, InvalidInterval> {
        // Written so that NaN fails.
        if 0.0 <= lo && lo <= hi && hi <= 1.0 {
            Ok(Self { lo: lo + 0.0, hi: hi + 0.0 })
        } else {
            Err(InvalidInterval { lo, hi })
        }
    }

    /// A known probability.
    pub const fn exactly(p: Ratio) -> Self {
        Self { lo: p.get(), hi: p.get() }
    }

    /// What a formula gave: clamped to `[0, 1]` (rounding may leave it by a few units in the last place) and put in order.
    pub(crate) const fn of(lo: f64, hi: f64) -> Self {
        let lo = lo.clamp(0.0, 1.0) + 0.0;
        Self { lo, hi: hi.clamp(lo, 1.0) + 0.0 }
    }

    /// What lies in both of two intervals that hold the same value.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self::of(self.lo.max(other.lo), self.hi.min(other.hi))
    }

    /// Lower end.
    pub const fn lo(self) -> f64 {
        self.lo
    }

    /// Upper end.
    pub const fn hi(self) -> f64 {
        self.hi
    }

    /// `hi - lo`.
    pub const fn width(self) -> f64 {
        self.hi - self.lo
    }

    /// Whether `other` lies within, give or take `tolerance` at each end.
    pub fn encloses(self, other: Self, tolerance: f64) -> bool {
        self.lo <= other.lo + tolerance && other.hi <= self.hi + tolerance
    }
}

/// What a bound takes for granted about how failures depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assumption {
    /// Components fail independently.
    Independent,
    /// Components that share no failure domain fail independently; those that do, somewhere between that and together.
    DomainEnvelope,
    /// Nothing at all.
    AnyDependence,
    /// A stated share of each member's failures is its domain's; given the domains, components fail independently.
    CommonCause,
}

impl Assumption {
    /// Stable label for files and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Independent => "independent",
            Self::DomainEnvelope => "domain_envelope",
            Self::AnyDependence => "any_dependence",
            Self::CommonCause => "common_cause",
        }
    }
}

/// An interval with the assumption it holds under.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// Where the value lies.
    pub interval: Interval,
    /// Provided that.
    pub assumption: Assumption,
    /// Why it may be wider than the assumption makes it.
    pub loose: Loose,
}

/// Where exact work was given up: the bound still holds, and may be wider than it need be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loose {
    /// Of the components that stand in several places more than ten are on the way to one of them.
    pub shared: bool,
    /// Intervals of branches choose anew in each state: there are too many combinations, or tries or repetitions around them.
    pub choices: bool,
}

impl Loose {
    /// Whether anything was given up.
    pub const fn any(self) -> bool {
        self.shared || self.choices
    }

    /// Each reason in words.
    pub fn reasons(self) -> impl Iterator<Item = &'static str> {
        let shared = "more than ten components stand in several places";
        let choices = "the probabilities of a branch are chosen anew for each state of the components";
        [self.shared.then_some(shared), self.choices.then_some(choices)].into_iter().flatten()
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lo == self.hi {
            write!(f, "{:.8}", self.lo)
        } else {
            write!(f, "[{:.8}, {:.8}]", self.lo, self.hi)
        }
    }
}
