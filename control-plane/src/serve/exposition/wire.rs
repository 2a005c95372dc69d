//! The subset of `io.prometheus.client` (prometheus/client_model `metrics.proto`) that this program fills in.
//!
//! Declared by hand because it is five messages; numbers and types are the specification's, absent fields are those never set.

use prost::Message;

/// One metric of a family: a label set with its value.
#[derive(Clone, PartialEq, Message)]
pub struct Metric {
    /// Sorted by name, so that the same state gives the same bytes.
    #[prost(message, repeated, tag = "1")]
    pub label: Vec<LabelPair>,
    /// Set in a family of gauges.
    #[prost(message, optional, tag = "2")]
    pub gauge: Option<Gauge>,
    /// Set in a family of counters.
    #[prost(message, optional, tag = "3")]
    pub counter: Option<Counter>,
    /// Set in a family of histograms; boxed, for most metrics are counters.
    #[prost(message, optional, boxed, tag = "7")]
    pub histogram: Option<Box<Histogram>>,
}

/// A label.
#[derive(Clone, PartialEq, Message)]
pub struct LabelPair {
    /// Label name.
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// Label value.
    #[prost(string, optional, tag = "2")]
    pub value: Option<String>,
}

/// A value that may fall.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Gauge {
    /// The value.
    #[prost(double, optional, tag = "1")]
    pub value: Option<f64>,
}

/// A value that only grows.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Counter {
    /// The value.
    #[prost(double, optional, tag = "1")]
    pub value: Option<f64>,
}

/// A histogram, native and classic at once: a reader takes what it understands.
#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    /// Observations.
    #[prost(uint64, optional, tag = "1")]
    pub sample_count: Option<u64>,
    /// Their sum.
    #[prost(double, optional, tag = "2")]
    pub sample_sum: Option<f64>,
    /// Classic buckets, cumulative, without `+Inf` (which is `sample_count`).
    #[prost(message, repeated, tag = "3")]
    pub bucket: Vec<Bucket>,
    /// Growth of the native buckets is `2^(2^-schema)`.
    #[prost(sint32, optional, tag = "5")]
    pub schema: Option<i32>,
    /// Observations up to here are in the zero bucket; above zero, or a reader takes the histogram for a classic one.
    #[prost(double, optional, tag = "6")]
    pub zero_threshold: Option<f64>,
    /// Observations in the zero bucket.
    #[prost(uint64, optional, tag = "7")]
    pub zero_count: Option<u64>,
    /// Runs of native buckets.
    #[prost(message, repeated, tag = "12")]
    pub positive_span: Vec<BucketSpan>,
    /// Counts of those buckets, each as difference to the one before.
    #[prost(sint64, repeated, tag = "13")]
    pub positive_delta: Vec<i64>,
}

/// A classic bucket.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Bucket {
    /// Observations at or below the bound.
    #[prost(uint64, optional, tag = "1")]
    pub cumulative_count: Option<u64>,
    /// The bound, inclusive.
    #[prost(double, optional, tag = "2")]
    pub upper_bound: Option<f64>,
}

/// A run of adjacent native buckets.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct BucketSpan {
    /// Index of the first bucket, or the gap to the end of the run before.
    #[prost(sint32, optional, tag = "1")]
    pub offset: Option<i32>,
    /// Buckets in the run.
    #[prost(uint32, optional, tag = "2")]
    pub length: Option<u32>,
}

/// Kind of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum MetricType {
    /// Only grows.
    Counter = 0,
    /// May fall.
    Gauge = 1,
    /// A distribution.
    Histogram = 4,
}

/// All metrics of one name.
#[derive(Clone, PartialEq, Message)]
pub struct MetricFamily {
    /// The full name, with `_total` for counters.
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// One sentence for people.
    #[prost(string, optional, tag = "2")]
    pub help: Option<String>,
    /// Kind of every metric in it.
    #[prost(enumeration = "MetricType", optional, tag = "3")]
    pub r#type: Option<i32>,
    /// The metrics.
    #[prost(message, repeated, tag = "4")]
    pub metric: Vec<Metric>,
}

impl MetricFamily {
    /// A family without metrics.
    pub fn new(name: &str, kind: MetricType, help: &str) -> Self {
        Self {
            name: Some(name.to_string()),
            help: Some(help.to_string()),
            r#type: Some(kind as i32),
            metric: Vec::new(),
        }
    }

    /// Adds a counter. Exact up to 2^53, where doubles (which the format prescribes) end.
    pub fn counter(&mut self, labels: &[(&str, &str)], value: u64) {
        let counter = Some(Counter { value: Some(value as f64) });
        self.metric.push(Metric { label: pairs(labels), counter, ..Metric::default() });
    }

    /// Adds a counter of a part of a whole, as seconds are.
    pub fn counter_f64(&mut self, labels: &[(&str, &str)], value: f64) {
        let counter = Some(Counter { value: Some(value) });
        self.metric.push(Metric { label: pairs(labels), counter, ..Metric::default() });
    }

    /// Adds a gauge.
    pub fn gauge(&mut self, labels: &[(&str, &str)], value: f64) {
        let gauge = Some(Gauge { value: Some(value) });
        self.metric.push(Metric { label: pairs(labels), gauge, ..Metric::default() });
    }

    /// Adds a histogram.
    pub fn histogram(&mut self, labels: &[(&str, &str)], histogram: Histogram) {
        let histogram = Some(Box::new(histogram));
        self.metric.push(Metric { label: pairs(labels), histogram, ..Metric::default() });
    }
}

impl Histogram {
    /// The smallest zero threshold client libraries use: so small that no latency falls under it, above zero so that the
    /// histogram is read as native even when it is empty.
    pub const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;

    /// Sets the native buckets from (index, count), ascending and with counts above zero.
    pub fn set_native(&mut self, schema: i32, buckets: impl IntoIterator<Item = (i32, u64)>) {
        self.schema = Some(schema);
        self.zero_threshold = Some(Self::ZERO_THRESHOLD);
        self.zero_count = Some(0);
        let (mut next, mut before) = (0, 0);
        for (index, count) in buckets {
            match self.positive_span.last_mut() {
                Some(span) if index == next => span.length = span.length.map(|length| length + 1),
                _ => self.positive_span.push(BucketSpan { offset: Some(index - next), length: Some(1) }),
            }
            self.positive_delta.push(count as i64 - before);
            (next, before) = (index + 1, count as i64);
        }
        if self.positive_span.is_empty() {
            // A span without buckets: the format's mark of a native histogram without observations.
            self.positive_span.push(BucketSpan { offset: Some(0), length: Some(0) });
        }
    }
}

fn pairs(labels: &[(&str, &str)]) -> Vec<LabelPair> {
    let pair =
        |&(name, value): &(&str, &str)| LabelPair { name: Some(name.into()), value: Some(value.into()) };
    let mut pairs: Vec<LabelPair> = labels.iter().map(pair).collect();
    pairs.sort_by(|a, b| a.name.cmp(&b.name));
    pairs
}

/// Each family behind its length as a varint.
pub fn encode_delimited(families: &[MetricFamily]) -> Vec<u8> {
    families.iter().flat_map(Message::encode_length_delimited_to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Index and count of every bucket, from spans and deltas as a reader would.
    fn unfold(histogram: &Histogram) -> Vec<(i32, i64)> {
        let mut deltas = histogram.positive_delta.iter();
        let (mut index, mut count, mut found) = (0, 0, Vec::new());
        for span in &histogram.positive_span {
            index += span.offset();
            for _ in 0..span.length() {
                count += deltas.next().expect("a delta for each bucket");
                found.push((index, count));
                index += 1;
            }
        }
        assert!(deltas.next().is_none());
        found
    }

    #[test]
    fn spans_and_deltas_unfold_to_what_went_in() {
        for buckets in [vec![], vec![(-3, 5)], vec![(-2, 1), (-1, 4), (3, 2), (4, 9), (100, 1)]] {
            let mut histogram = Histogram::default();
            histogram.set_native(5, buckets.clone());
            let want: Vec<(i32, i64)> = buckets.iter().map(|&(i, c)| (i, c as i64)).collect();
            assert_eq!(unfold(&histogram), want);
            assert!(!histogram.positive_span.is_empty());
        }
    }

    #[test]
    fn delimited_families_decode_one_by_one() {
        let mut first = MetricFamily::new("a_total", MetricType::Counter, "A.");
        first.counter(&[("z", "1"), ("b", "2")], 7);
        let second = MetricFamily::new("b", MetricType::Gauge, "B.");
        let bytes = encode_delimited(&[first.clone(), second.clone()]);
        let mut rest = bytes.as_slice();
        assert_eq!(MetricFamily::decode_length_delimited(&mut rest).unwrap(), first);
        assert_eq!(MetricFamily::decode_length_delimited(&mut rest).unwrap(), second);
        assert!(rest.is_empty());
        assert_eq!(first.metric[0].label[0].name(), "b", "labels are sorted");
    }
}
