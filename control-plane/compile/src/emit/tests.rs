use super::*;
use crate::compile::{Given, Promises, compile};
use crate::model::AcceptedModel;
use emac_document::{
    Limits, Node, Problems, Source, Value as Written, is_recordable, parse, parse_generated,
};
use emac_journey::intent::{self, Intent};
use emac_journey::slo::Slos;

const CHECKOUT: &str = include_str!("../../../examples/checkout/intent.yaml");

fn intent(text: &str) -> Intent {
    let problems = Problems::new();
    let documents = parse(&Source::new("intent.yaml", text), &Limits::default(), &problems);
    intent::read(&documents[0], &problems).unwrap_or_else(|| panic!("{:?}", problems.list()))
}

fn artifacts(text: &str, dialect: Dialect) -> Vec<Artifact> {
    let intent = intent(text);
    let promises: Promises = Slos::default().resolve(&intent, &Problems::new());
    let model = AcceptedModel::declared(&intent);
    all(&compile(&intent, &model, Given::promises(&promises)), dialect).unwrap()
}

fn text<'a>(artifacts: &'a [Artifact], path: &str) -> &'a str {
    &artifacts.iter().find(|artifact| artifact.path == path).unwrap_or_else(|| panic!("no {path}")).text
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    assert_eq!(artifacts(CHECKOUT, Dialect::Emac), artifacts(CHECKOUT, Dialect::Emac));
}

#[test]
fn every_yaml_file_is_read_back() {
    let guarded = CHECKOUT.to_owned()
        + "    actions:\n      - {kind: Promote, guard: 'A_minus >= 0.995 && burn(\"1h\") < 2.0 && conf(delta) > 0.5'}\n";
    for artifact in
        artifacts(&guarded, Dialect::Emac).iter().filter(|artifact| artifact.path.ends_with(".yaml"))
    {
        let problems = Problems::new();
        let documents =
            parse(&Source::new(&artifact.path, artifact.text.as_str()), &Limits::default(), &problems);
        assert!(problems.is_empty() && !documents.is_empty(), "{}: {:?}", artifact.path, problems.list());
    }
}

/// Texts under the keys that hold PromQL.
fn queries(node: &Node, into: &mut Vec<String>) {
    match &node.value {
        Written::Sequence(items) => items.iter().for_each(|item| queries(item, into)),
        Written::Mapping(entries) => {
            for entry in entries {
                match entry.value.text() {
                    Some(text) if ["expr", "query", "series"].contains(&entry.key.as_str()) => {
                        into.push(text.to_owned());
                    }
                    _ => queries(&entry.value, into),
                }
            }
        }
        _ => {}
    }
}

/// With what Argo and Flagger put in.
fn filled_in(query: &str) -> String {
    let mut parts = query.split("{{args.");
    let first = parts.next().unwrap_or_default().replace("{{ target }}", "front");
    let rest = parts.map(|part| part.split_once("}}").map_or("", |(_, rest)| rest));
    rest.fold(first, |text, rest| text + "1" + rest)
}

#[test]
fn every_query_is_promql() {
    let every_field = include_str!("../../../examples/every-field/intent.yaml");
    for (intent, dialect) in [CHECKOUT, every_field]
        .into_iter()
        .flat_map(|intent| [Dialect::Emac, Dialect::Sloth, Dialect::Pyrra].map(|dialect| (intent, dialect)))
    {
        let mut seen = 0;
        for artifact in artifacts(intent, dialect) {
            let source = Source::new(&artifact.path, artifact.text.as_str());
            let mut found = Vec::new();
            if artifact.path.ends_with(".yaml") || artifact.path.ends_with(".json") {
                let documents = parse(&source, &Limits::default(), &Problems::new());
                documents.iter().for_each(|document| queries(&document.root, &mut found));
            }
            for query in &found {
                let query = filled_in(query);
                let expr = parse_generated(&query)
                    .unwrap_or_else(|error| panic!("{}: {query}: {error}", artifact.path));
                assert!(is_recordable(&expr), "{}: {query}", artifact.path);
            }
            seen += found.len();
        }
        assert!(seen > 50, "{seen} of {dialect:?}");
    }
}

#[test]
fn every_declared_argument_is_used() {
    let all = artifacts(CHECKOUT, Dialect::Emac);
    let template = text(&all, "argo/analysis-template.yaml");
    let declared: Vec<_> = template.lines().filter_map(|line| line.strip_prefix("    - name: ")).collect();
    let (args, _) = template.split_once("  metrics:").unwrap();
    let names: Vec<_> = declared.iter().filter(|name| args.contains(&format!("- name: {name}\n"))).collect();
    assert!(names.len() >= 5, "{names:?}");
    for name in names {
        assert!(template.contains(&format!("args.{name}}}}}")), "{name} is not used");
    }
}

#[test]
fn a_guard_becomes_an_admission_policy() {
    let guarded = CHECKOUT.to_owned()
        + "    actions:\n      - {kind: Promote it, guard: 'A_minus >= 0.995 && burn(\"1h\") < 2.0 && conf(delta) > 0.5 && mode != \"A_minus\"'}\n";
    let all = artifacts(&guarded, Dialect::Emac);
    let policy = text(&all, "guards.yaml");
    assert!(policy.contains("variables.A_minus >= 0.995 && variables.burn_1h < 2.0 && variables.conf_delta > 0.5 && variables.mode != \"A_minus\""), "{policy}");
    assert!(
        policy.contains("double(params.data[\"burn_1h\"])")
            && policy.contains("name: emac-checkout-promote-it-0")
    );
}

#[test]
fn the_summary_and_the_picture() {
    let all = artifacts(CHECKOUT, Dialect::Emac);
    insta::assert_snapshot!("summary", text(&all, "summary.md"));
    insta::assert_snapshot!("journey_svg", text(&all, "journey.svg"));
}

#[test]
fn a_canary_that_is_measured_at_the_edge_says_so() {
    let own = CHECKOUT
        .replace("journey_requests_total{journey=\"checkout\"", "http_requests_total{service=\"front\"");
    for (intent, at_the_edge) in [(CHECKOUT, true), (&own, false)] {
        let all = artifacts(intent, Dialect::Emac);
        for path in ["argo/analysis-template.yaml", "flagger/canary.yaml"] {
            assert_eq!(text(&all, path).contains("emac.dev/counted-at-the-edge"), at_the_edge, "{path}");
        }
        let read = self::intent(intent);
        let promises: Promises = Slos::default().resolve(&read, &Problems::new());
        let model = AcceptedModel::declared(&read);
        let notes = notes(&compile(&read, &model, Given::promises(&promises)), Dialect::Emac);
        let said = |part: &str| notes.iter().any(|note| note.contains(part));
        assert_eq!(said("at the journey's edge (here shop/edge)"), at_the_edge, "{notes:?}");
        assert!(
            said("between 250 ms and 500 ms"),
            "the limit of 400 ms lies in one of Envoy's buckets: {notes:?}"
        );
    }
}

#[test]
fn the_gates() {
    let all = artifacts(CHECKOUT, Dialect::Emac);
    insta::assert_snapshot!("argo", text(&all, "argo/analysis-template.yaml"));
    insta::assert_snapshot!("flagger", text(&all, "flagger/canary.yaml"));
    insta::assert_snapshot!("openslo", text(&all, "openslo/slo.yaml"));
}

/// What the SLOs that are written promise to those who refer to them.
fn read_back(text: &str) -> Vec<String> {
    let problems = Problems::new();
    let documents = parse(&Source::new("slo.yaml", text), &Limits::default(), &problems);
    let slos = Slos::read(&documents, &problems);
    assert!(problems.is_empty(), "{text}\n{:?}", problems.list());
    slos.iter()
        .flat_map(Slos::taken)
        .map(|taken| taken.to_string().split_once("): ").unwrap().1.to_owned())
        .collect()
}

#[test]
fn what_openslo_says_promises_what_the_intent_does() {
    let latency = |query: &str, threshold: &str, metric: &str| {
        let objective = format!(
            "      objective: {{metric: {metric}, threshold: {threshold}}}\n      evidence: {{promql: '{query}'}}"
        );
        let text = format!(
            "apiVersion: emac.dev/v1alpha1\nkind: JourneyIntent\nmetadata: {{name: booking}}\nspec:\n  objectives:\n    availability: {{window: 30d, target: 0.99}}\n    \
             latency:\n      window: 7d\n{objective}\n  operator: {{type: series, steps: [{{ref: desk}}]}}\n  components: {{desk: {{availability: 0.999, failureDomains: [hall]}}}}\n"
        );
        let all = artifacts(&text, Dialect::Emac);
        super::tests::text(&all, "openslo/slo.yaml").to_owned()
    };
    assert_eq!(
        read_back(text(&artifacts(CHECKOUT, Dialect::Emac), "openslo/slo.yaml")),
        ["availability 0.995", "latency 0.99 within 400ms"]
    );
    let by_le = "histogram_quantile(0.95, sum by (le) (rate(x_bucket[{{ .window }}])))";
    for (query, threshold, metric, expected) in [
        (by_le, "400ms", "p95", Some("latency 0.95 within 400ms")),
        (by_le, "2s", "p95", Some("latency 0.95 within 2s")),
        (
            "histogram_quantile(0.9, sum(rate(x[{{ .window }}])))",
            "25ms",
            "p90",
            Some("latency 0.9 within 25ms"),
        ),
        (
            "(histogram_quantile(0.9, sum by (le) (rate(a_bucket[{{ .window }}])) + sum by (le) (rate(b_bucket[{{ .window }}]))))",
            "1500ms",
            "p90",
            Some("latency 0.9 within 1500ms"),
        ),
        ("job:latency:p90_{{ .window }}", "25ms", "p90", None),
    ] {
        let written = latency(query, threshold, metric);
        let expected: Vec<_> = ["availability 0.99"].into_iter().chain(expected).collect();
        assert_eq!(read_back(&written), expected, "{query}\n{written}");
    }
}
