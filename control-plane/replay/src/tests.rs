use std::path::PathBuf;

use super::*;
use emac_document::{Limits, Problems, read_file, render_text};

fn folder() -> Option<PathBuf> {
    let root = std::env::var_os("EMAC_SHARED_DATA").map(PathBuf::from);
    let root =
        root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")));
    let folder = root.join("emac-checkout/replay");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("not run: no emac-checkout/replay under EMAC_SHARED_DATA or ../shared/data");
    None
}

fn read_folder(folder: &std::path::Path) -> Replay {
    let problems = Problems::new();
    let replay = read(folder, &problems);
    replay.unwrap_or_else(|| panic!("{}", render_text(&problems, false)))
}

/// Difference of two documents, as paths; numbers are equal to the last bit.
fn differences(path: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for key in keys {
                differences(&format!("{path}.{key}"), &ours[key], &theirs[key], found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter()
                .zip(b)
                .enumerate()
                .for_each(|(n, (a, b))| differences(&format!("{path}[{n}]"), a, b, found));
        }
        _ if ours.as_f64().is_some() && ours.as_f64() == theirs.as_f64() => {}
        _ if ours != theirs => found.push(format!("{path}: ours {ours}, theirs {theirs}")),
        _ => {}
    }
}

fn generated(folder: &std::path::Path, file: &str) -> Value {
    let documents = read_file(&folder.join("generated").join(file), &Limits::default(), &Problems::new());
    documents[0].root.to_json()
}

#[test]
fn the_papers_two_scenarios_come_out_to_the_letter() {
    let Some(folder) = folder() else { return };
    let replay_files = read_folder(&folder);
    assert_eq!(replay_files.scenarios.len(), 2);
    for scenario in &replay_files.scenarios {
        let outcome = replay(&replay_files, scenario, None).unwrap();
        let name = &scenario.name;
        let mut found = Vec::new();
        differences(
            "model",
            &outcome.model,
            &generated(&folder, &format!("models/{name}.discovered-model.yaml")),
            &mut found,
        );
        differences(
            "report",
            &outcome.report,
            &generated(&folder, &format!("reports/{name}.derivation.yaml")),
            &mut found,
        );
        if let Some(delta) = &outcome.delta {
            differences(
                "delta",
                delta,
                &generated(&folder, &format!("deltas/{name}.delta.yaml")),
                &mut found,
            );
        }
        assert!(found.is_empty(), "{name}: {found:#?}");
        let drift = name == "payment_shared_fate_drift";
        assert_eq!(outcome.delta.is_some(), drift);
        assert_eq!(outcome.verdict, if drift { Verdict::Fail } else { Verdict::Pass });
        assert_eq!(
            (outcome.a_plus, outcome.a_minus),
            (0.99747706, if drift { 0.99251449 } else { 0.99747706 })
        );
        assert_eq!((outcome.confidence, outcome.flags.len()), (0.95, 0));
    }
}

/// A file and what becomes of its text.
type Change<'a> = (&'a str, &'a dyn Fn(&str) -> String);

/// The paper's baseline with some files changed.
fn changed(changes: &[Change<'_>]) -> Option<ScenarioResult> {
    let folder = folder()?;
    let copy = tempfile::tempdir().unwrap();
    copy_tree(&folder.join("fixtures"), &copy.path().join("fixtures"));
    for (file, change) in changes {
        let path = copy.path().join("fixtures/evidence/baseline_separate_domains").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let new = change(&text);
        assert_ne!(new, text);
        std::fs::write(&path, new).unwrap();
    }
    let replay_files = read_folder(copy.path());
    Some(replay(&replay_files, &replay_files.scenarios[0], None).unwrap())
}

fn copy_tree(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::write(&target, std::fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

#[test]
fn a_branch_that_was_never_seen_asks_a_person() {
    let unseen = |text: &str| text.replace("service: payb", "service: other");
    let Some(outcome) = changed(&[("trace-evidence.yaml", &unseen)]) else { return };
    assert_eq!(outcome.verdict, Verdict::Review);
    assert_eq!(outcome.flags, ["incomplete_trace_coverage", "incomplete_payment_branch_coverage"]);
    // (0.40 * 0.85 * 3/4 + 0.25 * 0.35 + 0.35 * 0.95) * 0.85
    assert_eq!(outcome.confidence, 0.57375);
}

#[test]
fn domains_in_conflict_or_missing_collapse_the_race_and_ask_a_person() {
    let other = |text: &str| text.replacen("payment-network-b", "payment-network-c", 1);
    let Some(outcome) = changed(&[("deployment-domains.yaml", &other)]) else { return };
    assert_eq!((outcome.verdict, outcome.a_minus), (Verdict::Review, 0.99251449));
    assert_eq!(outcome.flags, ["conflicting_domain_evidence:payb"]);
    // Four of five observations agree: (0.40 * 0.95 + 0.25 * 0.95 + 0.35 * (0.35 + 0.30 * 0.8)) * 0.85
    assert_eq!(outcome.confidence, 0.7004);
    let silent = |text: &str| {
        text[..text.find("  payb:").unwrap()].to_owned() + "  payb: {type: external_dependency}\n"
    };
    let untraced = |text: &str| text.replace("      emac.provider_domain: payment-network-b\n", "");
    let outcome =
        changed(&[("deployment-domains.yaml", &silent), ("trace-evidence.yaml", &untraced)]).unwrap();
    assert_eq!((outcome.verdict, outcome.a_minus), (Verdict::Review, 0.99251449));
    assert_eq!(outcome.flags, ["missing_domain_evidence:payb"]);
}

#[test]
fn a_folder_that_is_no_replay_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let problems = Problems::new();
    assert!(read(folder.path(), &problems).is_none());
    assert!(problems.errors() >= 3);
}
