//! Totals against a plain recount, caps, and what a batch shows before and after it is applied.

use emac_core::evidence::{Delta, HopDelta, JourneyDelta, Report};
use emac_core::outcome::{Outcome, OutcomeCounts};
use emac_core::sketch::Sketch;
use proptest::prelude::*;

use super::*;
use crate::changes::Changes;
use crate::marks::ReportStatus;

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
    batch.finish(aggregate);
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

/// As a restart finds it.
fn stored(aggregate: &Aggregate) -> Stored {
    let journeys = aggregate.journeys().iter().map(|(name, journey)| (name.clone(), journey.totals.clone()));
    let hops = aggregate.hops().iter().map(|(key, hop)| ((**key).clone(), hop.totals.clone()));
    Stored {
        marks: aggregate.marks().lives().clone(),
        journeys: journeys.collect(),
        hops: hops.collect(),
        ..Stored::default()
    }
}

#[test]
fn totals_go_on_from_what_is_stored_and_windows_do_not() {
    let mut first = empty();
    commit(&mut first, Micros(0), vec![report("a", 1, delta("checkout", "cart", 1_000, Outcome::Error))]);
    let mut second = Aggregate::new(stored(&first), WINDOW);
    assert!(second.lately(Micros(0)).is_empty());
    let again = report("a", 1, delta("checkout", "cart", 1_000, Outcome::Error));
    let next = report("a", 2, delta("checkout", "cart", 9_000, Outcome::Error));
    let (verdicts, _) = commit(&mut second, Micros(0), vec![again, next]);
    assert_eq!(verdicts[0], ReportStatus::Duplicate { sequence: 1 });
    assert_eq!(second.hops()[&hop_key("cart")].totals.outcomes.get(Outcome::Error), 2);
    assert_eq!(second.journeys().values().next().unwrap().totals.latency.count(), 2);
}

const SMALL: Capacity = Capacity {
    hops: 20,
    hops_per_workload: 8,
    hops_memory_mib: 16,
    journeys: 6,
    journeys_per_workload: 3,
    epochs: 1_000,
};

fn small() -> Aggregate {
    empty().with_capacity(SMALL)
}

/// One call of a hop of a workload, on a journey of that name.
fn call(workload: &str, journey: &str, hop: &str) -> Delta {
    let mut delta = delta(journey, hop, 1_000, Outcome::Success);
    delta.hops = delta.hops.into_values().map(|it| (source(workload, hop), it)).collect();
    delta
}

fn source(workload: &str, hop: &str) -> HopKey {
    HopKey { source: workload.into(), ..hop_key(hop) }
}

fn sent(workload: &str, sequence: u64, delta: Delta) -> NodeReport {
    NodeReport { workload: WorkloadName::new(workload).unwrap(), ..report("pod", sequence, delta) }
}

fn calls(aggregate: &Aggregate) -> u64 {
    aggregate.hops().values().map(|hop| hop.totals.outcomes.total()).sum()
}

fn requests(aggregate: &Aggregate) -> u64 {
    aggregate.journeys().values().map(|journey| journey.totals.outcomes.total()).sum()
}

const fn minutes(minutes: u64) -> Micros {
    Micros(minutes * 60_000_000)
}

#[test]
fn above_the_capacity_totals_stay_exact() {
    let mut aggregate = small();
    for n in 0..40 {
        let delta = call(&format!("shop/w{n}"), &format!("j{n}"), "cart");
        commit(&mut aggregate, Micros(0), vec![sent(&format!("shop/w{n}"), 1, delta)]);
    }
    assert_eq!((aggregate.hops().len(), aggregate.journeys().len()), (21, 7));
    assert_eq!(aggregate.hops()[&overflow_hop()].totals.outcomes.total(), 20);
    assert_eq!(aggregate.lately(Micros(0))[&overflow_hop()].outcomes.total(), 20);
    assert_eq!((calls(&aggregate), requests(&aggregate)), (40, 40));
    let fill = aggregate.fill();
    assert_eq!(fill.full().collect::<Vec<_>>(), ["hops", "journeys"]);
    assert_eq!(fill.evicted.calls, 20 + 34);
}

#[test]
fn a_known_hop_in_a_batch_takes_no_second_place() {
    let mut aggregate = small();
    for n in 0..18 {
        commit(
            &mut aggregate,
            Micros(0),
            vec![sent(&format!("shop/w{n}"), 1, call(&format!("shop/w{n}"), "j", "a"))],
        );
    }
    // Two places are left; the batch brings ten known hops and two new ones.
    let known = (0..10).map(|n| sent(&format!("shop/w{n}"), 2, call(&format!("shop/w{n}"), "j", "a")));
    let new = (18..20).map(|n| sent(&format!("shop/w{n}"), 1, call(&format!("shop/w{n}"), "j", "a")));
    commit(&mut aggregate, Micros(0), known.chain(new).collect());
    assert_eq!(aggregate.hops().len(), 20);
    assert!(!aggregate.hops().contains_key(&overflow_hop()));
}

#[test]
fn the_longest_silent_and_least_travelled_hop_goes_first_and_its_calls_stay() {
    let mut aggregate = small();
    let mut sequence = 0;
    let mut send = |aggregate: &mut Aggregate, now, workload: &str, hop: &str, times: u64| {
        for _ in 0..times {
            sequence += 1;
            commit(aggregate, now, vec![sent(workload, sequence, call(workload, "j", hop))]);
        }
    };
    for n in 0..20 {
        let often = if n == 3 { 1 } else { 2 };
        send(&mut aggregate, minutes(if n == 7 { 0 } else { 1 }), &format!("shop/w{n}"), "a", often);
    }
    send(&mut aggregate, minutes(10), "shop/new1", "a", 1);
    assert!(!aggregate.hops().contains_key(&source("shop/w7", "a")), "silent for longest");
    send(&mut aggregate, minutes(10), "shop/new2", "a", 1);
    assert!(!aggregate.hops().contains_key(&source("shop/w3", "a")), "least travelled");
    assert_eq!((calls(&aggregate), aggregate.hops().len()), (39 + 2, 21));
    assert_eq!(aggregate.hops()[&overflow_hop()].totals.outcomes.total(), 3);
    assert_eq!(aggregate.fill().evicted, Evicted { hops: 2, ..Evicted::default() });
}

#[test]
fn one_workload_cannot_take_the_others_places() {
    let mut aggregate = small();
    for n in 0..5 {
        let workload = format!("shop/w{n}");
        commit(&mut aggregate, Micros(0), vec![sent(&workload, 1, call(&workload, "j", "a"))]);
    }
    for n in 0..500 {
        let delta = call("shop/evil", &format!("j{n}"), &format!("h{n}"));
        commit(&mut aggregate, minutes(n / 50), vec![sent("shop/evil", n + 1, delta)]);
    }
    let of = |workload: &str| aggregate.hops().keys().filter(|key| key.source == workload).count();
    assert_eq!((of("shop/evil"), of("shop/w0")), (8, 1));
    assert_eq!(aggregate.fill().journeys, 1 + 3);
    assert_eq!((calls(&aggregate), requests(&aggregate)), (505, 505));
}

/// Three who hold the whole table with what they call all the time give way to a newcomer, but not below an equal share.
#[test]
fn a_newcomer_below_its_share_finds_a_place_in_a_busy_table() {
    let mut aggregate = small();
    let mut sequence = 0;
    let now = minutes(10);
    for round in 0..3 {
        for n in 0..24 {
            sequence += 1;
            let workload = format!("shop/evil{}", n / 8);
            let delta = call(&workload, "j", &format!("h{n}"));
            commit(&mut aggregate, Micros(now.0 + round), vec![sent(&workload, sequence, delta)]);
        }
    }
    assert_eq!(aggregate.hops().len(), 21);
    commit(&mut aggregate, now, vec![sent("shop/new", 1, call("shop/new", "j", "a"))]);
    assert!(aggregate.hops().contains_key(&source("shop/new", "a")));
    assert_eq!(calls(&aggregate), 72 + 1);
}

#[test]
fn declared_journeys_have_a_place_whoever_names_others() {
    let mut aggregate = small();
    for n in 0..10 {
        let (workload, name) = (format!("shop/w{n}"), format!("j{n}"));
        commit(&mut aggregate, Micros(0), vec![sent(&workload, 1, call(&workload, &name, "a"))]);
    }
    let name = |name: &str| JourneyName::new(name).unwrap();
    assert!(!aggregate.journeys().contains_key(&name("j9")));
    aggregate.declare([name("j9"), name("j1")]);
    commit(&mut aggregate, Micros(0), vec![sent("shop/w9", 2, call("shop/w9", "j9", "a"))]);
    assert!(aggregate.journeys().contains_key(&name("j9")));
    assert_eq!(aggregate.fill().journeys, 5, "j1 no longer counts");
    // Silent for long, it stays; those that nobody declared go.
    for n in 20..40 {
        let (workload, name) = (format!("shop/w{n}"), format!("j{n}"));
        commit(&mut aggregate, minutes(100), vec![sent(&workload, 1, call(&workload, &name, "a"))]);
    }
    assert!(aggregate.journeys().contains_key(&name("j1")) && aggregate.journeys().contains_key(&name("j9")));
    assert_eq!(requests(&aggregate), 31);
}

#[test]
fn a_table_is_full_by_memory_too() {
    let mut aggregate = empty().with_capacity(Capacity { hops_memory_mib: 0, hops: 10_000, ..SMALL });
    assert_eq!(aggregate.fill().hop_bytes_max, 0, "not counted");
    aggregate.capacity.hops_memory_mib = 1;
    for n in 0..5_000 {
        let workload = format!("shop/w{n}");
        let mut delta = call(&workload, "j", &"h".repeat(400));
        delta
            .hops
            .values_mut()
            .for_each(|hop| (0..300).for_each(|n| hop.latency.record(Micros(1 << (n % 27)))));
        commit(&mut aggregate, minutes(n / 20), vec![sent(&workload, 1, delta)]);
    }
    let fill = aggregate.fill();
    assert!(fill.hops < 2_000 && fill.hop_bytes < (1 << 20) + 10_000, "{fill:?}");
    assert_eq!(calls(&aggregate), 5_000);
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

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0xE71C), failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    /// Whatever is pushed out and comes again, in whatever batches, calls and requests in all are those that were reported, each bucket too.
    #[test]
    fn totals_over_everything_never_change_by_eviction(
        steps in prop::collection::vec((0_u64..6, 0_u64..12, 0_u64..9, 1_u64..10_000_000, prop_oneof![4 => Just(0_u64), 1 => 0_u64..4]), 1..150),
        batch in 1_usize..8,
    ) {
        let mut aggregate = small();
        let (mut now, mut sequence, mut buckets) = (Micros(0), 0, BTreeMap::<i32, u64>::new());
        let mut sequences = [0_u64; 6];
        for steps in steps.chunks(batch) {
            let mut reports = Vec::new();
            for (workload, hop, journey, latency, later) in steps {
                now = now.after(minutes(*later));
                sequence += 1;
                sequences[*workload as usize] += 1;
                let mine = sequences[*workload as usize];
                let workload = format!("shop/w{workload}");
                let mut delta = call(&workload, &format!("j{journey}"), &format!("h{hop}"));
                delta.hops.values_mut().for_each(|hop| {
                    hop.latency = Sketch::new();
                    hop.latency.record(Micros(*latency));
                    *buckets.entry(hop.latency.buckets().next().unwrap().index).or_default() += 1;
                });
                reports.push(sent(&workload, mine, delta));
            }
            commit(&mut aggregate, now, reports);
            prop_assert!(aggregate.fill().hops <= SMALL.hops + batch && aggregate.fill().journeys <= SMALL.journeys + batch);
            prop_assert_eq!(aggregate.fill().hops + usize::from(aggregate.hops().contains_key(&overflow_hop())), aggregate.hops().len());
        }
        prop_assert_eq!((calls(&aggregate), requests(&aggregate)), (sequence, sequence));
        let mut all = HopTotals::default();
        aggregate.hops().values().for_each(|hop| all.add_all(&hop.totals));
        prop_assert_eq!(all.latency.buckets().collect::<BTreeMap<_, _>>(), buckets);
        prop_assert_eq!(all.retries, 2 * sequence);
    }
}

/// One hears everything as it comes, the other begins with what is stored and hears the rest late, at other times of its own clock.
#[test]
fn who_keeps_places_files_alike_whenever_it_hears() {
    let second = |at: u64| Micros(at * 1_000_000);
    let (mut one, mut other) = (small(), small());
    one.keep_places();
    other.keep_places();
    let told = |number: u64| {
        let (workload, hop) = (format!("shop/w{}", number % 3), format!("h{}", number * 7 % 23));
        sent(&workload, number + 1, call(&workload, &format!("j{}", number * 5 % 17), &hop))
    };
    let add = |to: &mut Aggregate, at: Micros, number: u64, past: bool| {
        let mut batch = Batch::new(to, at, 0, Generation(0));
        batch.add_judged(to, told(number));
        if past {
            batch.forget_recent();
        }
        to.apply(at, batch);
    };
    for number in 0..30 {
        add(&mut one, second(number * 100), number, false);
    }
    other.begin_anew(one.stored(second(3_000)));
    for number in 30..90 {
        add(&mut one, second(number * 100), number, false);
        add(&mut other, second(1), number, number < 60);
    }
    let totals = |of: &Aggregate| of.stored(Micros(0));
    assert_eq!(totals(&one).hops, totals(&other).hops);
    assert_eq!(totals(&one).journeys, totals(&other).journeys);
    assert_eq!((calls(&one), requests(&one)), (90, 90));
    assert!(one.fill().evicted.calls > 0 && one.fill().evicted.hops == 0, "the tables are full");
    assert!(one.fill().hops <= one.fill().hops_max && one.fill().journeys <= one.fill().journeys_max);
    let key = source("shop/w1", "h5");
    assert!(other.recent_of(second(1), &key).is_none_or(|delta| delta.outcomes.total() <= 10), "{key:?}");
}
