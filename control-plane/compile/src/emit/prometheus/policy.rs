//! When to alert: pairs of windows and burn rates.
//!
//! A burn rate of 1 spends exactly the error budget over the period. The standard pairs spend a share of the budget within a window:
//! `factor = share * period / window`; for 30 days that gives 14.4, 6, 3 and 1 (SRE Workbook, table 5-8). For periods below a week the
//! windows shrink in proportion, or they would outlast the period, but not below [`WINDOW_MIN`], over which a rate can still be taken.
//!
//! A pair whose factor asks for more failures than there are requests never fires. It pages on an outage instead ([`Pair::is_reachable`]).
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

/// Shortest window of the standard pairs: five scrapes a minute apart. A rate needs two, and one may be late.
const WINDOW_MIN: u64 = 5 * MINUTE;

/// Shortest window over which a rate can be taken where metrics are scraped once a minute, which is Prometheus's default.
pub const RATE_WINDOW_MIN: Micros = Micros(2 * MINUTE);

/// Failures in the long window below which an alert keeps quiet. One must never fire it: a rate over samples that have just begun is up to twice
/// what was counted, so that one failure may look like two, and is told from three by half a failure's tolerance.
pub const FAILURES_MIN: f64 = 2.5;

/// Where a pair cannot fire: share of failures in its short window, and in its long one, that are an outage. A quarter of an hour without an
/// answer, for the standard pairs.
pub(super) const OUTAGE: (f64, f64) = (0.99, 0.25);

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
        Self::without_repetition(pairs)
    }

    /// Of pairs with the same windows the lowest factor says it all.
    fn without_repetition(pairs: Vec<Pair>) -> Self {
        let mut kept: Vec<Pair> = Vec::new();
        for pair in pairs {
            let same = |other: &&mut Pair| {
                (other.severity, other.long, other.short) == (pair.severity, pair.long, pair.short)
            };
            match kept.iter_mut().find(same) {
                Some(other) => other.factor = other.factor.min(pair.factor),
                None => kept.push(pair),
            }
        }
        Self { pairs: kept }
    }

    /// The standard pairs for a period.
    pub fn standard(period: Micros) -> Self {
        let scale = if period.0 < 7 * DAY { period.0 as f64 / (30 * DAY) as f64 } else { 1.0 };
        let scaled = |window: u64| ((window as f64 * scale / MINUTE as f64).round() as u64) * MINUTE;
        let pair = |&(severity, share, long, short): &(Severity, f64, u64, u64)| {
            let factor = round(share * period.0 as f64 / (long as f64 * scale));
            let short = scaled(short).max(WINDOW_MIN);
            Pair { severity, factor, long: Micros(scaled(long).max(2 * short)), short: Micros(short) }
        };
        let pairs = STANDARD.iter().map(pair).filter(|pair| pair.long < period).collect();
        Self::without_repetition(pairs)
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
    /// The share of failures above which it fires.
    pub fn threshold(&self, budget: f64) -> f64 {
        self.factor * budget
    }

    /// Whether any share of failures can fire it.
    pub fn is_reachable(&self, budget: f64) -> bool {
        self.threshold(budget) < 1.0
    }

    /// Whether shares of failures in the long and the short window, and failures in the long one, fire it.
    pub fn fires(&self, budget: f64, long: f64, short: f64, failures: f64) -> bool {
        let burns = match self.is_reachable(budget) {
            true => long > self.threshold(budget) && short > self.threshold(budget),
            false => short > OUTAGE.0 && long > OUTAGE.1,
        };
        burns && failures >= FAILURES_MIN
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
        assert_eq!(minutes, [(10, 5), (12, 5), (48, 5), (144, 12)]);
        assert_eq!(factors(1), [14.4, 6.0, 3.0, 1.0]);
        let hour = Policy::standard(Micros(DAY / 24));
        assert_eq!(
            hour.pairs.iter().map(|pair| pair.factor).collect::<Vec<_>>(),
            [6.0, 1.0],
            "of equal windows one is left"
        );
        for policy in [day, hour] {
            assert!(policy.windows().iter().all(|window| *window >= RATE_WINDOW_MIN));
        }
    }

    #[test]
    fn one_failure_never_fires_and_an_outage_always_does() {
        for (days, budget) in [(30, 0.001), (30, 0.005), (90, 0.1), (7, 0.3), (365, 0.5), (1, 0.01)] {
            let policy = Policy::standard(Micros(days * DAY));
            for pair in policy.all() {
                assert!(!pair.fires(budget, 1.0, 1.0, 2.0), "one failure may look like two");
                assert!(pair.fires(budget, 1.0, 1.0, 3.0), "{days} {budget} {pair:?}");
            }
        }
        let quarterly = Policy::standard(Micros(90 * DAY));
        let reachable: Vec<_> = quarterly.all().iter().map(|pair| pair.is_reachable(0.1)).collect();
        assert_eq!(reachable, [false, false, true, true], "4.32 and 1.8 times all requests");
    }
}
