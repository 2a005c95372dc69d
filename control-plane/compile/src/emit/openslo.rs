//! The journey's own objectives as OpenSLO v1: a service like any other to those who read them, and what they read is what the intent promises.
//!
//! A threshold on a quantile would promise something else: its target counts moments, not answers. So latency is a ratio, too: of the histogram's bucket
//! that ends at the threshold, or of a native histogram.

use serde_json::{Value, json};

use super::prometheus::promql::with_window;
use super::prometheus::{Quantile, Sli, Within};
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
    let window = format_duration(objective.window);
    let Within { good, total, .. } = within(compiled, sli, &window)?;
    let ratio = json!({"counter": false, "good": metric(&good, &window), "total": metric(&total, &window)});
    let target = json!({"displayName": objective.metric.name, "target": objective.metric.quantile.get()});
    let mut slo = slo(sli, "latency", &window, &json!({"ratioMetric": ratio}), &target);
    // The intent's queries are in seconds, whatever the metric's name says.
    if let Some(metadata) = slo.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("annotations".to_owned(), json!({"emac.dev/unit": "s"}));
    }
    Some(slo)
}

/// The share of answers within the threshold; `None` without a latency objective, or where its query is no quantile of a histogram.
pub(super) fn within(compiled: &Compiled<'_>, sli: &Sli, window: &str) -> Option<Within> {
    let objective = compiled.intent.objectives.latency.as_ref()?;
    // Of the classic buckets that the control plane exposes none need end at the threshold; it exposes a native histogram beside them.
    let native = || {
        let of = format!("journey_latency_seconds{{journey=\"{}\"}}[{{{{ .window }}}}]", sli.journey);
        format!("histogram_quantile({}, sum(rate({of})))", objective.metric.quantile.get())
    };
    let query = objective.promql.clone().unwrap_or_else(native);
    Quantile::of(&query, window, objective.window.0 as f64 / 1e6)?.within(sli.latency.as_ref()?.threshold)
}
