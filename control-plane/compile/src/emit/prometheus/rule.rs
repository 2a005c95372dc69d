//! Rules and their files, and what Prometheus asks of both.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Pair;
use emac_document::{is_recordable, parse_generated};

/// A group of rules.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its name, unique within a file.
    pub name: String,
    /// Its rules, in order: later ones may use earlier ones.
    pub rules: Vec<Rule>,
}

/// Pairs of label or annotation, in order.
pub type Pairs = Vec<(String, String)>;

/// Pairs with names of our own.
pub(super) fn pairs<const N: usize>(of: [(&str, String); N]) -> Pairs {
    of.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// What an alert is about.
#[derive(Clone, Debug, PartialEq)]
pub enum About {
    /// The error budget, by any of these pairs.
    Burning(Vec<Pair>),
    /// Nothing is measured.
    Absence,
    /// Latency, or that it cannot be measured.
    Latency,
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// A recorded series.
    Record {
        /// Its name.
        record: String,
        /// PromQL.
        expr: String,
        /// Labels added.
        labels: Pairs,
    },
    /// An alert.
    Alert {
        /// Its name.
        alert: String,
        /// PromQL.
        expr: String,
        /// How long it must hold, as `10m`; empty: at once.
        hold: String,
        /// Labels added.
        labels: Pairs,
        /// For people.
        annotations: Pairs,
        /// For unit tests.
        about: About,
    },
}

impl Rule {
    /// A recorded series.
    pub fn record(record: impl Into<String>, expr: impl Into<String>, labels: Pairs) -> Self {
        Self::Record { record: record.into(), expr: expr.into(), labels }
    }

    fn json(&self) -> Value {
        let mut json = Map::new();
        match self {
            Self::Record { record, expr, labels } => {
                json.insert("record".to_owned(), json!(record));
                json.insert("expr".to_owned(), json!(expr));
                insert(&mut json, "labels", labels);
            }
            Self::Alert { alert, expr, hold, labels, annotations, about: _ } => {
                json.insert("alert".to_owned(), json!(alert));
                json.insert("expr".to_owned(), json!(expr));
                if !hold.is_empty() {
                    json.insert("for".to_owned(), json!(hold));
                }
                insert(&mut json, "labels", labels);
                insert(&mut json, "annotations", annotations);
            }
        }
        Value::Object(json)
    }
}

fn insert(json: &mut Map<String, Value>, key: &str, pairs: &Pairs) {
    if !pairs.is_empty() {
        json.insert(key.to_owned(), object(pairs));
    }
}

/// Pairs as a mapping.
pub(super) fn object(pairs: &Pairs) -> Value {
    Value::Object(pairs.iter().map(|(key, value)| (key.clone(), json!(value))).collect())
}

/// A plain rule file: `{groups: [...]}`; also the `spec` of a PrometheusRule.
pub fn rule_file(groups: &[Group]) -> Value {
    let group = |group: &Group| {
        let rules: Vec<_> = group.rules.iter().map(Rule::json).collect();
        json!({"name": group.name, "rules": rules})
    };
    json!({"groups": groups.iter().map(group).collect::<Vec<_>>()})
}

/// A rule that Prometheus would refuse, and with it the whole file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Prometheus would refuse the rule `{rule}`: {why}")]
pub struct Unloadable {
    /// Name of the rule.
    pub rule: String,
    /// What is wrong with it.
    pub why: String,
}

/// Looks at every rule as Prometheus does when it loads them.
///
/// # Errors
/// [`Unloadable`] for the first that it would refuse.
pub fn loadable(groups: &[Group]) -> Result<(), Unloadable> {
    let (mut names, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for group in groups {
        let told = |why: &str| Unloadable { rule: group.name.clone(), why: why.to_owned() };
        if !names.insert(&group.name) {
            return Err(told("two groups have this name"));
        }
        for rule in &group.rules {
            let (kind, name, expr, labels) = match rule {
                Rule::Record { record, expr, labels } => ("record", record, expr, labels),
                Rule::Alert { alert, expr, labels, .. } => ("alert", alert, expr, labels),
            };
            let told = |why: String| Unloadable { rule: name.clone(), why };
            if name.is_empty() || (kind == "record" && !is_metric_name(name)) {
                return Err(told("its name is none for a series".to_owned()));
            }
            let parsed = parse_generated(expr).map_err(|error| told(format!("{error}: {expr}")))?;
            if !is_recordable(&parsed) {
                return Err(told("it gives no numbers".to_owned()));
            }
            if let Some((label, _)) = labels.iter().find(|(label, _)| !is_label_name(label)) {
                return Err(told(format!("`{label}` is no name of a label")));
            }
            if !seen.insert((kind, name, labels)) {
                return Err(told("there is another with the same labels".to_owned()));
            }
        }
    }
    Ok(())
}

/// What every Prometheus takes as the name of a series.
fn is_metric_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn is_label_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty()
        && name.chars().all(plain)
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name != "__name__"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prometheus_would_refuse_is_not_loadable() {
        let record = |name: &str, expr: &str, label: &str| {
            Rule::record(name, expr, vec![(label.to_owned(), String::new())])
        };
        let why = |rules: Vec<Rule>| {
            loadable(&[Group { name: "g".to_owned(), rules }])
                .map_err(|refused| refused.why)
                .err()
                .unwrap_or_default()
        };
        assert_eq!(why(vec![record("a:b", "sum(x) # y", "l"), record("a:b", "1", "m")]), "");
        assert!(why(vec![record("a b", "1", "l")]).contains("none for a series"));
        assert!(why(vec![record("a", "1 - (sum(x) # y)", "l")]).contains("not PromQL"));
        assert!(why(vec![record("a", "", "l")]).contains("not PromQL"));
        assert!(why(vec![record("a", "x[5m]", "l")]).contains("no numbers"));
        assert!(why(vec![record("a", "1", "l-m")]).contains("`l-m`"));
        assert!(why(vec![record("a", "1", "l"), record("a", "2", "l")]).contains("another"));
        let group = || Group { name: "g".to_owned(), rules: Vec::new() };
        assert!(loadable(&[group(), group()]).is_err());
    }
}
