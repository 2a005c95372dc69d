//! Pyrra's names (github.com/pyrra-dev/pyrra): `<metric>:burnrate5m{slo}`, `pyrra_*`, alert `ErrorBudgetBurn`.
//!
//! The period's requests and failures are taken from recorded five-minute rates, as Pyrra's own `increase` rules do with `increase`.

use promql_parser::label::{MatchOp, Matcher};

use super::promql::selector;
use super::rule::{About, Pairs, pairs};
use super::{Events, Group, Pair, Rule, SHORTEST, Severity, Sli};
use emac_document::{format_duration, write_label};

/// Burn rates with alerts, and the generic series.
pub(super) fn groups(sli: &Sli) -> Vec<Group> {
    let mut rules = burn_rates(sli);
    let alerting = sli.policy.all().iter().filter(|pair| !sli.naming.is_disabled(pair.severity));
    rules.extend(alerting.map(|pair| burning(sli, pair)));
    rules.push(absent(sli));
    vec![
        Group { name: sli.journey.clone(), rules },
        Group { name: format!("{}-generic", sli.journey), rules: generic(sli) },
    ]
}

/// Name of the total metric without its suffix, as every Prometheus takes it for a series.
pub(super) fn metric(sli: &Sli) -> String {
    let total =
        selector(&sli.total).map_or_else(|| format!("{}_requests", sli.metric), |selector| selector.metric);
    let plain = ["_total", "_count"].iter().find_map(|suffix| total.strip_suffix(suffix)).unwrap_or(&total);
    let letter = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | ':') { c } else { '_' };
    let name: String = plain.chars().map(letter).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

fn labels(sli: &Sli) -> Pairs {
    pairs([("slo", sli.naming.slo(&sli.journey))])
}

/// `name{slo="..."}`.
pub(super) fn series(sli: &Sli, name: &str) -> String {
    let slo = Matcher::new(MatchOp::Equal, "slo", &sli.naming.slo(&sli.journey));
    format!("{name}{{{}}}", write_label(&slo))
}

fn burn_rates(sli: &Sli) -> Vec<Rule> {
    let mut rules = Vec::new();
    for window in sli.windows() {
        let window = format_duration(window);
        let at = |of: fn(&Events) -> String| sli.at(&window, of);
        rules.push(Rule::record(
            format!("{}:burnrate{window}", metric(sli)),
            at(Events::errors),
            labels(sli),
        ));
        rules.push(Rule::record(format!("{}:rate{window}", metric(sli)), at(Events::total), labels(sli)));
    }
    rules
}

fn generic(sli: &Sli) -> Vec<Rule> {
    let period = format_duration(sli.period);
    let seconds = sli.period.0 / 1_000_000;
    let sum = |name: &str| format!("sum_over_time({}[{period}])", series(sli, name));
    let availability = format!("1 - ({} / {})", sum("pyrra_errors:rate5m"), sum("pyrra_requests:rate5m"));
    let record = |name: &str, expr: String| Rule::record(name, expr, labels(sli));
    vec![
        record("pyrra_objective", format!("vector({})", sli.target.get())),
        record("pyrra_window", format!("vector({seconds})")),
        record("pyrra_requests:rate5m", sli.at(SHORTEST, Events::total)),
        record("pyrra_errors:rate5m", sli.at(SHORTEST, Events::failed)),
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
    let errors = |window| series(sli, &format!("{}:burnrate{}", metric(sli), format_duration(window)));
    let burns = |window| format!("{} {}", errors(window), sli.exceeds(pair, window));
    let total = series(sli, &format!("{}:rate{}", metric(sli), format_duration(pair.long)));
    let failures = sli.failures(&errors(pair.long), &total, pair.long);
    let all: Vec<_> = [burns(pair.short), burns(pair.long)].into_iter().chain(failures).collect();
    let mut labels = labels(sli);
    labels.extend(pairs([
        ("long", format_duration(pair.long)),
        ("short", format_duration(pair.short)),
        ("severity", severity(pair).to_owned()),
    ]));
    let annotations = pairs([("summary", format!("Journey {} is burning its error budget", sli.journey))]);
    Rule::Alert {
        alert: sli.naming.alert(|| "ErrorBudgetBurn".to_owned()),
        expr: format!("{}\n", all.join("\nand\n")),
        hold: String::new(),
        labels: sli.naming.labels(pair.severity, labels),
        annotations: sli.naming.annotations(pair.severity, annotations),
        about: About::Burning(vec![*pair]),
    }
}

fn absent(sli: &Sli) -> Rule {
    let named = |what: &str| series(sli, &format!("{}:{what}5m", metric(sli)));
    let mut labels = labels(sli);
    labels.extend(pairs([("severity", "critical".to_owned())]));
    Rule::Alert {
        alert: "SLOMetricAbsent".to_owned(),
        expr: format!("absent({})", sli.presence(&named("rate"), &named("burnrate"))),
        hold: "10m".to_owned(),
        labels: sli.naming.labels(Severity::Page, labels),
        annotations: sli.naming.common_annotations(pairs([(
            "summary",
            format!("Journey {}: its requests are not measured", sli.journey),
        )])),
        about: About::Absence,
    }
}
