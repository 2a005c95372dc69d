//! The control plane and its sidecars: what happens, and what follows from it.

mod plans;
mod reports;

use std::collections::VecDeque;

use super::costs::Costs;
use super::planning::{self, Planning};
use super::queue::{Cores, Events, Nanos, Running};
use super::sidecar::Sidecar;

/// Of the committer: most reports in a transaction.
const BATCH_MAX: usize = 512;
/// Of the publisher: renewals are gathered for so long.
const RENEWAL_TICK: Nanos = 250_000_000;
/// Leases of a minute are renewed between a quarter and a third of it.
const RENEWED_AFTER: f64 = 17.5e9;
/// Of the watch of files: how long all must be quiet, and how long one waits for that.
const QUIET: Nanos = 15_000_000;
const QUIET_WITHIN: Nanos = 150_000_000;
pub(super) const WORKLOADS: usize = 10;

/// Kinds of threads.
pub(super) const LANES: [&str; 5] = ["reports and streams", "committer", "planning", "renewals", "clients"];
const SERVE: usize = 0;
const COMMIT: usize = 1;
const PLAN: usize = 2;
const RENEW: usize = 3;
const CLIENT: usize = 4;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Sidecars, each of a workload of its own; ten to a journey.
    pub sidecars: usize,
    /// Processor cores.
    pub cores: usize,
    /// Each reports this often.
    pub report_every: Nanos,
    /// `evidence.queue`.
    pub queue: usize,
    /// `evidence.commitDelay`.
    pub delay: Nanos,
    /// Whether the sidecars run on the same cores, as in the measurement.
    pub shared: bool,
    /// Of the phases of reports and of waits.
    pub seed: u64,
}

#[derive(Debug)]
pub(super) enum Event {
    /// A sidecar looks at the time.
    Tick(u32),
    /// A core has worked for a while.
    Worked(Running<Job>),
    /// The committer has waited for company; which of its waits.
    Gathered(u64),
    /// The disk has what was written.
    Flushed,
    Period,
    Renewal,
    /// Files changed, and it was quiet for a while, or long enough not quiet.
    Settled,
}

#[derive(Debug)]
pub(super) enum Job {
    /// Of a sidecar: it sends its report of a sequence on a stream.
    Write(Note),
    Receive(Note),
    Refuse(Note),
    Commit,
    Answer(Note),
    Hear(Note),
    Read(u32),
    Piece,
    Publish(u32),
    Renew(u32),
    /// Budgets for a sidecar; whether they tell a change.
    Send(bool),
    Told(bool),
}

/// A report on its way: the sidecar, its stream, its sequence and the intervals in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note {
    sidecar: u32,
    stream: u32,
    sequence: u32,
    intervals: u32,
}

/// What happened since it was last taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    /// From sealing to acknowledgement, nanoseconds.
    pub durable: Vec<Nanos>,
    /// Reports that came to the queue.
    pub came: u64,
    /// Those of them that found it full.
    pub refused: u64,
    /// Reports that were counted before.
    pub again: u64,
    /// Transactions.
    pub commits: u64,
    /// Nanoseconds in which the committer worked or waited for the disk.
    pub committing: Nanos,
}

/// See the module.
pub struct Mesh {
    pub(super) setting: Setting,
    costs: Costs,
    pub(super) events: Events<Event>,
    pub(super) cores: Cores<Job>,
    sidecars: Vec<Sidecar>,
    random: fastrand::Rng,
    queue: VecDeque<Note>,
    batch: Vec<Note>,
    committer: Committer,
    began: Nanos,
    pub(super) planning: Planning,
    writing: Writing,
    renewed: Nanos,
    due: f64,
    /// Told of a change so far, and when the last was.
    pub(super) told: (u64, Nanos),
    pub(super) counted: Counted,
}

/// Files that are being written: those not read yet, when the last is there, and how long each takes.
#[derive(Clone, Copy, Debug, Default)]
struct Writing {
    left: usize,
    end: Nanos,
    each: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Committer {
    Idle,
    Gathers(u64),
    Works,
}

impl Writing {
    /// Files that are there and were not read before; they are from now on.
    fn written(&mut self, now: Nanos) -> usize {
        let missing = self.end.saturating_sub(now).checked_div(self.each).unwrap_or(0) as usize;
        let there = self.left.saturating_sub(missing);
        self.left -= there;
        there
    }
}

impl Mesh {
    /// A process that starts: it reads the intents and plans; sidecars come with [`Mesh::connect`].
    pub fn new(setting: Setting, costs: &Costs) -> Self {
        let journeys = setting.sidecars.div_ceil(WORKLOADS);
        let mut mesh = Self {
            costs: costs.clone(),
            events: Events::default(),
            // As many workers of streams and threads of planning as cores, one committer, one that renews.
            cores: Cores::new(setting.cores, &[setting.cores, 1, setting.cores, 1, setting.cores]),
            sidecars: Vec::new(),
            random: fastrand::Rng::with_seed(setting.seed),
            queue: VecDeque::new(),
            batch: Vec::new(),
            committer: Committer::Idle,
            began: 0,
            planning: Planning::new(costs, setting.cores, journeys),
            writing: Writing::default(),
            renewed: 0,
            due: 0.0,
            told: (0, 0),
            counted: Counted::default(),
            setting,
        };
        let read = costs.start + costs.read * journeys as Nanos;
        mesh.cores.offer(PLAN, read, Job::Read(journeys as u32));
        mesh.work();
        mesh
    }

    /// Every sidecar is there from now on, and the loops turn.
    pub fn connect(&mut self) {
        let (now, every) = (self.events.now(), self.setting.report_every);
        for place in 0..self.setting.sidecars as u32 {
            let phase = now + 1 + self.random.u64(0..every);
            self.sidecars.push(Sidecar::new(phase));
            self.events.at(phase, Event::Tick(place));
        }
        self.renewed = now;
        self.events.after(planning::PERIOD, Event::Period);
        self.events.after(RENEWAL_TICK, Event::Renewal);
    }

    /// Somebody writes the intents of so many journeys, one file after the other.
    pub fn change(&mut self, journeys: usize) {
        let each = if self.setting.shared { self.costs.write } else { 0 };
        let end = self.events.now() + each * journeys as Nanos;
        self.writing = Writing { left: journeys, end, each };
        self.events.at((end + QUIET).min(self.events.now() + QUIET_WITHIN), Event::Settled);
    }

    /// Lets time pass until `end`, or until `enough` says so.
    pub fn run(&mut self, end: Nanos, enough: impl Fn(&Self) -> bool) {
        while !enough(self)
            && let Some(event) = self.events.next_before(end)
        {
            self.happen(event);
            self.work();
        }
    }

    /// Intervals of calls: counted by sidecars, counted here, in reports that are not counted, and pending.
    pub fn balance(&self) -> [u64; 4] {
        let mut sum = [0; 4];
        for sidecar in &self.sidecars {
            let in_flight = if sidecar.sequence > sidecar.counted.0 { sidecar.sealed } else { 0 };
            let parts = [sidecar.produced, sidecar.counted.1, in_flight, sidecar.pending()];
            sum.iter_mut().zip(parts).for_each(|(sum, part)| *sum += u64::from(part));
        }
        sum
    }

    fn work(&mut self) {
        while let Some(turn) = self.cores.take() {
            self.events.after(turn.length, Event::Worked(turn.running));
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Tick(place) => self.tick(place),
            Event::Worked(running) => {
                if let Some(job) = self.cores.end(running) {
                    self.done(job);
                }
            }
            Event::Gathered(number) => {
                if self.committer == Committer::Gathers(number) {
                    self.commit();
                }
            }
            Event::Flushed => self.flushed(),
            Event::Period => {
                self.step(true);
                self.events.after(planning::PERIOD, Event::Period);
            }
            Event::Renewal => self.renew(),
            Event::Settled => {
                let journeys = self.writing.written(self.events.now());
                let all = self.setting.sidecars.div_ceil(WORKLOADS);
                let length = self.costs.copy * all as Nanos + self.costs.read * journeys as Nanos;
                self.cores.offer(PLAN, length, Job::Read(journeys as u32));
            }
        }
    }

    fn done(&mut self, job: Job) {
        match job {
            Job::Write(note) => self.arrive(note),
            Job::Receive(note) => self.received(note),
            Job::Refuse(note) => self.refused(note),
            Job::Commit => self.events.after(self.costs.flush, Event::Flushed),
            Job::Answer(note) if self.setting.shared => {
                self.cores.offer(CLIENT, self.costs.client_report / 2, Job::Hear(note))
            }
            Job::Answer(note) | Job::Hear(note) => self.answered(note),
            Job::Read(journeys) => {
                self.planning.change(journeys as usize);
                self.step(false);
                if self.writing.left > 0 {
                    // What was written meanwhile is a change of its own, and who writes without end is read in between.
                    let now = self.events.now();
                    let quiet = self.writing.end.max(now) + QUIET;
                    self.events.at(quiet.min(now + QUIET_WITHIN), Event::Settled);
                }
            }
            Job::Piece => self.piece(),
            Job::Publish(changed) => self.published(changed as usize),
            Job::Renew(due) => {
                (0..due).for_each(|_| self.cores.offer(SERVE, self.costs.send, Job::Send(false)));
                self.events.after(RENEWAL_TICK, Event::Renewal);
            }
            Job::Send(told) if self.setting.shared => {
                self.cores.offer(CLIENT, self.costs.client_told, Job::Told(told))
            }
            Job::Send(told) | Job::Told(told) => {
                if told {
                    self.told = (self.told.0 + 1, self.events.now());
                }
            }
        }
    }
}
