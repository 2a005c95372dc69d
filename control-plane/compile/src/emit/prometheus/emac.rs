//! The paper's names: `journey:<journey>:...`.

use emac_core::units::Micros;

use super::promql::with_window;
use super::rule::Pairs;
use super::{Group, Pair, Rule, Severity, Sli};
use emac_document::format_duration;

const SHORTEST: &str = "5m";

/// Names of an SLI's series.
struct Names<'a>(&'a Sli);

impl Names<'_> {
    fn of(&self, rest: &str) -> String {
        format!("journey:{}:{rest}", self.0.metric)
    }

    fn errors(&self, window: Micros) -> String {
        self.of(&format!("slo_errors_per_request:ratio_rate{}", format_duration(window)))
    }

    fn requests(&self, window: Micros) -> String {
        self.of(&format!("requests:rate{}", format_duration(window)))
    }
}

/// SLI, budget and alert groups.
pub(super) fn groups(sli: &Sli) -> Vec<Group> {
    let group = |name: &str, rules| Group { name: format!("emac.{}.{name}", sli.journey), rules };
    vec![group("sli", sli_rules(sli)), group("slo", slo_rules(sli)), group("slo-alerts", alerts(sli))]
}

fn sli_rules(sli: &Sli) -> Vec<Rule> {
    let names = Names(sli);
    let mut rules =
        vec![Rule::record(names.of("good_requests:rate5m"), with_window(&sli.good, SHORTEST), vec![])];
    for window in sli.windows() {
        let at = |query: &str| with_window(query, &format_duration(window));
        rules.push(Rule::record(names.requests(window), at(&sli.total), vec![]));
        let expr = format!("1 - (({}) / ({}))", at(&sli.good), at(&sli.total));
        rules.push(Rule::record(names.errors(window), expr, vec![]));
    }
    if let Some(latency) = &sli.latency {
        let record = names.of(&format!("latency_seconds:{}_5m", latency.name));
        rules.push(Rule::record(record, with_window(&latency.query, SHORTEST), vec![]));
    }
    rules
}

/// Over the whole period from the recorded five-minute rates, which weighs each minute by its requests.
fn slo_rules(sli: &Sli) -> Vec<Rule> {
    let names = Names(sli);
    let period = format_duration(sli.period);
    let sum = |series: &str| format!("sum_over_time({}[{period}])", names.of(series));
    let ratio = format!("1 - ({} / {})", sum("good_requests:rate5m"), sum("requests:rate5m"));
    let errors = names.errors(sli.period);
    vec![
        Rule::record(names.of("slo:objective"), format!("vector({})", sli.target.get()), vec![]),
        Rule::record(names.of("slo:error_budget"), format!("vector({})", sli.budget()), vec![]),
        Rule::record(errors.clone(), ratio, vec![]),
        Rule::record(
            names.of("slo:error_budget_remaining"),
            format!("1 - ({errors} / {})", sli.budget()),
            vec![],
        ),
    ]
}

fn alerts(sli: &Sli) -> Vec<Rule> {
    let page = burning(sli, Severity::Page, "ErrorBudgetBurnTooFast", "page", "too fast (page)");
    let ticket = burning(sli, Severity::Ticket, "ErrorBudgetBurnSustained", "ticket", "steadily (ticket)");
    let latency = sli.latency.as_ref().map(|_| slow(sli));
    [page, ticket, latency, Some(absent(sli))].into_iter().flatten().collect()
}

fn burning(sli: &Sli, severity: Severity, name: &str, label: &str, how: &str) -> Option<Rule> {
    let pairs: Vec<_> = sli.policy.pairs(severity).map(|pair| burning_pair(sli, pair)).collect();
    (!pairs.is_empty()).then(|| Rule::Alert {
        alert: format!("{}{name}", camel(&sli.journey)),
        expr: pairs.join("or\n"),
        hold: String::new(),
        labels: labels(sli, label),
        annotations: vec![
            ("summary", format!("Journey {} is burning its error budget {how}", sli.journey)),
            (
                "description",
                format!(
                    "More requests fail than the objective of {} allows, over a long and a short window.",
                    sli.target.get()
                ),
            ),
        ],
    })
}

fn burning_pair(sli: &Sli, pair: &Pair) -> String {
    let names = Names(sli);
    let burns = |window| format!("{} > ({} * {})", names.errors(window), pair.factor, sli.budget());
    let seconds = pair.long.0 / 1_000_000;
    let enough = format!("{} * {seconds} >= {}", names.requests(pair.long), pair.requests_min(sli.budget()));
    format!("(\n  ({})\n  and\n  ({})\n  and\n  ({enough})\n)\n", burns(pair.long), burns(pair.short))
}

fn slow(sli: &Sli) -> Rule {
    let (name, threshold) =
        sli.latency.as_ref().map_or(("", 0.0), |latency| (latency.name.as_str(), latency.threshold));
    let series = Names(sli).of(&format!("latency_seconds:{name}_5m"));
    Rule::Alert {
        alert: format!("{}Latency{}AboveObjective", camel(&sli.journey), camel(name).replace('.', "")),
        expr: format!("{series} > {threshold}"),
        hold: "15m".to_owned(),
        labels: labels(sli, "ticket"),
        annotations: vec![(
            "summary",
            format!("Journey {}: {name} latency is above {threshold} s", sli.journey),
        )],
    }
}

/// Silence is not health: without the metric no other alert can fire.
fn absent(sli: &Sli) -> Rule {
    Rule::Alert {
        alert: format!("{}JourneyMetricsAbsent", camel(&sli.journey)),
        expr: format!("absent({})", Names(sli).of("requests:rate5m")),
        hold: "10m".to_owned(),
        labels: labels(sli, "ticket"),
        annotations: vec![("summary", format!("Journey {}: its requests are not measured", sli.journey))],
    }
}

fn labels(sli: &Sli, severity: &str) -> Pairs {
    vec![("severity", severity.to_owned()), ("slo", sli.journey.clone())]
}

/// `check-out` as `CheckOut`.
pub(super) fn camel(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
    };
    name.split('-').filter_map(word).collect()
}
