//! Recording rules and multiwindow, multi-burn-rate alerts (Google SRE Workbook, chapter 5), and unit tests for them.
//!
//! One policy in three dialects, which differ in names and labels only: `emac` (the paper's), `sloth` and `pyrra` (those generators'), so that
//! dashboards made for them work. Against the usual weaknesses: long windows weigh requests, not minutes (a quiet night is no excuse for
//! a bad day); an alert needs a few failures, so that one cannot fire it; no success at all is an outage (`events`); no traffic fires nothing, missing metrics
//! fire.

mod bounds;
mod emac;
mod events;
mod latency;
mod naming;
mod policy;
pub mod promql;
mod pyrra;
mod rule;
mod sloth;
mod unit_tests;

use emac_core::units::{Micros, Ratio};
use emac_document::{InvalidPromql, Unit, format_duration};

use emac_journey::intent::Intent;

use crate::compile::Compiled;

pub use bounds::bounds_group;
pub use events::Events;
pub use latency::{Quantile, Within};
pub use naming::Naming;
pub use policy::{FAILURES_MIN, Pair, Policy, RATE_WINDOW_MIN, Severity};
pub use rule::{About, Group, Pairs, Rule, Unloadable, loadable, rule_file};
pub use unit_tests::unit_tests;

/// Whose names rules bear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// The paper's: `journey:checkout:slo_errors_per_request:ratio_rate5m`.
    #[default]
    Emac,
    /// Sloth's: `slo:sli_error:ratio_rate5m{sloth_id="..."}`.
    Sloth,
    /// Pyrra's: `journey_requests:burnrate5m{slo="..."}`.
    Pyrra,
}

/// What rules are made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Sli {
    /// Name of the journey; that of a preview says so, and shares no series with the accepted one's.
    pub journey: String,
    /// The name as part of a metric name.
    pub metric: String,
    /// Share of good requests promised.
    pub target: Ratio,
    /// Over this period.
    pub period: Micros,
    /// PromQL of good and of all requests, with `{{ .window }}`.
    pub good: String,
    /// See `good`.
    pub total: String,
    /// PromQL of the latency quantile, its name and its threshold.
    pub latency: Option<LatencySli>,
    /// When to alert.
    pub policy: Policy,
    /// How alerts are named and labelled.
    pub naming: Naming,
}

/// The latency objective as Prometheus sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencySli {
    /// `p99`.
    pub name: String,
    /// The share below it.
    pub quantile: Ratio,
    /// PromQL in seconds, with `{{ .window }}`.
    pub query: String,
    /// Seconds.
    pub threshold: f64,
}

impl Sli {
    /// The SLI of a compiled journey.
    pub fn of(compiled: &Compiled<'_>) -> Self {
        let sli = Self::declared(compiled.intent);
        if !compiled.preview {
            return sli;
        }
        let journey = format!("{}-preview", sli.journey);
        Self { metric: journey.replace('-', "_"), journey, ..sli }
    }

    /// The SLI of an intent; where it states no query, the metrics that the control plane exposes.
    pub fn declared(intent: &Intent) -> Self {
        let journey = intent.name.to_string();
        let availability = &intent.objectives.availability;
        let default =
            |labels: &str| format!("sum(rate(journey_requests_total{{{labels}}}[{{{{ .window }}}}]))");
        let all = format!("journey=\"{journey}\"");
        let (good, total) = match &availability.sli {
            Some(sli) => (sli.good.trim().to_owned(), sli.total.trim().to_owned()),
            // Of a stream nobody can say whether it ended well.
            None => {
                (default(&format!("{all},result=\"success\"")), default(&format!("{all},result!=\"stream\"")))
            }
        };
        let latency = intent.objectives.latency.as_ref().map(|latency| LatencySli {
            name: latency.metric.name.clone(),
            quantile: latency.metric.quantile,
            query: latency
                .promql
                .clone()
                .unwrap_or_else(|| default_quantile(&journey, latency.metric.quantile)),
            threshold: latency.threshold.0 as f64 / 1e6,
        });
        let alerts = &intent.governance.alerts;
        let period = alerts.budget_window.unwrap_or(availability.window);
        Self {
            metric: journey.replace('-', "_"),
            journey,
            target: availability.target,
            period,
            good,
            total,
            latency,
            policy: Policy::of(alerts, period),
            naming: Naming::of(alerts),
        }
    }

    /// Share of requests that may fail, without the noise of a subtraction: 0.005, not 0.0050000000000000044.
    pub fn budget(&self) -> f64 {
        round(1.0 - self.target.get())
    }

    /// Every window of the policy, shortest first.
    pub fn windows(&self) -> Vec<Micros> {
        self.policy.windows()
    }

    /// Good and total events of a window, written as Prometheus takes it.
    ///
    /// # Errors
    /// When a query is no PromQL.
    pub fn events(&self, window: &str) -> Result<Events, InvalidPromql> {
        Events::of(&self.good, &self.total, window)
    }

    /// An expression over the events of a window; nothing, which no rule may be, where a query is no PromQL.
    fn at(&self, window: &str, of: impl Fn(&Events) -> String) -> String {
        self.events(window).map(|events| of(&events)).unwrap_or_default()
    }

    /// What the total's numbers stand for.
    pub fn unit(&self) -> Option<Unit> {
        self.events(SHORTEST).ok()?.unit()
    }

    /// `requests`, recorded over a window, as a number of failures: with the share of failures before it, and what makes events of it behind.
    fn failures(&self, errors: &str, requests: &str, window: Micros) -> Option<String> {
        let by = self.unit()?.events(window.0 as f64 / 1e6);
        let by = if by == 1.0 { String::new() } else { format!(" * {}", round(by)) };
        Some(format!("{errors} * {requests}{by} >= {FAILURES_MIN}"))
    }

    /// Series that are there as long as anything is measured.
    fn presence<'a>(&self, requests: &'a str, errors: &'a str) -> &'a str {
        let counts = self.events(SHORTEST).is_ok_and(|events| events.counts());
        if counts { requests } else { errors }
    }

    /// When the share of failures of a window is above a limit.
    fn exceeds(&self, pair: &Pair, window: Micros) -> String {
        if pair.is_reachable(self.budget()) {
            return format!("> ({} * {})", pair.factor, self.budget());
        }
        let (short, long) = policy::OUTAGE;
        format!("> ({})", if window == pair.long { long } else { short })
    }
}

/// Window of what is measured now.
const SHORTEST: &str = "5m";

/// A quantile of the histogram that the control plane exposes.
pub(crate) fn default_quantile(journey: &str, quantile: Ratio) -> String {
    let buckets = format!("journey_latency_seconds_bucket{{journey=\"{journey}\"}}[{{{{ .window }}}}]");
    format!("histogram_quantile({}, sum(rate({buckets})) by (le))", quantile.get())
}

/// Twelve decimals: far below any objective, far above the noise.
pub(crate) fn round(value: f64) -> f64 {
    (value * 1e12).round() / 1e12
}

/// What a dashboard asks for: series that a dialect's rules record.
#[derive(Clone, Debug)]
pub struct Panels {
    /// Share of the error budget that is left.
    pub left: String,
    /// Share of failures in five minutes.
    pub errors: String,
    /// The objective.
    pub objective: String,
    /// Requests.
    pub requests: String,
    /// Burn rates over the long windows, with what they are called.
    pub burning: Vec<(String, String)>,
}

impl Panels {
    /// In the names of a dialect.
    pub fn of(sli: &Sli, dialect: Dialect) -> Self {
        let journey = |rest: &str| format!("journey:{}:{rest}", sli.metric);
        let errors = |window: Micros| match dialect {
            Dialect::Emac => {
                journey(&format!("slo_errors_per_request:ratio_rate{}", format_duration(window)))
            }
            Dialect::Sloth => {
                sloth::series(sli, &format!("slo:sli_error:ratio_rate{}", sloth::window_name(window)))
            }
            Dialect::Pyrra => {
                pyrra::series(sli, &format!("{}:burnrate{}", pyrra::metric(sli), format_duration(window)))
            }
        };
        let [left, objective, requests] = match dialect {
            Dialect::Emac => {
                [journey("slo:error_budget_remaining"), journey("slo:objective"), journey("requests:rate5m")]
            }
            Dialect::Sloth => {
                ["slo:period_error_budget_remaining:ratio", "slo:objective:ratio", "slo:sli_total:rate5m"]
                    .map(|name| sloth::series(sli, name))
            }
            Dialect::Pyrra => [
                format!("1 - (1 - {}) / {}", pyrra::series(sli, "pyrra_availability"), sli.budget()),
                pyrra::series(sli, "pyrra_objective"),
                pyrra::series(sli, "pyrra_requests:rate5m"),
            ],
        };
        let burning = |pair: &Pair| {
            let window = format_duration(pair.long);
            let legend = match pair.is_reachable(sli.budget()) {
                true => format!("{window} (alerts above {})", pair.factor),
                false => format!("{window} (alerts on an outage)"),
            };
            (format!("{} / {}", errors(pair.long), sli.budget()), legend)
        };
        let burning = sli.policy.all().iter().map(burning).collect();
        Self { left, errors: errors(Micros(300_000_000)), objective, requests, burning }
    }
}

impl LatencySli {
    /// Its quantile as part of a metric's name, which has no dots: `p99_9`.
    pub fn metric(&self) -> String {
        self.name.replace('.', "_")
    }

    /// What is measured now.
    pub fn measured(&self) -> String {
        self.at(SHORTEST).query()
    }
}

/// The rules of a journey in one dialect.
pub fn groups(sli: &Sli, dialect: Dialect) -> Vec<Group> {
    match dialect {
        Dialect::Emac => emac::groups(sli),
        Dialect::Sloth => sloth::groups(sli),
        Dialect::Pyrra => pyrra::groups(sli),
    }
}

#[cfg(test)]
mod tests;
