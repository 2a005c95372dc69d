//! `{{ .window }}`: where a generator puts one window after another, and what of a query depends on it.

use std::time::Duration;

use promql_parser::parser::{Expr, VectorSelector};

use super::{InvalidPromql, parse_promql};

/// A window that nobody writes, in milliseconds: what has it has it from `{{ .window }}`.
const MARK: u64 = 1_234_567_891;

/// How often a query reads series, by what of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowUse {
    /// Over the window.
    pub windowed: usize,
    /// Over a range that is always the same.
    pub fixed: usize,
    /// At one instant.
    pub instant: usize,
}

/// What a query reads, and how.
///
/// # Errors
/// [`InvalidPromql`].
pub fn window_use(query: &str) -> Result<WindowUse, InvalidPromql> {
    let mark = format!("{MARK}ms");
    let expr = parse_promql(&with_window(query, &mark))?;
    let mut found = WindowUse::default();
    look(&expr, Range::None, &mark, &mut found);
    Ok(found)
}

/// Over what a part of a query is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Range {
    None,
    Fixed,
    Window,
}

impl Range {
    /// Within another one.
    fn and(self, range: Duration) -> Self {
        if self == Self::Window || range == Duration::from_millis(MARK) { Self::Window } else { Self::Fixed }
    }
}

fn look(expr: &Expr, within: Range, mark: &str, found: &mut WindowUse) {
    let mut count = |series: &VectorSelector, range: Range| {
        // `job:good:rate{{ .window }}`: a recorded series for each window.
        let named = series.name.as_deref().is_some_and(|name| name.contains(mark))
            || series.matchers.matchers.iter().any(|matcher| matcher.value.contains(mark));
        match range {
            _ if named => found.windowed += 1,
            Range::Window => found.windowed += 1,
            Range::Fixed => found.fixed += 1,
            Range::None => found.instant += 1,
        }
    };
    match expr {
        Expr::VectorSelector(series) => count(series, within),
        Expr::MatrixSelector(range) => count(&range.vs, within.and(range.range)),
        Expr::Subquery(range) => look(&range.expr, within.and(range.range), mark, found),
        Expr::Unary(of) => look(&of.expr, within, mark, found),
        Expr::Paren(of) => look(&of.expr, within, mark, found),
        Expr::Binary(of) => {
            look(&of.lhs, within, mark, found);
            look(&of.rhs, within, mark, found);
        }
        Expr::Aggregate(of) => {
            if let Some(param) = &of.param {
                look(param, within, mark, found);
            }
            look(&of.expr, within, mark, found);
        }
        Expr::Call(call) => call.args.args.iter().for_each(|arg| look(arg, within, mark, found)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

/// Puts a window where `{{ .window }}` (or `{{.window}}`, or with Go's trim marks `{{- .window -}}`) stands.
pub fn with_window(query: &str, window: &str) -> String {
    let mut text = String::new();
    let mut rest = query;
    while let Some((before, after)) = rest.split_once("{{") {
        text.push_str(before);
        match after.split_once("}}") {
            Some((name, after)) if is_window(name) => {
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

fn is_window(name: &str) -> bool {
    let name = name.strip_prefix("- ").unwrap_or(name);
    name.strip_suffix(" -").unwrap_or(name).trim() == ".window"
}
