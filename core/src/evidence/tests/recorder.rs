//! The recorder against a plain map, and its caps.

use std::collections::BTreeMap;

use super::*;

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn taking_often_or_once_is_the_same(
        events in prop::collection::vec((event(), any::<bool>()), 0..60),
    ) {
        let mut recorder = Recorder::default();
        let mut sum = Delta::default();
        for (event, take) in &events {
            apply(&mut recorder, event);
            if *take {
                sum.merge(recorder.take_delta());
            }
        }
        sum.merge(recorder.take_delta());
        let events: Vec<_> = events.into_iter().map(|(event, _)| event).collect();
        prop_assert_eq!(sum, delta_of(&events));
    }

    #[test]
    fn counts_are_those_of_a_plain_map(events in prop::collection::vec(event(), 0..60)) {
        let mut plain = BTreeMap::<(HopKey, Outcome), u64>::new();
        for event in &events {
            if let Event::Hop(number, outcome, _) = event {
                *plain.entry((hop_key(*number), *outcome)).or_default() += 1;
            }
        }
        let delta = delta_of(&events);
        for ((key, outcome), count) in &plain {
            prop_assert_eq!(delta.hops[key].outcomes.get(*outcome), *count);
        }
        prop_assert_eq!(requests(&delta), plain.values().sum::<u64>());
        for hop in delta.hops.values() {
            prop_assert_eq!(hop.latency.count(), hop.outcomes.get(Outcome::Success));
            prop_assert_eq!(hop.alternate_latency.count(), hop.outcomes.get(Outcome::Alternate));
        }
    }
}

#[test]
fn hops_above_the_cap_share_one_and_are_counted() {
    let mut recorder = Recorder::new(EvidenceLimits::default());
    let indices: Vec<_> = (0..300).map(|n| recorder.hop(HopKeyRef::from(&hop_key(n)))).collect();
    indices.iter().for_each(|&hop| recorder.record(hop, Outcome::Error, Micros(1)));
    assert_eq!(recorder.hop(HopKeyRef::from(&hop_key(3))), indices[3]);
    let delta = recorder.take_delta();
    assert_eq!((delta.hops.len(), requests(&delta), delta.health.overflow), (257, 300, 44));
    let key = recorder.hop_key(indices[299]).unwrap();
    assert_eq!(key.destination, HopKey::OVERFLOW_DESTINATION);
    assert_eq!(delta.hops[key].outcomes.total(), 44);
}

#[test]
fn the_overflow_name_cannot_be_taken() {
    let mut recorder = Recorder::new(EvidenceLimits { hops: 1, ..EvidenceLimits::default() });
    let own = HopKey { destination: HopKey::OVERFLOW_DESTINATION.into(), ..hop_key(0) };
    let keys = [own.clone(), hop_key(1), hop_key(2), own];
    for key in &keys {
        let hop = recorder.hop(HopKeyRef::from(key));
        recorder.record(hop, Outcome::Success, Micros(1));
    }
    assert_eq!(requests(&recorder.take_delta()), 4);
}

#[test]
fn long_parts_are_cut_at_a_character() {
    let long = "é".repeat(400);
    let mut recorder = Recorder::default();
    let key = HopKeyRef { journey: "", source: "a/b", destination: &long, operation: "" };
    let hop = recorder.hop(key);
    assert_eq!(recorder.hop(key), hop);
    assert_eq!(recorder.hop_key(hop).unwrap().destination.len(), HopKey::PART_BYTES_MAX);
}

#[test]
fn journeys_and_records_above_the_cap_are_counted() {
    let mut recorder = Recorder::new(EvidenceLimits { journeys: 1, records: 2, ..EvidenceLimits::default() });
    assert!(recorder.journey(&journey_name(0)).is_some());
    assert!(recorder.journey(&journey_name(1)).is_none());
    assert!(recorder.journey(&journey_name(0)).is_some());
    (0..5).for_each(|n| recorder.keep(record(n)));
    let delta = recorder.take_delta();
    assert_eq!((delta.records.len(), delta.health.dropped, delta.health.overflow), (2, 3, 1));
}

#[test]
fn states_of_health_outlive_a_delta() {
    let mut recorder = Recorder::default();
    *recorder.health_mut() =
        FilterHealth { generation: 4, stale: true, dropped: 1, ..FilterHealth::default() };
    recorder.take_delta();
    let health = recorder.take_delta().health;
    assert_eq!((health.generation, health.stale, health.dropped), (4, true, 0));
}

#[test]
fn calls_and_journeys_are_counted_where_they_were_recorded() {
    let mut recorder = Recorder::default();
    let [called, _silent] = [0, 1].map(|number| recorder.hop(HopKeyRef::from(&hop_key(number))));
    recorder.record(called, Outcome::Success, Micros(5));
    recorder.retried(called, 2);
    recorder.decided(called, DecisionKind::Call);
    recorder.decided(called, DecisionKind::RetryDenied);
    let [_silent, ended] = [0, 1].map(|number| recorder.journey(&journey_name(number)).unwrap());
    for (outcome, within_deadline, degraded) in [
        (Outcome::Success, true, false),
        (Outcome::Fallback, true, true),
        (Outcome::Alternate, false, false),
        // Of a failure neither the time nor the marks count.
        (Outcome::Timeout, true, true),
    ] {
        recorder.record_journey(ended, JourneyEnd { outcome, latency: Micros(9), within_deadline, degraded });
    }

    let delta = recorder.take_delta();
    let hop = &delta.hops[&hop_key(0)];
    assert_eq!((hop.outcomes.total(), hop.retries), (1, 2));
    assert_eq!(hop.decisions.to_array(), [0, 1, 0, 0, 0, 0, 1]);
    let journey = &delta.journeys[&journey_name(1)];
    assert_eq!((journey.outcomes.total(), journey.latency.count()), (4, 3));
    assert_eq!((journey.within_deadline, journey.degraded), (2, 1));
    assert_eq!((delta.hops.len(), delta.journeys.len()), (1, 1), "what is silent is not reported");
    assert!(recorder.take_delta().is_empty(), "and nothing twice");
}
