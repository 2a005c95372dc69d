//! The operators and their parameters, unchecked.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::ComponentName;
use crate::units::{Millis, Ratio};

/// An expression over components. Plain data: rules such as "no empty operator" are [`Journey::new`](super::Journey::new)'s.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// One component. Two leaves of one name are one event, not two.
    Leaf(ComponentName),
    /// One after the other; all must succeed.
    Series(Vec<Self>),
    /// At the same time; as many as [`Join`] says must succeed.
    Parallel {
        /// How many.
        join: Join,
        /// The branches, at least one.
        branches: Vec<Self>,
    },
    /// The same question to several; the first good answer wins.
    Race {
        /// The n-th branch starts n delays after the first, unless an answer came; zero: all at once.
        delay: Millis,
        /// The branches, at least one.
        branches: Vec<Self>,
    },
    /// The next is asked when the one before has failed or was too slow.
    Fallback {
        /// Asked first.
        primary: Box<Self>,
        /// Asked in this order, at least one.
        alternates: Vec<Alternative>,
    },
    /// Exactly one of the choices happens.
    Branch(Vec<Choice>),
    /// The same again after a failure.
    Retry {
        /// Tries in all, at least 1.
        attempts: u32,
        /// Longest one try may take; `None`: an equal share of the time there is.
        per_try_timeout: Option<Millis>,
        /// What is tried.
        body: Box<Self>,
    },
    /// A failure unless it succeeds in time.
    Timeout {
        /// The time, above zero.
        after: Millis,
        /// What is bounded.
        body: Box<Self>,
    },
    /// The same several times, one after the other; all must succeed.
    Repeat {
        /// How often, at least 1.
        count: u32,
        /// What is repeated.
        body: Box<Self>,
    },
    /// Started but not waited for: it cannot fail the immediate outcome, only the eventual one.
    Async(Box<Self>),
}

/// How many branches of a parallel must succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Every one.
    All,
    /// This many, 1 ..= number of branches.
    AtLeast(u32),
}

/// What is asked when the primary has not answered well.
#[derive(Clone, Debug, PartialEq)]
pub struct Alternative {
    /// Worth of its answer to the user, above 0; 1 is an equal, less is degraded.
    pub weight: Ratio,
    /// What is asked.
    pub expr: Expr,
}

/// One way a branch may go.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// How often it does.
    pub probability: Probability,
    /// What happens then.
    pub expr: Expr,
}

/// A probability, or the interval it lies in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probability {
    lo: Ratio,
    hi: Ratio,
}

/// The ends of an interval in the wrong order.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("an interval of probability goes from low to high, not from {lo} to {hi}")]
pub struct InvalidProbability {
    /// The end given first.
    pub lo: f64,
    /// The end given second.
    pub hi: f64,
}

impl Probability {
    /// A known probability.
    pub const fn exactly(p: Ratio) -> Self {
        Self { lo: p, hi: p }
    }

    /// Somewhere from `lo` to `hi`.
    ///
    /// # Errors
    /// [`InvalidProbability`] when `lo > hi`.
    pub fn between(lo: Ratio, hi: Ratio) -> Result<Self, InvalidProbability> {
        if lo <= hi { Ok(Self { lo, hi }) } else { Err(InvalidProbability { lo: lo.get(), hi: hi.get() }) }
    }

    /// Lower end.
    pub const fn lo(self) -> f64 {
        self.lo.get()
    }

    /// Upper end.
    pub const fn hi(self) -> f64 {
        self.hi.get()
    }

    /// Whether the ends agree.
    pub fn is_exact(self) -> bool {
        self.lo == self.hi
    }
}

impl Expr {
    /// Deepest nesting; what people write stays below ten, what a machine writes below this.
    pub const DEPTH_MAX: usize = 64;
    /// Most leaves, repeated ones counted each time.
    pub const LEAVES_MAX: usize = 10_000;
    /// Most attempts of a retry: beyond it the model, not the number, is wrong.
    pub const ATTEMPTS_MAX: u32 = 16;
    /// Most repetitions.
    pub const COUNT_MAX: u32 = 1_000;

    /// The operator's name in the canonical text; `Leaf` for a component.
    pub const fn operator(&self) -> &'static str {
        match self {
            Self::Leaf(_) => "Leaf",
            Self::Series(_) => "Series",
            Self::Parallel { .. } => "Parallel",
            Self::Race { .. } => "Race",
            Self::Fallback { .. } => "Fallback",
            Self::Branch(_) => "Branch",
            Self::Retry { .. } => "Retry",
            Self::Timeout { .. } => "Timeout",
            Self::Repeat { .. } => "Repeat",
            Self::Async(_) => "Async",
        }
    }

    /// Direct operands in order; a fallback's primary comes first. O(number of operands).
    pub fn children(&self) -> Vec<&Self> {
        match self {
            Self::Leaf(_) => Vec::new(),
            Self::Series(all) | Self::Parallel { branches: all, .. } | Self::Race { branches: all, .. } => {
                all.iter().collect()
            }
            Self::Fallback { primary, alternates } => {
                core::iter::once(&**primary).chain(alternates.iter().map(|a| &a.expr)).collect()
            }
            Self::Branch(choices) => choices.iter().map(|c| &c.expr).collect(),
            Self::Retry { body, .. }
            | Self::Timeout { body, .. }
            | Self::Repeat { body, .. }
            | Self::Async(body) => vec![body],
        }
    }

    /// Component names from left to right, repeated ones each time. O(size), not recursive.
    pub fn leaves(&self) -> Vec<&ComponentName> {
        let mut found = Vec::new();
        let mut open = vec![self];
        while let Some(expr) = open.pop() {
            match expr {
                Self::Leaf(name) => found.push(name),
                other => open.extend(other.children().into_iter().rev()),
            }
        }
        found
    }
}
