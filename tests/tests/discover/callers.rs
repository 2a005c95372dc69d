//! Each operator's caller does what a real one does.

use emac_core::journey::Join;
use emac_core::units::Millis;
use emac_tests::synthetic::{Losers, UNTUNED};

use super::*;

fn calls(services: std::ops::RangeInclusive<usize>) -> Vec<Step> {
    services.map(Step::call).collect()
}

#[test]
fn a_series_stops_at_the_first_failure() {
    let world = world(&[(0.3, 2.0), (0.3, 2.0)], Step::Series(calls(1..=2)));
    let mut failed = 0;
    for acts in acts(&world) {
        let first = &acts[&1][0];
        assert_eq!(acts.contains_key(&2), first.client.ended == Ended::Good);
        failed += usize::from(!acts.contains_key(&2));
        if let Some(second) = acts.get(&2) {
            assert!(second[0].client.start_ns >= first.client.end_ns);
        }
    }
    assert!(failed > 50, "{failed}");
}

#[test]
fn a_race_goes_on_with_the_first_good_answer() {
    for losers in [Losers::LeftRunning, Losers::HungUp, Losers::Cancelled] {
        let race = Step::Race { delay: Millis(0), losers, branches: calls(1..=2) };
        let world = world(&[(0.2, 5.0), (0.2, 5.0), (0.0, 1.0)], Step::Series(vec![race, Step::call(3)]));
        let mut overtaken = 0;
        for acts in acts(&world) {
            let racers = [&acts[&1][0], &acts[&2][0]];
            let good = racers.iter().filter(|act| act.client.ended == Ended::Good);
            let first = good.map(|act| act.client.end_ns).min();
            assert_eq!(first.is_some(), acts.contains_key(&3));
            let Some(first) = first else { continue };
            let next = acts[&3][0].client.start_ns;
            assert!((first..first + 1_000_000).contains(&next), "{losers:?} {first} {next}");
            let running = racers.iter().filter(|act| act.client.end_ns > next).count();
            overtaken += running;
            assert!(running == 0 || losers == Losers::LeftRunning);
            let served =
                racers.iter().filter_map(|act| act.server).filter(|side| side.end_ns > next + 5_000_000);
            assert!(losers != Losers::Cancelled || served.count() == 0);
        }
        assert!((overtaken > 100) == (losers == Losers::LeftRunning), "{losers:?} {overtaken}");
    }
}

#[test]
fn a_hedge_waits_for_its_delay() {
    let hedge = Step::Race { delay: UNTUNED, losers: Losers::HungUp, branches: calls(1..=2) };
    let world = world(&[(0.02, 5.0), (0.02, 5.0)], hedge);
    let Some(Step::Race { delay, .. }) = world.journeys[0].entry.body.as_deref() else { panic!("a race") };
    let mut hedged = 0;
    for acts in acts(&world) {
        let Some(second) = acts.get(&2) else { continue };
        hedged += 1;
        let first = &acts[&1][0].client;
        assert_eq!(second[0].client.start_ns - first.start_ns, delay.0 as i64 * 1_000_000);
        assert!(first.ended != Ended::Good || first.end_ns > second[0].client.start_ns);
    }
    assert!((60..160).contains(&hedged), "about every fifth of 500: {hedged}");
}

#[test]
fn a_fallback_is_asked_after_a_failure_only() {
    let world = world(&[(0.2, 5.0), (0.2, 5.0), (0.0, 5.0)], Step::Fallback(calls(1..=3)));
    for acts in acts(&world) {
        for (one, next) in [(1, 2), (2, 3)] {
            let Some(before) = acts.get(&one).map(|all| &all[0].client) else { continue };
            assert_eq!(before.ended == Ended::Good, !acts.contains_key(&next));
            assert!(acts.get(&next).is_none_or(|after| after[0].client.start_ns >= before.end_ns));
        }
    }
    assert!(world.requests().all(|request| request.run.good));
}

#[test]
fn a_fallback_may_follow_a_timeout() {
    let primary = Step::Timeout { after: Millis(5), losers: Losers::HungUp, body: Box::new(Step::call(1)) };
    let world = world(&[(0.0, 4.0), (0.0, 1.0)], Step::Fallback(vec![primary, Step::call(2)]));
    let mut late = 0;
    for acts in acts(&world) {
        let primary = &acts[&1][0].client;
        assert!(primary.end_ns - primary.start_ns <= 5_000_000);
        assert_eq!(primary.ended == Ended::Timeout, acts.contains_key(&2));
        late += usize::from(acts.contains_key(&2));
    }
    assert!(late > 50, "{late}");
}

#[test]
fn a_retry_tries_again_after_a_failure_only() {
    let retry = Step::Retry { attempts: 3, backoff_ns: 1e6, body: Box::new(Step::call(1)) };
    let world = world(&[(0.4, 2.0)], retry);
    let mut tries = [0; 4];
    for acts in acts(&world) {
        let all = &acts[&1];
        tries[all.len()] += 1;
        let (last, before) = all.split_last().unwrap();
        assert!(before.iter().all(|act| act.client.ended == Ended::Error));
        assert!(last.client.ended == Ended::Good || all.len() == 3);
        assert!(all.windows(2).all(|pair| pair[1].client.start_ns >= pair[0].client.end_ns + 500_000));
    }
    assert!(tries[1] > tries[2] && tries[2] > 50 && tries[3] > 30, "{tries:?}");
}

#[test]
fn a_repetition_repeats_whatever_comes_of_it() {
    let world = world(&[(0.0, 2.0)], Step::Repeat { count: 3, body: Box::new(Step::call(1)) });
    assert!(acts(&world).all(|acts| acts[&1].len() == 3));
}

#[test]
fn k_of_n_goes_on_with_the_kth_good_answer() {
    let parallel = Step::Parallel {
        join: Join::AtLeast(2),
        spread_ns: 1e5,
        fail_fast: true,
        losers: Losers::LeftRunning,
        branches: calls(1..=3),
    };
    let latency = (0.1, 5.0);
    let world = world(&[latency, latency, latency, (0.0, 1.0)], Step::Series(vec![parallel, Step::call(4)]));
    for acts in acts(&world) {
        let mut good: Vec<i64> = (1..=3)
            .map(|s| acts[&s][0].client)
            .filter(|side| side.ended == Ended::Good)
            .map(|side| side.end_ns)
            .collect();
        good.sort_unstable();
        assert_eq!(good.len() >= 2, acts.contains_key(&4));
        if let Some(next) = acts.get(&4) {
            assert!((good[1]..good[1] + 1_000_000).contains(&next[0].client.start_ns));
        }
    }
}

#[test]
fn parallel_calls_overlap_seldom_when_they_start_late() {
    let overlaps = |spread_ns| {
        let parallel = Step::Parallel {
            join: Join::All,
            spread_ns,
            fail_fast: false,
            losers: Losers::LeftRunning,
            branches: calls(1..=2),
        };
        let world = world(&[(0.0, 1.0), (0.0, 1.0)], parallel);
        let overlap =
            |a: &Act, b: &Act| a.client.start_ns < b.client.end_ns && b.client.start_ns < a.client.end_ns;
        acts(&world).filter(|acts| overlap(&acts[&1][0], &acts[&2][0])).count()
    };
    let (tight, loose) = (overlaps(1e4), overlaps(5e6));
    assert!(tight > 490 && (50..300).contains(&loose), "{tight} {loose}");
}

#[test]
fn nobody_waits_for_what_is_async() {
    for message in [false, true] {
        let body = Box::new(Step::call(1));
        let step = Step::Series(vec![Step::Async { message, body }, Step::call(2)]);
        let world = world(&[(0.5, 20.0), (0.0, 1.0)], step);
        assert!(world.requests().all(|request| request.run.good));
        let outlives = |acts: BTreeMap<usize, Vec<Act>>| {
            let (message, root) = (acts[&1][0].server, acts[&0][0].client);
            message.is_some_and(|side| side.end_ns > root.end_ns)
        };
        assert!(acts(&world).filter(|a| outlives(a.clone())).count() > 150);
    }
}
