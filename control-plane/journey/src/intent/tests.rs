//! Whole files: the examples, and every way of getting one wrong.

use std::path::PathBuf;

use emac_core::budget::FallbackBudget;
use emac_core::units::{Micros, Millis, Ppm};
use proptest::prelude::*;

use super::*;
use crate::intent::Reach;
use emac_document::{Limits, Problems, Source, parse, render_text};

const CHECKOUT: &str = include_str!("../../../examples/checkout/intent.yaml");

fn read_text(text: &str) -> (Option<Intent>, Problems) {
    let problems = Problems::new();
    let documents = parse(&Source::new("intent.yaml", text), &Limits::default(), &problems);
    let intent = documents.first().and_then(|document| read(document, &problems));
    (intent, problems)
}

fn good(text: &str) -> Intent {
    let (intent, problems) = read_text(text);
    assert!(problems.is_empty(), "{}", render_text(&problems, false));
    intent.unwrap()
}

/// The messages of an intent that must not be accepted.
fn wrong(text: &str) -> Vec<String> {
    let (intent, problems) = read_text(text);
    assert!(intent.is_none(), "accepted");
    problems.list().into_iter().map(|problem| problem.message).collect()
}

/// A small intent with one part replaced.
fn with(operator: &str, components: &str) -> String {
    format!(
        "apiVersion: emac.dev/v1alpha1\nkind: JourneyIntent\nmetadata: {{name: j}}\nspec:\n  objectives: {{availability: \
         {{window: 30d, target: 0.99}}}}\n  operator: {operator}\n  components: {components}\n"
    )
}

fn component<'i>(intent: &'i Intent, name: &str) -> &'i Component {
    &intent.components[&ComponentName::new(name).unwrap()]
}

#[test]
fn the_example_is_understood() {
    let intent = good(CHECKOUT);
    assert_eq!(
        intent.structure.to_string(),
        "Series(front, Parallel(Fallback(pricing, 0.5*cached-price), cart), Fallback(paya, payb))"
    );
    assert_eq!(intent.deadline(), Some(Millis(400)));
    assert_eq!(intent.objectives.availability.target.get(), 0.995);
    assert_eq!(intent.objectives.latency.as_ref().unwrap().metric.quantile.get(), 0.99);
    let share = Ppm::new(200_000).unwrap();
    assert_eq!(component(&intent, "pricing").fallback_budget, Some(FallbackBudget { share, burst: 10 }));
    assert!(matches!(component(&intent, "cached-price").reach, Reach::Static(_)));
    assert_eq!(component(&intent, "cached-price").kind, ComponentKind::StaticResponse);
}

/// A file of the paper, or `None` when the data folder is absent.
fn paper(path: &str) -> Option<String> {
    let root = std::env::var_os("EMAC_SHARED_DATA").map(PathBuf::from);
    let root =
        root.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")));
    let text = std::fs::read_to_string(root.join("emac-checkout").join(path)).ok();
    if text.is_none() {
        println!("not run: no emac-checkout/{path} under EMAC_SHARED_DATA or ../shared/data");
    }
    text
}

#[test]
fn the_papers_files_are_understood_unchanged() {
    for version in ["v1", "v2"] {
        let Some(text) = paper(&format!("{version}/spec/emac.checkout.yaml")) else { return };
        let intent = good(&text);
        assert_eq!(intent.structure.to_string(), "Series(front, Parallel(cart, pricing), Race(paya, payb))");
        assert_eq!(intent.objectives.latency.as_ref().unwrap().threshold, Micros(400_000));
        assert_eq!(component(&intent, "paya").slos[0].value.name, "slo.paya.availability");
        assert_eq!(component(&intent, "paya").failure_domains, ["payment-network"]);
        assert_eq!(intent.governance.alerts.page.len(), 2);
        assert_eq!(intent.governance.actions.len(), usize::from(version == "v2"));
        assert_eq!(intent.evidence.max_age.is_some(), version == "v2");
        assert!(intent.entry.is_empty(), "so it is computed and not enforced");
    }
}

#[test]
fn every_operator_in_yaml() {
    let intent = good(&with(
        "
    type: series
    steps:
      - {type: parallel, join: {atLeast: 2}, branches: [{ref: a}, {ref: b}, {ref: c}]}
      - {type: race, semantics: hedged, delay: 50ms, branches: [{ref: a}, {ref: b}]}
      - {type: fallback, primary: {ref: a}, alternates: [{operator: {type: series, steps: [{ref: b}, {ref: c}]}}, {ref: b, weight: 0.5}]}
      - {type: branch, choices: [{probability: 0.25, ref: a}, {probability: 75%, ref: b}]}
      - {type: branch, choices: [{probability: [0.2, 0.4], ref: a}, {probability: [0.6, 0.8], operator: {ref: b}}]}
      - {type: retry, attempts: 3, perTryTimeout: 100ms, ref: a}
      - {type: timeout, after: 1s, operator: {type: repeat, count: 2, ref: b}}
      - {type: async, id: mail, ref: c}",
        "{a: {}, b: {}, c: {}}",
    ));
    assert_eq!(
        intent.structure.to_string(),
        "Series(Parallel(atLeast=2, a, b, c), Race(delay=50ms, a, b), Fallback(a, Series(b, c), 0.5*b), \
         Branch(0.25*a, 0.75*b), Branch([0.2,0.4]*a, [0.6,0.8]*b), Retry(attempts=3, perTry=100ms, a), \
         Timeout(after=1000ms, Repeat(count=2, b)), Async(c))"
    );
}

#[test]
fn a_composite_component_stands_for_its_operator() {
    let intent = good(&with(
        "{type: series, steps: [{ref: front}, {ref: pay}]}",
        "{front: {}, a: {}, b: {}, pay: {operator: {type: race, branches: [{ref: a}, {ref: b}]}}}",
    ));
    assert_eq!(intent.structure.to_string(), "Series(front, Race(a, b))");
    assert!(!intent.components.contains_key(&ComponentName::new("pay").unwrap()));
}

#[test]
fn the_canonical_text_is_an_operator_too() {
    let text = "Series(a, Fallback(b, 0.5*c), Retry(attempts=2, a))";
    let components = "{a: {}, b: {}, c: {}}";
    assert_eq!(good(&with(&format!("'{text}'"), components)).structure.to_string(), text);
    assert_eq!(wrong(&with("'Series(a, d)'", components))[0], "`d` is not a component");
    assert_eq!(wrong(&with("'Series(a, Async(b'", components)).len(), 1);
    assert_eq!(wrong(&with("Series()", components))[0], "Series has no operands");
}

#[test]
fn circular_references_are_named() {
    let messages = wrong(&with(
        "{ref: a}",
        "{a: {operator: {type: retry, attempts: 2, ref: b}}, b: {operator: {ref: a}}}",
    ));
    assert_eq!(messages, ["`a` contains itself"]);
}

#[test]
fn a_composite_that_doubles_sixty_times_is_refused() {
    let mut components = String::from("{c0: {}");
    for level in 1..60 {
        let below = level - 1;
        components.push_str(&format!(
            ", c{level}: {{operator: {{type: series, steps: [{{ref: c{below}}}, {{ref: c{below}}}]}}}}"
        ));
    }
    let messages = wrong(&with("{ref: c59}", &(components + "}")));
    assert_eq!(messages[0], "more than 10000 leaves");
}

#[test]
fn a_hundred_thousand_leaves_are_refused() {
    let steps = "{ref: a}, ".repeat(100_000);
    let messages = wrong(&with(&format!("{{type: series, steps: [{steps}]}}"), "{a: {}}"));
    assert_eq!(messages, ["more than 10000 leaves"]);
}

#[test]
fn a_thousand_components_are_read() {
    let components: String = (0..1_000).map(|n| format!("c{n}: {{availability: 0.999}}, ")).collect();
    let steps: String = (0..1_000).map(|n| format!("{{ref: c{n}}}, ")).collect();
    let intent = good(&with(&format!("{{type: series, steps: [{steps}]}}"), &format!("{{{components}}}")));
    assert_eq!(intent.components.len(), 1_000);
}

#[test]
fn broken_operators_each_say_why() {
    for (operator, message) in [
        ("{type: series, steps: []}", "Series has no operands"),
        (
            "{type: parallel, join: {atLeast: 3}, branches: [{ref: a}, {ref: b}]}",
            "atLeast is between 1 and the number of branches (2), not 3",
        ),
        ("{type: parallel, join: most, branches: [{ref: a}]}", "`most` is not known here"),
        (
            "{type: race, branches: [{type: async, ref: a}]}",
            "async inside race: a race waits for an answer, an async has none to wait for",
        ),
        ("{type: timeout, after: 0ms, ref: a}", "a duration must be above zero"),
        ("{type: timeout, after: 100, ref: a}", "a duration needs a unit"),
        ("{type: retry, attempts: 0, ref: a}", "attempts is between 1 and 16, not 0"),
        ("{type: retry, attempts: 2}", "one of the fields `ref` and `operator` is missing"),
        ("{type: retry, attempts: 2, ref: a, operator: {ref: b}}", "give `ref` or `operator`, not both"),
        (
            "{type: fallback, primary: {ref: a}, alternates: [{ref: b, weight: 0}]}",
            "an alternate's weight is above 0: an answer worth nothing is no fallback",
        ),
        (
            "{type: fallback, primary: {ref: a}, alternates: [{ref: b, weight: 1.5}]}",
            "1.5 is not a share between 0 and 1",
        ),
        (
            "{type: branch, choices: [{probability: 0.5, ref: a}, {probability: 0.500000001, ref: b}]}",
            "the probabilities of a branch add up to 1, these to 1.000000001",
        ),
        (
            "{type: branch, choices: [{probability: [0.5, 0.4], ref: a}]}",
            "an interval of probability goes from low to high, not from 0.5 to 0.4",
        ),
        ("{type: serie, steps: [{ref: a}], nonsense: 1}", "`serie` is not known here"),
        ("{steps: [{ref: a}]}", "an operator needs `type`, a component needs `ref`"),
        ("{ref: c}", "`c` is not a component"),
        ("", "`operator` is empty"),
        ("[{ref: a}]", "expected a mapping, found a list"),
    ] {
        assert_eq!(wrong(&with(operator, "{a: {}, b: {}}"))[0], message, "{operator}");
    }
}

#[test]
fn broken_components_each_say_why() {
    for (component, message) in [
        ("{hop: {destination: x}}", "nobody calls this hop"),
        ("{hop: {source: front, destination: x}}", "a workload is named <namespace>/<workload>"),
        ("{hop: {source: s/w, destination: x}, response: {}}", "give `hop` or `response`, not both"),
        ("{response: {status: 200}}", "`a` is a static response, which only stands in for another"),
        ("{response: {status: 700}}", "700 is not within 200 to 599"),
        ("{latency: {p50: 2ms, p99: 1ms}}", "p50 (2 ms) is above p99 (1 ms)"),
        ("{latency: {p50: 2.5ms, p99: 3ms}}", "expected whole milliseconds"),
        ("{atomicSLORef: slo.a}", "expected a reference to an SLO document"),
        ("{atomicSLORef: 'openslo:x', availability: 0.9}", "give `atomicSLORef` or `availability`, not both"),
        ("{availability: 1}", "a target of 1 leaves no error budget"),
        ("{success: {http: [2yy]}}", "expected HTTP statuses"),
        ("{success: {grpc: [NOTFOUND]}}", "`NOTFOUND` is not known here"),
        ("{fallbackBudget: {share: 0.0000001}}", "0.0000001 is below one millionth"),
        ("{failureDomains: [z, z]}", "the failure domain `z` is given twice"),
        (
            "{hop: {source: s/w, destination: x, callout: {routeHeader: {name: ':path', value: y}}}}",
            "`:path` is not the name of a header",
        ),
    ] {
        assert_eq!(wrong(&with("{ref: a}", &format!("{{a: {component}}}")))[0], message, "{component}");
    }
}

#[test]
fn predicates_of_success_are_read() {
    let intent = good(&with("{ref: a}", "{a: {success: {http: [2xx, 404, 300-399], grpc: [NOT_FOUND, 6]}}}"));
    let success = &component(&intent, "a").success;
    assert_eq!(
        (&success.http[..], &success.grpc[..]),
        (&[(200, 299), (404, 404), (300, 399)][..], &[5, 6][..])
    );
}

/// The example with some of its text replaced.
fn example(replacements: &[(&str, &str)]) -> String {
    replacements.iter().fold(CHECKOUT.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{old}");
        text.replace(old, new)
    })
}

#[test]
fn broken_sections_each_say_why() {
    for (old, new, message) in [
        ("target: 0.995", "target: 1", "a target of 1 leaves no error budget"),
        ("target: 0.995", "target: 0.0", "a target of 0 promises nothing"),
        ("target: 0.995", "target: 99.5", "99.5 is not a share between 0 and 1"),
        ("target: 0.995", "target: .nan", "expected a finite number, found NaN"),
        ("metric: p99,", "metric: p100,", "expected a quantile from p50 to p99.9"),
        ("threshold: 400ms", "threshold: 400 msec", "` msec` is not a unit of time"),
        ("name: checkout", "name: Check Out", "'C' is not allowed in a name; use [a-z0-9-]"),
        ("kind: JourneyIntent", "kind: JourneyIntents", "`JourneyIntents` is not known here"),
        ("path: /checkout", "path: checkout", "path_template: a path template starts with '/'"),
        ("    - host: shop.example\n      path: /checkout", "    - {}", "an entry rule must state something"),
        (
            "failureDomains: [payment-network-a]",
            "failureDomains: [payment-network-1]",
            "`payment-network-1` is not a failure domain",
        ),
        ("mode: observe", "mode: observed", "`observed` is not known here"),
        ("damping: {period: 1s}", "timeout: {min: 2s, max: 1s}", "min (2000 ms) is above max (1000 ms)"),
        ("damping: {period: 1s}", "retry: {ratio: 20}", "20 is not a share between 0 and 1"),
        ("validFor: 60s", "validFor: 10ms", "10ms is not within 1s to 1d"),
        (
            "    latency:\n      window: 30d\n      objective: {metric: p99, threshold: 400ms}\n",
            "",
            "a journey with an entry needs a deadline",
        ),
        (
            "kind: declared}\n      - {name: payment-network-b, kind: declared}",
            "kind: declared}\n      - {name: payment-network-a, kind: inferred}",
            "an inferred failure domain needs `source` and `key`",
        ),
    ] {
        assert_eq!(wrong(&example(&[(old, new)]))[0], message, "{new}");
    }
}

#[test]
fn problems_of_all_sections_come_at_once_and_with_their_places() {
    let text = example(&[
        ("target: 0.995", "target: 99.5"),
        ("metric: p99,", "metric: 99,"),
        ("{ref: payb, weight: 1}", "{ref: pay, weight: 1}"),
        ("fallbackBudget:", "fallbackBuget:"),
        ("[payment-network-b]", "[paymentnetwork-b]"),
        ("validFor: 60s", "validFor: 60"),
        ("p99: 100ms", "p99: 15ms"),
    ]);
    let (_, problems) = read_text(&text);
    insta::assert_snapshot!(render_text(&problems, false));
}

#[test]
fn what_is_not_referred_to_is_a_warning() {
    let (intent, problems) = read_text(&with("{ref: a}", "{a: {}, b: {}}"));
    assert!(intent.is_some());
    assert_eq!(problems.list()[0].message, "`b` is not part of the operator");
}

#[test]
fn the_digest_does_not_depend_on_layout() {
    let one = good(&with("{ref: a}", "{a: {availability: 0.99, kind: service}}"));
    let other = good(&with(
        "{'ref': 'a'} # the same",
        "\n    a:\n      kind: \"service\"\n      availability: 0.990\n",
    ));
    let changed = good(&with("{ref: a}", "{a: {availability: 0.98, kind: service}}"));
    assert_eq!(one.digest, other.digest);
    assert_ne!(one.digest, changed.digest);
    assert_eq!(one.digest.len(), 64);
}

#[test]
fn directories_are_searched_and_journeys_are_unique() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("b")).unwrap();
    let one = with("{ref: a}", "{a: {}}");
    std::fs::write(folder.path().join("a.yaml"), format!("{one}---\nkind: SLO\napiVersion: openslo/v1\n"))
        .unwrap();
    std::fs::write(folder.path().join("b/intent.yml"), one.replace("name: j", "name: k")).unwrap();
    std::fs::write(folder.path().join("c.json"), &one).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "}").unwrap();
    let problems = Problems::new();
    let intents = load(&[folder.path().to_owned(), folder.path().join("absent")], &problems);
    let names: Vec<_> = intents.iter().map(|intent| intent.name.as_str()).collect();
    assert_eq!(names, ["j", "k"]);
    let told: Vec<_> = problems.list().into_iter().map(|problem| problem.message).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("cannot be read"), "{told:?}");
    assert_eq!(told[1], "the journey `j` is declared twice");
}

/// An intent of this name that is entered at `shop/edge`.
fn entered(name: &str, edge: &str, entry: &str) -> String {
    let spec =
        format!("spec:\n  entry: {entry}\n  governance: {{runtime: {{deadline: 1s, edge: [{edge}]}}}}\n");
    with("{ref: a}", "{a: {}}").replace("name: j", &format!("name: {name}")).replace("spec:\n", &spec)
}

#[test]
fn an_entry_that_no_request_reaches_is_told() {
    let told = |second: &str, edge: &str| {
        let text = [
            entered(
                "buy",
                "shop/edge",
                "[{method: GET, path: /buy}, {host: Shop.example, path: '/shop/**'}]",
            ),
            entered("cart", edge, second),
        ];
        let problems = Problems::new();
        let documents = parse(&Source::new("a.yaml", text.join("---\n")), &Limits::default(), &problems);
        let known = of(&documents, &problems).len();
        assert_eq!(known, 2);
        (problems.errors(), problems.list())
    };
    let (errors, same) = told("[{method: GET, path: //buy/}]", "shop/edge");
    assert_eq!((errors, same.len()), (1, 1));
    assert_eq!(
        same[0].message,
        "`buy` has the same entry, and is asked first: no request of it reaches `cart`"
    );
    assert_eq!(same[0].location().unwrap(), "a.yaml:15:11");
    assert!(same[0].help.as_ref().unwrap().starts_with("narrow the entry of `buy` (a.yaml:5) by host"));
    let (errors, shadowed) = told("[{method: HEAD, path: /buy}, {method: POST, path: /pay}]", "shop/edge");
    assert_eq!((errors, shadowed.len()), (0, 1));
    assert_eq!(
        shadowed[0].message,
        "`buy` takes every request of this entry, and is asked first: none reaches `cart`"
    );
    for apart in [
        "[{path: /buy}]",
        "[{method: POST, path: /buy}]",
        "[{path: /shop/a}]",
        "[{host: x.example, path: /shop/a}]",
    ] {
        assert_eq!(told(apart, "shop/edge").1.len(), 0, "{apart}");
    }
    assert_eq!(told("[{method: GET, path: /buy}]", "shop/other").1.len(), 0);
}

#[test]
fn a_hop_opts_into_calls_without_context_and_out_of_bounds() {
    let hop = |more: &str| {
        let hop = format!("{{a: {{hop: {{source: shop/a, destination: b{more}}}}}}}");
        match component(&good(&with("{ref: a}", &hop)), "a").reach.clone() {
            Reach::Hop(hop) => (hop.without_context, hop.stream),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(hop(""), (false, false));
    assert_eq!(hop(", withoutContext: true"), (true, false));
    assert_eq!(hop(", stream: true"), (false, true));
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0x1272), failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Any line of the example lost, doubled or replaced by another: told or accepted, never a panic.
    #[test]
    fn a_mangled_example_never_panics(from in 0_usize..90, to in 0_usize..90, how in 0..3) {
        let mut lines: Vec<&str> = CHECKOUT.lines().collect();
        let (from, to) = (from.min(lines.len() - 1), to.min(lines.len() - 1));
        match how {
            0 => { lines.remove(from); }
            1 => lines[to] = lines[from],
            _ => lines.insert(to, lines[from]),
        }
        let (intent, problems) = read_text(&lines.join("\n"));
        prop_assert!(intent.is_some() || problems.errors() > 0);
    }
}

#[test]
fn a_query_under_which_nothing_fails_is_refused() {
    let total = r#"sum(rate(journey_requests_total{journey="checkout"}[{{ .window }}]))"#;
    assert!(CHECKOUT.contains(total));
    let told: Vec<_> = query_problems(total).into_iter().map(|(_, _, message)| message).collect();
    assert_eq!(told, ["goodEventQuery and totalEventQuery are the same: nothing would ever fail"]);
}

#[test]
fn a_query_of_another_quantile_than_the_objectives_is_refused() {
    let told = |query: &str| {
        let objective =
            format!("objective: {{metric: p99, threshold: 400ms}}, evidence: {{promql: '{query}'}}}}");
        let text = format!(
            "apiVersion: emac.dev/v1alpha1\nkind: JourneyIntent\nmetadata: {{name: j}}\nspec:\n  objectives:\n    availability: {{window: 30d, target: 0.99}}\n    \
             latency: {{window: 30d, {objective}\n  operator: {{ref: a}}\n  components: {{a: {{availability: 0.999}}}}\n"
        );
        let (_, problems) = read_text(&text);
        problems.list().into_iter().map(|problem| problem.message).collect::<Vec<_>>()
    };
    let of = |share: &str, metric: &str| {
        format!("histogram_quantile({share}, sum by (le) (rate({metric}_bucket[{{{{ .window }}}}])))")
    };
    let p95 = "evidence.promql asks for the p95, and the objective is of the p99";
    for (query, expected) in [
        (of("0.99", "x_seconds"), None),
        (of("0.99", "x_milliseconds") + " / 1000", None),
        ("job:x:p99".to_owned(), None),
        ("max(x{quantile=\"0.99\"})".to_owned(), None),
        (of("0.95", "x_seconds"), Some(p95)),
        ("max(x{quantile=\"0.95\"})".to_owned(), Some(p95)),
        ("max(quantile_over_time(0.95, x[{{ .window }}]))".to_owned(), Some(p95)),
        (
            "sum(rate(x_sum[{{ .window }}])) / sum(rate(x_count[{{ .window }}]))".to_owned(),
            Some("evidence.promql is a mean, and the objective is of the p99"),
        ),
        (
            of("0.99", "x_milliseconds"),
            Some("`x_milliseconds_bucket` is named for milliseconds, and the threshold is in seconds"),
        ),
    ] {
        let told = told(&query);
        let told: Vec<_> = told.iter().filter(|message| !message.contains("has no range")).collect();
        assert_eq!(told, expected.iter().collect::<Vec<_>>(), "{query}");
    }
}

/// Line, column and message of each problem of the example with one query replaced.
fn query_problems(query: &str) -> Vec<(usize, usize, String)> {
    let good = r#"sum(rate(journey_requests_total{journey="checkout",result="success"}[{{ .window }}]))"#;
    assert!(CHECKOUT.contains(good));
    let (_, problems) = read_text(&CHECKOUT.replace(good, query));
    let told = |problem: emac_document::Problem| match &problem.place {
        Some(emac_document::Place::Span(source, span)) => {
            let (line, column) = source.position(span.start);
            (line, column, problem.message)
        }
        _ => panic!("without a place: {}", problem.message),
    };
    problems.list().into_iter().map(told).collect()
}

#[test]
fn a_query_that_prometheus_would_refuse_is_refused_where_it_stands() {
    let line = CHECKOUT.lines().position(|line| line.contains("goodEventQuery")).unwrap() + 1;
    let column = CHECKOUT.lines().nth(line - 1).unwrap().find("sum(").unwrap() + 1;
    // Behind the first character only where it is certain.
    for (query, behind, message) in [
        ("sum(rate(x[{{ .window }}])", 3, "not PromQL: unclosed left parenthesis"),
        ("rate(x)", 0, "not PromQL: expected type matrix in call to function 'rate', got vector"),
        (
            "rate(x[{{ window }}])",
            7,
            "`{{ window }}` is put in by nobody; windows are written `{{ .window }}`",
        ),
        ("x[{{ .window }}]", 0, "Prometheus records numbers, neither ranges of them nor text"),
        ("newer(x)", 0, "PromQL has no function `newer`"),
    ] {
        assert_eq!(query_problems(query), [(line, column + behind, message.to_owned())]);
    }
}

#[test]
fn a_query_that_reads_no_window_or_makes_no_ratio_is_refused_where_it_stands() {
    let line = CHECKOUT.lines().position(|line| line.contains("goodEventQuery")).unwrap() + 1;
    for (query, message) in [
        ("sum(rate(x[5m]))", "the query's range is always the same: it has no `{{ .window }}`"),
        ("sum(x)", "the query has no range: it reads no window, but one instant"),
        (
            "sum(increase(x[{{ .window }}]))",
            "goodEventQuery gives events and totalEventQuery events a second: they make no ratio",
        ),
        (
            "sum by (zone) (rate(x[{{ .window }}]))",
            "goodEventQuery has the labels zone and totalEventQuery none: Prometheus matches nothing",
        ),
        (
            "sum(rate(x[{{ .window }}])) * 60",
            "goodEventQuery and totalEventQuery are multiplied differently: they make no ratio",
        ),
        (
            "sum(limitk(1, rate(x[{{ .window }}])))",
            "Prometheus refuses it: `limitk` is experimental; record it as a series of its own where its flag is set",
        ),
        (
            "sum(rate(x[{{ .window }}])) + sum(rate(y[5m]))",
            "one of 2 selectors is not read over `{{ .window }}`",
        ),
        ("rate(x[{{ .window }}])", "only one of goodEventQuery and totalEventQuery is aggregated"),
    ] {
        let told = query_problems(query);
        let places = [line, line - 1];
        assert!(told.len() == 1 && places.contains(&told[0].0) && told[0].2 == message, "{query}: {told:?}");
    }
}

#[test]
fn alerts_that_nobody_can_tell_apart_are_refused() {
    let text = with("{ref: a}", "{a: {}}");
    let said = |alerts: &str| wrong(&format!("{text}  governance: {{alerts: {alerts}}}\n"));
    for alike in [
        "{name: x, labels: {severity: high}}",
        "{name: x, pageAlert: {labels: {severity: high}}, ticketAlert: {labels: {severity: high}}}",
        "{name: x, ticketAlert: {labels: {severity: page}}}",
    ] {
        assert!(said(alike)[0].contains("one name and one `severity`"), "{alike}");
    }
    for label in ["long", "short", "sloth_id", "sloth_severity"] {
        assert!(said(&format!("{{labels: {{{label}: x}}}}"))[0].contains("tells alerts of a dialect apart"));
        assert!(said(&format!("{{pageAlert: {{labels: {{{label}: x}}}}}}"))[0].contains("apart"));
    }
    for fine in [
        "{name: x}",
        "{labels: {severity: high}}",
        "{name: x, labels: {severity: high}, ticketAlert: {disable: true}}",
        "{name: x, labels: {severity: high}, pageAlert: {labels: {severity: higher}}}",
        "{annotations: {long: x}}",
    ] {
        good(&format!("{text}  governance: {{alerts: {fine}}}\n"));
    }
}

#[test]
fn no_intent_has_the_name_of_what_nobody_declared() {
    let problems = wrong(&example(&[("name: checkout", "name: \"-\"")]));
    assert!(
        problems.iter().any(|problem| problem.contains("stands for requests on no declared journey")),
        "{problems:?}"
    );
}
