//! Every panel of a dashboard finds what the rules of its dialect record.

use std::time::{Duration, Instant};

use emac_compile::emit::prometheus::Dialect;
use serde_json::Value;

use super::live::Live;
use super::{artifacts, situations, text};

/// A journey whose bounds lose something to a shared domain.
const JOURNEY: &str = r#"apiVersion: emac.dev/v1alpha1
kind: JourneyIntent
metadata: {name: booking}
spec:
  objectives:
    availability:
      window: 30d
      target: 0.99
      sli:
        goodEventQuery: 'sum(rate(rare_desk_total{code!~"5.."}[{{ .window }}]))'
        totalEventQuery: 'sum(rate(rare_desk_total[{{ .window }}]))'
    latency:
      window: 30d
      objective: {metric: p95, threshold: 400ms}
      evidence: {promql: 'histogram_quantile(0.95, sum by (le) (rate(rare_lat_bucket[{{ .window }}])))'}
  operator: {type: race, branches: [{ref: desk}, {ref: line}]}
  components:
    desk: {availability: 0.999, failureDomains: [hall]}
    line: {availability: 0.999, failureDomains: [hall]}
"#;

#[test]
fn every_panel_of_every_dialect_finds_its_series() {
    let test = "gates: dashboards beside the rules";
    let Some(prometheus) = Live::binary(test) else { return };
    for dialect in [Dialect::Emac, Dialect::Sloth, Dialect::Pyrra] {
        let artifacts = artifacts(JOURNEY, dialect);
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("rules.yaml");
        // Every group at once, and often: a group's own interval would be a minute.
        std::fs::write(&rules, text(&artifacts, "prometheus/rules.yaml")).unwrap();
        let mut series = situations::series();
        // What the rules record must come from the rules.
        series.retain(|made| !made.name.starts_with("journey:"));
        let live = Live::start(&prometheus, &series, Some(&[rules]));
        let dashboard: Value = serde_json::from_str(text(&artifacts, "grafana/dashboard.json")).unwrap();
        let panels = dashboard["panels"].as_array().unwrap().iter();
        let queries: Vec<&str> = panels
            .flat_map(|panel| panel["targets"].as_array().unwrap())
            .map(|target| target["expr"].as_str().unwrap())
            .collect();
        assert!(queries.len() >= 11, "{dialect:?} {queries:?}");
        let until = Instant::now() + Duration::from_secs(30);
        for query in queries {
            while live.query(query).unwrap().is_empty() {
                assert!(Instant::now() < until, "{dialect:?}: nothing found by {query}");
                std::thread::sleep(Duration::from_millis(250));
            }
        }
    }
}
