//! A request entering the mesh: contexts from outside are not believed, the journey is recognised, its deadline set.

use emac_core::context::{
    Absolute, Context, Flags, REMAINING_MAX, Remaining, UNDECLARED, baggage, is_chosen,
};
use emac_core::entry::{Request, is_machinery, name_operation};
use emac_core::evidence::{JourneyEnd, JourneyIndex};
use emac_core::outcome::Outcome;
use emac_core::units::{Micros, Millis, Ppm};

use super::count_invalid;
use super::finish::Finished;
use super::headers::{self, All};
use super::ids;
use crate::config::Config;
use crate::host::Host;
use crate::vm::Vm;
use crate::vm::counters::Event;

/// A request on a journey.
#[derive(Debug)]
pub(super) struct Visit {
    /// `None`: more journeys than the cap; counted by the recorder.
    index: Option<JourneyIndex>,
    name: Box<str>,
    deadline: Millis,
    /// Some hop answered in a degraded way.
    pub(super) degraded: bool,
}

/// A request that goes on with a context: on a declared journey, or on none and followed all the same.
#[derive(Debug)]
pub(super) struct Entered {
    /// `None`: on no declared journey.
    pub(super) visit: Option<Box<Visit>>,
    journey: Box<str>,
    deadline: Millis,
    flags: Flags,
    id: u64,
    /// The operation by which a request on no declared journey entered.
    pub(super) entry: Option<Box<str>>,
}

/// Recognises the journey, and chooses whether its hops are recorded one by one.
pub(super) fn enter(
    vm: &mut Vm,
    host: &dyn Host,
    config: &Config,
    headers: &mut All,
    now: Micros,
) -> Option<Entered> {
    if baggage::has_ours(&headers.joined("baggage")) {
        count_invalid(vm);
    }
    if headers::is_shadow(headers.host()) {
        vm.counters.add(Event::Shadow);
        return None;
    }
    let id = vm.next_id();
    let Some(journey) = vm.enforcer.classify(headers) else {
        return follow(vm, host, config, headers, (now, id));
    };
    let visit = Visit {
        index: vm.recorder.journey(&journey.name),
        name: journey.name.as_str().into(),
        deadline: journey.deadline,
        degraded: false,
    };
    let (record, priority) = (journey.record, journey.priority);
    let found = ids::of_entering(vm, headers, config.mint_traceparent);
    let sampled = found.filter(|found| is_chosen(found.trace_id, record));
    let entered = Entered {
        journey: visit.name.clone(),
        deadline: visit.deadline,
        flags: Flags::new(priority).sampled(sampled.is_some()),
        id,
        entry: None,
        visit: Some(Box::new(visit)),
    };
    if let Some(sampled) = sampled {
        sampled.write(vm, host, headers);
    }
    Some(entered)
}

/// A request on no declared journey: one of the share that is followed, if its entry is one of few.
fn follow(
    vm: &mut Vm,
    host: &dyn Host,
    config: &Config,
    headers: &mut All,
    (now, id): (Micros, u64),
) -> Option<Entered> {
    if config.undeclared == Ppm::ZERO || is_machinery(headers) {
        return None;
    }
    let found = ids::of_entering(vm, headers, config.mint_traceparent)?;
    if !is_chosen(found.trace_id, config.undeclared) {
        return None;
    }
    let mut name = String::new();
    name_operation(headers.method(), headers.path(), headers.is_grpc(), &config.templates, &mut name);
    if !vm.entries.admit(&name, now) {
        vm.counters.add(Event::EntryDropped);
        return None;
    }
    found.write(vm, host, headers);
    Some(Entered {
        visit: None,
        journey: UNDECLARED.into(),
        deadline: REMAINING_MAX,
        flags: Flags::default().sampled(true),
        id,
        entry: Some(name.into()),
    })
}

/// Writes our member, or takes away what was there. Other people's baggage stays as it is, also where nothing has to be written.
pub(super) fn write(vm: &mut Vm, host: &dyn Host, headers: &All, context: Option<&dyn baggage::Member>) {
    let before = headers.joined("baggage");
    if context.is_none() && !baggage::has_ours(&before) {
        return;
    }
    let written = baggage::replace(&before, context);
    if written.omitted {
        vm.counters.add(Event::ContextOmitted);
        if !baggage::has_ours(&before) {
            return;
        }
    }
    if headers.is_repeated("baggage") {
        host.remove_request_header("baggage");
    }
    match written.header.as_slice() {
        b"" => host.remove_request_header("baggage"),
        header => host.set_request_header("baggage", header),
    }
}

impl Entered {
    /// The context of this request, as of its arrival.
    pub(super) fn context(&self, now: Micros) -> Context<'_, Absolute> {
        let deadline = Remaining(self.deadline).at(now);
        Context { journey: &self.journey, deadline, flags: self.flags, id: self.id }
    }
}

impl Visit {
    pub(super) fn finish(self, vm: &mut Vm, host: &dyn Host, latency: Micros, finished: &Finished) {
        let degraded = self.degraded || finished.degraded;
        let within_deadline = latency <= self.deadline.to_micros();
        if let Some(index) = self.index {
            let end = JourneyEnd { outcome: finished.outcome, latency, within_deadline, degraded };
            vm.recorder.record_journey(index, end);
        }
        if matches!(finished.outcome, Outcome::Success | Outcome::Fallback | Outcome::Alternate) {
            vm.metrics.journey_latency(host, &self.name, latency);
        }
    }
}
