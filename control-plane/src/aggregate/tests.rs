//! Totals against a plain recount, caps, and what a batch shows before and after it is applied.

use emac_core::evidence::{HopDelta, JourneyDelta, Report};
use emac_core::outcome::{Outcome, OutcomeCounts};
use emac_core::sketch::Sketch;
use proptest::prelude::*;

use super::*;
use crate::marks::ReportStatus;
use crate::store::Changes;

const WINDOW: Millis = Millis(5_000);

fn report(node: &str, sequence: u64, delta: Delta) -> NodeReport {
    let report = Report { epoch: 1, sequence, start_unix: Millis(0), end_unix: Millis(0), delta };
    NodeReport { node: node.into(), workload: WorkloadName::new("shop/front").unwrap(), report }
}

fn hop_key(destination: &str) -> HopKey {
    HopKey { source: "shop/front".into(), destination: destination.into(), ..HopKey::default() }
}

/// A delta with one call of a hop and one request of a journey.
fn delta(journey: &str, hop: &str, latency_us: u64, outcome: Outcome) -> Delta {
    let (mut outcomes, mut latency) = (OutcomeCounts::default(), Sketch::new());
    outcomes.add(outcome);
    latency.record(Micros(latency_us));
    let journey_delta = JourneyDelta { outcomes, latency: latency.clone(), within_deadline: 1, degraded: 0 };
    let hop_delta = HopDelta { outcomes, latency, retries: 2, ..HopDelta::default() };
    Delta {
        journeys: [(JourneyName::new(journey).unwrap(), journey_delta)].into(),
        hops: [(hop_key(hop), hop_delta)].into(),
        ..Delta::default()
    }
}

fn empty() -> Aggregate {
    Aggregate::new(Stored::default(), WINDOW)
}

fn commit(aggregate: &mut Aggregate, now: Micros, reports: Vec<NodeReport>) -> (Vec<ReportStatus>, Changes) {
    let mut batch = Batch::new(aggregate, now, 0, Generation(0));
    let verdicts = reports.into_iter().map(|report| batch.add(aggregate, report)).collect();
    let changes = batch.changes().clone();
    aggregate.apply(now, batch);
    (verdicts, changes)
}

#[test]
fn a_batch_counts_each_report_once_even_within_itself() {
    let mut aggregate = empty();
    let one = || report("a", 1, delta("checkout", "cart", 1_000, Outcome::Success));
    let (verdicts, changes) = commit(&mut aggregate, Micros(0), vec![one(), one()]);
    assert_eq!(verdicts, [ReportStatus::Count { missing: 0 }, ReportStatus::Duplicate { sequence: 1 }]);
    assert_eq!(changes.hops[&hop_key("cart")].retries, 2);
    assert_eq!(aggregate.hops()[&hop_key("cart")].totals.outcomes.total(), 1);
    assert_eq!(aggregate.lately(Micros(0))[&hop_key("cart")].retries, 2);
    assert_eq!(aggregate.nodes()["a"].sequence, 1);
}

#[test]
fn totals_go_on_from_what_is_stored_and_windows_do_not() {
    let mut first = empty();
    let (_, changes) =
        commit(&mut first, Micros(0), vec![report("a", 1, delta("checkout", "cart", 1_000, Outcome::Error))]);
    let Changes { marks, journeys, hops, .. } = changes;
    let mut second = Aggregate::new(Stored { marks, journeys, hops, ..Stored::default() }, WINDOW);
    assert!(second.lately(Micros(0)).is_empty());
    let again = report("a", 1, delta("checkout", "cart", 1_000, Outcome::Error));
    let next = report("a", 2, delta("checkout", "cart", 9_000, Outcome::Error));
    let (verdicts, _) = commit(&mut second, Micros(0), vec![again, next]);
    assert_eq!(verdicts[0], ReportStatus::Duplicate { sequence: 1 });
    assert_eq!(second.hops()[&hop_key("cart")].totals.outcomes.get(Outcome::Error), 2);
    assert_eq!(second.journeys().values().next().unwrap().totals.latency.count(), 2);
}

#[test]
fn above_the_caps_totals_stay_exact() {
    let mut aggregate = empty();
    let more = 10;
    for n in 0..HOPS_MAX + more {
        let name = format!("j{}", n % (JOURNEYS_MAX + more));
        let delta = delta(&name, &format!("h{n}"), 1_000, Outcome::Success);
        commit(&mut aggregate, Micros(0), vec![report("a", n as u64 + 1, delta)]);
    }
    assert_eq!(aggregate.hops().len(), HOPS_MAX + 1);
    assert_eq!(aggregate.journeys().len(), JOURNEYS_MAX + 1);
    assert_eq!(aggregate.hops()[&overflow_hop()].totals.outcomes.total(), more as u64);
    assert_eq!(aggregate.lately(Micros(0))[&overflow_hop()].outcomes.total(), more as u64);
    let all = aggregate.hops().values().map(|hop| hop.totals.outcomes.total()).sum::<u64>();
    assert_eq!(all, (HOPS_MAX + more) as u64);
}

#[test]
fn a_silent_sidecar_leaves_the_list() {
    let mut aggregate = empty();
    commit(&mut aggregate, Micros(0), vec![report("a", 1, Delta::default())]);
    commit(&mut aggregate, NODE_KEPT, vec![report("b", 1, Delta::default())]);
    assert_eq!(aggregate.nodes().keys().collect::<Vec<_>>(), ["b"]);
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0xA66E), failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    /// However reports are batched and repeated, totals equal a recount of the distinct ones.
    #[test]
    fn totals_equal_a_recount(
        calls in prop::collection::vec((0_usize..3, 0_usize..7, 1_u64..10_000_000), 1..40),
        batches in prop::collection::vec(1_usize..6, 1..40),
        repeat in prop::collection::vec(any::<bool>(), 40),
    ) {
        let mut aggregate = empty();
        let mut recount: BTreeMap<HopKey, (OutcomeCounts, BTreeMap<i32, u64>)> = BTreeMap::new();
        let mut reports = Vec::new();
        for (sequence, (&(hop, outcome, latency), &twice)) in (1..).zip(calls.iter().zip(&repeat)) {
            let hop = format!("h{hop}");
            let delta = delta("checkout", &hop, latency, Outcome::ALL[outcome]);
            let counted = recount.entry(hop_key(&hop)).or_default();
            counted.0.add(Outcome::ALL[outcome]);
            let bucket = delta.hops[&hop_key(&hop)].latency.buckets().next().unwrap().index;
            *counted.1.entry(bucket).or_default() += 1;
            reports.push(report("a", sequence, delta.clone()));
            if twice {
                reports.push(report("a", sequence, delta));
            }
        }
        let mut sizes = batches.iter().cycle();
        while !reports.is_empty() {
            let size = (*sizes.next().unwrap()).min(reports.len());
            commit(&mut aggregate, Micros(0), reports.drain(..size).collect());
        }
        for (key, (outcomes, buckets)) in recount {
            let totals = &aggregate.hops()[&key].totals;
            prop_assert_eq!(totals.outcomes, outcomes);
            prop_assert_eq!(totals.latency.buckets().collect::<BTreeMap<_, _>>(), buckets);
        }
    }
}
