//! The rules of the language, each with its own reason.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::{Alternative, Choice, ComponentName, Expr, Join};
use crate::units::Millis;

/// A checked expression in normal form.
#[derive(Clone, Debug, PartialEq)]
pub struct Journey {
    root: Expr,
}

/// One broken rule and where.
#[derive(Clone, Debug, PartialEq)]
pub struct InvalidExpr {
    /// Which operand, from the root: `[1, 0]` is the first operand of the root's second.
    pub path: Vec<usize>,
    /// Which rule.
    pub problem: Problem,
}

/// A rule an expression can break.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    /// Nothing to combine.
    #[error("{operator} has no operands")]
    Empty {
        /// Which operator.
        operator: &'static str,
    },
    /// The probabilities of a branch leave something out, or count something twice.
    #[error("the probabilities of a branch add up to 1, these to {lo}{}", upper(*.lo, *.hi))]
    ProbabilitySum {
        /// Sum of the lower ends.
        lo: f64,
        /// Sum of the upper ends.
        hi: f64,
    },
    /// More successes asked for than there are branches, or none.
    #[error("atLeast is between 1 and the number of branches ({branches}), not {k}")]
    AtLeast {
        /// Asked for.
        k: u32,
        /// There are.
        branches: usize,
    },
    /// A timeout that nothing can meet.
    #[error("a timeout is above zero")]
    ZeroTimeout,
    /// An answer worth nothing.
    #[error("an alternate's weight is above 0: an answer worth nothing is no fallback")]
    ZeroWeight,
    /// An answer worth more than one asked before it: it would be asked first.
    #[error(
        "an alternate is worth at most what those before it are, not {weight} after {before}: put the better one first"
    )]
    RisingWeight {
        /// Of the alternate before.
        before: f64,
        /// Its own.
        weight: f64,
    },
    /// No try, or too many.
    #[error("attempts is between 1 and {max}, not {attempts}")]
    Attempts {
        /// Given.
        attempts: u32,
        /// Allowed.
        max: u32,
    },
    /// No repetition, or too many.
    #[error("count is between 1 and {max}, not {count}")]
    Count {
        /// Given.
        count: u32,
        /// Allowed.
        max: u32,
    },
    /// A race is won by an answer, and nobody waits for the answer of an async.
    #[error("async inside race: a race waits for an answer, an async has none to wait for")]
    AsyncInRace,
    /// Nested too deep to be meant.
    #[error("nested deeper than {max} levels")]
    TooDeep {
        /// Allowed.
        max: usize,
    },
    /// Too many leaves to be meant.
    #[error("more than {max} leaves")]
    TooManyLeaves {
        /// Allowed.
        max: usize,
    },
}

fn upper(lo: f64, hi: f64) -> impl fmt::Display {
    struct Upper(Option<f64>);
    impl fmt::Display for Upper {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.map_or(Ok(()), |hi| write!(f, " at least and {hi} at most"))
        }
    }
    Upper((lo != hi).then_some(hi))
}

impl fmt::Display for InvalidExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

/// A branch written with decimals misses 1 by rounding alone: below 1e-15 a summand, far less than any slip of the pen.
const SUM_TOLERANCE: f64 = 1e-12;
/// Enough to see what is wrong; a machine-made expression may break a rule in every node.
const PROBLEMS_MAX: usize = 100;

impl Journey {
    /// Checks every rule and brings the expression into normal form. O(size · log size), not recursive in the unchecked
    /// input.
    ///
    /// # Errors
    /// Every broken rule with its place, at most 100, in reading order.
    pub fn new(expr: Expr) -> Result<Self, Vec<InvalidExpr>> {
        let problems = check(&expr);
        if problems.is_empty() { Ok(Self { root: super::normalize::normalize(expr) }) } else { Err(problems) }
    }

    /// The expression.
    pub const fn root(&self) -> &Expr {
        &self.root
    }

    /// Component names from left to right, repeated ones each time.
    pub fn leaves(&self) -> Vec<&ComponentName> {
        self.root.leaves()
    }
}

impl fmt::Display for Journey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

struct Visit<'a> {
    expr: &'a Expr,
    path: Vec<usize>,
    in_race: bool,
}

fn check(root: &Expr) -> Vec<InvalidExpr> {
    let mut problems = Vec::new();
    let mut leaves = 0_usize;
    let mut open = vec![Visit { expr: root, path: Vec::new(), in_race: false }];
    while let Some(visit) = open.pop() {
        leaves += usize::from(matches!(visit.expr, Expr::Leaf(_)));
        if let Some(problem) = limits(&visit, leaves) {
            problems.push(InvalidExpr { path: visit.path, problem });
            return problems;
        }
        for (operand, problem) in rules(visit.expr, visit.in_race) {
            if problems.len() == PROBLEMS_MAX {
                return problems;
            }
            let path = visit.path.iter().copied().chain(operand).collect();
            problems.push(InvalidExpr { path, problem });
        }
        open.extend(operands(&visit).into_iter().rev());
    }
    problems
}

fn operands<'a>(visit: &Visit<'a>) -> Vec<Visit<'a>> {
    let in_race = visit.in_race || matches!(visit.expr, Expr::Race { .. });
    let step = |(place, expr)| {
        let mut path = visit.path.clone();
        path.push(place);
        Visit { expr, path, in_race }
    };
    visit.expr.children().into_iter().enumerate().map(step).collect()
}

/// Limits after which looking further is not worth it.
fn limits(visit: &Visit<'_>, leaves: usize) -> Option<Problem> {
    if visit.path.len() >= Expr::DEPTH_MAX {
        Some(Problem::TooDeep { max: Expr::DEPTH_MAX })
    } else if leaves > Expr::LEAVES_MAX {
        Some(Problem::TooManyLeaves { max: Expr::LEAVES_MAX })
    } else {
        None
    }
}

/// The rules of one node: of the node itself, or of one of its operands.
fn rules(expr: &Expr, in_race: bool) -> Vec<(Option<usize>, Problem)> {
    let empty = |is_empty: bool| is_empty.then_some(Problem::Empty { operator: expr.operator() });
    let found = match expr {
        Expr::Leaf(_) => [None, None],
        Expr::Series(steps) => [empty(steps.is_empty()), None],
        Expr::Race { branches, .. } => [empty(branches.is_empty()), None],
        Expr::Parallel { join, branches } => [empty(branches.is_empty()), at_least(*join, branches.len())],
        Expr::Fallback { alternates, .. } => [empty(alternates.is_empty()), weights(alternates)],
        Expr::Branch(choices) => [empty(choices.is_empty()), probabilities(choices)],
        Expr::Retry { attempts, per_try_timeout, .. } => {
            [bounded_attempts(*attempts), per_try_timeout.and_then(zero_timeout)]
        }
        Expr::Timeout { after, .. } => [zero_timeout(*after), None],
        Expr::Repeat { count, .. } => [bounded_count(*count), None],
        Expr::Async(_) => [in_race.then_some(Problem::AsyncInRace), None],
    };
    let own = found.into_iter().flatten().map(|problem| (None, problem));
    let rising = match expr {
        Expr::Fallback { alternates, .. } => rising(alternates),
        _ => Vec::new(),
    };
    own.chain(rising.into_iter().map(|(operand, problem)| (Some(operand), problem))).collect()
}

/// Alternates worth more than the one before, by their place among the operands.
fn rising(alternates: &[Alternative]) -> Vec<(usize, Problem)> {
    let pairs = alternates.iter().zip(alternates.iter().skip(1)).zip(2..);
    let rises = |((before, next), operand): ((&Alternative, &Alternative), usize)| {
        let (before, weight) = (before.weight.get(), next.weight.get());
        (weight > before).then_some((operand, Problem::RisingWeight { before, weight }))
    };
    pairs.filter_map(rises).collect()
}

fn at_least(join: Join, branches: usize) -> Option<Problem> {
    match join {
        Join::AtLeast(k) if branches > 0 && (k == 0 || k as usize > branches) => {
            Some(Problem::AtLeast { k, branches })
        }
        _ => None,
    }
}

fn weights(alternates: &[Alternative]) -> Option<Problem> {
    alternates.iter().any(|a| a.weight.get() <= 0.0).then_some(Problem::ZeroWeight)
}

fn probabilities(choices: &[Choice]) -> Option<Problem> {
    let lo: f64 = choices.iter().map(|c| c.probability.lo()).sum();
    let hi: f64 = choices.iter().map(|c| c.probability.hi()).sum();
    let holds = choices.is_empty() || (lo <= 1.0 + SUM_TOLERANCE && hi >= 1.0 - SUM_TOLERANCE);
    (!holds).then_some(Problem::ProbabilitySum { lo, hi })
}

fn zero_timeout(timeout: Millis) -> Option<Problem> {
    (timeout.0 == 0).then_some(Problem::ZeroTimeout)
}

fn bounded_attempts(attempts: u32) -> Option<Problem> {
    let max = Expr::ATTEMPTS_MAX;
    (!(1..=max).contains(&attempts)).then_some(Problem::Attempts { attempts, max })
}

fn bounded_count(count: u32) -> Option<Problem> {
    let max = Expr::COUNT_MAX;
    (!(1..=max).contains(&count)).then_some(Problem::Count { count, max })
}
