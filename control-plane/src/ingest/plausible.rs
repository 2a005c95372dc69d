//! What a report may claim to have counted: a rate no sidecar has, over the time that the report says it covers and over all the reports of its
//! sidecar; and no more latencies than requests.
//!
//! Totals are 64 bits wide and stop at their end instead of wrapping. A report within these bounds adds at most 9 · 10^9 to a total, so that
//! it takes two thousand million of them to fill one; without, a single forged report would stand in it for ever. And since a report says
//! itself how long a time it covers, what a sidecar counted in all has to be earned by time as well ([`Rates`]).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use emac_core::evidence::{Delta, HopDelta, JourneyDelta, Report};
use emac_core::id::{HopKey, JourneyName};
use emac_core::sketch::Sketch;
use emac_core::units::Micros;

/// Calls a second of one hop: three times what an Envoy with every core of a large machine passes on.
const CALLS_PER_S_MAX: u64 = 100_000;
/// Added to the time a report covers: clocks are set, and reports begin before they are dated.
const SLACK_S: u64 = 60;
/// Longest time that a report is believed to cover: what gathered while the control plane was away.
const SPAN_S_MAX: u64 = 86_400;

/// Time over which one sidecar counts at most: what it may have gathered, and what is within a minute of it.
const BURST: Micros = Micros((SPAN_S_MAX + SLACK_S) * 1_000_000);
/// Sidecars that counted more than the time since gave them; beyond, the half that counted least is forgotten.
const SPENT_MAX: usize = 16_384;

/// Checks every count of a report.
///
/// # Errors
/// Which count is too high, and what was allowed.
pub(super) fn check(report: &Report) -> Result<(), String> {
    latencies_are_of_answers(&report.delta)?;
    let span_s = report.end_unix.0.saturating_sub(report.start_unix.0) / 1_000;
    let most = CALLS_PER_S_MAX * (SLACK_S + span_s.min(SPAN_S_MAX));
    match highest(&report.delta) {
        (count, of) if count > most => Err(format!(
            "{of}: a count of {count} is not plausible; at most {most} in the {span_s} s it covers"
        )),
        _ => Ok(()),
    }
}

/// A latency is that of an answer, and each answer is an outcome: no count of the one may be above the other's.
fn latencies_are_of_answers(delta: &Delta) -> Result<(), String> {
    let over = |of: Of<'_>, what: &str, count: u64, most: u64| match count > most {
        true => Err(format!("{of}: {count} {what} of {most} requests; there is at most one of each")),
        false => Ok(()),
    };
    for (name, journey) in &delta.journeys {
        let most = journey.outcomes.total();
        over(Of::Journey(name), "latencies", values(&journey.latency), most)?;
        over(Of::Journey(name), "answers within the deadline", journey.within_deadline, most)?;
        over(Of::Journey(name), "degraded answers", journey.degraded, most)?;
    }
    for (key, hop) in &delta.hops {
        let most = hop.outcomes.total();
        over(Of::Hop(key), "latencies", values(&hop.latency), most)?;
        over(Of::Hop(key), "latencies of the alternate", values(&hop.alternate_latency), most)?;
    }
    Ok(())
}

/// Values of a sketch, those it lost too.
fn values(sketch: &Sketch) -> u64 {
    sketch.count().saturating_add(sketch.lost())
}

/// What sidecars have counted ahead of the time that allows it (the generic cell rate algorithm, ITU-T I.371): each counts at
/// most [`CALLS_PER_S_MAX`] over any time, and one [`BURST`] more. In memory only: a restart forgives.
#[derive(Debug, Default)]
pub(super) struct Rates {
    /// By workload and node: until when it takes to allow what was counted.
    spent: Mutex<HashMap<String, Micros>>,
}

/// What a report took, to be given back if it is not counted.
#[derive(Debug)]
pub(super) struct Taken {
    sidecar: String,
    cost: Micros,
}

impl Rates {
    /// Takes what a report counts from what its sidecar may.
    ///
    /// # Errors
    /// When that is more than is left, and how long it takes to be allowed.
    pub(super) fn take(
        &self,
        workload: &str,
        node: &str,
        report: &Report,
        now: Micros,
    ) -> Result<Taken, String> {
        let (count, of) = highest(&report.delta);
        let cost = Micros(count.saturating_mul(1_000_000 / CALLS_PER_S_MAX));
        let sidecar = format!("{workload} {node}");
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let until = spent.get(&sidecar).copied().unwrap_or(now).max(now).after(cost);
        let over = until.since(now).0.saturating_sub(BURST.0);
        if over > 0 {
            return Err(format!(
                "{of}: {count} more calls of this sidecar are not plausible, after what it has reported before; at most {CALLS_PER_S_MAX} a second and {} at once. \
                 Send it again in {} s",
                CALLS_PER_S_MAX * (BURST.0 / 1_000_000),
                over.div_ceil(1_000_000)
            ));
        }
        if spent.len() >= SPENT_MAX {
            make_room(&mut spent, now);
        }
        spent.insert(sidecar.clone(), until);
        Ok(Taken { sidecar, cost })
    }

    /// Gives back what a report took that was not counted.
    pub(super) fn give_back(&self, taken: Taken) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = spent.get_mut(&taken.sidecar) {
            *until = Micros(until.0.saturating_sub(taken.cost.0));
        }
    }
}

/// Forgets who owes nothing, which is nearly everybody at any time; and else the half that owes least.
fn make_room(spent: &mut HashMap<String, Micros>, now: Micros) {
    spent.retain(|_, until| *until > now);
    if spent.len() >= SPENT_MAX {
        let mut all: Vec<_> = spent.values().copied().collect();
        let (_, middle, _) = all.select_nth_unstable(SPENT_MAX / 2);
        let middle = *middle;
        spent.retain(|_, until| *until > middle);
    }
}

/// What a count is of; put into words only where somebody is told.
enum Of<'a> {
    Journey(&'a JourneyName),
    Hop(&'a HopKey),
    Health,
}

impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journey(name) => write!(f, "journey {name}"),
            Self::Hop(key) => write!(f, "hop to {}", key.destination),
            Self::Health => f.write_str("health"),
        }
    }
}

/// The highest count, and of what.
fn highest(delta: &Delta) -> (u64, Of<'_>) {
    let journeys = delta.journeys.iter().map(|(name, journey)| (of_journey(journey), Of::Journey(name)));
    let hops = delta.hops.iter().map(|(key, hop)| (of_hop(hop), Of::Hop(key)));
    let health = &delta.health;
    let health = [
        health.context_missing,
        health.context_invalid,
        health.overflow,
        health.dropped,
        health.clock_backwards,
        health.internal_errors,
    ];
    let health = (health.into_iter().fold(0, u64::max), Of::Health);
    journeys.chain(hops).fold(health, |most, next| if next.0 > most.0 { next } else { most })
}

fn of_journey(journey: &JourneyDelta) -> u64 {
    let counts = [journey.within_deadline, journey.degraded, journey.latency.lost()];
    counts.into_iter().chain(journey.outcomes.to_array()).fold(0, u64::max)
}

fn of_hop(hop: &HopDelta) -> u64 {
    let counts = [hop.retries, hop.latency.lost(), hop.alternate_latency.lost()];
    let counts = counts.into_iter().chain(hop.outcomes.to_array()).chain(hop.decisions.to_array());
    counts.fold(0, u64::max)
}

#[cfg(test)]
mod tests {
    use emac_core::evidence::{DecisionCounts, FilterHealth};
    use emac_core::outcome::{Outcome, OutcomeCounts};
    use emac_core::units::Millis;

    use super::*;

    fn report(delta: Delta, seconds: u64) -> Report {
        let (start_unix, end_unix) = (Millis(7), Millis(7 + 1_000 * seconds));
        Report { epoch: 1, sequence: 1, start_unix, end_unix, delta }
    }

    fn hop(hop: HopDelta) -> Delta {
        let key = HopKey { destination: "cart".into(), ..HopKey::default() };
        Delta { hops: [(key, hop)].into(), ..Delta::default() }
    }

    fn journey(journey: JourneyDelta) -> Delta {
        Delta { journeys: [(JourneyName::new("checkout").unwrap(), journey)].into(), ..Delta::default() }
    }

    /// Each count of a report, by itself, set to a value.
    fn each(count: u64) -> Vec<Delta> {
        let outcome = |place: usize| {
            let mut counts = [0; 8];
            counts[place] = count;
            OutcomeCounts::from_array(counts)
        };
        let answers = OutcomeCounts::from_array([count, 0, 0, 0, 0, 0, 0, 0]);
        let mut deltas = vec![
            hop(HopDelta { retries: count, ..HopDelta::default() }),
            journey(JourneyDelta { outcomes: answers, within_deadline: count, ..JourneyDelta::default() }),
            journey(JourneyDelta { outcomes: answers, degraded: count, ..JourneyDelta::default() }),
            Delta { health: FilterHealth { overflow: count, ..FilterHealth::default() }, ..Delta::default() },
            Delta { health: FilterHealth { dropped: count, ..FilterHealth::default() }, ..Delta::default() },
        ];
        for place in 0..8 {
            deltas.push(hop(HopDelta { outcomes: outcome(place), ..HopDelta::default() }));
            deltas.push(journey(JourneyDelta { outcomes: outcome(place), ..JourneyDelta::default() }));
        }
        for place in 0..7 {
            let mut counts = [0; 7];
            counts[place] = count;
            let decisions = DecisionCounts::from_array(counts);
            deltas.push(hop(HopDelta { decisions, ..HopDelta::default() }));
        }
        deltas
    }

    #[test]
    fn no_count_is_above_what_its_time_allows() {
        for (seconds, most) in
            [(0, 6_000_000), (1, 6_100_000), (86_400, 8_646_000_000), (u64::MAX / 2_000, 8_646_000_000)]
        {
            for delta in each(most) {
                assert_eq!(check(&report(delta, seconds)), Ok(()));
            }
            for delta in each(most + 1).into_iter().chain(each(u64::MAX)) {
                let problem = check(&report(delta, seconds)).unwrap_err();
                assert!(problem.contains(&format!("at most {most} in the {seconds} s")), "{problem}");
            }
        }
    }

    /// A sketch that says it has so many values.
    fn sketch(count: u64) -> Sketch {
        let mut sketch = Sketch::new();
        let mut left = count;
        while left > 0 {
            let n = u32::try_from(left).unwrap_or(u32::MAX);
            sketch.record_n(Micros(1_000 << (left % 7)), n);
            left -= u64::from(n);
        }
        sketch
    }

    #[test]
    fn there_are_no_more_latencies_than_requests() {
        let outcomes = |outcome: Outcome, count| {
            let mut counts = [0; 8];
            counts[outcome as usize] = count;
            OutcomeCounts::from_array(counts)
        };
        let three = || outcomes(Outcome::Success, 3);
        let forged: Vec<(Delta, bool)> = vec![
            (hop(HopDelta { latency: sketch(1), ..HopDelta::default() }), false),
            (hop(HopDelta { latency: sketch(3), outcomes: three(), ..HopDelta::default() }), true),
            (hop(HopDelta { latency: sketch(4), outcomes: three(), ..HopDelta::default() }), false),
            (hop(HopDelta { alternate_latency: sketch(4), outcomes: three(), ..HopDelta::default() }), false),
            (hop(HopDelta { alternate_latency: sketch(3), outcomes: three(), ..HopDelta::default() }), true),
            (
                journey(JourneyDelta {
                    latency: sketch(6_000_000_000),
                    outcomes: three(),
                    ..JourneyDelta::default()
                }),
                false,
            ),
            (
                journey(JourneyDelta { latency: sketch(3), outcomes: three(), ..JourneyDelta::default() }),
                true,
            ),
            (journey(JourneyDelta { degraded: 1, ..JourneyDelta::default() }), false),
            (
                journey(JourneyDelta { within_deadline: 4, outcomes: three(), ..JourneyDelta::default() }),
                false,
            ),
        ];
        for (place, (delta, plausible)) in forged.into_iter().enumerate() {
            assert_eq!(check(&report(delta, 60)).is_ok(), plausible, "{place}");
        }
    }

    #[test]
    fn the_same_day_is_not_counted_again_and_again() {
        let (rates, day) = (Rates::default(), report(each(8_646_000_000).remove(0), 86_400));
        let take = |node: &str, now: u64| rates.take("shop/front", node, &day, Micros(now * 1_000_000));
        assert!(take("a", 5).is_ok());
        let problem = (0..1_500).map(|_| take("a", 13).unwrap_err()).next_back().unwrap();
        assert!(problem.contains("Send it again in 86452 s"), "{problem}");
        // Another sidecar's is its own; what was not counted is given back; and time gives all back.
        rates.give_back(take("b", 13).unwrap());
        assert!(take("b", 13).is_ok());
        assert!(take("a", 5 + 86_460).is_ok());
    }

    #[test]
    fn what_sidecars_owe_is_bounded_and_the_largest_debts_stay() {
        let (rates, light, heavy) =
            (Rates::default(), report(each(1).remove(0), 1), report(each(8_646_000_000).remove(0), 86_400));
        rates.take("shop/front", "heavy", &heavy, Micros(0)).unwrap();
        for node in 0..3 * SPENT_MAX {
            rates.take("shop/front", &format!("{node}"), &light, Micros(0)).unwrap();
        }
        assert!(rates.spent.lock().unwrap().len() <= SPENT_MAX);
        assert!(rates.take("shop/front", "heavy", &heavy, Micros(0)).is_err());
    }
}
