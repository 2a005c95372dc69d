//! One HTTP request, on one listener.
//!
//! Inbound: the context's deadline becomes absolute, and the answer tells the caller when it is degraded. Outbound: the call is decided
//! upon, bounded, perhaps answered by somebody else, and counted. Edge: contexts are made, journeys counted. What is counted is counted
//! in `on_log`, which runs exactly once for every request, also when the caller has gone: so each ends in exactly one outcome.
//!
//! A host call that returns bytes is what a request pays for most, so nothing is asked for before it is needed, and all headers at once where
//! two are.

mod bound;
mod call;
mod edge;
mod fallback;
mod finish;
mod headers;
mod ids;
mod inbound;
mod outbound;

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use emac_core::context::{UNDECLARED, baggage};
use emac_core::units::Micros;

use crate::config::{Config, Role};
use crate::host::Host;
use crate::vm::Vm;
use crate::vm::counters::Event;
use crate::vm::passes::{self, Pass};
use crate::vm::timers::Ticks;
use call::CallState;
use edge::Visit;
use headers::{All, Headers};
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

/// What requests under one configuration share: those of one listener, or of both listeners of a sidecar whose plugin says the same for
/// both. So nothing that differs between listeners is remembered here.
#[derive(Debug)]
pub struct Listener {
    /// `None`: everything passes.
    plugin: Option<(Config, Ticks)>,
}

impl Listener {
    /// A listener whose configuration could not be read.
    pub const fn pass_through() -> Self {
        Self { plugin: None }
    }

    /// A configured listener; asks for ticks.
    pub fn new(config: Config, host: &dyn Host) -> Self {
        let ticks = Ticks::start(host, config.tick);
        Self { plugin: Some((config, ticks)) }
    }

    pub(crate) fn ticks(&self) -> Option<&Ticks> {
        self.plugin.as_ref().map(|(_, ticks)| ticks)
    }

    fn config(&self) -> Option<&Config> {
        self.plugin.as_ref().map(|(config, _)| config)
    }
}

/// Known from the configuration, or asked of the proxy for each stream: both listeners of a sidecar may share one root context.
fn side_of(vm: &mut Vm, host: &dyn Host, config: &Config) -> Side {
    let inbound = match config.role {
        Role::Edge => return Side::Edge,
        Role::Inbound => true,
        Role::Outbound => false,
        Role::Auto => vm.cluster.is_inbound(host).unwrap_or_else(|| is_inbound(host)),
    };
    match (inbound, config.edge) {
        (true, true) => Side::EdgeInbound,
        (true, false) => Side::Inbound,
        (false, _) => Side::Outbound,
    }
}

/// `envoy.config.core.v3.TrafficDirection`: 1 is inbound.
fn is_inbound(host: &dyn Host) -> bool {
    headers::integer(host, &["xds", "listener_direction"]) == Some(1)
}

/// One request.
#[derive(Debug)]
pub struct Stream {
    me: Weak<RefCell<Self>>,
    /// The proxy's number of this stream.
    id: u32,
    listener: Rc<Listener>,
    /// This pass through the filter, while it is in hand.
    pass: Option<passes::Number>,
    start: Micros,
    /// When the client had sent its request, or was answered before it had.
    sent: Option<Micros>,
    arrival: Option<Arrival>,
    visit: Option<Box<Visit>>,
    call: Option<CallState>,
    /// The response ended in an orderly way.
    complete: bool,
}

impl Stream {
    /// A request that has not begun; `id` is the proxy's number of its stream.
    pub fn new(listener: Rc<Listener>, id: u32) -> Rc<RefCell<Self>> {
        Rc::new_cyclic(|me| {
            RefCell::new(Self {
                me: Weak::clone(me),
                id,
                listener,
                pass: None,
                start: Micros(0),
                sent: None,
                arrival: None,
                visit: None,
                call: None,
                complete: false,
            })
        })
    }

    /// Request headers: classify, join, decide.
    pub fn on_request_headers(&mut self, vm: &mut Vm, host: &dyn Host, end: bool) -> Flow {
        let listener = Rc::clone(&self.listener);
        let Some(config) = listener.config() else { return Flow::Continue };
        let now = vm.read_time(host);
        let (pass, number) = vm.passes.enter(host, vm.name, now);
        self.pass = number;
        self.start = match pass {
            Pass::First => now,
            Pass::Again(start) => start,
            Pass::Second => {
                vm.counters.add(Event::SecondFilter);
                return Flow::Continue;
            }
        };
        vm.workers.see_request();
        vm.cluster.forget();
        let flow = match side_of(vm, host, config) {
            Side::Inbound => self.begin_inbound(vm, host, config, pass, end),
            Side::Outbound => self.begin_outbound(vm, host, config, now, end),
            Side::Edge => self.begin_edge(vm, host, config, now, end),
            Side::EdgeInbound => self.begin_edge_inbound(vm, host, config, end),
        };
        if end && flow == Flow::Continue {
            self.begin(vm, host, self.start);
        }
        flow
    }

    /// Request body: kept as far as an alternate may need it.
    pub fn on_request_body(&mut self, vm: &mut Vm, host: &dyn Host, bytes: usize, end: bool) {
        if let Some(call) = &mut self.call {
            call.on_request_body(host, bytes);
        }
        if end {
            self.on_request_end(vm, host);
        }
    }

    /// The request was sent to its end.
    pub fn on_request_end(&mut self, vm: &mut Vm, host: &dyn Host) {
        if self.sent.is_none() && (self.call.is_some() || self.visit.is_some() || self.arrival.is_some()) {
            let now = vm.read_time(host);
            self.begin(vm, host, now);
        }
    }

    /// Time begins to count: a client's slow upload is neither the callee's time nor the journey's.
    fn begin(&mut self, vm: &mut Vm, host: &dyn Host, sent: Micros) {
        self.sent = Some(sent);
        if let Some(arrival) = &mut self.arrival {
            arrival.on_request_end(host, sent);
        }
        if let (Some(call), Some(ticks)) = (&mut self.call, self.listener.ticks()) {
            call.on_request_end();
            bound::arm(call, vm, host, ticks, (self.id, &self.me));
        }
    }

    /// Response headers: a failure may be answered by somebody else.
    pub fn on_response_headers(&mut self, vm: &mut Vm, host: &dyn Host, end: bool) -> Flow {
        self.complete |= end;
        if self.sent.is_none() && (self.call.is_some() || self.visit.is_some()) {
            self.sent = Some(vm.read_time(host));
        }
        if let Some(arrival) = &mut self.arrival {
            let degraded = arrival.is_degraded(vm, host, self.start);
            match &mut self.visit {
                Some(visit) => visit.degraded |= degraded,
                None if degraded => host.set_response_header(crate::vm::marks::HEADER, b"1"),
                None => {}
            }
            arrival.on_answer(host);
        }
        match &mut self.call {
            Some(call) => {
                bound::disarm(call, vm, self.id);
                call.on_response_headers(vm, host, end)
            }
            None => Flow::Continue,
        }
    }

    /// Response trailers: of a gRPC answer, how it ended. Other filters may turn them into something else later.
    pub fn on_response_trailers(&mut self, host: &dyn Host) -> Flow {
        if let Some(call) = &mut self.call {
            call.on_response_trailers(host);
        }
        self.on_response_body(host, 0, true)
    }

    /// Response body: held back while an alternate is asked.
    pub fn on_response_body(&mut self, host: &dyn Host, bytes: usize, end: bool) -> Flow {
        self.complete |= end;
        match &mut self.call {
            Some(call) if call.is_waiting() => Flow::Pause,
            Some(call) => {
                call.on_response_body(host, bytes);
                Flow::Continue
            }
            None => Flow::Continue,
        }
    }

    /// The alternate answered, or did not.
    pub fn on_callout(&mut self, vm: &mut Vm, host: &dyn Host, token: u32, headers: usize, body: usize) {
        if let Some(call) = &mut self.call {
            call.on_callout(vm, host, token, headers > 0, body);
        }
    }

    /// The time of the call is over, and nobody has answered.
    pub(crate) fn on_timer(&mut self, vm: &mut Vm, host: &dyn Host) {
        if let Some(call) = &mut self.call {
            bound::expire(call, vm, host, (self.id, &self.me));
        }
    }

    /// The request is over.
    pub fn on_log(&mut self, vm: &mut Vm, host: &dyn Host) {
        if let Some(pass) = self.pass.take() {
            vm.passes.leave(host, pass);
        }
        if let Some(call) = &mut self.call {
            bound::disarm(call, vm, self.id);
        }
        let recorded = self.arrival.as_ref().is_some_and(Arrival::is_recorded);
        let counted = self.call.is_some() || self.visit.is_some() || recorded;
        if (counted || self.arrival.is_some()) && finish::is_redirected(host, self.complete) {
            // The request goes through the chain once more, and is counted then.
            return vm.passes.hand_over(host, vm.name, self.start);
        }
        if let Some(arrival) = &self.arrival {
            arrival.on_end(host);
        }
        if counted {
            self.count(vm, host);
        }
    }

    fn count(&mut self, vm: &mut Vm, host: &dyn Host) {
        let now = vm.read_time(host);
        let latency = now.since(self.sent.unwrap_or(self.start));
        let listener = Rc::clone(&self.listener);
        let finished = match self.call.take() {
            Some(call) => call.finish(vm, host, self.start, latency, self.complete, listener.config()),
            None => {
                let grpc = self.arrival.as_ref().is_some_and(|arrival| arrival.grpc);
                let seen = finish::Seen { complete: self.complete, grpc, latency, ..Default::default() };
                finish::classify(host, seen, None)
            }
        };
        if let Some(arrival) = self.arrival.take() {
            arrival.finish(vm, host, self.start, latency, &finished);
        }
        if let Some(visit) = self.visit.take() {
            visit.finish(vm, host, latency, &finished);
        }
    }

    fn begin_inbound(
        &mut self,
        vm: &mut Vm,
        host: &dyn Host,
        config: &Config,
        pass: Pass,
        end: bool,
    ) -> Flow {
        self.arrival = inbound::arrive(vm, host, config, (self.start, pass), end);
        Flow::Continue
    }

    fn begin_edge_inbound(&mut self, vm: &mut Vm, host: &dyn Host, config: &Config, end: bool) -> Flow {
        let mut headers = All::read(host);
        let mut entered = edge::enter(vm, host, config, &mut headers, self.start);
        let context = entered.as_ref().map(|entered| entered.context(self.start));
        let mut arrival = inbound::start(vm, host, config, &headers, context, end);
        edge::write(vm, host, &headers, context.as_ref().map(|context| context as &dyn baggage::Member));
        if let (Some(arrival), Some(entered)) = (&mut arrival, &mut entered) {
            arrival.enter_by(entered.entry.take());
            self.visit = entered.visit.take();
        }
        self.arrival = arrival;
        Flow::Continue
    }

    fn begin_edge(&mut self, vm: &mut Vm, host: &dyn Host, config: &Config, now: Micros, end: bool) -> Flow {
        let mut all = All::read(host);
        let mut entered = edge::enter(vm, host, config, &mut all, self.start);
        let context = entered.as_ref().map(|entered| entered.context(self.start));
        let departing = context.map(|context| context.depart(now));
        let headers = Headers::read(host, all);
        let (mut call, flow) = CallState::begin(vm, host, config, &headers, context, (now, end));
        edge::write(
            vm,
            host,
            headers.all(),
            departing.as_ref().map(|context| context as &dyn baggage::Member),
        );
        if let Some(entered) = &mut entered {
            call.entry = entered.entry.take();
            self.visit = entered.visit.take();
        }
        self.call = Some(call);
        flow
    }

    fn begin_outbound(
        &mut self,
        vm: &mut Vm,
        host: &dyn Host,
        config: &Config,
        now: Micros,
        end: bool,
    ) -> Flow {
        let headers = Headers::of(host);
        let header = outbound::baggage(vm, config, &headers);
        let (mut decoded, mut waiting) = (Vec::new(), Vec::new());
        let carried =
            outbound::find(vm, host, config, (&headers, &header), (&mut decoded, &mut waiting), now);
        let (call, flow) = CallState::begin(vm, host, config, &headers, carried.context, (now, end));
        outbound::write(vm, host, &header, &carried, now);
        self.call = Some(call);
        flow
    }
}

fn count_invalid(vm: &mut Vm) {
    let health = vm.recorder.health_mut();
    health.context_invalid = health.context_invalid.saturating_add(1);
}

/// A journey this workload has no part in, as far as its budgets say.
fn notice_unknown(vm: &mut Vm, journey: &str) {
    if journey != UNDECLARED && vm.enforcer.knows_journeys() && vm.enforcer.journey(journey).is_none() {
        vm.counters.add(Event::JourneyUnknown);
    }
}

#[cfg(test)]
mod tests;
