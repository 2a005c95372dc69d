//! Unit tests for `promtool test rules`: what must fire and what must not, on made-up series that the SLI's own queries select.
//!
//! What is expected is reckoned from the policy in force and from the made-up traffic, not from the rules. An error rate of 2 %, which everybody would call
//! an incident, is always among the cases, and its name says what the policy makes of it: at a target of 0.998 it burns the budget at 10 and pages, at 0.995 at
//! 4, which under the standard policy (pages above 6) is a ticket. Where a threshold is near nothing is asked: rates are estimates.

mod series;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::rule::{About, Pairs, object};
use super::{Dialect, Rule, Severity, Sli, groups};
use series::Series;
use traffic::{Part, Traffic};

/// Requests a minute of the made-up traffic, at least.
const REQUESTS_MIN: f64 = 6_000.0;

/// What happens in a test.
struct Case {
    name: String,
    traffic: Traffic,
    /// Minutes at which alerts are looked at.
    asked: Vec<u64>,
}

/// A test file for the rules in `rules`; `None` when series cannot be made up for the SLI's queries, or Prometheus fills something into alerts.
pub fn unit_tests(sli: &Sli, dialect: Dialect, rules: &str) -> Option<Value> {
    let series = Series::of(sli).filter(|_| !sli.naming.has_templates())?;
    let cases: Vec<_> = cases(sli).iter().map(|case| test(sli, dialect, &series, case)).collect();
    Some(json!({"rule_files": [rules], "evaluation_interval": "1m", "tests": cases}))
}

fn cases(sli: &Sli) -> Vec<Case> {
    let case = |name: &str, minutes: u64, asked: &[u64], parts: Vec<Part>| Case {
        name: name.to_owned(),
        traffic: Traffic { step_seconds: 60, minutes, parts },
        asked: asked.to_vec(),
    };
    let steady = |good: u64, failed: u64| vec![Part::whole(good, failed)];
    let least = sli.policy.all().iter().map(|pair| pair.factor).fold(1.0, f64::min);
    let within = sli.budget() * least * 0.5;
    // Enough that shares are not distorted by failures being whole.
    let requests = (100.0 / within).max(REQUESTS_MIN).ceil();
    let failing = |share: f64| {
        let failed = (requests * share).ceil() as u64;
        steady(requests as u64 - failed, failed)
    };
    let requests_whole = requests as u64;
    let reckoned =
        |name: &str, share: f64| case(&format!("{name}; {}", said(sli, share)), 60, &[60], failing(share));
    let mut cases = vec![
        reckoned("2 % of requests fail", 0.02),
        case("failures well within the error budget", 60, &[60], failing(within)),
        case("all is well", 60, &[60], steady(requests_whole, 0)),
        case("there is no traffic", 60, &[60], steady(0, 0)),
        case("one of very few requests fails", 60, &[60], vec![Part { once: true, ..Part::whole(1, 0) }]),
        case("the metric is absent", 60, &[60], Vec::new()),
        case(
            "all requests fail and no success was ever seen",
            60,
            &[20, 60],
            vec![Part::never_good(requests_whole)],
        ),
        case(
            "a bad deploy: series of the old pods end, those of the new ones only fail",
            420,
            &[59, 100, 240, 420],
            vec![
                Part { instance: "old", until: 60, ..Part::whole(requests_whole, 0) },
                Part { instance: "new", from: 60, ..Part::never_good(requests_whole) },
            ],
        ),
        case(
            "one zone of two fails",
            60,
            &[60],
            vec![
                Part { instance: "a", ..Part::whole(requests_whole, 0) },
                Part { instance: "b", ..Part::never_good(requests_whole) },
            ],
        ),
        Case {
            name: "very few requests, all failing".to_owned(),
            traffic: Traffic { step_seconds: 90, minutes: 120, parts: vec![Part::never_good(1)] },
            asked: vec![120],
        },
    ];
    for (severity, name) in SEVERITIES {
        let threshold = threshold(sli, severity) * sli.budget();
        // Where the threshold is more than all requests only an outage fires.
        if threshold < 1.0 {
            let share = (threshold * 1.2).min(f64::midpoint(threshold, 1.0));
            cases.push(reckoned(&format!("failures just above the {name} threshold"), share));
        }
    }
    cases
}

const SEVERITIES: [(Severity, &str); 2] = [(Severity::Page, "page"), (Severity::Ticket, "ticket")];

/// The least burn rate of a severity; infinite when it has none.
fn threshold(sli: &Sli, severity: Severity) -> f64 {
    sli.policy.pairs(severity).map(|pair| pair.factor).fold(f64::INFINITY, f64::min)
}

/// What the policy makes of a share of failures, for people.
fn said(sli: &Sli, share: f64) -> String {
    let burn = share / sli.budget();
    let says = SEVERITIES.map(|(severity, name)| match threshold(sli, severity) {
        factor if burn > factor => format!("a {name} (above {factor})"),
        factor if factor.is_finite() => format!("no {name} (not above {factor})"),
        _ => format!("no {name} (the policy has none)"),
    });
    format!("burn rate {}: {}", (burn * 100.0).round() / 100.0, says.join(", "))
}

fn test(sli: &Sli, dialect: Dialect, series: &Series, case: &Case) -> Value {
    let groups = groups(sli, dialect);
    let rules: Vec<_> = groups.iter().flat_map(|group| &group.rules).collect();
    let mut asked = Vec::new();
    for minute in &case.asked {
        for name in alert_names(&rules) {
            let named =
                rules.iter().filter(|rule| matches!(rule, Rule::Alert { alert, .. } if *alert == name));
            let expected: Option<Vec<_>> =
                named.map(|rule| fired(sli, series, rule, case, *minute)).collect();
            if let Some(expected) = expected {
                let expected: Vec<_> = expected.into_iter().flatten().collect();
                asked.push(
                    json!({"eval_time": format!("{minute}m"), "alertname": name, "exp_alerts": expected}),
                );
            }
        }
    }
    json!({
        "name": case.name,
        "interval": format!("{}s", case.traffic.step_seconds),
        "input_series": series.values(&case.traffic),
        "alert_rule_test": asked,
    })
}

/// Alerts that are asked for, in order. Latency is measured by other series.
fn alert_names(rules: &[&Rule]) -> BTreeSet<String> {
    let name = |rule: &&Rule| match rule {
        Rule::Alert { alert, about: About::Burning(_) | About::Absence, .. } => Some(alert.clone()),
        _ => None,
    };
    rules.iter().filter_map(name).collect()
}

/// What an alert must tell at a minute; `None` where it is too near to say.
fn fired(sli: &Sli, series: &Series, rule: &Rule, case: &Case, minute: u64) -> Option<Vec<Value>> {
    let Rule::Alert { labels, annotations, about, .. } = rule else { return Some(Vec::new()) };
    let told = |of: &BTreeMap<String, String>| {
        let mut all: Pairs = of.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        all.retain(|(name, _)| labels.iter().all(|(own, _)| own != name));
        all.extend(labels.iter().cloned());
        // A label without a value is none.
        all.retain(|(_, value)| !value.is_empty());
        json!({"exp_labels": object(&all), "exp_annotations": object(annotations)})
    };
    match about {
        About::Latency => Some(Vec::new()),
        // `absent()` says nothing of itself but what its argument asks for.
        About::Absence if case.traffic.parts.is_empty() => Some(vec![told(&BTreeMap::new())]),
        About::Absence => Some(Vec::new()),
        About::Burning(pairs) => {
            let results = series.results(&case.traffic);
            let mut fired = Vec::new();
            for (labels, parts) in results {
                let each = pairs.iter().map(|pair| case.traffic.fires(&parts, minute, pair, sli.budget()));
                // One is enough; where none fires for certain, all must be certain not to.
                let each: Vec<_> = each.collect();
                if each.contains(&Some(true)) {
                    fired.push(told(&labels));
                } else if each.contains(&None) {
                    return None;
                }
            }
            Some(fired)
        }
    }
}
