//! Names and texts that other programs take: labels of series, of pods and of alerts, and what Prometheus fills into alerts.

use std::collections::BTreeMap;
use std::convert::Infallible;

use emac_document::Reader;
use emac_document::shape::Form;
use emac_document::types::{Shown, Type, checked, map, scalar, text, word_as};

/// What [`alert_texts`] calls a label.
pub(super) const LABEL: &str = "a label";

/// Labels or annotations of alerts, by name; `what` one of them is, with its article.
pub(super) fn alert_texts<'a>(what: &'static str) -> impl Type<'a, Value = BTreeMap<String, String>> {
    let any = |name: &str| Ok::<_, Infallible>(name.to_owned());
    let texts = map("^[A-Za-z_][A-Za-z0-9_]*$", any, text());
    checked(texts, move |it: Reader<'a>, texts: Vec<(String, &'a str)>| {
        if let Some((name, _)) = texts.iter().find(|(name, _)| !is_name(name) || name == "alertname") {
            return it.refuse_with(
                format!("`{name}` is no name of {what} of an alert"),
                "letters, digits and `_`, not beginning with a digit",
            );
        }
        let dialects = |name: &str| matches!(name, "long" | "short") || name.starts_with("sloth_");
        if let Some((name, _)) = texts.iter().find(|(name, _)| what == LABEL && dialects(name)) {
            return it.refuse_with(
                format!("the label `{name}` tells alerts of a dialect apart; another value would make two of them one"),
                "take another name",
            );
        }
        match texts.iter().find_map(|(_, text)| template(text)) {
            Some(wrong) => refuse_template(it, &wrong),
            None => Some(texts.into_iter().map(|(name, text)| (name, text.to_owned())).collect()),
        }
    })
}

/// A text into which Prometheus may fill something.
pub(super) fn annotation<'a>() -> impl Type<'a, Value = String> {
    word_as(|it, text| match template(text) {
        Some(wrong) => refuse_template(it, &wrong),
        None => Some(text.to_owned()),
    })
}

fn refuse_template<T>(reader: Reader<'_>, wrong: &str) -> Option<T> {
    reader.refuse_with(
        format!(
            "`{wrong}` is no template that is known to be one: Prometheus refuses rule files with others"
        ),
        "`{{ $value }}`, `{{ $labels.name }}`, perhaps with `| humanize` or another function behind",
    )
}

/// The first part of a text in braces that is not known to be a template of Prometheus.
fn template(text: &str) -> Option<String> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{{") {
        let Some((inside, after)) = after.split_once("}}") else { return Some(format!("{{{{{after}")) };
        if !is_template(inside) {
            return Some(format!("{{{{{inside}}}}}"));
        }
        rest = after;
    }
    None
}

fn is_template(inside: &str) -> bool {
    const FUNCTIONS: [&str; 9] = [
        "humanize",
        "humanize1024",
        "humanizeDuration",
        "humanizePercentage",
        "humanizeTimestamp",
        "title",
        "toUpper",
        "toLower",
        "stripPort",
    ];
    let is_function = |function: &str| FUNCTIONS.contains(&function);
    let mut parts = inside.split('|').map(str::trim);
    let first = parts.next().unwrap_or_default();
    // `humanize $value` is `$value | humanize`.
    let first = match first.split_once(' ') {
        Some((function, of)) if is_function(function) => of.trim_start(),
        _ => first,
    };
    let named = |prefix: &str| first.strip_prefix(prefix).is_some_and(is_name);
    let known = ["$value", "$externalURL"].contains(&first) || named("$labels.") || named("$externalLabels.");
    known && parts.all(is_function)
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c == '_' || c.is_ascii_alphanumeric();
    !name.is_empty()
        && name.chars().all(plain)
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name != "__name__"
}

/// A label that pods and series can have: a Kubernetes key without prefix that is a Prometheus label, too.
pub(super) fn label_of_pods_and_series<'a>() -> impl Type<'a, Value = String> {
    const FORMS: [Form; 1] = [Form::Text("^[A-Za-z]([A-Za-z0-9_]{0,61}[A-Za-z0-9])?$")];
    scalar("label", &FORMS, "rollout", |it: Reader<'a>| {
        let name = it.word()?;
        if is_name(name) && name.len() <= 63 && !name.starts_with('_') && !name.ends_with('_') {
            return Some(name.to_owned());
        }
        it.refuse_with(
            format!("`{name}` is no label of pods that is also one of series"),
            "letters, digits and `_`, beginning with a letter and not ending with `_`",
        )
    })
}

/// A value that a pod's label can have.
pub(super) fn label_value<'a>() -> impl Shown<'a, Value = String> {
    const FORMS: [Form; 1] = [Form::Text("^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")];
    scalar("text", &FORMS, "canary", |it: Reader<'a>| {
        let value = it.word()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let ends = [value.chars().next(), value.chars().last()];
        let framed = ends.into_iter().all(|c| c.is_some_and(|c| c.is_ascii_alphanumeric()));
        if value.len() <= 63 && value.chars().all(plain) && framed {
            return Some(value.to_owned());
        }
        it.refuse("a label's value is at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_that_prometheus_loads_are_known() {
        for good in [
            "",
            "plain",
            "at {{ $value | humanizePercentage }} of {{$labels.zone}}",
            "{{ $externalURL }}",
            "{{ humanize $value | title }}",
        ] {
            assert_eq!(template(good), None, "{good}");
        }
        for (bad, told) in [
            ("{{ value }}", "{{ value }}"),
            ("x {{ $labels.", "{{ $labels."),
            ("{{ $value | nope }}", "{{ $value | nope }}"),
            ("{{ nope $value }}", "{{ nope $value }}"),
            ("{{ title $nope }}", "{{ title $nope }}"),
            ("{{ $labels.a-b }}", "{{ $labels.a-b }}"),
        ] {
            assert_eq!(template(bad).as_deref(), Some(told));
        }
    }
}
