use std::path::PathBuf;

use super::*;
use crate::document::{Limits, Source, parse, read_file, render_text};

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
        root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")));
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
