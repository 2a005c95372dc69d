//! The end of a call: how it ended, how often it was tried, and its record.

use emac_core::context::UNDECLARED;
use emac_core::evidence::HopRecord;
use emac_core::outcome::{EndedBy, Outcome};
use emac_core::units::{Micros, Millis};

use super::CallState;
use crate::config::{Config, CountRetries};
use crate::host::{Host, taken};
use crate::stream::finish::{self, Finished, Seen};
use crate::stream::headers::{decimal, integer};
use crate::stream::ids::Ids;
use crate::vm::Vm;
use crate::vm::counters::Event;

/// Written by the router: how long it will wait, for one try where the route says so, else for all.
const EXPECTED_TIMEOUT: [&str; 3] = ["request", "headers", "x-envoy-expected-rq-timeout-ms"];

impl CallState {
    /// Counts how it ended.
    pub(in crate::stream) fn finish(
        mut self,
        vm: &mut Vm,
        host: &dyn Host,
        start: Micros,
        latency: Micros,
        complete: bool,
        config: Option<&Config>,
    ) -> Finished {
        self.follow_plan(vm);
        if self.waiting.is_some() && finish::final_status(host) == 0 {
            // The caller left before anybody answered. With a status, the proxy gave up on a failure that was held back.
            self.ending = Some(Outcome::Cancelled);
        }
        let finished = self.ended(vm, host, latency, complete);
        let count = config.map_or(CountRetries::Budgeted, |config| config.count_retries);
        let (retries, exact) = self.tries_after_first(vm, host, count, finished.outcome);
        if self.asks_route
            && let Some(watch) = vm.hops.watch(self.hop)
        {
            let wait = taken(|read| host.property(&EXPECTED_TIMEOUT, read), decimal).flatten();
            watch.route_waits(wait.map(Millis));
        }
        vm.recorder.record(self.hop.record, finished.outcome, latency);
        if retries > 0 {
            vm.recorder.retried(self.hop.record, retries);
            vm.enforcer.on_end(self.hop.budget, retries);
        }
        if let Some(ids) = self.record.take() {
            let ended_by = match self.ending {
                Some(Outcome::Cancelled) => EndedBy::Caller,
                Some(_) => EndedBy::Filter,
                None => finish::ended_by(host, finished.outcome),
            };
            self.keep_record(vm, (&ids, ended_by), start, latency, &finished, exact);
        }
        finished
    }

    /// How it ended: as was decided here, else as the answer says.
    fn ended(&self, vm: &mut Vm, host: &dyn Host, latency: Micros, complete: bool) -> Finished {
        let mut finished = match self.ending {
            // Only a record tells the status of what was answered here.
            Some(outcome) => {
                let status = if self.record.is_some() { finish::final_status(host) } else { 0 };
                Finished { outcome, status, degraded: false, denied: false }
            }
            None => {
                let predicate = vm.enforcer.success(self.hop.budget);
                let seen = Seen {
                    status: self.status,
                    complete,
                    grpc: self.grpc,
                    grpc_status: self.grpc_status,
                    endless: self.endless || !complete && self.message.is_some_and(|(end, seen)| seen >= end),
                    asks_endless: self.asks_endless,
                    latency,
                };
                finish::classify(host, seen, predicate)
            }
        };
        finished.degraded = self.degraded;
        if finished.denied
            && !vm.enforcer.success(self.hop.budget).is_some_and(|named| !named.http.is_empty())
        {
            vm.counters.add(Event::Denied);
        }
        finished
    }

    /// Tries after the first as they are counted, and exactly: the latter only for a call that is recorded, else 0.
    fn tries_after_first(
        &self,
        vm: &mut Vm,
        host: &dyn Host,
        count: CountRetries,
        outcome: Outcome,
    ) -> (u32, u32) {
        // A record is exact, also where counting leaves calls out.
        let recorded = self.record.is_some() || count == CountRetries::All;
        let exact = recorded.then(|| attempts_after_first(host));
        let counted = match (count, exact) {
            (CountRetries::Budgeted, _) if !vm.enforcer.counts_retries(self.hop.budget) => 0,
            (_, Some(exact)) => {
                vm.hops.watch(self.hop).into_iter().for_each(|watch| watch.saw(exact));
                exact
            }
            (_, None) => self.retries(vm, host, outcome),
        };
        (counted, exact.unwrap_or_default())
    }

    /// Tries after the first: looked at always while there are any, now and then when there are none.
    fn retries(&self, vm: &mut Vm, host: &dyn Host, outcome: Outcome) -> u32 {
        let Some(watch) = vm.hops.watch(self.hop) else { return attempts_after_first(host) };
        if !watch.wants_a_look(outcome) {
            return 0;
        }
        let retries = attempts_after_first(host);
        watch.saw(retries);
        retries
    }

    fn keep_record(
        &mut self,
        vm: &mut Vm,
        (ids, ended_by): (&Ids, EndedBy),
        start: Micros,
        latency: Micros,
        finished: &Finished,
        retries: u32,
    ) {
        let Some(mut hop) = vm.recorder.hop_key(self.hop.record).cloned() else { return };
        if self.undeclared {
            hop.journey = UNDECLARED.to_owned();
        }
        if let Some(entry) = self.entry.take() {
            hop.operation = entry.into();
        }
        vm.recorder.keep(HopRecord {
            trace_id: ids.trace_id,
            parent_span_id: ids.parent_span_id,
            hop,
            start_unix_us: start.0,
            duration: latency,
            outcome: finished.outcome,
            attempts: retries.saturating_add(1),
            status: finished.status,
            inbound: false,
            request_id: ids.request_id,
            ended_by,
        });
    }
}

fn attempts_after_first(host: &dyn Host) -> u32 {
    let attempts = integer(host, &["upstream", "request_attempt_count"]).unwrap_or(1);
    u32::try_from(attempts.saturating_sub(1)).unwrap_or_default()
}
