//! Laws of deltas, of the recorder and of the outbox. Seeds are fixed.

mod outbox;
mod recorder;

use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::id::{HopKey, JourneyName};
use crate::outcome::Outcome;
use crate::units::Micros;

fn config(cases: u32) -> ProptestConfig {
    crate::laws::config(cases, 0xe71d)
}

fn hop_key(number: u32) -> HopKey {
    HopKey {
        journey: "checkout".into(),
        source: "shop/front".into(),
        destination: std::format!("dest-{number}"),
        operation: String::new(),
    }
}

fn journey_name(number: u32) -> JourneyName {
    JourneyName::new(&std::format!("journey-{number}")).unwrap()
}

fn record(number: u8) -> HopRecord {
    HopRecord {
        trace_id: [number; 16],
        parent_span_id: [1; 8],
        hop: hop_key(u32::from(number)),
        start_unix_us: 5,
        duration: Micros(7),
        outcome: Outcome::Success,
        attempts: 1,
        status: 200,
        inbound: false,
        request_id: [0; 16],
        ended_by: crate::outcome::EndedBy::Unknown,
    }
}

#[derive(Clone, Debug)]
enum Event {
    Hop(u32, Outcome, u64),
    Journey(u32, Outcome, u64),
    Record(u8),
    Missing(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let outcome = || prop::sample::select(Outcome::ALL.to_vec());
    prop_oneof![
        6 => (0..8_u32, outcome(), 1..2_000_000_u64).prop_map(|(hop, how, us)| Event::Hop(hop, how, us)),
        2 => (0..4_u32, outcome(), 1..2_000_000_u64).prop_map(|(name, how, us)| Event::Journey(name, how, us)),
        1 => any::<u8>().prop_map(Event::Record),
        1 => (1..9_u64).prop_map(Event::Missing),
    ]
}

fn apply(recorder: &mut Recorder, event: &Event) {
    match *event {
        Event::Hop(number, outcome, us) => {
            let key = hop_key(number);
            let hop = recorder.hop(HopKeyRef::from(&key));
            recorder.record(hop, outcome, Micros(us));
            recorder.decided(hop, DecisionKind::Call);
            recorder.retried(hop, number % 2);
        }
        Event::Journey(number, outcome, us) => {
            if let Some(journey) = recorder.journey(&journey_name(number)) {
                let within_deadline = us < 1_000_000;
                let end = JourneyEnd { outcome, latency: Micros(us), within_deadline, degraded: us % 2 == 0 };
                recorder.record_journey(journey, end);
            }
        }
        Event::Record(number) => recorder.keep(record(number)),
        Event::Missing(n) => recorder.health_mut().context_missing += n,
    }
}

fn delta_of(events: &[Event]) -> Delta {
    let mut recorder = Recorder::default();
    events.iter().for_each(|event| apply(&mut recorder, event));
    recorder.take_delta()
}

fn delta() -> impl Strategy<Value = Delta> {
    prop::collection::vec(event(), 0..30).prop_map(|events| delta_of(&events))
}

/// Records have no order.
fn sorted(mut delta: Delta) -> Delta {
    delta.records.sort();
    delta
}

fn merged(a: &Delta, b: &Delta) -> Delta {
    let mut sum = a.clone();
    sum.merge(b.clone());
    sorted(sum)
}

fn requests(delta: &Delta) -> u64 {
    delta.hops.values().map(|hop| hop.outcomes.total()).sum()
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn deltas_are_a_commutative_monoid(a in delta(), b in delta(), c in delta()) {
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&Delta::default(), &a), sorted(a));
    }

    #[test]
    fn wide_limits_change_nothing(a in delta(), b in delta()) {
        let mut within = a.clone();
        within.merge_within(b.clone(), &EvidenceLimits::default());
        prop_assert_eq!(sorted(within), merged(&a, &b));
    }

    #[test]
    fn narrow_limits_keep_totals_and_count_the_rest(deltas in prop::collection::vec(delta(), 0..6)) {
        let limits = EvidenceLimits { journeys: 2, hops: 3, records: 4 };
        let (mut within, mut all) = (Delta::default(), Delta::default());
        for delta in deltas {
            within.merge_within(delta.clone(), &limits);
            all.merge(delta);
        }
        prop_assert_eq!(requests(&within), requests(&all));
        prop_assert!(within.hops.len() <= 4 && within.journeys.len() <= 2 && within.records.len() <= 4);
        let journeys = |delta: &Delta| delta.journeys.values().map(|j| j.outcomes.total()).sum::<u64>();
        let missing = journeys(&all) - journeys(&within) + (all.records.len() - within.records.len()) as u64;
        prop_assert_eq!(within.health.dropped, missing);
        let overflow = within.hops.iter().filter(|(key, _)| key.destination == HopKey::OVERFLOW_DESTINATION);
        prop_assert_eq!(within.health.overflow, overflow.map(|(_, hop)| hop.outcomes.total()).sum::<u64>());
    }
}

#[test]
fn states_alone_are_no_news() {
    let mut delta = Delta::default();
    delta.health.generation = 7;
    delta.health.stale = true;
    assert!(delta.is_empty());
    delta.health.dropped = 1;
    assert!(!delta.is_empty());
}

#[test]
fn labels_follow_the_wire() {
    let labels: Vec<_> = DecisionKind::ALL.iter().map(|kind| kind.label()).collect();
    let wire =
        ["pass", "call", "fallback_before", "fallback_after", "refuse", "budget_spent", "retry_denied"];
    assert_eq!(labels, wire);
    for (place, kind) in DecisionKind::ALL.into_iter().enumerate() {
        let mut counts = DecisionCounts::default();
        counts.add(kind);
        assert_eq!(counts.to_array()[place], 1);
    }
}

#[test]
fn decisions_are_counted_by_kind() {
    let counts = DecisionCounts::from_array([2, 3, 5, 7, 11, 13, 17]);
    assert_eq!(counts.to_array(), [2, 3, 5, 7, 11, 13, 17]);
    assert_eq!(DecisionKind::ALL.map(|kind| counts.get(kind)), [2, 3, 5, 7, 11, 13, 17]);
}

#[test]
fn a_lease_that_was_expired_once_stays_known() {
    for (mine, theirs) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut health = FilterHealth { stale: mine, ..FilterHealth::default() };
        health.merge(&FilterHealth { stale: theirs, ..FilterHealth::default() });
        assert_eq!(health.stale, mine || theirs);
    }
}

/// One call of a hop.
fn called(key: HopKey) -> Delta {
    let mut recorder = Recorder::default();
    let hop = recorder.hop(HopKeyRef::from(&key));
    recorder.record(hop, Outcome::Error, Micros(1));
    recorder.take_delta()
}

#[test]
fn hops_above_the_limit_go_to_the_first_overflow_hop_which_takes_no_room() {
    let from = |source: &str, number| HopKey { source: source.into(), ..hop_key(number) };
    let overflow = |source: &str| HopKey {
        source: source.into(),
        destination: HopKey::OVERFLOW_DESTINATION.into(),
        ..HopKey::default()
    };
    let limits = EvidenceLimits { hops: 1, ..EvidenceLimits::default() };
    let mut delta = Delta::default();
    // What a recorder already counted under its overflow hop leaves room for a hop, and is not counted as overflow again.
    for key in [overflow("shop/a"), from("shop/a", 1), from("shop/b", 2), overflow("shop/b")] {
        delta.merge_within(called(key), &limits);
    }
    let counted: Vec<_> = delta.hops.iter().map(|(key, hop)| (key.clone(), hop.outcomes.total())).collect();
    assert_eq!(counted, [(overflow("shop/a"), 3), (from("shop/a", 1), 1)]);
    assert_eq!(delta.health.overflow, 3, "each request under it is counted once, by whoever put it there");
}

#[test]
fn without_room_for_hops_all_go_to_the_overflow_hop() {
    let mut delta = Delta::default();
    let limits = EvidenceLimits { hops: 0, ..EvidenceLimits::default() };
    (0..2).for_each(|number| delta.merge_within(called(hop_key(number)), &limits));
    let keys: Vec<_> = delta.hops.keys().map(|key| (key.source.as_str(), key.destination.as_str())).collect();
    assert_eq!(keys, [("shop/front", HopKey::OVERFLOW_DESTINATION)]);
    assert_eq!(delta.health.overflow, 2);
}
