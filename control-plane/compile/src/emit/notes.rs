//! What a reader of the artifacts must know and would not find in them: what cannot fire, what is not measured, what somebody has to bring.

use emac_core::units::Micros;
use emac_document::{ResultLabels, format_duration, parse_promql, result_labels, selectors, write_label};
use emac_journey::intent::CanaryLabel;

use super::admission;
use super::gate::{counted_at_the_edge, p99, requests_min};
use super::openslo::within;
use super::prometheus::{
    Dialect, FAILURES_MIN, Pair, Quantile, RATE_WINDOW_MIN, Severity, Sli, Within, unit_tests,
};
use crate::compile::Compiled;

/// One line each, the gravest first.
pub fn notes(compiled: &Compiled<'_>, dialect: Dialect) -> Vec<String> {
    let sli = Sli::of(compiled);
    let mut notes = Vec::new();
    if compiled.preview {
        notes.push(
            "preview: its canary analyses never pass, and its names are not those of the accepted model"
                .to_owned(),
        );
    }
    notes.extend(alerts(&sli));
    notes.extend(latency(compiled, &sli));
    notes.extend(canary(compiled, &sli));
    for (action, keys) in admission::unknown(compiled) {
        notes.push(format!(
            "guard of {action}: {} not known here; until somebody writes it into the ConfigMap, changes of the pods are denied",
            keys.join(", ")
        ));
    }
    if unit_tests(&sli, dialect, "rules.yaml").is_none() {
        notes.push("no unit tests for the rules: series cannot be made up for the queries".to_owned());
    }
    notes
}

fn alerts(sli: &Sli) -> Vec<String> {
    let budget = sli.budget();
    let mut notes = Vec::new();
    let name = |severity| match severity {
        Severity::Page => "page",
        Severity::Ticket => "ticket",
    };
    let windows = |pair: &Pair| format!("{}/{}", format_duration(pair.long), format_duration(pair.short));
    for pair in sli.policy.all().iter().filter(|pair| !pair.is_reachable(budget)) {
        notes.push(format!(
            "{} {} cannot fire by its factor: {} times the error budget of {budget} is {} of all requests; it fires on an outage instead (more than 99 % fail over {}, and more than 25 % over {})",
            name(pair.severity),
            windows(pair),
            pair.factor,
            super::prometheus::round(pair.threshold(budget)),
            format_duration(pair.short),
            format_duration(pair.long),
        ));
    }
    for severity in [Severity::Page, Severity::Ticket] {
        if sli.naming.is_disabled(severity) {
            notes.push(format!("no {}: it is disabled", name(severity)));
        } else if sli.policy.pairs(severity).next().is_none() {
            notes.push(format!("no {}: the policy has none", name(severity)));
        }
    }
    let short: Vec<_> = sli.windows().into_iter().filter(|window| *window < RATE_WINDOW_MIN).collect();
    if !short.is_empty() {
        let list: Vec<_> = short.into_iter().map(format_duration).collect();
        notes.push(format!(
            "windows of {}: where metrics are scraped once a minute no rate can be taken over them, and their pairs never fire",
            list.join(", ")
        ));
    }
    let counts = sli.events("5m").is_ok_and(|events| events.counts());
    match (sli.unit().filter(|_| counts), sli.policy.all().iter().map(|pair| pair.long).max()) {
        (Some(_), Some(longest)) => {
            let least = FAILURES_MIN.ceil();
            let often = often(longest, least);
            notes.push(format!(
                "no alert below {least} failures in the long window of a pair: none at all with fewer than {often}"
            ));
        }
        _ => notes.push(
            "few requests are not told from many: the queries count nothing, or not in a way that is known here, so a single failure may alert".to_owned(),
        ),
    }
    let labels = |query: &str| parse_promql(query).ok().map(|expr| result_labels(&expr));
    if [&sli.good, &sli.total].iter().all(|query| labels(query) == Some(ResultLabels::OfSeries)) {
        notes.push("the queries are not aggregated: every combination of labels is an SLI of its own, with alerts of its own".to_owned());
    }
    notes
}

/// `3 requests in 3d`.
fn often(window: Micros, least: f64) -> String {
    format!("{least} requests in {}", format_duration(window))
}

fn latency(compiled: &Compiled<'_>, sli: &Sli) -> Vec<String> {
    let Some(latency) = &sli.latency else { return Vec::new() };
    let mut notes = Vec::new();
    if compiled.latency.is_none() {
        notes.push(format!(
            "latency not assessed: the {} objective has no bound, as nothing is known of some component's latency",
            latency.name
        ));
    }
    // Ends of the histogram that the control plane exposes.
    let own = compiled.intent.objectives.latency.as_ref().is_some_and(|objective| objective.promql.is_none());
    if own && latency.threshold > 134.0 {
        notes.push(format!(
            "latency: the histogram's last bucket ends at 134 s, below the threshold of {} s",
            latency.threshold
        ));
    }
    match within(compiled, sli, "5m") {
        None => notes.push(format!(
            "openslo/slo.yaml: without the latency objective: its query is no quantile of a histogram, so nobody can ask for the share within {} s",
            latency.threshold
        )),
        Some(Within { of_bucket: true, .. }) => notes.push(format!(
            "openslo/slo.yaml: latency is asked of the bucket that ends at {} s; the histogram has to have it",
            latency.threshold
        )),
        Some(_) => {}
    }
    notes
}

/// A query that selects others than the canary by the very label that tells the canary.
fn other_than(query: &str, canary: &CanaryLabel) -> Option<String> {
    let expr = parse_promql(query).ok()?;
    let matchers = selectors(&expr).into_iter().flat_map(|series| series.matchers.matchers.iter());
    let mut others = matchers.filter(|one| one.name == canary.label && !one.is_match(&canary.value));
    let other = write_label(others.next()?);
    let query = query.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(format!(
        "canary: never measured, every analysis is inconclusive: the query `{query}` selects {other}, which no canary is"
    ))
}

fn canary(compiled: &Compiled<'_>, sli: &Sli) -> Vec<String> {
    let mut notes = Vec::new();
    let label = super::argo::canary_label(compiled);
    notes.push(format!(
        "canary: measured by series with {}=\"{}\"; without such series every analysis is inconclusive (the Rollout snippet labels the pods, the scrape configuration has to keep the label)",
        label.label, label.value
    ));
    let latency = sli.latency.iter().map(|latency| &latency.query);
    for query in [&sli.good, &sli.total].into_iter().chain(latency) {
        notes.extend(other_than(query, &label));
    }
    let counts = sli.events("5m").is_ok_and(|events| events.counts());
    if sli.unit().filter(|_| counts).is_none() {
        notes.push("canary: its requests are not counted, so that few of them may decide".to_owned());
    } else {
        notes.push(format!("canary: no verdict below {} requests in 5m", requests_min(compiled, sli)));
    }
    let delivery = compiled.intent.governance.delivery.as_ref();
    let limit = delivery.and_then(|delivery| delivery.gate.p99_max);
    let is_p99 = sli.latency.as_ref().is_some_and(|latency| latency.name == "p99");
    notes.extend(counted_at_the_edge(compiled, sli, &label.label).map(|said| format!("canary: {said}")));
    notes.extend(canary_latency(compiled, sli, limit.filter(|_| !is_p99).map(|limit| limit.0 as f64 / 1e6)));
    if sli.latency.is_none() && limit.is_none() {
        notes.push(
            "canary: its latency is not measured: no latency objective, no maxP99LatencySeconds".to_owned(),
        );
    }
    notes
}

/// Ends of the buckets of Envoy's histograms around the latencies of requests, in milliseconds.
const ENVOY_BUCKETS: [f64; 15] = [
    0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0, 30_000.0,
    60_000.0,
];

/// What the histogram cannot tell by which the canary's quantiles are judged.
fn canary_latency(compiled: &Compiled<'_>, sli: &Sli, p99_max: Option<f64>) -> Vec<String> {
    let own = sli.latency.as_ref().and_then(|latency| {
        Some((
            Quantile::of(&latency.query, "5m", 300.0)?.of_sidecars(),
            latency.name.clone(),
            latency.threshold,
        ))
    });
    let p99 = p99_max.and_then(|limit| Some((p99(compiled, sli)?.0, "p99".to_owned(), limit)));
    let mut notes = Vec::new();
    for (quantile, name, limit) in own.into_iter().chain(p99) {
        if quantile.query().contains("journey_latency_seconds") {
            notes.push(format!(
                "canary: its {name} is never measured: journey_latency_seconds is added up over all pods and has no label of theirs; ask for journey_latency_milliseconds_bucket of the sidecars"
            ));
        }
        let limit = limit * 1000.0;
        let within = ENVOY_BUCKETS.windows(2).find_map(|two| match two {
            [from, to] if *from < limit && limit < *to => Some((*from, *to)),
            _ => None,
        });
        if let (true, Some((from, to))) = (quantile.is_of_sidecars(), within) {
            notes.push(format!(
                "canary: its {name} is taken of the sidecars' histogram (journey_latency_milliseconds), where it is interpolated between {from} ms and {to} ms: give Envoy a bucket that ends at the limit of {limit} ms (Istio: annotation sidecar.istio.io/statsHistogramBuckets)"
            ));
        }
    }
    notes
}
