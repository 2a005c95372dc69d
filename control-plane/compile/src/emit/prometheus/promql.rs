//! The little of PromQL that generating needs: the series a query selects, and one more label for them. Queries are parsed, not searched.

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{Expr, VectorSelector};

pub use emac_document::with_window;
use emac_document::{match_all, parse_promql, selectors, write_promql};

/// `metric{matchers}` in a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Name of the metric.
    pub metric: String,
    /// What its labels must be.
    pub matchers: Vec<Matcher>,
}

/// The first selector of a query; `None` when there is none, or one without the metric's name.
pub fn selector(query: &str) -> Option<Selector> {
    let expr = parse_promql(query).ok()?;
    let found = selectors(&expr).into_iter().next().map(named);
    found?
}

/// Every selector of a query; `None` when one is without the metric's name.
pub(super) fn named_selectors(expr: &Expr) -> Option<Vec<Selector>> {
    selectors(expr).into_iter().map(named).collect()
}

fn named(series: &VectorSelector) -> Option<Selector> {
    let (names, matchers): (Vec<_>, Vec<_>) =
        series.matchers.matchers.iter().cloned().partition(|matcher| matcher.name == "__name__");
    let name = match (&series.name, names.as_slice()) {
        (Some(name), []) => name.clone(),
        (None, [Matcher { op: MatchOp::Equal, value, .. }]) => value.clone(),
        _ => return None,
    };
    Some(Selector { metric: name, matchers })
}

/// The query with one more matcher in every selector; `None` where it is no PromQL.
pub fn with_matcher(query: &str, label: &str, value: &str) -> Option<String> {
    let mut expr = parse_promql(query).ok()?;
    match_all(&mut expr, &Matcher::new(MatchOp::Equal, label, value));
    Some(write_promql(&expr))
}

/// A value that a matcher selects, made from its own text; `None` for regular expressions that are more than alternatives of literals with `.`,
/// classes, repetitions and a last `.*` or `.+`.
pub fn example(matcher: &Matcher) -> Option<String> {
    match matcher.op {
        MatchOp::Equal => Some(matcher.value.clone()),
        _ => {
            let found = alternatives(&matcher.value).into_iter().map(|first| literal(&first));
            let with_others = found.flat_map(|text| [text.clone(), format!("{text}x")]);
            let mut candidates = with_others.chain(["other", "200", "500"].map(str::to_owned));
            candidates.find(|candidate| matcher.is_match(candidate))
        }
    }
}

/// What stands between bars outside brackets, without flags and outer parentheses.
fn alternatives(pattern: &str) -> Vec<String> {
    let pattern = pattern.trim_start_matches("(?i)").trim_start_matches('^').trim_end_matches('$');
    let pattern = pattern.trim_start_matches("(?:").trim_start_matches('(').trim_end_matches(')');
    pattern.split('|').map(str::to_owned).collect()
}

/// A text for a pattern: the first of each class, one for each dot, as many as a repetition asks for.
fn literal(pattern: &str) -> String {
    let mut out = String::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        let unit = match c {
            '.' => '0',
            '\\' => match chars.next() {
                Some('d') => '0',
                Some('w') => 'a',
                Some('s') => ' ',
                Some(other) => other,
                None => break,
            },
            '[' => {
                let class: String = chars.by_ref().take_while(|c| *c != ']').collect();
                class.chars().find(|c| *c != '^').filter(|_| !class.starts_with('^')).unwrap_or('0')
            }
            '(' | ')' | '?' => continue,
            other => other,
        };
        let count = match chars.peek() {
            Some('*' | '?') => {
                chars.next();
                0
            }
            Some('+') => {
                chars.next();
                1
            }
            Some('{') => {
                let count: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                count.split(',').next().and_then(|least| least.parse().ok()).unwrap_or(1).min(64)
            }
            _ => 1,
        };
        out.extend(std::iter::repeat_n(unit, count));
    }
    out
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
        assert_eq!(metric("rate({__name__=\"x\",a=\"b\"}[5m])").as_deref(), Some("x"));
        for query in ["vector(1)", "rate({a=\"b\"}[5m])", "rate({__name__=~\"x.*\"}[5m])", "no query ["] {
            assert_eq!(selector(query), None, "{query}");
        }
        let escaped = selector("rate(x{a=\"}\\\"[\"}[5m])").unwrap();
        assert_eq!(escaped.matchers.first().map(|matcher| matcher.value.as_str()), Some("}\"["));
    }

    #[test]
    fn matchers_are_added_to_every_selector() {
        let added = |query| with_matcher(query, "rollout", "canary").unwrap();
        assert_eq!(added("rate(x{a=\"b\"}[5m])"), "rate(x{a=\"b\",rollout=\"canary\"}[5m])");
        assert_eq!(added("rate(x{}[5m])"), "rate(x{rollout=\"canary\"}[5m])");
        assert_eq!(added("up"), "up{rollout=\"canary\"}");
        assert_eq!(added("x{rollout=~\".+\"}"), "x{rollout=~\".+\",rollout=\"canary\"}");
        assert_eq!(added("x{rollout='canary'}"), "x{rollout=\"canary\"}");
        let difference =
            "sum(rate(all{rollout=\"canary\"}[5m])) - sum(rate(bad{code=\"]}\",rollout=\"canary\"}[5m]))";
        let plain = "sum(rate(all[{{ .window }}])) - sum(rate(bad{code=\"]}\"}[5m])) # [all]";
        assert_eq!(added(plain), difference, "of canaries on both sides, or it is none");
        assert_eq!(
            added("topk(scalar(k), max_over_time(x[5m:] offset 1m)) + job:y{z='c',a=`b`}"),
            "topk(scalar(k{rollout=\"canary\"}), max_over_time(x{rollout=\"canary\"}[5m:] offset 1m)) + job:y{z=\"c\",a=\"b\",rollout=\"canary\"}"
        );
        assert_eq!(with_matcher("rate(x{a=\"b\" or c=\"d\"}[5m])", "a", "b"), None);
    }

    #[test]
    fn examples_are_selected() {
        let example = |written: &str| {
            let found = selector(&format!("rate(x{{code{written}}}[5m])")).unwrap();
            example(&found.matchers[0])
        };
        for (written, expected) in [
            ("=~\"2..|3..\"", "200"),
            ("!~\"5..\"", "500x"),
            ("=~\"(5..|429)\"", "500"),
            ("=~\".+\"", "0"),
            ("!=\"a\"", "ax"),
            ("=~\"[a-z]\"", "a"),
            ("=~\"2[0-9]{2}\"", "200"),
            ("!~\"5[0-9]{2}\"", "500x"),
            ("=~\"/v[12]/.*\"", "/v1/"),
            ("=~\"^(?:GET|HEAD)$\"", "GET"),
            ("=~\"\\\\d{3}\"", "000"),
        ] {
            assert_eq!(example(written).as_deref(), Some(expected), "{written}");
        }
    }
}
