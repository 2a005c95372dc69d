//! The published schemas are the ones the tables give, and say what the readers say: what a reader takes a schema takes, and where a
//! reader misses a field, does not know one or wants another type, the schema refuses too.
//!
//! `EMAC_REGENERATE=1` writes `deploy/schemas` anew.

#[path = "../deploy/yaml.rs"]
mod yaml;

mod judges;
mod mutate;
mod reports;

use std::path::{Path, PathBuf};

use emac_control_plane::schema::{KINDS, Kind, json_schema};
use emac_tests::{not_run, repo_root, shared_data};
use judges::{Reading, Schemas, read, same};
use serde_json::{Value, json};

fn kind(name: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.name == name).unwrap()
}

/// The file is what it should be, or becomes it.
fn keep(path: &Path, expected: &str) {
    if std::env::var_os("EMAC_REGENERATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, expected).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == expected, "{} is old: `make golden` writes it anew", path.display());
}

#[test]
fn published_schemas_are_those_of_the_tables() {
    let folder = repo_root().join("deploy/schemas");
    for kind in KINDS {
        keep(&folder.join(format!("{}.json", kind.file)), &format!("{:#}\n", json_schema(&kind)));
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), KINDS.len(), "and no others");
}

/// Every default below a schema, with the schema it stands in.
fn defaults<'a>(schema: &'a Value, found: &mut Vec<(&'a Value, Value)>) {
    match schema {
        Value::Object(fields) => {
            if let Some(default) = fields.get("default").filter(|_| fields.contains_key("description")) {
                let described = fields.iter().filter(|(key, _)| *key != "default");
                let shape = described.map(|(key, value)| (key.clone(), value.clone())).collect();
                found.push((default, Value::Object(shape)));
            }
            fields.values().for_each(|value| defaults(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| defaults(item, found)),
        _ => {}
    }
}

#[test]
fn a_default_is_a_value_of_its_field() {
    let mut count = 0;
    for kind in KINDS {
        let schema = json_schema(&kind);
        let mut found = Vec::new();
        defaults(&schema["properties"], &mut found);
        for (default, shape) in &found {
            assert!(jsonschema::is_valid(shape, default), "{}: {default} is no {shape:#}", kind.name);
        }
        count += found.len();
    }
    assert!(count >= 40, "{count}");
}

/// Documents of every YAML file below a folder.
fn documents_below(folder: &Path) -> Vec<(PathBuf, Value)> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            found.extend(documents_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.extend(yaml::documents(&path).into_iter().map(|document| (path.clone(), document)));
        }
    }
    found
}

fn is_ours(document: &Value) -> bool {
    let version = document["apiVersion"].as_str().unwrap_or_default();
    let is_kind = KINDS.iter().any(|kind| kind.is_read() && document["kind"] == kind.name);
    is_kind && (version.starts_with("emac.dev/") || version == "emac.sanity/v1")
}

/// Every document of ours in a folder: its reader takes it, so its schema must.
fn all_are_valid(schemas: &Schemas, folder: &Path) -> usize {
    let documents: Vec<_> =
        documents_below(folder).into_iter().filter(|(_, document)| is_ours(document)).collect();
    for (path, document) in &documents {
        let name = path.display();
        assert!(read(document).is_taken(), "{name}: {:?}", read(document).problems);
        assert!(schemas.takes(document), "{name}: {:#?}", schemas.problems(document));
    }
    documents.len()
}

#[test]
fn schemas_take_every_example_and_the_papers_files() {
    let schemas = Schemas::of_the_tables();
    assert!(all_are_valid(&schemas, &repo_root().join("control-plane/examples")) >= 7);
    match shared_data("emac-checkout") {
        // Two intents, a candidate, the baseline, two discovered models.
        Some(data) => assert_eq!(all_are_valid(&schemas, &data), 6),
        None => not_run("schemas: the paper's files", "no emac-checkout (EMAC_SHARED_DATA)"),
    }
}

/// One document of each kind, which together have every field.
fn every_field() -> Vec<Value> {
    let documents = documents_below(&repo_root().join("control-plane/examples/every-field"));
    documents.into_iter().map(|(_, document)| document).collect()
}

#[test]
fn the_example_of_every_field_has_every_field() {
    let missing = mutate::fields_without_example(&every_field());
    // What is sealed cannot be spoilt, which is what this example is for.
    assert_eq!(missing, ["seal", "version"]);
}

#[test]
fn models_as_written_say_what_their_schema_says() {
    let schemas = Schemas::of_the_tables();
    let written: Vec<_> = every_field().iter().filter_map(judges::rewritten).collect();
    assert_eq!(written.len(), 2);
    for model in &written {
        assert!(schemas.takes(model), "{:#?}\n{model:#}", schemas.problems(model));
        let unknown = mutate::fields_without_table(model);
        assert!(unknown.is_empty(), "declare in control-plane/compile/src/model/read.rs: {unknown:?}");
        assert!(model["metadata"]["version"].is_string() && read(model).is_taken());
    }
}

#[test]
fn reports_say_what_their_schema_says() {
    let schemas = Schemas::of_the_tables();
    let reports = reports::all();
    for report in &reports {
        assert!(schemas.takes(report), "{:#?}\n{report:#}", schemas.problems(report));
        let unknown = mutate::fields_without_table(report);
        assert!(unknown.is_empty(), "add to control-plane/src/schema/report.rs: {unknown:?}");
    }
    let missing = mutate::fields_without_example(&reports);
    assert!(missing.is_empty(), "{missing:?}");
    let mut broken = reports[0].clone();
    broken["spec"]["decision"]["verdict"] = json!("MAYBE");
    assert!(!schemas.takes(&broken), "the schema can refuse");
}

#[test]
fn readers_and_schemas_refuse_the_same_mistakes() {
    let schemas = Schemas::of_the_tables();
    let (mut taken, mut refused) = (0, 0);
    for document in every_field() {
        for (what, spoilt) in mutate::all(&document) {
            let reading = read(&spoilt);
            let valid = schemas.takes(&spoilt);
            match &reading {
                Reading { value: Some(_), .. } => {
                    assert!(valid, "{what}: only the schema refuses: {:#?}", schemas.problems(&spoilt));
                    taken += 1;
                }
                _ if reading.is_about_shape() => {
                    assert!(!valid, "{what}: only the reader refuses: {:?}", reading.problems);
                    refused += 1;
                }
                _ => {}
            }
        }
    }
    assert!(taken > 400 && refused > 1_400, "{taken} taken, {refused} refused");
}

#[test]
fn defaults_are_what_readers_take_for_absent_fields() {
    let mut checked = 0;
    for document in every_field() {
        let kind = kind(document["kind"].as_str().unwrap());
        for (what, stated, absent) in mutate::defaults(kind, &document) {
            let (stated, absent) = (read(&stated), read(&absent));
            assert!(stated.is_taken() && absent.is_taken(), "{what}: {:?}", stated.problems);
            assert!(same(&stated, &absent), "{what}");
            checked += 1;
        }
    }
    assert!(checked > 30, "{checked}");
}

#[test]
fn a_schema_says_which_document_it_is_for() {
    let schemas = Schemas::of_the_tables();
    let document = json!({"apiVersion": "emac.dev/v1alpha1", "kind": "ControlPlaneConfig"});
    assert!(schemas.takes(&document));
    let other = json!({"apiVersion": "emac.dev/v2", "kind": "ControlPlaneConfig"});
    assert!(!schemas.takes(&other) && !read(&other).is_taken());
}
