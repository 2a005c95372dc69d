//! The sidecar's machine: budgets in, one decision per request out.
//!
//! Sans-I/O and total: every call answers, whatever the clock or the budgets say; what cannot be decided passes. The shell (filter,
//! simulator, fuzzer) asks [`Enforcer::on_request`] before a call, [`Enforcer::on_failure`] after a bad answer and
//! [`Enforcer::on_end`] when it is over. What a decision WOULD do and whether it is to be done are two things ([`CallDecision::acts`]), so
//! that dry-run counts the same decisions enforcing would make.
//!
//! A call after whose failure a fallback can answer leaves it time; one that stands alone (see [`Asks`]) has the longer bounds of
//! [`Alone`], where the plan gives them.
//!
//! Left out, with their places: hedging adds a field to [`CallBounds`]; brown-out is a reason to answer [`CallAction::FallbackBefore`] found in
//! the hop's recent failures; shedding is an action on inbound requests, before any hop is asked.

mod decision;
mod plan;
mod time;

use crate::budget::lease::{Lease, Offer, OlderGeneration, Validity};
use crate::budget::{Alone, Fallback, FallbackKind, Mode, SuccessPredicate, WorkloadBudgets};
use crate::context::Absolute;
use crate::entry::{InvalidEntry, Request};
use crate::units::{Generation, Micros, Millis};

pub use decision::{
    AfterFailure, Applied, Asks, Before, Body, CallAction, CallBounds, CallDecision, Followup, HopState,
    NoFallback,
};
pub use plan::{HopRef, Journey};

use plan::{Hop, Plan};
use time::Time;

/// Why budgets were refused. What is held goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedBudgets {
    /// Overtaken by what is held; not a fault of the sender.
    #[error("generation: {0}")]
    Older(#[source] OlderGeneration),
    /// A hop of a journey that is not listed.
    #[error("hops[{hop}].journey: not listed under journeys")]
    UnknownJourney {
        /// Place in the list.
        hop: usize,
    },
    /// An entry rule that cannot be asked.
    #[error("journeys[{journey}].entry[{rule}]: {source}")]
    Entry {
        /// Place in the list.
        journey: usize,
        /// Place in the journey's list.
        rule: usize,
        /// What is wrong with it.
        source: InvalidEntry,
    },
}

/// Budgets of one workload and what is left of them.
#[derive(Debug)]
pub struct Enforcer {
    mode_cap: Mode,
    /// How many machines share the budgets, this one among them.
    workers: u32,
    plan: Plan,
    lease: Option<Lease>,
}

impl Enforcer {
    /// Without budgets: every hop is Cold. No decision goes further than `mode_cap`.
    pub fn new(mode_cap: Mode) -> Self {
        Self { mode_cap, workers: 1, plan: Plan::default(), lease: None }
    }

    /// Starts with budgets that never expire and that any generation of a control plane replaces.
    ///
    /// # Errors
    /// [`RefusedBudgets`], as for [`Enforcer::apply`].
    pub fn with_static(
        mode_cap: Mode,
        budgets: &WorkloadBudgets,
        now: Micros,
    ) -> Result<Self, RefusedBudgets> {
        let plan = Plan::default().succeed(budgets, 1, now)?;
        Ok(Self { mode_cap, workers: 1, plan, lease: Some(Lease::forever(now)) })
    }

    /// How far decisions may go from now on: listeners that share a machine may differ in it.
    pub const fn cap_mode(&mut self, mode_cap: Mode) {
        self.mode_cap = mode_cap;
    }

    /// Takes budgets received at `received`. All or nothing; token buckets of hops that stay keep what they hold.
    ///
    /// # Errors
    /// [`RefusedBudgets`]; what is held goes on.
    pub fn apply(
        &mut self,
        now: Micros,
        received: Micros,
        budgets: &WorkloadBudgets,
    ) -> Result<Applied, RefusedBudgets> {
        let offer = self.lease.as_ref().map_or(Ok(Offer::Newer), |held| held.judge(budgets.generation));
        let applied = match offer.map_err(RefusedBudgets::Older)? {
            Offer::Newer => {
                self.plan = self.plan.succeed(budgets, self.workers, now)?;
                Applied::Replaced
            }
            Offer::Renewal => Applied::Renewed,
        };
        let (valid_for, on_expiry) = (budgets.valid_for, budgets.on_expiry);
        self.lease = Some(Lease::new(budgets.generation, valid_for, on_expiry, received, now));
        Ok(applied)
    }

    /// Divides bursts and floors among `workers` machines that see parts of the same traffic. Their sum is what was allowed: of retries at
    /// least that and less than one a worker more, of degraded answers at most that, or one a worker.
    pub fn share_among(&mut self, workers: u32) {
        if self.workers != workers {
            self.workers = workers;
            self.plan.share_among(workers);
        }
    }

    /// Generation held; zero for none or those of the configuration.
    pub fn generation(&self) -> Generation {
        self.lease.as_ref().map(Lease::generation).unwrap_or_default()
    }

    /// Whether the lease has expired, as of the last request or [`Enforcer::observe`].
    pub fn is_stale(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.validity() != Validity::Fresh)
    }

    /// Lets time pass without a request.
    pub fn observe(&mut self, now: Micros) {
        if let Some(lease) = &mut self.lease {
            lease.observe(now);
        }
    }

    /// A journey by name. At most 64 comparisons.
    pub fn journey(&self, name: &str) -> Option<&Journey> {
        self.plan.journey(name)
    }

    /// Whether any journey is known, so that an unknown one means something.
    pub fn knows_journeys(&self) -> bool {
        !self.plan.journeys().is_empty()
    }

    /// The first journey with a rule that matches.
    pub fn classify(&self, request: &impl Request) -> Option<&Journey> {
        self.plan.journeys().iter().find(|journey| journey.is_entered_by(request))
    }

    /// Finds the budget of a hop: its operation's own, else its destination's. One or two hash lookups: keep the answer until
    /// [`Enforcer::is_current`] says no.
    ///
    /// A call that carries no context (`journey` is empty) is nobody's journey. It has a budget only where a hop says that it takes such
    /// calls, and the hops of exactly one journey do.
    pub fn resolve(&self, journey: &str, destination: &str, operation: &str) -> HopRef {
        if journey.is_empty() {
            self.plan.resolve_without_context(destination, operation)
        } else {
            self.plan.resolve(journey, destination, operation)
        }
    }

    /// Whether any budget is for one operation, so that operations must be named.
    pub fn tells_operations_apart(&self) -> bool {
        self.plan.tells_operations_apart()
    }

    /// Whether a resolved hop still belongs to the budgets held.
    pub fn is_current(&self, hop: HopRef) -> bool {
        self.plan.is_current(hop)
    }

    /// What else can answer for the hop.
    pub fn fallback(&self, hop: HopRef) -> Option<&Fallback> {
        self.plan.hop(hop)?.fallback.as_ref()
    }

    /// What counts as a good answer of the hop; `None`: the default.
    pub fn success(&self, hop: HopRef) -> Option<&SuccessPredicate> {
        self.plan.hop(hop).map(|hop| &hop.success)
    }

    /// Whether retries of this hop must be reported to [`Enforcer::on_end`].
    pub fn counts_retries(&self, hop: HopRef) -> bool {
        self.plan.hop(hop).is_some_and(|hop| hop.retry.is_some())
    }

    /// Whether calls of the hop are declared to be streams: nothing bounds them, and they are [`Outcome::Stream`](crate::outcome::Outcome).
    pub fn is_stream(&self, hop: HopRef) -> bool {
        self.plan.hop(hop).is_some_and(|hop| hop.stream)
    }

    /// How far decisions about a hop go now, as of the last request or [`Enforcer::observe`]: not at all where it has no budget (any more).
    pub fn mode(&self, hop: HopRef) -> Mode {
        let released = self.lease.as_ref().is_none_or(|lease| lease.validity() == Validity::Released);
        let hop = self.plan.hop(hop).filter(|_| !released);
        hop.map_or(Mode::Observe, |hop| hop.mode.min(self.mode_cap))
    }

    /// Decides about a call that is about to be made. `deadline`: of the journey, if the request carries one.
    pub fn on_request(
        &mut self,
        now: Micros,
        hop: HopRef,
        deadline: Option<Absolute>,
        asks: Asks,
    ) -> CallDecision {
        self.observe(now);
        let validity = self.lease.as_ref().map(Lease::validity);
        let (Some(validity), Some(hop)) = (validity, self.plan.hop_mut(hop)) else {
            return CallDecision::pass(HopState::Cold, Mode::Observe);
        };
        let mode = hop.mode.min(self.mode_cap);
        hop.deposit(now);
        let state = hop.state(validity);
        if validity == Validity::Released || mode == Mode::Observe || hop.stream {
            return CallDecision::pass(state, mode);
        }
        Machine { hop, deadline, now, asks, state, mode }.decide()
    }

    /// Decides what to answer instead of a failure. A degraded fallback pays here; give it back with
    /// [`Enforcer::on_fallback_failed`] when it could not answer after all.
    pub fn on_failure(
        &mut self,
        now: Micros,
        hop: HopRef,
        deadline: Option<Absolute>,
        asks: Asks,
    ) -> Followup {
        self.observe(now);
        let released = self.lease.as_ref().is_none_or(|lease| lease.validity() == Validity::Released);
        let cap = self.mode_cap;
        let Some(hop) = self.plan.hop_mut(hop).filter(|hop| !released && !hop.stream) else {
            return Followup { what: AfterFailure::Pass(NoFallback::NoneDeclared), mode: Mode::Observe };
        };
        let mode = hop.mode.min(cap);
        let what = match suitable_after(hop, deadline, now, asks) {
            _ if mode == Mode::Observe => AfterFailure::Pass(NoFallback::NoneDeclared),
            Ok(_) if !hop.pay_fallback() => AfterFailure::Pass(NoFallback::BudgetSpent),
            Ok(answer) => answer,
            Err(reason) => AfterFailure::Pass(reason),
        };
        Followup { what, mode }
    }

    /// The fallback that was decided on could not answer: its token goes back.
    pub fn on_fallback_failed(&mut self, hop: HopRef) {
        if let Some(hop) = self.plan.hop_mut(hop) {
            hop.refund_fallback();
        }
    }

    /// A call is over; `retries` were made for it.
    pub fn on_end(&mut self, hop: HopRef, retries: u32) {
        if let Some(hop) = self.plan.hop_mut(hop) {
            hop.owe_retries(retries);
        }
    }
}

/// One decision about a call.
struct Machine<'a> {
    hop: &'a mut Hop,
    deadline: Option<Absolute>,
    now: Micros,
    asks: Asks,
    state: HopState,
    mode: Mode,
}

impl Machine<'_> {
    fn decide(mut self) -> CallDecision {
        let alone = self.hop.alone.filter(|_| !self.can_be_followed());
        match Time::for_call(self.hop, None, self.deadline, self.now) {
            Time::TooLate => self.decide_too_late(alone),
            Time::Enough(timeout) => {
                let longer =
                    alone.map(|alone| Time::for_call(self.hop, Some(alone), self.deadline, self.now));
                match longer {
                    Some(Time::Enough(longer)) => self.call(longer, alone, false),
                    _ => self.call(timeout, None, false),
                }
            }
        }
    }

    /// Whether a fallback would answer if the call failed. Looks at the degraded budget without paying.
    fn can_be_followed(&self) -> bool {
        suitable_after(self.hop, self.deadline, self.now, self.asks).is_ok() && self.hop.could_pay_fallback()
    }

    fn call(&self, timeout: Option<Millis>, alone: Option<Alone>, budget_spent: bool) -> CallDecision {
        let Self { hop, state, mode, .. } = self;
        let denied = hop.denies_retries();
        let per_try = match (hop.per_try_timeout, hop.timeout, alone) {
            // A try keeps its share of the call.
            (Some(per_try), Some(whole), Some(alone)) => {
                Some(Millis(per_try.0.saturating_mul(alone.timeout.0) / whole.0.max(1)))
            }
            (per_try, ..) => per_try,
        };
        let per_try = match (per_try, timeout) {
            (Some(per_try), Some(timeout)) => Some(per_try.min(timeout)),
            (per_try, _) => per_try,
        };
        let max_retries = if denied { Some(0) } else { hop.max_retries() };
        let action = CallAction::Call(CallBounds { timeout, per_try, max_retries });
        CallDecision { action, state: *state, mode: *mode, retry_denied: denied, budget_spent }
    }

    /// Too late for a call that leaves time to an alternate: somebody else answers at once, or a call that stands alone may still be in
    /// time.
    fn decide_too_late(&mut self, alone: Option<Alone>) -> CallDecision {
        let wanted = suitable_before(self.hop, self.deadline, self.now, self.asks.grpc);
        let paid = wanted.is_some() && self.hop.pay_fallback();
        let budget_spent = wanted.is_some() && !paid;
        let action = match wanted {
            Some(before) if paid => CallAction::FallbackBefore(before),
            _ => match alone.map(|alone| Time::for_call(self.hop, Some(alone), self.deadline, self.now)) {
                Some(Time::Enough(timeout)) => return self.call(timeout, alone, budget_spent),
                _ => CallAction::Refuse,
            },
        };
        CallDecision { action, state: self.state, mode: self.mode, retry_denied: false, budget_spent }
    }
}

/// A fallback that can answer without the call having been made.
fn suitable_before(hop: &Hop, deadline: Option<Absolute>, now: Micros, grpc: bool) -> Option<Before> {
    match &hop.fallback.as_ref()?.kind {
        FallbackKind::Static(_) => (!grpc).then_some(Before::Static),
        FallbackKind::Alternate(alternate) => {
            alternate.route_header.as_ref()?;
            let timeout = Time::for_alternate(alternate.timeout, hop, deadline, now)?;
            Some(Before::Route { timeout })
        }
    }
}

/// A fallback that can answer after the call failed.
fn suitable_after(
    hop: &Hop,
    deadline: Option<Absolute>,
    now: Micros,
    asks: Asks,
) -> Result<AfterFailure, NoFallback> {
    let fallback = hop.fallback.as_ref().ok_or(NoFallback::NoneDeclared)?;
    if asks.grpc {
        return Err(NoFallback::NotRepeatable);
    }
    let alternate = match &fallback.kind {
        FallbackKind::Static(_) => return Ok(AfterFailure::Static),
        FallbackKind::Alternate(alternate) => alternate,
    };
    if alternate.cluster.is_empty() {
        return Err(NoFallback::NoneDeclared);
    }
    let short = match asks.body {
        Body::Whole | Body::Coming => true,
        Body::Announced(bytes) => bytes <= u64::from(alternate.body_bytes_max),
        Body::TooLong => false,
    };
    if !short || !(asks.idempotent || alternate.allow_non_idempotent) {
        return Err(NoFallback::NotRepeatable);
    }
    let timeout = Time::for_alternate(alternate.timeout, hop, deadline, now).ok_or(NoFallback::NoTime)?;
    Ok(AfterFailure::Callout { timeout })
}

#[cfg(test)]
mod tests;
