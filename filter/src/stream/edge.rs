//! A request entering the mesh: contexts from outside are not believed, the journey is recognised, its deadline set.

use emac_core::context::{Absolute, Context, Flags, Remaining, TraceParent, baggage, is_chosen};
use emac_core::entry::Request;
use emac_core::evidence::{JourneyEnd, JourneyIndex};
use emac_core::outcome::Outcome;
use emac_core::units::{Micros, Millis};

use super::count_invalid;
use super::finish::Finished;
use super::headers::{self, All};
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
    flags: Flags,
    id: u64,
    /// Some hop answered in a degraded way.
    pub(super) degraded: bool,
}

/// Recognises the journey; its name is given apart so that a context can borrow it.
pub(super) fn enter(vm: &mut Vm, headers: &All) -> (Option<Visit>, Option<Box<str>>) {
    if baggage::has_ours(&headers.joined("baggage")) {
        count_invalid(vm);
    }
    if headers::is_shadow(headers.host()) {
        vm.counters.add(Event::Shadow);
        return (None, None);
    }
    let Some(journey) = vm.enforcer.classify(headers) else { return (None, None) };
    let trace = headers.header("traceparent").and_then(|header| TraceParent::parse(header).ok());
    let sampled = trace.is_some_and(|trace| is_chosen(trace.trace_id, journey.record));
    let mut visit = Visit {
        index: vm.recorder.journey(&journey.name),
        name: journey.name.as_str().into(),
        deadline: journey.deadline,
        flags: Flags::new(journey.priority).sampled(sampled),
        id: 0,
        degraded: false,
    };
    visit.id = vm.next_id();
    let name = visit.name.clone();
    (Some(visit), Some(name))
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

impl Visit {
    /// The context of this request, as of its arrival.
    pub(super) fn context<'a>(&self, journey: &'a str, now: Micros) -> Context<'a, Absolute> {
        Context { journey, deadline: Remaining(self.deadline).at(now), flags: self.flags, id: self.id }
    }

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
