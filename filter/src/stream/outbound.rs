//! Where the context of an outgoing call comes from, and how it departs.

use std::borrow::Cow;

use emac_core::context::{Absolute, Context, Deadline, TraceParent, baggage, request_id};
use emac_core::units::Micros;

use super::headers::{Headers, is_shadow};
use super::{count_invalid, notice_unknown};
use crate::config::{Config, Join};
use crate::host::Host;
use crate::vm::counters::Event;
use crate::vm::{Vm, live, slots};

/// What an outgoing call carries.
#[derive(Debug)]
pub(super) struct Carried<'a> {
    /// `None`: the call is on no journey, or on one that is over.
    pub(super) context: Option<Context<'a, Absolute>>,
    /// What the application wrote has to go.
    strip: bool,
}

/// Baggage, of all its lines. Requests of an application mostly carry it all or none of them do: where the last one did, all headers are read at
/// once, as more of them are asked for than this.
pub(super) fn baggage<'a>(vm: &mut Vm, config: &Config, headers: &'a Headers<'_>) -> Cow<'a, [u8]> {
    let many = config.join == Join::TraceParent || config.operations || vm.enforcer.tells_operations_apart();
    if !(many || vm.expects.outbound || headers.has("baggage")) {
        return Cow::default();
    }
    let baggage = headers.all().joined("baggage");
    vm.expects.outbound = !baggage.is_empty();
    baggage
}

/// Finds the context: in the baggage, else under the trace id or the request id.
pub(super) fn find<'a>(
    vm: &mut Vm,
    host: &dyn Host,
    config: &Config,
    (headers, header): (&Headers<'_>, &'a [u8]),
    (decoded, waiting): (&'a mut Vec<u8>, &'a mut Vec<u8>),
    now: Micros,
) -> Carried<'a> {
    let found = baggage::find(header, decoded);
    let unusable = found.is_err();
    let carried = match found {
        Ok(Some(context)) => Some(context),
        Ok(None) if config.join != Join::TraceParent && !baggage::is_full(header) => None,
        // Also where baggage is unusable: then the inbound side had no other place either.
        Ok(None) | Err(_) => {
            *waiting = waiting_context(host, headers).unwrap_or_default();
            Context::parse(waiting).ok()
        }
    };
    match carried {
        None if unusable => {
            count_invalid(vm);
            Carried { context: None, strip: baggage::has_ours(header) }
        }
        None => {
            let health = vm.recorder.health_mut();
            health.context_missing = health.context_missing.saturating_add(1);
            Carried { context: None, strip: false }
        }
        Some(_) if headers.header(":authority", is_shadow).unwrap_or_default() => {
            vm.counters.add(Event::Shadow);
            Carried { context: None, strip: true }
        }
        Some(context) => {
            notice_unknown(vm, context.journey);
            let context = believe(host, context, now);
            if context.is_none() {
                vm.counters.add(Event::Late);
            }
            Carried { context, strip: context.is_none() }
        }
    }
}

/// Writes what remains of the deadline, or takes away a context that is not to be believed.
pub(super) fn write(vm: &mut Vm, host: &dyn Host, header: &[u8], carried: &Carried<'_>, now: Micros) {
    let departing = carried.context.map(|context| context.depart(now));
    if departing.is_none() && !carried.strip {
        return;
    }
    let written = baggage::replace(header, departing.as_ref().map(|context| context as &dyn baggage::Member));
    if written.omitted {
        vm.counters.add(Event::ContextOmitted);
    }
    match written.header.as_slice() {
        same if same == header => {}
        b"" => host.remove_request_header("baggage"),
        changed => host.set_request_header("baggage", changed),
    }
}

/// The deadline as it binds here; `None` when the journey is over.
fn believe<'a>(
    host: &dyn Host,
    context: Context<'a, Deadline>,
    now: Micros,
) -> Option<Context<'a, Absolute>> {
    match context.deadline {
        // Of a pod whose inbound side has no filter, of a waypoint, or once more through this one: so much was left when it was sent.
        Deadline::Remaining(left) => Some(context.due(left.at(now))),
        Deadline::Absolute(deadline) => {
            let context = context.due(deadline);
            live::due(host, &context, now).map(|due| context.due(due.as_of(now)))
        }
    }
}

fn waiting_context(host: &dyn Host, headers: &Headers<'_>) -> Option<Vec<u8>> {
    let trace = headers.header("traceparent", |header| TraceParent::parse(header).ok()).flatten();
    let by_trace = trace.and_then(|trace| slots::get_context(host, trace.trace_id));
    // Envoy gives every request an id, so it is asked for only where the trace id does not lead to a context.
    by_trace.or_else(|| slots::get_context(host, headers.header("x-request-id", request_id)??))
}
