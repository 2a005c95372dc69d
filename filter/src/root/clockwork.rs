//! What happens on a tick, and on the streams: the life of a VM outside requests.

use emac_core::enforce::RefusedBudgets;
use emac_core::evidence::{Delta, EvidenceLimits, Report};
use emac_core::units::{Micros, Millis};
use emac_proto::convert::NodeReport;
use emac_proto::v1::ReportRequest;
use prost::Message;

use super::discovery::{self, Discovery, Response};
use super::evidence::EvidenceSender;
use super::leader::Leader;
use super::published::Published;
use crate::host::{Host, Level};
use crate::vm::Vm;
use crate::vm::counters::Event;

const QUEUE: &str = "emac.deltas";
/// Most deltas a leader takes from the queue in one tick.
const DEQUEUE_MAX: usize = 64;
const DRIVER_MISSED_TICKS: u64 = 3;

#[derive(Clone, Copy)]
struct Driver {
    root: u32,
    last_tick: Micros,
}

/// Everything of a VM that ticks move.
#[derive(Default)]
pub(crate) struct Clockwork {
    driver: Option<Driver>,
    /// Root contexts that have begun and not ended.
    roots: u32,
    leader: Leader,
    evidence: EvidenceSender,
    discovery: Discovery,
    published: Published,
    /// Not yet handed over, because nobody led.
    held: Delta,
    queue: Option<u32>,
    last_report: Micros,
}

impl Clockwork {
    /// Whether the root context drives the VM; the first one does, and another when that has stopped ticking.
    pub(super) fn is_driven_by(&mut self, root: u32, now: Micros, tick: Millis) -> bool {
        let patience = tick.to_micros().0.saturating_mul(DRIVER_MISSED_TICKS);
        match self.driver {
            Some(driver) if driver.root != root && now.since(driver.last_tick).0 <= patience => return false,
            Some(driver) if driver.root != root => self.abandon_streams(None),
            _ => {}
        }
        self.driver = Some(Driver { root, last_tick: now });
        true
    }

    /// A root context begins. Whether it is the first: then the VM begins.
    pub(super) const fn enter(&mut self) -> bool {
        self.roots = self.roots.saturating_add(1);
        self.roots == 1
    }

    /// One has ended. Whether it was the last: then the VM ends.
    pub(super) const fn exit(&mut self) -> bool {
        self.roots = self.roots.saturating_sub(1);
        self.roots == 0
    }

    /// A root context goes.
    pub(super) fn leave(&mut self, root: u32, host: Option<&dyn Host>) {
        if self.driver.is_some_and(|driver| driver.root == root) {
            self.driver = None;
            self.abandon_streams(host);
        }
    }

    /// Keeps a delta until somebody leads. Bounded.
    fn hold(&mut self, delta: Delta) {
        self.held.merge_within(delta, &EvidenceLimits::default());
    }

    /// Queues what is held.
    fn give_away(&mut self, host: &dyn Host, queue: u32) {
        if !self.held.is_empty() && host.enqueue(queue, &ReportRequest::from(&self.held).encode_to_vec()) {
            self.held = Delta::default();
        }
    }

    /// Published budgets are applied again on the next tick.
    pub(crate) fn read_budgets_again(&mut self) {
        self.published.read_again();
    }

    fn abandon_streams(&mut self, host: Option<&dyn Host>) {
        self.evidence.abandon(host);
        self.discovery.abandon(host);
    }
}

impl Vm {
    /// One tick.
    pub(super) fn turn(&mut self, host: &dyn Host, now: Micros) {
        self.read_published(host, now);
        self.enforcer.observe(now);
        self.workers.tick(host, self.name.to_bytes(), now, self.settings.tick);
        self.enforcer.share_among(self.workers.count());
        let led_before = self.clockwork.leader.leads();
        let leads = self.clockwork.leader.tick(host, self.name.to_bytes(), now, self.settings.tick);
        if leads && !led_before {
            self.counters.add(Event::Elected);
        }
        if now.since(self.clockwork.last_report) >= self.settings.report || now < self.clockwork.last_report {
            self.clockwork.last_report = now;
            self.report(host);
        }
        if self.settings.control_plane.is_none() {
            return;
        }
        self.hand_over(host, leads, now);
        let stale = self.enforcer.is_stale();
        self.clockwork.evidence.tick(host, &self.settings, leads, now);
        self.clockwork.discovery.tick(host, &self.settings, leads, stale, now);
    }

    /// A root context ends. What was counted since the last report is counted now; with the last root context the VM ends, and what it
    /// has not brought to the control plane is left to the others, or to the next generation.
    pub(super) fn finish(&mut self, host: &dyn Host) {
        let last = self.clockwork.exit();
        self.report(host);
        let Some(workload) = self.settings.workload.as_ref().filter(|_| last) else { return };
        if self.settings.control_plane.is_none() {
            return;
        }
        let (sealed, pending) = self.clockwork.evidence.end();
        self.clockwork.hold(pending);
        if let Some(queue) = self.clockwork.queue.or_else(|| host.queue(QUEUE)) {
            for report in &sealed {
                let message = NodeReport::to_wire(&self.settings.node, workload, report).encode_to_vec();
                host.enqueue(queue, &message);
            }
            self.clockwork.give_away(host, queue);
        }
        self.clockwork.leader.resign(host, self.name.to_bytes());
    }

    /// A message on a stream.
    pub(super) fn on_message(&mut self, host: &dyn Host, token: u32, message: &[u8]) {
        let now = self.read_clock(host);
        if self.clockwork.evidence.owns(token) {
            self.clockwork.evidence.on_message(&mut self.counters, message, now);
        } else if self.clockwork.discovery.owns(token) {
            match self.clockwork.discovery.on_message(&self.settings, message, now) {
                Some(response) => self.on_budgets(host, response, now),
                None => self.counters.add(Event::Garbage),
            }
        }
    }

    /// A stream ended; the host has forgotten it.
    pub(super) fn on_close(&mut self, host: &dyn Host, token: u32, status: u32) {
        let now = self.read_clock(host);
        if self.clockwork.evidence.owns(token) {
            let given_up = self.clockwork.evidence.on_close(status, now);
            let health = self.recorder.health_mut();
            health.dropped = health.dropped.saturating_add(given_up);
        } else if self.clockwork.discovery.owns(token) {
            self.clockwork.discovery.on_close(now);
        } else {
            return;
        }
        self.counters.add(Event::StreamLost);
    }

    /// Takes or refuses what the control plane sent.
    fn on_budgets(&mut self, host: &dyn Host, response: Response, now: Micros) {
        let Response { nonce, offer } = response;
        let judged = offer.and_then(|offer| match offer {
            Some(offered) => self.apply(host, offered, now).map(Some),
            None => Ok(None),
        });
        match judged {
            Ok(taken) => self.clockwork.discovery.acknowledge(host, nonce, taken),
            Err(problem) => {
                self.counters.add(Event::Nack);
                host.log(
                    Level::Warn,
                    &format!(
                        "emac: invalid budgets from the control plane, they were not applied: {problem}"
                    ),
                );
                self.clockwork.discovery.refuse(host, nonce, problem);
            }
        }
    }

    fn apply(
        &mut self,
        host: &dyn Host,
        offered: discovery::Offered,
        now: Micros,
    ) -> Result<discovery::Offered, String> {
        match self.enforcer.apply(now, now, &offered.budgets) {
            Ok(_) => self.clockwork.published.publish(host, now, &offered.resource),
            // Overtaken, which is nobody's mistake.
            Err(RefusedBudgets::Older(_)) => self.counters.add(Event::BudgetsOlder),
            Err(refused) => return Err(refused.to_string()),
        }
        Ok(offered)
    }

    /// Budgets another thread received. They were checked there, so what is refused here is older.
    pub(super) fn read_published(&mut self, host: &dyn Host, now: Micros) {
        let Some(received) = self.clockwork.published.poll(host) else { return };
        if let Ok(budgets) = discovery::decode(&received.resource) {
            let _ = self.enforcer.apply(now, received.at, &budgets);
        }
    }

    /// Takes what was counted: into Envoy's metrics, and into what is to be reported.
    fn report(&mut self, host: &dyn Host) {
        let health = self.recorder.health_mut();
        health.generation = self.enforcer.generation().0;
        health.stale = self.enforcer.is_stale();
        let delta = self.recorder.take_delta();
        self.metrics.add(host, &delta);
        for (name, count) in self.counters.take() {
            self.metrics.count(host, name, count);
        }
        self.metrics.gauge(host, "emac_budget_generation", delta.health.generation);
        self.metrics.gauge(host, "emac_budget_stale", u64::from(delta.health.stale));
        self.metrics.bequeath(host);
        if self.settings.control_plane.is_some() && !delta.is_empty() {
            self.clockwork.hold(delta);
        }
    }

    /// The leader takes what the others queued; the others queue while somebody leads, so that the queue stays short.
    fn hand_over(&mut self, host: &dyn Host, leads: bool, now: Micros) {
        let clockwork = &mut self.clockwork;
        let Some(queue) = clockwork.queue.or_else(|| host.queue(QUEUE)) else { return };
        clockwork.queue = Some(queue);
        if leads {
            clockwork.evidence.enqueue(core::mem::take(&mut clockwork.held), now);
            let mut broken = 0;
            for item in core::iter::from_fn(|| host.dequeue(queue)).take(DEQUEUE_MAX) {
                let taken = match read_item(&item) {
                    Some(Item::Delta(delta)) => {
                        clockwork.evidence.enqueue(delta, now);
                        true
                    }
                    Some(Item::Sealed(report)) => clockwork.evidence.adopt(report, now),
                    None => false,
                };
                broken += u64::from(!taken);
            }
            let health = self.recorder.health_mut();
            health.internal_errors = health.internal_errors.saturating_add(broken);
        } else if clockwork.leader.is_led() {
            clockwork.give_away(host, queue);
        }
    }
}

/// What lies in the queue.
enum Item {
    /// Of another thread.
    Delta(Delta),
    /// Of a VM that has ended: it may have been counted.
    Sealed(Report),
}

fn read_item(item: &[u8]) -> Option<Item> {
    let message = ReportRequest::decode(item).ok()?;
    if message.epoch == 0 {
        return Delta::try_from(message).ok().map(Item::Delta);
    }
    NodeReport::try_from(message).ok().map(|sealed| Item::Sealed(sealed.report))
}
