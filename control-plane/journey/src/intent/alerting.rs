//! Names and texts that other programs take: labels of series, of pods and of alerts, and what Prometheus fills into alerts.

use std::collections::BTreeMap;

use super::share::{owned, texts};
use emac_document::Reader;

/// `labels` of alerts.
pub(super) fn labels(reader: Reader<'_>) -> Option<BTreeMap<String, String>> {
    named(reader, "label")
}

/// `annotations` of alerts.
pub(super) fn annotations(reader: Reader<'_>) -> Option<BTreeMap<String, String>> {
    named(reader, "annotation")
}

fn named(reader: Reader<'_>, what: &str) -> Option<BTreeMap<String, String>> {
    let found = texts(reader)?;
    if let Some(name) = found.keys().find(|name| !is_name(name) || *name == "alertname") {
        return reader.refuse_with(
            format!("`{name}` is no name of {} of an alert", article(what)),
            "letters, digits and `_`, not beginning with a digit",
        );
    }
    match found.values().find_map(|text| template(text)) {
        Some(wrong) => refuse_template(reader, &wrong),
        None => Some(found),
    }
}

fn article(what: &str) -> String {
    let article = if what.starts_with('a') { "an" } else { "a" };
    format!("{article} {what}")
}

/// A text into which Prometheus may fill something.
pub(super) fn annotation(reader: Reader<'_>) -> Option<String> {
    let text = owned(reader)?;
    match template(&text) {
        Some(wrong) => refuse_template(reader, &wrong),
        None => Some(text),
    }
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
    let mut parts = inside.split('|').map(str::trim);
    let first = parts.next().unwrap_or_default();
    let named = |prefix: &str| first.strip_prefix(prefix).is_some_and(is_name);
    let known = ["$value", "$externalURL"].contains(&first) || named("$labels.") || named("$externalLabels.");
    known && parts.all(|function| FUNCTIONS.contains(&function))
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c == '_' || c.is_ascii_alphanumeric();
    !name.is_empty()
        && name.chars().all(plain)
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name != "__name__"
}

/// A label that pods and series can have: a Kubernetes key without prefix that is a Prometheus label, too.
pub(super) fn label_of_pods_and_series(reader: Reader<'_>) -> Option<String> {
    let name = owned(reader)?;
    if is_name(&name) && name.len() <= 63 && !name.starts_with('_') && !name.ends_with('_') {
        return Some(name);
    }
    reader.refuse_with(
        format!("`{name}` is no label of pods that is also one of series"),
        "letters, digits and `_`, beginning with a letter and not ending with `_`",
    )
}

/// A value that a pod's label can have.
pub(super) fn label_value(reader: Reader<'_>) -> Option<String> {
    let value = owned(reader)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let good = value.len() <= 63
        && value.chars().all(plain)
        && edge(value.chars().next())
        && edge(value.chars().last());
    if good {
        Some(value)
    } else {
        reader.refuse("a label's value is at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_that_prometheus_loads_are_known() {
        for good in
            ["", "plain", "at {{ $value | humanizePercentage }} of {{$labels.zone}}", "{{ $externalURL }}"]
        {
            assert_eq!(template(good), None, "{good}");
        }
        for (bad, told) in [
            ("{{ value }}", "{{ value }}"),
            ("x {{ $labels.", "{{ $labels."),
            ("{{ $value | nope }}", "{{ $value | nope }}"),
            ("{{ $labels.a-b }}", "{{ $labels.a-b }}"),
        ] {
            assert_eq!(template(bad).as_deref(), Some(told));
        }
    }
}
