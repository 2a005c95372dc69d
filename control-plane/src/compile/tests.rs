use emac_core::units::Ratio;

use super::*;
use crate::document::{Limits, Problems, Source, parse, to_yaml};
use crate::intent;
use crate::slo::Slos;

/// The paper's journey with failure domains of the payment providers as given.
fn intent(paya: &str, payb: &str, governance: &str) -> Intent {
    let text = format!(
        "apiVersion: emac.dev/v1alpha1
kind: JourneyIntent
metadata: {{name: checkout}}
spec:
  objectives: {{availability: {{window: 30d, target: 0.995}}}}
  operator: Series(front, Parallel(cart, pricing), Race(paya, payb))
  components:
    front: {{availability: 0.9995, failureDomains: [k8s]}}
    cart: {{availability: 0.999, failureDomains: [k8s]}}
    pricing: {{availability: 0.999, failureDomains: [k8s]}}
    paya: {{availability: 0.995, failureDomains: [{paya}]}}
    payb: {{availability: 0.995, failureDomains: [{payb}]}}
  governance: {{{governance}}}
"
    );
    read(&text)
}

fn read(text: &str) -> Intent {
    let problems = Problems::new();
    let documents = parse(&Source::new("intent.yaml", text), &Limits::default(), &problems);
    intent::read(&documents[0], &problems).unwrap_or_else(|| panic!("{:?}", problems.list()))
}

fn promises(intent: &Intent) -> Promises {
    Slos::default().resolve(intent, &Problems::new())
}

fn declared(intent: &Intent, check: impl FnOnce(&Compiled<'_>)) {
    let model = AcceptedModel::declared(intent);
    check(&compile(intent, &model, &promises(intent)));
}

#[test]
fn the_papers_numbers_come_out() {
    declared(&intent("net", "net", ""), |compiled| {
        let bounds = compiled.bounds.as_ref().unwrap();
        assert_eq!(exact8(bounds.a_plus()), "0.99747706");
        assert_eq!(exact8(bounds.a_minus()), "0.99251449");
        assert_eq!(
            (exact8(bounds.any_dependence.lo()), exact8(bounds.any_dependence.hi())),
            ("0.99250000".into(), "0.99900000".into())
        );
        let beta = bounds.break_even["net"].unwrap();
        assert!((0.5003..0.5005).contains(&beta), "{beta}");
        let race = bounds.nodes.iter().find(|node| node.redundant).unwrap();
        assert_eq!(exact8(race.shared_fate_loss()), "0.00497500");
        assert_eq!(compiled.decision.verdict, Verdict::Fail);
        assert_eq!(compiled.decision.reasons, ["A_minus 0.99251449 is below objective 0.99500000"]);
    });
    declared(&intent("net-a", "net-b", ""), |compiled| {
        assert_eq!(exact8(compiled.bounds.as_ref().unwrap().a_minus()), "0.99747706");
        assert_eq!(compiled.decision.verdict, Verdict::Pass);
    });
}

#[test]
fn a_selective_gate_asks_a_person_between_the_ends() {
    declared(&intent("net", "net", "evaluationMode: selective"), |compiled| {
        assert_eq!(compiled.decision.verdict, Verdict::Review);
    });
    declared(&intent("a", "b", "evaluationMode: selective"), |compiled| {
        assert_eq!(compiled.decision.verdict, Verdict::Pass);
    });
    declared(&intent("net", "net", "useBoundsForAutomation: {availability: optimistic}"), |compiled| {
        assert_eq!(compiled.decision.verdict, Verdict::Pass);
    });
}

#[test]
fn domains_that_nobody_states_ask_a_person_where_redundancy_depends_on_them() {
    declared(&intent("", "net", ""), |compiled| {
        assert_eq!(compiled.decision.verdict, Verdict::Review);
        assert_eq!(compiled.decision.reasons[0], "missing_domain_evidence:paya");
        assert!(!compiled.decision.domains_resolved);
        assert_eq!(exact8(compiled.bounds.as_ref().unwrap().a_minus()), "0.99251449");
    });
}

#[test]
fn a_component_without_a_promise_is_unassessable() {
    let text = "apiVersion: emac.dev/v1alpha1\nkind: JourneyIntent\nmetadata: {name: j}\nspec:\n  objectives: {availability: {window: 1d, \
                target: 0.9}}\n  operator: Series(a, b)\n  components: {a: {availability: 0.99}, b: {}}\n";
    declared(&read(text), |compiled| {
        assert_eq!(compiled.decision.verdict, Verdict::Unassessable);
        assert_eq!(compiled.decision.reasons, ["nothing is known of the availability of b"]);
    });
}

#[test]
fn a_kept_answer_is_always_there_and_an_async_part_counts_in_the_end() {
    let text = "apiVersion: emac.dev/v1alpha1\nkind: JourneyIntent\nmetadata: {name: j}\nspec:\n  objectives: {availability: {window: 1d, \
                target: 0.9}}\n  operator: Series(Fallback(a, 0.5*kept), Async(mail))\n  components: {a: {availability: 0.9, failureDomains: [x]}, kept: \
                {response: {}, failureDomains: [y]}, mail: {availability: 0.5}}\n";
    declared(&read(text), |compiled| {
        let bounds = compiled.bounds.as_ref().unwrap();
        assert_eq!(exact8(bounds.a_plus()), "0.95000000");
        assert_eq!(exact8(bounds.eventual.unwrap().0.hi()), "0.47500000");
    });
}

fn candidate(text: &str) -> CandidateModel {
    let problems = Problems::new();
    let documents = parse(&Source::new("model.yaml", text), &Limits::default(), &problems);
    CandidateModel::read(&documents[0], &problems).unwrap_or_else(|| panic!("{:?}", problems.list()))
}

const CANDIDATE: &str = "
apiVersion: emac.dev/v1alpha1
kind: DiscoveredJourneyModel
metadata: {name: checkout}
spec:
  failureDomains: {effective: {front: [k8s], cart: [k8s], pricing: [k8s], paya: [net], payb: [net]}}
  redundancy: [{pattern: race, group: [paya, payb]}]
  confidence: {overall: 0.78}
";

#[test]
fn a_doubtful_candidate_is_reviewed_before_it_fails() {
    let model = candidate(CANDIDATE);
    let strict = intent("a", "b", "");
    let compiled = preview(&strict, &model, &promises(&strict));
    assert_eq!(compiled.decision.verdict, Verdict::Review);
    assert_eq!(compiled.decision.reasons[0], "the model's overall confidence 0.78 is below 0.8");
    assert!(compiled.decision.reasons[1].starts_with("otherwise FAIL"));
    let lenient = intent("net", "net", "autoAcceptConfidence: 0.75");
    let compiled = preview(&lenient, &model, &promises(&lenient));
    assert_eq!(compiled.decision.verdict, Verdict::Fail);
}

#[test]
fn disagreement_between_intent_and_model_is_reviewed() {
    let intent = intent("a", "b", "");
    for (old, new, told) in [
        (
            "group: [paya, payb]",
            "group: [cart, pricing]",
            "the model has a race of cart, pricing, the structure has none",
        ),
        (
            "  confidence: {overall: 0.78}",
            "  expression: Series(front, cart, pricing, Race(paya, payb))",
            "the intent declares Series(front, Parallel(cart, pricing), Race(paya, payb)), the model has Series(front, cart, pricing, Race(paya, payb))",
        ),
        ("{name: checkout}", "{name: other}", "the model is of journey other, the intent of checkout"),
        (
            "overall: 0.78",
            "overall: 0.9, evidenceFlags: [incomplete_trace_coverage]",
            "evidence flag: incomplete_trace_coverage",
        ),
    ] {
        let model = candidate(&CANDIDATE.replace(old, new));
        let compiled = preview(&intent, &model, &promises(&intent));
        assert_eq!(compiled.decision.verdict, Verdict::Review, "{new}");
        assert!(compiled.decision.reasons.contains(&told.to_owned()), "{:?}", compiled.decision.reasons);
    }
}

#[test]
fn the_report_tells_everything() {
    let model = candidate(CANDIDATE);
    let intent = intent("net-a", "net-b", "");
    let compiled = preview(&intent, &model, &promises(&intent));
    insta::assert_snapshot!(to_yaml(&derivation(&compiled), ""));
}

#[test]
fn budgets_follow_promises() {
    declared(&intent("net", "net", ""), |compiled| {
        let bounds = compiled.bounds.as_ref().unwrap();
        assert!(bounds.budget.is_some());
        let change = bounds.restoring.as_ref().unwrap();
        assert_eq!(change.component.as_str(), "paya");
        assert_eq!(exact8(change.to), "0.99749173", "what the race must reach");
        assert_eq!(bounds.attribution.len(), 5);
        assert_eq!(Ratio::new(change.from).unwrap().get(), 0.995);
    });
}
