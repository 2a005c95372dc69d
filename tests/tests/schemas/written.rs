//! Schemas of our own for objects of other people's kinds: `written/*.json`, only the fields that we write, and no others. They are there on
//! every clone. Where the kinds' own schemas are at hand, ours are held against them: what ours takes, theirs must.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jsonschema::Validator;
use serde_json::{Value, json};

/// What a copy is called that has a field too many.
const ANOTHER: &str = "with another field";

/// Validators by `apiVersion` and `kind`.
pub(crate) struct Written(BTreeMap<(String, String), Validator>);

impl Written {
    pub(crate) fn read() -> Self {
        let folder = emac_tests::repo_root().join("tests/tests/schemas/written");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        Self(files.map(|file| one(&file)).collect())
    }

    /// What is wrong with an object; that we have no schema of its kind is a problem too.
    pub(crate) fn problems(&self, object: &Value) -> Vec<String> {
        let Some(validator) = self.0.get(&kind_of(object)) else {
            return vec![format!("tests/tests/schemas/written has no schema of {:?}", kind_of(object))];
        };
        validator.iter_errors(object).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    /// A field too many is a mistake everywhere, and so is an empty list in place of anything.
    pub(crate) fn refuses_plain_mistakes(&self, object: &Value) {
        let copies = spoilt(object);
        let plain = |what: &str| what.ends_with(ANOTHER) || what.ends_with(" is []");
        let (mut checked, plain) = (0, copies.iter().filter(|(what, _)| plain(what)));
        for (what, copy) in plain {
            assert!(!self.problems(copy).is_empty(), "{:?}: {what} is taken", kind_of(object));
            checked += 1;
        }
        assert!(checked > 2, "{:?}: {checked} mistakes", kind_of(object));
    }

    /// Every object keeps to our schemas; and so does, where `theirs` knows the kind, each spoilt copy that ours takes. `theirs` gives what the
    /// kind's own schema finds wrong. Answers how many copies both took and how many ours refused.
    pub(crate) fn held_against(
        &self,
        object: &Value,
        theirs: impl Fn(&Value) -> Option<Vec<String>>,
    ) -> (usize, usize) {
        assert_eq!(self.problems(object), Vec::<String>::new(), "{object:#}");
        let (mut taken, mut refused) = (0, 0);
        for (what, copy) in spoilt(object) {
            if !self.problems(&copy).is_empty() {
                refused += 1;
            } else if let Some(problems) = theirs(&copy) {
                assert!(problems.is_empty(), "{what}: only the kind's own schema refuses: {problems:#?}");
                taken += 1;
            }
        }
        (taken, refused)
    }
}

fn one(file: &PathBuf) -> ((String, String), Validator) {
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let named = |field: &str| schema["properties"][field]["const"].as_str().unwrap().to_owned();
    let validator = jsonschema::validator_for(&schema).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    ((named("apiVersion"), named("kind")), validator)
}

/// `apiVersion` and `kind` of an object.
pub(crate) fn kind_of(object: &Value) -> (String, String) {
    let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
    (text("apiVersion"), text("kind"))
}

/// Copies of an object with one mistake each: a field removed, a field too many, a value of another type. Of lists the first and the last
/// item.
fn spoilt(object: &Value) -> Vec<(String, Value)> {
    let mut copies = Vec::new();
    for place in places(object, String::new()).into_iter().filter(|place| !is_envelope(place)) {
        let mut put = |what: &str, value: Value| {
            let mut copy = object.clone();
            *copy.pointer_mut(&place).unwrap() = value;
            copies.push((format!("{place} {what}"), copy));
        };
        for value in
            [json!("text"), json!(""), json!(7), json!(-1), json!(0.5), json!(true), json!([]), json!({})]
        {
            put(&format!("is {value}"), value);
        }
        let Some(fields) = object.pointer(&place).unwrap().as_object() else { continue };
        let without = |name: &str| {
            fields.iter().filter(|(n, _)| *n != name).map(|(n, v)| (n.clone(), v.clone())).collect()
        };
        fields.keys().for_each(|name| put(&format!("without {name}"), without(name)));
        put(ANOTHER, fields.clone().into_iter().chain([("another".into(), json!(1))]).collect());
    }
    copies
}

/// What tells the kind, and metadata, which the kinds' own schemas leave to the API server.
fn is_envelope(place: &str) -> bool {
    place.is_empty() || ["/apiVersion", "/kind", "/metadata"].iter().any(|part| place.starts_with(part))
}

/// JSON pointers of a value and all in it.
fn places(value: &Value, place: String) -> Vec<String> {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(fields) => {
            fields.iter().map(|(n, v)| (n.replace('~', "~0").replace('/', "~1"), v)).collect()
        }
        Value::Array(items) => {
            let ends = items.iter().enumerate().filter(|(at, _)| *at == 0 || at + 1 == items.len());
            ends.map(|(at, v)| (at.to_string(), v)).collect()
        }
        _ => Vec::new(),
    };
    let deeper = below.into_iter().flat_map(|(name, v)| places(v, format!("{place}/{name}")));
    std::iter::once(place.clone()).chain(deeper.collect::<Vec<_>>()).collect()
}
