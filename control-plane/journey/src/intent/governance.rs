//! `spec.governance`: what automation may decide, and by which numbers.

use std::collections::BTreeMap;

use emac_core::units::{Micros, Ratio};

use super::alerting::{self, alert_texts};
use super::runtime::{Runtime, runtime};
use super::share::above_zero;
use crate::guard::{Guard, InvalidGuard, SYMBOLS};
use emac_document::shape::Form;
use emac_document::types::{
    Type, by_name, choice, duration, flag, integer, list, mapping, owned, scalar, seconds, share,
};
use emac_document::{Fields, Located, Reader, Value};

/// `governance` without `runtime`.
#[derive(Clone, Debug, PartialEq)]
pub struct Governance {
    /// `evaluationMode`. Default conservative.
    pub mode: EvaluationMode,
    /// `autoAcceptConfidence`: below it a decision is REVIEW. Default 0.80.
    pub auto_accept_confidence: Ratio,
    /// `autoAccept.lowImpact`: identified deltas of low impact may be accepted without a person. Default false.
    pub auto_accept_low_impact: bool,
    /// `useBoundsForAutomation.availability`. Default pessimistic.
    pub availability_end: AvailabilityEnd,
    /// `useBoundsForAutomation.latency`. Default upperConfidence.
    pub latency_end: LatencyEnd,
    /// `alerts`.
    pub alerts: Alerts,
    /// `progressiveDelivery`.
    pub delivery: Option<ProgressiveDelivery>,
    /// `actions`.
    pub actions: Vec<Action>,
}

/// How bounds become a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EvaluationMode {
    /// The careful end decides alone.
    #[default]
    Conservative,
    /// Between the ends a person decides.
    Selective,
}

/// Which end of the availability bounds gates use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AvailabilityEnd {
    /// The lower.
    #[default]
    Pessimistic,
    /// The upper.
    Optimistic,
}

/// Which end of the latency band gates use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LatencyEnd {
    /// The later.
    #[default]
    UpperConfidence,
    /// The earlier.
    LowerConfidence,
}

/// `alerts`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alerts {
    /// `promRuleOutput`: where the paper's compiler writes; kept, not used.
    pub rule_output: Option<String>,
    /// `sloBudgetWindow`: the period burn rates refer to.
    pub budget_window: Option<Micros>,
    /// `burnRatePolicy.page`; empty: the standard pairs.
    pub page: Vec<BurnRate>,
    /// `burnRatePolicy.ticket`; empty: the standard pairs.
    pub ticket: Vec<BurnRate>,
    /// `name` of the alerts of the error budget; `None`: made of the journey's.
    pub name: Option<String>,
    /// `slo`: name of the SLO in labels; `None`: each dialect's own.
    pub slo: Option<String>,
    /// `runbook`: becomes the annotation `runbook_url`.
    pub runbook: Option<String>,
    /// `labels` and `annotations` of every alert.
    pub common: AlertLabels,
    /// `pageAlert`.
    pub page_alert: AlertLabels,
    /// `ticketAlert`.
    pub ticket_alert: AlertLabels,
}

/// What alerts carry beside their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertLabels {
    /// `labels`.
    pub labels: BTreeMap<String, String>,
    /// `annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `disable`: there is no such alert.
    pub disable: bool,
}

/// One pair of windows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BurnRate {
    /// `burnRate`: multiples of the rate that spends the budget exactly; above 0.
    pub rate: f64,
    /// `longWindow`.
    pub long: Micros,
    /// `shortWindow`, below `long`.
    pub short: Micros,
}

/// `progressiveDelivery`.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgressiveDelivery {
    /// `provider`.
    pub provider: RolloutProvider,
    /// `analysisTemplateOutput`: where the paper's compiler writes; kept, not used.
    pub template_output: Option<String>,
    /// `gate`.
    pub gate: Gate,
    /// `canary`: which series are the canary's; `None`: each provider's own way.
    pub canary: Option<CanaryLabel>,
}

/// `canary`: the label by which a canary's series are told from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryLabel {
    /// `label`: a label of pods and of series.
    pub label: String,
    /// `value` of the canary.
    pub value: String,
    /// `stable`: value of all others.
    pub stable: String,
}

impl Default for CanaryLabel {
    fn default() -> Self {
        Self { label: "rollout".to_owned(), value: "canary".to_owned(), stable: "stable".to_owned() }
    }
}

/// Who rolls out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutProvider {
    /// Argo Rollouts.
    ArgoRollouts,
    /// Flagger.
    Flagger,
}

/// `gate`: what a canary may not exceed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gate {
    /// `maxCanaryBurnRate`.
    pub burn_rate_max: Option<f64>,
    /// `maxP99LatencySeconds`.
    pub p99_max: Option<Micros>,
    /// `minRequests`: fewer requests of the canary are no verdict.
    pub requests_min: Option<u32>,
}

/// One of `actions`: what may be done without a person, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// `kind`, such as `promote`.
    pub kind: String,
    /// `guard`: a CEL expression that must be true.
    pub guard: Located<String>,
    /// `parameterBounds`.
    pub bounds: BTreeMap<String, ParameterBound>,
    /// `rollback`.
    pub rollback: Option<Rollback>,
    /// `rateLimit`.
    pub rate_limit: Option<RateLimit>,
}

/// A limit on a parameter of an action.
#[derive(Clone, Debug, PartialEq)]
pub enum ParameterBound {
    /// A number.
    Number(f64),
    /// A duration, or another word.
    Text(String),
    /// A switch.
    Flag(bool),
}

/// `rollback`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// `onGuardViolation`. Default true.
    pub on_guard_violation: bool,
    /// `action`: what is done then. Default `rollback`.
    pub action: String,
}

/// `rateLimit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// `maxActions`, at least 1.
    pub actions_max: u32,
    /// `window`.
    pub window: Micros,
}

impl Default for Governance {
    fn default() -> Self {
        Self {
            mode: EvaluationMode::default(),
            auto_accept_confidence: Ratio::new(0.80).unwrap_or_default(),
            auto_accept_low_impact: false,
            availability_end: AvailabilityEnd::default(),
            latency_end: LatencyEnd::default(),
            alerts: Alerts::default(),
            delivery: None,
            actions: Vec::new(),
        }
    }
}

/// `governance`, with `runtime`.
pub(super) fn governance(fields: &mut Fields<'_>) -> Option<(Governance, Runtime)> {
    const MODES: [(&str, EvaluationMode); 2] =
        [("conservative", EvaluationMode::Conservative), ("selective", EvaluationMode::Selective)];
    let default = Governance::default();
    let says =
        "conservative: the lower bound decides; selective: an objective between the bounds gives REVIEW";
    let mode = fields.field("evaluationMode", choice(&MODES), says).or(default.mode);
    let says = "if the model's confidence is lower, the decision is REVIEW";
    let auto_accept_confidence =
        fields.field("autoAcceptConfidence", share(), says).or(default.auto_accept_confidence);
    let says = "which changes of a candidate may be accepted by policy";
    let auto_accept = fields.field("autoAccept", mapping(auto_accept), says).optional();
    let says = "which bounds gates and guards use";
    let ends = fields.field("useBoundsForAutomation", mapping(ends), says).optional();
    let (availability_end, latency_end) = ends.unwrap_or_default();
    let alerts = fields.field("alerts", mapping(alerts), "alerts").optional().unwrap_or_default();
    let says = "progressive delivery: provider and limits of a canary";
    let delivery = fields.field("progressiveDelivery", mapping(delivery), says).optional();
    let says = "actions allowed without a person, with their guards";
    let actions = fields.field("actions", list(mapping(action)), says).optional().unwrap_or_default();
    let says = "how budgets act on live traffic";
    let runtime = fields.field("runtime", mapping(runtime), says).optional().unwrap_or_default();
    let governance = Governance {
        mode,
        auto_accept_confidence,
        auto_accept_low_impact: auto_accept.unwrap_or_default(),
        availability_end,
        latency_end,
        alerts,
        delivery,
        actions,
    };
    Some((governance, runtime))
}

fn auto_accept(fields: &mut Fields<'_>) -> Option<bool> {
    let says = "accept identified changes that move A- by less than 0.001";
    Some(fields.field("lowImpact", flag(), says).or(false))
}

fn ends(fields: &mut Fields<'_>) -> Option<(AvailabilityEnd, LatencyEnd)> {
    const AVAILABILITY: [(&str, AvailabilityEnd); 2] =
        [("pessimistic", AvailabilityEnd::Pessimistic), ("optimistic", AvailabilityEnd::Optimistic)];
    const LATENCY: [(&str, LatencyEnd); 2] =
        [("upperConfidence", LatencyEnd::UpperConfidence), ("lowerConfidence", LatencyEnd::LowerConfidence)];
    let availability = fields
        .field("availability", choice(&AVAILABILITY), "pessimistic: the lower bound")
        .or(AvailabilityEnd::default());
    let latency = fields
        .field("latency", choice(&LATENCY), "upperConfidence: the upper bound")
        .or(LatencyEnd::default());
    Some((availability, latency))
}

fn alerts(fields: &mut Fields<'_>) -> Option<Alerts> {
    let says = "output path of the paper's compiler; read and not used";
    let rule_output = fields.field("promRuleOutput", owned(), says).optional();
    let says = "period of the burn rates; default: the window of the availability objective";
    let budget_window = fields.field("sloBudgetWindow", duration(), says).optional();
    let says = "pairs of windows; default: the standard pairs, scaled to the period";
    let policy = fields.field("burnRatePolicy", mapping(burn_rates), says).optional();
    let (page, ticket) = policy.unwrap_or_default();
    let says = "name of the alerts of the error budget; default: made of the journey's name";
    let name = fields.field("name", owned(), says).optional();
    let says = "name of the SLO in labels; default: the dialect's own";
    let slo = fields.field("slo", slo_name(), says).optional();
    let says = "where the runbook is: the annotation `runbook_url` of every alert";
    let runbook = fields.field("runbook", alerting::annotation(), says).optional();
    let labels = fields.field("labels", alert_texts(alerting::LABEL), "labels of every alert").optional();
    let annotations =
        fields.field("annotations", alert_texts("an annotation"), "annotations of every alert").optional();
    let says = "what alerts that page carry beside that";
    let page_alert = fields.field("pageAlert", mapping(alert), says).optional().unwrap_or_default();
    let says = "what alerts that open a ticket carry beside that";
    let ticket_alert = fields.field("ticketAlert", mapping(alert), says).optional().unwrap_or_default();
    let common = AlertLabels {
        labels: labels.unwrap_or_default(),
        annotations: annotations.unwrap_or_default(),
        disable: false,
    };
    if name.is_some() && alike(&common, &page_alert, &ticket_alert) {
        return fields.reader().refuse_with(
            "alerts that page and alerts that open a ticket have one name and one `severity`: nobody can tell them apart",
            "give `pageAlert` and `ticketAlert` a `severity` of their own, or leave `name` out",
        );
    }
    Some(Alerts {
        rule_output,
        budget_window,
        page,
        ticket,
        name,
        slo,
        runbook,
        common,
        page_alert,
        ticket_alert,
    })
}

/// Whether both kinds of alerts are told to bear the same `severity`.
fn alike(common: &AlertLabels, page: &AlertLabels, ticket: &AlertLabels) -> bool {
    let severity = |own: &AlertLabels, default: &str| {
        let stated = own.labels.get("severity").or_else(|| common.labels.get("severity"));
        stated.cloned().unwrap_or_else(|| default.to_owned())
    };
    !page.disable && !ticket.disable && severity(page, "page") == severity(ticket, "ticket")
}

fn slo_name<'a>() -> impl Type<'a, Value = String> {
    scalar("name", &[Form::Text("^[A-Za-z0-9._-]+$")], "availability", |it: Reader<'a>| {
        let name = it.word()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.chars().all(plain) {
            return Some(name.to_owned());
        }
        it.refuse("the name of an SLO is of letters, digits, `-`, `_` and `.`")
    })
}

fn alert(fields: &mut Fields<'_>) -> Option<AlertLabels> {
    let labels = fields.field("labels", alert_texts(alerting::LABEL), "labels").optional();
    let annotations = fields.field("annotations", alert_texts("an annotation"), "annotations").optional();
    let disable = fields.field("disable", flag(), "whether there is no such alert").or(false);
    Some(AlertLabels {
        labels: labels.unwrap_or_default(),
        annotations: annotations.unwrap_or_default(),
        disable,
    })
}

fn burn_rates(fields: &mut Fields<'_>) -> Option<(Vec<BurnRate>, Vec<BurnRate>)> {
    let page = fields.field("page", list(mapping(burn_rate)), "alerts that page").optional();
    let ticket = fields.field("ticket", list(mapping(burn_rate)), "alerts that open a ticket").optional();
    Some((page.unwrap_or_default(), ticket.unwrap_or_default()))
}

fn burn_rate(fields: &mut Fields<'_>) -> Option<BurnRate> {
    let says = "burn rate, as a multiple of the rate that spends the budget exactly by the end of the period";
    let rate = fields.field("burnRate", above_zero(), says).required();
    let says = "long window in which the rate must be exceeded";
    let long = fields.field("longWindow", duration(), says).required();
    let says = "short window in which it must still be exceeded; shorter than `longWindow`";
    let short = fields.field("shortWindow", duration(), says).required();
    let pair = BurnRate { rate: rate?, long: long?, short: short? };
    if pair.short < pair.long {
        Some(pair)
    } else {
        fields.reader().refuse("shortWindow is below longWindow")
    }
}

fn delivery(fields: &mut Fields<'_>) -> Option<ProgressiveDelivery> {
    const PROVIDERS: [(&str, RolloutProvider); 2] =
        [("argo-rollouts", RolloutProvider::ArgoRollouts), ("flagger", RolloutProvider::Flagger)];
    let provider = fields.field("provider", choice(&PROVIDERS), "rollout controller").required();
    let says = "output path of the paper's compiler; read and not used";
    let template_output = fields.field("analysisTemplateOutput", owned(), says).optional();
    let gate = fields.field("gate", mapping(gate), "limits of a canary").optional().unwrap_or_default();
    let says = "which series are the canary's; default: `rollout`, `canary` and `stable` for Argo Rollouts, Flagger's own label `app` for Flagger";
    let canary = fields.field("canary", mapping(canary), says).optional();
    Some(ProgressiveDelivery { provider: provider?, template_output, gate, canary })
}

fn canary(fields: &mut Fields<'_>) -> Option<CanaryLabel> {
    let default = CanaryLabel::default();
    let says = "label of pods and of their series";
    let label = fields.field("label", alerting::label_of_pods_and_series(), says).required();
    let value = fields.field("value", alerting::label_value(), "its value for the canary").or(default.value);
    let stable =
        fields.field("stable", alerting::label_value(), "its value for all others").or(default.stable);
    if value == stable {
        return fields.reader().refuse("canary and stable have the same value: they cannot be told apart");
    }
    Some(CanaryLabel { label: label?, value, stable })
}

fn gate(fields: &mut Fields<'_>) -> Option<Gate> {
    let says = "largest burn rate of the canary, as a multiple of the rate that spends the budget exactly";
    let burn_rate_max = fields.field("maxCanaryBurnRate", above_zero(), says).optional();
    let says = "largest p99 latency of the canary";
    let p99_max = fields.field("maxP99LatencySeconds", seconds(), says).optional();
    let says = "requests of the canary in 5 minutes below which there is no verdict; default: `2 / (maxCanaryBurnRate × error budget)`, at most 100";
    let requests_min = fields.field("minRequests", integer("count", 1..=1_000_000_000), says).optional();
    Some(Gate { burn_rate_max, p99_max, requests_min })
}

fn action(fields: &mut Fields<'_>) -> Option<Action> {
    let kind = fields.field("kind", owned(), "kind of action, such as `promote`").required();
    let says = "CEL expression that must be true; see the symbols below";
    let guard = fields.field("guard", guard(), says).required();
    let says = "limits of the action's parameters, by parameter name";
    let bounds = fields.field("parameterBounds", by_name(parameter_bound()), says).optional();
    let says = "what to do when the guard becomes false";
    let rollback = fields.field("rollback", mapping(rollback), says).optional();
    let rate_limit = fields.field("rateLimit", mapping(rate_limit), "rate limit of the action").optional();
    let bounds = bounds.unwrap_or_default().into_iter().collect();
    Some(Action { kind: kind?, guard: guard?, bounds, rollback, rate_limit })
}

/// A guard that is none would be noticed only when an action is due, so it is checked here.
fn guard<'a>() -> impl Type<'a, Value = Located<String>> {
    const EXAMPLE: &str = "A_minus >= 0.995 && no_unresolved_domain_conflict";
    scalar("CEL", &[Form::Text(r"\S")], EXAMPLE, |it: Reader<'a>| {
        let text = it.word()?;
        match Guard::new(text) {
            Ok(_) => Some(Located::new(text.to_owned(), it)),
            Err(error @ InvalidGuard::UnknownSymbol(_)) => {
                let names: Vec<_> = SYMBOLS.iter().map(|(name, ..)| *name).collect();
                it.refuse_with(error.to_string(), format!("known: {}", names.join(", ")))
            }
            Err(error) => it.refuse(error.to_string()),
        }
    })
}

fn parameter_bound<'a>() -> impl Type<'a, Value = ParameterBound> {
    const FORMS: [Form; 3] = [Form::Number, Form::Text(r"\S"), Form::Boolean];
    scalar("number, text or boolean", &FORMS, "0.5", |it: Reader<'a>| match &it.node().value {
        Value::Bool(flag) => Some(ParameterBound::Flag(*flag)),
        Value::String(_) => it.word().map(|text| ParameterBound::Text(text.to_owned())),
        _ => it.number().map(ParameterBound::Number),
    })
}

fn rollback(fields: &mut Fields<'_>) -> Option<Rollback> {
    let on_guard_violation = fields.field("onGuardViolation", flag(), "whether to roll back").or(true);
    let action = fields.field("action", owned(), "rollback action").or("rollback".to_owned());
    Some(Rollback { on_guard_violation, action })
}

fn rate_limit(fields: &mut Fields<'_>) -> Option<RateLimit> {
    let actions = integer("count", 1..=1_000_000);
    let actions_max = fields.field("maxActions", actions, "largest number of actions").required();
    let window = fields.field("window", duration(), "time window of the limit").required();
    Some(RateLimit { actions_max: actions_max?, window: window? })
}
