//! Flagger: metric templates, and a Canary to be merged with one's own.

use serde_json::{Value, json};

use super::prometheus::promql::with_window;
use super::prometheus::{Sli, round};
use crate::compile::Compiled;

/// One template with its limit.
struct Metric {
    name: String,
    query: String,
    /// `min` or `max`.
    end: &'static str,
    limit: f64,
}

fn metrics(compiled: &Compiled<'_>, sli: &Sli) -> Vec<Metric> {
    let window = "{{ interval }}";
    let gate = compiled.intent.governance.delivery.as_ref().map(|delivery| delivery.gate).unwrap_or_default();
    let (good, total) = (with_window(&sli.good, window), with_window(&sli.total, window));
    let journey = &sli.journey;
    let mut metrics = vec![
        Metric {
            name: format!("emac-{journey}-burn-rate"),
            query: format!("(1 - (({good}) / ({total}))) / {}", sli.budget()),
            end: "max",
            limit: gate.burn_rate_max.unwrap_or(1.0),
        },
        Metric {
            name: format!("emac-{journey}-availability-bound"),
            query: format!("journey:{}:availability_bound{{bound=\"pessimistic\"}}", sli.metric),
            end: "min",
            limit: sli.target.get(),
        },
    ];
    if let Some(latency) = &sli.latency {
        metrics.push(Metric {
            name: format!("emac-{journey}-latency"),
            query: with_window(&latency.query, window),
            end: "max",
            limit: gate.p99_max.map_or(latency.threshold, |limit| limit.0 as f64 / 1e6),
        });
    }
    metrics
}

/// The MetricTemplates, one document each.
pub fn metric_templates(compiled: &Compiled<'_>, sli: &Sli) -> Vec<Value> {
    let template = |metric: Metric| {
        json!({
            "apiVersion": "flagger.app/v1beta1",
            "kind": "MetricTemplate",
            "metadata": {"name": metric.name, "labels": {"emac.dev/journey": sli.journey}},
            "spec": {
                "provider": {"type": "prometheus", "address": "http://prometheus.monitoring.svc:9090"},
                "query": metric.query,
            },
        })
    };
    metrics(compiled, sli).into_iter().map(template).collect()
}

/// A Canary of the journey's first service.
pub fn canary(compiled: &Compiled<'_>, sli: &Sli) -> Value {
    let metric = |metric: Metric| {
        json!({
            "name": metric.name,
            "interval": "1m",
            "templateRef": {"name": metric.name},
            "thresholdRange": {metric.end: round(metric.limit)},
        })
    };
    let metrics: Vec<_> = metrics(compiled, sli).into_iter().map(metric).collect();
    let target = compiled.structure.leaves().first().map_or_else(|| sli.journey.clone(), ToString::to_string);
    json!({
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": target, "labels": {"emac.dev/journey": sli.journey}},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "service": {"port": 80},
            "analysis": {"interval": "1m", "threshold": 2, "maxWeight": 50, "stepWeight": 10, "metrics": metrics},
        },
    })
}
