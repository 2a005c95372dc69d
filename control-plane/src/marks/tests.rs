//! Each (life, sequence) counts once whatever is forgotten; who invents lives harms nobody else.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const DAY: u64 = 24 * 3_600 * 1_000_000;
/// A life that began long ago, and a calendar well after it.
const EPOCH: u64 = 1_000;
const NOW_MS: u64 = 100 * DAY / 1_000;
const NOW_NS: u64 = NOW_MS * 1_000_000;

fn life(node: &str, epoch: u64) -> Life {
    (format!("shop/front {node}"), epoch)
}

fn at(served: Micros) -> Served {
    Served { served, unix_ms: NOW_MS }
}

/// As a transaction of one report does.
fn count(marks: &mut Marks, life: &Life, sequence: u64, now: Served) -> ReportStatus {
    let mut staged = MarkChanges::default();
    let mut verdict = marks.judge(&staged, life, sequence, now);
    if let ReportStatus::Count { .. } = verdict {
        if marks.get(life).is_none() && !marks.make_room(&mut staged, life, now) {
            verdict = ReportStatus::Full;
        } else {
            marks.stage(&mut staged, life.clone(), Mark { sequence, seen: now.served });
        }
    }
    marks.apply(staged);
    verdict
}

fn tidy(marks: &mut Marks, now: Served) -> usize {
    let mut staged = MarkChanges::default();
    marks.tidy(&mut staged, now);
    let forgotten = staged.forgotten.len();
    marks.apply(staged);
    forgotten
}

#[test]
fn a_sequence_counts_once_and_gaps_are_seen() {
    let (mut marks, life, now) = (Marks::default(), life("a", EPOCH), at(Micros(0)));
    assert_eq!(count(&mut marks, &life, 7, now), ReportStatus::Count { missing: 0 });
    assert_eq!(count(&mut marks, &life, 7, now), ReportStatus::Duplicate { sequence: 7 });
    assert_eq!(count(&mut marks, &life, 10, now), ReportStatus::Count { missing: 2 });
    assert_eq!(count(&mut marks, &life, 8, now), ReportStatus::Duplicate { sequence: 10 });
}

#[test]
fn epochs_of_the_future_leave_places_for_the_next_honest_one() {
    let mut marks = Marks::default();
    let forged = |n: u64| life("a", NOW_NS + 23 * 3_600 * 1_000_000_000 + n);
    let verdicts: Vec<_> = (0..100).map(|n| count(&mut marks, &forged(n), 1, at(Micros(0)))).collect();
    let counted = verdicts.iter().filter(|verdict| matches!(verdict, ReportStatus::Count { .. })).count();
    assert_eq!(counted, AHEAD_AT_NODE_MAX);
    // The pod of that name restarts again and again, as long as the forged ones stand.
    for restart in 0..50_u64 {
        let served = Micros(restart * QUIET.0);
        let honest = life("a", NOW_NS - 1_000 + restart);
        assert_eq!(
            count(&mut marks, &honest, 1, at(served)),
            ReportStatus::Count { missing: 0 },
            "{restart}"
        );
    }
    assert!(marks.len() <= NODE_MAX);
}

#[test]
fn epochs_of_the_future_do_not_get_the_last_places_of_the_table() {
    let mut marks = Marks::default().with_room(160);
    let forged = |n: u64| life(&format!("node-{n}"), NOW_NS + 1_000_000_000 + n);
    let verdicts: Vec<_> = (0..200).map(|n| count(&mut marks, &forged(n), 1, at(Micros(0)))).collect();
    assert_eq!(verdicts.iter().filter(|verdict| **verdict != ReportStatus::Full).count(), 150);
    for n in 0..1_000 {
        let (honest, served) = (life(&format!("pod-{n}"), EPOCH), Micros(n * QUIET.0));
        assert_ne!(count(&mut marks, &honest, 1, at(served)), ReportStatus::Full, "{n}");
    }
}

#[test]
fn the_first_number_of_a_life_is_bounded_by_its_age() {
    let now = at(Micros(0));
    let hour_ago = NOW_NS - 3_600 * 1_000_000_000;
    // A day that its calendar may be ahead, an hour of life: ten reports a second.
    let most = GAP_MAX + 25 * 3_600 * 10;
    for (sequence, verdict) in [
        (most, ReportStatus::Count { missing: 0 }),
        (most + 1, ReportStatus::Implausible),
        (u64::MAX, ReportStatus::Implausible),
    ] {
        assert_eq!(count(&mut Marks::default(), &life("a", hour_ago), sequence, now), verdict, "{sequence}");
    }
}

#[test]
fn a_number_far_ahead_is_refused_and_the_next_report_counts() {
    let (mut marks, life, now) = (Marks::default(), life("a", EPOCH), at(Micros(0)));
    count(&mut marks, &life, 7, now);
    for forged in [8 + GAP_MAX + 1, 1_000_000, u64::MAX] {
        assert_eq!(count(&mut marks, &life, forged, now), ReportStatus::Implausible, "{forged}");
    }
    assert_eq!(count(&mut marks, &life, 8, now), ReportStatus::Count { missing: 0 });
    // What was counted elsewhere meanwhile: a second's reports, after a second.
    let ahead = 9 + GAP_MAX + 10;
    assert_eq!(count(&mut marks, &life, ahead, at(Micros(999_999))), ReportStatus::Implausible);
    let counted = ReportStatus::Count { missing: GAP_MAX + 10 };
    assert_eq!(count(&mut marks, &life, ahead, at(Micros(1_000_000))), counted);
}

#[test]
fn epochs_of_a_node_are_apart_and_a_transaction_sees_itself() {
    let (mut marks, old, new) = (Marks::default(), life("a", EPOCH), life("a", EPOCH + 1));
    let now = at(Micros(0));
    count(&mut marks, &old, 3, now);
    assert_eq!(count(&mut marks, &new, 1, now), ReportStatus::Count { missing: 0 });
    assert_eq!(count(&mut marks, &old, 4, now), ReportStatus::Count { missing: 0 });
    let mut staged = MarkChanges::default();
    marks.stage(&mut staged, new.clone(), Mark { sequence: 2, seen: Micros(0) });
    assert_eq!(marks.judge(&staged, &new, 2, now), ReportStatus::Duplicate { sequence: 2 });
}

#[test]
fn what_was_forgotten_never_counts_again() {
    let (mut marks, old) = (Marks::default(), life("a", EPOCH));
    count(&mut marks, &old, 3, at(Micros(0)));
    assert_eq!(tidy(&mut marks, at(Micros(IDLE_MAX.0 - 1))), 0);
    assert_eq!(tidy(&mut marks, at(IDLE_MAX)), 1);
    assert!(marks.is_empty());
    assert_eq!(count(&mut marks, &old, 3, at(IDLE_MAX)), ReportStatus::Expired);
    assert_eq!(count(&mut marks, &life("b", EPOCH + 1), 1, at(IDLE_MAX)), ReportStatus::Count { missing: 0 });
    // Another workload's epochs are not touched by it.
    let other = ("shop/cart a".to_owned(), EPOCH);
    assert_eq!(count(&mut marks, &other, 1, at(IDLE_MAX)), ReportStatus::Count { missing: 0 });
}

#[test]
fn a_clock_ahead_lifts_no_floor_and_one_far_ahead_is_refused() {
    let (mut marks, ahead) = (Marks::default().with_room(2), life("ahead", NOW_NS + 3_600_000_000_000));
    count(&mut marks, &ahead, 1, at(Micros(0)));
    assert_eq!(tidy(&mut marks, at(IDLE_MAX)), 0);
    for n in 0..10 {
        let life = life(&format!("n{n}"), EPOCH + n);
        assert_eq!(count(&mut marks, &life, 1, at(Micros(n * DAY))), ReportStatus::Count { missing: 0 });
    }
    assert!(marks.get(&ahead).is_some());
    assert!(marks.floors()["shop/front"] < EPOCH + 10);
    let far = life("far", NOW_NS + AHEAD_MAX.0 * 1_000 + 1);
    assert_eq!(count(&mut marks, &far, 1, at(Micros(0))), ReportStatus::Ahead);
}

/// A sidecar that restarts every minute keeps the places of its node, and what it sent long ago does not count again.
#[test]
fn a_nodes_old_epochs_go_and_leave_a_floor_of_its_own() {
    let mut marks = Marks::default();
    for n in 0..100 {
        let life = life("a", EPOCH + n);
        assert_eq!(count(&mut marks, &life, 1, at(Micros(n * QUIET.0))), ReportStatus::Count { missing: 0 });
    }
    assert_eq!(marks.len(), NODE_MAX);
    let now = at(Micros(100 * QUIET.0));
    for n in 0..100 - NODE_MAX as u64 {
        assert_eq!(count(&mut marks, &life("a", EPOCH + n), 1, now), ReportStatus::Expired);
    }
    // Others of the workload that are as old report for the first time.
    assert_eq!(count(&mut marks, &life("b", EPOCH), 1, now), ReportStatus::Count { missing: 0 });
    // Restarts faster than anything may be forgotten wait.
    let fresh: Vec<_> = (0..40).map(|n| count(&mut marks, &life("c", EPOCH + n), 1, now)).collect();
    assert_eq!(fresh.iter().filter(|verdict| **verdict == ReportStatus::Full).count(), 40 - NODE_MAX);
}

/// A month of a thousand workloads whose pods are replaced: all their leaders count, in a table a tenth as large.
#[test]
fn pods_of_a_month_do_not_lock_out_the_next() {
    let mut marks = Marks::default().with_room(10_000);
    for pod in 0..100_000_u64 {
        let life = (format!("shop/w{} pod-{pod}", pod % 1_000), EPOCH + pod);
        let now = at(Micros(pod * 30 * DAY / 100_000));
        assert_eq!(count(&mut marks, &life, 1, now), ReportStatus::Count { missing: 0 });
    }
    assert!(marks.len() <= 10_000);
    assert!(marks.floors().len() <= 1_000, "{}", marks.floors().len());
}

#[test]
fn who_invents_nodes_pushes_out_his_own() {
    let mut marks = Marks::default().with_room(1_000);
    let honest = |n: u64| (format!("shop/w{n} pod"), EPOCH + n);
    let mut sequence = 1;
    for n in 0..100 {
        count(&mut marks, &honest(n), sequence, at(Micros(0)));
    }
    for n in 0..50_000_u64 {
        let now = at(Micros(n * 1_000));
        count(&mut marks, &(format!("shop/evil x{n}"), NOW_NS - 1_000_000 + n), 1, now);
        if n % 5_000 == 0 {
            sequence += 1;
            for n in 0..100 {
                assert_eq!(count(&mut marks, &honest(n), sequence, now), ReportStatus::Count { missing: 0 });
            }
            // A newcomer of another workload finds a place, though everything of the inventor's is fresh.
            let new = (format!("shop/new{n} pod"), EPOCH);
            assert_eq!(count(&mut marks, &new, 1, now), ReportStatus::Count { missing: 0 });
        }
    }
    assert!(marks.len() <= 1_000);
    assert!(marks.floors().keys().all(|of| of.starts_with("shop/evil")), "{:?}", marks.floors());
}

#[test]
fn floors_of_workloads_that_are_gone_are_bounded() {
    let floors = (0..FLOORS_MAX as u64 + 10).map(|n| (format!("shop/w{n}"), EPOCH + n));
    let mut marks = Marks::from_parts(BTreeMap::new(), floors.collect(), 0);
    tidy(&mut marks, at(Micros(0)));
    assert_eq!((marks.floors().len(), marks.floor()), (FLOORS_MAX, EPOCH + 9));
}

/// A sidecar as stores of before named it, and as it is named now, must not count the same.
#[test]
fn forgotten_lives_without_a_workload_stay_forgotten_under_any() {
    let old = ("a".to_owned(), EPOCH);
    let mut marks =
        Marks::from_parts([(old, Mark { sequence: 3, seen: Micros(0) })].into(), BTreeMap::new(), 0);
    assert_eq!(tidy(&mut marks, at(IDLE_MAX)), 1);
    assert_eq!(count(&mut marks, &life("a", EPOCH), 3, at(IDLE_MAX)), ReportStatus::Expired);
}

/// What a place costs: printed, and held below what the documentation says.
#[test]
fn a_mark_takes_some_two_hundred_bytes() {
    let entry = std::mem::size_of::<(Life, Mark)>()
        + "shop/checkout-frontend checkout-frontend-7d4b9c6f5-x2x7k.shop".len();
    println!("{entry} bytes a mark, and some 30 % for the tree");
    assert!(entry < 150);
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0x3A4C), failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// Whatever is resent, reordered between lives, pushed out and forgotten in between, no (life, sequence) counts twice: against a twin
    /// that remembers everything.
    #[test]
    fn nothing_counts_twice(
        steps in proptest::collection::vec((0_u64..3, 0_u64..4, 0_u64..24, 1_u64..4, prop_oneof![6 => 0_u64..3, 1 => 0_u64..20_000_000]), 1..300),
        room in 1_usize..12,
        batch in 1_usize..6,
    ) {
        let mut marks = Marks::default().with_room(room);
        let mut counted = HashSet::new();
        let mut served = Micros(0);
        for steps in steps.chunks(batch) {
            let mut staged = MarkChanges::default();
            for (workload, node, epoch, sequence, seconds) in steps {
                served = served.after(Micros(seconds * 1_000_000));
                // Some epochs are of the future.
                let epoch = if *epoch < 20 { EPOCH + epoch } else { NOW_NS + epoch };
                let (life, now) = ((format!("shop/w{workload} n{node}"), epoch), at(served));
                let known = marks.get(&life).is_some() || staged.marks.contains_key(&life);
                if let ReportStatus::Count { .. } = marks.judge(&staged, &life, *sequence, now)
                    && (known || marks.make_room(&mut staged, &life, now))
                {
                    marks.stage(&mut staged, life.clone(), Mark { sequence: *sequence, seen: served });
                    prop_assert!(counted.insert((life, *sequence)), "counted twice");
                }
            }
            marks.apply(staged);
            if served.0.is_multiple_of(3) {
                tidy(&mut marks, at(served));
            }
            // As it would be read again.
            let again = Marks::from_parts(marks.lives().clone(), marks.floors().clone(), marks.floor()).with_room(room);
            prop_assert_eq!(&again, &marks);
        }
    }
}
