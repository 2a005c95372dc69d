//! The test of one pair: do outages meet more often than outages placed at random would?

use std::collections::{BTreeMap, BTreeSet};

use super::outage::Outages;
use super::{Options, SlotSeries};

/// Most strata of load, and fewest slots in each.
const STRATA_MAX: usize = 16;
const STRATUM_SLOTS_MIN: usize = 64;

/// Load of every slot, as the rank of the whole journey's load.
pub(super) struct Timeline {
    /// Slot to load: the lower median over components of requests relative to the component's own mean, so that retries against one
    /// component that is out do not look like load.
    load: BTreeMap<u64, f64>,
}

/// How the outages of two components meet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Meeting {
    /// Probability of as many meetings by chance, the larger of both directions.
    pub(super) p: f64,
    /// Outages that meet, the smaller of both directions.
    pub(super) met: u64,
    /// Expected by chance in that direction.
    pub(super) expected: f64,
    /// Share of the rarer component's outages that meet.
    pub(super) share: f64,
}

impl Meeting {
    /// Whether it is large enough to be a domain.
    pub(super) fn is_large(&self, options: &Options) -> bool {
        let lift = self.met as f64 / self.expected.max(f64::MIN_POSITIVE);
        self.met >= options.support_min && lift >= options.lift_min && self.share >= options.share_min
    }
}

impl Timeline {
    /// O(components · slots).
    pub(super) fn of(series: &SlotSeries) -> Self {
        let mut by_slot: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for slots in series.values() {
            let total: u64 = slots.iter().map(|slot| slot.requests).sum();
            let mean = total as f64 / slots.len().max(1) as f64;
            for slot in slots.iter().filter(|slot| slot.requests > 0) {
                by_slot.entry(slot.slot).or_default().push(slot.requests as f64 / mean);
            }
        }
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
        };
        Self { load: by_slot.into_iter().map(|(slot, values)| (slot, median(values))).collect() }
    }

    /// `None` when there are too few slots or outages for the test ever to find anything.
    pub(super) fn meeting(
        &self,
        a: &Outages,
        b: &Outages,
        hidden: &BTreeSet<u64>,
        options: &Options,
    ) -> Option<Meeting> {
        let world = SlotCircle::of(self, a, b, hidden);
        if world.slots.len() < options.slots_min {
            return None;
        }
        let (of_a, of_b) = (world.place(a), world.place(b));
        let rarer = of_a.len().min(of_b.len()) as u64;
        if rarer < options.support_min {
            return None;
        }
        let (ab, ba) = (world.test(&of_a, &of_b), world.test(&of_b, &of_a));
        let fewer = if ab.met <= ba.met { &ab } else { &ba };
        let share = fewer.met as f64 / rarer as f64;
        Some(Meeting { p: ab.p.max(ba.p), met: fewer.met, expected: fewer.expected, share: share.min(1.0) })
    }
}

/// Slots in which both are seen, as a circle.
struct SlotCircle {
    slots: Vec<u64>,
    /// Stratum of load of each.
    strata: Vec<usize>,
    /// Positions of each stratum.
    members: Vec<Vec<usize>>,
}

/// One direction.
struct Tested {
    p: f64,
    met: u64,
    expected: f64,
}

/// An outage as positions on the circle: start and length.
type Placed = (usize, usize);

impl SlotCircle {
    fn of(timeline: &Timeline, a: &Outages, b: &Outages, hidden: &BTreeSet<u64>) -> Self {
        let seen = |slot: &u64| b.seen.binary_search(slot).is_ok() && !hidden.contains(slot);
        let slots: Vec<u64> = a.seen.iter().copied().filter(seen).collect();
        let load = |slot: &u64| timeline.load.get(slot).copied().unwrap_or_default();
        let mut order: Vec<(f64, usize)> = slots.iter().map(load).zip(0..).collect();
        order.sort_by(|x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
        let count = (slots.len() / STRATUM_SLOTS_MIN).clamp(1, STRATA_MAX);
        let mut strata = vec![0; slots.len()];
        let mut members = vec![Vec::new(); count];
        for (rank, &(_, at)) in order.iter().enumerate() {
            let stratum = rank * count / slots.len();
            strata[at] = stratum;
            members[stratum].push(at);
        }
        Self { slots, strata, members }
    }

    /// Outages as far as they lie in this world.
    fn place(&self, outages: &Outages) -> Vec<Placed> {
        let place = |&(first, last): &(u64, u64)| {
            let start = self.slots.partition_point(|slot| *slot < first);
            let end = self.slots.partition_point(|slot| *slot <= last);
            (end > start).then_some((start, end - start))
        };
        outages.spans.iter().filter_map(place).collect()
    }

    /// How the outages `moved` meet `fixed`, against starts anywhere in the same stratum.
    fn test(&self, fixed: &[Placed], moved: &[Placed]) -> Tested {
        let covered = Covered::of(self.slots.len(), fixed);
        let mut known: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        let mut chances = Vec::with_capacity(moved.len());
        for &(start, length) in moved {
            let stratum = self.strata[start];
            let chance = *known.entry((stratum, length)).or_insert_with(|| {
                let starts = &self.members[stratum];
                let hits = starts.iter().filter(|&&start| covered.meets(start, length)).count();
                hits as f64 / starts.len() as f64
            });
            chances.push(chance);
        }
        let met = moved.iter().filter(|&&(start, length)| covered.meets(start, length)).count();
        Tested { p: at_least(met, &chances), met: met as u64, expected: chances.iter().sum() }
    }
}

/// How many slots of a circle are covered before each position, twice around.
struct Covered(Vec<u32>);

impl Covered {
    fn of(length: usize, placed: &[Placed]) -> Self {
        let mut mask = vec![false; length];
        for &(start, length) in placed {
            mask.iter_mut().skip(start).take(length).for_each(|slot| *slot = true);
        }
        let mut sum = 0;
        let twice = mask.iter().chain(&mask).map(|&covered| {
            sum += u32::from(covered);
            sum
        });
        Self(std::iter::once(0).chain(twice).collect())
    }

    /// Whether `length` slots from `start` meet anything.
    fn meets(&self, start: usize, length: usize) -> bool {
        let end = (start + length).min(self.0.len() - 1);
        self.0[end] > self.0[start]
    }
}

/// Tail of the Poisson binomial distribution: at least `k` of independent events. A sum of positive terms, so that small tails are exact. O(n k).
fn at_least(k: usize, events: &[f64]) -> f64 {
    let mut exactly = vec![0.0; k + 1];
    exactly[0] = 1.0;
    for &p in events {
        for j in (0..=k).rev() {
            let stays = if j == k { exactly[j] } else { exactly[j] * (1.0 - p) };
            let comes = if j == 0 { 0.0 } else { exactly[j - 1] * p };
            exactly[j] = stays + comes;
        }
    }
    exactly[k].min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_sum_over_all_outcomes() {
        let events = [0.1, 0.5, 0.25, 0.9];
        for k in 0..=5 {
            let outcome = |bits: u32| -> f64 {
                let each = events.iter().enumerate();
                each.map(|(i, p)| if bits >> i & 1 == 1 { *p } else { 1.0 - p }).product()
            };
            let slow: f64 = (0..16_u32).filter(|bits| bits.count_ones() as usize >= k).map(outcome).sum();
            assert!((at_least(k, &events) - slow).abs() < 1e-12, "{k}");
        }
    }

    #[test]
    fn windows_meet_around_the_circle() {
        let covered = Covered::of(10, &[(0, 2), (5, 1)]);
        assert!(covered.meets(9, 2) && covered.meets(1, 1) && covered.meets(3, 3));
        assert!(!covered.meets(2, 3) && !covered.meets(6, 4));
    }
}
