//! Guards of automatic actions: CEL expressions over what is known of a journey (`governance.actions[].guard`).
//!
//! `A_minus >= 0.995 && p99_U <= 0.4 && conf(delta) >= 0.8 && no_unresolved_domain_conflict`
//!
//! A guard is type-checked when the intent is read, against the symbols of [`SYMBOLS`]: a misspelt name must not wait until a rollout to be
//! noticed. Evaluated, it answers with the inputs it used; a symbol whose value is not known makes the answer [`Answer::Unknown`], which allows
//! nothing. What it was told and what it said goes into a [`ledger`]. Language: <https://github.com/google/cel-spec>; the part checked here is what the symbols need: literals, `&& || ! ?:`, comparisons,
//! arithmetic, `in` over a list, the functions `conf` and `burn`.

mod check;
mod evaluate;
pub mod ledger;

use cel::Program;

pub use evaluate::{Answer, Evaluation, Input, Known};

/// Longest guard.
const BYTES_MAX: usize = 2_048;
/// Deepest brackets, and most of each sign that nests without them. The CEL parser recurses on these before it counts; a guard that needs more
/// is a program.
const NESTING_MAX: usize = 16;

/// Type of a guard's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A number with a decimal point.
    Double,
    /// A whole number.
    Int,
    /// Text.
    Text,
    /// What `conf` is asked about.
    Subject,
}

impl Type {
    /// As CEL calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Double => "double",
            Self::Int => "int",
            Self::Text => "string",
            Self::Subject => "a subject of conf()",
        }
    }
}

/// What a guard may name, with its type and meaning.
pub const SYMBOLS: [(&str, Type, &str); 14] = [
    ("A_plus", Type::Double, "A+: availability if components fail independently (upper end)"),
    (
        "A_minus",
        Type::Double,
        "A-: availability if components that share a failure domain may fail together (lower end)",
    ),
    ("any_lo", Type::Double, "availability under any dependence, lower end"),
    ("any_hi", Type::Double, "availability under any dependence, upper end"),
    ("objective", Type::Double, "availability objective"),
    ("p99_L", Type::Double, "latency quantile of the objective in seconds, lower end"),
    ("p99_U", Type::Double, "latency quantile of the objective in seconds, upper end"),
    (
        "no_unresolved_domain_conflict",
        Type::Bool,
        "no failure domain is missing or contradictory where redundancy depends on it",
    ),
    ("fresh", Type::Bool, "evidence is younger than freshness.maxAge"),
    ("verdict", Type::Text, "PASS, FAIL, REVIEW or UNASSESSABLE"),
    ("mode", Type::Text, "governance.runtime.mode"),
    ("journey", Type::Text, "name of the journey"),
    ("delta", Type::Subject, "conf(delta): confidence of the delta under review"),
    ("model", Type::Subject, "conf(model): confidence of the model as a whole"),
];

/// Functions: `conf(delta)`, and `burn("1h")`, the burn rate over a window.
const FUNCTIONS: [&str; 2] = ["conf", "burn"];

/// A checked guard.
#[derive(Debug)]
pub struct Guard {
    text: String,
    program: Program,
}

/// Why a guard is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGuard {
    /// Longer than anybody reads.
    #[error("more than {BYTES_MAX} bytes")]
    TooLong,
    /// Too many brackets within one another, or too many of one sign.
    #[error("nested deeper than {NESTING_MAX} levels")]
    TooDeep,
    /// Not CEL.
    #[error("not CEL: {0}")]
    Syntax(String),
    /// A name that means nothing here.
    #[error("`{0}` is not known to guards")]
    UnknownSymbol(String),
    /// A function that does not exist here.
    #[error("`{0}()` is not a function of guards")]
    UnknownFunction(String),
    /// Operands that do not fit.
    #[error("`{operator}` does not take {found}")]
    Operands {
        /// As written.
        operator: String,
        /// Types found.
        found: String,
    },
    /// Something CEL has and guards do not.
    #[error("guards have no {0}")]
    Unsupported(&'static str),
    /// It answers something else than yes or no.
    #[error("a guard is true or false, this one is a {0}")]
    NotBool(&'static str),
}

impl Guard {
    /// Parses and type-checks.
    ///
    /// # Errors
    /// [`InvalidGuard`] for the first thing that is wrong.
    pub fn new(text: &str) -> Result<Self, InvalidGuard> {
        if text.len() > BYTES_MAX {
            return Err(InvalidGuard::TooLong);
        }
        if nesting(text) > NESTING_MAX {
            return Err(InvalidGuard::TooDeep);
        }
        let program =
            Program::compile(text).map_err(|errors| InvalidGuard::Syntax(first_line(&errors.to_string())))?;
        match check::type_of(&program.expression().expr)? {
            Type::Bool => Ok(Self { text: text.to_owned(), program }),
            other => Err(InvalidGuard::NotBool(other.name())),
        }
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Names it uses, in order, each once; of functions `conf(delta)` and `burn("1h")`.
    pub fn inputs(&self) -> Vec<Input> {
        let mut inputs = Vec::new();
        check::inputs(&self.program.expression().expr, &mut inputs);
        inputs.sort();
        inputs.dedup();
        inputs
    }
}

/// An upper bound of how deep an expression can nest: brackets, and signs that need none.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    let signs = ['!', '-', '?'].map(|sign| text.matches(sign).count());
    deepest.max(signs.into_iter().max().unwrap_or_default())
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_start_matches("ERROR: ").to_owned()
}

#[cfg(test)]
mod tests;
