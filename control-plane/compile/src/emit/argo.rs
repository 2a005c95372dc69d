//! Argo Rollouts: an AnalysisTemplate that gates a canary, and the steps that use it.
//!
//! All series of a result count: one above its limit fails, and only numbers within the limit pass. Anything else (no result, no number)
//! is inconclusive: neither condition holds, and the rollout pauses for a person. Every declared argument is used, and every number stands in
//! an argument once.

use serde_json::{Value, json};

use super::gate::{BUDGET, EDGE_NOTE, Limit, Metric, counted_at_the_edge, equal, metrics};
use super::names::{label_value, name_part};
use super::prometheus::Sli;
use crate::compile::Compiled;
use emac_journey::intent::CanaryLabel;

/// Attempts in a row that Prometheus may not answer.
const ERRORS_MAX: u32 = 30;

/// Name of the template.
pub fn template_name(journey: &str) -> String {
    format!("emac-{}-slo-gate", name_part(journey, 200))
}

/// How a canary's series are told from others.
pub(super) fn canary_label(compiled: &Compiled<'_>) -> CanaryLabel {
    let stated = compiled.intent.governance.delivery.as_ref().and_then(|delivery| delivery.canary.clone());
    stated.unwrap_or_default()
}

/// The AnalysisTemplate.
pub fn analysis_template(compiled: &Compiled<'_>, sli: &Sli) -> Value {
    let canary = canary_label(compiled);
    let metrics = metrics(compiled, sli, &equal(&canary.label, &canary.value), |name, _| argument(name));
    let mut args =
        vec![json!({"name": "prometheus-address", "value": "http://prometheus.monitoring.svc:9090"})];
    let declared = |(name, value): (String, f64)| json!({"name": name, "value": value.to_string()});
    if metrics.iter().any(|metric| metric.query.contains(&argument(BUDGET))) {
        args.push(declared((BUDGET.to_owned(), sli.budget())));
    }
    args.extend(metrics.iter().flat_map(arguments).map(declared));
    let metrics: Vec<_> = metrics.iter().map(|metric| measured(&sli.journey, metric)).collect();
    let mut metadata = json!({"name": template_name(&sli.journey), "labels": {"emac.dev/journey": label_value(&sli.journey)}});
    if let Some(said) = counted_at_the_edge(compiled, sli, &canary.label) {
        metadata["annotations"] = json!({EDGE_NOTE: said});
    }
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": metadata,
        "spec": {"args": args, "metrics": metrics},
    })
}

/// A Rollout's strategy, to be merged into one's own. The labels it gives to pods are those by which the analysis finds the canary.
pub fn rollout_snippet(compiled: &Compiled<'_>, journey: &str) -> Value {
    let step = compiled.intent.governance.actions.iter().find_map(|action| {
        match action.bounds.get("maxTrafficStep") {
            Some(emac_journey::intent::ParameterBound::Number(share)) => {
                Some((share * 100.0 + 1e-9).clamp(1.0, 100.0) as u64)
            }
            _ => None,
        }
    });
    let step = step.unwrap_or(25);
    let analysis = json!({"analysis": {"templates": [{"templateName": template_name(journey)}]}});
    let mut steps = Vec::new();
    let mut weight = step.min(10);
    while weight < 100 {
        steps.extend([json!({"setWeight": weight}), json!({"pause": {"duration": "5m"}}), analysis.clone()]);
        weight += step;
    }
    let label = canary_label(compiled);
    let labels = |value: &str| json!({"labels": {label.label.as_str(): value}});
    json!({"spec": {"strategy": {"canary": {
        "canaryMetadata": labels(&label.value),
        "stableMetadata": labels(&label.stable),
        "steps": steps,
    }}}})
}

/// Arguments of a metric, with their values.
fn arguments(metric: &Metric) -> Vec<(String, f64)> {
    let limit = (metric.argument.to_owned(), metric.limit.value());
    match metric.limit {
        Limit::Never => Vec::new(),
        Limit::Most { floor: Some(floor), .. } => vec![limit, (floor_argument(metric), floor)],
        _ => vec![limit],
    }
}

fn floor_argument(metric: &Metric) -> String {
    metric.argument.replace("max-", "least-")
}

/// Where Argo puts an argument in.
fn argument(name: &str) -> String {
    format!("{{{{args.{name}}}}}")
}

fn measured(journey: &str, metric: &Metric) -> Value {
    let limit = argument(metric.argument);
    let all = |holds: String| format!("len(result) > 0 && all(result, {{!isNaN(#) && {holds}}})");
    let any = |holds: String| format!("any(result, {{{holds}}})");
    let (success, failure) = match metric.limit {
        Limit::Least(_) => (all(format!("# >= {limit}")), any(format!("# < {limit}"))),
        Limit::Most { floor: None, .. } => (all(format!("# <= {limit}")), any(format!("# > {limit}"))),
        Limit::Most { floor: Some(_), .. } => {
            let floor = argument(&floor_argument(metric));
            (all(format!("# <= {limit} && # >= {floor}")), any(format!("# > {limit}")))
        }
        Limit::Enough(_) => (all(format!("# >= {limit}")), "false".to_owned()),
        Limit::Never => ("false".to_owned(), "true".to_owned()),
    };
    let of = if metric.of.is_empty() { String::new() } else { format!("-{}", metric.of) };
    json!({
        "name": format!("{journey}-{}{of}", metric.name),
        "interval": "1m",
        "count": 5,
        "successCondition": success,
        "failureCondition": failure,
        "failureLimit": if metric.limit == Limit::Never { 0 } else { 1 },
        "inconclusiveLimit": 1,
        // Errors are asked again after ten seconds: an outage of Prometheus of less than five minutes rolls nothing back.
        "consecutiveErrorLimit": ERRORS_MAX,
        "provider": {"prometheus": {"address": "{{args.prometheus-address}}", "query": metric.query}},
    })
}
