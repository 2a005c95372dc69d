//! A call of the workload (or of the gateway): decided upon, bounded, counted.

use std::borrow::Cow;

use emac_core::context::{Absolute, Context, TraceParent};
use emac_core::decimal::Decimal;
use emac_core::enforce::{self, Before, Decision, Verdict};
use emac_core::entry::name_operation;
use emac_core::evidence::{DecisionKind, HopRecord};
use emac_core::outcome::Outcome;
use emac_core::units::Micros;

use super::Flow;
use super::fallback::{self, Repeat};
use super::finish::{self, Finished};
use super::headers::{Asked, integer};
use crate::config::{Config, DecisionHeader, Role};
use crate::host::{GrpcStatus, Host};
use crate::vm::Vm;
use crate::vm::hops::{Hop, Sight};
use crate::vm::marks;

pub(super) const DECISION_HEADER: &str = "emac-decision";
const TIMEOUT: &str = "x-envoy-upstream-rq-timeout-ms";
const PER_TRY_TIMEOUT: &str = "x-envoy-upstream-rq-per-try-timeout-ms";
const MAX_RETRIES: &str = "x-envoy-max-retries";
const GRPC_UNAVAILABLE: &[u8] = b"14";
const GRPC_DEADLINE_EXCEEDED: &[u8] = b"4";

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) hop: Hop,
    pub(super) deadline: Option<Absolute>,
    pub(super) grpc: bool,
    pub(super) decision: Decision,
    /// How it ended, when that is known before the end.
    pub(super) ending: Option<Outcome>,
    /// The answer, or one it rests on, is degraded.
    pub(super) degraded: bool,
    /// A failure may be answered by somebody else.
    watched: bool,
    /// As it came, where it was looked at.
    pub(super) status: Option<u16>,
    /// What is needed to ask an alternate.
    pub(super) repeat: Option<Box<Repeat>>,
    /// The callout that is under way.
    pub(super) waiting: Option<u32>,
    /// Under which the inbound side of this pod looks for degraded answers.
    key: Option<u128>,
    /// The inbound side of this pod must learn of degraded answers.
    tells_inbound: bool,
    /// The answer says what was decided.
    shows: bool,
    /// Recorded one by one.
    trace: Option<Box<TraceParent>>,
}

impl Call {
    /// Decides about a call, and does what was decided where that is allowed.
    pub(super) fn begin(
        vm: &mut Vm,
        host: &dyn Host,
        config: &Config,
        asked: Asked<'_>,
        context: Option<Context<'_, Absolute>>,
        now: Micros,
        end: bool,
    ) -> (Self, Flow) {
        let hop = find_hop(vm, host, config, asked, context.map_or("", |context| context.journey));
        let grpc = asked.is_grpc();
        let deadline = context.map(|context| context.deadline);
        let asks = fallback::asks(vm.enforcer.fallback(hop.budget), asked, grpc, end);
        let decision = vm.enforcer.on_request(now, hop.budget, deadline, asks);
        let sampled = context.is_some_and(|context| context.flags.is_sampled());
        let trace = if sampled { asked.header("traceparent") } else { None };
        let fallback =
            vm.enforcer.fallback(hop.budget).filter(|_| matches!(decision.verdict, Verdict::Call(_)));
        let repeat =
            fallback.and_then(|fallback| Repeat::prepare(fallback, asked, context, decision.acts(), end));
        let mut call = Self {
            hop,
            deadline,
            grpc,
            decision,
            ending: None,
            degraded: false,
            watched: fallback.is_some() && !grpc,
            status: None,
            repeat,
            waiting: None,
            key: context.as_ref().map(marks::key_of),
            tells_inbound: config.role != Role::Edge,
            shows: config.decision_header == DecisionHeader::Asked && asked.header(DECISION_HEADER).is_some(),
            trace: trace.and_then(|header| TraceParent::parse(&header).ok()).map(Box::new),
        };
        call.count_decision(vm);
        let flow = if decision.acts() { call.act(vm, host) } else { Flow::Continue };
        (call, flow)
    }

    pub(super) fn on_request_body(&mut self, host: &dyn Host, bytes: usize, end: bool) {
        if let Some(repeat) = &mut self.repeat {
            repeat.add_body(host, bytes);
        }
        if end {
            self.on_request_end();
        }
    }

    pub(super) fn on_request_end(&mut self) {
        if let Some(repeat) = &mut self.repeat {
            repeat.ended = true;
        }
    }

    pub(super) const fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// The answer of the upstream, or of Envoy for it.
    pub(super) fn on_response_headers(&mut self, vm: &mut Vm, host: &dyn Host, end: bool) -> Flow {
        self.follow_plan(vm);
        if matches!(self.ending, Some(Outcome::Shed)) || self.answered_before() {
            return Flow::Continue;
        }
        if host.response_header(marks::HEADER).is_some() {
            host.remove_response_header(marks::HEADER);
            self.degrade(vm, host);
        }
        if self.shows {
            host.set_response_header(DECISION_HEADER, self.describe().as_bytes());
        }
        if self.grpc && end {
            self.mend_grpc_timeout(host);
        }
        match self.decision.verdict {
            Verdict::FallbackBefore(Before::Route { .. }) if self.decision.acts() => {
                self.settle_route(vm, host);
                Flow::Continue
            }
            Verdict::Call(_) if self.watched => fallback::after_answer(self, vm, host),
            _ => Flow::Continue,
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
            fallback::after_callout(self, vm, host, answered, body);
        }
    }

    /// Budgets may have changed since the request: the hop's new ones say what follows.
    fn follow_plan(&mut self, vm: &Vm) {
        if vm.enforcer.is_current(self.hop.budget) {
            return;
        }
        if let Some(key) = vm.recorder.hop_key(self.hop.record) {
            self.hop.budget = vm.enforcer.resolve(&key.journey, &key.destination, &key.operation);
        }
    }

    /// Counts how it ended.
    pub(super) fn finish(
        mut self,
        vm: &mut Vm,
        host: &dyn Host,
        start: Micros,
        latency: Micros,
        complete: bool,
        count_retries: bool,
    ) -> Finished {
        self.follow_plan(vm);
        let mut finished = match self.ending {
            // Only a record tells the status of what was answered here.
            Some(outcome) => {
                let status = if self.trace.is_some() { finish::final_status(host) } else { 0 };
                Finished { outcome, status, degraded: false }
            }
            None => {
                let predicate = vm.enforcer.success(self.hop.budget);
                finish::classify(host, self.status, complete, self.grpc, predicate)
            }
        };
        finished.degraded = self.degraded;
        let asked = count_retries || vm.enforcer.counts_retries(self.hop.budget);
        let retries = if asked { self.retries(vm, host, finished.outcome) } else { 0 };
        vm.recorder.record(self.hop.record, finished.outcome, latency);
        if retries > 0 {
            vm.recorder.retried(self.hop.record, retries);
            vm.enforcer.on_end(self.hop.budget, retries);
        }
        if let Some(trace) = &self.trace {
            self.keep_record(vm, trace, start, latency, &finished, retries);
        }
        finished
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
        if let Some(key) = self.key.filter(|_| self.tells_inbound) {
            vm.marks.mark(host, key);
        }
    }

    /// What the decision header says.
    pub(super) fn describe(&self) -> String {
        let Decision { verdict, state, mode, .. } = self.decision;
        let mut text = format!("{};mode={};state={}", verdict.label(), mode.label(), state.label());
        if let Verdict::Call(enforce::Call { timeout: Some(timeout), .. }) = verdict {
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
        self.decision.acts() && self.decision.verdict == Verdict::FallbackBefore(Before::Static)
    }

    fn act(&mut self, vm: &mut Vm, host: &dyn Host) -> Flow {
        match self.decision.verdict {
            Verdict::Pass => Flow::Continue,
            Verdict::Call(bounds) => {
                bound(host, bounds);
                Flow::Continue
            }
            Verdict::FallbackBefore(Before::Static) => fallback::answer_static(self, vm, host),
            Verdict::FallbackBefore(Before::Route { timeout }) => {
                fallback::choose_route(self, vm, host);
                bound(host, enforce::Call { timeout: Some(timeout), per_try: None, max_retries: Some(0) });
                Flow::Continue
            }
            Verdict::Refuse => self.refuse(host),
        }
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

    fn count_decision(&self, vm: &mut Vm) {
        let kind = match self.decision.verdict {
            Verdict::Pass => DecisionKind::Pass,
            Verdict::Call(_) => DecisionKind::Call,
            Verdict::FallbackBefore(_) => DecisionKind::FallbackBefore,
            Verdict::Refuse => DecisionKind::Refuse,
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
        let status = fallback::status_of(host.response_header(":status"));
        self.status = Some(status).filter(|&status| status != 0);
        if finish::accepts(vm.enforcer.success(self.hop.budget), status) {
            self.end_with_fallback(vm, host);
        } else {
            vm.enforcer.on_fallback_failed(self.hop.budget);
        }
    }

    /// A call cut by its timeout ends as 14 UNAVAILABLE, which default policies retry; it was 4 DEADLINE_EXCEEDED.
    fn mend_grpc_timeout(&self, host: &dyn Host) {
        let bounded = matches!(self.decision.verdict, Verdict::Call(enforce::Call { timeout: Some(_), .. }));
        if bounded
            && self.decision.acts()
            && host.response_header("grpc-status").as_deref() == Some(GRPC_UNAVAILABLE)
            && host.property(&["response", "code_details"]).as_deref() == Some(b"response_timeout")
        {
            host.set_response_header("grpc-status", GRPC_DEADLINE_EXCEEDED);
        }
    }

    fn keep_record(
        &self,
        vm: &mut Vm,
        trace: &TraceParent,
        start: Micros,
        latency: Micros,
        finished: &Finished,
        retries: u32,
    ) {
        let Some(hop) = vm.recorder.hop_key(self.hop.record).cloned() else { return };
        vm.recorder.keep(HopRecord {
            trace_id: trace.trace_id,
            parent_span_id: trace.parent_span_id,
            hop,
            start_unix_us: start.0,
            duration: latency,
            outcome: finished.outcome,
            attempts: retries.saturating_add(1),
            status: finished.status,
            inbound: false,
        });
    }
}

fn find_hop(vm: &mut Vm, host: &dyn Host, config: &Config, asked: Asked<'_>, journey: &str) -> Hop {
    let cluster = match config.destination.as_bytes() {
        b"" => Cow::Owned(host.property(&["xds", "cluster_name"]).unwrap_or_default()),
        fixed => Cow::Borrowed(fixed),
    };
    let mut operation = String::new();
    if config.operations || vm.enforcer.tells_operations_apart() {
        let [method, path] = [":method", ":path"].map(|name| asked.header(name).unwrap_or_default());
        name_operation(&method, &path, asked.is_grpc(), &config.templates, &mut operation);
    }
    let sight = Sight { journey, cluster: &cluster, operation: &operation };
    let Vm { hops, recorder, enforcer, settings, .. } = vm;
    hops.find(host, recorder, enforcer, &settings.source, sight)
}

fn bound(host: &dyn Host, bounds: enforce::Call) {
    let set = |name, value: u64| host.set_request_header(name, Decimal::new(value).as_bytes());
    if let Some(timeout) = bounds.timeout {
        set(TIMEOUT, timeout.0);
    }
    if let Some(per_try) = bounds.per_try {
        set(PER_TRY_TIMEOUT, per_try.0);
    }
    if let Some(retries) = bounds.max_retries {
        set(MAX_RETRIES, retries.into());
    }
}

fn attempts_after_first(host: &dyn Host) -> u32 {
    let attempts = integer(host.property(&["upstream", "request_attempt_count"])).unwrap_or(1);
    u32::try_from(attempts.saturating_sub(1)).unwrap_or_default()
}
