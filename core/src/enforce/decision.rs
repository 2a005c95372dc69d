//! What the machine says.

use crate::budget::Mode;
use crate::units::Millis;

/// How much is known of a hop's budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopState {
    /// No budget.
    Cold,
    /// A budget in force.
    Fresh,
    /// The lease has expired.
    Stale,
    /// In force, and its retry or fallback budget is spent.
    Exhausted,
}

impl HopState {
    /// Stable label for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Exhausted => "exhausted",
        }
    }
}

/// How [`super::Enforcer::apply`] took budgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// A new plan: resolved hops are out of date.
    Replaced,
    /// The same plan, its lease starts again.
    Renewed,
}

/// The decision before a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallDecision {
    /// What would be done.
    pub action: CallAction,
    /// What was known.
    pub state: HopState,
    /// How far it may go.
    pub mode: Mode,
    /// Retries would be allowed, but their budget is spent.
    pub retry_denied: bool,
    /// A degraded fallback would answer, but its budget is spent.
    pub budget_spent: bool,
}

impl CallDecision {
    pub(super) const fn pass(state: HopState, mode: Mode) -> Self {
        Self { action: CallAction::Pass, state, mode, retry_denied: false, budget_spent: false }
    }

    /// Whether to do it.
    pub fn acts(&self) -> bool {
        self.mode == Mode::Enforce && self.action != CallAction::Pass
    }
}

/// What to do with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallAction {
    /// No budget, only observing, or stale and released: as if the filter were not there.
    Pass,
    /// Make it, within bounds.
    Call(CallBounds),
    /// Do not make it: its answer would come too late, but something else can answer.
    FallbackBefore(Before),
    /// Do not make it: its answer would come too late.
    Refuse,
}

impl CallAction {
    /// Stable label for metrics and the decision header.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Call(_) => "call",
            Self::FallbackBefore(_) => "fallback_before",
            Self::Refuse => "refuse",
        }
    }
}

/// Bounds of a call. A hedge after a delay would be one more field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallBounds {
    /// Longest it may take, at least 1 ms; `None`: the route's own.
    pub timeout: Option<Millis>,
    /// Longest one try may take, at most `timeout`; `None`: the route's own.
    pub per_try: Option<Millis>,
    /// Retries for this request; `None`: the route's own.
    pub max_retries: Option<u32>,
}

/// Who answers instead of a call that is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// The sidecar.
    Static,
    /// The alternate, reached by choosing the route again.
    Route {
        /// Longest it may take, at least 1 ms.
        timeout: Millis,
    },
}

/// What a call is, as far as it decides who else may answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asks {
    /// gRPC answers have trailers, which neither a static answer nor a callout carries.
    pub grpc: bool,
    /// GET, HEAD, OPTIONS, PUT, DELETE.
    pub idempotent: bool,
    /// Whether the request can be said again.
    pub body: Body,
}

/// What is known, or was kept, of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Its length is not known yet: it is expected to be short enough.
    Coming,
    /// So many bytes are announced.
    Announced(u64),
    /// All of it, or there was none.
    Whole,
    /// Not all of it.
    TooLong,
}

/// What follows a failure, and how far it may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followup {
    /// What would be done.
    pub what: AfterFailure,
    /// How far it may go.
    pub mode: Mode,
}

impl Followup {
    /// Whether to do it.
    pub fn acts(&self) -> bool {
        self.mode == Mode::Enforce && !matches!(self.what, AfterFailure::Pass(_))
    }
}

/// What to answer instead of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// The failure itself.
    Pass(NoFallback),
    /// The sidecar's answer.
    Static,
    /// The alternate's answer, by callout.
    Callout {
        /// Longest it may take, at least 1 ms.
        timeout: Millis,
    },
}

/// Why a failure is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoFallback {
    /// None, or none for this case.
    NoneDeclared,
    /// Degraded answers have had their share.
    BudgetSpent,
    /// A call that may not or cannot be said again: gRPC, not idempotent, or its body was too long to keep.
    NotRepeatable,
    /// The deadline has passed.
    NoTime,
}
