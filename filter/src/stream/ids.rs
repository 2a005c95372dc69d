//! Under what the records of one request meet: the trace id of `traceparent`, or the bits of `x-request-id`.
//!
//! A mesh without tracing has the second from Envoy itself, and applications that know nothing of traces often hand it on. At the edge a
//! request that nobody gave a `traceparent` gets one, if its hops are recorded: its trace id is the request id, so that it makes no
//! difference which of the two an application hands on. It says "sampled" because this request is recorded; without that, an application's
//! own tracer would record none of these requests. What somebody else wrote is never replaced, usable or not.

use emac_core::context::{TraceParent, request_id};
use emac_core::entry::Request;

use super::headers::All;
use crate::host::Host;
use crate::vm::Vm;
use crate::vm::counters::Event;

const TRACEPARENT: &str = "traceparent";
const REQUEST_ID: &str = "x-request-id";
const NONE: [u8; 16] = [0; 16];

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) trace_id: [u8; 16],
    pub(super) parent_span_id: [u8; 8],
    /// Where it is not the trace id; else zeros.
    pub(super) request_id: [u8; 16],
}

impl Ids {
    /// Those of a request, by the values of the two headers; `None`: neither can be used.
    pub(super) fn of(traceparent: Option<&[u8]>, x_request_id: Option<&[u8]>) -> Option<Self> {
        let request_id = x_request_id.and_then(request_id).unwrap_or_default();
        let trace = traceparent.and_then(|value| TraceParent::parse(value).ok());
        let (trace_id, parent_span_id) =
            trace.map_or((request_id, [0; 8]), |trace| (trace.trace_id, trace.parent_span_id));
        if trace_id == NONE {
            return None;
        }
        let request_id = if request_id == trace_id { NONE } else { request_id };
        Some(Self { trace_id, parent_span_id, request_id })
    }

    /// Those of a request whose headers were read.
    pub(super) fn read(headers: &All) -> Option<Self> {
        Self::of(headers.header(TRACEPARENT), headers.header(REQUEST_ID))
    }
}

/// What an entering request is recorded under.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) trace_id: [u8; 16],
    /// Nobody brought a `traceparent`.
    bare: bool,
}

/// The ids of an entering request; the header that is not there is made by [`Found::write`], if its hops are recorded.
pub(super) fn of_entering(vm: &mut Vm, headers: &All, mints: bool) -> Option<Found> {
    let mut bare = mints;
    if let Some(brought) = headers.header(TRACEPARENT) {
        if let Ok(trace) = TraceParent::parse(brought) {
            return Some(Found { trace_id: trace.trace_id, bare: false });
        }
        vm.counters.add(Event::TraceInvalid);
        bare = false;
    }
    match headers.header(REQUEST_ID).and_then(request_id) {
        Some(trace_id) => Some(Found { trace_id, bare }),
        None if bare => Some(Found { trace_id: vm.name.next_trace_id(), bare }),
        None => None,
    }
}

impl Found {
    /// Gives the request the `traceparent` that nobody brought.
    pub(super) fn write(self, vm: &mut Vm, host: &dyn Host, headers: &mut All) {
        if self.bare {
            let parent_span_id = vm.name.next_span_id();
            let header = TraceParent { trace_id: self.trace_id, parent_span_id, sampled: true }.to_header();
            host.set_request_header(TRACEPARENT, &header);
            headers.add(TRACEPARENT.as_bytes(), &header);
        }
    }
}
