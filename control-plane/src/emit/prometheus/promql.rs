//! The little of PromQL that generating needs: windows put into templates, and the series a query selects.

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

/// Whether a query has a place for a window.
pub fn has_window(query: &str) -> bool {
    with_window(query, "") != query
}

/// `metric{matchers}[window]` in a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Name of the metric.
    pub metric: String,
    /// What its labels must be.
    pub matchers: Vec<Matcher>,
}

/// One label matcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    /// Name of the label.
    pub label: String,
    /// How it is compared.
    pub op: Op,
    /// With what.
    pub value: String,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Matches,
    /// `!~`
    NotMatches,
}

/// The first range selector of a query; `None` when the query is written in a way that this reader does not follow.
pub fn selector(query: &str) -> Option<Selector> {
    let bracket = query.find('[')?;
    let before = query.get(..bracket)?.trim_end();
    let (head, matchers) = match before.strip_suffix('}') {
        Some(inner) => {
            let open = opening(inner)?;
            (inner.get(..open)?.trim_end(), matchers(inner.get(open + 1..)?)?)
        }
        None => (before, Vec::new()),
    };
    let start =
        head.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).map_or(0, |at| at + 1);
    let metric = head.get(start..)?.to_owned();
    (!metric.is_empty()).then_some(Selector { metric, matchers })
}

/// The query with one more matcher in its first range selector; `None` where [`selector`] finds none.
pub fn with_matcher(query: &str, label: &str, value: &str) -> Option<String> {
    selector(query)?;
    let bracket = query.find('[')?;
    let (before, after) = query.split_at(bracket);
    let matcher = format!("{label}=\"{value}\"");
    Some(match before.trim_end().strip_suffix('}') {
        Some(inner) if inner.trim_end().ends_with(['{', ',']) => format!("{inner}{matcher}}}{after}"),
        Some(inner) => format!("{inner},{matcher}}}{after}"),
        None => format!("{before}{{{matcher}}}{after}"),
    })
}

/// The last `{` outside quotes.
fn opening(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    let mut open = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '{') => open = Some(at),
            _ => {}
        }
    }
    open
}

fn matchers(text: &str) -> Option<Vec<Matcher>> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find(['=', '!'])?;
        let label = rest.get(..end)?.trim().to_owned();
        let (op, after) = operator(rest.get(end..)?)?;
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
        let inner = after.get(1..)?;
        let close = inner.find(quote)?;
        let value = inner.get(..close)?.to_owned();
        // An escape would change the value's meaning; nobody's label needs one here.
        if value.contains('\\') {
            return None;
        }
        found.push(Matcher { label, op, value });
        rest = inner.get(close + 1..)?.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some(found)
}

fn operator(text: &str) -> Option<(Op, &str)> {
    let ops = [("=~", Op::Matches), ("!~", Op::NotMatches), ("!=", Op::NotEqual), ("=", Op::Equal)];
    ops.into_iter().find_map(|(sign, op)| Some((op, text.strip_prefix(sign)?)))
}

impl Matcher {
    /// Whether a label value (empty when absent) is selected. Of regular expressions only alternatives of literals with `.` and a last `.*`
    /// or `.+` are understood; anything else counts as not selecting.
    pub fn selects(&self, value: &str) -> bool {
        match self.op {
            Op::Equal => value == self.value,
            Op::NotEqual => value != self.value,
            Op::Matches => self.matches(value),
            Op::NotMatches => !self.matches(value),
        }
    }

    fn matches(&self, value: &str) -> bool {
        let pattern = self.value.trim_start_matches('(').trim_end_matches(')');
        pattern.split('|').any(|alternative| literal_matches(alternative, value))
    }

    /// A value that is selected.
    pub fn example(&self) -> Option<String> {
        let first =
            self.value.trim_start_matches('(').trim_end_matches(')').split('|').next().unwrap_or_default();
        let from_pattern = first.trim_end_matches(".*").trim_end_matches(".+").replace('.', "0");
        let candidates = [from_pattern.clone(), format!("{from_pattern}x"), "other".to_owned()];
        match self.op {
            Op::Equal => Some(self.value.clone()),
            _ => candidates.into_iter().find(|candidate| self.selects(candidate)),
        }
    }
}

fn literal_matches(pattern: &str, value: &str) -> bool {
    let (pattern, open, least) = match (pattern.strip_suffix(".*"), pattern.strip_suffix(".+")) {
        (Some(prefix), _) => (prefix, true, 0),
        (_, Some(prefix)) => (prefix, true, 1),
        _ => (pattern, false, 0),
    };
    let plain =
        pattern.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ' '));
    let (pattern, value): (Vec<char>, Vec<char>) = (pattern.chars().collect(), value.chars().collect());
    let fits = if open { value.len() >= pattern.len() + least } else { value.len() == pattern.len() };
    plain && fits && pattern.iter().zip(&value).all(|(&p, &v)| p == '.' || p == v)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_put_in() {
        let query = "sum(rate(x{a=\"{{ .other }}\"}[{{ .window }}])) / sum(rate(x[{{.window}}]))";
        assert_eq!(with_window(query, "5m"), "sum(rate(x{a=\"{{ .other }}\"}[5m])) / sum(rate(x[5m]))");
        assert!(has_window(query) && !has_window("sum(rate(x[5m]))"));
    }

    #[test]
    fn selectors_are_found() {
        let found =
            selector("sum(rate(http_requests_total{service=\"a\", code=~\"2..|3..\",x!='y'}[5m]))").unwrap();
        assert_eq!(found.metric, "http_requests_total");
        let shown: Vec<_> =
            found.matchers.iter().map(|m| (m.label.as_str(), m.op, m.value.as_str())).collect();
        assert_eq!(
            shown,
            [("service", Op::Equal, "a"), ("code", Op::Matches, "2..|3.."), ("x", Op::NotEqual, "y")]
        );
        assert_eq!(selector("sum(rate(up[5m]))").unwrap().metric, "up");
        assert_eq!(selector("sum(up)"), None);
        assert_eq!(selector("rate({a=\"b\"}[5m])"), None);
        assert_eq!(selector("rate(x{a=\"}\\\"\"}[5m])"), None);
    }

    #[test]
    fn matchers_are_added() {
        let added = |query| with_matcher(query, "rollout", "canary");
        assert_eq!(added("rate(x{a=\"b\"}[5m])").as_deref(), Some("rate(x{a=\"b\",rollout=\"canary\"}[5m])"));
        assert_eq!(added("rate(x{}[5m])").as_deref(), Some("rate(x{rollout=\"canary\"}[5m])"));
        assert_eq!(added("rate(x[5m])").as_deref(), Some("rate(x{rollout=\"canary\"}[5m])"));
        assert_eq!(added("up"), None);
    }

    #[test]
    fn examples_are_selected() {
        let matcher = |op, value: &str| Matcher { label: "code".into(), op, value: value.into() };
        assert_eq!(matcher(Op::Matches, "2..|3..").example().as_deref(), Some("200"));
        assert!(
            matcher(Op::Matches, "2..|3..").selects("302") && !matcher(Op::Matches, "2..").selects("500")
        );
        assert_eq!(matcher(Op::NotMatches, "5..").example().as_deref(), Some("500x"));
        assert_eq!(matcher(Op::Matches, "(5..|429)").example().as_deref(), Some("500"));
        assert_eq!(matcher(Op::Matches, ".+").example().as_deref(), Some("x"));
        assert_eq!(matcher(Op::Matches, "[a-z]").example(), None);
    }
}
