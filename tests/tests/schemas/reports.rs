//! Derivation reports of the examples, as they are and changed a little: together they say everything a report can say.

use emac_compile::compile::{Given, compile, derivation, preview};
use emac_compile::model::{AcceptedModel, CandidateModel};
use emac_document::{Document, Limits, Problems, Source, parse, read_all, render_text};
use emac_journey::intent;
use emac_journey::measured;
use emac_journey::slo::Slos;
use emac_tests::repo_root;
use serde_json::Value;

/// When the examples' evidence was young.
const NOW_UNIX_MS: u64 = 1_769_862_600_000;

fn documents(name: &str, text: &str, problems: &Problems) -> Vec<Document> {
    parse(&Source::new(name, text), &Limits::default(), problems)
}

fn example(path: &str) -> String {
    std::fs::read_to_string(repo_root().join("control-plane/examples").join(path)).unwrap()
}

/// What a report is made from, as text.
#[derive(Default)]
struct Input {
    intent: String,
    evidence: Option<String>,
    candidate: Option<String>,
}

fn report(input: &Input) -> Value {
    let problems = Problems::new();
    let slos = repo_root().join("control-plane/examples/shop/slos");
    let mut slos = read_all(&[slos], &Limits::default(), &problems);
    slos.extend(documents("slos.yaml", &promised_everywhere(), &problems));
    let slos = Slos::read(&slos, &problems);
    let intent = intent::of(&documents("intent.yaml", &input.intent, &problems), &problems).remove(0);
    let promises = slos.resolve(&intent, &problems);
    let evidence = input
        .evidence
        .as_ref()
        .map(|text| measured::read(&documents("evidence.yaml", text, &problems)[0], &problems));
    let evidence = evidence.map(Option::unwrap);
    let given = Given { promises: &promises, evidence: evidence.as_ref(), now_unix_ms: NOW_UNIX_MS };
    let candidate = input.candidate.as_ref().map(|text| documents("model.yaml", text, &problems));
    let candidate = candidate.map(|found| CandidateModel::read(&found[0], &problems).unwrap());
    let model = AcceptedModel::declared(&intent);
    let compiled = match &candidate {
        Some(candidate) => preview(&intent, candidate, given),
        None => compile(&intent, &model, given),
    };
    assert_eq!(problems.errors(), 0, "{}", render_text(&problems, false));
    derivation(&compiled)
}

/// SLOs that the example of every field refers to.
fn promised_everywhere() -> String {
    let slo = |name: &str| {
        format!(
            "apiVersion: openslo/v1\nkind: SLO\nmetadata: {{name: {name}}}\nspec:\n  service: s\n  budgetingMethod: Occurrences\n  \
             indicator: {{spec: {{ratioMetric: {{good: {{metricSource: {{}}}}, total: {{metricSource: {{}}}}}}}}}}\n  \
             objectives: [{{displayName: answers, target: 0.99}}, {{target: 0.999}}]\n"
        )
    };
    format!("{}---\n{}", slo("slo.stock"), slo("slo.advice"))
}

/// Two domains that together cause more than all failures of their members.
fn more_than_all(intent: &str) -> String {
    let zone = "key: topology.kubernetes.io/zone";
    let payment = "name: payment-a, kind: declared";
    let both = intent.replace("[payment-b]", "[payment-a, zone]");
    both.replace(zone, &format!("{zone}, beta: 0.9")).replace(payment, &format!("{payment}, beta: 0.9"))
}

/// More shared components than are conditioned on: a bound that holds and is loose.
fn many_shared() -> String {
    let names: Vec<_> = (0..11).map(|n| format!("x{n}")).collect();
    let (all, known) = (names.join(", "), ": {availability: 0.99, failureDomains: []}");
    let components: Vec<_> = ["a", "b"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let components: Vec<_> = components.into_iter().map(|name| format!("    {name}{known}\n")).collect();
    format!(
        "apiVersion: emac.dev/v1alpha1\nkind: JourneyIntent\nmetadata: {{name: shared}}\nspec:\n  objectives: {{availability: {{window: 30d, target: 0.9}}}}\n  \
         operator: Race(Series(a, {all}), Series(b, {all}))\n  components:\n{}",
        components.concat()
    )
}

/// One of each.
pub(crate) fn all() -> Vec<Value> {
    let shop = example("shop/journeys/checkout/intent.yaml");
    let every = example("every-field/intent.yaml");
    let inputs = [
        Input { intent: shop.clone(), evidence: Some(example("shop/evidence.yaml")), ..Input::default() },
        Input { intent: shop.replace("other-network", "payment-network"), ..Input::default() },
        Input {
            intent: every.clone(),
            evidence: Some(example("every-field/evidence.yaml")),
            ..Input::default()
        },
        Input {
            intent: every.clone(),
            candidate: Some(example("every-field/candidate.yaml")),
            ..Input::default()
        },
        Input { intent: more_than_all(&every), ..Input::default() },
        Input { intent: example("checkout/intent.yaml"), ..Input::default() },
        Input {
            intent: example("checkout/intent.yaml").replace("availability: 0.9995", "kind: service"),
            ..Input::default()
        },
        Input { intent: many_shared(), ..Input::default() },
    ];
    inputs.iter().map(report).collect()
}
