//! `spec.governance` of an intent.

use super::scalar::{
    ABOVE_ZERO, ANY_NAME, DURATION, FLAG, MILLIS, SECONDS, SHARE, SHARE_ABOVE_0, WORD, WORKLOAD, scalars,
};
use emac_document::shape::{Form, Mapping, Shape, default, optional, required};

pub(super) static GOVERNANCE: Mapping = Mapping::of(&[
    default(
        "evaluationMode",
        MODE,
        "conservative",
        "conservative: the lower bound decides; selective: an objective between the bounds gives REVIEW",
    ),
    default(
        "autoAcceptConfidence",
        SHARE,
        "0.8",
        "if the model's confidence is lower, the decision is REVIEW",
    ),
    optional(
        "autoAccept",
        Shape::Mapping(&AUTO_ACCEPT),
        "which changes of a candidate may be accepted by policy",
    ),
    optional("useBoundsForAutomation", Shape::Mapping(&ENDS), "which bounds gates and guards use"),
    optional("alerts", Shape::Mapping(&ALERTS), "alerts"),
    optional(
        "progressiveDelivery",
        Shape::Mapping(&DELIVERY),
        "progressive delivery: provider and limits of a canary",
    ),
    optional(
        "actions",
        Shape::List(&Shape::Mapping(&ACTION)),
        "actions allowed without a person, with their guards",
    ),
    optional("runtime", Shape::Mapping(&RUNTIME), "how budgets act on live traffic"),
]);

static AUTO_ACCEPT: Mapping = Mapping::of(&[default(
    "lowImpact",
    FLAG,
    "false",
    "accept identified changes that move A- by less than 0.001",
)]);

static ENDS: Mapping = Mapping::of(&[
    default("availability", AVAILABILITY_END, "pessimistic", "pessimistic: the lower bound"),
    default("latency", LATENCY_END, "upperConfidence", "upperConfidence: the upper bound"),
]);

static ALERTS: Mapping = Mapping::of(&[
    optional("promRuleOutput", WORD, "output path of the paper's compiler; read and not used"),
    optional(
        "sloBudgetWindow",
        DURATION,
        "period of the burn rates; default: the window of the availability objective",
    ),
    optional(
        "burnRatePolicy",
        Shape::Mapping(&BURN_RATES),
        "pairs of windows; default: the standard pairs, scaled to the period",
    ),
    optional("name", WORD, "name of the alerts of the error budget; default: made of the journey's name"),
    optional("slo", SLO_NAME, "name of the SLO in labels; default: the dialect's own"),
    optional("runbook", WORD, "where the runbook is: the annotation `runbook_url` of every alert"),
    optional("labels", Shape::Map(ALERT_LABEL, &ALERT_TEXT), "labels of every alert"),
    optional("annotations", Shape::Map(ALERT_LABEL, &ALERT_TEXT), "annotations of every alert"),
    optional("pageAlert", Shape::Mapping(&ALERT), "what alerts that page carry beside that"),
    optional("ticketAlert", Shape::Mapping(&ALERT), "what alerts that open a ticket carry beside that"),
]);

/// Names of labels and annotations of alerts.
const ALERT_LABEL: &str = "^[A-Za-z_][A-Za-z0-9_]*$";

static ALERT: Mapping = Mapping::of(&[
    optional("labels", Shape::Map(ALERT_LABEL, &ALERT_TEXT), "labels"),
    optional("annotations", Shape::Map(ALERT_LABEL, &ALERT_TEXT), "annotations"),
    default("disable", FLAG, "false", "whether there is no such alert"),
]);

static BURN_RATES: Mapping = Mapping::of(&[
    optional("page", Shape::List(&Shape::Mapping(&BURN_RATE)), "alerts that page"),
    optional("ticket", Shape::List(&Shape::Mapping(&BURN_RATE)), "alerts that open a ticket"),
]);

static BURN_RATE: Mapping = Mapping::of(&[
    required(
        "burnRate",
        ABOVE_ZERO,
        "burn rate, as a multiple of the rate that spends the budget exactly by the end of the period",
    ),
    required("longWindow", DURATION, "long window in which the rate must be exceeded"),
    required(
        "shortWindow",
        DURATION,
        "short window in which it must still be exceeded; shorter than `longWindow`",
    ),
]);

static DELIVERY: Mapping = Mapping::of(&[
    required("provider", PROVIDER, "rollout controller"),
    optional("analysisTemplateOutput", WORD, "output path of the paper's compiler; read and not used"),
    optional("gate", Shape::Mapping(&GATE), "limits of a canary"),
    optional(
        "canary",
        Shape::Mapping(&CANARY),
        "which series are the canary's; default: `rollout`, `canary` and `stable` for Argo Rollouts, Flagger's own label `app` for Flagger",
    ),
]);

static CANARY: Mapping = Mapping::of(&[
    required("label", POD_LABEL, "label of pods and of their series"),
    default("value", POD_VALUE, "canary", "its value for the canary"),
    default("stable", POD_VALUE, "stable", "its value for all others"),
]);

static GATE: Mapping = Mapping::of(&[
    optional(
        "maxCanaryBurnRate",
        ABOVE_ZERO,
        "largest burn rate of the canary, as a multiple of the rate that spends the budget exactly",
    ),
    optional("maxP99LatencySeconds", SECONDS, "largest p99 latency of the canary"),
    optional(
        "minRequests",
        CALLS,
        "requests of the canary in 5 minutes below which there is no verdict; default: `2 / (maxCanaryBurnRate × error budget)`, at most 100",
    ),
]);

static ACTION: Mapping = Mapping::of(&[
    required("kind", WORD, "kind of action, such as `promote`"),
    required("guard", GUARD, "CEL expression that must be true; see the symbols below"),
    optional(
        "parameterBounds",
        Shape::Map(ANY_NAME, &PARAMETER),
        "limits of the action's parameters, by parameter name",
    ),
    optional("rollback", Shape::Mapping(&ROLLBACK), "what to do when the guard becomes false"),
    optional("rateLimit", Shape::Mapping(&RATE_LIMIT), "rate limit of the action"),
]);

static ROLLBACK: Mapping = Mapping::of(&[
    default("onGuardViolation", FLAG, "true", "whether to roll back"),
    default("action", WORD, "rollback", "rollback action"),
]);

static RATE_LIMIT: Mapping = Mapping::of(&[
    required("maxActions", ACTIONS, "largest number of actions"),
    required("window", DURATION, "time window of the limit"),
]);

static RUNTIME: Mapping = Mapping::of(&[
    default("mode", ACT, "observe", "observe: measure; dry-run: decide and count; enforce: act"),
    optional(
        "deadline",
        MILLIS,
        "deadline from the end of the request at the edge to the first byte of a useful answer, at most 2m; default: the threshold of the latency objective",
    ),
    optional(
        "edge",
        Shape::List(&WORKLOAD),
        "workloads where the journey enters; they call hops without a `source`",
    ),
    default("priority", PRIORITY, "100", "priority; 0 is shed first"),
    default("record", SHARE_ABOVE_0, "0.01", "share of traces of which hop records are kept"),
    optional(
        "margin",
        MILLIS,
        "time reserved at the end of the deadline, so that the answer reaches the edge in time; default: 5 % of the deadline",
    ),
    optional("timeout", Shape::Mapping(&TIMEOUTS), "limits of timeouts"),
    optional("retry", RETRIES, "the journey's retry budget; `none`: the route's retries without a budget"),
    optional(
        "fallback",
        Shape::Mapping(&FALLBACK_BUDGET),
        "default budget of degraded fallbacks; default: 20 % and a burst of 10",
    ),
    default(
        "minEvidence",
        CALLS,
        "50",
        "with fewer calls of a hop in the window, its expected latency is used",
    ),
    optional("damping", Shape::Mapping(&DAMPING), "when and in which steps a changed plan takes effect"),
    optional("lease", Shape::Mapping(&LEASE), "validity of budgets without the control plane"),
]);

static TIMEOUTS: Mapping = Mapping::of(&[
    default("min", MILLIS, "1ms", "shortest timeout"),
    optional("max", MILLIS, "longest timeout; default: the deadline"),
]);

const RETRIES: Shape = Shape::Either(&[NONE, Shape::Mapping(&RETRY)]);

static RETRY: Mapping = Mapping::of(&[
    default("ratio", SHARE_ABOVE_0, "0.2", "tokens deposited per request; a retry costs one"),
    default(
        "floorPerSecond",
        FLOOR,
        "10",
        "tokens deposited per second, so that a hop with few requests can retry",
    ),
    default("burst", BURST, "100", "largest number of tokens"),
    optional("maxRetries", RETRIES_MAX, "largest number of retries per request; default: the route's number"),
]);

pub(super) static FALLBACK_BUDGET: Mapping = Mapping::of(&[
    required("share", SHARE_ABOVE_0, "largest share of requests that may get a degraded answer"),
    default("burst", BURST, "10", "largest number of tokens"),
]);

static DAMPING: Mapping = Mapping::of(&[
    default(
        "hysteresis",
        SHARE,
        "0.1",
        "a plan changes only if some timeout changes by more than this share",
    ),
    default("minGain", SHARE, "0.0005", "and the predicted success grows by at least this share"),
    default("maxStep", SHARE_ABOVE_0, "0.5", "largest change of a timeout in one step, as a share of it"),
    default("period", MILLIS, "5s", "shortest time between steps, 1ms to 24h"),
]);

static LEASE: Mapping = Mapping::of(&[
    default("validFor", LEASE_TIME, "60s", "validity of a budget, 1s to 24h"),
    default("onExpiry", ON_EXPIRY, "hold", "hold: keep the budgets; release: drop the budgets"),
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
    SLO_NAME = "name", [Form::Text("^[A-Za-z0-9._-]+$")], "availability";
    POD_LABEL = "label", [Form::Text("^[A-Za-z]([A-Za-z0-9_]{0,61}[A-Za-z0-9])?$")], "rollout";
    POD_VALUE = "text", [Form::Text("^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")], "canary";
    ALERT_TEXT = "text", [Form::Text("")], "shop";
    NONE = "word", [Form::Words(&["none"])], "none";
    FLOOR = "number", [Form::Within(0.0, 1_000.0)], "3";
    BURST = "count", [Form::Integer(1, 10_000)], "10";
    RETRIES_MAX = "count", [Form::Integer(1, 10)], "2";
    LEASE_TIME = "duration", [Form::Text(r"^\s*([0-9]*\.?[0-9]*(w|d|h|m|s|ms|us))+\s*$")], "60s";
    ON_EXPIRY = "word", [Form::Words(&["hold", "release"])], "hold";
}
