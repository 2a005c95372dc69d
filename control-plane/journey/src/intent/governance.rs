//! `spec.governance`: what automation may decide, and by which numbers.

use std::collections::BTreeMap;

use emac_core::units::{Micros, Ratio};

use super::alerting;
use super::runtime::Runtime;
use super::share::{owned, small};
use crate::guard::{Guard, InvalidGuard, SYMBOLS};
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
pub(super) fn read(reader: Reader<'_>) -> Option<(Governance, Runtime)> {
    const MODES: [(&str, EvaluationMode); 2] =
        [("conservative", EvaluationMode::Conservative), ("selective", EvaluationMode::Selective)];
    reader.fields(|fields| {
        let default = Governance::default();
        let mode = fields.optional("evaluationMode", |mode| mode.choice(&MODES)).unwrap_or_default();
        let confidence = fields.optional("autoAcceptConfidence", Reader::ratio);
        let auto_accept = fields.optional("autoAccept", |accept| {
            accept.fields(|fields| fields.optional("lowImpact", Reader::boolean))
        });
        let ends = fields.optional("useBoundsForAutomation", |ends| ends.fields(ends_));
        let (availability_end, latency_end) = ends.unwrap_or_default();
        let alerts = fields.optional("alerts", |alerts| alerts.fields(alerts_)).unwrap_or_default();
        let delivery = fields.optional("progressiveDelivery", |delivery| delivery.fields(delivery_));
        let actions = fields.optional("actions", |actions| actions.list(|action| action.fields(action_)));
        let runtime = fields.optional("runtime", Runtime::read).unwrap_or_default();
        let auto_accept_confidence = confidence.unwrap_or(default.auto_accept_confidence);
        let actions = actions.unwrap_or_default();
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
    })
}

fn ends_(fields: &mut Fields<'_>) -> Option<(AvailabilityEnd, LatencyEnd)> {
    const AVAILABILITY: [(&str, AvailabilityEnd); 2] =
        [("pessimistic", AvailabilityEnd::Pessimistic), ("optimistic", AvailabilityEnd::Optimistic)];
    const LATENCY: [(&str, LatencyEnd); 2] =
        [("upperConfidence", LatencyEnd::UpperConfidence), ("lowerConfidence", LatencyEnd::LowerConfidence)];
    let availability = fields.optional("availability", |end| end.choice(&AVAILABILITY));
    let latency = fields.optional("latency", |end| end.choice(&LATENCY));
    Some((availability.unwrap_or_default(), latency.unwrap_or_default()))
}

fn alerts_(fields: &mut Fields<'_>) -> Option<Alerts> {
    let rule_output = fields.optional("promRuleOutput", owned);
    let budget_window = fields.optional("sloBudgetWindow", Reader::duration);
    let policy = fields.optional("burnRatePolicy", |policy| {
        policy.fields(|fields| {
            let page = fields.optional("page", burn_rates).unwrap_or_default();
            let ticket = fields.optional("ticket", burn_rates).unwrap_or_default();
            Some((page, ticket))
        })
    });
    let (page, ticket) = policy.unwrap_or_default();
    let name = fields.optional("name", owned);
    let slo = fields.optional("slo", slo_name);
    let runbook = fields.optional("runbook", alerting::annotation);
    let labels = fields.optional("labels", alerting::labels).unwrap_or_default();
    let annotations = fields.optional("annotations", alerting::annotations).unwrap_or_default();
    let page_alert = fields.optional("pageAlert", |alert| alert.fields(alert_labels)).unwrap_or_default();
    let ticket_alert = fields.optional("ticketAlert", |alert| alert.fields(alert_labels)).unwrap_or_default();
    let common = AlertLabels { labels, annotations, disable: false };
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

fn slo_name(reader: Reader<'_>) -> Option<String> {
    let name = owned(reader)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.chars().all(plain) {
        Some(name)
    } else {
        reader.refuse("the name of an SLO is of letters, digits, `-`, `_` and `.`")
    }
}

fn alert_labels(fields: &mut Fields<'_>) -> Option<AlertLabels> {
    let labels = fields.optional("labels", alerting::labels).unwrap_or_default();
    let annotations = fields.optional("annotations", alerting::annotations).unwrap_or_default();
    let disable = fields.optional("disable", Reader::boolean).unwrap_or_default();
    Some(AlertLabels { labels, annotations, disable })
}

fn burn_rates(reader: Reader<'_>) -> Option<Vec<BurnRate>> {
    reader.list(|pair| {
        pair.fields(|fields| {
            let rate = fields.required("burnRate", above_zero);
            let long = fields.required("longWindow", Reader::duration);
            let short = fields.required("shortWindow", Reader::duration);
            let pair = BurnRate { rate: rate?, long: long?, short: short? };
            if pair.short < pair.long {
                Some(pair)
            } else {
                fields.reader().refuse("shortWindow is below longWindow")
            }
        })
    })
}

fn above_zero(reader: Reader<'_>) -> Option<f64> {
    let number = reader.number()?;
    if number > 0.0 { Some(number) } else { reader.refuse(format!("{number} is not above zero")) }
}

fn delivery_(fields: &mut Fields<'_>) -> Option<ProgressiveDelivery> {
    const PROVIDERS: [(&str, RolloutProvider); 2] =
        [("argo-rollouts", RolloutProvider::ArgoRollouts), ("flagger", RolloutProvider::Flagger)];
    let provider = fields.required("provider", |provider| provider.choice(&PROVIDERS));
    let template_output = fields.optional("analysisTemplateOutput", owned);
    let gate = fields.optional("gate", |gate| {
        gate.fields(|fields| {
            let burn_rate_max = fields.optional("maxCanaryBurnRate", above_zero);
            let p99_max = fields.optional("maxP99LatencySeconds", Reader::seconds);
            let requests_min = fields.optional("minRequests", |least| small(least, 1..=1_000_000_000));
            Some(Gate { burn_rate_max, p99_max, requests_min })
        })
    });
    let canary = fields.optional("canary", |canary| canary.fields(canary_));
    let gate = gate.unwrap_or_default();
    Some(ProgressiveDelivery { provider: provider?, template_output, gate, canary })
}

fn canary_(fields: &mut Fields<'_>) -> Option<CanaryLabel> {
    let default = CanaryLabel::default();
    let label = fields.required("label", alerting::label_of_pods_and_series);
    let value = fields.optional("value", alerting::label_value).unwrap_or(default.value);
    let stable = fields.optional("stable", alerting::label_value).unwrap_or(default.stable);
    if value == stable {
        return fields.reader().refuse("canary and stable have the same value: they cannot be told apart");
    }
    Some(CanaryLabel { label: label?, value, stable })
}

fn action_(fields: &mut Fields<'_>) -> Option<Action> {
    let kind = fields.required("kind", owned);
    let guard = fields.required("guard", guard_);
    let bounds = fields.optional("parameterBounds", |bounds| {
        bounds.map(|entry, value| Some((entry.key.clone(), parameter_bound(value)?)))
    });
    let rollback = fields.optional("rollback", |rollback| rollback.fields(rollback_));
    let rate_limit = fields.optional("rateLimit", |limit| limit.fields(rate_limit_));
    let bounds = bounds.unwrap_or_default().into_iter().collect();
    Some(Action { kind: kind?, guard: guard?, bounds, rollback, rate_limit })
}

/// A guard that is none would be noticed only when an action is due, so it is checked here.
fn guard_(reader: Reader<'_>) -> Option<Located<String>> {
    let text = owned(reader)?;
    match Guard::new(&text) {
        Ok(_) => Some(Located::new(text, reader)),
        Err(error @ InvalidGuard::UnknownSymbol(_)) => {
            let names: Vec<_> = SYMBOLS.iter().map(|(name, ..)| *name).collect();
            reader.refuse_with(error.to_string(), format!("known: {}", names.join(", ")))
        }
        Err(error) => reader.refuse(error.to_string()),
    }
}

fn parameter_bound(reader: Reader<'_>) -> Option<ParameterBound> {
    match &reader.node().value {
        Value::Bool(flag) => Some(ParameterBound::Flag(*flag)),
        Value::String(_) => owned(reader).map(ParameterBound::Text),
        _ => reader.number().map(ParameterBound::Number),
    }
}

fn rollback_(fields: &mut Fields<'_>) -> Option<Rollback> {
    let on_guard_violation = fields.optional("onGuardViolation", Reader::boolean).unwrap_or(true);
    let action = fields.optional("action", owned).unwrap_or_else(|| "rollback".to_owned());
    Some(Rollback { on_guard_violation, action })
}

fn rate_limit_(fields: &mut Fields<'_>) -> Option<RateLimit> {
    let actions_max = fields.required("maxActions", |actions| small(actions, 1..=1_000_000));
    let window = fields.required("window", Reader::duration);
    Some(RateLimit { actions_max: actions_max?, window: window? })
}
