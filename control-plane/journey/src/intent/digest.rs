//! The digest of a document: SHA-256 of its canonical JSON (keys sorted, no spaces), so that comments, order and layout do not count.

use serde_json::{Map, Value as Json};

use emac_document::{Node, Value, sha256_hex};

/// SHA-256 (hex) of a node's canonical JSON.
pub fn canonical_digest(node: &Node) -> String {
    sha256_hex(canonical_json(node).to_string())
}

/// A node as JSON with sorted keys. What JSON cannot say (NaN, infinities) becomes text.
pub fn canonical_json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Integer(number) => Json::from(*number),
        Value::Float(number) if number.is_finite() => Json::from(*number),
        Value::Float(number) => Json::from(number.to_string()),
        Value::String(text) => Json::from(text.as_str()),
        Value::Sequence(items) => items.iter().map(canonical_json).collect(),
        Value::Mapping(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by(|a, b| a.key.cmp(&b.key));
            Json::Object(
                sorted
                    .into_iter()
                    .map(|entry| (entry.key.clone(), canonical_json(&entry.value)))
                    .collect::<Map<_, _>>(),
            )
        }
    }
}
