//! Guards as Kubernetes ValidatingAdmissionPolicy: a rollout of the journey is only changed while its guard holds.
//!
//! The same CEL as in the intent; a symbol becomes a value of the parameters (a ConfigMap, written here with what was compiled, and kept up to
//! date by whoever runs this in a loop). A value that is missing fails the expression, and `failurePolicy: Fail` denies.

use serde_json::{Map, Value, json};

use super::prometheus::Sli;
use crate::compile::{Compiled, exact8};
use emac_journey::guard::{Guard, Input, SYMBOLS, Type};

/// Policy and binding of every action, and the parameters.
pub fn policies(compiled: &Compiled<'_>, sli: &Sli) -> Vec<Value> {
    let guards = compiled.intent.governance.actions.iter().enumerate();
    let guards: Vec<_> = guards
        .filter_map(|(number, action)| Some((number, action, Guard::new(&action.guard.value).ok()?)))
        .collect();
    if guards.is_empty() {
        return Vec::new();
    }
    let mut documents = vec![parameters(compiled, sli)];
    for (number, action, guard) in &guards {
        let name = format!("emac-{}-{}-{number}", sli.journey, slug(&action.kind));
        documents.push(policy(&name, sli, guard));
        documents.push(binding(&name, sli));
    }
    documents
}

/// Lower-case letters, digits and dashes.
fn slug(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    plain.take(30).collect()
}

fn parameters_name(sli: &Sli) -> String {
    format!("emac-{}", sli.journey)
}

/// Key of an input in the ConfigMap.
fn key(input: &Input) -> String {
    match input {
        Input::Symbol(name) => name.clone(),
        Input::Confidence(subject) => format!("conf_{subject}"),
        Input::Burn(window) => format!("burn_{window}"),
    }
}

fn parameters(compiled: &Compiled<'_>, sli: &Sli) -> Value {
    let mut data = Map::new();
    let mut put = |key: &str, value: String| data.insert(key.to_owned(), json!(value));
    if let Some(bounds) = &compiled.bounds {
        put("A_plus", exact8(bounds.a_plus()));
        put("A_minus", exact8(bounds.a_minus()));
        put("any_lo", exact8(bounds.any_dependence.lo()));
        put("any_hi", exact8(bounds.any_dependence.hi()));
    }
    put("objective", sli.target.get().to_string());
    put("no_unresolved_domain_conflict", compiled.decision.domains_resolved.to_string());
    put("verdict", compiled.decision.verdict.label().to_owned());
    put("mode", compiled.intent.runtime.policy.mode.label().to_owned());
    put("journey", sli.journey.clone());
    if let Some(overall) = compiled.model.confidence.overall {
        put("conf_delta", overall.get().to_string());
        put("conf_model", overall.get().to_string());
    }
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": parameters_name(sli), "labels": {"emac.dev/journey": sli.journey}},
        "data": data,
    })
}

fn policy(name: &str, sli: &Sli, guard: &Guard) -> Value {
    let variables: Vec<_> = guard
        .inputs()
        .iter()
        .map(|input| json!({"name": variable(input), "expression": value(input)}))
        .collect();
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name, "labels": {"emac.dev/journey": sli.journey}},
        "spec": {
            "failurePolicy": "Fail",
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "matchConstraints": {
                "objectSelector": {"matchLabels": {"emac.dev/journey": sli.journey}},
                "resourceRules": [{
                    "apiGroups": ["argoproj.io"],
                    "apiVersions": ["v1alpha1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["rollouts"],
                }],
            },
            "variables": variables,
            "validations": [{
                "expression": with_variables(guard),
                "message": format!("journey {}: the guard does not hold: {}", sli.journey, guard.text()),
                "reason": "Forbidden",
            }],
        },
    })
}

fn binding(name: &str, sli: &Sli) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name, "labels": {"emac.dev/journey": sli.journey}},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "paramRef": {"name": parameters_name(sli), "parameterNotFoundAction": "Deny"},
        },
    })
}

/// Name of an input's variable: a CEL identifier.
fn variable(input: &Input) -> String {
    key(input).chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// CEL that gives an input's value.
fn value(input: &Input) -> String {
    let data = format!("params.data[\"{}\"]", key(input));
    let kind = match input {
        Input::Symbol(name) => {
            SYMBOLS.iter().find(|(known, ..)| known == name).map_or(Type::Text, |&(_, kind, _)| kind)
        }
        Input::Confidence(_) | Input::Burn(_) => Type::Double,
    };
    match kind {
        Type::Double | Type::Int => format!("double({data})"),
        Type::Bool => format!("{data} == \"true\""),
        Type::Text | Type::Subject => data,
    }
}

/// The guard with its inputs named as variables. Functions first: their arguments are quoted, and what stays in quotes is left alone.
fn with_variables(guard: &Guard) -> String {
    let inputs = guard.inputs();
    let by = |input: &Input| format!("variables.{}", variable(input));
    let (symbols, functions): (Vec<_>, Vec<_>) =
        inputs.iter().partition(|input| matches!(input, Input::Symbol(_)));
    let called = |text: String, input: &&Input| text.replace(&input.written(), &by(input));
    let text = functions.iter().fold(guard.text().to_owned(), called);
    let named = |text: String, input: &&Input| replace_word(&text, &input.written(), &by(input));
    outside_quotes(&text, |part| symbols.iter().fold(part.to_owned(), named))
}

/// Changes what stands outside double and single quotes. A backslash keeps the next character from ending one.
fn outside_quotes(text: &str, change: impl Fn(&str) -> String) -> String {
    let (mut out, mut part) = (String::new(), String::new());
    let mut quote = None;
    let mut escaped = false;
    for c in text.chars() {
        match quote {
            None if matches!(c, '"' | '\'') => {
                out.push_str(&change(&std::mem::take(&mut part)));
                out.push(c);
                quote = Some(c);
            }
            None => part.push(c),
            Some(q) => {
                out.push(c);
                if c == q && !escaped {
                    quote = None;
                }
                escaped = c == '\\' && !escaped;
            }
        }
    }
    out + &change(&part)
}

/// Replaces whole words that do not follow a dot.
fn replace_word(text: &str, word: &str, by: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        let whole = !before.ends_with(is_part) && !after.starts_with(is_part);
        out.push_str(before);
        out.push_str(if whole { by } else { word });
        rest = after;
    }
    out + rest
}
