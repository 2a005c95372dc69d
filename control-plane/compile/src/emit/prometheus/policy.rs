//! When to alert: pairs of windows and burn rates.
//!
//! A burn rate of 1 spends exactly the error budget over the period. The standard pairs spend a share of the budget within a window:
//! `factor = share * period / window`; for 30 days that gives 14.4, 6, 3 and 1 (SRE Workbook, table 5-8). For periods below a week the
//! windows shrink in proportion, or they would outlast the period.
//!
//! The first two page and the others are tickets, as in the workbook, Sloth, Pyrra and the Kubernetes mixin: what people know. So at a target of
//! 0.995 an error rate of 2 % (burn rate 4) is a ticket within 18 hours and no page; the whole budget would last for a week. Who wants to be called for
//! it says so in `governance.alerts.burnRatePolicy`, which is obeyed to the letter.

use emac_core::units::Micros;

use emac_journey::intent::{Alerts, BurnRate};

use super::round;

/// How urgent it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Somebody is called.
    Page,
    /// Somebody looks in working hours.
    Ticket,
}

/// Two windows that must both burn faster than a factor: the long one for significance, the short one so that the alert ends soon after the
/// cause does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// How urgent.
    pub severity: Severity,
    /// Burn rate.
    pub factor: f64,
    /// Long window.
    pub long: Micros,
    /// Short window.
    pub short: Micros,
}

/// All pairs, the most urgent first.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pairs: Vec<Pair>,
}

const MINUTE: u64 = 60_000_000;
const DAY: u64 = 24 * 60 * MINUTE;

/// (severity, share of the budget, long, short) for 30 days.
const STANDARD: [(Severity, f64, u64, u64); 4] = [
    (Severity::Page, 0.02, 60 * MINUTE, 5 * MINUTE),
    (Severity::Page, 0.05, 360 * MINUTE, 30 * MINUTE),
    (Severity::Ticket, 0.10, DAY, 120 * MINUTE),
    (Severity::Ticket, 0.10, 3 * DAY, 360 * MINUTE),
];

impl Policy {
    /// What the intent states; the standard pairs where it states none at all.
    pub fn of(alerts: &Alerts, period: Micros) -> Self {
        if alerts.page.is_empty() && alerts.ticket.is_empty() {
            return Self::standard(period);
        }
        let stated = |severity: Severity, rates: &[BurnRate]| -> Vec<Pair> {
            let pair =
                |rate: &BurnRate| Pair { severity, factor: rate.rate, long: rate.long, short: rate.short };
            rates.iter().map(pair).collect()
        };
        let mut pairs = stated(Severity::Page, &alerts.page);
        pairs.extend(stated(Severity::Ticket, &alerts.ticket));
        Self { pairs }
    }

    /// The standard pairs for a period.
    pub fn standard(period: Micros) -> Self {
        let scale = if period.0 < 7 * DAY { period.0 as f64 / (30 * DAY) as f64 } else { 1.0 };
        // Whole minutes, at least one: Prometheus scrapes no faster than that in most places.
        let scaled =
            |window: u64| Micros(((window as f64 * scale / MINUTE as f64).round().max(1.0) as u64) * MINUTE);
        let pair = |&(severity, share, long, short): &(Severity, f64, u64, u64)| {
            let (long, short) = (scaled(long), scaled(short));
            Pair { severity, factor: round(share * period.0 as f64 / long.0 as f64), long, short }
        };
        let pairs = STANDARD.iter().map(pair).filter(|pair| pair.short < pair.long).collect();
        Self { pairs }
    }

    /// The pairs of one severity.
    pub fn pairs(&self, severity: Severity) -> impl Iterator<Item = &Pair> {
        self.pairs.iter().filter(move |pair| pair.severity == severity)
    }

    /// Every pair.
    pub fn all(&self) -> &[Pair] {
        &self.pairs
    }

    /// Every window, shortest first; five minutes are always among them.
    pub fn windows(&self) -> Vec<Micros> {
        let mut windows: Vec<_> = self.pairs.iter().flat_map(|pair| [pair.short, pair.long]).collect();
        windows.push(Micros(5 * MINUTE));
        windows.sort();
        windows.dedup();
        windows
    }
}

impl Pair {
    /// Requests in the long window below which the alert keeps quiet: with fewer, one failure could fire it alone.
    ///
    /// One failure among `n` requests burns `1 / (n * budget)`; that it stays below the factor asks for `n > 1 / (factor * budget)`. Twice that,
    /// so that two failures are needed at least.
    pub fn requests_min(&self, budget: f64) -> u64 {
        (2.0 / (self.factor * budget)).ceil() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(days: u64) -> Vec<f64> {
        Policy::standard(Micros(days * DAY)).pairs.iter().map(|pair| pair.factor).collect()
    }

    #[test]
    fn factors_follow_the_period() {
        assert_eq!(factors(30), [14.4, 6.0, 3.0, 1.0]);
        assert_eq!(factors(28), [13.44, 5.6, 2.8, 0.933333333333]);
        assert_eq!(factors(7), [3.36, 1.4, 0.7, 0.233333333333]);
    }

    #[test]
    fn windows_of_short_periods_shrink() {
        let day = Policy::standard(Micros(DAY));
        let minutes: Vec<_> =
            day.pairs.iter().map(|pair| (pair.long.0 / MINUTE, pair.short.0 / MINUTE)).collect();
        assert_eq!(minutes, [(2, 1), (12, 1), (48, 4), (144, 12)]);
        assert!(day.pairs.iter().all(|pair| pair.long < Micros(DAY)));
    }

    #[test]
    fn one_failure_never_fires() {
        for pair in Policy::standard(Micros(30 * DAY)).all() {
            let requests = pair.requests_min(0.005) as f64;
            assert!(1.0 / requests / 0.005 < pair.factor);
        }
    }
}
