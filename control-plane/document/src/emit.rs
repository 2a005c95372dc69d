//! Values to YAML text, the same bytes every time: block style, two spaces, keys in the order given, text quoted only where YAML needs it.
//!
//! What [`parse`](super::parse) reads back is equal. Left out: anchors, tags, flow style but for empty collections, line folding.

use serde_json::Value;

/// A document. `comment` becomes `# ` lines before it.
pub fn to_yaml(value: &Value, comment: &str) -> String {
    let mut text: String =
        comment.lines().map(|line| format!("# {line}").trim_end().to_owned() + "\n").collect();
    match value {
        Value::Object(entries) if !entries.is_empty() => mapping(&mut text, value, 0),
        Value::Array(items) if !items.is_empty() => sequence(&mut text, value, 0),
        scalar => {
            in_line(&mut text, scalar, 0);
            text.push('\n');
        }
    }
    text
}

fn mapping(text: &mut String, value: &Value, indent: usize) {
    for (key, value) in value.as_object().into_iter().flatten() {
        pad(text, indent);
        text.push_str(&plain_or_quoted(key));
        text.push(':');
        nested(text, value, indent);
    }
}

fn sequence(text: &mut String, value: &Value, indent: usize) {
    for item in value.as_array().into_iter().flatten() {
        pad(text, indent);
        text.push('-');
        match item {
            Value::Object(entries) if !entries.is_empty() => {
                first_on_the_dash(text, indent, |text| mapping(text, item, indent + 2))
            }
            Value::Array(items) if !items.is_empty() => {
                first_on_the_dash(text, indent, |text| sequence(text, item, indent + 2))
            }
            scalar => nested(text, scalar, indent),
        }
    }
}

/// `- key: value`: the first line of the block takes the place of its own indentation.
fn first_on_the_dash(text: &mut String, indent: usize, write: impl FnOnce(&mut String)) {
    let mut block = String::new();
    write(&mut block);
    text.push(' ');
    text.push_str(block.get(indent + 2..).unwrap_or_default());
}

/// What follows `key:` or `-`.
fn nested(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            text.push('\n');
            mapping(text, value, indent + 2);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            sequence(text, value, indent + 2);
        }
        scalar => {
            text.push(' ');
            in_line(text, scalar, indent + 2);
            if !text.ends_with('\n') {
                text.push('\n');
            }
        }
    }
}

/// A scalar or an empty collection.
fn in_line(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::String(string) if is_literal(string) => literal(text, string, indent),
        Value::String(string) => text.push_str(&plain_or_quoted(string)),
        other => text.push_str(&other.to_string()),
    }
}

/// Several lines that a block scalar can hold as they are.
fn is_literal(string: &str) -> bool {
    let printable = |c: char| {
        c == '\n' || !(c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}'))
    };
    let lines_end_plainly = string
        .lines()
        .all(|line| !line.ends_with([' ', '\t']) && !line.starts_with([' ', '\t']) || indented(line));
    string.trim_end_matches('\n').contains('\n')
        && string.chars().all(printable)
        && !string.starts_with([' ', '\t', '\n'])
        && !string.ends_with("\n\n")
        && lines_end_plainly
}

/// Indented further than the first line, with spaces, and not blank.
fn indented(line: &str) -> bool {
    let inner = line.trim_start_matches(' ');
    !inner.is_empty() && !inner.starts_with('\t') && !line.ends_with([' ', '\t'])
}

fn literal(text: &mut String, string: &str, indent: usize) {
    text.push_str(if string.ends_with('\n') { "|\n" } else { "|-\n" });
    for line in string.lines() {
        if !line.is_empty() {
            pad(text, indent);
            text.push_str(line);
        }
        text.push('\n');
    }
}

fn plain_or_quoted(string: &str) -> String {
    if is_plain(string) { string.to_owned() } else { quoted(string) }
}

/// Text that no YAML reader, 1.1 or 1.2, takes for anything else.
fn is_plain(string: &str) -> bool {
    let starts = string
        .starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '/' | '.') && string.len() > 1);
    let inner = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(
                c,
                '_' | '/' | '.' | '-' | ' ' | '(' | ')' | '=' | '+' | '*' | '<' | '>' | ',' | ';' | ':' | '@'
            )
    };
    let words = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    starts
        && string.chars().all(inner)
        && !string.contains(": ")
        && !string.ends_with([' ', ':'])
        && !words.contains(&string.to_ascii_lowercase().as_str())
        && string.parse::<f64>().is_err()
        && !string.starts_with('.')
}

/// Single quotes where they save escapes. Else double quotes with JSON's escapes, all of which YAML knows; its other line breaks are escaped
/// too.
fn quoted(string: &str) -> String {
    let printable = string.chars().all(|c| (' '..='~').contains(&c));
    if printable && string.contains(['"', '\\']) {
        return format!("'{}'", string.replace('\'', "''"));
    }
    let json = Value::from(string).to_string();
    let escape = |c: char| match c {
        '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => format!("\\u{:04x}", c as u32),
        c => c.to_string(),
    };
    json.chars().map(escape).collect()
}

fn pad(text: &mut String, indent: usize) {
    text.extend(std::iter::repeat_n(' ', indent));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{Limits, Problems, Source, parse};

    fn round_trip(value: &Value) -> Value {
        let text = to_yaml(value, "");
        let problems = Problems::new();
        let documents = parse(&Source::new("x", text.as_str()), &Limits::default(), &problems);
        assert!(problems.is_empty(), "{text}\n{:?}", problems.list());
        documents.first().map_or(Value::Null, |document| document.root.to_json())
    }

    #[test]
    fn it_looks_as_a_person_would_write_it() {
        let value = json!({
            "name": "checkout", "target": 0.995, "empty": [], "none": {}, "flag": true, "yes": "yes", "version": "1.0",
            "query": "sum(\n  rate(x[5m])\n)\n", "list": [{"a": 1, "b": [1, [2, 3]]}, "x: y", null, "{{ .window }}"],
        });
        insta::assert_snapshot!(to_yaml(&value, "Generated.\nDo not edit."));
        assert_eq!(round_trip(&value), value);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            "[ -~\\n\\t]{0,20}",
            "[a-z ]{0,4}\\n[ a-z\\n]{0,9}",
            any::<String>(),
            Just("null".to_owned()),
            Just("- a".to_owned())
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9_f64..1e9).prop_map(Value::from),
            text.prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec(("[ -~]{0,6}", inner), 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0xE317), failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

        #[test]
        fn what_is_written_is_read_back(value in any_value()) {
            let value = json!({"value": value});
            prop_assert_eq!(round_trip(&value), value);
        }
    }
}
