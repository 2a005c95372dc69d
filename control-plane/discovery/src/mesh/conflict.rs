//! Statements that cannot both hold: about the same calls, in different words.

use std::collections::{BTreeMap, BTreeSet};

use super::{MeshFacts, Name, Scope, Split};
use emac_compile::model::{Provenance, RuntimeField, RuntimeParameters, RuntimeValue};

/// Two or more statements about one thing that differ. Which one the mesh follows depends on the order in which it met them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// About the calls of whom, and which: `reviews.bookinfo [prefix /login]`.
    pub about: String,
    /// About what: `timeout`, `weights`.
    pub parameter: String,
    /// Every value with who says it, in the order of values; at least two.
    pub values: BTreeMap<String, Vec<Provenance>>,
}

impl MeshFacts {
    /// Every conflict, in the order of names. O(statements · log).
    pub fn conflicts(&self) -> Vec<Conflict> {
        let mut said: BTreeMap<(&Name, &Scope, &str), BTreeMap<String, Vec<Provenance>>> = BTreeMap::new();
        let mut say = |to, scope, parameter, value: String, provenance: &Provenance| {
            let values = said.entry((to, scope, parameter)).or_default();
            values.entry(value).or_default().push(provenance.clone());
        };
        for statement in &self.statements {
            for (parameter, value) in values(&statement.parameters) {
                say(&statement.to, &statement.scope, parameter, value, &statement.provenance);
            }
        }
        for Split { host, scope, shares, provenance } in &self.splits {
            say(host, scope, "weights", super::divided(shares), provenance);
        }
        let differing = said.into_iter().filter(|(_, values)| values.len() > 1);
        let conflict = |((to, scope, parameter), values): ((&Name, &Scope, &str), _)| Conflict {
            about: about(to, scope),
            parameter: parameter.to_owned(),
            values,
        };
        differing.map(conflict).collect()
    }
}

fn about(to: &Name, scope: &Scope) -> String {
    let caller = scope.caller.as_ref().map(|caller| format!("from {caller}"));
    let subset = scope.subset.as_ref().map(|subset| format!("subset {subset}"));
    let port = scope.port.map(|port| format!("port {port}"));
    let condition = Some(scope.condition.clone()).filter(|condition| !condition.is_empty());
    let parts: Vec<String> = caller.into_iter().chain(subset).chain(port).chain(condition).collect();
    if parts.is_empty() { to.to_string() } else { format!("{to} [{}]", parts.join("; ")) }
}

/// What is said, parameter by parameter.
pub(super) fn values(parameters: &RuntimeParameters) -> Vec<(&'static str, String)> {
    let said = |field: RuntimeField<'_>| {
        let value = match field.value {
            RuntimeValue::Millis(millis) => format!("{millis} ms"),
            RuntimeValue::Count(count) => count.to_string(),
            RuntimeValue::Text(text) => text.to_owned(),
            RuntimeValue::Mirror(to, share) => format!("{:.1} % of the calls to {to}", share.get() * 100.0),
        };
        (field.label, value)
    };
    parameters.fields().map(said).collect()
}

/// The same in one line.
pub(super) fn says(parameters: &RuntimeParameters, more: &BTreeMap<&'static str, String>) -> String {
    let said = values(parameters).into_iter().map(|(name, value)| format!("{name} {value}"));
    let more = more.iter().map(|(name, value)| format!("{name} {value}"));
    said.chain(more).collect::<Vec<_>>().join(", ")
}

/// Conditions of a retry, whose order means nothing: `reset,5xx` is `5xx,reset`.
pub(super) fn in_order(conditions: &str) -> String {
    let words: BTreeSet<&str> =
        conditions.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    words.into_iter().collect::<Vec<_>>().join(",")
}
