//! Pyrra's names (github.com/pyrra-dev/pyrra): `<metric>:burnrate5m{slo}`, `pyrra_*`, alert `ErrorBudgetBurn`.
//!
//! The period's requests and failures are taken from recorded five-minute rates, as Pyrra's own `increase` rules do with `increase`.

use super::promql::{selector, with_window};
use super::rule::Pairs;
use super::{Group, Pair, Rule, Severity, Sli};
use emac_document::format_duration;

/// Burn rates with alerts, and the generic series.
pub(super) fn groups(sli: &Sli) -> Vec<Group> {
    let mut rules = burn_rates(sli);
    rules.extend(sli.policy.all().iter().map(|pair| burning(sli, pair)));
    rules.push(absent(sli));
    vec![
        Group { name: sli.journey.clone(), rules },
        Group { name: format!("{}-generic", sli.journey), rules: generic(sli) },
    ]
}

/// Name of the total metric without its suffix.
fn metric(sli: &Sli) -> String {
    let total =
        selector(&sli.total).map_or_else(|| format!("{}_requests", sli.metric), |selector| selector.metric);
    let plain = total.strip_suffix("_total").or_else(|| total.strip_suffix("_count"));
    plain.unwrap_or(&total).to_owned()
}

fn labels(sli: &Sli) -> Pairs {
    vec![("slo", sli.journey.clone())]
}

fn series(sli: &Sli, name: &str) -> String {
    format!("{name}{{slo=\"{}\"}}", sli.journey)
}

fn burn_rates(sli: &Sli) -> Vec<Rule> {
    let mut rules = Vec::new();
    for window in sli.windows() {
        let window = format_duration(window);
        let at = |query: &str| with_window(query, &window);
        let expr = format!("1 - (({}) / ({}))", at(&sli.good), at(&sli.total));
        rules.push(Rule::record(format!("{}:burnrate{window}", metric(sli)), expr, labels(sli)));
        rules.push(Rule::record(format!("{}:rate{window}", metric(sli)), at(&sli.total), labels(sli)));
    }
    rules
}

fn generic(sli: &Sli) -> Vec<Rule> {
    let period = format_duration(sli.period);
    let seconds = sli.period.0 / 1_000_000;
    let sum = |name: &str| format!("sum_over_time({}[{period}])", series(sli, name));
    let availability = format!("1 - ({} / {})", sum("pyrra_errors:rate5m"), sum("pyrra_requests:rate5m"));
    let errors = format!("({}) - ({})", with_window(&sli.total, "5m"), with_window(&sli.good, "5m"));
    let record = |name: &str, expr: String| Rule::record(name, expr, labels(sli));
    vec![
        record("pyrra_objective", format!("vector({})", sli.target.get())),
        record("pyrra_window", format!("vector({seconds})")),
        record("pyrra_requests:rate5m", with_window(&sli.total, "5m")),
        record("pyrra_errors:rate5m", errors),
        record("pyrra_availability", availability),
    ]
}

fn severity(pair: &Pair) -> &'static str {
    match pair.severity {
        Severity::Page => "critical",
        Severity::Ticket => "warning",
    }
}

fn burning(sli: &Sli, pair: &Pair) -> Rule {
    let (long, short) = (format_duration(pair.long), format_duration(pair.short));
    let threshold = format!("({} * (1-{}))", pair.factor, sli.target.get());
    let burns =
        |window: &str| format!("{} > {threshold}", series(sli, &format!("{}:burnrate{window}", metric(sli))));
    let seconds = pair.long.0 / 1_000_000;
    let total = series(sli, &format!("{}:rate{long}", metric(sli)));
    let enough = format!("{total} * {seconds} >= {}", pair.requests_min(sli.budget()));
    Rule::Alert {
        alert: "ErrorBudgetBurn".to_owned(),
        expr: format!("{}\nand\n{}\nand\n{enough}\n", burns(&short), burns(&long)),
        hold: String::new(),
        labels: vec![
            ("slo", sli.journey.clone()),
            ("long", long),
            ("short", short),
            ("severity", severity(pair).to_owned()),
        ],
        annotations: vec![("summary", format!("Journey {} is burning its error budget", sli.journey))],
    }
}

fn absent(sli: &Sli) -> Rule {
    Rule::Alert {
        alert: "SLOMetricAbsent".to_owned(),
        expr: format!("absent({})", series(sli, &format!("{}:rate5m", metric(sli)))),
        hold: "10m".to_owned(),
        labels: vec![("slo", sli.journey.clone()), ("severity", "critical".to_owned())],
        annotations: vec![("summary", format!("Journey {}: its requests are not measured", sli.journey))],
    }
}
