pub(crate) mod random;

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use emac_document::{Limits, Source, parse, read_file, render_text};

fn read_text(text: &str) -> (Option<CandidateModel>, Problems) {
    let problems = Problems::new();
    let documents = parse(&Source::new("model.yaml", text), &Limits::default(), &problems);
    (CandidateModel::read(&documents[0], &problems), problems)
}

fn name(text: &str) -> ComponentName {
    ComponentName::new(text).unwrap()
}

const OURS: &str = "
apiVersion: emac.dev/v1alpha1
kind: DiscoveredJourneyModel
metadata: {name: checkout}
spec:
  expression: Series(front, Race(paya, payb))
  operator: {type: series, steps: [{ref: front}, {type: race, branches: [{ref: payb}, {ref: paya}]}]}
  failureDomains:
    effective: {front: [a, b], paya: [net], payb: []}
    details: {paya: {status: conflicting}}
  confidence: {overall: 0.9, fields: {edges: 0.95}, evidenceFlags: [incomplete_trace_coverage]}
";

#[test]
fn this_projects_models_are_read() {
    let (model, problems) = read_text(OURS);
    assert!(problems.is_empty(), "{}", render_text(&problems, false));
    let model = model.unwrap().model().clone();
    assert_eq!(model.structure.as_ref().unwrap().to_string(), "Series(front, Race(paya, payb))");
    assert_eq!(model.domains_of(&name("front")).0, Status::Identified);
    assert_eq!(model.domains_of(&name("paya")).0, Status::Contradictory);
    assert_eq!(model.domains_of(&name("payb")), (Status::Unresolved, None));
    assert_eq!(model.domains_of(&name("cart")), (Status::Unresolved, None));
    assert_eq!(model.confidence.flags, ["incomplete_trace_coverage"]);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let (model, problems) = read_text(&OURS.replace("Race(paya, payb))", "Parallel(paya, payb))"));
    assert!(model.is_none());
    let message = &problems.list()[0].message;
    assert_eq!(
        message,
        "`expression` says Series(front, Parallel(paya, payb)), `operator` says Series(front, Race(paya, payb))"
    );
    assert!(read_text(&OURS.replace("Discovered", "Accepted")).0.is_none());
    assert!(read_text(&OURS.replace("overall: 0.9", "overall: 1.9")).0.is_none());
}

fn paper(path: &str) -> Option<Document> {
    let root = std::env::var_os("EMAC_SHARED_DATA").map(PathBuf::from);
    let root =
        root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")));
    let file = root.join("emac-checkout").join(path);
    if !file.is_file() {
        println!("not run: no emac-checkout/{path} under EMAC_SHARED_DATA or ../shared/data");
        return None;
    }
    read_file(&file, &Limits::default(), &Problems::new()).into_iter().next()
}

#[test]
fn the_papers_models_are_read() {
    let problems = Problems::new();
    let Some(document) = paper("v1/model_discovery/discovered.checkout.yaml") else { return };
    let model = CandidateModel::read(&document, &problems).unwrap().model().clone();
    assert_eq!(model.confidence.overall.map(Ratio::get), Some(0.78));
    assert_eq!((model.structure, model.edges.len(), model.redundancy.len()), (None, 4, 1));
    assert_eq!(model.domains[&name("paya")].domains, BTreeSet::from(["payment-network".to_owned()]));
    let Some(document) = paper("replay/fixtures/accepted/baseline.accepted-model.yaml") else { return };
    let model = AcceptedModel::read(&document, &problems).unwrap().model().clone();
    assert_eq!(model.journey, "checkout");
    assert_eq!(
        model.structure.unwrap().to_string(),
        "Series(front, Parallel(cart, pricing), Race(paya, payb))"
    );
    assert_eq!(model.domains[&name("cart")].domains.len(), 2);
    let Some(document) = paper("replay/generated/models/payment_shared_fate_drift.discovered-model.yaml")
    else {
        return;
    };
    let model = CandidateModel::read(&document, &problems).unwrap().model().clone();
    assert_eq!(model.edge_coverage, Some(Ratio::ONE));
    assert_eq!(model.domains[&name("paya")].domains, model.domains[&name("payb")].domains);
    assert!(problems.is_empty(), "{}", render_text(&problems, false));
}

/// What a file says; where it was read from is no part of it.
fn content(model: &Model) -> Model {
    Model { origin: Origin::Declared, digest: String::new(), ..model.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0x30DE), failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn what_is_written_is_read_back_and_sealed(model in random::model(), base in proptest::option::of("[0-9a-f]{64}")) {
        let candidate = CandidateModel::new(model.clone(), base);
        let text = candidate.to_text();
        let (read, problems) = read_text(&text);
        prop_assert!(read.is_some(), "{}\n{text}", render_text(&problems, false));
        let read = read.unwrap();
        prop_assert_eq!(content(read.model()), content(&model));
        prop_assert!(read.is_sealed());
        prop_assert_eq!((read.version(), read.base()), (candidate.version(), candidate.base()));
        prop_assert_eq!(read.to_text(), text);
    }

    #[test]
    fn the_written_tree_is_an_operator_of_the_language(journey in random::journey()) {
        let model = Model { structure: Some(journey.clone()), ..content(&declared_nothing()) };
        let mut document = write::document(&model, CANDIDATE_KIND);
        document["spec"].as_object_mut().unwrap().shift_remove("expression");
        let (read, problems) = read_text(&to_text(&document, ""));
        prop_assert!(read.is_some(), "{journey}\n{}", render_text(&problems, false));
        prop_assert_eq!(read.unwrap().model().structure.clone(), Some(journey));
    }
}

fn declared_nothing() -> Model {
    read_text(
        "{apiVersion: emac.dev/v1alpha1, kind: DiscoveredJourneyModel, metadata: {name: checkout}, spec: {}}",
    )
    .0
    .unwrap()
    .model()
    .clone()
}

#[test]
fn a_newcomer_can_read_it() {
    let model = read_text(OURS).0.unwrap().model().clone();
    let finding = Finding {
        status: Status::Identified,
        confidence: Ratio::new(0.99).unwrap(),
        samples: 12_000,
        provenance: vec![Provenance {
            source: EvidenceSource::Traces,
            says: "12 000 of 12 000 calls overlap".to_owned(),
            traces: vec!["4bf92f3577b34da6a3ce929d0e0e4736".to_owned()],
            place: None,
        }],
    };
    let findings = BTreeMap::from([(Field::Operator("Race(paya, payb)".to_owned()), finding)]);
    let edge = Edge {
        from: "front".to_owned(),
        to: "paya".to_owned(),
        call_type: Some(CallType::Sync),
        probability: Some(Ratio::ONE),
        attempts: None,
    };
    let nodes = random::names(&["front", "paya", "payb"]);
    insta::assert_snapshot!(
        CandidateModel::new(Model { findings, nodes, edges: vec![edge], ..model }, None).to_text()
    );
}
