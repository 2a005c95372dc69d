//! Runs a journey the way a real caller would: a series stops at the first failure, a race goes on with the first good answer, a retry
//! tries again after a failure only.
//!
//! Requests do not compete for anything, so what happens after a moment never changes what happened before it: each operator runs its
//! operands to their ends in turn, and then cuts off what its caller did not wait for. What is recorded is the truth, by one clock.
//!
//! Nothing here is shared with inference: the two know of each other through spans alone.

mod abandon;
mod operators;

use super::draw::Draw;
use super::faults::Outages;
use super::service::{Service, ServiceId};
use super::step::{Call, Step};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Well.
    Good,
    /// With a bad answer.
    Error,
    /// Not in time.
    Timeout,
    /// Nobody waited any more.
    Cancelled,
}

/// One side of a call: from, to, and how it ended; nanoseconds since the run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// When it began.
    pub start_ns: i64,
    /// When it ended.
    pub end_ns: i64,
    /// How.
    pub ended: Ended,
}

/// A call that really happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    /// The call in whose handling it was made; `None` for the first.
    pub parent: Option<u32>,
    /// Who was called.
    pub service: ServiceId,
    /// Which of its instances took it.
    pub instance: u16,
    /// Through a queue.
    pub message: bool,
    /// Which try this is, from 1.
    pub attempt: u16,
    /// The caller's side.
    pub client: Side,
    /// The callee's; `None` when the call never reached it.
    pub server: Option<Side>,
    /// Took place at all: what was cut off before it began did not.
    pub happened: bool,
}

/// One request from begin to end.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Parents before children; the first is the entry.
    pub acts: Vec<Act>,
    /// Whether the user got a good answer.
    pub good: bool,
    /// (branch, choice) in the order in which they were taken.
    pub choices: Vec<(usize, usize)>,
}

/// When a step returned to its caller, and whether well.
#[derive(Clone, Copy, Debug)]
struct End {
    at: i64,
    good: bool,
}

/// Where a step stands: whose, from when on, and which try.
#[derive(Clone, Copy)]
struct At {
    caller: u32,
    start: i64,
    attempt: u16,
    message: bool,
}

impl At {
    const fn later(self, start: i64) -> Self {
        Self { start, ..self }
    }
}

/// Runs calls of one world.
pub struct Engine<'a> {
    services: &'a [Service],
    outages: &'a Outages,
    draw: Draw,
    /// When the run begins, nanoseconds since the world's beginning.
    begin_ns: i64,
    run: Run,
}

/// A caller's own time between two calls, nanoseconds: at least this, and an exponential on top.
const GAP_NS: f64 = 20_000.0;
/// One way through the network: median and sigma.
const NETWORK: (f64, f64) = (250_000.0, 0.4);
/// One way through a queue.
const QUEUE: (f64, f64) = (8_000_000.0, 0.8);
/// Share of failures in which the callee is never reached.
const UNREACHED: f64 = 0.3;

impl<'a> Engine<'a> {
    /// An engine for one request that begins at `begin_ns`.
    pub fn new(services: &'a [Service], outages: &'a Outages, draw: Draw, begin_ns: i64) -> Self {
        let run = Run { acts: Vec::new(), good: false, choices: Vec::new() };
        Self { services, outages, draw, begin_ns, run }
    }

    /// The whole request.
    pub fn request(mut self, entry: &Call) -> Run {
        let mut act = self.act(entry, None, At { caller: 0, start: 0, attempt: 1, message: false });
        act.client.ended = Ended::Good;
        self.run.acts.push(act);
        let fails = self.fails(entry.service, 0);
        let side = self.serve(entry, 0, 0, fails);
        self.run.acts[0].server = Some(side);
        self.run.acts[0].client = side;
        self.run.good = side.ended == Ended::Good;
        self.run
    }

    /// How long a step takes when its caller waits for it, nanoseconds.
    pub(super) fn duration_of(mut self, step: &Step) -> i64 {
        self.step(step, At { caller: 0, start: 0, attempt: 1, message: false }).at
    }

    fn act(&mut self, call: &Call, parent: Option<u32>, at: At) -> Act {
        let client = Side { start_ns: at.start, end_ns: at.start, ended: Ended::Good };
        let instance = self.draw.below(self.services[call.service].instances.into()) as u16;
        Act {
            parent,
            service: call.service,
            instance,
            message: at.message,
            attempt: at.attempt,
            client,
            server: None,
            happened: true,
        }
    }

    fn fails(&mut self, service: ServiceId, at: i64) -> bool {
        let down = self.outages.is_down(service, self.begin_ns + at);
        self.draw.chance(if down { 0.97 } else { self.services[service].failure })
    }

    fn network(&mut self) -> i64 {
        self.draw.lognormal(NETWORK.0, NETWORK.1) as i64
    }

    fn gap(&mut self) -> i64 {
        (GAP_NS + self.draw.exponential(GAP_NS)) as i64
    }

    fn call(&mut self, call: &Call, at: At) -> End {
        let index = self.run.acts.len();
        let act = self.act(call, Some(at.caller), at);
        self.run.acts.push(act);
        let there =
            at.start + if at.message { self.draw.lognormal(QUEUE.0, QUEUE.1) as i64 } else { self.network() };
        let fails = self.fails(call.service, there);
        let unreached = fails && !at.message && self.draw.chance(UNREACHED);
        let server = (!unreached).then(|| self.serve(call, index as u32, there, fails));
        let back = server.map_or(there, |side| side.end_ns) + self.network();
        let good = server.is_some_and(|side| side.ended == Ended::Good);
        let ended = if good { Ended::Good } else { Ended::Error };
        self.run.acts[index].server = server;
        // A message is sent when the queue has it.
        let end_ns = if at.message { at.start + self.network() } else { back };
        let ended = if at.message { Ended::Good } else { ended };
        self.run.acts[index].client = Side { start_ns: at.start, end_ns, ended };
        End { at: back, good }
    }

    /// The callee's side: its own work, of which a part comes before its calls. Half of its own failures come after them.
    fn serve(&mut self, call: &Call, index: u32, start: i64, fails: bool) -> Side {
        let service = &self.services[call.service];
        let own = self.draw.lognormal(service.latency_ns, service.sigma);
        let before = self.draw.between(0.3, 0.9);
        let early = fails && self.draw.chance(0.5);
        let mut now = start + (own * before) as i64 + 1_000;
        let mut good = true;
        if let (Some(body), false) = (&call.body, early) {
            let end = self.step(body, At { caller: index, start: now, attempt: 1, message: false });
            (now, good) = (end.at, end.good);
        }
        if good && !early {
            now += (own * (1.0 - before)) as i64;
        }
        let ended = if good && !fails { Ended::Good } else { Ended::Error };
        Side { start_ns: start, end_ns: now + self.gap(), ended }
    }

    fn step(&mut self, step: &Step, at: At) -> End {
        match step {
            Step::Call(call) => self.call(call, at),
            Step::Series(steps) => self.series(steps.iter(), at),
            Step::Parallel { join, spread_ns, fail_fast, losers, branches } => {
                self.parallel(*join, *spread_ns, *fail_fast, *losers, branches, at)
            }
            Step::Race { delay, losers, branches } => self.race(*delay, *losers, branches, at),
            Step::Fallback(steps) => self.fallback(steps, at),
            Step::Branch { id, choices } => self.branch(*id, choices, at),
            Step::Retry { attempts, backoff_ns, body } => self.retry(*attempts, *backoff_ns, body, at),
            Step::Repeat { count, body } => self.series((0..*count).map(|_| &**body), at),
            Step::Async { message, body } => {
                let now = at.start + self.gap();
                self.step(body, At { message: *message, ..at });
                End { at: now, good: true }
            }
            Step::Timeout { after, losers, body } => self.timeout(*after, *losers, body, at),
        }
    }
}
