//! The canary's latency: quantiles that lie beyond a histogram's last bucket, few requests, and the p99 beside an objective of another share.

use emac_compile::emit::prometheus::Dialect;

use super::live::{Live, Made};
use super::{argo_measure, artifacts, intent_of, measure, text};

/// Requests a minute up to each end of a bucket; below zero: so many, once, three minutes ago.
type Histogram = &'static [(&'static str, f64)];

/// Name, what the histogram says, and what must come of a p95 of 0.4 s, of a p99 of 0.8 s, by buckets up to 1 s or up to 0.3 s.
const CASES: &[(&str, Histogram, &str, &str)] = &[
    (
        "fast",
        &[("0.1", 990.0), ("0.3", 999.5), ("0.5", 1000.0), ("1.0", 1000.0), ("+Inf", 1000.0)],
        "Successful",
        "Successful",
    ),
    (
        "slow",
        &[("0.1", 500.0), ("0.3", 600.0), ("0.5", 700.0), ("1.0", 1000.0), ("+Inf", 1000.0)],
        "Failed",
        "Failed",
    ),
    (
        "tail",
        &[("0.1", 960.0), ("0.3", 970.0), ("0.5", 971.0), ("1.0", 1000.0), ("+Inf", 1000.0)],
        "Successful",
        "Failed",
    ),
    // Beyond the last bucket, which ends below the threshold: it may be anything.
    ("short", &[("0.1", 500.0), ("0.3", 600.0), ("+Inf", 1000.0)], "Inconclusive", "Inconclusive"),
    (
        "one",
        &[("0.1", 6.0), ("0.3", 6.0), ("0.5", 6.0), ("1.0", -1.0), ("+Inf", -1.0)],
        "Successful",
        "Inconclusive",
    ),
    (
        "few",
        &[("0.1", 0.0), ("0.3", 0.0), ("0.5", 0.0), ("1.0", 0.0), ("2.0", 8.0), ("+Inf", 8.0)],
        "Failed",
        "Failed",
    ),
    ("none", &[], "Inconclusive", "Inconclusive"),
];

fn series() -> Vec<Made> {
    let mut all = Vec::new();
    for (name, histogram, ..) in CASES {
        let steady = histogram.first().map_or(0.0, |first| first.1);
        for &(end, each) in *histogram {
            let value = move |minute: i64| {
                let (each, once) =
                    if each < 0.0 { (steady, f64::from(u8::from(minute > -3))) } else { (each, 0.0) };
                Some(each * (minute + 100) as f64 + once)
            };
            let name = format!("{name}_bucket{{rollout=\"canary\",le=\"{end}\"}}");
            all.push(Made { name, value: Box::new(value) });
        }
    }
    all
}

/// An intent with a p95 objective of 0.4 s, and for canaries a p99 of 0.8 s.
fn intent(prefix: &str) -> String {
    let quantile =
        format!("histogram_quantile(0.95, sum by (le) (rate({prefix}_bucket[{{{{ .window }}}}]))) # p95");
    let delivery = "  governance:\n    progressiveDelivery: {provider: argo-rollouts, gate: {maxP99LatencySeconds: 0.8}}\n";
    let text = intent_of("sum(rate(x[{{.window}}]))", "sum(rate(y[{{.window}}]))", delivery);
    let latency = format!(
        "    latency:\n      window: 30d\n      objective: {{metric: p95, threshold: 400ms}}\n      evidence: {{promql: '{quantile}'}}\n  operator:"
    );
    text.replacen("  operator:", &latency, 1)
}

#[test]
fn latency_is_judged_where_it_can_be() {
    let test = "gates: the canary's latency";
    let (Some(program), Some(prometheus)) = (argo_measure(test), Live::binary(test)) else { return };
    let live = Live::start(&prometheus, &series(), None);
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (name, ..) in CASES {
        let file = folder.path().join(format!("{name}.yaml"));
        std::fs::write(&file, text(&artifacts(&intent(name), Dialect::Emac), "argo/analysis-template.yaml"))
            .unwrap();
        files.push(file);
    }
    let measured = measure(&program, &live.address(), &files);
    for (name, _, p95, p99) in CASES {
        for (quantile, expected) in [("p95", p95), ("p99", p99)] {
            let metric = format!("booking-canary-latency-{quantile}-5m");
            let found = &measured[&((*name).to_owned(), metric)];
            assert_eq!(found.0, **expected, "{name} {quantile}: {found:?}");
        }
    }
}

#[test]
fn a_p99_without_any_latency_objective_is_measured_by_what_sidecars_expose() {
    let delivery = "  governance:\n    progressiveDelivery: {provider: argo-rollouts, gate: {maxP99LatencySeconds: 0.8}}\n";
    let text_of = intent_of("sum(rate(x[{{.window}}]))", "sum(rate(y[{{.window}}]))", delivery);
    let artifacts = artifacts(&text_of, Dialect::Emac);
    let template = text(&artifacts, "argo/analysis-template.yaml");
    assert!(
        template.contains("booking-canary-latency-p99-5m")
            && template
                .contains("journey_latency_milliseconds_bucket{journey=\"booking\",rollout=\"canary\"}"),
        "{template}"
    );
}
