//! `spec.governance` of an intent.

use super::scalar::{
    ABOVE_ZERO, ANY_NAME, DURATION, FLAG, MILLIS, SECONDS, SHARE, SHARE_ABOVE_0, WORD, WORKLOAD, scalars,
};
use super::shape::{Form, Mapping, Shape, default, optional, required};

pub(super) static GOVERNANCE: Mapping = Mapping::of(&[
    default(
        "evaluationMode",
        MODE,
        "conservative",
        "conservative: the lower end decides alone; selective: between the ends a person decides",
    ),
    default("autoAcceptConfidence", SHARE, "0.8", "a model less sure than this makes a decision REVIEW"),
    optional(
        "autoAccept",
        Shape::Mapping(&AUTO_ACCEPT),
        "what of a candidate may be accepted without a person",
    ),
    optional("useBoundsForAutomation", Shape::Mapping(&ENDS), "which ends gates and guards use"),
    optional("alerts", Shape::Mapping(&ALERTS), "when somebody is told"),
    optional(
        "progressiveDelivery",
        Shape::Mapping(&DELIVERY),
        "who rolls out, and what a canary may not exceed",
    ),
    optional("actions", Shape::List(&Shape::Mapping(&ACTION)), "what may be done without a person, and when"),
    optional("runtime", Shape::Mapping(&RUNTIME), "how far and how fast budgets act on live traffic"),
]);

static AUTO_ACCEPT: Mapping =
    Mapping::of(&[default("lowImpact", FLAG, "false", "identified changes that move A- by less than 0.001")]);

static ENDS: Mapping = Mapping::of(&[
    default("availability", AVAILABILITY_END, "pessimistic", "pessimistic: the lower end"),
    default("latency", LATENCY_END, "upperConfidence", "upperConfidence: the later end"),
]);

static ALERTS: Mapping = Mapping::of(&[
    optional("promRuleOutput", WORD, "where the paper's compiler writes; kept, not used"),
    optional(
        "sloBudgetWindow",
        DURATION,
        "the period burn rates refer to; without it the window of the availability objective",
    ),
    optional(
        "burnRatePolicy",
        Shape::Mapping(&BURN_RATES),
        "pairs of windows; without it the standard ones, scaled to the period",
    ),
]);

static BURN_RATES: Mapping = Mapping::of(&[
    optional("page", Shape::List(&Shape::Mapping(&BURN_RATE)), "what wakes somebody"),
    optional("ticket", Shape::List(&Shape::Mapping(&BURN_RATE)), "what can wait"),
]);

static BURN_RATE: Mapping = Mapping::of(&[
    required(
        "burnRate",
        ABOVE_ZERO,
        "multiples of the rate that spends the budget exactly by the end of the period",
    ),
    required("longWindow", DURATION, "over which the rate must be exceeded"),
    required("shortWindow", DURATION, "and still is; shorter than `longWindow`"),
]);

static DELIVERY: Mapping = Mapping::of(&[
    required("provider", PROVIDER, "who rolls out"),
    optional("analysisTemplateOutput", WORD, "where the paper's compiler writes; kept, not used"),
    optional("gate", Shape::Mapping(&GATE), "what a canary may not exceed"),
]);

static GATE: Mapping = Mapping::of(&[
    optional("maxCanaryBurnRate", ABOVE_ZERO, "multiples of the rate that spends the budget exactly"),
    optional("maxP99LatencySeconds", SECONDS, "of the canary's answers"),
]);

static ACTION: Mapping = Mapping::of(&[
    required("kind", WORD, "such as `promote`"),
    required("guard", GUARD, "CEL that must be true; see the symbols below"),
    optional(
        "parameterBounds",
        Shape::Map(ANY_NAME, &PARAMETER),
        "limits of the action's parameters, by name",
    ),
    optional("rollback", Shape::Mapping(&ROLLBACK), "what happens when the guard no longer holds"),
    optional("rateLimit", Shape::Mapping(&RATE_LIMIT), "how often it may be done"),
]);

static ROLLBACK: Mapping = Mapping::of(&[
    default("onGuardViolation", FLAG, "true", "whether anything is done then"),
    default("action", WORD, "rollback", "what"),
]);

static RATE_LIMIT: Mapping =
    Mapping::of(&[required("maxActions", ACTIONS, "so many"), required("window", DURATION, "in this time")]);

static RUNTIME: Mapping = Mapping::of(&[
    default("mode", ACT, "observe", "observe: record; dry-run: decide and count; enforce: act"),
    optional(
        "deadline",
        MILLIS,
        "from the end of the request at the edge to the first byte of a useful answer, at most 2m; without it the latency objective's threshold",
    ),
    optional(
        "edge",
        Shape::List(&WORKLOAD),
        "workloads where the journey enters; they call hops without a `source`",
    ),
    default("priority", PRIORITY, "100", "0 is shed first"),
    default("record", SHARE_ABOVE_0, "0.01", "share of traces recorded hop by hop"),
    optional(
        "margin",
        MILLIS,
        "kept back at the end of the deadline, so that the answer arrives at the edge in time; without it 5 % of the deadline",
    ),
    optional("timeout", Shape::Mapping(&TIMEOUTS), "bounds on timeouts"),
    optional("retry", RETRIES, "the journey's retry budget, or `none`: the route's own retries without one"),
    optional(
        "fallback",
        Shape::Mapping(&FALLBACK_BUDGET),
        "budget of degraded fallbacks that state none; without it 20 % and a burst of 10",
    ),
    default("minEvidence", CALLS, "50", "with fewer calls of a hop in the window its expected latency rules"),
    optional("damping", Shape::Mapping(&DAMPING), "when a changed plan takes effect, and how much of it"),
    optional("lease", Shape::Mapping(&LEASE), "how long budgets hold without the control plane"),
]);

static TIMEOUTS: Mapping = Mapping::of(&[
    default("min", MILLIS, "1ms", "no timeout is shorter"),
    optional("max", MILLIS, "no timeout is longer; without it the deadline"),
]);

const RETRIES: Shape = Shape::Either(&[NONE, Shape::Mapping(&RETRY)]);

static RETRY: Mapping = Mapping::of(&[
    default("ratio", SHARE_ABOVE_0, "0.2", "tokens that a request deposits; a retry costs one"),
    default(
        "floorPerSecond",
        FLOOR,
        "10",
        "tokens deposited every second, so that a quiet hop can retry at all",
    ),
    default("burst", BURST, "100", "most tokens held"),
    optional("maxRetries", RETRIES_MAX, "most retries of one request; without it the route's own number"),
]);

pub(super) static FALLBACK_BUDGET: Mapping = Mapping::of(&[
    required("share", SHARE_ABOVE_0, "largest share of requests that may be answered so"),
    default("burst", BURST, "10", "most tokens held"),
]);

static DAMPING: Mapping = Mapping::of(&[
    default(
        "hysteresis",
        SHARE,
        "0.1",
        "the plan stays unless some timeout moves by more than this share of itself",
    ),
    default("minGain", SHARE, "0.0005", "and the predicted success grows by at least this much"),
    default("maxStep", SHARE_ABOVE_0, "0.5", "most by which a timeout moves at once, as a share of itself"),
    default("period", MILLIS, "5s", "at most one step in this time, 1ms to 24h"),
]);

static LEASE: Mapping = Mapping::of(&[
    default("validFor", LEASE_TIME, "60s", "1s to 24h"),
    default("onExpiry", ON_EXPIRY, "hold", "hold: budgets stay; release: traffic is as if there were none"),
]);

scalars! {
    MODE = "word", [Form::Words(&["conservative", "selective"])], "conservative";
    AVAILABILITY_END = "word", [Form::Words(&["pessimistic", "optimistic"])], "pessimistic";
    LATENCY_END = "word", [Form::Words(&["upperConfidence", "lowerConfidence"])], "upperConfidence";
    PROVIDER = "word", [Form::Words(&["argo-rollouts", "flagger"])], "argo-rollouts";
    GUARD = "CEL", [Form::Text(r"\S")], "A_minus >= 0.995 && no_unresolved_domain_conflict";
    PARAMETER = "number, text or boolean", [Form::Number, Form::Text(r"\S"), Form::Boolean], "0.5";
    ACTIONS = "count", [Form::Integer(1, 1_000_000)], "1";
    ACT = "word", [Form::Words(&["observe", "dry-run", "enforce"])], "observe";
    PRIORITY = "number", [Form::Integer(0, 255)], "100";
    CALLS = "count", [Form::Integer(1, 1_000_000_000)], "50";
    NONE = "word", [Form::Words(&["none"])], "none";
    FLOOR = "number", [Form::Within(0.0, 1_000.0)], "3";
    BURST = "count", [Form::Integer(1, 10_000)], "10";
    RETRIES_MAX = "count", [Form::Integer(1, 10)], "2";
    LEASE_TIME = "duration", [Form::Text(r"^\s*([0-9]*\.?[0-9]*(w|d|h|m|s|ms|us))+\s*$")], "60s";
    ON_EXPIRY = "word", [Form::Words(&["hold", "release"])], "hold";
}
