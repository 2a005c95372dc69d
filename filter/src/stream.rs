//! One HTTP request, on one listener.
//!
//! Inbound: the context's deadline becomes absolute, and the answer tells the caller when it is degraded. Outbound: the call is decided
//! upon, bounded, perhaps answered by somebody else, and counted. Edge: contexts are made, journeys counted. What is counted is counted
//! in `on_log`, which runs exactly once for every request, also when the caller has gone: so each ends in exactly one outcome.
//!
//! Each host call that returns bytes costs about half a microsecond, so nothing is asked for before it is needed.

mod call;
mod edge;
mod fallback;
mod finish;
mod headers;
mod inbound;

use std::cell::Cell;
use std::rc::Rc;

use emac_core::context::{Absolute, Context, baggage};
use emac_core::units::Micros;

use crate::config::{Config, Role};
use crate::host::Host;
use crate::vm::Vm;
use call::Call;
use edge::Visit;
use headers::Asked;
use inbound::Arrival;

/// Whether the proxy goes on with the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Continue,
    /// Not before it is told to.
    Pause,
}

/// Where a listener stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// Gateway: entry and call.
    Edge,
    /// Entry, in front of an application.
    EdgeInbound,
    Inbound,
    Outbound,
}

/// What requests of one listener share.
#[derive(Debug)]
pub struct Listener {
    /// `None`: everything passes.
    config: Option<Config>,
    side: Cell<Option<Side>>,
}

impl Listener {
    /// A listener whose configuration could not be read.
    pub fn pass_through() -> Self {
        Self { config: None, side: Cell::new(None) }
    }

    /// A configured listener.
    pub fn new(config: Config) -> Self {
        Self { config: Some(config), side: Cell::new(None) }
    }

    /// Known from the configuration, or asked of the proxy once.
    fn side(&self, host: &dyn Host, config: &Config) -> Side {
        if let Some(side) = self.side.get() {
            return side;
        }
        let side = match config.role {
            Role::Edge => Side::Edge,
            Role::Inbound => Side::Inbound,
            Role::Outbound => Side::Outbound,
            Role::Auto if is_inbound(host) => Side::Inbound,
            Role::Auto => Side::Outbound,
        };
        let side = if side == Side::Inbound && config.edge { Side::EdgeInbound } else { side };
        self.side.set(Some(side));
        side
    }
}

/// `envoy.config.core.v3.TrafficDirection`: 1 is inbound.
fn is_inbound(host: &dyn Host) -> bool {
    headers::integer(host.property(&["xds", "listener_direction"])) == Some(1)
}

/// One request.
#[derive(Debug)]
pub struct Stream {
    listener: Rc<Listener>,
    start: Micros,
    arrival: Option<Arrival>,
    visit: Option<Box<Visit>>,
    call: Option<Call>,
    /// The response ended in an orderly way.
    complete: bool,
}

impl Stream {
    /// A request that has not begun.
    pub fn new(listener: Rc<Listener>) -> Self {
        Self { listener, start: Micros(0), arrival: None, visit: None, call: None, complete: false }
    }

    /// Request headers: classify, join, decide.
    pub fn on_request_headers(&mut self, vm: &mut Vm, host: &dyn Host, end: bool) -> Flow {
        let listener = Rc::clone(&self.listener);
        let Some(config) = &listener.config else { return Flow::Continue };
        self.start = vm.read_clock(host);
        vm.workers.see_request();
        match listener.side(host, config) {
            Side::Inbound => self.arrival = inbound::arrive(vm, host, config, self.start),
            Side::Outbound => return self.begin_outbound(vm, host, config, end),
            Side::Edge => return self.begin_edge(vm, host, config, end),
            Side::EdgeInbound => {
                let headers = headers::All::read(host);
                let (visit, journey) = edge::enter(vm, &headers);
                let context = visit.as_ref().zip(journey.as_deref()).map(|(v, j)| v.context(j, self.start));
                self.arrival = inbound::start(host, config, &headers, context);
                edge::write(host, &headers, context.as_ref().map(|context| context as &dyn baggage::Member));
                self.visit = visit.map(Box::new);
            }
        }
        Flow::Continue
    }

    /// Request body: kept as far as an alternate may need it.
    pub fn on_request_body(&mut self, host: &dyn Host, bytes: usize, end: bool) {
        if let Some(call) = &mut self.call {
            call.on_request_body(host, bytes, end);
        }
    }

    /// Request trailers: the body has ended.
    pub fn on_request_trailers(&mut self) {
        if let Some(call) = &mut self.call {
            call.on_request_end();
        }
    }

    /// Response headers: a failure may be answered by somebody else.
    pub fn on_response_headers(&mut self, vm: &mut Vm, host: &dyn Host, end: bool) -> Flow {
        self.complete |= end;
        if let Some(arrival) = &self.arrival {
            let degraded = arrival.is_degraded(vm, host, self.start);
            match &mut self.visit {
                Some(visit) => visit.degraded |= degraded,
                None if degraded => host.set_response_header(crate::vm::marks::HEADER, b"1"),
                None => {}
            }
        }
        match &mut self.call {
            Some(call) => call.on_response_headers(vm, host, end),
            None => Flow::Continue,
        }
    }

    /// Response body: held back while an alternate is asked.
    pub fn on_response_body(&mut self, end: bool) -> Flow {
        self.complete |= end;
        match &self.call {
            Some(call) if call.is_waiting() => Flow::Pause,
            _ => Flow::Continue,
        }
    }

    /// The alternate answered, or did not.
    pub fn on_callout(&mut self, vm: &mut Vm, host: &dyn Host, token: u32, headers: usize, body: usize) {
        if let Some(call) = &mut self.call {
            call.on_callout(vm, host, token, headers > 0, body);
        }
    }

    /// The request is over.
    pub fn on_log(&mut self, vm: &mut Vm, host: &dyn Host) {
        if self.call.is_none()
            && self.visit.is_none()
            && !self.arrival.as_ref().is_some_and(Arrival::is_recorded)
        {
            return;
        }
        let now = vm.read_clock(host);
        let latency = now.since(self.start);
        let count_retries = self.listener.config.as_ref().is_some_and(|config| config.count_retries);
        let finished = match self.call.take() {
            Some(call) => call.finish(vm, host, self.start, latency, self.complete, count_retries),
            None => finish::classify(host, None, self.complete, false, None),
        };
        if let Some(arrival) = self.arrival.take() {
            arrival.finish(vm, self.start, latency, &finished);
        }
        if let Some(visit) = self.visit.take() {
            visit.finish(vm, host, latency, &finished);
        }
    }

    fn begin_edge(&mut self, vm: &mut Vm, host: &dyn Host, config: &Config, end: bool) -> Flow {
        let headers = headers::All::read(host);
        let (visit, journey) = edge::enter(vm, &headers);
        let context =
            visit.as_ref().zip(journey.as_deref()).map(|(visit, journey)| visit.context(journey, self.start));
        let departing = context.map(|context| context.depart(self.start));
        self.visit = visit.map(Box::new);
        let asked = Asked::All(&headers);
        let (call, flow) = Call::begin(vm, host, config, asked, context, self.start, end);
        edge::write(host, &headers, departing.as_ref().map(|context| context as &dyn baggage::Member));
        self.call = Some(call);
        flow
    }

    fn begin_outbound(&mut self, vm: &mut Vm, host: &dyn Host, config: &Config, end: bool) -> Flow {
        let header = host.request_header("baggage");
        let header = header.as_deref().unwrap_or_default();
        let waiting;
        let context = match baggage::find_absolute(header) {
            Ok(Some(context)) => Some(context),
            Ok(None) => {
                waiting = inbound::waiting_context(host, config);
                let context = waiting.as_deref().and_then(|value| Context::parse_absolute(value).ok());
                let health = vm.recorder.health_mut();
                health.context_missing = health.context_missing.saturating_add(u64::from(context.is_none()));
                context
            }
            Err(_) => {
                count_invalid(vm);
                None
            }
        };
        notice_unknown(vm, context.as_ref());
        let (call, flow) = Call::begin(vm, host, config, Asked::One(host), context, self.start, end);
        if let Some(context) = &context {
            let departing = context.depart(self.start);
            host.set_request_header("baggage", &baggage::replace(header, Some(&departing)));
        }
        self.call = Some(call);
        flow
    }
}

fn count_invalid(vm: &mut Vm) {
    let health = vm.recorder.health_mut();
    health.context_invalid = health.context_invalid.saturating_add(1);
}

/// A journey this workload has no part in, as far as its budgets say.
fn notice_unknown(vm: &mut Vm, context: Option<&Context<'_, Absolute>>) {
    let Some(context) = context else { return };
    if vm.enforcer.knows_journeys() && vm.enforcer.journey(context.journey).is_none() {
        vm.counters.add(crate::vm::counters::Event::JourneyUnknown);
    }
}

#[cfg(test)]
mod tests;
