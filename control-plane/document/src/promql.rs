//! PromQL as people write it into documents: with `{{ .window }}` where a generator puts a window, and otherwise as Prometheus takes it.

mod place;

use promql_parser::parser::value::ValueType;
use promql_parser::parser::{Expr, parse};

pub(super) use place::place_of;

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
    /// Anything else.
    #[error("not PromQL: {0}")]
    Syntax(String),
}

/// The parser's tree is walked and freed by recursion, and text may be hostile.
const TEXT_MAX: usize = 8_192;
const DEPTH_MAX: usize = 256;

/// What stands for every window while a query is only looked at.
const ANY_WINDOW: &str = "5m";

/// Reads a query, in which windows need not be put in yet.
///
/// # Errors
/// [`InvalidPromql`]. The parser says what is wrong, not where; [`place_of`] finds some places.
pub fn parse_promql(query: &str) -> Result<Expr, InvalidPromql> {
    let query = with_window(query, ANY_WINDOW);
    if query.len() > TEXT_MAX {
        return Err(InvalidPromql::TooLong);
    }
    if depth(&query) > DEPTH_MAX {
        return Err(InvalidPromql::TooDeep);
    }
    parse(&query).map_err(|said| match said.strip_prefix("unknown function with name '") {
        Some(name) => InvalidPromql::UnknownFunction(name.trim_end_matches('\'').to_owned()),
        None => InvalidPromql::Syntax(said),
    })
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

/// Puts a window where `{{ .window }}` (or `{{.window}}`) stands.
pub fn with_window(query: &str, window: &str) -> String {
    let mut text = String::new();
    let mut rest = query;
    while let Some((before, after)) = rest.split_once("{{") {
        text.push_str(before);
        match after.split_once("}}") {
            Some((name, after)) if name.trim() == ".window" => {
                text.push_str(window);
                rest = after;
            }
            _ => {
                text.push_str("{{");
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_put_in() {
        let query = "sum(rate(x{a=\"{{ .other }}\"}[{{ .window }}])) / sum(rate(x[{{.window}}]))";
        assert_eq!(with_window(query, "5m"), "sum(rate(x{a=\"{{ .other }}\"}[5m])) / sum(rate(x[5m]))");
        assert_eq!(with_window("sum(rate(x[5m]))", "1h"), "sum(rate(x[5m]))");
    }

    #[test]
    fn queries_are_read_with_and_without_windows() {
        for query in [
            "x",
            "sum(rate(x{a=\"{{ .other }}\"}[{{ .window }}])) / sum(rate(x[{{.window}}]))",
            "max_over_time(x[{{ .window }}:1m] offset {{ .window }})",
            "1 - (sum by (a) (x) / on (a) group_left y) # why",
        ] {
            assert!(is_recordable(&parse_promql(query).unwrap()), "{query}");
        }
        for query in ["x[{{ .window }}]", "\"text\""] {
            assert!(!is_recordable(&parse_promql(query).unwrap()), "{query}");
        }
    }

    #[test]
    fn what_is_no_query_says_why() {
        let said = |query: &str| parse_promql(query).unwrap_err().to_string();
        assert_eq!(said("sum(rate(x[5m])"), "not PromQL: unclosed left parenthesis");
        assert_eq!(
            said("rate(x)"),
            "not PromQL: expected type matrix in call to function 'rate', got vector"
        );
        assert_eq!(parse_promql("nope(x)"), Err(InvalidPromql::UnknownFunction("nope".into())));
        for query in ["", "x{a=b}", "x{a=~\"[\"}", "rate(x[{{ window }}])", "x +", "a b"] {
            assert!(matches!(parse_promql(query), Err(InvalidPromql::Syntax(_))), "{query}");
        }
    }

    #[test]
    fn hostile_queries_are_answered_on_a_small_stack() {
        let nested = |open: &str, close: &str, n: usize| format!("{}x{}", open.repeat(n), close.repeat(n));
        assert_eq!(parse_promql(&nested("(", ")", 257)), Err(InvalidPromql::TooDeep));
        assert_eq!(parse_promql(&"x+".repeat(5_000)), Err(InvalidPromql::TooLong));
        let worst = [
            nested("abs(-", ")", DEPTH_MAX),
            nested("-", "", TEXT_MAX - 1),
            nested("1^", "", TEXT_MAX / 2 - 1),
            vec!["x"; TEXT_MAX / 2].join("+"),
            nested("sum(-(", "))", DEPTH_MAX / 2),
        ];
        let all = move || worst.iter().map(|query| parse_promql(query).is_ok()).collect::<Vec<_>>();
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(all).unwrap();
        assert_eq!(thread.join().unwrap(), [true; 5]);
    }
}
