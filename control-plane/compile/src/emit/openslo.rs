//! The journey's own objectives as OpenSLO v1: a service like any other to those who read them.

use serde_json::{Value, json};

use super::prometheus::Sli;
use super::prometheus::promql::with_window;
use crate::compile::Compiled;
use emac_document::format_duration;

/// One SLO for availability, and one for latency if there is an objective.
pub fn slos(compiled: &Compiled<'_>, sli: &Sli) -> Vec<Value> {
    let mut slos = vec![availability(compiled, sli)];
    slos.extend(latency(compiled, sli));
    slos
}

fn slo(sli: &Sli, kind: &str, window: &str, indicator: &Value, objective: &Value) -> Value {
    json!({
        "apiVersion": "openslo/v1",
        "kind": "SLO",
        "metadata": {"name": format!("journey.{}.{kind}", sli.journey)},
        "spec": {
            "description": format!("Journey {}", sli.journey),
            "service": format!("journey-{}", sli.journey),
            "indicator": {"metadata": {"name": format!("journey.{}.{kind}.sli", sli.journey)}, "spec": indicator},
            "timeWindow": [{"duration": window, "isRolling": true}],
            "budgetingMethod": "Occurrences",
            "objectives": [objective],
        },
    })
}

fn metric(query: &str, window: &str) -> Value {
    json!({"metricSource": {"type": "Prometheus", "spec": {"query": with_window(query, window)}}})
}

fn availability(compiled: &Compiled<'_>, sli: &Sli) -> Value {
    let window = format_duration(compiled.intent.objectives.availability.window);
    // The queries give rates, whose ratio over the window is the ratio of counts.
    let ratio =
        json!({"counter": false, "good": metric(&sli.good, &window), "total": metric(&sli.total, &window)});
    let objective = json!({"displayName": "availability", "target": sli.target.get()});
    slo(sli, "availability", &window, &json!({"ratioMetric": ratio}), &objective)
}

fn latency(compiled: &Compiled<'_>, sli: &Sli) -> Option<Value> {
    let objective = compiled.intent.objectives.latency.as_ref()?;
    let measured = sli.latency.as_ref()?;
    let window = format_duration(objective.window);
    let threshold = json!({
        "displayName": objective.metric.name,
        "op": "lte",
        "value": measured.threshold,
        "target": objective.metric.quantile.get(),
    });
    Some(slo(sli, "latency", &window, &json!({"thresholdMetric": metric(&measured.query, "5m")}), &threshold))
}
