//! Series to outages.

use super::Slot;

/// A slot is elevated when chance makes as many failures with at most this probability, by Chernoff's bound: of the at most 4 096 slots of a service
/// fewer than one is so by chance.
const ELEVATED: f64 = 1e-4;
/// Fewer failures are never an outage: a single one happens anywhere.
const FAILURES_MIN: u64 = 2;
/// Slots within an outage that may look well: a rate of few requests flickers.
const GAP_MAX: u64 = 3;
/// Rounds in which the usual rate is found without the slots that are elevated; it ends sooner when a round changes nothing.
const ROUNDS: usize = 5;

/// When a component was out.
#[derive(Clone, Debug, Default)]
pub(super) struct Outages {
    /// First and last slot, in the order of time, apart from each other by more than the gap.
    pub(super) spans: Vec<(u64, u64)>,
    /// Elevated slots, ascending.
    pub(super) slots: Vec<u64>,
    /// Failures of each elevated slot.
    pub(super) failures: Vec<u64>,
    /// Failures in all.
    pub(super) total: u64,
    /// Slots with requests, ascending.
    pub(super) seen: Vec<u64>,
}

impl Outages {
    /// O(slots).
    pub(super) fn of(slots: &[Slot]) -> Self {
        let seen: Vec<&Slot> = slots.iter().filter(|slot| slot.requests > 0).collect();
        let elevated = elevated(&seen);
        let mut spans: Vec<(u64, u64)> = Vec::new();
        for slot in &elevated {
            match spans.last_mut() {
                Some((_, last)) if slot.slot.saturating_sub(*last) <= GAP_MAX + 1 => *last = slot.slot,
                _ => spans.push((slot.slot, slot.slot)),
            }
        }
        Self {
            spans,
            failures: elevated.iter().map(|slot| slot.failures).collect(),
            slots: elevated.iter().map(|slot| slot.slot).collect(),
            total: seen.iter().map(|slot| slot.failures).sum(),
            seen: seen.iter().map(|slot| slot.slot).collect(),
        }
    }

    /// Whether a slot lies in an outage, gaps included. O(log outages).
    pub(super) fn holds(&self, slot: u64) -> bool {
        let after = self.spans.partition_point(|(first, _)| *first <= slot);
        self.spans[..after].last().is_some_and(|(_, last)| slot <= *last)
    }
}

/// Slots whose failures are too many for the rate of the others.
fn elevated<'a>(slots: &[&'a Slot]) -> Vec<&'a Slot> {
    let mut out = Vec::new();
    for _ in 0..ROUNDS {
        let rate = usual_rate(slots, &out);
        let now: Vec<&Slot> = slots.iter().copied().filter(|slot| is_elevated(slot, rate)).collect();
        if now == out {
            break;
        }
        out = now;
    }
    out
}

/// Failures per request outside of elevated slots, with half a failure for what has not been seen.
fn usual_rate(slots: &[&Slot], without: &[&Slot]) -> f64 {
    let sum = |slots: &[&Slot], count: fn(&Slot) -> u64| slots.iter().map(|slot| count(slot)).sum::<u64>();
    let failures = sum(slots, |slot| slot.failures) - sum(without, |slot| slot.failures);
    let requests = sum(slots, |slot| slot.requests) - sum(without, |slot| slot.requests);
    (failures as f64 + 0.5) / (requests as f64 + 1.0)
}

/// `P(at least f of n fail) <= exp(-n KL(f/n || rate))` (Chernoff 1952).
fn is_elevated(slot: &Slot, rate: f64) -> bool {
    let (n, failures) = (slot.requests as f64, slot.failures.min(slot.requests));
    let share = failures as f64 / n;
    if failures < FAILURES_MIN || share <= rate {
        return false;
    }
    let rest = if share < 1.0 { (1.0 - share) * ((1.0 - share) / (1.0 - rate)).ln() } else { 0.0 };
    n * (share * (share / rate).ln() + rest) >= -ELEVATED.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(failures: impl IntoIterator<Item = u64>) -> Vec<Slot> {
        let slots = failures.into_iter().enumerate();
        slots.map(|(slot, failures)| Slot { slot: slot as u64, requests: 100, failures }).collect()
    }

    #[test]
    fn an_outage_is_one_whatever_flickers_within_it() {
        let mut failures = vec![0_u64; 200];
        failures.iter_mut().step_by(10).for_each(|one| *one = 1);
        failures[50..60].copy_from_slice(&[30, 40, 0, 35, 0, 0, 0, 20, 30, 50]);
        failures[100] = 60;
        let outages = Outages::of(&series(failures));
        assert_eq!(outages.spans, [(50, 59), (100, 100)]);
        assert!(outages.holds(52) && outages.holds(100) && !outages.holds(60) && !outages.holds(49));
    }

    #[test]
    fn load_without_a_higher_rate_is_no_outage() {
        let slot = |slot: u64| {
            let requests = if slot.is_multiple_of(20) { 10_000 } else { 100 };
            Slot { slot, requests, failures: requests / 100 }
        };
        assert_eq!(Outages::of(&(0..200).map(slot).collect::<Vec<_>>()).spans, []);
        assert_eq!(Outages::of(&[]).spans, []);
        let idle = Slot { slot: 1, requests: 0, failures: 7 };
        assert_eq!(Outages::of(&[idle]).spans, []);
    }
}
