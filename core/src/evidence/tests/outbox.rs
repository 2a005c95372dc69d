//! The outbox against a model of the control plane, over a network that loses, repeats and breaks.

use std::collections::VecDeque;
use std::vec;

use super::*;
use crate::evidence::outbox::{Acknowledged, Outbox, Report};

const EPOCH: u64 = 77;
const RESEND_AFTER: Micros = Micros(5_000_000);

fn outbox() -> Outbox {
    Outbox::new(EPOCH, Micros(1_000_000), RESEND_AFTER, EvidenceLimits::default())
}

/// Counts durably, acknowledges what is durable, forgets the rest when it restarts.
#[derive(Default)]
struct Server {
    durable: Delta,
    durable_sequence: u64,
    /// Counted but not yet written.
    volatile: Option<Report>,
}

impl Server {
    fn receive(&mut self, report: Report) {
        let next = self.volatile.as_ref().map_or(self.durable_sequence, |held| held.sequence) + 1;
        assert!(report.sequence <= next, "report {} skips {next}", report.sequence);
        if let Some(held) = self.volatile.as_ref().filter(|held| held.sequence == report.sequence) {
            assert_eq!(held, &report, "a report changed between two sends");
        }
        if report.sequence == next && self.volatile.is_none() {
            self.volatile = Some(report);
        }
    }

    fn commit(&mut self) -> u64 {
        if let Some(report) = self.volatile.take() {
            self.durable.merge(report.delta);
            self.durable_sequence = report.sequence;
        }
        self.durable_sequence
    }
}

#[derive(Clone, Debug)]
enum Step {
    Enqueue(Vec<Event>),
    Send,
    LoseReport,
    DeliverReport { again: bool },
    CommitAndAck,
    LoseAck,
    DeliverAck { again: bool },
    Reconnect,
    RestartServer,
    Wait(u64),
    ClockBack(u64),
    Nonsense(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(event(), 0..5).prop_map(Step::Enqueue),
        4 => Just(Step::Send),
        1 => Just(Step::LoseReport),
        4 => any::<bool>().prop_map(|again| Step::DeliverReport { again }),
        3 => Just(Step::CommitAndAck),
        1 => Just(Step::LoseAck),
        3 => any::<bool>().prop_map(|again| Step::DeliverAck { again }),
        1 => Just(Step::Reconnect),
        1 => Just(Step::RestartServer),
        2 => (0..7_000_000_u64).prop_map(Step::Wait),
        1 => (0..7_000_000_u64).prop_map(Step::ClockBack),
        1 => (EPOCH - 1..=EPOCH, 0..40_u64).prop_map(|(epoch, ahead)| Step::Nonsense(epoch, ahead)),
    ]
}

struct World {
    outbox: Outbox,
    server: Server,
    now: Micros,
    reports: VecDeque<Report>,
    acks: VecDeque<u64>,
    recorded: Delta,
}

impl World {
    fn new() -> Self {
        Self {
            outbox: outbox(),
            server: Server::default(),
            now: Micros(1_000_000),
            reports: VecDeque::new(),
            acks: VecDeque::new(),
            recorded: Delta::default(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Enqueue(events) => {
                let delta = delta_of(&events);
                self.recorded.merge(delta.clone());
                self.outbox.enqueue(delta);
            }
            Step::Send => self.reports.extend(self.outbox.next_to_send(self.now).cloned()),
            Step::LoseReport => drop(self.reports.pop_front()),
            Step::DeliverReport { again } => self.deliver_report(again),
            Step::CommitAndAck => self.acks.push_back(self.server.commit()),
            Step::LoseAck => drop(self.acks.pop_front()),
            Step::DeliverAck { again } => self.deliver_ack(again),
            Step::Reconnect => self.reconnect(),
            Step::RestartServer => {
                self.server.volatile = None;
                self.reconnect();
            }
            Step::Wait(time) => self.now = self.now.after(Micros(time)),
            Step::ClockBack(time) => self.now = Micros(self.now.0.saturating_sub(time)),
            // Acknowledges what was never sent, or another life's.
            Step::Nonsense(epoch, ahead) => {
                let sequence = self.server.durable_sequence + 2 + ahead;
                assert_ne!(self.outbox.on_ack(epoch, sequence), Acknowledged::Now);
            }
        }
    }

    fn deliver_report(&mut self, again: bool) {
        let Some(report) = self.reports.pop_front() else { return };
        if again {
            self.reports.push_back(report.clone());
        }
        self.server.receive(report);
    }

    fn deliver_ack(&mut self, again: bool) {
        let Some(sequence) = self.acks.pop_front() else { return };
        if again {
            self.acks.push_back(sequence);
        }
        self.outbox.on_ack(EPOCH, sequence);
    }

    /// The old stream's messages are gone.
    fn reconnect(&mut self) {
        self.reports.clear();
        self.acks.clear();
        self.outbox.on_connected();
    }

    /// The network heals: a bounded number of exchanges settles everything.
    fn settle(&mut self) {
        self.reconnect();
        for _ in 0..3 {
            self.take(Step::Send);
            self.take(Step::DeliverReport { again: false });
            self.take(Step::CommitAndAck);
            self.take(Step::DeliverAck { again: false });
        }
        assert!(self.outbox.is_settled());
    }
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn the_control_plane_counts_exactly_what_was_recorded(steps in prop::collection::vec(step(), 0..80)) {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.take(step));
        world.settle();
        prop_assert_eq!(sorted(world.server.durable), sorted(world.recorded));
    }
}

fn missing(n: u64) -> Delta {
    delta_of(&[Event::Missing(n)])
}

#[test]
fn a_report_is_offered_once_then_after_a_while_then_after_reconnecting() {
    let mut outbox = outbox();
    outbox.enqueue(missing(1));
    let first = outbox.next_to_send(Micros(2_000_000)).cloned().unwrap();
    outbox.enqueue(missing(2));
    assert_eq!(outbox.next_to_send(Micros(2_000_000)), None);
    assert_eq!(outbox.next_to_send(Micros(2_000_001)), None);
    assert_eq!(outbox.next_to_send(Micros(7_000_000)), Some(&first));
    assert_eq!(outbox.next_to_send(Micros(7_000_001)), None);
    outbox.on_connected();
    assert_eq!(outbox.next_to_send(Micros(7_000_002)), Some(&first));
    assert_eq!(outbox.on_ack(EPOCH, 1), Acknowledged::Now);
    let second = outbox.next_to_send(Micros(7_000_003)).unwrap();
    assert_eq!(
        (second.sequence, second.start_unix, second.delta.health.context_missing),
        (2, first.end_unix, 2)
    );
}

#[test]
fn acknowledgements_of_other_reports_change_nothing() {
    let mut outbox = outbox();
    outbox.enqueue(missing(1));
    outbox.next_to_send(Micros(1));
    assert_eq!(outbox.on_ack(EPOCH, 2), Acknowledged::Never);
    assert_eq!(outbox.on_ack(EPOCH, 0), Acknowledged::Before);
    assert_eq!(outbox.on_ack(EPOCH + 1, 1), Acknowledged::Before);
    assert!(!outbox.is_settled());
    assert_eq!(outbox.on_ack(outbox.epoch(), 1), Acknowledged::Now);
    assert_eq!(outbox.on_ack(EPOCH, 1), Acknowledged::Before, "once more");
    assert!(outbox.is_settled());
}

#[test]
fn a_clock_that_goes_back_neither_stops_nor_reverses_reports() {
    let mut outbox = outbox();
    outbox.enqueue(missing(1));
    let report = outbox.next_to_send(Micros(500_000)).cloned().unwrap();
    assert_eq!(report.start_unix, report.end_unix);
    assert_eq!(outbox.next_to_send(Micros(400_000)), Some(&report));
}

#[test]
fn what_an_outbox_leaves_behind_is_counted_once() {
    // The report may have arrived, or not: whoever adopts it cannot know.
    for arrived in [true, false] {
        let mut plane = Vec::new();
        let mut first = Outbox::new(1, Micros(0), Micros(1_000), EvidenceLimits::default());
        first.enqueue(missing(3));
        let sealed = first.next_to_send(Micros(1)).unwrap().clone();
        if arrived {
            plane.push(sealed);
        }
        first.enqueue(missing(4));
        let (sealed, pending) = first.end();
        let mut second = Outbox::new(2, Micros(2), Micros(1_000), EvidenceLimits::default());
        sealed.into_iter().for_each(|report| assert!(second.adopt(report)));
        second.enqueue(pending);
        while let Some(report) = second.next_to_send(Micros(3)).cloned() {
            assert_eq!(second.on_ack(report.epoch, report.sequence), Acknowledged::Now);
            plane.push(report);
        }
        assert!(second.is_settled());
        plane.sort_by_key(|report| (report.epoch, report.sequence));
        plane.dedup_by_key(|report| (report.epoch, report.sequence));
        let counted = plane.into_iter().fold(Delta::default(), |mut all, report| {
            all.merge(report.delta);
            all
        });
        let mut expected = missing(3);
        expected.merge(missing(4));
        assert_eq!(counted, expected, "arrived: {arrived}");
    }
}

#[test]
fn what_can_be_adopted_is_bounded() {
    let mut outbox = Outbox::new(2, Micros(0), Micros(1_000), EvidenceLimits::default());
    let report = |epoch| Report {
        epoch,
        sequence: 1,
        start_unix: Micros(0).to_millis_floor(),
        end_unix: Micros(0).to_millis_floor(),
        delta: Delta::default(),
    };
    let adopted = (10..100).filter(|&epoch| outbox.adopt(report(epoch))).count();
    assert_eq!(adopted, Outbox::ADOPTED_MAX);
}
