//! What a report may claim to have counted: a rate no sidecar has, over the time that the report says it covers.
//!
//! Totals are 64 bits wide and stop at their end instead of wrapping. A report within these bounds adds at most 9 · 10^9 to a total, so that
//! it takes two thousand million of them to fill one; without, a single forged report would stand in it for ever.

use emac_core::evidence::{Delta, HopDelta, JourneyDelta, Report};

/// Calls a second of one hop: three times what an Envoy with every core of a large machine passes on.
const CALLS_PER_S_MAX: u64 = 100_000;
/// Added to the time a report covers: clocks are set, and reports begin before they are dated.
const SLACK_S: u64 = 60;
/// Longest time that a report is believed to cover: what gathered while the control plane was away.
const SPAN_S_MAX: u64 = 86_400;

/// Checks every count of a report.
///
/// # Errors
/// Which count is too high, and what was allowed.
pub(super) fn check(report: &Report) -> Result<(), String> {
    let span_s = report.end_unix.0.saturating_sub(report.start_unix.0) / 1_000;
    let most = CALLS_PER_S_MAX * (SLACK_S + span_s.min(SPAN_S_MAX));
    match highest(&report.delta) {
        (count, of) if count > most => Err(format!(
            "{of}: a count of {count} is not plausible; at most {most} in the {span_s} s it covers"
        )),
        _ => Ok(()),
    }
}

/// The highest count, and of what.
fn highest(delta: &Delta) -> (u64, String) {
    let journeys =
        delta.journeys.iter().map(|(name, journey)| (of_journey(journey), format!("journey {name}")));
    let hops = delta.hops.iter().map(|(key, hop)| (of_hop(hop), format!("hop to {}", key.destination)));
    let health = &delta.health;
    let health = [
        health.context_missing,
        health.context_invalid,
        health.overflow,
        health.dropped,
        health.clock_backwards,
        health.internal_errors,
    ];
    let health = (health.into_iter().fold(0, u64::max), "health".to_owned());
    journeys.chain(hops).chain([health]).max_by_key(|(count, _)| *count).unwrap_or_default()
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
    use emac_core::id::{HopKey, JourneyName};
    use emac_core::outcome::OutcomeCounts;
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
        let mut deltas = vec![
            hop(HopDelta { retries: count, ..HopDelta::default() }),
            journey(JourneyDelta { within_deadline: count, ..JourneyDelta::default() }),
            journey(JourneyDelta { degraded: count, ..JourneyDelta::default() }),
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
}
