//! A failing disk acknowledges nothing and leaves memory and disk agreeing in the end; a full queue turns away.

use std::collections::BTreeMap;

use emac_core::evidence::{Delta, HopDelta, Report};
use emac_core::id::{HopKey, WorkloadName};
use emac_core::outcome::{Outcome, OutcomeCounts};
use emac_core::units::Millis;
use proptest::prelude::*;

use super::*;
use crate::store::Stored;
use crate::store::flaky::{Fault, Flaky};

fn report(node: u64, sequence: u64) -> NodeReport {
    let mut outcomes = OutcomeCounts::default();
    outcomes.add(Outcome::Success);
    let key = HopKey { destination: format!("hop-{}", node % 2), ..HopKey::default() };
    let hops = [(key, HopDelta { outcomes, retries: 1, ..HopDelta::default() })].into();
    let delta = Delta { hops, ..Delta::default() };
    let report = Report { epoch: 1, sequence, start_unix: Millis(0), end_unix: Millis(0), delta };
    NodeReport { node: format!("node-{node}"), workload: WorkloadName::new("shop/front").unwrap(), report }
}

fn committer(store: Store) -> Committer {
    Committer {
        store,
        aggregate: Arc::new(RwLock::new(Aggregate::new(Stored::default(), Millis(5_000)))),
        stats: Arc::default(),
        clock: Clock::start(),
        generation: Box::new(|| Generation(1)),
        records: None,
        delay: Duration::ZERO,
        log: Lines::default(),
    }
}

/// Commits one batch and gives the answers.
fn commit(committer: &mut Committer, reports: Vec<NodeReport>) -> Vec<Answer> {
    let (waiting, answers): (Vec<_>, Vec<_>) = reports
        .into_iter()
        .map(|report| {
            let (answer, receiver) = oneshot::channel();
            (Waiting { report, answer }, receiver)
        })
        .unzip();
    committer.commit(waiting);
    answers.into_iter().map(|mut answer| answer.try_recv().unwrap()).collect()
}

#[test]
fn what_the_disk_refused_is_not_acknowledged_and_counts_once_when_it_comes_again() {
    for fault in [Fault::Before, Fault::After] {
        let disk = Flaky::default();
        let mut committer = committer(disk.store());
        assert_eq!(commit(&mut committer, vec![report(0, 1)]), [Answer::Durable(1)]);
        disk.fail(fault);
        assert_eq!(commit(&mut committer, vec![report(0, 2), report(0, 2)]), [Answer::NotStored; 2]);
        assert!(committer.stats.last_commit_failed.load(Relaxed));
        disk.fail(Fault::None);
        assert_eq!(commit(&mut committer, vec![report(0, 2)]), [Answer::Durable(2)]);
        assert!(!committer.stats.last_commit_failed.load(Relaxed));
        let stats = committer.stats.snapshot();
        assert_eq!((stats.counted, stats.not_stored, stats.commit_failures), (2, 2, 1));
        drop(committer);
        assert_eq!(disk.stored().hops.values().next().unwrap().retries, 2);
    }
}

#[test]
fn single_calls_go_to_discovery_once_and_only_when_they_are_durable() {
    let disk = Flaky::default();
    let mut committer = committer(disk.store());
    let (records, receiver) = crate::ingest::records(100, Arc::clone(&committer.stats));
    committer.records = Some(records);
    let with_record = |sequence| {
        let mut report = report(0, sequence);
        report.report.delta.records.push(emac_core::evidence::HopRecord {
            trace_id: [1; 16],
            parent_span_id: [1; 8],
            hop: HopKey::default(),
            start_unix_us: sequence,
            duration: Micros(1),
            outcome: Outcome::Success,
            attempts: 1,
            status: 200,
            inbound: true,
            request_id: [0; 16],
            ended_by: emac_core::outcome::EndedBy::Unknown,
        });
        report
    };
    disk.fail(Fault::After);
    commit(&mut committer, vec![with_record(1)]);
    assert_eq!(receiver.waiting(), 0);
    disk.fail(Fault::None);
    commit(&mut committer, vec![with_record(1), with_record(1), with_record(2), report(1, 1)]);
    let next = || receiver.next(Duration::ZERO).map(|one| (one.node, one.records[0].start_unix_us)).ok();
    assert_eq!((next(), next()), (Some(("node-0".into(), 1)), Some(("node-0".into(), 2))));
    assert_eq!(next(), None);
}

#[test]
fn a_full_queue_turns_away_and_says_so() {
    let (sender, _receiver) = sync_channel(1);
    let queue = Queue { sender, stats: Arc::default() };
    assert!(queue.submit(report(0, 1)).is_ok());
    assert_eq!(queue.submit(report(0, 2)).map(|_| ()), Err(SubmitError::QueueFull));
    drop(_receiver);
    assert_eq!(queue.submit(report(0, 2)).map(|_| ()), Err(SubmitError::ShuttingDown));
    assert_eq!(queue.stats.snapshot().queued, 1);
}

#[test]
fn the_thread_answers_everything_queued_before_it_ends() {
    let aggregate = Arc::new(RwLock::new(Aggregate::new(Stored::default(), Millis(5_000))));
    let settings = CommitterSettings { queue: 64, delay: Duration::from_millis(1) };
    let (stats, clock) = (Arc::default(), Clock::start());
    let disk = Flaky::default();
    let (queue, thread) =
        Committer::spawn(settings, disk.store(), aggregate, stats, clock, || Generation(9), None).unwrap();
    let answers: Vec<_> = (1..=40).map(|sequence| queue.submit(report(0, sequence)).unwrap()).collect();
    drop(queue);
    thread.join().unwrap();
    for (answer, sequence) in answers.into_iter().zip(1..) {
        assert_eq!(answer.blocking_recv().unwrap(), Answer::Durable(sequence));
    }
    let stored = disk.stored();
    assert_eq!((stored.generation, stored.marks.len()), (Generation(9), 1));
    assert!(stored.served > Micros(0));
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0xC033), failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    /// Whatever the disk does in between, a node that repeats until it is acknowledged is counted exactly once, in memory and after a
    /// restart, also when another node gives up for ever after a failure.
    #[test]
    fn memory_and_disk_agree_in_the_end(faults in prop::collection::vec(0_usize..3, 1..25), given_up in 0_usize..25) {
        let disk = Flaky::default();
        let mut committer = committer(disk.store());
        let mut next = [1_u64; 4];
        for (step, fault) in faults.into_iter().enumerate() {
            disk.fail([Fault::None, Fault::Before, Fault::After][fault]);
            // Node 3 is silent from some step on; what it sent last may have failed.
            let nodes = if step < given_up { 0..4_u64 } else { 0..3 };
            let reports = nodes.clone().map(|node| report(node, next[node as usize])).collect();
            for (node, answer) in nodes.zip(commit(&mut committer, reports)) {
                if let Answer::Durable(sequence) = answer {
                    next[node as usize] = sequence + 1;
                }
            }
        }
        disk.fail(Fault::None);
        let last = (0..3).map(|node| report(node, next[node as usize])).collect();
        commit(&mut committer, last);
        (0..3).for_each(|node| next[node] += 1);
        let counted = |hop: usize| next.iter().skip(hop).step_by(2).map(|next| next - 1).sum::<u64>();
        let memory: BTreeMap<_, _> = {
            let aggregate = committer.aggregate.read().unwrap();
            aggregate.hops().iter().map(|(key, hop)| ((**key).clone(), hop.totals.clone())).collect()
        };
        drop(committer);
        let stored = disk.stored();
        prop_assert_eq!(&stored.hops, &memory);
        for hop in 0..2 {
            let key = HopKey { destination: format!("hop-{hop}"), ..HopKey::default() };
            prop_assert_eq!(memory.get(&key).map_or(0, |totals| totals.retries), counted(hop));
        }
        for (node, next) in next.iter().enumerate() {
            let mark = stored.marks.get(&(format!("shop/front node-{node}"), 1)).map_or(0, |mark| mark.sequence);
            prop_assert_eq!(mark, next - 1);
        }
    }
}
