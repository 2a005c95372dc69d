//! A Grafana dashboard of a journey: what is promised, computed and measured, side by side. It asks for the series that the rules of its dialect record;
//! what was computed has the paper's names in each.

use serde_json::{Value, json};

use super::prometheus::{Dialect, Group, Panels, Rule, Sli};

/// The dashboard, with a variable for the data source.
pub fn dashboard(sli: &Sli, dialect: Dialect, rules: &[Group], preview: bool) -> Value {
    let mark = if preview { "PREVIEW: " } else { "" };
    let panels: Vec<_> = panels(sli, dialect, rules)
        .into_iter()
        .enumerate()
        .map(|(number, panel)| panel.json(number))
        .collect();
    json!({
        "uid": format!("emac-{}", sli.journey.chars().take(35).collect::<String>()),
        "title": format!("{mark}Journey {}", sli.journey),
        "tags": ["emac", "journey"],
        "timezone": "utc",
        "schemaVersion": 39,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}]},
        "panels": panels,
    })
}

struct Panel {
    kind: &'static str,
    title: String,
    unit: &'static str,
    /// (PromQL, legend).
    targets: Vec<(String, String)>,
}

impl Panel {
    fn json(self, number: usize) -> Value {
        let source = json!({"type": "prometheus", "uid": "${datasource}"});
        let target = |(place, (expr, legend)): (usize, (String, String))| {
            let reference = char::from(b'A' + (place % 26) as u8).to_string();
            json!({"refId": reference, "datasource": source, "expr": expr, "legendFormat": legend})
        };
        let targets: Vec<_> = self.targets.into_iter().enumerate().map(target).collect();
        json!({
            "id": number + 1,
            "type": self.kind,
            "title": self.title,
            "datasource": source,
            "gridPos": {"h": 8, "w": 12, "x": (number % 2) * 12, "y": (number / 2) * 8},
            "fieldConfig": {"defaults": {"unit": self.unit, "decimals": 4}, "overrides": []},
            "targets": targets,
        })
    }
}

fn panels(sli: &Sli, dialect: Dialect, rules: &[Group]) -> Vec<Panel> {
    let series = |rest: &str| format!("journey:{}:{rest}", sli.metric);
    let one = |expr: String, legend: &str| (expr, legend.to_owned());
    let panel = |kind, title: &str, unit, targets| Panel { kind, title: title.to_owned(), unit, targets };
    let of = Panels::of(sli, dialect);
    // Nothing was computed where some component is unknown, and not every journey loses anything.
    let is_recorded = |name: &str| {
        let mut all = rules.iter().flat_map(|group| &group.rules);
        all.any(|rule| matches!(rule, Rule::Record { record, .. } if *record == series(name)))
    };
    let bounds = one(series("availability_bound"), "{{bound}} ({{assumption}})");
    let mut availability =
        vec![one(format!("1 - {}", of.errors), "measured, 5m"), one(of.objective, "objective")];
    availability.extend(is_recorded("availability_bound").then_some(bounds));
    let mut panels = vec![
        panel("stat", "Error budget left", "percentunit", vec![one(of.left, "left")]),
        panel("timeseries", "Availability: measured, promised, bounds", "percentunit", availability),
        panel("timeseries", "Requests a second", "reqps", vec![one(of.requests, "requests")]),
    ];
    panels.push(panel("timeseries", "Burn rate", "short", of.burning));
    if is_recorded("contributor") {
        let lost = vec![one(series("contributor"), "{{contributor}}")];
        panels.push(panel("table", "Contributors", "percentunit", lost));
    }
    if let Some(latency) = &sli.latency {
        let measured = match dialect {
            Dialect::Emac => series(&format!("latency_seconds:{}_5m", latency.metric())),
            // These record no latency.
            Dialect::Sloth | Dialect::Pyrra => latency.measured(),
        };
        let threshold = one(format!("vector({})", latency.threshold), "objective");
        panels.push(panel("timeseries", "Latency", "s", vec![one(measured, &latency.name), threshold]));
    }
    panels
}
