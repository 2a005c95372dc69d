//! Sloth's names (github.com/slok/sloth, v0.16): `slo:sli_error:ratio_rate5m{sloth_id, sloth_service, sloth_slo, sloth_window}`.
//!
//! Three things are better than there, under the same names: the period's ratio weighs requests, alerts need a few failures, and what was never good
//! counts as failed.

use emac_core::units::Micros;
use promql_parser::label::{MatchOp, Matcher};

use super::rule::{About, Pairs, pairs};
use super::{Events, Group, Pair, Rule, SHORTEST, Severity, Sli};
use emac_document::{format_duration, write_label};

/// Windows as Prometheus itself writes them: 28 days are `4w`.
pub(super) fn window_name(window: Micros) -> String {
    const WEEK: u64 = 7 * 86_400_000_000;
    match window.0 {
        micros if micros > 0 && micros.is_multiple_of(WEEK) => format!("{}w", micros / WEEK),
        _ => format_duration(window),
    }
}

/// Name of the one SLO of a journey.
fn slo(sli: &Sli) -> String {
    sli.naming.slo("availability")
}

/// SLI, meta and alert groups.
pub(super) fn groups(sli: &Sli) -> Vec<Group> {
    let group =
        |kind: &str, rules| Group { name: format!("sloth-slo-{kind}-{}-{}", sli.journey, slo(sli)), rules };
    vec![
        group("sli-recordings", sli_rules(sli)),
        group("meta-recordings", meta_rules(sli)),
        group("alerts", alerts(sli)),
    ]
}

fn labels(sli: &Sli) -> Pairs {
    pairs([
        ("sloth_id", format!("{}-{}", sli.journey, slo(sli))),
        ("sloth_service", sli.journey.clone()),
        ("sloth_slo", slo(sli)),
    ])
}

fn alert_labels(sli: &Sli, severity: &str) -> Pairs {
    let mut labels = labels(sli);
    labels.extend(pairs([("sloth_severity", severity.to_owned())]));
    labels
}

fn labels_of(sli: &Sli, window: String) -> Pairs {
    let mut labels = labels(sli);
    labels.extend(pairs([("sloth_window", window)]));
    labels
}

/// `name{labels}`.
pub(super) fn series(sli: &Sli, name: &str) -> String {
    let equal = |(label, value): (String, String)| write_label(&Matcher::new(MatchOp::Equal, &label, &value));
    let labels: Vec<_> = labels(sli).into_iter().map(equal).collect();
    format!("{name}{{{}}}", labels.join(", "))
}

fn sli_rules(sli: &Sli) -> Vec<Rule> {
    let mut rules = Vec::new();
    let record = |name: String, expr: String, window: &str| {
        Rule::record(name, expr, labels_of(sli, window.to_owned()))
    };
    for window in sli.windows() {
        let name = window_name(window);
        // The period's is made of the recorded five-minute rates.
        if window != sli.period {
            let errors = sli.at(&name, Events::errors);
            rules.push(record(format!("slo:sli_error:ratio_rate{name}"), errors, &name));
        }
        rules.push(record(format!("slo:sli_total:rate{name}"), sli.at(&name, Events::total), &name));
    }
    rules.push(record("slo:sli_good:rate5m".to_owned(), sli.at(SHORTEST, Events::good), SHORTEST));
    let period = window_name(sli.period);
    let sum = |name: &str| format!("sum_over_time({}[{period}])", series(sli, name));
    let expr = format!("1 - ({} / {})", sum("slo:sli_good:rate5m"), sum("slo:sli_total:rate5m"));
    rules.push(record(format!("slo:sli_error:ratio_rate{period}"), expr, &period));
    rules
}

fn meta_rules(sli: &Sli) -> Vec<Rule> {
    let per_budget = |name: &str| {
        let budget = series(sli, "slo:error_budget:ratio");
        format!("{}\n/ on(sloth_id, sloth_slo, sloth_service) group_left\n{budget}\n", series(sli, name))
    };
    let period = window_name(sli.period);
    let days = sli.period.0 as f64 / 86_400e6;
    let mut info = labels(sli);
    info.extend(pairs([("sloth_objective", super::round(sli.target.get() * 100.0).to_string())]));
    let record = |name: &str, expr: String| Rule::record(name, expr, labels(sli));
    vec![
        record("slo:objective:ratio", format!("vector({})", sli.target.get())),
        record("slo:error_budget:ratio", format!("vector({})", sli.budget())),
        record("slo:time_period:days", format!("vector({days})")),
        record("slo:current_burn_rate:ratio", per_budget("slo:sli_error:ratio_rate5m")),
        record("slo:period_burn_rate:ratio", per_budget(&format!("slo:sli_error:ratio_rate{period}"))),
        record(
            "slo:period_error_budget_remaining:ratio",
            format!("1 - {}", series(sli, "slo:period_burn_rate:ratio")),
        ),
        Rule::record("sloth_slo_info", "vector(1)", info),
    ]
}

fn alerts(sli: &Sli) -> Vec<Rule> {
    let page = burning(sli, Severity::Page, "page");
    let ticket = burning(sli, Severity::Ticket, "ticket");
    let (total, errors) = (series(sli, "slo:sli_total:rate5m"), series(sli, "slo:sli_error:ratio_rate5m"));
    let absent = Rule::Alert {
        alert: format!("{}JourneyMetricsAbsent", super::emac::camel(&sli.journey)),
        expr: format!("absent({})", sli.presence(&total, &errors)),
        hold: "10m".to_owned(),
        labels: sli.naming.labels(Severity::Ticket, alert_labels(sli, "ticket")),
        annotations: sli.naming.common_annotations(pairs([(
            "title",
            format!("(ticket) {} {} SLO is not measured.", sli.journey, slo(sli)),
        )])),
        about: About::Absence,
    };
    [page, ticket, Some(absent)].into_iter().flatten().collect()
}

fn burning(sli: &Sli, severity: Severity, label: &str) -> Option<Rule> {
    let policy: Vec<_> = sli.policy.pairs(severity).copied().collect();
    let exprs: Vec<_> = policy.iter().map(|pair| burning_pair(sli, pair)).collect();
    let (journey, slo) = (&sli.journey, slo(sli));
    let annotations = pairs([
        ("summary", format!("{journey} {slo} SLO error budget burn rate is over expected.")),
        ("title", format!("({label}) {journey} {slo} SLO error budget burn rate is too fast.")),
    ]);
    let rule = || Rule::Alert {
        alert: sli.naming.alert(|| format!("{}ErrorBudgetBurn", super::emac::camel(journey))),
        expr: exprs.join("or\n"),
        hold: String::new(),
        labels: sli.naming.labels(severity, alert_labels(sli, label)),
        annotations: sli.naming.annotations(severity, annotations),
        about: About::Burning(policy.clone()),
    };
    (!policy.is_empty() && !sli.naming.is_disabled(severity)).then(rule)
}

fn burning_pair(sli: &Sli, pair: &Pair) -> String {
    let errors = |window| series(sli, &format!("slo:sli_error:ratio_rate{}", window_name(window)));
    let whole = |expr: String| format!("max({expr}) without (sloth_window)");
    let burns = |window| whole(format!("{} {}", errors(window), sli.exceeds(pair, window)));
    let total = series(sli, &format!("slo:sli_total:rate{}", window_name(pair.long)));
    let failures = sli.failures(&errors(pair.long), &total, pair.long).map(whole);
    let all = [burns(pair.short), burns(pair.long)].into_iter().chain(failures);
    format!("(\n  {}\n)\n", all.collect::<Vec<_>>().join("\n  and\n  "))
}
