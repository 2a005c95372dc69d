//! `spec.governance.runtime`: how far and how fast budgets may act on live traffic.

use emac_core::budget::{FallbackBudget, Mode, OnExpiry, RetryBudget};
use emac_core::id::WorkloadName;
use emac_core::units::{Millis, Ppm, Ratio};

use super::share::{millis_within, named, ppm, small, wire_millis};
use emac_document::{Fields, Reader};

/// Most tokens a budget may hold (wire).
const BURST_MAX: u32 = 10_000;

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

impl Runtime {
    pub(super) fn read(reader: Reader<'_>) -> Option<Self> {
        reader.fields(|fields| {
            let deadline = fields.optional("deadline", wire_millis);
            let policy = policy(fields);
            Some(Self { deadline, policy })
        })
    }
}

fn policy(fields: &mut Fields<'_>) -> RuntimePolicy {
    const MODES: [(&str, Mode); 3] =
        [("observe", Mode::Observe), ("dry-run", Mode::DryRun), ("enforce", Mode::Enforce)];
    let default = RuntimePolicy::default();
    let mode = fields.optional("mode", |mode| mode.choice(&MODES)).unwrap_or(default.mode);
    let edges = fields.optional("edge", |edges| edges.list(|edge| named(edge, WorkloadName::new)));
    let priority = fields.optional("priority", |priority| small(priority, 0..=255));
    let record = fields.optional("record", ppm).unwrap_or(default.record);
    let margin = fields.optional("margin", wire_millis);
    let (timeout_min, timeout_max) =
        fields.optional("timeout", |timeout| timeout.fields(timeouts)).unwrap_or_default();
    let retry = fields.optional("retry", retry).unwrap_or(default.retry);
    let fallback = fields.optional("fallback", fallback_budget).unwrap_or(default.fallback);
    let evidence_min = fields.optional("minEvidence", |calls| calls.integer(1..=1_000_000_000));
    let damping = fields.optional("damping", |damping| damping.fields(damping_)).unwrap_or(default.damping);
    let lease = fields.optional("lease", |lease| lease.fields(lease_)).unwrap_or(default.lease);
    RuntimePolicy {
        mode,
        edges: edges.unwrap_or_default(),
        priority: priority.and_then(|priority| u8::try_from(priority).ok()).unwrap_or(default.priority),
        record,
        margin,
        timeout_min: timeout_min.unwrap_or(default.timeout_min),
        timeout_max,
        retry,
        fallback,
        evidence_min: evidence_min.unwrap_or(default.evidence_min),
        damping,
        lease,
    }
}

fn timeouts(fields: &mut Fields<'_>) -> Option<(Option<Millis>, Option<Millis>)> {
    let min = fields.optional("min", wire_millis);
    let max = fields.optional("max", wire_millis);
    match (min, max) {
        (Some(min), Some(max)) if min > max => {
            fields.reader().refuse(format!("min ({min}) is above max ({max})"))
        }
        ends => Some(ends),
    }
}

/// A budget, or `none`: the route's own retries without one.
fn retry(reader: Reader<'_>) -> Option<Option<RetryBudget>> {
    if reader.node().text() == Some("none") {
        return Some(None);
    }
    let default = RuntimePolicy::default().retry?;
    reader.fields(|fields| {
        let ratio = fields.optional("ratio", ppm).unwrap_or(default.ratio);
        let floor = fields.optional("floorPerSecond", floor).unwrap_or(default.floor_milli_per_s);
        let burst = fields.optional("burst", burst).unwrap_or(default.burst);
        let retries = fields.optional("maxRetries", |max| small(max, 1..=10)).unwrap_or(default.max_retries);
        Some(Some(RetryBudget { ratio, floor_milli_per_s: floor, burst, max_retries: retries }))
    })
}

/// Tokens a second, to the thousandth.
fn floor(reader: Reader<'_>) -> Option<u32> {
    let milli = reader.number()? * 1_000.0;
    if (0.0..=1e6).contains(&milli) {
        Some(milli.round() as u32)
    } else {
        reader.refuse("expected a number of tokens a second, 0 to 1000")
    }
}

fn burst(reader: Reader<'_>) -> Option<u32> {
    small(reader, 1..=BURST_MAX)
}

/// `{share, burst}`; `share` must be said.
pub(super) fn fallback_budget(reader: Reader<'_>) -> Option<FallbackBudget> {
    reader.fields(|fields| {
        let share = fields.required("share", ppm);
        let burst = fields.optional("burst", burst).unwrap_or(RuntimePolicy::default().fallback.burst);
        Some(FallbackBudget { share: share?, burst })
    })
}

fn damping_(fields: &mut Fields<'_>) -> Option<Damping> {
    let default = Damping::default();
    let hysteresis = fields.optional("hysteresis", Reader::ratio).unwrap_or(default.hysteresis);
    let gain_min = fields.optional("minGain", Reader::ratio).unwrap_or(default.gain_min);
    let step_max = fields.optional("maxStep", step).unwrap_or(default.step_max);
    let period = fields.optional("period", |period| millis_within(period, 1..=86_400_000));
    Some(Damping { hysteresis, gain_min, step_max, period: period.unwrap_or(default.period) })
}

/// A step of nothing would never arrive.
fn step(reader: Reader<'_>) -> Option<Ratio> {
    let step = reader.ratio()?;
    if step > Ratio::ZERO { Some(step) } else { reader.refuse("maxStep is above zero") }
}

fn lease_(fields: &mut Fields<'_>) -> Option<Lease> {
    const ON_EXPIRY: [(&str, OnExpiry); 2] = [("hold", OnExpiry::Hold), ("release", OnExpiry::Release)];
    let default = Lease::default();
    let valid_for = fields.optional("validFor", |valid_for| millis_within(valid_for, 1_000..=86_400_000));
    let on_expiry = fields.optional("onExpiry", |on_expiry| on_expiry.choice(&ON_EXPIRY));
    Some(Lease {
        valid_for: valid_for.unwrap_or(default.valid_for),
        on_expiry: on_expiry.unwrap_or(default.on_expiry),
    })
}
