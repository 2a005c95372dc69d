//! Argo Rollouts: an AnalysisTemplate that gates a canary, and the steps that use it.
//!
//! A query without an answer, or with NaN, is inconclusive: neither condition holds, and the rollout pauses for a person. Every declared
//! argument is used, and every number stands in an argument once.

use serde_json::{Value, json};

use super::prometheus::promql::{with_matcher, with_window};
use super::prometheus::{Sli, round};
use crate::compile::Compiled;

/// Label that a canary's series carry.
const CANARY: (&str, &str) = ("rollout", "canary");
/// Window of the canary's own measurements.
const WINDOW: &str = "5m";

/// Name of the template.
pub fn template_name(journey: &str) -> String {
    format!("emac-{journey}-slo-gate")
}

/// The AnalysisTemplate.
pub fn analysis_template(compiled: &Compiled<'_>, sli: &Sli) -> Value {
    let (args, metrics) = Gate::of(compiled, sli).parts();
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": template_name(&sli.journey), "labels": {"emac.dev/journey": sli.journey}},
        "spec": {"args": args, "metrics": metrics},
    })
}

/// A Rollout's strategy, to be merged into one's own.
pub fn rollout_snippet(compiled: &Compiled<'_>, journey: &str) -> Value {
    let step = compiled.intent.governance.actions.iter().find_map(|action| {
        match action.bounds.get("maxTrafficStep") {
            Some(emac_journey::intent::ParameterBound::Number(share)) => {
                Some((share * 100.0).clamp(1.0, 100.0) as u64)
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
    json!({"spec": {"strategy": {"canary": {"steps": steps}}}})
}

/// One measurement with its limit.
struct Metric {
    name: String,
    /// Argument with the limit, and its value.
    limit: (&'static str, f64),
    /// Good is at or below the limit; otherwise at or above.
    below: bool,
    query: String,
}

struct Gate {
    journey: String,
    budget: f64,
    metrics: Vec<Metric>,
}

impl Gate {
    fn of(compiled: &Compiled<'_>, sli: &Sli) -> Self {
        let series = |rest: &str| format!("journey:{}:{rest}", sli.metric);
        let mut metrics = vec![
            Metric {
                name: "pessimistic-availability-bound".to_owned(),
                limit: ("availability-objective", sli.target.get()),
                below: false,
                query: series("availability_bound{bound=\"pessimistic\"}"),
            },
            Metric {
                name: "model-delta-confidence".to_owned(),
                limit: ("auto-accept-confidence", compiled.intent.governance.auto_accept_confidence.get()),
                below: false,
                query: series("model_delta:confidence"),
            },
            Metric {
                name: "unresolved-domain-conflict".to_owned(),
                limit: ("max-domain-conflicts", 0.0),
                below: true,
                query: series("model:unresolved_domain_conflict"),
            },
        ];
        metrics.extend(canary_burn_rate(compiled, sli));
        metrics.extend(canary_latency(compiled, sli));
        Self { journey: sli.journey.clone(), budget: sli.budget(), metrics }
    }

    fn parts(&self) -> (Vec<Value>, Vec<Value>) {
        let mut args =
            vec![json!({"name": "prometheus-address", "value": "http://prometheus.monitoring.svc:9090"})];
        let budget_used = self.metrics.iter().any(|metric| metric.query.contains("args.error-budget"));
        if budget_used {
            args.push(json!({"name": "error-budget", "value": self.budget.to_string()}));
        }
        args.extend(
            self.metrics
                .iter()
                .map(|metric| json!({"name": metric.limit.0, "value": metric.limit.1.to_string()})),
        );
        (args, self.metrics.iter().map(|metric| self.metric(metric)).collect())
    }

    fn metric(&self, metric: &Metric) -> Value {
        let (good, bad) = if metric.below { ("<=", ">") } else { (">=", "<") };
        let limit = format!("{{{{args.{}}}}}", metric.limit.0);
        let holds =
            |relation: &str| format!("len(result) > 0 && !isNaN(result[0]) && result[0] {relation} {limit}");
        json!({
            "name": format!("{}-{}", self.journey, metric.name),
            "interval": "1m",
            "count": 5,
            "successCondition": holds(good),
            "failureCondition": holds(bad),
            "failureLimit": 1,
            "inconclusiveLimit": 1,
            "provider": {"prometheus": {"address": "{{args.prometheus-address}}", "query": metric.query}},
        })
    }
}

fn canary_burn_rate(compiled: &Compiled<'_>, sli: &Sli) -> Option<Metric> {
    let gate = compiled.intent.governance.delivery.as_ref().map(|delivery| delivery.gate).unwrap_or_default();
    let of = |query: &str| with_matcher(&with_window(query, WINDOW), CANARY.0, CANARY.1);
    let (good, total) = (of(&sli.good)?, of(&sli.total)?);
    Some(Metric {
        name: format!("canary-burnrate-{WINDOW}"),
        limit: ("max-canary-burn-rate", round(gate.burn_rate_max.unwrap_or(1.0))),
        below: true,
        query: format!("(1 - (({good}) / ({total}))) / {{{{args.error-budget}}}}"),
    })
}

fn canary_latency(compiled: &Compiled<'_>, sli: &Sli) -> Option<Metric> {
    let latency = sli.latency.as_ref()?;
    let gate = compiled.intent.governance.delivery.as_ref().and_then(|delivery| delivery.gate.p99_max);
    let limit = gate.map_or(latency.threshold, |limit| limit.0 as f64 / 1e6);
    let query = with_matcher(&with_window(&latency.query, WINDOW), CANARY.0, CANARY.1)?;
    let name = format!("canary-latency-{}-{WINDOW}", latency.name.replace('.', "-"));
    Some(Metric { name, limit: ("max-latency-seconds", round(limit)), below: true, query })
}
