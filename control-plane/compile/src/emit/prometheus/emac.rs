//! The paper's names: `journey:<journey>:...`.

use emac_core::units::Micros;

use super::rule::{About, Pairs, pairs};
use super::{Events, Group, LatencySli, Pair, Rule, SHORTEST, Severity, Sli};
use emac_document::format_duration;

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
    let good = sli.at(SHORTEST, Events::good);
    let mut rules = vec![Rule::record(names.of("good_requests:rate5m"), good, vec![])];
    for window in sli.windows() {
        let at = |of: fn(&Events) -> String| sli.at(&format_duration(window), of);
        rules.push(Rule::record(names.requests(window), at(Events::total), vec![]));
        // The period's is made of the recorded five-minute rates.
        if window != sli.period {
            rules.push(Rule::record(names.errors(window), at(Events::errors), vec![]));
        }
    }
    if let Some(latency) = &sli.latency {
        let record = names.of(&format!("latency_seconds:{}_5m", latency.metric()));
        rules.push(Rule::record(record, latency.at(SHORTEST).query(), vec![]));
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
    let latency = sli.latency.as_ref().map(|latency| slow(sli, latency));
    [page, ticket, latency, too_short(sli), Some(absent(sli))].into_iter().flatten().collect()
}

fn burning(sli: &Sli, severity: Severity, name: &str, label: &str, how: &str) -> Option<Rule> {
    let policy: Vec<_> = sli.policy.pairs(severity).copied().collect();
    let exprs: Vec<_> = policy.iter().map(|pair| burning_pair(sli, pair)).collect();
    let description = format!(
        "More requests fail than the objective of {} allows, over a long and a short window.",
        sli.target.get()
    );
    let annotations = pairs([
        ("summary", format!("Journey {} is burning its error budget {how}", sli.journey)),
        ("description", description),
    ]);
    let rule = || Rule::Alert {
        alert: sli.naming.alert(|| format!("{}{name}", camel(&sli.journey))),
        expr: exprs.join("or\n"),
        hold: String::new(),
        labels: sli.naming.labels(severity, labels(sli, label)),
        annotations: sli.naming.annotations(severity, annotations),
        about: About::Burning(policy.clone()),
    };
    (!policy.is_empty() && !sli.naming.is_disabled(severity)).then(rule)
}

fn burning_pair(sli: &Sli, pair: &Pair) -> String {
    let names = Names(sli);
    let burns = |window| format!("({} {})", names.errors(window), sli.exceeds(pair, window));
    let failures = sli.failures(&names.errors(pair.long), &names.requests(pair.long), pair.long);
    let all = [burns(pair.long), burns(pair.short)]
        .into_iter()
        .chain(failures.map(|failures| format!("({failures})")));
    format!("(\n  {}\n)\n", all.collect::<Vec<_>>().join("\n  and\n  "))
}

fn slow(sli: &Sli, latency: &LatencySli) -> Rule {
    let series = Names(sli).of(&format!("latency_seconds:{}_5m", latency.metric()));
    let (name, threshold) = (&latency.name, latency.threshold);
    Rule::Alert {
        alert: format!("{}Latency{}AboveObjective", camel(&sli.journey), camel(name).replace('.', "")),
        expr: format!("{series} > {threshold}"),
        hold: "15m".to_owned(),
        labels: sli.naming.labels(Severity::Ticket, labels(sli, "ticket")),
        annotations: sli.naming.common_annotations(pairs([(
            "summary",
            format!("Journey {}: {name} latency is above {threshold} s", sli.journey),
        )])),
        about: About::Latency,
    }
}

/// A quantile beyond the last bucket is told as that bucket's end: below the threshold it would look like health.
fn too_short(sli: &Sli) -> Option<Rule> {
    let latency = sli.latency.as_ref()?;
    let beyond = latency.at(SHORTEST).beyond_last_bucket(&latency.threshold.to_string())?;
    let name = &latency.name;
    Some(Rule::Alert {
        alert: format!("{}Latency{}NotMeasurable", camel(&sli.journey), camel(name).replace('.', "")),
        expr: beyond,
        hold: "15m".to_owned(),
        labels: sli.naming.labels(Severity::Ticket, labels(sli, "ticket")),
        annotations: sli.naming.common_annotations(pairs([(
            "summary",
            format!(
                "Journey {}: {name} latency lies beyond the histogram's last bucket, which ends below the objective's threshold",
                sli.journey
            ),
        )])),
        about: About::Latency,
    })
}

/// Silence is not health: without the metric no other alert can fire.
fn absent(sli: &Sli) -> Rule {
    let names = Names(sli);
    let (requests, errors) = (names.of("requests:rate5m"), names.of("slo_errors_per_request:ratio_rate5m"));
    Rule::Alert {
        alert: format!("{}JourneyMetricsAbsent", camel(&sli.journey)),
        expr: format!("absent({})", sli.presence(&requests, &errors)),
        hold: "10m".to_owned(),
        labels: sli.naming.labels(Severity::Ticket, labels(sli, "ticket")),
        annotations: sli.naming.common_annotations(pairs([(
            "summary",
            format!("Journey {}: its requests are not measured", sli.journey),
        )])),
        about: About::Absence,
    }
}

fn labels(sli: &Sli, severity: &str) -> Pairs {
    pairs([("severity", severity.to_owned()), ("slo", sli.naming.slo(&sli.journey))])
}

/// `check-out` as `CheckOut`.
pub(super) fn camel(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
    };
    name.split('-').filter_map(word).collect()
}
