//! Flagger: metric templates, and a Canary to be merged with one's own.
//!
//! Flagger takes the last series of a result and knows nothing inconclusive: so all series become one here, and what is no number is no value,
//! which halts the canary. The canary is the Deployment itself, the stable version its copy `<name>-primary`, and Flagger tells them apart by the label
//! `app`; another label has to be put on their series by relabelling.

use serde_json::{Value, json};

use super::gate::{EDGE_NOTE, Limit, Metric, counted_at_the_edge, equal, metrics};
use super::names::{dns_label, label_value, name_part};
use super::prometheus::{Sli, round};
use crate::compile::Compiled;
use emac_journey::intent::CanaryLabel;

/// Stands in a query where Flagger puts in the canary's name: braces would be quoted.
const TARGET: &str = "emac-flagger-target";

/// The label that the intent states.
fn delivery_label<'a>(compiled: &'a Compiled<'_>) -> Option<&'a CanaryLabel> {
    compiled.intent.governance.delivery.as_ref().and_then(|delivery| delivery.canary.as_ref())
}

fn measured(compiled: &Compiled<'_>, sli: &Sli) -> Vec<Metric> {
    let matcher = match delivery_label(compiled) {
        Some(canary) => equal(&canary.label, &canary.value),
        None => equal("app", TARGET),
    };
    let one = |metric: Metric| Metric { query: as_one(&metric).replace(TARGET, "{{ target }}"), ..metric };
    metrics(compiled, sli, &matcher, |_, number| number.to_string()).into_iter().map(one).collect()
}

/// The worst of all series; no number where one of them is none.
fn as_one(metric: &Metric) -> String {
    let query = &metric.query;
    match metric.limit {
        Limit::Most { .. } | Limit::Never => format!("max({query}) + 0 * sum({query})"),
        Limit::Least(_) | Limit::Enough(_) => format!("min({query}) + 0 * sum({query})"),
    }
}

fn name(sli: &Sli, metric: &Metric) -> String {
    let of = if metric.of.is_empty() { String::new() } else { format!("-{}", metric.of) };
    format!("emac-{}-{}{of}", name_part(&sli.journey, 150), metric.name)
}

/// The MetricTemplates, one document each.
pub fn metric_templates(compiled: &Compiled<'_>, sli: &Sli) -> Vec<Value> {
    let template = |metric: Metric| {
        json!({
            "apiVersion": "flagger.app/v1beta1",
            "kind": "MetricTemplate",
            "metadata": {"name": name(sli, &metric), "labels": {"emac.dev/journey": label_value(&sli.journey)}},
            "spec": {
                "provider": {"type": "prometheus", "address": "http://prometheus.monitoring.svc:9090"},
                "query": metric.query,
            },
        })
    };
    measured(compiled, sli).into_iter().map(template).collect()
}

/// A Canary of the journey's first service.
pub fn canary(compiled: &Compiled<'_>, sli: &Sli) -> Value {
    let metric = |metric: Metric| {
        let range = match metric.limit {
            Limit::Least(least) | Limit::Enough(least) => json!({"min": least}),
            Limit::Most { most, floor: None } => json!({"max": most}),
            Limit::Most { most, floor: Some(floor) } => json!({"min": round(floor), "max": most}),
            Limit::Never => json!({"max": 0.0}),
        };
        let name = name(sli, &metric);
        json!({"name": name, "interval": "1m", "templateRef": {"name": name}, "thresholdRange": range})
    };
    let metrics: Vec<_> = measured(compiled, sli).into_iter().map(metric).collect();
    let target = compiled.structure.leaves().first().map_or_else(|| sli.journey.clone(), ToString::to_string);
    let target = dns_label(&target);
    let canary = if compiled.preview { format!("preview-{target}") } else { target.clone() };
    let label = delivery_label(compiled).map_or_else(|| "app".to_owned(), |canary| canary.label.clone());
    let mut metadata =
        json!({"name": dns_label(&canary), "labels": {"emac.dev/journey": label_value(&sli.journey)}});
    if let Some(said) = counted_at_the_edge(compiled, sli, &label) {
        metadata["annotations"] = json!({EDGE_NOTE: said});
    }
    json!({
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": metadata,
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "service": {"port": 80},
            "analysis": {"interval": "1m", "threshold": 2, "maxWeight": 50, "stepWeight": 10, "metrics": metrics},
        },
    })
}
