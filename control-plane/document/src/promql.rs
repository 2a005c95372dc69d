//! PromQL as people write it into documents: with `{{ .window }}` where a generator puts a window, and otherwise as Prometheus takes it.
//!
//! A query is a tree, from `promql-parser`, and is written back out by [`write_promql`]; nothing is looked for in its text. What that parser
//! takes and a Prometheus without feature flags refuses is refused here (`refused`), so that a rule made of a query can be loaded.

mod place;
mod quotes;
mod refused;
mod regex;
mod selectors;
mod shape;
mod window;
mod write;

use promql_parser::parser::value::ValueType;
use promql_parser::parser::{Expr, parse};

pub(super) use place::place_of;
pub use selectors::{each_selector_mut, match_all, parts, selectors};
pub use shape::{ResultLabels, Unit, differing_labels, result_labels, unit};
pub use window::{WindowUse, window_use, with_window};
pub use write::{write_label, write_promql};

/// Why a text is no PromQL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPromql {
    /// Longer than any query that a person reads.
    #[error("more than {TEXT_MAX} bytes of PromQL")]
    TooLong,
    /// Parentheses within one another.
    #[error("more than {DEPTH_MAX} parentheses within one another")]
    TooDeep,
    /// A function that Prometheus did not have when the parser was written. It may be a newer one, or another system's.
    #[error("PromQL has no function `{0}`")]
    UnknownFunction(String),
    /// `{{ ... }}` outside quoted text that is not `{{ .window }}`.
    #[error("`{0}` is put in by nobody; windows are written `{{{{ .window }}}}`")]
    Placeholder(String),
    /// The parser takes it, Prometheus does not.
    #[error("Prometheus refuses it: {0}")]
    Refused(String),
    /// Anything else.
    #[error("not PromQL: {0}")]
    Syntax(String),
}

/// The parser's tree is walked and freed by recursion, and text may be hostile.
const TEXT_MAX: usize = 8_192;
const DEPTH_MAX: usize = 256;
/// What is made of queries holds each of them several times.
const GENERATED_MAX: usize = 32 * TEXT_MAX;

/// Words that older Prometheus took for names.
const NEW_WORDS: [&str; 2] = ["anchored", "smoothed"];

/// What stands for every window while a query is only looked at.
const ANY_WINDOW: &str = "5m";

/// Reads a query, in which windows need not be put in yet.
///
/// # Errors
/// [`InvalidPromql`]. The parser says what is wrong, not where; readers find some places.
pub fn parse_promql(query: &str) -> Result<Expr, InvalidPromql> {
    if query.len() > TEXT_MAX {
        return Err(InvalidPromql::TooLong);
    }
    read(query).map_err(|error| match error {
        InvalidPromql::Syntax(_) => misspelt(query).map_or(error, InvalidPromql::Placeholder),
        _ => error,
    })
}

/// Reads what was made of queries that [`parse_promql`] took.
///
/// # Errors
/// [`InvalidPromql`].
pub fn parse_generated(query: &str) -> Result<Expr, InvalidPromql> {
    if query.len() > GENERATED_MAX { Err(InvalidPromql::TooLong) } else { read(query) }
}

fn read(query: &str) -> Result<Expr, InvalidPromql> {
    let query = quotes::plain_quotes(&with_window(query, ANY_WINDOW))?;
    if depth(&query) > DEPTH_MAX {
        return Err(InvalidPromql::TooDeep);
    }
    let expr = parse(&query).map_err(|said| match said.strip_prefix("unknown function with name '") {
        Some(name) => InvalidPromql::UnknownFunction(name.trim_end_matches('\'').to_owned()),
        None if said == "invalid promql query" && NEW_WORDS.iter().any(|word| query.contains(word)) => {
            InvalidPromql::Syntax(format!(
                "{said}; `anchored` and `smoothed` are words of the language, a metric of that name is `{{__name__=\"anchored\"}}`"
            ))
        }
        None => InvalidPromql::Syntax(said),
    })?;
    match refused::refused(&expr) {
        None => Ok(expr),
        Some(why) => Err(InvalidPromql::Refused(why)),
    }
}

/// The `{{ ... }}` that is no window and stands where one belongs, if the query is right but for such.
fn misspelt(query: &str) -> Option<String> {
    let query = with_window(query, ANY_WINDOW);
    let mut parts = query.split("{{");
    let mut pieces = vec![(String::new(), parts.next()?)];
    for part in parts {
        let (name, after) = part.split_once("}}")?;
        pieces.push((format!("{{{{{name}}}}}"), after));
    }
    let without = |kept: Option<usize>| -> String {
        let piece = |(place, (name, after)): (usize, &(String, &str))| match place {
            0 => (*after).to_owned(),
            _ if kept == Some(place) => format!("{name}{after}"),
            _ => format!("{ANY_WINDOW}{after}"),
        };
        pieces.iter().enumerate().map(piece).collect()
    };
    read(&without(None)).ok()?;
    let (_, (name, _)) =
        pieces.iter().enumerate().skip(1).find(|(place, _)| read(&without(Some(*place))).is_err())?;
    Some(name.clone())
}

/// Whether an expression gives what a rule can record: one value a series, or one number.
pub fn is_recordable(expr: &Expr) -> bool {
    matches!(expr.value_type(), ValueType::Vector | ValueType::Scalar)
}

/// At least as deep as parentheses stand within one another; those in quoted text count, too, which only makes it more.
fn depth(query: &str) -> usize {
    let mut open = 0_usize;
    let deeper = query.bytes().map(|byte| {
        match byte {
            b'(' => open += 1,
            b')' => open = open.saturating_sub(1),
            _ => {}
        }
        open
    });
    deeper.max().unwrap_or_default()
}

#[cfg(test)]
mod generator;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
