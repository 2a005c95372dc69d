use emac_core::units::Ratio;
use proptest::prelude::*;

use super::correlation::CorrelatedGroup;
use super::*;
use crate::mesh::read_text;
use emac_compile::model::Status;
use emac_journey::intent::{DomainKind, DomainRule};

fn name(text: &str) -> ComponentName {
    ComponentName::new(text).unwrap()
}

const ZONE: &str = "topology.kubernetes.io/zone";

fn rule(name: &str, key: Option<&str>) -> DomainRule {
    let kind = if key.is_some() { DomainKind::Inferred } else { DomainKind::Declared };
    let source = key.map(|_| "kubernetes".to_owned());
    DomainRule {
        name: name.to_owned(),
        kind,
        source,
        key: key.map(str::to_owned),
        description: None,
        beta: None,
    }
}

fn rules() -> Vec<DomainRule> {
    vec![rule("k8s/zone", Some(ZONE)), rule("k8s/cluster", None), rule("network", Some("emac.dev/network"))]
}

fn span(service: &str, key: &str, value: &str, count: u64) -> TraceLabel {
    TraceLabel { service: service.into(), key: key.into(), value: value.into(), count }
}

fn subject(component: &str, declared: &[&str], labels: &[TraceLabel], mesh: &MeshFacts) -> Subject {
    let mut subject = Subject::new(&[Name::new(component)], None, labels, mesh);
    subject.declared = declared.iter().map(|&domain| domain.to_owned()).collect();
    subject
}

fn of(
    subjects: &[(&str, Subject)],
    groups: &[CorrelatedGroup],
    profile: ConfidenceProfile,
) -> DomainFindings {
    let subjects = subjects.iter().map(|(component, subject)| (name(component), subject.clone())).collect();
    domains(&subjects, &rules(), groups, profile)
}

fn told<'a>(found: &'a DomainFindings, component: &str) -> (Status, Vec<&'a str>, f64) {
    let domains = &found.domains[&name(component)];
    let finding = &found.findings[&Field::Domains(name(component))];
    assert_eq!(finding.status, domains.status);
    assert!(!finding.provenance.is_empty());
    (domains.status, domains.domains.iter().map(String::as_str).collect(), finding.confidence.get())
}

/// One component's finding.
fn one(declared: &[&str], labels: &[TraceLabel], profile: ConfidenceProfile) -> (Status, Vec<String>, f64) {
    let found = of(&[("cart", subject("cart", declared, labels, &MeshFacts::default()))], &[], profile);
    let (status, domains, confidence) = told(&found, "cart");
    (status, domains.into_iter().map(str::to_owned).collect(), confidence)
}

fn group(members: &[&str], confidence: f64) -> CorrelatedGroup {
    CorrelatedGroup {
        members: members.iter().map(|&member| name(member)).collect(),
        p: 1e-6,
        corrected: 1e-5,
        tested: 10,
        support: 5,
        expected: 0.1,
        shares: BTreeMap::new(),
        outages: vec![(3, 5)],
        confidence: Ratio::new(confidence).unwrap(),
    }
}

#[test]
fn labels_that_agree_name_the_domain() {
    let labels = [span("cart", "cloud.availability_zone", "a", 4_000)];
    let (status, domains, confidence) =
        one(&["k8s/zone", "k8s/cluster"], &labels, ConfidenceProfile::PaperV2);
    assert_eq!(
        (status, domains, confidence),
        (Status::Identified, vec!["k8s/cluster".into(), "k8s/zone:a".into()], 0.95)
    );
    let (_, _, confidence) = one(&["k8s/zone"], &labels, ConfidenceProfile::Calibrated);
    assert!((confidence - 20.5 / 21.0).abs() < 1e-8, "spans of one service are 20 witnesses: {confidence}");
    let (_, _, confidence) = one(&["k8s/zone"], &[span("cart", ZONE, "a", 1)], ConfidenceProfile::Calibrated);
    assert_eq!(confidence, 0.75);
}

#[test]
fn a_rule_that_finds_nothing_is_unresolved_only_for_who_names_it() {
    let (status, domains, confidence) = one(&["k8s/zone"], &[], ConfidenceProfile::PaperV2);
    assert_eq!((status, domains.len(), confidence), (Status::Unresolved, 0, 0.20));
    assert_eq!(one(&["k8s/zone"], &[], ConfidenceProfile::Calibrated).2, 0.0);
    assert_eq!(
        one(&["k8s/cluster"], &[], ConfidenceProfile::PaperV2),
        (Status::Identified, vec!["k8s/cluster".into()], 0.95)
    );
    assert_eq!(one(&[], &[], ConfidenceProfile::Calibrated), (Status::Unresolved, vec![], 0.0));
}

#[test]
fn two_values_of_a_single_valued_key_contradict_each_other() {
    let labels = [span("cart", "emac.dev/network", "x", 3), span("cart", "emac.dev/network", "y", 1)];
    let (status, domains, confidence) = one(&["network"], &labels, ConfidenceProfile::PaperV2);
    assert_eq!((status, domains), (Status::Contradictory, vec!["network:x".into(), "network:y".into()]));
    assert!((confidence - (0.35 + 0.30 * 0.75)).abs() < 1e-8);
    let (_, _, confidence) = one(&["network"], &labels, ConfidenceProfile::Calibrated);
    assert!((confidence - 3.5 / 5.5).abs() < 1e-8);
}

#[test]
fn replicas_in_several_zones_fall_with_none_of_them() {
    let labels = |b| [span("cart", ZONE, "a", 500), span("cart", ZONE, "b", b)];
    let (status, domains, confidence) = one(&["k8s/zone"], &labels(400), ConfidenceProfile::PaperV2);
    assert_eq!((status, domains, confidence), (Status::Identified, vec!["own:cart".into()], 0.95));
    let (_, domains, _) = one(&["k8s/zone", "k8s/cluster"], &labels(400), ConfidenceProfile::PaperV2);
    assert_eq!(domains, ["k8s/cluster"], "it still falls with the cluster");
    let (_, domains, _) = one(&["k8s/zone"], &labels(20), ConfidenceProfile::PaperV2);
    assert_eq!(domains, ["k8s/zone:a"], "a twenty-fifth elsewhere will not carry the load");
}

/// Pods of `cart` on nodes of these zones, with a node selector if any.
fn pods(zones: &[&str], selector: Option<&str>) -> MeshFacts {
    let mut text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart}\nspec:\n  replicas: 2\n  selector: {matchLabels: {app: cart}}\n  template: {metadata: {labels: {app: cart}}}\n".to_owned();
    if let Some(zone) = selector {
        text = text.replace(
            "replicas",
            &format!("template: {{spec: {{nodeSelector: {{{ZONE}: {zone}}}}}}}\n  replicas"),
        );
        text = text.replace("\n  template: {metadata: {labels: {app: cart}}}", "");
    }
    for (i, zone) in zones.iter().enumerate() {
        text += &format!(
            "---\n{{apiVersion: v1, kind: Node, metadata: {{name: n{i}, labels: {{{ZONE}: {zone}}}}}}}\n"
        );
        text += &format!(
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: cart-{i}, labels: {{app: cart}}}}, spec: {{nodeName: n{i}}}}}\n"
        );
    }
    let problems = emac_document::Problems::new();
    let facts = read_text("cluster.yaml", &text, &problems);
    assert!(problems.is_empty(), "{}", emac_document::render_text(&problems, false));
    facts
}

#[test]
fn pods_are_counted_and_traces_must_not_deny_them() {
    let cart = |mesh: &MeshFacts, labels: &[TraceLabel]| {
        let found =
            of(&[("cart", subject("cart", &["k8s/zone"], labels, mesh))], &[], ConfidenceProfile::Calibrated);
        let (status, domains, confidence) = told(&found, "cart");
        (status, domains.join(" "), confidence)
    };
    assert_eq!(cart(&pods(&["a", "a"], None), &[]), (Status::Identified, "k8s/zone:a".into(), 0.833_333_33));
    assert_eq!(cart(&pods(&["a", "b"], None), &[]), (Status::Identified, "own:cart".into(), 0.75));
    let traced = [span("cart", ZONE, "c", 100)];
    let (status, domains, _) = cart(&pods(&["a", "a"], None), &traced);
    assert_eq!((status, domains.as_str()), (Status::Contradictory, "k8s/zone:a k8s/zone:c"));
    let (status, domains, _) = cart(&pods(&[], Some("a")), &traced);
    assert_eq!((status, domains.as_str()), (Status::Contradictory, "k8s/zone:a k8s/zone:c"));
}

#[test]
fn a_shared_network_that_nobody_declared_is_told_and_disagrees_with_the_intent() {
    let labels =
        [span("paya", "emac.dev/network", "net-a", 900), span("payb", "emac.dev/network", "net-a", 900)];
    let subject = |component, declared| subject(component, &[declared], &labels, &MeshFacts::default());
    let found = of(
        &[("paya", subject("paya", "net-a")), ("payb", subject("payb", "net-b"))],
        &[],
        ConfidenceProfile::PaperV2,
    );
    assert_eq!(told(&found, "paya"), (Status::Identified, vec!["net-a"], 0.95));
    assert_eq!(told(&found, "payb"), (Status::Identified, vec!["net-a", "net-b"], 0.95));
    let [disagreement] = found.disagreements.as_slice() else { panic!("{:?}", found.disagreements) };
    assert_eq!((disagreement.declared.as_str(), disagreement.observed.as_str()), ("net-b", "net-a"));
    assert_eq!(disagreement.field, Field::Domains(name("payb")));
}

#[test]
fn correlation_adds_to_a_word_confirms_a_label_and_contradicts_another() {
    let mesh = MeshFacts::default();
    let labels = |a: &str, b: &str| {
        [span("paya", "emac.dev/network", a, 900), span("payb", "emac.dev/network", b, 900)]
    };
    let both = |declared: &[&str], labels: &[TraceLabel]| {
        let subjects = ["paya", "payb"].map(|one| (one, subject(one, declared, labels, &mesh)));
        of(&subjects, &[group(&["paya", "payb"], 0.9)], ConfidenceProfile::Calibrated)
    };
    let same = both(&["network"], &labels("x", "x"));
    let (status, domains, confidence) = told(&same, "paya");
    assert_eq!((status, domains), (Status::Identified, vec!["network:x"]));
    assert!((confidence - (1.0 - 0.1 * 0.5 / 21.0)).abs() < 1e-8, "two witnesses: {confidence}");
    let apart = both(&["network"], &labels("x", "y"));
    let (status, domains, _) = told(&apart, "paya");
    assert_eq!((status, domains), (Status::Contradictory, vec!["inferred:paya+payb", "network:x"]));
    let nothing = both(&[], &[]);
    assert_eq!(told(&nothing, "payb"), (Status::Identified, vec!["inferred:paya+payb"], 0.9));
    let missing = both(&["network"], &[]);
    assert_eq!(told(&missing, "payb").0, Status::Unresolved, "what the rule asks for is still not known");
    let subjects = [
        ("paya", subject("paya", &["net-a"], &[], &mesh)),
        ("payb", subject("payb", &["net-b"], &[], &mesh)),
    ];
    let word = of(&subjects, &[group(&["paya", "payb"], 0.9)], ConfidenceProfile::Calibrated);
    assert_eq!(told(&word, "paya"), (Status::Identified, vec!["inferred:paya+payb", "net-a"], 0.9));
    assert_eq!(word.disagreements.len(), 2);
}

/// Labels of two components with few keys and values, so that they agree, conflict and miss.
fn labels() -> impl Strategy<Value = Vec<TraceLabel>> {
    let key = prop_oneof![Just(ZONE), Just("emac.dev/network"), Just("other")];
    let label = (prop_oneof![Just("paya"), Just("payb")], key, "[xyz]", 1_u64..2_000);
    let label = label.prop_map(|(service, key, value, count)| span(service, key, &value, count));
    prop::collection::vec(label, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0xD03A), failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn whatever_is_said_the_finding_is_complete_and_a_group_takes_nothing_away(
        labels in labels(),
        declared in prop::collection::vec(prop_oneof![Just("k8s/zone"), Just("network"), Just("net-a")], 0..3),
        paper in any::<bool>(),
    ) {
        let profile = if paper { ConfidenceProfile::PaperV2 } else { ConfidenceProfile::Calibrated };
        let subjects = ["paya", "payb"].map(|one| (one, subject(one, &declared, &labels, &MeshFacts::default())));
        let mut reversed = labels.clone();
        reversed.reverse();
        let other = ["paya", "payb"].map(|one| (one, subject(one, &declared, &reversed, &MeshFacts::default())));
        let alone = of(&subjects, &[], profile);
        prop_assert_eq!(&alone, &of(&other, &[], profile), "the order of evidence means nothing");
        let grouped = of(&subjects, &[group(&["paya", "payb"], 0.9)], profile);
        for component in ["paya", "payb"] {
            let (status, domains, confidence) = told(&alone, component);
            prop_assert!((0.0..=1.0).contains(&confidence));
            prop_assert!(status != Status::Identified || !domains.is_empty());
            let (after, with, _) = told(&grouped, component);
            prop_assert!(domains.iter().all(|domain| with.contains(domain) || domain.starts_with("own:")));
            prop_assert!(status != Status::Contradictory || after == Status::Contradictory);
        }
        let shared = |found: &DomainFindings| {
            let (a, b) = (told(found, "paya"), told(found, "payb"));
            let known = a.0 == Status::Identified && b.0 == Status::Identified;
            !known || a.1.iter().any(|domain| b.1.contains(domain))
        };
        prop_assert!(shared(&grouped), "two of a group are never told to be independent");
    }
}
