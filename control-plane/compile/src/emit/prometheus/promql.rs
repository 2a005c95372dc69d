//! The little of PromQL that generating needs: the series a query selects, and one more label for them. Queries are parsed, not searched.

use std::convert::Infallible;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{Expr, VectorSelector};
use promql_parser::util::visitor::{ExprVisitorMut, walk_expr_mut};
use promql_parser::util::{ExprVisitor, walk_expr};

use emac_document::parse_promql;
pub use emac_document::with_window;

/// `metric{matchers}[window]` in a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Name of the metric.
    pub metric: String,
    /// What its labels must be.
    pub matchers: Vec<Matcher>,
}

/// The first range selector of a query; `None` when there is none, or one without the metric's name.
pub fn selector(query: &str) -> Option<Selector> {
    let mut first = First(None);
    let Ok(_) = walk_expr(&mut first, &parse_promql(query).ok()?);
    let VectorSelector { name, matchers, .. } = first.0?;
    matchers.or_matchers.is_empty().then_some(Selector { metric: name?, matchers: matchers.matchers })
}

/// The query with one more matcher in every range selector; `None` where there is no range selector. Matchers are then in the
/// order of their names.
pub fn with_matcher(query: &str, label: &str, value: &str) -> Option<String> {
    let mut expr = parse_promql(query).ok()?;
    let mut add = Add { matcher: Matcher::new(MatchOp::Equal, label, value), added: 0 };
    walk_expr_mut(&mut add, &mut expr).ok()?;
    let text = expr.to_string();
    // Only what is read back as the same tree says the same.
    (add.added > 0 && parse_promql(&text).is_ok_and(|read| read == expr)).then_some(text)
}

/// Finds the first range selector, in the order written.
struct First(Option<VectorSelector>);

impl ExprVisitor for First {
    type Error = Infallible;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Infallible> {
        let found = match expr {
            Expr::MatrixSelector(range) => Some(&range.vs),
            Expr::Subquery(range) => match &*range.expr {
                Expr::VectorSelector(series) => Some(series),
                _ => None,
            },
            _ => None,
        };
        self.0 = found.cloned();
        Ok(self.0.is_none())
    }
}

/// Adds a matcher to every range selector.
struct Add {
    matcher: Matcher,
    added: usize,
}

/// `{a="b" or c="d"}`, which Prometheus does not have.
struct Alternatives;

impl Add {
    fn add(&mut self, series: &mut VectorSelector) -> Result<(), Alternatives> {
        if !series.matchers.or_matchers.is_empty() {
            return Err(Alternatives);
        }
        series.matchers.matchers.push(self.matcher.clone());
        self.added += 1;
        sort(series);
        Ok(())
    }
}

/// As they are written, so that what is read back compares as equal.
fn sort(series: &mut VectorSelector) {
    series.matchers.matchers.sort_by_key(ToString::to_string);
}

impl ExprVisitorMut for Add {
    type Error = Alternatives;

    fn pre_visit(&mut self, expr: &mut Expr) -> Result<bool, Alternatives> {
        match expr {
            Expr::VectorSelector(series) => sort(series),
            Expr::MatrixSelector(range) => self.add(&mut range.vs)?,
            Expr::Subquery(range) => {
                if let Expr::VectorSelector(series) = &mut *range.expr {
                    self.add(series)?;
                }
            }
            _ => {}
        }
        Ok(true)
    }
}

/// A value that a matcher selects, made from its own text; `None` for regular expressions that are more than alternatives of literals with `.` and a
/// last `.*` or `.+`.
pub fn example(matcher: &Matcher) -> Option<String> {
    let alternatives = matcher.value.trim_start_matches('(').trim_end_matches(')');
    let first = alternatives.split('|').next().unwrap_or_default();
    let from_pattern = first.trim_end_matches(".*").trim_end_matches(".+").replace('.', "0");
    let candidates = [from_pattern.clone(), format!("{from_pattern}x"), "other".to_owned()];
    match matcher.op {
        MatchOp::Equal => Some(matcher.value.clone()),
        _ => candidates.into_iter().find(|candidate| matcher.is_match(candidate)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_found() {
        let found =
            selector("sum(rate(http_requests_total{service=\"a\", code=~\"2..|3..\",x!='y'}[5m]))").unwrap();
        assert_eq!(found.metric, "http_requests_total");
        let shown: Vec<_> = found.matchers.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["service=\"a\"", "code=~\"2..|3..\"", "x!=\"y\""]);
        let metric = |query| selector(query).map(|found| found.metric);
        assert_eq!(metric("sum(rate(up[{{ .window }}]))").as_deref(), Some("up"));
        assert_eq!(metric("max_over_time(up[5m:1m]) / x").as_deref(), Some("up"));
        assert_eq!(metric("sum(up) + rate(second[5m]) + rate(third[5m])").as_deref(), Some("second"));
        for query in ["sum(up)", "rate({a=\"b\"}[5m])", "rate(x{a=\"b\" or c=\"d\"}[5m])", "no query ["] {
            assert_eq!(selector(query), None, "{query}");
        }
        let escaped = selector("rate(x{a=\"}\\\"[\"}[5m])").unwrap();
        assert_eq!(escaped.matchers.first().map(|matcher| matcher.value.as_str()), Some("}\"["));
    }

    #[test]
    fn matchers_are_added() {
        let added = |query| with_matcher(query, "rollout", "canary");
        assert_eq!(added("rate(x{a=\"b\"}[5m])").as_deref(), Some("rate(x{a=\"b\",rollout=\"canary\"}[5m])"));
        assert_eq!(added("rate(x{}[5m])").as_deref(), Some("rate(x{rollout=\"canary\"}[5m])"));
        assert_eq!(added("rate(x[5m])").as_deref(), Some("rate(x{rollout=\"canary\"}[5m])"));
        let difference =
            "sum(rate(all{rollout=\"canary\"}[5m])) - sum(rate(bad{code=\"]}\",rollout=\"canary\"}[5m]))";
        let plain = "sum(rate(all[{{ .window }}])) - sum(rate(bad{code=\"]}\"}[5m]))";
        assert_eq!(added(plain).as_deref(), Some(difference), "of canaries on both sides, or it is none");
        let subquery = "max_over_time(x{rollout=\"canary\"}[5m:]) + y{a=\"b\",z=\"c\"}";
        assert_eq!(added("max_over_time(x[5m:]) + y{z='c',a='b'}").as_deref(), Some(subquery));
        assert_eq!(added("rate(x{a=\"b\" or c=\"d\"}[5m])"), None);
        assert_eq!(added("up"), None);
    }

    #[test]
    fn examples_are_selected() {
        let example = |written: &str| {
            let found = selector(&format!("rate(x{{code{written}}}[5m])")).unwrap();
            example(&found.matchers[0])
        };
        assert_eq!(example("=~\"2..|3..\"").as_deref(), Some("200"));
        assert_eq!(example("!~\"5..\"").as_deref(), Some("500x"));
        assert_eq!(example("=~\"(5..|429)\"").as_deref(), Some("500"));
        assert_eq!(example("=~\".+\"").as_deref(), Some("x"));
        assert_eq!(example("!=\"a\"").as_deref(), Some("ax"));
        assert_eq!(example("=~\"[a-z]\""), None);
    }
}
