//! Metric families and the three ways Prometheus reads them.
//!
//! [`wire`] is the model: the subset of `io.prometheus.client` that we fill in. It is written as protobuf (the only format that
//! carries native histograms), as the classic text format, and as OpenMetrics text; [`negotiate`] chooses by the `Accept` header.
//! The Rust client libraries know native histograms in none of the formats, which is why this exists.
//!
//! Left out: exemplars, summaries, timestamps and float histograms, which nothing here produces.

pub mod negotiate;
pub mod text;
pub mod wire;

pub use negotiate::Format;
pub use wire::{Histogram, MetricFamily, MetricType};

impl Format {
    /// The whole answer in this format.
    pub fn encode(self, families: &[MetricFamily]) -> Vec<u8> {
        match self {
            Self::Protobuf => wire::encode_delimited(families),
            Self::OpenMetrics => text::encode(families, text::Dialect::OpenMetrics).into_bytes(),
            Self::Text => text::encode(families, text::Dialect::Prometheus).into_bytes(),
        }
    }
}
