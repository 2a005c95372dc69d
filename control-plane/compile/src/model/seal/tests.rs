use super::*;
use crate::model::{CandidateModel, to_text};
use emac_document::{Limits, Source, parse};

fn model() -> Value {
    json!({
        "apiVersion": "emac.dev/v1alpha1", "kind": "DiscoveredJourneyModel", "metadata": {"name": "checkout"},
        "spec": {
            "topology": {"edges": [
                {"from": "front", "to": "cart", "probability": 0.25},
                {"from": "front", "to": "paya", "probability": 0.5},
                {"from": "front", "to": "payb", "probability": 0.75},
            ]},
            "failureDomains": {"effective": {"paya": ["net-a"], "payb": ["net-b"]}},
        },
    })
}

fn read(text: &str) -> Result<CandidateModel, String> {
    let problems = Problems::new();
    let documents = parse(&Source::new("model.yaml", text), &Limits::default(), &problems);
    let read = CandidateModel::read(&documents[0], &problems);
    read.ok_or_else(|| problems.list()[0].message.clone())
}

/// What is said after a text was replaced in the sealed file.
fn after(old: &str, new: &str) -> String {
    let mut document = model();
    seal(&mut document);
    let text = to_text(&document, "");
    assert!(text.contains(old), "{text}");
    read(&text.replacen(old, new, 1)).unwrap_err()
}

#[test]
fn a_seal_is_texts_by_name() {
    let mut document = model();
    seal(&mut document);
    for other in [json!(5), json!({"spec": 5}), json!({"spec": ["tags"]})] {
        document["seal"] = other;
        let said = read(&to_text(&document, "")).unwrap_err();
        assert!(said.starts_with("expected"), "{said}");
    }
}

#[test]
fn what_was_changed_is_named() {
    let mut document = model();
    let version = seal(&mut document);
    assert_eq!(read(&to_text(&document, "a comment")).unwrap().version(), version);
    let said = "the seal is broken: this file was changed after it was written: ";
    let changed = |path: &str| format!("{said}`{path}` was changed");
    assert_eq!(after("probability: 0.75", "probability: 0.8"), changed("spec.topology.edges[2].probability"));
    assert_eq!(after("- net-b", "- net-a"), changed("spec.failureDomains.effective.payb[0]"));
    assert_eq!(after("name: checkout", "name: search"), changed("metadata.name"));
    assert_eq!(
        after("        - net-b\n", "        - net-b\n        - net-c\n"),
        format!("{said}`spec.failureDomains.effective.payb[1]` was added")
    );
    assert_eq!(after("        - net-b\n", "        []\n"), changed("spec.failureDomains.effective.payb"));
    // Alike to the next one up to its first field, which is where the difference begins.
    let edge = "      - from: front\n        to: paya\n        probability: 0.5\n";
    let removed = after(edge, "");
    assert!(removed.ends_with("something after `spec.topology.edges[1].from` was removed"), "{removed}");
    assert_eq!(
        after(&version, &version.replace('a', "b")),
        format!("{said}`metadata.version` or `seal` itself")
    );
    assert_eq!(
        after(&format!("  version: {version}\n"), ""),
        format!("{said}`metadata.version`, which is missing")
    );
}

#[test]
fn a_section_that_comes_or_goes_is_named() {
    assert!(after("\nseal:", "\n  base: x\nseal:").contains("`spec.base` was added"));
    let domains =
        "  failureDomains:\n    effective:\n      paya:\n        - net-a\n      payb:\n        - net-b\n";
    assert!(after(domains, "").contains("something was removed from `spec.failureDomains`"));
}

#[test]
fn layout_and_order_do_not_break_a_seal() {
    let mut document = model();
    let version = seal(&mut document);
    let json = serde_json::to_string(&document).unwrap();
    assert_eq!(read(&json).unwrap().version(), version);
    document.sort_all_objects();
    assert_eq!(read(&document.to_string()).unwrap().version(), version);
    let text = "{apiVersion: emac.dev/v1alpha1, kind: DiscoveredJourneyModel, metadata: {name: a}, spec: {}}";
    assert!(!read(text).unwrap().is_sealed());
}

#[test]
fn the_canonical_form_is_serdes_with_sorted_keys() {
    let mut document = seal_and(model());
    document["spec"]["odd \" key"] = json!({"b": [1.5, null, {}, []], "a": {"z": true, "ä\n": "text \u{1}"}});
    let mut sorted = document.clone();
    sorted.sort_all_objects();
    assert_eq!(canonical(&document), sorted.to_string());
}

fn seal_and(mut document: Value) -> Value {
    seal(&mut document);
    document
}
