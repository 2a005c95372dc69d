//! Recording rules and multiwindow, multi-burn-rate alerts (Google SRE Workbook, chapter 5), and unit tests for them.
//!
//! One policy in three dialects, which differ in names and labels only: `emac` (the paper's), `sloth` and `pyrra` (those generators'), so that
//! dashboards made for them work. Against the usual weaknesses: long windows weigh requests, not minutes (a quiet night is no excuse for
//! a bad day); an alert needs enough requests that a single failure cannot fire it; no traffic fires nothing, missing metrics fire.

mod bounds;
mod emac;
mod policy;
pub mod promql;
mod pyrra;
mod rule;
mod sloth;
mod unit_tests;

use emac_core::units::{Micros, Ratio};

use emac_journey::intent::Intent;

pub use bounds::bounds_group;
pub use policy::{Pair, Policy, Severity};
pub use rule::{Group, Pairs, Rule, rule_file};
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
    /// Name of the journey.
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
}

/// The latency objective as Prometheus sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencySli {
    /// `p99`.
    pub name: String,
    /// PromQL in seconds, with `{{ .window }}`.
    pub query: String,
    /// Seconds.
    pub threshold: f64,
}

impl Sli {
    /// The SLI of an intent; where it states no query, the metrics that the control plane exposes.
    pub fn of(intent: &Intent) -> Self {
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
}

fn default_quantile(journey: &str, quantile: Ratio) -> String {
    let buckets = format!("journey_latency_seconds_bucket{{journey=\"{journey}\"}}[{{{{ .window }}}}]");
    format!("histogram_quantile({}, sum(rate({buckets})) by (le))", quantile.get())
}

/// Twelve decimals: far below any objective, far above the noise.
pub(crate) fn round(value: f64) -> f64 {
    (value * 1e12).round() / 1e12
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
