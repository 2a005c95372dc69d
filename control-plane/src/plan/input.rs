//! What the planner is told: the runtime part of an intent, and evidence by hop.
//!
//! The intent parser builds these values (`governance.runtime`, `components.<leaf>`); the YAML field of each is named beside it. Where a field
//! is absent the `Default` given here applies.

use std::collections::BTreeMap;

use emac_core::budget::{
    EntryRule, FallbackBudget, Mode, OnExpiry, RetryBudget, StaticResponse, SuccessPredicate,
};
use emac_core::id::{HopKey, JourneyName, WorkloadName};
use emac_core::journey::{ComponentName, Journey};
use emac_core::outcome::OutcomeCounts;
use emac_core::sketch::Sketch;
use emac_core::units::{Millis, Ppm, Ratio};

/// One journey as the planner sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct JourneyIntent {
    /// `metadata.name`.
    pub name: JourneyName,
    /// SHA-256 (hex) of the intent's canonical form, or of the accepted model; provenance only, may be empty.
    pub model_digest: String,
    /// `spec.operator`.
    pub structure: Journey,
    /// `spec.objectives.latency.objective.threshold`: from the end of the request at the edge to the first byte of a useful answer.
    pub deadline: Millis,
    /// `spec.objectives.availability.target`.
    pub objective: Ratio,
    /// `spec.entry[]`.
    pub entry: Vec<EntryRule>,
    /// `spec.governance.runtime`.
    pub runtime: RuntimePolicy,
    /// `spec.components`: one for each leaf of `structure`; more are ignored.
    pub components: BTreeMap<ComponentName, Component>,
}

/// `spec.governance.runtime`: how far and how fast budgets may act.
#[derive(Clone, Debug, PartialEq)]
pub struct RuntimePolicy {
    /// `mode`: observe (default), dry-run or enforce.
    pub mode: Mode,
    /// `edge[]`: workloads at which the journey is recognised (`<namespace>/<workload>`). They are also the source of every hop
    /// that states none.
    pub edges: Vec<WorkloadName>,
    /// `priority`: 0 is shed first. Default 100.
    pub priority: u8,
    /// `record`: share of traces recorded hop by hop. Default 1 %.
    pub record: Ppm,
    /// `margin`: kept back at the end of the deadline, so that the answer arrives at the edge in time. `None` (default): 5 % of
    /// the deadline.
    pub margin: Option<Millis>,
    /// `timeout.min`: no hop is given less. Default 1 ms.
    pub timeout_min: Millis,
    /// `timeout.max`: no hop is given more. `None` (default): the deadline.
    pub timeout_max: Option<Millis>,
    /// `retry`: budget of every hop. `None`: the route's own retries, unbudgeted. Default:
    /// [`RetryBudget::DEFAULT`], 20 % and 10 a second, burst 100, the route's own number.
    pub retry: Option<RetryBudget>,
    /// `fallback`: budget of degraded fallbacks that state none. Default: 20 %, burst 10.
    pub fallback: FallbackBudget,
    /// `minEvidence`: with fewer calls of a hop in the window its default curve rules. Default 50.
    pub evidence_min: u64,
    /// `damping`.
    pub damping: Damping,
    /// `lease`.
    pub lease: Lease,
}

/// `damping`: when a changed plan takes effect, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Damping {
    /// `hysteresis`: a journey's plan stays as it is unless some timeout moves by more than this share. Default 0.1.
    pub hysteresis: Ratio,
    /// `minGain`: ... and the predicted success grows by at least this much. Default 0.0005.
    pub gain_min: Ratio,
    /// `maxStep`: most by which a timeout moves at once, as a share of itself. Default 0.5.
    pub step_max: Ratio,
    /// `period`: at most one step in this time. Default 5 s.
    pub period: Millis,
}

/// `lease`: how long budgets hold without the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// `validFor`, 1 s to 24 h. Default 60 s.
    pub valid_for: Millis,
    /// `onExpiry`: hold (default) or release.
    pub on_expiry: OnExpiry,
}

/// `spec.components.<leaf>`: what the runtime needs to know of a leaf.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// How it is reached.
    pub reach: Reach,
    /// Success share while nothing is measured: target of the atomic SLO. Default 0.999.
    pub availability: Ratio,
    /// `latency {p50, p99}`: while nothing is measured. `None`: a twentieth and a fifth of the deadline, and a fallback for it acts
    /// only once it is measured.
    pub latency: Option<LatencyDefault>,
    /// `success {http, grpc}`: what counts as a good answer.
    pub success: SuccessPredicate,
    /// `fallbackBudget {share, burst}`: bound on degraded answers in place of this component. `None`: the journey's.
    pub fallback_budget: Option<FallbackBudget>,
}

/// How a leaf is reached.
#[derive(Clone, Debug, PartialEq)]
pub enum Reach {
    /// `hop`: a call through the mesh.
    Hop(HopRef),
    /// `response`: an answer kept in the sidecar of whoever called the primary; only as an alternate.
    Static(StaticResponse),
    /// Neither: time spent where no sidecar sees it. It has a curve, no budget.
    Unseen,
}

/// `hop`: whose call it is and to whom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HopRef {
    /// `source`: who calls (`<namespace>/<workload>`). `None`: the edge.
    pub source: Option<WorkloadName>,
    /// `destination`: Istio service host or Envoy cluster.
    pub destination: String,
    /// `operation`: `METHOD /path/template` or `package.Service/Method`; empty: any.
    pub operation: String,
    /// `workload`: who answers. When it is itself the source of other hops of the journey, this hop encloses them.
    pub workload: Option<WorkloadName>,
    /// `withoutContext`: calls that carry no context have this hop's budget too. Default no: they are nobody's journey.
    pub without_context: bool,
    /// `stream`: its calls are streams, which nothing bounds. Default no.
    pub stream: bool,
    /// `callout`: how it is asked when it stands in for another.
    pub callout: CalloutOptions,
}

/// `hop.callout`: how the sidecar asks this component in place of the primary. See `emac_core::budget::Alternate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalloutOptions {
    /// `cluster`: Envoy cluster asked after a failure. `None`: the hop's destination; `Some("")`: no callout.
    pub cluster: Option<String>,
    /// `authority`: empty: the request's own.
    pub authority: String,
    /// `path`: empty: the request's own.
    pub path: String,
    /// `routeHeader {name, value}`: makes the route table choose this component before the call.
    pub route_header: Option<(String, String)>,
    /// `allowNonIdempotent`: repeat POST and PATCH too. Default false.
    pub allow_non_idempotent: bool,
    /// `maxBody`: request bodies are kept up to here, at most 65 536. Default 16 384.
    pub body_bytes_max: u32,
}

/// `latency`: a lognormal distribution by two quantiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencyDefault {
    /// Half of the answers are quicker. Above zero.
    pub p50: Millis,
    /// 99 % of the answers are quicker. At least `p50`.
    pub p99: Millis,
}

/// What was seen of one hop in the planning window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HopEvidence {
    /// Calls by outcome.
    pub outcomes: OutcomeCounts,
    /// Latency of the destination's own good answers.
    pub latency: Sketch,
    /// Latency of the alternate's good answers.
    pub alternate_latency: Sketch,
    /// Times the alternate was asked, before or instead of passing a failure on.
    pub alternate_asked: u64,
}

/// Evidence of the planning window by hop; the operation is part of the key, an empty one is the sum over operations.
pub type Evidence = BTreeMap<HopKey, HopEvidence>;

impl Default for RuntimePolicy {
    fn default() -> Self {
        Self {
            mode: Mode::Observe,
            edges: Vec::new(),
            priority: 100,
            record: Ppm::new(10_000).unwrap_or_default(),
            margin: None,
            timeout_min: Millis(1),
            timeout_max: None,
            retry: Some(RetryBudget::DEFAULT),
            fallback: FallbackBudget { share: Ppm::new(200_000).unwrap_or_default(), burst: 10 },
            evidence_min: 50,
            damping: Damping::default(),
            lease: Lease::default(),
        }
    }
}

impl Default for Damping {
    fn default() -> Self {
        let share = |value| Ratio::new(value).unwrap_or_default();
        Self { hysteresis: share(0.1), gain_min: share(0.0005), step_max: share(0.5), period: Millis(5_000) }
    }
}

impl Default for Lease {
    fn default() -> Self {
        Self { valid_for: Millis(60_000), on_expiry: OnExpiry::Hold }
    }
}

impl Default for Component {
    fn default() -> Self {
        Self {
            reach: Reach::Unseen,
            availability: Ratio::new(0.999).unwrap_or_default(),
            latency: None,
            success: SuccessPredicate::default(),
            fallback_budget: None,
        }
    }
}

impl Default for CalloutOptions {
    fn default() -> Self {
        Self {
            cluster: None,
            authority: String::new(),
            path: String::new(),
            route_header: None,
            allow_non_idempotent: false,
            body_bytes_max: 16_384,
        }
    }
}
