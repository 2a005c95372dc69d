//! Seals: a document says its own digest, so that a change by hand is noticed, and which field it was.
//!
//! `metadata.version` is SHA-256 of the canonical JSON (sorted keys, no spaces) of everything else. That alone would say only *that* something
//! changed; `seal` holds a tag of 16 bits for each value, by section in reading order, from which the changed field is told: tags before and
//! behind that still agree enclose it. A tag covers the field's name and value, not its place, so one removed item does not condemn all that follow.
//!
//! A seal notices slips and edits; it is no signature. Whoever wants to can compute a new one: who may change the file is decided where it
//! lives, in Git. Left out on purpose: keys, and proof against somebody who forges versions.

mod tags;

use serde_json::{Value, json};

use emac_document::{Document, Node, Problem, Problems, sha256_hex};
use emac_journey::intent::canonical_json;

/// What reading a seal gives.
pub(super) struct Sealed {
    /// SHA-256 (hex) of the canonical JSON without `metadata.version`.
    pub(super) digest: String,
    /// The same, when the document says so itself; `None`: unsealed.
    pub(super) version: Option<String>,
}

/// Seals a document: puts `seal` and `metadata.version` into it and returns the version. O(size).
pub fn seal(document: &mut Value) -> String {
    remove(Some(document), "seal");
    remove(document.get_mut("metadata"), "version");
    document["seal"] = json!(tags::of(document));
    let version = digest(document);
    document["metadata"]["version"] = json!(version);
    version
}

/// Checks the seal. A document with neither version nor seal is unsealed, which is said, not refused: people write models by hand.
pub(super) fn check(document: &Document, problems: &Problems) -> Option<Sealed> {
    let mut content = canonical_json(&document.root);
    let stated = content["metadata"]["version"].as_str().map(str::to_owned);
    let sealed = stated.is_some() || content.get("seal").is_some();
    remove(content.get_mut("metadata"), "version");
    let digest = digest(&content);
    if !sealed || stated.as_deref() == Some(&digest) {
        return Some(Sealed { version: stated, digest });
    }
    problems.push(broken(document, &content, stated.is_some()));
    None
}

/// Says which field it was, as far as can be told.
fn broken(document: &Document, content: &Value, is_versioned: bool) -> Problem {
    let changes = tags::changes(content);
    let what = match changes.as_slice() {
        [] if is_versioned => "`metadata.version` or `seal` itself".to_owned(),
        [] => "`metadata.version`, which is missing".to_owned(),
        changes => changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let span =
        changes.first().and_then(|change| find(&document.root, &change.path)).unwrap_or(&document.root).span;
    Problem::error(format!("the seal is broken: this file was changed after it was written: {what}"))
        .at(&document.source, span)
        .help("take the file back from Git; a model is changed by accepting a candidate (`emac accept`)")
}

fn find<'a>(root: &'a Node, path: &[tags::PathStep]) -> Option<&'a Node> {
    path.iter().try_fold(root, |node, step| match (&node.value, step) {
        (emac_document::Value::Sequence(items), tags::PathStep::Item(place)) => items.get(*place),
        (emac_document::Value::Mapping(entries), tags::PathStep::Key(key)) => {
            entries.iter().find(|entry| entry.key == *key).map(|entry| &entry.value)
        }
        _ => None,
    })
}

fn remove(from: Option<&mut Value>, key: &str) {
    if let Some(entries) = from.and_then(Value::as_object_mut) {
        entries.shift_remove(key);
    }
}

/// SHA-256 (hex) of the canonical JSON.
pub fn digest(value: &Value) -> String {
    sha256_hex(canonical(value))
}

/// JSON with sorted keys and no spaces.
fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_sorted(value, &mut text);
    text
}

fn write_sorted(value: &Value, into: &mut String) {
    match value {
        Value::Array(items) => {
            into.push('[');
            for (place, item) in items.iter().enumerate() {
                into.push_str(if place > 0 { "," } else { "" });
                write_sorted(item, into);
            }
            into.push(']');
        }
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| key.as_str());
            into.push('{');
            for (place, (key, value)) in entries.into_iter().enumerate() {
                into.push_str(if place > 0 { "," } else { "" });
                into.push_str(&Value::from(key.as_str()).to_string());
                into.push(':');
                write_sorted(value, into);
            }
            into.push('}');
        }
        scalar => into.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests;
