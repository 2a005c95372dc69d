//! CustomResourceDefinitions as judges of objects.
//!
//! A structural schema of Kubernetes is JSON Schema with extras. The API server prunes unknown fields instead of refusing them, so a
//! misspelt field would pass: the walk in [`unknown_fields`] reports each. Rules in CEL (`x-kubernetes-validations`) are not run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

use crate::yaml;

const ENVELOPE: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Schemas by `apiVersion` and `kind`.
pub(crate) struct Crds(BTreeMap<(String, String), Definition>);

/// A schema, compiled when it is first asked: of the hundred there are a test needs five.
struct Definition {
    schema: Value,
    validator: OnceLock<jsonschema::Validator>,
}

impl Definition {
    fn validator(&self) -> &jsonschema::Validator {
        self.validator.get_or_init(|| jsonschema::validator_for(&self.schema).unwrap())
    }
}

impl Crds {
    /// All definitions in these folders.
    pub(crate) fn read(folders: &[PathBuf]) -> Self {
        let mut schemas = BTreeMap::new();
        for definition in folders.iter().flat_map(|f| yaml_files(f)).flat_map(|file| yaml::documents(&file)) {
            add(&definition, &mut schemas);
        }
        Self(schemas)
    }

    /// What is wrong with an object; `None` when no definition is for it.
    pub(crate) fn problems(&self, object: &Value) -> Option<Vec<String>> {
        let text = |field: &str| object[field].as_str().unwrap_or_default().to_string();
        let definition = self.0.get(&(text("apiVersion"), text("kind")))?;
        let (schema, validator) = (&definition.schema, definition.validator());
        let mut problems: Vec<String> =
            validator.iter_errors(object).map(|e| format!("{}: {e}", e.instance_path())).collect();
        // What every object has need not be in its schema.
        let own = object.as_object()?.iter().filter(|(name, _)| !ENVELOPE.contains(&name.as_str()));
        let own: Value = own.map(|(name, value)| (name.clone(), value.clone())).collect();
        unknown_fields(schema, &own, "", &mut problems);
        Some(problems)
    }
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect()
}

fn add(definition: &Value, schemas: &mut BTreeMap<(String, String), Definition>) {
    let spec = &definition["spec"];
    let (group, kind) = (&spec["group"], &spec["names"]["kind"]);
    for version in spec["versions"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let api = format!("{}/{}", text(group), text(&version["name"]));
        let schema = version["schema"]["openAPIV3Schema"].clone();
        schemas.insert((api, text(kind)), Definition { schema, validator: OnceLock::new() });
    }
}

fn unknown_fields(schema: &Value, value: &Value, path: &str, problems: &mut Vec<String>) {
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    match value {
        Value::Array(items) => {
            items.iter().for_each(|item| unknown_fields(&schema["items"], item, path, problems));
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let path = format!("{path}.{name}");
                match (&schema["properties"][name], &schema["additionalProperties"]) {
                    (Value::Null, Value::Null) => problems.push(format!("{path}: no such field")),
                    (Value::Null, any) => unknown_fields(any, field, &path, problems),
                    (known, _) => unknown_fields(known, field, &path, problems),
                }
            }
        }
        _ => {}
    }
}
