//! Writers of the formats that [`read`](super::read) reads: synthetic worlds as files, and the test that one set of spans is the same
//! in every format.
//!
//! Written is what a [`Span`] says and no more. Jaeger and Zipkin count microseconds: what is finer is cut off. Reading gives the
//! same spans in another order, provided that operations keep their names when read, a timeout or cancellation is not
//! contradicted by the status, and only clients and producers have a peer.

mod jaeger;
mod otlp_json;
mod otlp_proto;
mod zipkin;

use std::collections::BTreeMap;

use super::{Span, SpanKind, SpanOutcome, Symbol, Symbols};

pub use jaeger::jaeger;
pub use otlp_json::otlp_json;
pub use otlp_proto::otlp_proto;
pub use zipkin::zipkin;

/// Attributes of services that tell failure domains, by service and name.
pub type Labels = BTreeMap<Symbol, BTreeMap<String, String>>;

/// Spans and what their symbols mean.
#[derive(Clone, Copy, Debug)]
pub struct Spans<'a> {
    /// The table of all names.
    pub symbols: &'a Symbols,
    /// In any order.
    pub spans: &'a [Span],
    /// Written once a resource (OTLP), process (Jaeger) or span (Zipkin).
    pub labels: &'a Labels,
}

impl<'a> Spans<'a> {
    fn text(&self, symbol: Symbol) -> &'a str {
        self.symbols.text(symbol)
    }

    /// By who reported them: service and instance.
    fn by_reporter(&self) -> BTreeMap<(Symbol, Symbol), Vec<&'a Span>> {
        let mut groups = BTreeMap::<_, Vec<_>>::new();
        for span in self.spans {
            groups.entry((span.service, span.instance)).or_default().push(span);
        }
        groups
    }

    fn labels_of(&self, service: Symbol) -> impl Iterator<Item = (&'a str, &'a str)> {
        let labels = self.labels.get(&service).into_iter().flatten();
        labels.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// What is said of a reporter beside its service's name.
    fn reporter_attributes(&self, service: Symbol, instance: Symbol) -> Vec<(&'a str, &'a str)> {
        let instance = Some(("service.instance.id", self.text(instance))).filter(|(_, id)| !id.is_empty());
        instance.into_iter().chain(self.labels_of(service)).collect()
    }

    /// What is said of a span beside its own fields; all as text.
    fn attributes(&self, span: &Span) -> Vec<(&'static str, String)> {
        let mut attributes = Vec::new();
        if !span.peer.is_none() {
            attributes.push(("peer.service", self.text(span.peer).to_owned()));
        }
        if span.status != 0 {
            let key = if span.status < 100 { "rpc.grpc.status_code" } else { "http.response.status_code" };
            attributes.push((key, span.status.to_string()));
        }
        if span.attempt > 1 {
            attributes.push(("http.request.resend_count", (span.attempt - 1).to_string()));
        } else if span.attempt == 1 {
            attributes.push(("x-envoy-attempt-count", "1".to_owned()));
        }
        attributes.extend(error_type(span.outcome).map(|reason| ("error.type", reason.to_owned())));
        attributes
    }
}

const fn error_type(outcome: SpanOutcome) -> Option<&'static str> {
    match outcome {
        SpanOutcome::Timeout => Some("timeout"),
        SpanOutcome::Cancelled => Some("cancelled"),
        SpanOutcome::Good | SpanOutcome::Error => None,
    }
}

const fn failed(span: &Span) -> bool {
    !matches!(span.outcome, SpanOutcome::Good)
}

/// Number in OTLP.
const fn kind_number(kind: SpanKind) -> u8 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

/// Lower-case name; `None` for local work.
const fn kind_name(kind: SpanKind) -> Option<&'static str> {
    match kind {
        SpanKind::Internal => None,
        SpanKind::Server => Some("server"),
        SpanKind::Client => Some("client"),
        SpanKind::Producer => Some("producer"),
        SpanKind::Consumer => Some("consumer"),
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
