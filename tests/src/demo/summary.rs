//! What the demo found: one row per phase and mode, as JSON and as a table.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::phase::{Mode, Phase};
use super::{DEADLINE, FALLBACK_BUDGET, OBJECTIVE};
use crate::load::{Sample, Tally};

/// One phase in one mode. Shares are of all requests sent, 0 ..= 1; percentiles are over all requests, good or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Name of the phase.
    pub name: String,
    /// What the sidecars did.
    pub mode: Mode,
    /// Requests.
    pub sent: u64,
    /// Good answers within the deadline, a second of load.
    pub goodput_rps: f64,
    /// Share of good answers within the deadline.
    pub success_within_deadline: f64,
    /// Median time to the answer.
    pub p50_ms: f64,
    /// 99th percentile of the time to the answer.
    pub p99_ms: f64,
    /// Share of answers with a cached price.
    pub degraded_share: f64,
    /// Share of answers with the help of the alternate provider.
    pub alternate_share: f64,
    /// Retries of all Envoys, per request of a user.
    pub retries_per_request: f64,
}

/// `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// In the order they were played.
    pub phases: Vec<Row>,
    /// The journey's deadline.
    pub deadline_ms: u64,
    /// The share of journeys that must succeed within it.
    pub objective: f64,
    /// The largest share that may be degraded.
    pub fallback_budget: f64,
}

/// One thing the demo set out to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// In words, with its numbers.
    pub text: String,
    /// Whether the numbers show it.
    pub shown: bool,
}

/// Degraded answers allowed at once above the budget's share, as the example's intent says.
const FALLBACK_BURST: f64 = 10.0;

impl Row {
    /// Sums up a phase.
    pub fn of(phase: &Phase, mode: Mode, samples: &[Sample], load: Duration, retries: u64) -> Self {
        let tally = Tally::of(samples, DEADLINE);
        Self {
            name: phase.name.to_owned(),
            mode,
            sent: tally.sent,
            goodput_rps: round(tally.within_deadline as f64 / load.as_secs_f64(), 2),
            success_within_deadline: round(tally.success_within_deadline(), 5),
            p50_ms: round(tally.latency_ms(0.50), 2),
            p99_ms: round(tally.latency_ms(0.99), 2),
            degraded_share: round(tally.degraded_share(), 5),
            alternate_share: round(tally.alternate_share(), 5),
            retries_per_request: round(retries as f64 / (tally.sent.max(1)) as f64, 4),
        }
    }
}

impl Summary {
    /// The rows against the demo's objective.
    pub fn new(phases: Vec<Row>) -> Self {
        let deadline_ms = u64::try_from(DEADLINE.as_millis()).unwrap_or(u64::MAX);
        Self { phases, deadline_ms, objective: OBJECTIVE, fallback_budget: FALLBACK_BUDGET }
    }

    /// The row of a phase in a mode.
    pub fn row(&self, name: &str, mode: Mode) -> Option<&Row> {
        self.phases.iter().find(|r| r.name == name && r.mode == mode)
    }

    /// What the demo set out to show and whether it did, a line each.
    pub fn findings(&self) -> Vec<Finding> {
        let slow = ["paya-slow", "paya-down", "pricing-slow"].into_iter().filter_map(|n| self.holds(n));
        slow.chain(self.stops()).chain(self.same("healthy")).chain(self.same("recovered")).collect()
    }

    /// The objective is held where only enforcing can hold it.
    fn holds(&self, name: &str) -> Option<Finding> {
        let (observe, enforce) = self.both(name)?;
        let (before, after) = (observe.success_within_deadline, enforce.success_within_deadline);
        let text = format!(
            "{name}: {:.1} % in time when enforcing, {:.1} % when observing (objective {:.0} %)",
            after * 100.0,
            before * 100.0,
            self.objective * 100.0
        );
        Some(Finding { text, shown: after >= self.objective && after > before })
    }

    /// An outage stays visible: the fallback stops at its budget.
    fn stops(&self) -> Option<Finding> {
        let (_, enforce) = self.both("pricing-down")?;
        let allowed = self.fallback_budget + FALLBACK_BURST / enforce.sent.max(1) as f64;
        let share = enforce.degraded_share;
        let text = format!(
            "pricing-down: {:.1} % of checkouts got a cached price (budget {:.0} % and a burst of {FALLBACK_BURST:.0})",
            share * 100.0,
            self.fallback_budget * 100.0
        );
        Some(Finding { text, shown: share > 0.0 && share <= allowed })
    }

    /// Budgets cost nothing when nothing is wrong.
    fn same(&self, name: &str) -> Option<Finding> {
        let (observe, enforce) = self.both(name)?;
        let text = format!(
            "{name}: {:.2} % in time when enforcing, {:.2} % when observing",
            enforce.success_within_deadline * 100.0,
            observe.success_within_deadline * 100.0
        );
        let worse = observe.success_within_deadline - enforce.success_within_deadline;
        Some(Finding { text, shown: worse <= 0.005 })
    }

    fn both(&self, name: &str) -> Option<(&Row, &Row)> {
        Some((self.row(name, Mode::Observe)?, self.row(name, Mode::Enforce)?))
    }

    /// For a terminal of 100 columns.
    pub fn table(&self) -> String {
        let head = format!(
            "{:<13} {:<8} {:>6} {:>8} {:>9} {:>7} {:>8} {:>9} {:>10} {:>8}\n",
            "phase", "mode", "sent", "goodput", "in time", "p50", "p99", "degraded", "alternate", "retries"
        );
        let units = format!(
            "{:<13} {:<8} {:>6} {:>8} {:>9} {:>7} {:>8} {:>9} {:>10} {:>8}\n",
            "", "", "", "/s", "%", "ms", "ms", "%", "%", "/request"
        );
        self.phases.iter().fold(head + &units, |table, row| table + &row.line())
    }
}

impl Row {
    fn line(&self) -> String {
        format!(
            "{:<13} {:<8} {:>6} {:>8.1} {:>9.2} {:>7.0} {:>8.0} {:>9.2} {:>10.2} {:>8.3}\n",
            self.name,
            self.mode,
            self.sent,
            self.goodput_rps,
            self.success_within_deadline * 100.0,
            self.p50_ms,
            self.p99_ms,
            self.degraded_share * 100.0,
            self.alternate_share * 100.0,
            self.retries_per_request,
        )
    }
}

/// To so many decimals.
fn round(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::super::PHASES;
    use super::*;

    fn summary() -> Summary {
        let good = Sample {
            at: Duration::ZERO,
            latency: Duration::from_millis(100),
            status: 200,
            grpc_status: None,
            degraded: true,
            alternate: false,
        };
        let samples = [good, Sample { status: 502, ..good }];
        Summary::new(vec![Row::of(&PHASES[0], Mode::Observe, &samples, Duration::from_secs(1), 1)])
    }

    #[test]
    fn the_json_has_exactly_the_promised_fields() {
        let json = serde_json::to_value(summary()).unwrap();
        let keys = |v: &serde_json::Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&json), ["phases", "deadline_ms", "objective", "fallback_budget"]);
        assert_eq!(
            keys(&json["phases"][0]),
            [
                "name",
                "mode",
                "sent",
                "goodput_rps",
                "success_within_deadline",
                "p50_ms",
                "p99_ms",
                "degraded_share",
                "alternate_share",
                "retries_per_request"
            ]
        );
        assert_eq!(json["phases"][0]["mode"], "observe");
    }

    #[test]
    fn findings_follow_the_numbers() {
        let row = |name: &str, mode, success: f64, degraded| Row {
            name: name.to_owned(),
            mode,
            success_within_deadline: success,
            degraded_share: degraded,
            sent: 1_000,
            ..summary().phases[0].clone()
        };
        let shown = |success, degraded| {
            let observe = PHASES.iter().map(|p| row(p.name, Mode::Observe, 0.5, 0.0));
            let enforce = PHASES.iter().map(|p| row(p.name, Mode::Enforce, success, degraded));
            Summary::new(observe.chain(enforce).collect())
                .findings()
                .iter()
                .map(|f| f.shown)
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(0.995, 0.21), [true; 6]);
        assert_eq!(shown(0.985, 0.22), [false, false, false, false, true, true]);
        assert_eq!(shown(0.4, 0.0), [false; 6]);
    }

    #[test]
    fn shares_are_of_what_was_sent() {
        let row = &summary().phases[0];
        assert_eq!((row.sent, row.success_within_deadline, row.degraded_share), (2, 0.5, 0.5));
        assert_eq!((row.goodput_rps, row.retries_per_request), (1.0, 0.5));
        assert!(summary().table().lines().count() == 3);
    }
}
