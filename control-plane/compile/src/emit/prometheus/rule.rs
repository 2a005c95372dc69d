//! Rules and their files.

use serde_json::{Map, Value, json};

/// A group of rules.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its name, unique within a file.
    pub name: String,
    /// Its rules, in order: later ones may use earlier ones.
    pub rules: Vec<Rule>,
}

/// Pairs of label or annotation, in order.
pub type Pairs = Vec<(&'static str, String)>;

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
            Self::Alert { alert, expr, hold, labels, annotations } => {
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
    Value::Object(pairs.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect())
}

/// A plain rule file: `{groups: [...]}`; also the `spec` of a PrometheusRule.
pub fn rule_file(groups: &[Group]) -> Value {
    let group = |group: &Group| {
        let rules: Vec<_> = group.rules.iter().map(Rule::json).collect();
        json!({"name": group.name, "rules": rules})
    };
    json!({"groups": groups.iter().map(group).collect::<Vec<_>>()})
}
