use std::path::PathBuf;

use super::*;
use crate::intent::{self, Intent};
use emac_document::{Limits, Source, parse, render_text};

fn slos(text: &str) -> (Slos, Problems) {
    let problems = Problems::new();
    let documents = parse(&Source::new("slos.yaml", text), &Limits::default(), &problems);
    (Slos::read(&documents, &problems), problems)
}

fn messages(problems: &Problems) -> Vec<String> {
    problems.list().into_iter().map(|problem| problem.message).collect()
}

/// An intent of one component with this reference.
fn intent(reference: &str) -> Intent {
    let text = format!(
        "apiVersion: emac.dev/v1alpha1\nkind: JourneyIntent\nmetadata: {{name: j}}\nspec:\n  objectives: {{availability: {{window: \
         30d, target: 0.99}}}}\n  operator: {{ref: a}}\n  components: {{a: {{atomicSLORef: {reference}}}}}\n"
    );
    let problems = Problems::new();
    let documents = parse(&Source::new("intent.yaml", text), &Limits::default(), &problems);
    intent::read(&documents[0], &problems).unwrap()
}

const RATIO: &str = "
apiVersion: openslo/v1
kind: SLO
metadata: {name: cart}
spec:
  service: cart
  indicator:
    metadata: {name: sli}
    spec:
      ratioMetric:
        counter: true
        good: {metricSource: {type: Prometheus, spec: {query: good}}}
        total: {metricSource: {type: Prometheus, spec: {query: total}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives:
    - {displayName: bronze, target: 0.99}
    - {displayName: gold, target: 0.999}
";

const LATENCY: &str = "
apiVersion: openslo/v1
kind: SLI
metadata: {name: latency}
spec: {thresholdMetric: {metricSource: {spec: {query: seconds}}}}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: cart-latency, annotations: {emac.dev/unit: ms}}
spec:
  service: cart
  indicatorRef: latency
  timeWindow: [{duration: 1Q, isRolling: true}]
  budgetingMethod: Occurrences
  objectives:
    - {op: lte, value: 500, target: 0.99}
    - {op: lt, value: 200, targetPercent: 90}
";

#[test]
fn a_ratio_promises_its_highest_target_or_the_one_named() {
    let (slos, problems) = slos(RATIO);
    assert!(problems.is_empty(), "{}", render_text(&problems, false));
    let promise = |reference| slos.resolve(&intent(reference), &problems).into_values().next().unwrap();
    let all = promise("openslo:cart");
    assert_eq!(all.availability.map(Ratio::get), Some(0.999));
    assert_eq!(all.availability_source, "cart (slos.yaml:2)");
    assert_eq!(promise("'openslo:cart#bronze'").availability.map(Ratio::get), Some(0.99));
    assert_eq!(promise("'openslo:cart#1'").availability.map(Ratio::get), Some(0.999));
    assert!(problems.is_empty());
}

#[test]
fn a_threshold_promises_shares_within_times() {
    let (slos, problems) = slos(&format!("{RATIO}---{LATENCY}"));
    let promises = slos.resolve(&intent("['openslo:cart', 'openslo:cart-latency']"), &problems);
    let promise = promises.into_values().next().unwrap();
    assert_eq!(promise.availability.map(Ratio::get), Some(0.999));
    let points: Vec<_> = promise.latency.iter().map(|point| (point.within.0, point.share.get())).collect();
    assert_eq!(points, [(200_000, 0.9), (500_000, 0.99)]);
    assert_eq!(slos.get("cart-latency").unwrap().window, Some(Micros(90 * 86_400_000_000)));
    assert!(problems.is_empty(), "{}", render_text(&problems, false));
}

#[test]
fn references_to_nothing_are_told_where_they_stand() {
    let (slos, _) = slos(RATIO);
    for (reference, told) in [
        ("openslo:carts", "there is no SLO `carts`"),
        ("'openslo:cart#silver'", "the SLO `cart` has no objective `silver`"),
    ] {
        let problems = Problems::new();
        slos.resolve(&intent(reference), &problems);
        assert_eq!(messages(&problems), [told]);
        assert_eq!(problems.list()[0].location().unwrap(), "intent.yaml:7:34");
    }
}

#[test]
fn broken_documents_each_say_why() {
    for (old, new, told) in [
        ("target: 0.999", "target: 1", "a target of 1 leaves no error budget"),
        ("target: 0.999", "target: 99.9", "99.9 is not a share between 0 and 1"),
        ("target: 0.999", "targetPercent: 100", "a target of 1 leaves no error budget"),
        ("budgetingMethod: Occurrences", "budgetingMethod: Occurences", "`Occurences` is not known here"),
        ("  service: cart\n", "", "the field `service` is missing"),
        ("        good:", "        goood:", "give one of `good` and `bad`"),
        ("duration: 30d", "duration: 30x", "`x` is not a unit of time"),
        ("      ratioMetric:", "      ratio:", "give one of `ratioMetric` and `thresholdMetric`"),
    ] {
        assert!(RATIO.contains(old), "{old}");
        let (_, problems) = slos(&RATIO.replace(old, new));
        assert!(messages(&problems).contains(&told.to_owned()), "{new}: {:?}", messages(&problems));
    }
    let (_, problems) = slos(&LATENCY.replace("op: lte, ", ""));
    assert_eq!(messages(&problems), ["an objective of a threshold metric needs `op` and `value`"]);
    let (_, problems) = slos(&LATENCY.replace("indicatorRef: latency", "indicatorRef: latncy"));
    assert_eq!(messages(&problems), ["there is no SLI `latncy`"]);
    let (_, problems) = slos(&format!("{RATIO}---{RATIO}"));
    assert_eq!(messages(&problems), ["the SLO `cart` is declared twice"]);
}

#[test]
fn slices_of_time_are_taken_with_a_warning() {
    let (slos, problems) = slos(&RATIO.replace("Occurrences", "Timeslices"));
    slos.resolve(&intent("openslo:cart"), &problems);
    assert_eq!(
        messages(&problems),
        ["`cart` counts slices of time, not requests; its target is taken as it is"]
    );
    assert_eq!(problems.errors(), 0);
}

#[test]
fn the_papers_leaves_promise_what_the_paper_says() {
    let root = std::env::var_os("EMAC_SHARED_DATA").map(PathBuf::from);
    let root =
        root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")));
    let folder = root.join("emac-checkout/v1");
    let problems = Problems::new();
    if !folder.is_dir() {
        return println!("not run: no emac-checkout/v1 under EMAC_SHARED_DATA or ../shared/data");
    }
    let documents = emac_document::read_all(&[folder], &Limits::default(), &problems);
    let slos = Slos::read(&documents, &problems);
    let intents = intent::of(&documents, &problems);
    let promises = slos.resolve(&intents[0], &problems);
    assert!(problems.is_empty(), "{}", render_text(&problems, false));
    let found: Vec<_> = promises.values().map(|promise| promise.availability.unwrap().get()).collect();
    assert_eq!(found, [0.999, 0.9995, 0.995, 0.995, 0.999], "cart, front, paya, payb, pricing");
}

#[test]
fn queries_of_prometheus_that_are_none_are_told_and_the_rest_is_other_tools_own() {
    let told = |from: &str, to: &str| {
        let (slos, problems) = slos(&RATIO.replace(from, to));
        assert!(slos.get("cart").is_some());
        assert_eq!(problems.errors(), 0);
        problems
            .list()
            .iter()
            .map(|problem| (problem.location().unwrap(), problem.message.clone()))
            .collect::<Vec<_>>()
    };
    let wrong = ("slos.yaml:12:66".to_owned(), "not PromQL: unclosed left parenthesis".to_owned());
    assert_eq!(told("query: good", "query: sum(good"), std::slice::from_ref(&wrong));
    let elsewhere = "type: Datadog, spec: {query: sum(good";
    assert_eq!(told("type: Prometheus, spec: {query: good", elsewhere), []);
    assert_eq!(
        told("type: Prometheus, spec: {query: good", "type: Datadog,    spec: {promql: sum(good").len(),
        1
    );
}
