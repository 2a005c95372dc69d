//! YAML files as JSON values.

use std::path::Path;

use emac_document::{Limits, Node, Problems, Value as Yaml, read_file, render_text};
use serde_json::Value;

/// All documents of a file.
///
/// # Panics
/// When it cannot be read or is not YAML.
pub(crate) fn documents(path: &Path) -> Vec<Value> {
    let problems = Problems::new();
    let documents = read_file(path, &Limits::default(), &problems);
    assert!(problems.is_empty(), "{}", render_text(&problems, false));
    documents.iter().map(|document| json(&document.root)).collect()
}

fn json(node: &Node) -> Value {
    match &node.value {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => (*value).into(),
        Yaml::Integer(value) => (*value).into(),
        Yaml::Float(value) => (*value).into(),
        Yaml::String(text) => text.as_str().into(),
        Yaml::Sequence(items) => items.iter().map(json).collect(),
        Yaml::Mapping(entries) => entries.iter().map(|e| (e.key.clone(), json(&e.value))).collect(),
    }
}
