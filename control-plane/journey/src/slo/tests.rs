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
    let (_, problems) = slos(&RATIO.replace("target: 0.999", "targetPercent: 0.57"));
    assert_eq!(messages(&problems), ["0.57 is read as 0.57 %: this is a percentage, not a share"]);
    assert_eq!(problems.list()[0].help.as_deref(), Some("57 % is written 57"));
    // Of two SLIs nobody knows which is meant, if one is.
    let other = "---\napiVersion: openslo/v1\nkind: SLI\nmetadata: {name: latency}\nspec: {}\n";
    let (_, problems) = slos(&format!("{LATENCY}{other}"));
    assert_eq!(messages(&problems), ["there are 2 SLIs `latency`"]);
    assert_eq!(problems.list()[0].help.as_deref(), Some("they are in slos.yaml:2 and slos.yaml:19"));
    let (_, problems) = slos(&format!("{RATIO}{other}{other}"));
    assert_eq!(messages(&problems), [""; 0]);
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

#[test]
fn slices_of_time_promise_what_a_good_slice_may_miss_too() {
    for (from, to, share, told) in [
        (
            "Occurrences",
            "RatioTimeslices",
            Some(0.999),
            "averages slices of time, not requests; its target is taken as it is, as for even traffic",
        ),
        (
            "budgetingMethod: Occurrences\n  objectives:\n    - {displayName: bronze, target: 0.99}\n    - {displayName: gold, target: 0.999}",
            "budgetingMethod: Timeslices\n  objectives:\n    - {displayName: gold, target: 0.999, timeSliceTarget: 0.95}",
            Some(0.94905),
            "counts slices of time, not requests; its target times the share that makes a slice good is taken, as for even traffic",
        ),
        (
            "Occurrences",
            "Timeslices",
            None,
            "promises nothing here: it counts slices of time and does not say (`timeSliceTarget`) which are good",
        ),
    ] {
        let (slos, problems) = slos(&RATIO.replace(from, to));
        let promise = slos.resolve(&intent("openslo:cart"), &problems).into_values().next().unwrap();
        assert_eq!(promise.availability.map(Ratio::get), share, "{told}");
        assert!(
            messages(&problems).iter().all(|message| message.ends_with(told)),
            "{:?}",
            messages(&problems)
        );
        assert_eq!(problems.errors(), 0);
    }
}

/// An SLO with this name, indicator and objectives.
fn slo(name: &str, indicator: &str, objectives: &str) -> String {
    format!(
        "---\napiVersion: openslo/v1\nkind: SLO\nmetadata: {{name: {name}}}\nspec:\n  service: s\n  budgetingMethod: Occurrences\n  indicator: {{spec: {indicator}}}\n  \
         objectives: [{objectives}]\n"
    )
}

/// A ratio of two queries of a Prometheus.
fn ratio(part: &str, query: &str, total: &str) -> String {
    let metric = |query: &str| format!("{{metricSource: {{type: Prometheus, spec: {{query: '{query}'}}}}}}");
    format!("{{ratioMetric: {{{part}: {}, total: {}}}}}", metric(query), metric(total))
}

fn threshold(query: &str) -> String {
    format!("{{thresholdMetric: {{metricSource: {{type: Prometheus, spec: {{query: '{query}'}}}}}}}}")
}

/// What the only component promises with these references, and what was told.
fn promised(documents: &str, references: &str) -> (Promise, Vec<String>) {
    let (slos, problems) = slos(documents);
    let promise = slos.resolve(&intent(references), &problems).into_values().next().unwrap();
    (promise, messages(&problems))
}

fn points(promise: &Promise) -> Vec<(u64, f64, Counted)> {
    promise.latency.iter().map(|point| (point.within.0, point.share.get(), point.counted)).collect()
}

const ALL: &str = "rate(x_seconds_count[5m])";

#[test]
fn all_slos_of_a_component_hold_at_once() {
    let documents = [("a", 0.97), ("b", 0.9999), ("c", 0.5)].map(|(name, target)| {
        slo(
            name,
            &ratio("good", &format!("rate({name}_total[5m])"), "rate(all_total[5m])"),
            &format!("{{target: {target}}}"),
        )
    });
    let documents = documents.concat();
    for (references, share) in [
        ("['openslo:a', 'openslo:b']", 0.9699),
        ("['openslo:b', 'openslo:a']", 0.9699),
        ("['openslo:a', 'openslo:a']", 0.97),
        ("['openslo:a', 'openslo:b', 'openslo:c']", 0.4699),
        ("['openslo:c', {ref: 'openslo:b', role: neither}]", 0.5),
    ] {
        let (promise, told) = promised(&documents, references);
        assert_eq!(promise.availability.map(Ratio::get), Some(share), "{references}");
        assert_eq!(told, [""; 0]);
    }
    let (promise, _) = promised(&documents, "['openslo:a', 'openslo:b']");
    assert_eq!(
        promise.availability_source,
        "all hold: 0.97 of a (slos.yaml:2) and 0.9999 of b (slos.yaml:11), so at worst 0.9699"
    );
    let low = documents.replace("0.97", "0.4");
    assert_eq!(promised(&low, "['openslo:a', 'openslo:c']").0.availability.map(Ratio::get), Some(0.0));
}

#[test]
fn a_ratio_of_buckets_is_a_latency_and_no_availability() {
    let fast = slo("fast", &ratio("good", "rate(x_seconds_bucket{le=\"0.3\"}[5m])", ALL), "{target: 0.95}");
    let well = slo(
        "well",
        &ratio("good", "rate(x_seconds_bucket{le=\"0.5\",code!~\"5..\"}[5m])", ALL),
        "{target: 0.98}",
    );
    let (promise, told) = promised(&(fast.clone() + &well), "['openslo:fast', 'openslo:well']");
    assert_eq!(promise.availability, None);
    assert_eq!(points(&promise), [(300_000, 0.95, Counted::AnyAnswer), (500_000, 0.98, Counted::GoodAnswer)]);
    assert_eq!(told, [""; 0]);
    // Fast failures are fast: of all requests at least 0.95 + 0.999 - 1 are answered well in time.
    assert_eq!(promise.latency[0].good_share(0.999), 0.949);
    assert_eq!(promise.latency[1].good_share(0.999), 0.98);
    let words: Vec<_> = promise.taken.iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        [
            "fast (slos.yaml:2): latency 0.95 within 300ms",
            "well (slos.yaml:11): latency 0.98 within 500ms, counting good answers only"
        ]
    );
    // Who counts a late answer as a failure says so.
    let (promise, _) = promised(&fast, "{ref: 'openslo:fast', role: availability}");
    assert_eq!((promise.availability.map(Ratio::get), points(&promise)), (Some(0.95), vec![]));
    // A histogram of ages is none of answers, unless a role says so.
    let lag = fast.replace("x_seconds", "consumer_lag_seconds");
    let (promise, told) = promised(&lag, "openslo:fast");
    assert_eq!((promise.availability, points(&promise)), (None, vec![]));
    assert_eq!(
        told,
        [
            "`fast` promises nothing here: the histogram consumer_lag_seconds_bucket is named for an age or another time that is no answer's"
        ]
    );
    let (promise, _) = promised(&lag, "{ref: 'openslo:fast', role: latency}");
    assert_eq!(points(&promise), [(300_000, 0.95, Counted::AnyAnswer)]);
    // A histogram of sizes is none of times.
    let sizes = fast.replace("x_seconds", "x_bytes");
    let (promise, told) = promised(&sizes, "openslo:fast");
    assert_eq!((promise.availability, points(&promise)), (None, vec![]));
    assert_eq!(
        told,
        ["`fast` promises nothing here: nothing says that the histogram x_bytes_bucket is of times"]
    );
}

#[test]
fn a_query_that_cannot_be_read_is_of_good_answers_only_where_nothing_in_it_is_a_time() {
    let taken = |spec: &str, indicator: &str| {
        let metric = format!("{{metricSource: {{type: Other, spec: {spec}}}}}");
        let (indicator, objective) = match indicator {
            "ratio" => (format!("{{ratioMetric: {{good: {metric}, total: {metric}}}}}"), "{target: 0.95}"),
            _ => (format!("{{thresholdMetric: {metric}}}"), "{op: lt, value: 0.3, target: 0.95}"),
        };
        let unit = "{name: t, annotations: {emac.dev/unit: s}}";
        let (slos, _) = slos(&slo("t", &indicator, objective).replace("{name: t}", unit));
        Slos::taken(slos.get("t").unwrap())[0].as_what.to_string()
    };
    // Without a unit a metric that stands beside a query, or in its place, is no time.
    let unsaid = slo(
        "t",
        "{thresholdMetric: {metricSource: {type: Other, spec: {metric: response_time}}}}",
        "{op: lt, value: 0.3, target: 0.95}",
    );
    assert_eq!(points(&promised(&unsaid, "openslo:t").0), []);
    let of_time = "nothing, as its query, which cannot be read, has words of a time in it";
    let quantile =
        "nothing, as it compares a number made of many answers, so its target counts moments and not answers";
    for (indicator, spec, expected) in [
        ("ratio", "{query: 'sum:requests.ok{env:us}.as_count()'}", "availability 0.95"),
        ("ratio", "{nrql: 'SELECT count(*) FROM Transaction WHERE error IS FALSE'}", "availability 0.95"),
        ("ratio", "{nrql: 'SELECT count(*) FROM Transaction WHERE duration < 0.3'}", of_time),
        ("ratio", "{query: 'SELECT count(*) FROM r WHERE latency_ms <= 300'}", of_time),
        ("ratio", "[{metric: 'service.response.time'}]", of_time),
        ("threshold", "{metricName: TargetResponseTime, stat: p99}", quantile),
        ("threshold", "{query: 'index=x | stats perc95(latency)'}", quantile),
        ("threshold", "{query: 'avg latency', stat: p99}", quantile),
        ("threshold", "{metricName: TargetResponseTime}", "latency 0.95 within 300ms"),
    ] {
        assert_eq!(taken(spec, indicator), expected, "{spec}");
    }
}

#[test]
fn a_ratio_without_a_query_is_told() {
    let indicator =
        "{ratioMetric: {good: {metricSource: {type: Other}}, total: {metricSource: {type: Other}}}}";
    let (promise, told) = promised(&slo("t", indicator, "{target: 0.95}"), "openslo:t");
    assert_eq!(promise.availability.map(Ratio::get), Some(0.95));
    assert_eq!(
        told,
        ["`t` has no query that says what is counted; its target is taken as a share of good answers"]
    );
}

#[test]
fn latencies_of_other_answers_do_not_stand_for_each_other() {
    let of = |name: &str, method: &str, le: &str, target: f64| {
        let total = format!("rate(x_seconds_count{{method=\"{method}\"}}[5m])");
        let good = format!("rate(x_seconds_bucket{{method=\"{method}\",le=\"{le}\"}}[5m])");
        slo(name, &ratio("good", &good, &total), &format!("{{target: {target}}}"))
    };
    let same = of("a", "GET", "0.1", 0.9) + &of("b", "GET", "0.5", 0.99);
    let (promise, _) = promised(&same, "['openslo:a', 'openslo:b']");
    assert_eq!(points(&promise), [(100_000, 0.9, Counted::AnyAnswer), (500_000, 0.99, Counted::AnyAnswer)]);
    // Of what is written nothing is known before 500 ms, whatever is known of what is read.
    let other = of("a", "GET", "0.1", 0.9) + &of("b", "POST", "0.5", 0.99) + &of("c", "GET", "0.5", 0.98);
    let (promise, _) = promised(&other, "['openslo:a', 'openslo:b', 'openslo:c']");
    assert_eq!(points(&promise), [(500_000, 0.97, Counted::AnyAnswer)]);
}

#[test]
fn a_threshold_is_a_latency_only_where_single_times_are_compared() {
    let read = |query: &str| {
        let (promise, told) =
            promised(&slo("t", &threshold(query), "{op: lt, value: 0.3, target: 0.95}"), "openslo:t");
        assert_eq!(promise.availability, None);
        (points(&promise), told)
    };
    for query in
        ["x_seconds", "x_request_latency", "(x_duration_seconds{a=\"b\"})", "last_over_time(x_seconds[5m])"]
    {
        assert_eq!(read(query), (vec![(300_000, 0.95, Counted::AnyAnswer)], vec![]), "{query}");
    }
    let moments = "number made of many answers, so its target counts moments and not answers";
    for (query, why) in [
        (
            "histogram_quantile(0.99, sum by (le) (rate(x_seconds_bucket[5m])))",
            "quantile, so its target counts moments and not answers",
        ),
        ("x_seconds{quantile=\"0.99\"}", "quantile, so its target counts moments and not answers"),
        ("quantile(0.9, x_seconds)", "quantile, so its target counts moments and not answers"),
        ("quantile_over_time(0.9, x_seconds[5m])", "quantile, so its target counts moments and not answers"),
        ("job:x_seconds:p99", moments),
        ("avg(x_seconds)", moments),
        ("max_over_time(x_seconds[5m])", moments),
        ("rate(x_seconds_sum[5m])", moments),
        ("x_seconds_count", moments),
        ("x_seconds_total", moments),
        (
            "rate(bad[5m]) / rate(all[5m])",
            "ratio, which is no time, and its target counts moments and not answers",
        ),
    ] {
        let told = format!("`t` promises nothing here: it compares a {why}");
        assert_eq!(read(query), (vec![], vec![told]), "{query}");
    }
    for query in [
        "queue_length",
        "cpu_temperature_celsius",
        "last_success_timestamp_seconds",
        "process_uptime_seconds",
    ] {
        let told = "`t` promises nothing here: nothing says that what it compares is a time";
        assert_eq!(read(query), (vec![], vec![told.to_owned()]), "{query}");
    }
    let above = slo("t", &threshold("x_seconds"), "{op: gte, value: 0.3, target: 0.95}");
    assert_eq!(
        promised(&above, "openslo:t").1,
        ["`t` promises nothing here: a number above a threshold is no time that is kept"]
    );
}

#[test]
fn a_unit_or_a_role_says_that_a_threshold_is_a_time() {
    let plain = slo("t", &threshold("x_value"), "{op: lte, value: 300, target: 0.95}");
    let of = |unit: &str| {
        plain.replace("{name: t}", &format!("{{name: t, annotations: {{emac.dev/unit: {unit}}}}}"))
    };
    assert_eq!(points(&promised(&of("ms"), "openslo:t").0), [(300_000, 0.95, Counted::AnyAnswer)]);
    assert_eq!(points(&promised(&of("us"), "openslo:t").0), [(300, 0.95, Counted::AnyAnswer)]);
    assert_eq!(
        points(&promised(&plain, "{ref: 'openslo:t', role: latency}").0),
        [(300_000_000, 0.95, Counted::AnyAnswer)]
    );
    let (promise, told) = promised(&of("none"), "openslo:t");
    assert_eq!((points(&promise), told.len()), (vec![], 1));
    // No role makes a share of answers of a share of moments, and none a time of a ratio.
    let quantile = slo("t", &threshold("quantile(0.9, x_seconds)"), "{op: lt, value: 0.3, target: 0.95}");
    let good = slo("t", &ratio("good", "rate(good[5m])", "rate(all[5m])"), "{target: 0.95}");
    for documents in [quantile.as_str(), good.as_str()] {
        let (slos, problems) = slos(documents);
        slos.resolve(&intent("{ref: 'openslo:t', role: latency}"), &problems);
        assert_eq!(problems.errors(), 1, "{:?}", messages(&problems));
    }
    let (promise, told) = promised(&quantile, "{ref: 'openslo:t', role: neither}");
    assert_eq!(
        (promise.taken[0].to_string().as_str(), told.len()),
        ("t (slos.yaml:2): nothing, as its role is neither", 0)
    );
    let (promise, told) = promised(&quantile, "{ref: 'openslo:t', role: availability}");
    assert_eq!((promise.availability.map(Ratio::get), told.len()), (Some(0.95), 1));
}

#[test]
fn composites_have_indicators_in_their_objectives() {
    let composite = format!(
        "---\napiVersion: openslo/v1\nkind: SLO\nmetadata: {{name: all}}\nspec:\n  service: s\n  budgetingMethod: Occurrences\n  objectives:\n    - {{displayName: good, target: 0.995, \
         compositeWeight: 1, indicator: {{metadata: {{name: i}}, spec: {}}}}}\n    - {{displayName: fresh, targetPercent: 99, indicator: {{spec: {}}}}}\n    - {{displayName: quick, \
         target: 0.95, op: lte, value: 0.3, indicatorRef: quick}}\n---\napiVersion: openslo/v1\nkind: SLI\nmetadata: {{name: quick}}\nspec: {}\n",
        ratio("good", "rate(good[5m])", "rate(all[5m])"),
        ratio("bad", "rate(stale[5m])", "rate(all[5m])"),
        threshold("x_seconds"),
    );
    let (promise, told) = promised(&composite, "openslo:all");
    assert_eq!((promise.availability.map(Ratio::get), told), (Some(0.985), vec![]));
    assert_eq!(points(&promise), [(300_000, 0.95, Counted::AnyAnswer)]);
    assert_eq!(promised(&composite, "'openslo:all#good'").0.availability.map(Ratio::get), Some(0.995));
    for (old, new, told) in [
        ("indicatorRef: quick", "indicatorRef: quik", "there is no SLI `quik`"),
        (", indicatorRef: quick", "", "give one of `indicator` and `indicatorRef`"),
        ("op: lte, ", "", "an objective of a threshold metric needs `op` and `value`"),
        (
            "  service: s",
            "  service: s\n  indicatorRef: quick",
            "there are indicators in `spec` and in its objectives",
        ),
        (
            "targetPercent: 99,",
            "targetPercent: 99, target: 0.98,",
            "`target` and `targetPercent` say different things: give one",
        ),
    ] {
        assert!(composite.contains(old), "{old}");
        let (_, problems) = slos(&composite.replace(old, new));
        assert!(messages(&problems).contains(&told.to_owned()), "{new}: {:?}", messages(&problems));
    }
}

#[test]
fn lists_hold_documents_wherever_they_stand() {
    let item = |name: &str| {
        format!(
            "{{apiVersion: openslo/v1, kind: SLO, metadata: {{name: {name}}}, spec: {{service: s, budgetingMethod: Occurrences, indicator: {{spec: {}}}, objectives: [{{target: 0.99}}]}}}}",
            ratio("good", "rate(good[5m])", "rate(all[5m])")
        )
    };
    let json = r#"[{"apiVersion": "openslo/v1", "kind": "Service", "metadata": {"name": "s"}}, {"apiVersion": "openslo/v1", "kind": "AlertPolicy", "metadata": {"name": "p"}}]"#;
    let text = format!(
        "- {}\n- {}\n---\napiVersion: v1\nkind: List\nitems: [{}, {{kind: List, items: [{}]}}, {{apiVersion: v1, kind: ConfigMap}}]\n---\n{json}\n---\n[1, 2]\n",
        item("a"),
        item("b"),
        item("c"),
        item("d")
    );
    let (slos, problems) = slos(&text);
    assert!(problems.is_empty(), "{}", render_text(&problems, false));
    assert_eq!(slos.iter().map(|slo| slo.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    let documents = parse(&Source::new("slos.yaml", text), &Limits::default(), &problems);
    let unread = counted(objects(&documents).into_iter().filter(|object| !Slos::reads(*object)));
    let unread: Vec<_> = unread.into_iter().collect();
    let expected = [
        ("AlertPolicy (openslo/v1)", 1),
        ("ConfigMap (v1)", 1),
        ("Service (openslo/v1)", 1),
        ("without kind", 1),
    ];
    assert_eq!(unread, expected.map(|(kind, count)| (kind.to_owned(), count)));
}

#[test]
fn other_versions_of_openslo_are_named_as_what_they_are() {
    for version in ["openslo/v1alpha", "openslo.com/v2alpha"] {
        let (slos, problems) = slos(&RATIO.replace("openslo/v1", version));
        assert_eq!(
            messages(&problems),
            [format!("the SLO `cart` is written in {version}, which is not read; openslo/v1 is")]
        );
        assert_eq!((problems.errors(), slos.iter().count()), (0, 0));
        slos.resolve(&intent("openslo:cart"), &problems);
        let told = &problems.list()[1];
        assert_eq!(told.message, "there is no SLO `cart`");
        assert_eq!(
            told.help.as_ref().unwrap(),
            &format!(
                "the one in slos.yaml:2 is written in {version}, which is not read; write it in openslo/v1"
            )
        );
    }
}

#[test]
fn anything_may_stand_in_the_spec_of_a_metric_source() {
    for spec in [
        "'a text'",
        "[a, {b: c}]",
        "7",
        "{query: {nested: [1]}}",
        "{query: 7}",
        "{region: eu, query: [SELECT]}",
        "null",
        "{sql: {select: 1}}",
    ] {
        let (slos, problems) = slos(
            &RATIO
                .replace("spec: {query: good}", &format!("spec: {spec}"))
                .replace("type: Prometheus", "type: Other"),
        );
        assert!(problems.is_empty(), "{spec}: {}", render_text(&problems, false));
        assert_eq!(slos.get("cart").unwrap().objectives.len(), 2);
    }
    // The type of a source that is named is that of its document.
    let source =
        "---\napiVersion: openslo/v1\nkind: DataSource\nmetadata: {name: there}\nspec: {type: Datadog}\n";
    let of_source = RATIO
        .replace("type: Prometheus", "metricSourceRef: there")
        .replace("query: good", "query: 'sum:x{le=0.3}'");
    let (slos, problems) = slos(&(of_source + source));
    assert!(problems.is_empty(), "{}", render_text(&problems, false));
    let Indicator::Ratio { part: RatioPart::Good(good), .. } = &slos.get("cart").unwrap().indicators[0]
    else {
        panic!()
    };
    assert_eq!(good.kind.as_deref(), Some("Datadog"));
}

const SLOTH: &str = "
version: prometheus/v1
service: shop
labels: {team: a}
slos:
  - name: good
    objective: 99.9
    sli: {events: {error_query: 'sum(rate(x_total{code=~\"5..\"}[{{.window}}]))', total_query: 'sum(rate(x_total[{{.window}}]))'}}
    alerting: {name: A, page_alert: {disable: true}}
  - name: fast
    objective: 95
    sli:
      events:
        error_query: 'sum(rate(x_seconds_count[{{.window}}])) - sum(rate(x_seconds_bucket{le=\"0.4\"}[{{.window}}]))'
        total_query: sum(rate(x_seconds_count[{{.window}}]))
  - name: ready
    objective: 90
    sli: {raw: {error_ratio_query: '1 - avg(up)'}}
  - name: plugged
    objective: 99
    sli: {plugin: {id: sloth-common/http/latency, options: {bucket: '0.3'}}}
  - name: plugged-in
    objective: 99
    sli: {plugin: {id: sloth-common/http/availability}}
";

#[test]
fn sloths_slos_are_percentages_of_good_events_though_their_queries_count_bad_ones() {
    let object = "
apiVersion: sloth.slok.dev/v1
kind: PrometheusServiceLevel
metadata: {name: shop, namespace: monitoring}
spec:
  service: desk
  slos:
    - {name: good, objective: 99.99, sli: {events: {errorQuery: 'sum(rate(bad[{{.window}}]))', totalQuery: 'sum(rate(all[{{.window}}]))'}}}
    - {name: raw, objective: 98, sli: {raw: {errorRatioQuery: bad_ratio}}}
";
    let (slos, problems) = slos(&format!("{SLOTH}---{object}"));
    assert!(problems.is_empty(), "{}", render_text(&problems, false));
    let taken: Vec<_> = slos.iter().flat_map(Slos::taken).map(|taken| taken.to_string()).collect();
    assert_eq!(
        taken,
        [
            "desk-good (slos.yaml:32): availability 0.9999",
            "desk-raw (slos.yaml:33): availability 0.98",
            "shop-fast (slos.yaml:10): latency 0.95 within 400ms",
            "shop-good (slos.yaml:6): availability 0.999",
            "shop-plugged (slos.yaml:19): nothing, as only the plugin sloth-common/http/latency knows what it counts",
            "shop-plugged-in (slos.yaml:22): availability 0.99",
            "shop-ready (slos.yaml:16): availability 0.9",
        ]
    );
    let promise = |reference: &str| slos.resolve(&intent(reference), &problems).into_values().next().unwrap();
    for reference in ["'openslo:shop-good'", "'sloth:shop-good'"] {
        assert_eq!(promise(reference).availability.map(Ratio::get), Some(0.999), "{reference}");
    }
    assert_eq!(points(&promise("'sloth:fast'")), [(400_000, 0.95, Counted::AnyAnswer)]);
    assert!(problems.is_empty());
    promise("'sloth:good'");
    promise("'pyrra:shop-good'");
    assert_eq!(messages(&problems), ["there are 2 SLOs `good`", "there is no SLO `shop-good`"]);
    assert_eq!(
        problems.list()[0].help.as_deref(),
        Some("it may be `desk-good` (slos.yaml:32) or `shop-good` (slos.yaml:6)")
    );
}

#[test]
fn broken_slos_of_sloth_each_say_why_and_hide_no_other() {
    for (old, new, told) in [
        ("objective: 99.9", "objective: 100", "a target of 1 leaves no error budget"),
        ("objective: 99.9", "objective: 101", "expected a percentage below 100"),
        (
            "objective: 99.9",
            "objective: 0.999",
            "0.999 is read as 0.999 %: this is a percentage, not a share",
        ),
        ("objective: 99.9", "objective: '99.9'", "expected a number, found text"),
        ("service: shop", "team: shop", "the field `service` is missing"),
        (
            "error_query: 'sum(rate(x_total",
            "errorQuery: 'sum(rate(x_total",
            "the field `error_query` is missing",
        ),
        ("{raw: {error_ratio_query: '1 - avg(up)'}}", "{}", "give one of `events`, `raw` and `plugin`"),
    ] {
        assert!(SLOTH.contains(old), "{old}");
        let (slos, problems) = slos(&SLOTH.replace(old, new));
        assert_eq!(messages(&problems), [told], "{new}");
        assert!(slos.get("shop-fast").is_some() || new.starts_with("team"));
    }
}

/// A Pyrra SLO with this indicator.
fn pyrra(indicator: &str) -> String {
    format!(
        "apiVersion: pyrra.dev/v1alpha1\nkind: ServiceLevelObjective\nmetadata: {{name: x, namespace: shop}}\nspec: {{target: '99.5', window: 2w, indicator: {indicator}}}\n"
    )
}

#[test]
fn pyrras_slos_are_percentages_written_as_text() {
    for (indicator, expected) in [
        (
            "{ratio: {errors: {metric: 'x_total{code=~\"5..\"}'}, total: {metric: x_total}, grouping: [a]}}",
            "availability 0.995",
        ),
        (
            "{latency: {success: {metric: 'x_seconds_bucket{le=\"0.1\"}'}, total: {metric: x_seconds_count}}}",
            "latency 0.995 within 100ms",
        ),
        (
            "{latency: {success: {metric: 'x_seconds_bucket{le=\"0.1\",code!~\"5..\"}'}, total: {metric: x_seconds_count}}}",
            "latency 0.995 within 100ms, counting good answers only",
        ),
        (
            "{latency: {success: {metric: 'calls_bucket{le=\"2\"}'}, total: {metric: calls_count}}}",
            "latency 0.995 within 2s",
        ),
        (
            "{latency: {success: {metric: fast_total}, total: {metric: all_total}}}",
            "nothing, as it is a latency, and its `success` does not say by `le` which time is kept",
        ),
        ("{latencyNative: {latency: 200ms, total: {metric: x_seconds}}}", "latency 0.995 within 200ms"),
        ("{bool_gauge: {metric: probe_success}}", "availability 0.995"),
    ] {
        let (slos, problems) = slos(&pyrra(indicator));
        assert!(problems.is_empty(), "{}", render_text(&problems, false));
        let slo = slos.get("shop/x").unwrap();
        assert_eq!(
            Slos::taken(slo)[0].to_string(),
            format!("shop/x (slos.yaml:1): {expected}"),
            "{indicator}"
        );
        assert_eq!(slo.window, Some(Micros(14 * 86_400_000_000)));
        slos.resolve(&intent("['pyrra:x', 'openslo:shop/x']"), &problems);
        assert_eq!(problems.errors(), 0);
        let is_told = indicator.contains("bool_gauge") || expected.starts_with("nothing");
        assert_eq!(problems.is_empty(), !is_told, "{:?}", messages(&problems));
    }
}

#[test]
fn broken_slos_of_pyrra_each_say_why() {
    let ratio = "{ratio: {errors: {metric: bad}, total: {metric: all}}}";
    for (old, new, told) in [
        ("'99.5'", "'0.995'", "0.995 is read as 0.995 %: this is a percentage, not a share"),
        ("'99.5'", "'much'", "`much` is not a percentage"),
        ("'99.5'", "'100'", "a target of 1 leaves no error budget"),
        ("'99.5'", "'-1'", "expected a percentage below 100"),
        ("window: 2w, ", "", "the field `window` is missing"),
        ("{metric: bad}", "{metric: 'bad{'}", "not PromQL: unexpected end of input inside braces"),
        (ratio, "{}", "give one of `ratio`, `latency`, `latencyNative` and `bool_gauge`"),
        (
            "{ratio:",
            "{bool_gauge: {metric: up}, ratio:",
            "give one of `ratio`, `latency`, `latencyNative` and `bool_gauge`",
        ),
    ] {
        let text = pyrra(ratio);
        assert!(text.contains(old), "{old}");
        let (_, problems) = slos(&text.replace(old, new));
        assert_eq!(messages(&problems), [told], "{new}");
    }
    let bare = pyrra(ratio).replace("'99.5'", "99.5");
    assert_eq!(slos(&bare).0.get("x").unwrap().objectives[0].target.get(), 0.995);
}

#[test]
fn hostile_queries_are_answered_on_a_small_stack() {
    let deep = [
        "-".repeat(8_000) + "x_bucket",
        vec!["x_bucket"; 800].join(" + "),
        "1 - ".repeat(1_500) + "x_bucket",
    ];
    let all = move || {
        for query in &deep {
            for indicator in [
                ratio("good", query, "all"),
                ratio("bad", query, query),
                threshold(query),
                format!(
                    "{{ratioMetric: {{raw: {{metricSource: {{type: Prometheus, spec: {{query: '{query}'}}}}}}}}}}"
                ),
            ] {
                let (promise, _) =
                    promised(&slo("t", &indicator, "{op: lt, value: 0.3, target: 0.95}"), "openslo:t");
                assert_eq!(promise.availability, None);
            }
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(all).unwrap().join().unwrap();
}
