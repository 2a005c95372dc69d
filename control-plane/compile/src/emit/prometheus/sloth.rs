//! Sloth's names (github.com/slok/sloth, v0.16): `slo:sli_error:ratio_rate5m{sloth_id, sloth_service, sloth_slo, sloth_window}`.
//!
//! Two things are better than there, under the same names: the period's ratio weighs requests, and alerts need enough requests.

use emac_core::units::Micros;

use super::promql::with_window;
use super::rule::Pairs;
use super::{Group, Pair, Rule, Severity, Sli};
use emac_document::format_duration;

/// Windows as Prometheus itself writes them: 28 days are `4w`.
fn window_name(window: Micros) -> String {
    const WEEK: u64 = 7 * 86_400_000_000;
    match window.0 {
        micros if micros > 0 && micros.is_multiple_of(WEEK) => format!("{}w", micros / WEEK),
        _ => format_duration(window),
    }
}

/// Name of the one SLO of a journey.
const SLO: &str = "availability";

/// SLI, meta and alert groups.
pub(super) fn groups(sli: &Sli) -> Vec<Group> {
    let group = |kind: &str, rules| Group { name: format!("sloth-slo-{kind}-{}-{SLO}", sli.journey), rules };
    vec![
        group("sli-recordings", sli_rules(sli)),
        group("meta-recordings", meta_rules(sli)),
        group("alerts", alerts(sli)),
    ]
}

fn labels(sli: &Sli) -> Pairs {
    vec![
        ("sloth_id", format!("{}-{SLO}", sli.journey)),
        ("sloth_service", sli.journey.clone()),
        ("sloth_slo", SLO.to_owned()),
    ]
}

fn alert_labels(sli: &Sli, severity: &str) -> Pairs {
    let mut labels = labels(sli);
    labels.push(("sloth_severity", severity.to_owned()));
    labels
}

fn labels_of(sli: &Sli, window: String) -> Pairs {
    let mut labels = labels(sli);
    labels.push(("sloth_window", window));
    labels
}

/// `name{labels}`.
fn series(sli: &Sli, name: &str) -> String {
    let labels: Vec<_> =
        labels(sli).into_iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    format!("{name}{{{}}}", labels.join(", "))
}

fn sli_rules(sli: &Sli) -> Vec<Rule> {
    let mut rules = Vec::new();
    for window in sli.windows() {
        let window = window_name(window);
        let at = |query: &str| with_window(query, &window);
        let expr = format!("1 - (({}) / ({}))", at(&sli.good), at(&sli.total));
        rules.push(Rule::record(
            format!("slo:sli_error:ratio_rate{window}"),
            expr,
            labels_of(sli, window.clone()),
        ));
        rules.push(Rule::record(
            format!("slo:sli_total:rate{window}"),
            at(&sli.total),
            labels_of(sli, window),
        ));
    }
    rules.push(Rule::record(
        "slo:sli_good:rate5m",
        with_window(&sli.good, "5m"),
        labels_of(sli, "5m".to_owned()),
    ));
    let period = window_name(sli.period);
    let sum = |name: &str| format!("sum_over_time({}[{period}])", series(sli, name));
    let expr = format!("1 - ({} / {})", sum("slo:sli_good:rate5m"), sum("slo:sli_total:rate5m"));
    rules.push(Rule::record(format!("slo:sli_error:ratio_rate{period}"), expr, labels_of(sli, period)));
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
    info.push(("sloth_objective", format!("{}", super::round(sli.target.get() * 100.0))));
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
    let page = burning(sli, Severity::Page, "page", "is too fast");
    let ticket = burning(sli, Severity::Ticket, "ticket", "is over expected");
    let absent = Rule::Alert {
        alert: format!("{}JourneyMetricsAbsent", super::emac::camel(&sli.journey)),
        expr: format!("absent({})", series(sli, "slo:sli_total:rate5m")),
        hold: "10m".to_owned(),
        labels: alert_labels(sli, "ticket"),
        annotations: vec![("title", format!("(ticket) {} {SLO} SLO is not measured.", sli.journey))],
    };
    [page, ticket, Some(absent)].into_iter().flatten().collect()
}

fn burning(sli: &Sli, severity: Severity, label: &str, how: &str) -> Option<Rule> {
    let pairs: Vec<_> = sli.policy.pairs(severity).map(|pair| burning_pair(sli, pair)).collect();
    (!pairs.is_empty()).then(|| Rule::Alert {
        alert: format!("{}ErrorBudgetBurn", super::emac::camel(&sli.journey)),
        expr: pairs.join("or\n"),
        hold: String::new(),
        labels: alert_labels(sli, label),
        annotations: vec![
            ("summary", format!("{} {SLO} SLO error budget burn rate is over expected.", sli.journey)),
            ("title", format!("({label}) {} {SLO} SLO error budget burn rate {how}.", sli.journey)),
        ],
    })
}

fn burning_pair(sli: &Sli, pair: &Pair) -> String {
    let (long, short) = (window_name(pair.long), window_name(pair.short));
    let burns = |window: &str| {
        let series = series(sli, &format!("slo:sli_error:ratio_rate{window}"));
        format!("max({series} > ({} * {})) without (sloth_window)", pair.factor, sli.budget())
    };
    let seconds = pair.long.0 / 1_000_000;
    let total = series(sli, &format!("slo:sli_total:rate{long}"));
    let enough =
        format!("max({total} * {seconds} >= {}) without (sloth_window)", pair.requests_min(sli.budget()));
    format!("(\n  {}\n  and\n  {}\n  and\n  {enough}\n)\n", burns(&short), burns(&long))
}
