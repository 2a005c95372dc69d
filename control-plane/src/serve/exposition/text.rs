//! The text formats: Prometheus 0.0.4 and OpenMetrics 1.0.0.
//!
//! They differ in three points: OpenMetrics names a family of counters without `_total`, calls no `untyped`, and ends with `# EOF`.
//! Histograms come with their classic buckets only; text cannot carry native ones.

use std::fmt::Write;

use super::wire::{LabelPair, Metric, MetricFamily, MetricType};

/// Which text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// 0.0.4.
    Prometheus,
    /// 1.0.0.
    OpenMetrics,
}

/// All families as text. Writing to a `String` cannot fail.
pub fn encode(families: &[MetricFamily], dialect: Dialect) -> String {
    let mut out = String::new();
    for family in families {
        head(&mut out, family, dialect);
        for metric in &family.metric {
            samples(&mut out, family.name(), metric);
        }
    }
    if dialect == Dialect::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

fn head(out: &mut String, family: &MetricFamily, dialect: Dialect) {
    let name = match dialect {
        Dialect::OpenMetrics => family.name().strip_suffix("_total").unwrap_or(family.name()),
        Dialect::Prometheus => family.name(),
    };
    let kind = match family.r#type() {
        MetricType::Counter => "counter",
        MetricType::Gauge => "gauge",
        MetricType::Histogram => "histogram",
    };
    let help = family.help().replace('\\', r"\\").replace('\n', r"\n");
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

fn samples(out: &mut String, name: &str, metric: &Metric) {
    if let Some(counter) = &metric.counter {
        sample(out, name, &metric.label, None, counter.value());
    }
    if let Some(gauge) = &metric.gauge {
        sample(out, name, &metric.label, None, gauge.value());
    }
    if let Some(histogram) = &metric.histogram {
        let bucket_name = format!("{name}_bucket");
        for bucket in &histogram.bucket {
            let bound = Some(bucket.upper_bound());
            sample(out, &bucket_name, &metric.label, bound, bucket.cumulative_count() as f64);
        }
        sample(out, &bucket_name, &metric.label, Some(f64::INFINITY), histogram.sample_count() as f64);
        sample(out, &format!("{name}_sum"), &metric.label, None, histogram.sample_sum());
        sample(out, &format!("{name}_count"), &metric.label, None, histogram.sample_count() as f64);
    }
}

fn sample(out: &mut String, name: &str, labels: &[LabelPair], bound: Option<f64>, value: f64) {
    out.push_str(name);
    let mut open = '{';
    for label in labels {
        let _ = write!(out, "{open}{}=\"{}\"", label.name(), escape(label.value()));
        open = ',';
    }
    if let Some(bound) = bound {
        let _ = write!(out, "{open}le=\"{}\"", number(bound));
        open = ',';
    }
    if open == ',' {
        out.push('}');
    }
    let _ = writeln!(out, " {}", number(value));
}

fn escape(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

/// Shortest text that reads back as the same double; whole numbers without a point.
fn number(value: f64) -> String {
    if value == f64::INFINITY { "+Inf".to_string() } else { format!("{value}") }
}

#[cfg(test)]
mod tests {
    use super::super::wire::{Bucket, Histogram};
    use super::*;

    fn families() -> Vec<MetricFamily> {
        let mut counter = MetricFamily::new("a_total", MetricType::Counter, "Things \\ and\nlines.");
        counter.counter(&[("path", "a\"b\\c\nd")], 9_007_199_254_740_991);
        let mut histogram = MetricFamily::new("b_seconds", MetricType::Histogram, "Time.");
        let bucket = vec![Bucket { cumulative_count: Some(2), upper_bound: Some(0.001024) }];
        let value =
            Histogram { sample_count: Some(3), sample_sum: Some(0.5), bucket, ..Histogram::default() };
        histogram.histogram(&[], value);
        vec![counter, histogram]
    }

    #[test]
    fn prometheus_text_is_exact() {
        insta::assert_snapshot!(encode(&families(), Dialect::Prometheus), @r#"
        # HELP a_total Things \\ and\nlines.
        # TYPE a_total counter
        a_total{path="a\"b\\c\nd"} 9007199254740991
        # HELP b_seconds Time.
        # TYPE b_seconds histogram
        b_seconds_bucket{le="0.001024"} 2
        b_seconds_bucket{le="+Inf"} 3
        b_seconds_sum 0.5
        b_seconds_count 3
        "#);
    }

    #[test]
    fn openmetrics_drops_total_from_the_family_and_ends() {
        let text = encode(&families(), Dialect::OpenMetrics);
        assert!(text.contains("# TYPE a counter\na_total{"));
        assert!(text.ends_with("# EOF\n"));
    }
}
