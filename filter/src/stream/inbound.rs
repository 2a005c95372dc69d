//! A request arriving at the workload.

use emac_core::context::{Absolute, Context, TraceParent, baggage};
use emac_core::entry::Request;
use emac_core::evidence::HopRecord;
use emac_core::id::HopKey;
use emac_core::units::Micros;

use super::finish::Finished;
use super::headers::{self, All};
use super::{count_invalid, notice_unknown};
use crate::config::{Config, Join};
use crate::host::Host;
use crate::vm::counters::Event;
use crate::vm::live::{self, Due};
use crate::vm::marks::{self, Marks};
use crate::vm::passes::Pass;
use crate::vm::{Vm, slots};

/// What must be known when the answer comes.
#[derive(Debug)]
pub(super) struct Arrival {
    /// The request's number in this pod.
    id: u64,
    /// Its context waits under this trace id.
    waits: Option<[u8; 16]>,
    /// The deadline, which begins when the client has sent its request.
    begins: Option<Due>,
    /// The answer has begun, so that no deadline binds any more.
    answered: bool,
    /// Under which outbound sides mark degraded answers.
    key: u128,
    /// When calls are recorded one by one: whose, and on which journey.
    record: Option<Box<(TraceParent, String)>>,
}

/// Takes the context into the pod: absolute, and where the outbound side will find it.
pub(super) fn arrive(
    vm: &mut Vm,
    host: &dyn Host,
    config: &Config,
    (start, pass): (Micros, Pass),
    end: bool,
) -> Option<Arrival> {
    // Most requests of a mesh that carry baggage are on a journey, of which more is asked; and baggage may stand in several headers.
    host.request_header("baggage")?;
    let headers = All::read(host);
    let header = headers.joined("baggage");
    let mut decoded = Vec::new();
    let context = match baggage::find(&header, &mut decoded) {
        Ok(None) => return None,
        Ok(Some(context)) => context,
        Err(_) => {
            count_invalid(vm);
            strip(host, &header);
            return None;
        }
    };
    let trace = || headers.header("traceparent").map(<[u8]>::to_vec);
    let Some(context) = context.remaining() else {
        if let (Pass::Again(_), emac_core::context::Deadline::Absolute(deadline)) = (pass, context.deadline) {
            // Written by the first pass.
            return Some(keep(vm, host, config, &context.due(deadline), trace, end));
        }
        // A time of another pod's clock: nothing here could tell how far it is.
        count_invalid(vm);
        strip(host, &header);
        return None;
    };
    if headers::is_shadow(headers.host()) {
        vm.counters.add(Event::Shadow);
        strip(host, &header);
        return None;
    }
    notice_unknown(vm, context.journey);
    if headers.header("upgrade").is_some() {
        // What goes on over an upgraded connection is no part of the answer that the journey waits for.
        strip(host, &header);
        return None;
    }
    let context = context.arrive(start, vm.next_id());
    let written = baggage::replace(&header, Some(&context));
    match written.header.as_slice() {
        b"" => host.remove_request_header("baggage"),
        header => host.set_request_header("baggage", header),
    }
    let mut arrival = keep(vm, host, config, &context, trace, end);
    if written.omitted {
        vm.counters.add(Event::ContextOmitted);
        arrival.wait(host, &context, trace());
    }
    Some(arrival)
}

/// The same for a context made here, at the edge.
pub(super) fn start(
    vm: &mut Vm,
    host: &dyn Host,
    config: &Config,
    headers: &All,
    context: Option<Context<'_, Absolute>>,
    end: bool,
) -> Option<Arrival> {
    let trace = || headers.header("traceparent").map(<[u8]>::to_vec);
    context.map(|context| keep(vm, host, config, &context, trace, end))
}

fn strip(host: &dyn Host, header: &[u8]) {
    if !baggage::has_ours(header) {
        return;
    }
    match baggage::replace(header, None).header.as_slice() {
        b"" => host.remove_request_header("baggage"),
        others => host.set_request_header("baggage", others),
    }
}

fn keep(
    vm: &Vm,
    host: &dyn Host,
    config: &Config,
    context: &Context<'_, Absolute>,
    trace: impl FnOnce() -> Option<Vec<u8>>,
    end: bool,
) -> Arrival {
    let wanted = config.join == Join::TraceParent || context.flags.is_sampled();
    let header = if wanted { trace() } else { None };
    let trace = header.as_deref().and_then(|header| TraceParent::parse(header).ok());
    let remaining = context.deadline.left(vm.clock());
    let begins = (!end).then_some(Due::After(remaining));
    live::put(host, context.id, begins.unwrap_or(Due::At(context.deadline)));
    let record = trace.filter(|_| context.flags.is_sampled());
    let mut arrival = Arrival {
        id: context.id,
        waits: None,
        begins,
        answered: false,
        key: marks::key_of(context),
        record: record.map(|trace| Box::new((trace, context.journey.to_owned()))),
    };
    if config.join == Join::TraceParent {
        arrival.wait(host, context, header);
    }
    arrival
}

impl Arrival {
    /// The context waits for outgoing calls under the request's trace id.
    fn wait(&mut self, host: &dyn Host, context: &Context<'_, Absolute>, traceparent: Option<Vec<u8>>) {
        let trace = traceparent.and_then(|header| TraceParent::parse(&header).ok());
        if let Some(trace) = trace {
            slots::put_context(host, trace.trace_id, context);
            self.waits = Some(trace.trace_id);
        }
    }

    /// The client has sent its request: the deadline begins.
    pub(super) fn on_request_end(&mut self, host: &dyn Host, now: Micros) {
        if let Some(due) = self.begins.take().filter(|_| !self.answered) {
            live::put(host, self.id, Due::At(due.as_of(now)));
        }
    }

    /// The answer has begun: the journey waits for nothing any more.
    pub(super) fn on_answer(&mut self, host: &dyn Host) {
        if self.answered {
            return;
        }
        self.answered = true;
        live::end(host, self.id);
        if let Some(trace_id) = self.waits {
            slots::end_context(host, trace_id, self.id);
        }
    }

    /// The request is over, perhaps without an answer.
    pub(super) fn on_end(&self, host: &dyn Host) {
        if !self.answered {
            live::abandon(host, self.id);
        }
    }

    /// Whether a call made for this request was answered in a degraded way.
    pub(super) fn is_degraded(&self, vm: &mut Vm, host: &dyn Host, start: Micros) -> bool {
        vm.marks.any_since(host, start, || host.now()) && Marks::is_marked(host, self.key)
    }

    pub(super) const fn is_recorded(&self) -> bool {
        self.record.is_some()
    }

    pub(super) fn finish(self, vm: &mut Vm, start: Micros, latency: Micros, finished: &Finished) {
        let Some((trace, journey)) = self.record.map(|record| *record) else { return };
        let destination = vm.settings.source.to_string();
        vm.recorder.keep(HopRecord {
            trace_id: trace.trace_id,
            parent_span_id: trace.parent_span_id,
            hop: HopKey { journey, destination, ..HopKey::default() },
            start_unix_us: start.0,
            duration: latency,
            outcome: finished.outcome,
            attempts: 1,
            status: finished.status,
            inbound: true,
        });
    }
}
