//! Unit tests for `promtool test rules`: what must fire and what must not, on made-up series that the SLI's own queries select.
//!
//! What is expected is reckoned from the policy in force. An error rate of 2 %, which everybody would call an incident, is always among the
//! cases, and its name says what the policy makes of it: at a target of 0.998 it burns the budget at 10 and pages, at 0.995 at 4, which under the
//! standard policy (pages above 6) is a ticket.

use std::collections::BTreeMap;

use promql_parser::label::{MatchOp, Matcher};
use serde_json::{Value, json};

use super::promql::{Selector, example, selector};
use super::rule::object;
use super::{Dialect, Rule, Severity, Sli, groups};

/// Requests a minute of the made-up traffic, at least.
const REQUESTS_MIN: f64 = 6_000.0;
/// Minutes of traffic before the question.
const MINUTES: u64 = 60;

/// What happens in a test.
struct Case {
    name: String,
    traffic: Traffic,
}

/// What the made-up series say.
#[derive(Clone, Copy)]
enum Traffic {
    /// There are no series.
    Absent,
    /// Requests and failures a minute.
    Steady { requests: u64, failures: u64 },
    /// One request a minute; one of them fails.
    OneFailure,
}

/// A test file for the rules in `rules`; `None` when series cannot be made up for the SLI's queries.
pub fn unit_tests(sli: &Sli, dialect: Dialect, rules: &str) -> Option<Value> {
    let series = Series::of(sli)?;
    let cases: Vec<_> = cases(sli).iter().map(|case| test(sli, dialect, &series, case)).collect();
    Some(json!({"rule_files": [rules], "evaluation_interval": "1m", "tests": cases}))
}

fn cases(sli: &Sli) -> Vec<Case> {
    let case = |name: &str, traffic| Case { name: name.to_owned(), traffic };
    let steady = |requests, failures| Traffic::Steady { requests, failures };
    let least = sli.policy.all().iter().map(|pair| pair.factor).fold(1.0, f64::min);
    let within = sli.budget() * least * 0.5;
    // Enough that shares are not distorted by failures being whole.
    let requests = (100.0 / within).max(REQUESTS_MIN).ceil();
    let failing = |share: f64| steady(requests as u64, (requests * share).ceil() as u64);
    let reckoned = |name: &str, share: f64| case(&format!("{name}; {}", said(sli, share)), failing(share));
    let mut cases = vec![
        reckoned("2 % of requests fail", 0.02),
        case("failures well within the error budget", failing(within)),
        case("all is well", steady(requests as u64, 0)),
        case("there is no traffic", steady(0, 0)),
        case("one of very few requests fails", Traffic::OneFailure),
        case("the metric is absent", Traffic::Absent),
    ];
    for (severity, name) in SEVERITIES {
        let threshold = threshold(sli, severity) * sli.budget();
        // Where the threshold is more than all requests nothing can fire.
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
    let alerts = groups.iter().flat_map(|group| &group.rules);
    let mut asked: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for rule in alerts {
        let Rule::Alert { alert, labels, annotations, .. } = rule else { continue };
        let expected = asked.entry(alert).or_default();
        if fires(sli, rule, case) {
            expected.push(json!({"exp_labels": object(labels), "exp_annotations": object(annotations)}));
        }
    }
    let asked = asked.into_iter().map(|(alert, expected)| {
        json!({"eval_time": format!("{MINUTES}m"), "alertname": alert, "exp_alerts": expected})
    });
    let input = series.values(case.traffic);
    json!({"name": case.name, "interval": "1m", "input_series": input, "alert_rule_test": asked.collect::<Vec<_>>()})
}

/// Whether an alert must fire, reckoned from the policy and not from its expression.
fn fires(sli: &Sli, rule: &Rule, case: &Case) -> bool {
    let Rule::Alert { alert, labels, .. } = rule else { return false };
    let share = match case.traffic {
        Traffic::Absent => return alert.ends_with("Absent"),
        Traffic::Steady { requests, failures } if requests > 0 => failures as f64 / requests as f64,
        Traffic::Steady { .. } | Traffic::OneFailure => 0.0,
    };
    let label = |name: &str| labels.iter().find(|(label, _)| *label == name).map(|(_, value)| value.as_str());
    let pair_fires = |pair: &super::Pair| {
        let severity = label("severity").or_else(|| label("sloth_severity"));
        let of_severity = match pair.severity {
            Severity::Page => matches!(severity, Some("page" | "critical")),
            Severity::Ticket => matches!(severity, Some("ticket" | "warning")),
        };
        let long = label("long").is_none_or(|long| long == emac_document::format_duration(pair.long));
        of_severity && long && share > pair.factor * sli.budget()
    };
    alert.contains("ErrorBudgetBurn") && sli.policy.all().iter().any(pair_fires)
}

/// Series that the queries select.
struct Series {
    good: String,
    other: Other,
}

/// What stands beside the good series.
enum Other {
    /// Failures, of the same metric.
    Failures(String),
    /// All requests, of another metric.
    Requests(String),
}

impl Series {
    fn of(sli: &Sli) -> Option<Self> {
        let (good, total) = (selector(&sli.good)?, selector(&sli.total)?);
        let labels = labels(&[&good, &total])?;
        if good.metric != total.metric {
            return Some(Self {
                good: name(&good.metric, &labels),
                other: Other::Requests(name(&total.metric, &labels)),
            });
        }
        let failing = good.matchers.iter().find_map(|matcher| {
            let mut labels = labels.clone();
            labels.insert(
                matcher.name.clone(),
                ["error", "500", "other"].iter().find(|value| !matcher.is_match(value))?.to_string(),
            );
            all_select(total.matchers.iter(), &labels).then_some(labels)
        })?;
        Some(Self {
            good: name(&good.metric, &labels),
            other: Other::Failures(name(&total.metric, &failing)),
        })
    }

    fn values(&self, traffic: Traffic) -> Vec<Value> {
        let rising = |per_minute: u64| format!("0+{per_minute}x{MINUTES}");
        let half = MINUTES / 2;
        let (good, failed, all) = match traffic {
            Traffic::Absent => return Vec::new(),
            Traffic::Steady { requests, failures } => {
                (rising(requests - failures), rising(failures), rising(requests))
            }
            Traffic::OneFailure => {
                (rising(1), format!("0x{half} 1x{half}"), format!("0+1x{half} {}+1x{half}", half + 2))
            }
        };
        let beside = match &self.other {
            Other::Failures(series) => json!({"series": series, "values": failed}),
            Other::Requests(series) => json!({"series": series, "values": all}),
        };
        vec![json!({"series": self.good, "values": good}), beside]
    }
}

/// Labels that all matchers select.
fn labels(selectors: &[&Selector]) -> Option<BTreeMap<String, String>> {
    let matchers = || selectors.iter().flat_map(|selector| &selector.matchers);
    let mut labels = BTreeMap::new();
    for matcher in matchers() {
        let fits = labels.get(&matcher.name).is_some_and(|value: &String| matcher.is_match(value));
        if !fits {
            labels.insert(matcher.name.clone(), example(matcher)?);
        }
    }
    all_select(matchers(), &labels).then_some(labels)
}

/// A label that is not there is empty.
fn all_select<'a>(
    mut matchers: impl Iterator<Item = &'a Matcher>,
    labels: &BTreeMap<String, String>,
) -> bool {
    matchers.all(|matcher| matcher.is_match(labels.get(&matcher.name).map_or("", String::as_str)))
}

fn name(metric: &str, labels: &BTreeMap<String, String>) -> String {
    let equal = |(label, value): (&String, &String)| Matcher::new(MatchOp::Equal, label, value).to_string();
    format!("{metric}{{{}}}", labels.iter().map(equal).collect::<Vec<_>>().join(","))
}
