//! The house keeps its shape: dependencies point one way, forbidden things stay out, crates carry their lints.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use emac_tests::repo_root;
use serde_json::Value;

/// What each crate may know of the others (normal and build dependencies), lowest first: whatever stands further down may only point up in
/// this list, so that it has no cycle.
const MAY_DEPEND_ON: [(&str, &[&str]); 13] = [
    ("emac-core", &[]),
    ("emac-proto", &["emac-core"]),
    ("emac-filter", &["emac-core", "emac-proto"]),
    ("emac-filter-native", &["emac-core", "emac-filter"]),
    ("emac-document", &["emac-core"]),
    ("emac-trace", &["emac-core", "emac-document"]),
    ("emac-push", &["emac-core", "emac-proto", "emac-document"]),
    ("emac-journey", &["emac-core", "emac-document"]),
    ("emac-compile", &["emac-core", "emac-document", "emac-journey"]),
    ("emac-discovery", &["emac-core", "emac-document", "emac-trace", "emac-journey", "emac-compile"]),
    ("emac-replay", &["emac-core", "emac-document", "emac-journey", "emac-compile"]),
    (
        "emac-control-plane",
        &[
            "emac-core",
            "emac-proto",
            "emac-document",
            "emac-trace",
            "emac-push",
            "emac-journey",
            "emac-compile",
            "emac-discovery",
            "emac-replay",
        ],
    ),
    (
        "emac-tests",
        &[
            "emac-core",
            "emac-proto",
            "emac-filter",
            "emac-document",
            "emac-trace",
            "emac-push",
            "emac-journey",
            "emac-compile",
            "emac-discovery",
            "emac-control-plane",
        ],
    ),
];

/// Names, lowest first, each with those before it that it may know.
type Arrows = &'static [(&'static str, &'static [&'static str])];

/// What each module of a crate with several may know of its neighbours, lowest first; tests beside the code are free.
const MODULES_MAY_USE: [(&str, Arrows); 4] = [
    (
        "control-plane/journey",
        &[
            ("types", &[]),
            ("guard", &[]),
            ("intent", &["types", "guard"]),
            ("slo", &["intent"]),
            ("measured", &["types"]),
        ],
    ),
    (
        "control-plane/compile",
        &[
            ("model", &[]),
            ("declared", &["model"]),
            ("compile", &["model"]),
            ("accept", &["model", "compile"]),
            ("emit", &["model", "compile"]),
            ("export", &["compile"]),
            ("simulate", &["model"]),
        ],
    ),
    ("control-plane/discovery", &[("mesh", &[]), ("discover", &["mesh"]), ("watch", &["mesh", "discover"])]),
    (
        "control-plane",
        &[
            ("clock", &[]),
            ("marks", &[]),
            ("packed", &[]),
            ("totals", &["packed"]),
            ("changes", &["marks", "totals"]),
            ("config", &["marks"]),
            ("aggregate", &["changes", "config", "marks", "packed", "totals"]),
            ("store", &["aggregate", "changes", "marks", "packed", "totals"]),
            ("places", &[]),
            ("refusal", &[]),
            ("identity", &["clock", "config", "places", "refusal"]),
            ("connections", &["config", "identity", "places", "refusal"]),
            (
                "ingest",
                &[
                    "clock",
                    "config",
                    "identity",
                    "places",
                    "refusal",
                    "marks",
                    "totals",
                    "store",
                    "aggregate",
                ],
            ),
            ("evidence_log", &["aggregate", "ingest"]),
            ("plan", &[]),
            ("engine", &["clock", "marks", "totals", "store", "aggregate", "config", "ingest", "plan"]),
            ("schema", &["config"]),
            (
                "serve",
                &[
                    "clock",
                    "marks",
                    "totals",
                    "store",
                    "aggregate",
                    "evidence_log",
                    "ingest",
                    "plan",
                    "engine",
                    "config",
                    "connections",
                    "identity",
                    "refusal",
                ],
            ),
            ("cli", &["clock", "config", "evidence_log", "identity", "serve"]),
        ],
    ),
];

/// The folder of every crate.
const FOLDERS: [&str; 13] = [
    "core",
    "proto",
    "filter",
    "filter/native",
    "control-plane/document",
    "control-plane/trace",
    "control-plane/push",
    "control-plane/journey",
    "control-plane/compile",
    "control-plane/discovery",
    "control-plane/replay",
    "control-plane",
    "tests",
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(repo_root())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn dependencies(package: &Value) -> impl Iterator<Item = &str> {
    package["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|d| d["kind"] != "dev")
        .map(|d| d["name"].as_str().unwrap())
}

/// Whether every entry of a table points only to entries before it.
fn assert_acyclic(table: &[(&str, &[&str])]) {
    for (place, (name, allowed)) in table.iter().enumerate() {
        for one in *allowed {
            let before = table.iter().take(place).any(|(other, _)| other == one);
            assert!(before, "{name} -> {one} is a cycle, or {one} stands too far down");
        }
    }
}

#[test]
fn dependencies_point_one_way() {
    assert_acyclic(&MAY_DEPEND_ON);
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let allowed: BTreeMap<_, _> = MAY_DEPEND_ON.into_iter().collect();
    assert_eq!(packages.len(), allowed.len(), "a new crate needs a line here");
    for package in packages {
        let name = package["name"].as_str().unwrap();
        for dependency in dependencies(package).filter(|d| d.starts_with("emac-")) {
            assert!(allowed[name].contains(&dependency), "{name} must not depend on {dependency}");
        }
    }
}

/// The source without comments and without what is compiled for tests only.
fn code(path: &str, text: &str) -> String {
    if path.contains("/tests/") || path.ends_with("/tests.rs") {
        return String::new();
    }
    // A module of tests that is written out ends the file; one with a file of its own may be declared anywhere.
    let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    product.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Modules of the same crate that a piece of code names.
fn used(code: &str) -> impl Iterator<Item = String> + '_ {
    let named =
        |rest: &str| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>();
    let grouped = code.split("use crate::{").skip(1).flat_map(move |rest| {
        let inside = rest.split(';').next().unwrap_or_default().to_owned();
        inside.split([',', '{']).map(|part| named(part.trim_start())).collect::<Vec<_>>()
    });
    code.split("crate::").skip(1).map(named).chain(grouped).filter(|name| !name.is_empty())
}

#[test]
fn modules_point_one_way() {
    for (krate, table) in MODULES_MAY_USE {
        assert_acyclic(table);
        let names: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
        let source = repo_root().join(krate).join("src");
        let mut seen = BTreeSet::new();
        for (path, text) in sources_of(krate) {
            let inside = Path::new(&path).strip_prefix(&source).unwrap();
            let module =
                inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
            if ["lib", "main", "pipeline"].contains(&module) {
                continue;
            }
            let (_, allowed) = table.iter().find(|(name, _)| *name == module).unwrap_or_else(|| {
                panic!("{krate}: the module `{module}` needs a line in the table of arrows")
            });
            seen.insert(module.to_owned());
            for other in used(&code(&path, &text)).filter(|other| names.contains(&other.as_str())) {
                assert!(
                    other == module || allowed.contains(&other.as_str()),
                    "{path}: {module} must not use {other}"
                );
            }
        }
        assert_eq!(seen.len(), table.len(), "{krate}: a line of the table has no module");
    }
}

#[test]
fn core_knows_no_runtime_wire_or_disk() {
    let metadata = metadata();
    let core =
        metadata["packages"].as_array().unwrap().iter().find(|p| p["name"] == "emac-core").unwrap().clone();
    let mut names: Vec<_> = dependencies(&core).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["hashbrown", "libm", "thiserror"],
        "each addition to core wants a reason in ARCHITECTURE.md"
    );
}

fn sources(dir: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
}

fn sources_of(krate: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    sources(&repo_root().join(krate).join("src"), &mut found);
    found
}

/// Property tests draw the same cases in every run, so that what fails once fails again: each block has a configuration, and its seed is
/// in the same file or in the module above.
#[test]
fn every_property_test_has_a_seed() {
    let mut all = Vec::new();
    for folder in FOLDERS {
        for part in
            ["src", "tests"].map(|part| repo_root().join(folder).join(part)).iter().filter(|p| p.is_dir())
        {
            sources(part, &mut all);
        }
    }
    let seed = "rng_seed";
    // Core has one configuration for all of its laws.
    let is_seeded = |text: &String| text.contains(seed) || text.contains("crate::laws::config");
    let seeded: BTreeMap<&str, bool> =
        all.iter().map(|(path, text)| (path.as_str(), is_seeded(text))).collect();
    let mut blocks = 0;
    for (path, text) in all.iter().filter(|(path, _)| !path.ends_with("architecture.rs")) {
        let (tests, configured) =
            (text.matches("proptest! {").count(), text.matches("#![proptest_config(").count());
        assert_eq!(
            tests, configured,
            "{path}: a `proptest!` without a configuration draws other cases each time"
        );
        let above = Path::new(path).parent().unwrap().with_extension("rs").display().to_string();
        let has = seeded[path.as_str()] || seeded.get(above.as_str()) == Some(&true);
        assert!(has || tests == 0 && !text.contains("TestRunner"), "{path}: set `{seed}`");
        blocks += tests;
    }
    assert!(blocks > 30, "{blocks} found: the search looks in the wrong place");
}

#[test]
fn only_one_file_names_the_sdk() {
    for (path, text) in sources_of("filter") {
        let allowed = path.ends_with("src/envoy.rs") || path.ends_with("src/lib.rs");
        assert!(allowed || !text.contains("proxy_wasm::"), "{path} names proxy_wasm; go through host.rs");
    }
}

#[test]
fn core_and_filter_deny_what_can_panic() {
    for krate in ["core", "filter", "filter/native"] {
        let lib = std::fs::read_to_string(repo_root().join(krate).join("src/lib.rs")).unwrap();
        for lint in ["unwrap_used", "expect_used", "clippy::panic", "indexing_slicing"] {
            assert!(lib.contains(lint), "{krate}/src/lib.rs must deny {lint}");
        }
    }
}

/// `unsafe` is forbidden everywhere but in the crate of the native shell, which denies it but in the one file that declares Envoy's ABI;
/// each block and each implementation there says why it may.
#[test]
fn only_one_file_is_unsafe() {
    let manifest =
        |folder: &str| std::fs::read_to_string(repo_root().join(folder).join("Cargo.toml")).unwrap();
    for folder in FOLDERS.iter().filter(|folder| **folder != "filter/native") {
        assert!(
            manifest(folder).contains("[lints]\nworkspace = true"),
            "{folder} does not take the workspace's lints"
        );
    }
    assert!(manifest("filter/native").contains("unsafe_code = \"deny\""));
    for (path, text) in FOLDERS.iter().flat_map(|folder| sources_of(folder)) {
        if !path.ends_with("filter/native/src/abi.rs") {
            assert!(!text.contains("allow(unsafe_code)"), "{path} allows unsafe code");
            continue;
        }
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (number, line) in lines.iter().enumerate() {
            let is_unsafe = line.contains("unsafe {") || line.starts_with("unsafe impl");
            let reasoned =
                || lines[number.saturating_sub(6)..=number].iter().any(|line| line.contains("SAFETY:"));
            assert!(!is_unsafe || reasoned(), "{path}:{}: no reason: {line}", number + 1);
        }
    }
}

#[test]
fn core_has_no_ambient_clock_or_randomness() {
    for (path, text) in sources_of("core") {
        for word in ["std::time::Instant", "SystemTime", "std::fs", "std::net", "getrandom"] {
            assert!(!text.contains(word), "{path} contains {word}");
        }
    }
}

/// The third column of the glossary names a type of the product for each word that has one.
#[test]
fn words_of_the_glossary_name_types_that_exist() {
    let text: String = FOLDERS.iter().flat_map(|folder| sources_of(folder)).map(|(_, text)| text).collect();
    let declared: BTreeSet<&str> = ["struct ", "enum ", "type ", "trait "]
        .iter()
        .flat_map(|kind| text.split(kind).skip(1))
        .map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default())
        .collect();
    let glossary = std::fs::read_to_string(repo_root().join("GLOSSARY.md")).unwrap();
    let rows = glossary.lines().filter(|line| line.starts_with("| ")).skip(1);
    let mut words = BTreeSet::new();
    let mut missing = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [word, _, kind] = cells.as_slice() else { panic!("three columns: {row}") };
        assert!(words.insert((*word).to_owned()), "`{word}` is defined twice");
        let name = kind.trim_matches('`').rsplit("::").next().unwrap_or_default();
        if !name.is_empty() && !declared.contains(name) {
            missing.push(format!("{word}: {kind}"));
        }
    }
    assert!(words.len() > 100 && missing.is_empty(), "no such type: {missing:?}");
}
