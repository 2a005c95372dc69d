//! `spec.governance.runtime`: how far and how fast budgets may act on live traffic.

use emac_core::budget::{FallbackBudget, Mode, OnExpiry, RetryBudget};
use emac_core::id::WorkloadName;
use emac_core::units::{Millis, Ppm, Ratio};

use super::share::{ppm, share_above_zero, wire_millis, workload};
use emac_document::shape::Form;
use emac_document::types::{
    Shown, Type, checked, choice, either, integer, list, mapping, millis, scalar, share,
};
use emac_document::{Fields, Reader};

/// Most tokens a budget may hold (wire).
const BURST_MAX: u64 = 10_000;
const DAY_MS: u64 = 86_400_000;

/// `runtime`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Runtime {
    /// `deadline`: from the end of the request at the edge to the first byte of a useful answer. `None`: the latency objective's threshold.
    pub deadline: Option<Millis>,
    /// Everything else.
    pub policy: RuntimePolicy,
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

pub(super) fn runtime(fields: &mut Fields<'_>) -> Option<Runtime> {
    const MODES: [(&str, Mode); 3] =
        [("observe", Mode::Observe), ("dry-run", Mode::DryRun), ("enforce", Mode::Enforce)];
    let default = RuntimePolicy::default();
    let says = "observe: measure; dry-run: decide and count; enforce: act";
    let mode = fields.field("mode", choice(&MODES), says).or(default.mode);
    let says = "deadline from the end of the request at the edge to the first byte of a useful answer, at most 2m; default: the threshold of the latency objective";
    let deadline = fields.field("deadline", wire_millis(), says).optional();
    let says = "workloads where the journey enters; they call hops without a `source`";
    let edges = fields.field("edge", list(workload()), says).optional().unwrap_or_default();
    let priority = integer("number", 0..=255);
    let priority = fields.field("priority", priority, "priority; 0 is shed first").or(default.priority);
    let says = "share of traces of which hop records are kept";
    let record = fields.field("record", ppm(), says).or(default.record);
    let says = "time reserved at the end of the deadline, so that the answer reaches the edge in time; default: 5 % of the deadline";
    let margin = fields.field("margin", wire_millis(), says).optional();
    let timeouts = fields.field("timeout", mapping(timeouts), "limits of timeouts").optional();
    let (timeout_min, timeout_max) = timeouts.unwrap_or((default.timeout_min, None));
    let says = "the journey's retry budget; `none`: the route's retries without a budget";
    let retry = fields.field("retry", retry(), says).optional().unwrap_or(default.retry);
    let says = "default budget of degraded fallbacks; default: 20 % and a burst of 10";
    let fallback = fields.field("fallback", mapping(fallback_budget), says).optional();
    let says = "with fewer calls of a hop in the window, its expected latency is used";
    let calls = integer("count", 1..=1_000_000_000);
    let evidence_min = fields.field("minEvidence", calls, says).or(default.evidence_min);
    let says = "when and in which steps a changed plan takes effect";
    let damping = fields.field("damping", mapping(damping), says).optional().unwrap_or_default();
    let says = "validity of budgets without the control plane";
    let lease = fields.field("lease", mapping(lease), says).optional().unwrap_or_default();
    let fallback = fallback.unwrap_or(default.fallback);
    let policy = RuntimePolicy {
        mode,
        edges,
        priority,
        record,
        margin,
        timeout_min,
        timeout_max,
        retry,
        fallback,
        evidence_min,
        damping,
        lease,
    };
    Some(Runtime { deadline, policy })
}

fn timeouts(fields: &mut Fields<'_>) -> Option<(Millis, Option<Millis>)> {
    let default = RuntimePolicy::default();
    let min = fields.field("min", wire_millis(), "shortest timeout").or(default.timeout_min);
    let max = fields.field("max", wire_millis(), "longest timeout; default: the deadline").optional();
    if let Some(max) = max.filter(|max| min > *max) {
        return fields.reader().refuse(format!("min ({min}) is above max ({max})"));
    }
    Some((min, max))
}

/// A budget, or `none`: the route's own retries without one.
fn retry<'a>() -> impl Type<'a, Value = Option<RetryBudget>> {
    let none = checked(choice([("none", ())]), |_, ()| Some(None));
    let budget = checked(mapping(retry_budget), |_, budget| Some(Some(budget)));
    either(|it: Reader<'a>| it.node().text() == Some("none"), none, budget)
}

fn retry_budget(fields: &mut Fields<'_>) -> Option<RetryBudget> {
    let default = RetryBudget::DEFAULT;
    let says = "tokens deposited per request; a retry costs one";
    let ratio = fields.field("ratio", ppm(), says).or(default.ratio);
    let says = "tokens deposited per second, so that a hop with few requests can retry";
    let floor = fields.field("floorPerSecond", floor(), says).or(f64::from(default.floor_milli_per_s) / 1e3);
    let burst = fields.field("burst", burst(), "largest number of tokens").or(default.burst);
    let says = "largest number of retries per request; default: the route's number";
    let retries = fields.field("maxRetries", integer("count", 1..=10), says).optional();
    let max_retries = retries.unwrap_or(default.max_retries);
    Some(RetryBudget { ratio, floor_milli_per_s: (floor * 1e3).round() as u32, burst, max_retries })
}

/// Tokens a second; they count to the thousandth.
fn floor<'a>() -> impl Shown<'a, Value = f64> {
    scalar("number", &[Form::Within(0.0, 1_000.0)], "3", |it: Reader<'a>| match it.number()? {
        floor if (0.0..=1e3).contains(&floor) => Some(floor),
        _ => it.refuse("expected a number of tokens a second, 0 to 1000"),
    })
}

fn burst<'a>() -> impl Shown<'a, Value = u32> {
    integer("count", 1..=BURST_MAX)
}

/// `{share, burst}`; `share` must be said.
pub(super) fn fallback_budget(fields: &mut Fields<'_>) -> Option<FallbackBudget> {
    let says = "largest share of requests that may get a degraded answer";
    let share = fields.field("share", ppm(), says).required();
    let default = RuntimePolicy::default().fallback.burst;
    let burst = fields.field("burst", burst(), "largest number of tokens").or(default);
    Some(FallbackBudget { share: share?, burst })
}

fn damping(fields: &mut Fields<'_>) -> Option<Damping> {
    let default = Damping::default();
    let says = "a plan changes only if some timeout changes by more than this share";
    let hysteresis = fields.field("hysteresis", share(), says).or(default.hysteresis);
    let says = "and the predicted success grows by at least this share";
    let gain_min = fields.field("minGain", share(), says).or(default.gain_min);
    let says = "largest change of a timeout in one step, as a share of it";
    // A step of nothing would never arrive.
    let step_max = fields.field("maxStep", share_above_zero("maxStep"), says).or(default.step_max);
    let says = "shortest time between steps, 1ms to 24h";
    let period = fields.field("period", millis(1..=DAY_MS), says).or(default.period);
    Some(Damping { hysteresis, gain_min, step_max, period })
}

fn lease(fields: &mut Fields<'_>) -> Option<Lease> {
    const ON_EXPIRY: [(&str, OnExpiry); 2] = [("hold", OnExpiry::Hold), ("release", OnExpiry::Release)];
    let default = Lease::default();
    let says = "validity of a budget, 1s to 24h";
    let valid_for = fields.field("validFor", millis(1_000..=DAY_MS), says).or(default.valid_for);
    let says = "hold: keep the budgets; release: drop the budgets";
    let on_expiry = fields.field("onExpiry", choice(&ON_EXPIRY), says).or(default.on_expiry);
    Some(Lease { valid_for, on_expiry })
}
