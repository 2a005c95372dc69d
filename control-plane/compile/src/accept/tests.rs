use emac_core::journey::{ComponentName, Journey, parse};
use emac_core::units::Ratio;
use proptest::prelude::*;

use super::*;
use crate::compile::{Given, Promises, Verdict};
use crate::model::tests::random;
use crate::model::{DomainFinding, EvidenceRef, EvidenceSource, Field, Finding, Provenance, Status};
use emac_document::{Document, Limits, Problems, Source, read_file, render_text};
use emac_journey::intent;
use emac_journey::slo::Slos;

fn journey(text: &str) -> Journey {
    Journey::new(parse(text).unwrap()).unwrap()
}

fn empty() -> Model {
    Model {
        journey: "checkout".to_owned(),
        structure: None,
        nodes: Default::default(),
        edges: Vec::new(),
        redundancy: Vec::new(),
        domains: Default::default(),
        runtime: Default::default(),
        findings: Default::default(),
        disagreements: Vec::new(),
        evidence: vec![EvidenceRef {
            name: "traces.json".to_owned(),
            source: EvidenceSource::Traces,
            digest: "0".repeat(64),
        }],
        confidence: Confidence::default(),
        edge_coverage: None,
        origin: Origin::File("model.yaml".to_owned()),
        digest: "1".repeat(64),
    }
}

fn accepted(model: Model) -> AcceptedModel {
    let acceptance = Acceptance {
        parent: None,
        candidate: "2".repeat(64),
        intent: None,
        by: "ann".to_owned(),
        at: "2026-01-31T12:00:00Z".to_owned(),
        deltas: Vec::new(),
    };
    AcceptedModel::agreed(model, Record { acceptance, lineage: Vec::new() })
}

fn of(structure: &str) -> Model {
    Model { structure: Some(journey(structure)), ..empty() }
}

/// Changes between two structures, as lines.
fn changes(before: &str, after: &str) -> Vec<String> {
    let (accepted, candidate) = (accepted(of(before)), CandidateModel::new(of(after), None));
    let proposal = Proposal::new(&accepted, &candidate, None);
    proposal.deltas.iter().map(|delta| format!("{}: {}", delta.change.kind().label(), delta.change)).collect()
}

#[test]
fn structures_differ_by_as_little_as_possible() {
    let one = |before, after, expected: &str| assert_eq!(changes(before, after), [expected]);
    one(
        "Race(paya, payb)",
        "Parallel(paya, payb)",
        "operator_kind: operator: Race(paya, payb) -> Parallel(paya, payb)",
    );
    one(
        "Series(f, c, p)",
        "Series(f, Parallel(c, p))",
        "operator_kind: operator: Series(c, p) -> Parallel(c, p)",
    );
    one(
        "Series(f, p, c)",
        "Series(f, Parallel(c, p))",
        "operator_kind: operator: Series(p, c) -> Parallel(c, p)",
    );
    one("Series(f, a)", "Series(f, Race(a, b))", "component_added: part b: none -> Race(a, b)");
    one("Series(f, Race(a, b))", "Series(f, a)", "component_removed: part b: Race(a, b) -> a");
    one("Series(f, a)", "Series(f, x, a)", "component_added: part x: none -> Series(f, x, a)");
    one(
        "Series(f, a)",
        "Series(f, Retry(attempts=3, a))",
        "operator_kind: operator: a -> Retry(attempts=3, a)",
    );
    one(
        "Series(f, Timeout(after=9ms, a))",
        "Series(f, a)",
        "operator_kind: operator: Timeout(after=9ms, a) -> a",
    );
    one(
        "Retry(attempts=3, a)",
        "Retry(attempts=2, a)",
        "operator_parameter: parameters: Retry(attempts=3, a) -> Retry(attempts=2, a)",
    );
    one(
        "Retry(attempts=3, a)",
        "Series(Retry(attempts=3, a), b)",
        "component_added: part b: none -> Series(Retry(attempts=3, a), b)",
    );
    one("Series(a, b)", "Series(b, a)", "order: order: Series(a, b) -> Series(b, a)");
    one(
        "Branch(0.5*a, 0.5*b)",
        "Branch(0.25*a, 0.75*b)",
        "branch_probability: probabilities: Branch(0.5*a, 0.5*b) -> Branch(0.25*a, 0.75*b)",
    );
    one("Series(a, b)", "Series(c, d)", "operator_kind: operator: Series(a, b) -> Series(c, d)");
    one(
        "Series(Parallel(x, y), z)",
        "Series(x, Parallel(y, z))",
        "operator_kind: operator: Series(Parallel(x, y), z) -> Series(x, Parallel(y, z))",
    );
    assert_eq!(
        changes("Series(x, Parallel(y, z))", "Parallel(x, Race(y, z))"),
        [
            "operator_kind: operator: Series(x, Parallel(y, z)) -> Parallel(x, y, z)",
            "operator_kind: operator: Parallel(y, z) -> Race(y, z)"
        ]
    );
    assert_eq!(
        changes("Series(f, Race(a, b))", "Series(f, Fallback(a, b, c))"),
        [
            "operator_kind: operator: Race(a, b) -> Fallback(a, b)",
            "component_added: part c: none -> Fallback(a, b, c)"
        ]
    );
    assert_eq!(changes("Series(f, Race(a, b))", "Series(f, Race(b, a))"), Vec::<String>::new());
}

fn all(proposal: &Proposal<'_>) -> BTreeSet<DeltaId> {
    proposal.deltas.iter().map(|delta| delta.id.clone()).collect()
}

/// What a file says.
fn content(model: &Model) -> Model {
    Model { origin: Origin::Declared, digest: String::new(), ..model.clone() }
}

/// What acts: without what is known about the fields.
fn substance(model: &Model) -> Model {
    Model {
        findings: Default::default(),
        disagreements: Vec::new(),
        evidence: Vec::new(),
        confidence: Confidence::default(),
        edge_coverage: None,
        ..content(model)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0xACCE), failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn all_deltas_give_the_candidate_and_none_the_model(a in random::model(), mut b in random::model()) {
        // A candidate without operators says nothing about them.
        b.structure = b.structure.or(a.structure.clone());
        let (before, candidate) = (accepted(a.clone()), CandidateModel::new(b.clone(), None));
        let proposal = Proposal::new(&before, &candidate, None);
        prop_assert!(proposal.unfounded.is_empty());
        prop_assert_eq!(content(&proposal.apply(&all(&proposal)).unwrap()), content(&b));
        let none = substance(&proposal.apply(&BTreeSet::new()).unwrap());
        let sorted = |mut model: Model| {
            model.edges.sort_by_key(|edge| format!("{edge:?}"));
            model.redundancy.sort_by_key(|one| format!("{one:?}"));
            model
        };
        prop_assert_eq!(sorted(none), sorted(substance(&a)));
    }

    #[test]
    fn a_model_does_not_differ_from_itself(a in random::model()) {
        let (before, candidate) = (accepted(a.clone()), CandidateModel::new(a, None));
        prop_assert_eq!(Proposal::new(&before, &candidate, None).deltas, Vec::new());
    }

    #[test]
    fn some_deltas_give_a_valid_model_or_say_what_they_need(
        a in random::journey(), b in random::journey(), bits in any::<u64>()
    ) {
        let (a, b) = (Model { structure: Some(a), ..empty() }, Model { structure: Some(b), ..empty() });
        let (before, candidate) = (accepted(a), CandidateModel::new(b.clone(), None));
        let proposal = Proposal::new(&before, &candidate, None);
        let ids: BTreeSet<_> =
            proposal.deltas.iter().enumerate().filter(|(n, _)| bits >> (n % 64) & 1 == 1).map(|(_, d)| d.id.clone()).collect();
        match proposal.apply(&ids) {
            Ok(model) => {
                // Taking the rest afterwards is taking all: order does not matter.
                let half = accepted(model);
                let rest = Proposal::new(&half, &candidate, None);
                prop_assert_eq!(rest.apply(&all(&rest)).unwrap().structure, b.structure);
            }
            Err(Refusal::Incomplete { needs, reason }) => {
                prop_assert!(!needs.is_empty(), "{reason}");
                let named = |delta: &&Delta| needs.iter().any(|need| need.starts_with(delta.id.as_str()));
                let more = proposal.deltas.iter().filter(named).map(|delta| delta.id.clone());
                let more: BTreeSet<_> = more.collect();
                prop_assert!(more.is_disjoint(&ids));
                let mended = more.iter().map(|id| ids.iter().chain([id]).cloned().collect());
                let mended = mended.chain([ids.union(&more).cloned().collect()]);
                prop_assert!(mended.into_iter().any(|ids: BTreeSet<_>| proposal.apply(&ids).is_ok()));
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

fn identified(says: &str, confidence: f64) -> Finding {
    Finding {
        status: Status::Identified,
        confidence: Ratio::new(confidence).unwrap(),
        samples: 100,
        provenance: vec![Provenance {
            source: EvidenceSource::Mesh,
            says: says.to_owned(),
            traces: Vec::new(),
            place: None,
        }],
    }
}

#[test]
fn without_provenance_there_is_no_delta() {
    let before = accepted(of("Series(a, b)"));
    let candidate = CandidateModel::new(Model { evidence: Vec::new(), ..of("Parallel(a, b)") }, None);
    let proposal = Proposal::new(&before, &candidate, None);
    assert_eq!((proposal.deltas.len(), proposal.unfounded.len()), (0, 1));
    let finding = identified("a and b overlap", 0.9);
    assert!(
        Delta::new(proposal.unfounded[0].clone(), Finding { provenance: Vec::new(), ..finding }).is_none()
    );
}

#[test]
fn what_belongs_together_is_named() {
    let (before, candidate) = (
        accepted(of("Branch(0.5*a, 0.5*b)")),
        CandidateModel::new(of("Branch(0.25*a, 0.5*b, 0.25*c)"), None),
    );
    let proposal = Proposal::new(&before, &candidate, None);
    let [probability, added] = proposal.deltas.as_slice() else { panic!("{:?}", proposal.deltas) };
    let refusal = proposal.apply(&BTreeSet::from([added.id.clone()])).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        format!(
            "these deltas alone do not form a valid model: the probabilities of a branch add up to 1, these to 1.25; they need {} ({})",
            probability.id, probability.change
        )
    );
}

#[test]
fn a_selection_takes_no_doubt_unasked() {
    let before = accepted(of("Series(a, b, c)"));
    let findings = [(Field::Operator("Parallel(a, b)".to_owned()), identified("they overlap", 0.9))];
    let after =
        Model { nodes: random::names(&["a"]), findings: findings.into(), ..of("Series(Parallel(a, b), c)") };
    let candidate = CandidateModel::new(after, None);
    let proposal = Proposal::new(&before, &candidate, None);
    let sure = Selection::new(&proposal, &[], false).unwrap();
    assert_eq!((sure.taken.len(), sure.left.len()), (1, 1));
    let left = sure.left.first().unwrap().to_string();
    let refusal = Selection::new(&proposal, &[left[..6].to_owned()], false).unwrap_err();
    assert!(refusal.to_string().contains("is unresolved: node a: none -> a"), "{refusal}");
    assert_eq!(Selection::new(&proposal, &[left], true).unwrap().taken.len(), 1);
    assert_eq!(Selection::new(&proposal, &["xyz".to_owned()], true), Err(Refusal::NoDelta("xyz".to_owned())));
    assert_eq!(Selection::new(&proposal, &[String::new()], true), Err(Refusal::NoDelta(String::new())));
}

#[test]
fn an_acceptance_names_its_parent_and_keeps_the_chain() {
    let consent = |by| Consent { by, at: "2026-01-31T12:00:00Z" };
    let steps = ["Series(a, b)", "Series(a, Race(b, c))", "Series(a, Race(b, c), d)"];
    let mut model = accepted(of(steps[0]));
    let mut versions = vec![model.version().unwrap().to_owned()];
    for step in &steps[1..] {
        let candidate = CandidateModel::new(of(step), model.version().map(str::to_owned));
        let proposal = Proposal::new(&model, &candidate, None);
        let selection = Selection::new(&proposal, &[], true).unwrap();
        let next = proposal.accept(&selection, None, consent("bob")).unwrap();
        assert_eq!(next.model().structure, Some(journey(step)));
        assert_eq!(proposal.accept(&selection, None, consent(" ")), Err(Refusal::Nobody));
        model = next;
        versions.push(model.version().unwrap().to_owned());
    }
    let record = model.record().unwrap();
    assert_eq!(record.lineage.iter().map(|one| one.version.as_str()).collect::<Vec<_>>(), versions[..2]);
    assert_eq!(record.acceptance.deltas[0].change, "part d: none -> Series(a, Race(b, c), d)");
    assert_eq!(record.check_chain(), Ok(()));
    let mut forged = record.clone();
    forged.lineage.remove(0);
    assert_eq!(forged.check_chain(), Err("`spec.lineage[0].parent`".to_owned()));
    forged.lineage.clear();
    assert_eq!(forged.check_chain(), Err("`spec.acceptance.parent`".to_owned()));
    let text = model.to_text();
    let problems = Problems::new();
    let documents = emac_document::parse(&Source::new("m", text.as_str()), &Limits::default(), &problems);
    let read = AcceptedModel::read(&documents[0], &problems).unwrap();
    assert_eq!((read.to_text(), read.record(), read.version()), (text, model.record(), model.version()));
}

// === the paper's files ===

fn paper(path: &str) -> Option<Document> {
    let root = std::env::var_os("EMAC_SHARED_DATA").map(std::path::PathBuf::from);
    let root = root.unwrap_or_else(|| {
        std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"))
    });
    let file = root.join("emac-checkout").join(path);
    if !file.is_file() {
        println!("not run: no emac-checkout/{path} under EMAC_SHARED_DATA or ../shared/data");
        return None;
    }
    read_file(&file, &Limits::default(), &Problems::new()).into_iter().next()
}

const INTENT: &str = "
apiVersion: emac.dev/v1alpha1
kind: JourneyIntent
metadata: {name: checkout}
spec:
  objectives: {availability: {window: 30d, target: 0.995}}
  operator: Series(front, Parallel(cart, pricing), Race(paya, payb))
  components:
    front: {availability: 0.9995}
    cart: {availability: 0.999}
    pricing: {availability: 0.999}
    paya: {availability: 0.995}
    payb: {availability: 0.995}
  governance: {autoAccept: {lowImpact: true}}
";

fn intent(text: &str) -> Intent {
    let problems = Problems::new();
    let documents = emac_document::parse(&Source::new("intent.yaml", text), &Limits::default(), &problems);
    intent::read(&documents[0], &problems).unwrap_or_else(|| panic!("{}", render_text(&problems, false)))
}

fn promises(intent: &Intent) -> Promises {
    Slos::default().resolve(intent, &Problems::new())
}

#[test]
fn the_papers_drift_is_three_changes_of_high_impact() {
    let Some(baseline) = paper("replay/fixtures/accepted/baseline.accepted-model.yaml") else { return };
    let Some(drift) = paper("replay/generated/models/payment_shared_fate_drift.discovered-model.yaml") else {
        return;
    };
    let problems = Problems::new();
    let baseline = AcceptedModel::read(&baseline, &problems).unwrap();
    let drift = CandidateModel::read(&drift, &problems).unwrap();
    let intent = intent(INTENT);
    let promises = promises(&intent);
    let mut proposal = Proposal::new(&baseline, &drift, Some(&intent));
    proposal.predict(&intent, Given::promises(&promises));
    let lines: Vec<_> = proposal
        .deltas
        .iter()
        .map(|delta| {
            let impact = delta.impact.as_ref().unwrap();
            let shift = impact.a_minus.as_ref().unwrap().delta();
            format!(
                "{} {shift:.8} {} {}",
                delta.change,
                impact.class().label(),
                delta.evidence().confidence.get()
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "failure domains of paya: payment-network-a -> payment-network-shared 0.00000000 low 0.95",
            "failure domains of payb: payment-network-b -> payment-network-shared 0.00000000 low 0.95",
            "redundancy of paya, payb: separate failure domains -> a shared failure domain -0.00496257 high 0.95",
        ]
    );
    assert_eq!(proposal.deltas[0].evidence().provenance.len(), 5);
    assert_eq!(
        allowed(&proposal, &intent, Given::promises(&promises)),
        Err(NotAllowed::Together(Class::High)),
        "two moves that change nothing alone"
    );
    let relation = proposal.deltas[2].id.to_string();
    let selection = Selection::new(&proposal, &[relation], false).unwrap();
    let refusal = proposal.accept(&selection, Some(&intent), Consent { by: "ann", at: "now" }).unwrap_err();
    assert!(matches!(&refusal, Refusal::Consequence { needs, .. } if needs.len() == 2), "{refusal}");
    let Some(same) = paper("replay/generated/models/baseline_separate_domains.discovered-model.yaml") else {
        return;
    };
    let same = CandidateModel::read(&same, &problems).unwrap();
    assert_eq!(Proposal::new(&baseline, &same, Some(&intent)).deltas, Vec::new());
}

#[test]
fn a_policy_accepts_what_the_intent_allows_and_no_more() {
    let text =
        INTENT.replace("paya: {availability: 0.995}", "paya: {availability: 0.995, failureDomains: [a]}");
    let text =
        text.replace("payb: {availability: 0.995}", "payb: {availability: 0.995, failureDomains: [b]}");
    let allowing = intent(&text);
    let promises = promises(&allowing);
    let given = Given::promises(&promises);
    let declared = AcceptedModel::declared(&allowing);
    let candidate = |structure: &str, field: Field, confidence| {
        let findings = [(field, identified("seen", confidence))].into();
        let mut domains = declared.model().domains.clone();
        if structure == INTENT_STRUCTURE {
            let zone = DomainFinding { domains: random::names(&["zone-1"]), status: Status::Identified };
            domains.insert(component("cart"), zone);
        }
        CandidateModel::new(Model { findings, domains, ..of(structure) }, None)
    };
    let ask = |intent: &Intent, candidate: &CandidateModel| {
        let mut proposal = Proposal::new(&declared, candidate, Some(intent));
        proposal.predict(intent, given);
        allowed(&proposal, intent, given).map(|selection| selection.taken.len())
    };
    let moved = |confidence| candidate(INTENT_STRUCTURE, Field::Domains(component("cart")), confidence);
    assert_eq!(ask(&allowing, &moved(0.9)), Ok(1));
    assert_eq!(ask(&allowing, &moved(0.7)), Err(NotAllowed::Nothing), "not sure enough");
    let seen = |structure: &str| candidate(structure, Field::Operator(structure.to_owned()), 0.9);
    let harmful = seen("Series(front, Parallel(cart, pricing), Parallel(paya, payb))");
    assert_eq!(ask(&allowing, &harmful), Err(NotAllowed::Nothing), "of high impact");
    let other = seen("Series(front, cart, pricing, Race(paya, payb))");
    assert_eq!(
        ask(&allowing, &other),
        Err(NotAllowed::Verdict(Verdict::Review)),
        "not what the intent declares"
    );
    let silent = intent(&text.replace("{autoAccept: {lowImpact: true}}", "{}"));
    assert_eq!(ask(&silent, &moved(0.9)), Err(NotAllowed::Forbidden));
}

const INTENT_STRUCTURE: &str = "Series(front, Parallel(cart, pricing), Race(paya, payb))";

fn component(name: &str) -> ComponentName {
    ComponentName::new(name).unwrap()
}
