//! A request arriving at the workload.

use emac_core::context::{Absolute, Context, Deadline, baggage};
use emac_core::entry::Request;
use emac_core::evidence::HopRecord;
use emac_core::id::HopKey;
use emac_core::units::Micros;

use super::finish::{self, Finished};
use super::headers::{self, All, Headers};
use super::ids::Ids;
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
    /// How it ended its answer's `grpc-status` says.
    pub(super) grpc: bool,
    /// Its context waits under these ids.
    waits: Option<Box<Ids>>,
    /// The deadline, which begins when the client has sent its request.
    begins: Option<Due>,
    /// The answer has begun, so that no deadline binds any more.
    answered: bool,
    /// Under which outbound sides mark degraded answers.
    key: u128,
    /// When calls are recorded one by one: whose, and on which journey.
    record: Option<Box<(Ids, HopKey)>>,
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
    let headers = Headers::of(host);
    if !(vm.expects.inbound || headers.has("baggage")) {
        return None;
    }
    let headers = headers.all();
    let header = headers.joined("baggage");
    vm.expects.inbound = !header.is_empty();
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
    if let (Pass::Again(_), Deadline::Absolute(deadline)) = (pass, context.deadline) {
        // Written by the first pass.
        return Some(keep(vm, host, config, headers, &context.due(deadline), end));
    }
    let Some(context) = context.remaining().filter(|context| goes_on(vm, headers, context.journey)) else {
        if matches!(context.deadline, Deadline::Absolute(_)) {
            // A time of another pod's clock: nothing here could tell how far it is.
            count_invalid(vm);
        }
        strip(host, &header);
        return None;
    };
    let context = context.arrive(start, vm.next_id());
    Some(take_in(vm, host, config, (headers, &header), &context, end))
}

/// Writes the context for the application, and keeps what must be known when the answer comes.
fn take_in(
    vm: &mut Vm,
    host: &dyn Host,
    config: &Config,
    (headers, header): (&All, &[u8]),
    context: &Context<'_, Absolute>,
    end: bool,
) -> Arrival {
    let written = baggage::replace(header, Some(context));
    match written.header.as_slice() {
        b"" => host.remove_request_header("baggage"),
        header => host.set_request_header("baggage", header),
    }
    let mut arrival = keep(vm, host, config, headers, context, end);
    if written.omitted {
        vm.counters.add(Event::ContextOmitted);
        arrival.wait(host, context, Ids::read(headers));
    }
    arrival
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
    context.map(|context| keep(vm, host, config, headers, &context, end))
}

/// Whether the request is a part of its journey: no copy, and no connection that goes on after its answer.
fn goes_on(vm: &mut Vm, headers: &All, journey: &str) -> bool {
    if headers::is_shadow(headers.host()) {
        vm.counters.add(Event::Shadow);
        return false;
    }
    notice_unknown(vm, journey);
    headers.header("upgrade").is_none()
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
    headers: &All,
    context: &Context<'_, Absolute>,
    end: bool,
) -> Arrival {
    let wanted = config.join == Join::TraceParent || context.flags.is_sampled();
    let ids = if wanted { Ids::read(headers) } else { None };
    let remaining = context.deadline.left(vm.clock());
    let begins = (!end).then_some(Due::After(remaining));
    live::put(host, context.id, begins.unwrap_or(Due::At(context.deadline)));
    let record = ids.filter(|_| context.flags.is_sampled());
    let hop = || HopKey {
        journey: context.journey.to_owned(),
        destination: vm.settings.source.to_string(),
        ..HopKey::default()
    };
    let mut arrival = Arrival {
        id: context.id,
        grpc: headers.is_grpc(),
        waits: None,
        begins,
        answered: false,
        key: marks::key_of(context),
        record: record.map(|ids| Box::new((ids, hop()))),
    };
    if config.join == Join::TraceParent {
        arrival.wait(host, context, ids);
    }
    arrival
}

impl Arrival {
    /// The context waits for outgoing calls under the request's ids: which of them the application hands on is not known.
    fn wait(&mut self, host: &dyn Host, context: &Context<'_, Absolute>, ids: Option<Ids>) {
        if let Some(ids) = ids {
            slots::put_context(host, ids.trace_id, context);
            slots::put_context(host, ids.request_id, context);
            self.waits = Some(Box::new(ids));
        }
    }

    /// By which operation a request on no declared journey entered.
    pub(super) fn enter_by(&mut self, entry: Option<Box<str>>) {
        if let (Some(record), Some(entry)) = (&mut self.record, entry) {
            record.1.operation = entry.into();
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
        if let Some(ids) = &self.waits {
            slots::end_context(host, ids.trace_id, self.id);
            slots::end_context(host, ids.request_id, self.id);
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

    pub(super) fn finish(
        self,
        vm: &mut Vm,
        host: &dyn Host,
        start: Micros,
        latency: Micros,
        finished: &Finished,
    ) {
        let Some((ids, hop)) = self.record.map(|record| *record) else { return };
        vm.recorder.keep(HopRecord {
            trace_id: ids.trace_id,
            parent_span_id: ids.parent_span_id,
            hop,
            start_unix_us: start.0,
            duration: latency,
            outcome: finished.outcome,
            attempts: 1,
            status: finished.status,
            inbound: true,
            request_id: ids.request_id,
            ended_by: finish::ended_by(host, finished.outcome),
        });
    }
}
