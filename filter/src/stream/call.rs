//! A call of the workload (or of the gateway): decided upon, bounded, counted.

mod end;

use emac_core::budget::Mode;
use emac_core::context::{Absolute, Context};
use emac_core::decimal::Decimal;
use emac_core::enforce::{self, Before, CallAction, CallDecision};
use emac_core::entry::name_operation;
use emac_core::evidence::DecisionKind;
use emac_core::outcome::Outcome;
use emac_core::units::{Micros, Millis};

use super::Flow;
use super::fallback::{self, Repeat};
use super::finish;
use super::headers::{Headers, decimal};
use super::ids::Ids;
use crate::config::{Config, DecisionHeader, Role};
use crate::host::{CalloutAnswer, GrpcStatus, Header, Host, is_there, taken};
use crate::vm::Vm;
use crate::vm::hops::{Hop, Sight};
use crate::vm::marks;

pub(super) const DECISION_HEADER: &str = "emac-decision";
const PER_TRY_TIMEOUT: &str = "x-envoy-upstream-rq-per-try-timeout-ms";
const MAX_RETRIES: &str = "x-envoy-max-retries";
/// gRPC over HTTP/2, section "Length-Prefixed-Message": a flag and four bytes of length.
const GRPC_PREFIX: usize = 5;

/// One call.
#[derive(Debug)]
pub(super) struct CallState {
    pub(super) hop: Hop,
    pub(super) deadline: Option<Absolute>,
    /// The number, in this pod, of the request on whose behalf it is made; 0: not known.
    pub(super) request: u64,
    pub(super) grpc: bool,
    /// Longest wait for the answer, not yet begun.
    pub(super) bound: Option<Millis>,
    /// When the wait ends.
    pub(super) timer: Option<Micros>,
    /// Answered by the filter: what passes through it now is its own answer.
    pub(super) settled: bool,
    /// The failure is held back while an alternate is asked; whether it ended with its headers.
    pub(super) held: Option<bool>,
    /// What an answer without a body would lose on its way.
    pub(super) restore: Vec<Header>,
    /// The hop's answers have no end to wait for, or this one was seen to have none.
    endless: bool,
    /// The request asks for such an answer, if the callee agrees.
    asks_endless: bool,
    /// The bound of a try was left to the route, so that the route's can be read.
    asks_route: bool,
    grpc_status: Option<u32>,
    /// Where the first gRPC message of the answer ends, and how many bytes have come.
    message: Option<(u64, u64)>,
    pub(super) decision: CallDecision,
    /// What the route says of retries, where that is known.
    route_retries: Option<u32>,
    /// How far this listener lets decisions go.
    pub(super) mode_cap: Mode,
    /// How it ended, when that is known before the end.
    pub(super) ending: Option<Outcome>,
    /// The answer, or one it rests on, is degraded.
    pub(super) degraded: bool,
    /// A failure may be answered by somebody else.
    pub(super) watched: bool,
    /// As it came, where it was looked at.
    pub(super) status: Option<u16>,
    /// What is needed to ask an alternate.
    pub(super) repeat: Option<Box<Repeat>>,
    /// The callout that is under way.
    pub(super) waiting: Option<u32>,
    /// Under which the inbound side of this pod looks for degraded answers.
    key: Option<u128>,
    /// The inbound side of this pod must learn of degraded answers.
    pub(super) tells_inbound: bool,
    /// The answer says what was decided.
    shows: bool,
    /// Recorded one by one, under these ids.
    record: Option<Box<Ids>>,
    /// On no declared journey, and followed all the same.
    undeclared: bool,
    /// The operation by which such a request entered, at the edge.
    pub(super) entry: Option<Box<str>>,
}

impl CallState {
    /// Decides about a call, and does what was decided where that is allowed.
    pub(super) fn begin(
        vm: &mut Vm,
        host: &dyn Host,
        config: &Config,
        headers: &Headers<'_>,
        context: Option<Context<'_, Absolute>>,
        (now, end): (Micros, bool),
    ) -> (Self, Flow) {
        let sampled = context.is_some_and(|context| context.flags.is_sampled());
        let undeclared = context.is_some_and(|context| !context.is_declared());
        // What nobody declared binds nobody.
        let context = context.filter(Context::is_declared);
        let hop = find_hop(vm, host, config, headers, context.map_or("", |context| context.journey));
        let grpc = headers.is_grpc();
        let deadline = context.map(|context| context.deadline);
        vm.enforcer.cap_mode(config.mode);
        let asks = fallback::asks(vm.enforcer.fallback(hop.budget), headers, grpc, end);
        let mut decision = vm.enforcer.on_request(now, hop.budget, deadline, asks);
        let asks_endless = leave_endless(vm, hop, headers, &mut decision);
        let record = sampled.then(|| Ids::read(headers.all())).flatten();
        let fallback =
            vm.enforcer.fallback(hop.budget).filter(|_| matches!(decision.action, CallAction::Call(_)));
        let repeat =
            fallback.and_then(|fallback| Repeat::prepare(fallback, headers, context, decision.acts()));
        let mut call = Self {
            deadline,
            // A gateway's call ends with its request.
            request: context.filter(|_| config.role != Role::Edge).map_or(0, |context| context.id),
            grpc,
            endless: vm.enforcer.is_stream(hop.budget),
            asks_endless,
            watched: fallback.is_some() && !grpc,
            repeat,
            key: context.as_ref().map(marks::key_of),
            shows: config.decision_header == DecisionHeader::Asked && headers.has(DECISION_HEADER),
            record: record.map(Box::new),
            undeclared,
            ..Self::new(hop, decision, config)
        };
        call.count_decision(vm);
        let flow = if decision.acts() { call.act(vm, host) } else { Flow::Continue };
        (call, flow)
    }

    /// A call of which nothing is known but what was decided.
    fn new(hop: Hop, decision: CallDecision, config: &Config) -> Self {
        Self {
            hop,
            deadline: None,
            request: 0,
            grpc: false,
            bound: None,
            timer: None,
            settled: false,
            held: None,
            restore: Vec::new(),
            endless: false,
            asks_endless: false,
            asks_route: false,
            grpc_status: None,
            message: None,
            decision,
            route_retries: config.route_retries,
            mode_cap: config.mode,
            ending: None,
            degraded: false,
            watched: false,
            status: None,
            repeat: None,
            waiting: None,
            key: None,
            tells_inbound: config.role != Role::Edge,
            shows: false,
            record: None,
            undeclared: false,
            entry: None,
        }
    }

    pub(super) fn on_request_body(&mut self, host: &dyn Host, bytes: usize) {
        if let Some(repeat) = &mut self.repeat {
            repeat.add_body(host, bytes);
        }
    }

    pub(super) fn on_request_end(&mut self) {
        if let Some(repeat) = &mut self.repeat {
            repeat.ended = true;
        }
    }

    pub(super) const fn is_waiting(&self) -> bool {
        self.waiting.is_some() && self.held.is_some()
    }

    /// The answer of the upstream, or of Envoy for it, or the filter's own.
    pub(super) fn on_response_headers(&mut self, vm: &mut Vm, host: &dyn Host, end: bool) -> Flow {
        if self.settled {
            fallback::restore(self, host);
            return Flow::Continue;
        }
        self.follow_plan(vm);
        if matches!(self.ending, Some(Outcome::Shed)) || self.answered_before() {
            return Flow::Continue;
        }
        if is_there(|read| host.response_header(marks::HEADER, read)) {
            if !self.tells_inbound {
                host.remove_response_header(marks::HEADER);
            }
            self.degrade(vm, host);
        }
        if self.shows {
            host.set_response_header(DECISION_HEADER, self.describe().as_bytes());
        }
        match self.decision.action {
            CallAction::FallbackBefore(Before::Route { .. }) if self.decision.acts() => {
                self.settle_route(vm, host);
                Flow::Continue
            }
            CallAction::Call(_) if self.watched => fallback::after_answer(self, vm, host, end),
            _ => {
                // A header costs less than the property that says the same at the end.
                self.status = fallback::status_at_hand(host);
                Flow::Continue
            }
        }
    }

    /// A gRPC answer of more than one message is a stream.
    pub(super) fn on_response_body(&mut self, host: &dyn Host, bytes: usize) {
        if !self.grpc || self.endless || bytes == 0 {
            return;
        }
        let bytes = bytes as u64;
        let (end, seen) = match self.message {
            Some((end, seen)) => (end, seen.saturating_add(bytes)),
            None => match message_length(host) {
                Some(length) => (u64::from(length) + GRPC_PREFIX as u64, bytes),
                // A prefix in pieces: not looked at.
                None => (u64::MAX, bytes),
            },
        };
        self.endless = seen > end;
        self.message = Some((end, seen));
    }

    pub(super) fn on_response_trailers(&mut self, host: &dyn Host) {
        if self.grpc {
            self.grpc_status = taken(|read| host.response_trailer("grpc-status", read), decimal).flatten();
        }
    }

    pub(super) fn on_callout(
        &mut self,
        vm: &mut Vm,
        host: &dyn Host,
        token: u32,
        answered: bool,
        body: usize,
    ) {
        if self.waiting == Some(token) {
            self.waiting = None;
            self.follow_plan(vm);
            let answer = if answered { host.callout_answer(body) } else { CalloutAnswer::default() };
            fallback::after_callout(self, vm, host, answer);
        }
    }

    /// Budgets may have changed since the request: the hop's new ones say what follows.
    pub(super) fn follow_plan(&mut self, vm: &Vm) {
        if vm.enforcer.is_current(self.hop.budget) {
            return;
        }
        if let Some(key) = vm.recorder.hop_key(self.hop.record) {
            self.hop.budget = vm.enforcer.resolve(&key.journey, &key.destination, &key.operation);
        }
    }

    /// Whether what was decided before the call may still be done: budgets may have changed since, and with them how far they let go.
    pub(super) fn still_acts(&mut self, vm: &mut Vm) -> bool {
        if vm.enforcer.is_current(self.hop.budget) {
            return true;
        }
        self.follow_plan(vm);
        vm.enforcer.cap_mode(self.mode_cap);
        vm.enforcer.mode(self.hop.budget) == Mode::Enforce
    }

    /// An answer that is not the destination's: marks it degraded where it is.
    pub(super) fn end_with_fallback(&mut self, vm: &Vm, host: &dyn Host) {
        let degraded = vm.enforcer.fallback(self.hop.budget).is_some_and(|fallback| fallback.is_degraded());
        self.ending = Some(if degraded { Outcome::Fallback } else { Outcome::Alternate });
        if degraded {
            self.degrade(vm, host);
        }
    }

    /// The answer rests on a degraded one: whoever called this pod is told.
    pub(super) fn degrade(&mut self, vm: &Vm, host: &dyn Host) {
        self.degraded = true;
        // Where the inbound side of this pod has no filter, nobody but the application can tell.
        if let Some(key) = self.key.filter(|_| self.tells_inbound) {
            vm.marks.mark(host, key);
        }
    }

    /// What the decision header says.
    pub(super) fn describe(&self) -> String {
        let CallDecision { action, state, mode, .. } = self.decision;
        let mut text = format!("{};mode={};state={}", action.label(), mode.label(), state.label());
        if let CallAction::Call(enforce::CallBounds { timeout: Some(timeout), .. }) = action {
            text.push_str(&format!(";timeout_ms={}", timeout.0));
        }
        for (said, word) in
            [(self.decision.retry_denied, ";retry_denied"), (self.decision.budget_spent, ";budget_spent")]
        {
            text.push_str(if said { word } else { "" });
        }
        text
    }

    pub(super) const fn shows(&self) -> bool {
        self.shows
    }

    /// Answered by the sidecar before any upstream was asked.
    fn answered_before(&self) -> bool {
        self.decision.acts() && self.decision.action == CallAction::FallbackBefore(Before::Static)
    }

    fn act(&mut self, vm: &mut Vm, host: &dyn Host) -> Flow {
        match self.decision.action {
            CallAction::Pass => Flow::Continue,
            CallAction::Call(bounds) => self.bound(vm, host, bounds),
            CallAction::FallbackBefore(Before::Static) => fallback::answer_static(self, vm, host),
            CallAction::FallbackBefore(Before::Route { timeout }) => {
                fallback::choose_route(self, vm, host);
                let bounds =
                    enforce::CallBounds { timeout: Some(timeout), per_try: None, max_retries: Some(0) };
                self.bound(vm, host, bounds)
            }
            CallAction::Refuse => self.refuse(host),
        }
    }

    /// The call's time is the filter's to keep; retries are the router's, and so is the time of a try, which may only become shorter.
    fn bound(&mut self, vm: &mut Vm, host: &dyn Host, bounds: enforce::CallBounds) -> Flow {
        self.bound = bounds.timeout;
        if let Some(retries) = bounds.max_retries.filter(|_| bounds.max_retries != self.route_retries) {
            host.set_request_header(MAX_RETRIES, Decimal::new(retries.into()).as_bytes());
        }
        if let (Some(per_try), Some(watch)) = (bounds.per_try, vm.hops.watch(self.hop)) {
            match watch.wait_of_route() {
                Some(route) if per_try < route => {
                    host.set_request_header(PER_TRY_TIMEOUT, Decimal::new(per_try.0).as_bytes());
                }
                Some(_) => {}
                None => self.asks_route = true,
            }
        }
        Flow::Continue
    }

    fn refuse(&mut self, host: &dyn Host) -> Flow {
        self.ending = Some(Outcome::Shed);
        let why = "no useful answer is possible before the deadline";
        if self.grpc {
            host.respond_grpc(GrpcStatus::DeadlineExceeded, why);
        } else {
            let decision = self.describe();
            let headers = [(DECISION_HEADER, decision.as_str())];
            host.respond(504, headers.get(..usize::from(self.shows)).unwrap_or_default(), why.as_bytes());
        }
        Flow::Pause
    }

    fn count_decision(&self, vm: &mut Vm) {
        let kind = match self.decision.action {
            CallAction::Pass => DecisionKind::Pass,
            CallAction::Call(_) => DecisionKind::Call,
            CallAction::FallbackBefore(_) => DecisionKind::FallbackBefore,
            CallAction::Refuse => DecisionKind::Refuse,
        };
        vm.recorder.decided(self.hop.record, kind);
        if self.decision.retry_denied {
            vm.recorder.decided(self.hop.record, DecisionKind::RetryDenied);
        }
        if self.decision.budget_spent {
            vm.recorder.decided(self.hop.record, DecisionKind::BudgetSpent);
        }
    }

    /// The alternate was asked by route: a good answer of it is the fallback's, a bad one is a failure like any.
    fn settle_route(&mut self, vm: &mut Vm, host: &dyn Host) {
        self.status = fallback::status_at_hand(host);
        if finish::accepts(vm.enforcer.success(self.hop.budget), self.status.unwrap_or_default()) {
            self.end_with_fallback(vm, host);
        } else {
            vm.enforcer.on_fallback_failed(self.hop.budget);
        }
    }
}

fn find_hop(vm: &mut Vm, host: &dyn Host, config: &Config, headers: &Headers<'_>, journey: &str) -> Hop {
    let mut operation = String::new();
    if config.operations || vm.enforcer.tells_operations_apart() {
        let [method, path] =
            [":method", ":path"].map(|name| headers.header(name, <[u8]>::to_vec).unwrap_or_default());
        name_operation(&method, &path, headers.is_grpc(), &config.templates, &mut operation);
    }
    let Vm { hops, recorder, enforcer, settings, cluster, .. } = vm;
    let cluster = match config.destination.as_bytes() {
        b"" => cluster.read(host),
        fixed => fixed,
    };
    let sight = Sight { journey, cluster, operation: &operation };
    hops.find(host, recorder, enforcer, &settings.source, sight)
}

/// Of the gRPC message that begins the piece of body at hand.
fn message_length(host: &dyn Host) -> Option<u32> {
    let length = |prefix: &[u8]| prefix.get(1..GRPC_PREFIX)?.try_into().ok().map(u32::from_be_bytes);
    taken(|read| host.response_body(GRPC_PREFIX, read), length).flatten()
}

/// A call that asks for an answer without an end is left alone; whether it is one. Asked where it decides something, or costs nothing.
fn leave_endless(vm: &mut Vm, hop: Hop, headers: &Headers<'_>, decision: &mut CallDecision) -> bool {
    let looked_at = decision.action != CallAction::Pass || headers.are_read();
    let asks_endless = looked_at && headers.is_endless();
    if asks_endless {
        if matches!(decision.action, CallAction::FallbackBefore(_)) {
            vm.enforcer.on_fallback_failed(hop.budget);
        }
        decision.action = CallAction::Pass;
    }
    asks_endless
}
