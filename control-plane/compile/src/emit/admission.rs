//! Guards as Kubernetes ValidatingAdmissionPolicy: the pods of a journey's rollout are only changed while its guard holds.
//!
//! The same CEL as in the intent; a symbol becomes a value of the parameters (a ConfigMap, written here with what was compiled, and kept up to
//! date by whoever runs this in a loop). A value that is missing fails the expression, and `failurePolicy: Fail` denies.
//!
//! Judged is a change of the pod template and nothing else: scaling, annotations, an abort and what the rollout's own controller writes pass. Going back to images
//! that ran is always allowed, also while the guard does not hold: it is how an outage ends. Which ran is in an annotation of the rollout ([`RAN`]),
//! kept by a MutatingAdmissionPolicy ([`memory`]; Kubernetes 1.36) or, on older clusters, by whoever deploys.

use serde_json::{Map, Value, json};

use super::names::{label_value, name_part};
use super::prometheus::Sli;
use crate::compile::Compiled;
use emac_journey::guard::{Guard, Input, Known, SYMBOLS, Type};

/// Annotation with what ran: containers and their images (`app=shop:1,proxy=envoy:2`), one after another, with a space between.
pub const RAN: &str = "emac.dev/ran";

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
        let name = format!("{}-{}-{number}", parameters_name(sli), name_part(&action.kind, 30));
        documents.push(policy(&name, sli, guard, compiled.preview));
        documents.push(binding(&name, sli));
    }
    documents
}

fn parameters_name(sli: &Sli) -> String {
    format!("emac-{}", name_part(&sli.journey, 150))
}

fn labels(sli: &Sli) -> Value {
    json!({"emac.dev/journey": label_value(&sli.journey)})
}

/// Key of an input in the ConfigMap.
fn key(input: &Input) -> String {
    let plain = |text: &str| -> String {
        text.chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') { c } else { '_' })
            .collect()
    };
    match input {
        Input::Symbol(name) => plain(name),
        Input::Confidence(subject) => format!("conf_{}", plain(subject)),
        Input::Burn(window) => format!("burn_{}", plain(window)),
    }
}

/// Everything that a guard can ask for and that is known here, with all of its digits.
fn parameters(compiled: &Compiled<'_>, sli: &Sli) -> Value {
    let inputs = SYMBOLS.iter().map(|&(name, kind, _)| match kind {
        Type::Subject => Input::Confidence(name.to_owned()),
        _ => Input::Symbol(name.to_owned()),
    });
    let said = |known: Known| match known {
        Known::Number(number) => number.to_string(),
        Known::Flag(flag) => flag.to_string(),
        Known::Text(text) => text,
    };
    let data: Map<String, Value> =
        inputs.filter_map(|input| Some((key(&input), json!(said(compiled.known(&input)?))))).collect();
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": parameters_name(sli), "labels": labels(sli)},
        "data": data,
    })
}

/// What guards ask for and nobody here knows: whoever measures it has to write it into the parameters.
pub fn unknown(compiled: &Compiled<'_>) -> Vec<(String, Vec<String>)> {
    let actions = compiled.intent.governance.actions.iter();
    let guards = actions.filter_map(|action| Some((&action.kind, Guard::new(&action.guard.value).ok()?)));
    let asked = guards.map(|(kind, guard)| {
        let unknown = guard.inputs().into_iter().filter(|input| compiled.known(input).is_none());
        (kind.clone(), unknown.map(|input| key(&input)).collect::<Vec<_>>())
    });
    asked.filter(|(_, keys)| !keys.is_empty()).collect()
}

/// CEL: the containers of a rollout with their images, `app=shop:1,proxy=envoy:2`.
fn images(of: &str) -> String {
    format!(
        "has({of}.spec.template) && has({of}.spec.template.spec) && has({of}.spec.template.spec.containers) ? {of}.spec.template.spec.containers.map(c, c.name + \"=\" + (has(c.image) ? c.image : \"\")).join(\",\") : \"\""
    )
}

/// CEL: what ran, by the rollout as it was.
fn ran() -> String {
    format!(
        "has(oldObject.metadata.annotations) && \"{RAN}\" in oldObject.metadata.annotations ? oldObject.metadata.annotations[\"{RAN}\"].split(\" \") : []"
    )
}

/// CEL: the pods change. The rollout controller writes objects back in its own spelling, with `resources: {}` where nothing stood: that is no change.
fn template_changes() -> String {
    let spec = |of: &str| format!("(has({of}.spec.template.spec) ? {of}.spec.template.spec : {{}})");
    let (new, old) = (spec("object"), spec("oldObject"));
    let rest = |one: &str, other: &str| {
        format!(
            "{one}.all(k, k in [\"containers\", \"initContainers\"] || (k in {other} && {other}[k] == {one}[k]))"
        )
    };
    let each = |list: &str| {
        let of = |spec: &str| format!("(\"{list}\" in {spec} ? {spec}.{list} : [])");
        let (new, old) = (of(&new), of(&old));
        let same = |a: &str, b: &str| {
            format!("{a}.all(k, k in {b} ? {a}[k] == {b}[k] : (k == \"resources\" && size({a}[k]) == 0))")
        };
        format!(
            "size({new}) == size({old}) && {new}.map(c, c.name) == {old}.map(c, c.name) && {new}.all(c, {old}.exists(o, o.name == c.name && {} && {}))",
            same("c", "o"),
            same("o", "c")
        )
    };
    let metadata = |of: &str, part: &str| {
        format!(
            "(has({of}.spec.template.metadata) && has({of}.spec.template.metadata.{part}) ? {of}.spec.template.metadata.{part} : {{}})"
        )
    };
    let alike = |part: &str| format!("{} == {}", metadata("object", part), metadata("oldObject", part));
    let same = [
        alike("labels"),
        alike("annotations"),
        rest(&new, &old),
        rest(&old, &new),
        each("containers"),
        each("initContainers"),
    ];
    format!("has(object.spec.template) && (!has(oldObject.spec.template) || !({}))", same.join(" && "))
}

fn rollouts(sli: &Sli) -> Value {
    json!({
        "objectSelector": {"matchLabels": labels(sli)},
        "resourceRules": [{
            "apiGroups": ["argoproj.io"],
            "apiVersions": ["v1alpha1"],
            "operations": ["UPDATE"],
            "resources": ["rollouts"],
        }],
    })
}

fn policy(name: &str, sli: &Sli, guard: &Guard, preview: bool) -> Value {
    let variables: Vec<_> = guard
        .inputs()
        .iter()
        .map(|input| json!({"name": variable(input), "expression": value(input)}))
        .collect();
    let holds = with_variables(guard);
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name, "labels": labels(sli)},
        "spec": {
            "failurePolicy": "Fail",
            "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
            "matchConstraints": rollouts(sli),
            "matchConditions": [
                {"name": "the-pods-change", "expression": template_changes()},
                {
                    "name": "and-do-not-go-back-to-what-ran",
                    "expression": format!("!(({}) in ({}))", images("object"), ran_before()),
                },
            ],
            "variables": variables,
            "validations": [{
                "expression": if preview { format!("false && ({holds})") } else { holds },
                "message": format!("journey {}: the guard does not hold: {}", sli.journey, guard.text()),
                "reason": "Forbidden",
            }],
        },
    })
}

/// CEL: what ran and is not what stands there now: the same images with another configuration are a change like any other.
fn ran_before() -> String {
    format!("({}).filter(r, r != ({}))", ran(), images("oldObject"))
}

fn binding(name: &str, sli: &Sli) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name, "labels": labels(sli)},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "paramRef": {"name": parameters_name(sli), "parameterNotFoundAction": "Deny"},
        },
    })
}

/// Keeps in each rollout of the journey what ran: when the pods change, what stood there and was fully rolled out. Nobody else can write it, or lose it.
pub fn memory(sli: &Sli) -> Vec<Value> {
    let name = format!("{}-memory", parameters_name(sli));
    let stable = "!has(oldObject.status) || !has(oldObject.status.stableRS) || !has(oldObject.status.currentPodHash) || oldObject.status.stableRS == oldObject.status.currentPodHash";
    let all = "variables.changes && variables.stable && variables.was != \"\" && !(variables.was in variables.ran) ? variables.ran + [variables.was] : variables.ran";
    let patch = format!(
        "variables.remembered == variables.written ? [] : has(object.metadata.annotations) ? [JSONPatch{{op: \"add\", path: \"/metadata/annotations/\" + jsonpatch.escapeKey(\"{RAN}\"), value: variables.remembered}}] : [JSONPatch{{op: \"add\", path: \"/metadata/annotations\", value: {{\"{RAN}\": variables.remembered}}}}]"
    );
    let written = format!(
        "has(object.metadata.annotations) && \"{RAN}\" in object.metadata.annotations ? object.metadata.annotations[\"{RAN}\"] : \"\""
    );
    let variables = [
        ("ran", ran()),
        ("was", images("oldObject")),
        // Other images: a new configuration of the same is remembered already, or does not run yet.
        ("changes", format!("({}) != ({})", images("object"), images("oldObject"))),
        ("stable", stable.to_owned()),
        ("all", all.to_owned()),
        // An annotation has its limits.
        (
            "remembered",
            "size(variables.all.join(\" \")) > 100000 ? variables.was : variables.all.join(\" \")".to_owned(),
        ),
        ("written", written),
    ];
    let variables = variables.map(|(name, expression)| json!({"name": name, "expression": expression}));
    vec![
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": name, "labels": labels(sli)},
            "spec": {
                "failurePolicy": "Ignore",
                "reinvocationPolicy": "Never",
                "matchConstraints": rollouts(sli),
                "variables": variables,
                "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
            },
        }),
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": name, "labels": labels(sli)},
            "spec": {"policyName": name, "matchResources": {"objectSelector": {"matchLabels": labels(sli)}}},
        }),
    ]
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
