//! Spans as files, in the formats that tracing backends write: a world's, and any that a test makes up.
//!
//! Written here on their own, not with the readers' code, so that a mistake in one is not a mistake in both. OTLP and Zipkin stream; a Jaeger
//! document lists traces whole, so it is built in memory.
//!
//! How an outcome is said: OTLP by status code 2 and `error.type` (`timeout`, `cancelled`, else the HTTP status), Jaeger and Zipkin by the tag `error` and
//! the same tag; the status by `http.response.status_code` or `http.status_code`.

mod console;
mod jaeger;
mod otlp_json;
mod otlp_protobuf;
mod zipkin;
mod zipkin_old;

use std::collections::BTreeMap;
use std::io::{self, Write};

use emac_trace::{Span, SpanKind, SpanOutcome, Symbol, Symbols};

use super::settings::Style;
use super::world::World;

/// A format of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `TracesData` in protobuf's JSON.
    OtlpJson,
    /// `TracesData` in protobuf.
    OtlpProtobuf,
    /// The answer of Jaeger's query API.
    Jaeger,
    /// Zipkin v2.
    Zipkin,
    /// Zipkin v1.
    ZipkinOld,
    /// What `stdouttrace` of OpenTelemetry for Go prints.
    GoConsole,
    /// What `ConsoleSpanExporter` of OpenTelemetry for Python prints.
    PythonConsole,
    /// What `ConsoleSpanExporter` of OpenTelemetry for JavaScript prints.
    NodeConsole,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 8] = [
        Self::OtlpJson,
        Self::OtlpProtobuf,
        Self::Jaeger,
        Self::Zipkin,
        Self::ZipkinOld,
        Self::GoConsole,
        Self::PythonConsole,
        Self::NodeConsole,
    ];

    /// How such a file's name ends.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::OtlpJson => "otlp.json",
            Self::OtlpProtobuf => "otlp.pb",
            Self::Jaeger => "jaeger.json",
            Self::Zipkin => "zipkin.json",
            Self::ZipkinOld => "zipkin1.json",
            Self::GoConsole => "go.json",
            Self::PythonConsole => "python.json",
            Self::NodeConsole => "node.txt",
        }
    }
}

/// Spans that one export request carries; the SDKs' default.
const BATCH: usize = 512;

/// What each process that records spans says of itself beside its names, by service and instance.
pub type Labels = BTreeMap<(Symbol, Symbol), Vec<(&'static str, String)>>;
/// Where a span was recorded, and its spans.
type Batch<'a> = BTreeMap<(Symbol, Symbol), Vec<&'a Span>>;

impl World {
    /// Writes every span that arrives; how many.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, format: Format, out: &mut impl Write) -> io::Result<u64> {
        let mut symbols = Symbols::default();
        let spans = self.spans(&mut symbols);
        let labels = self.labels(&mut symbols);
        let envoy = self.settings.signals.style == Style::Envoy;
        Texts { symbols: &symbols, labels: &labels, envoy }.write(format, spans, out)
    }

    /// What each instance's resource says. Of a key with two values every instance but the first says the second.
    fn labels(&self, symbols: &mut Symbols) -> Labels {
        let mut labels = Labels::new();
        for service in &self.services {
            for number in 0..service.instances {
                let key = (symbols.of(&service.name), symbols.of(&service.instance(number)));
                let values = service.labels.iter().fold(BTreeMap::new(), |mut all, (key, value)| {
                    if number > 0 || !all.contains_key(key) {
                        all.insert(*key, value.clone());
                    }
                    all
                });
                labels.insert(key, values.into_iter().collect());
            }
        }
        labels
    }
}

/// Writes spans whose names are of `symbols`; how many. Jaeger and Zipkin count microseconds: what is finer is cut off, and Zipkin knows no shorter
/// time than one.
///
/// # Errors
/// Those of the writer.
pub fn write_spans(
    format: Format,
    spans: impl Iterator<Item = Span>,
    symbols: &Symbols,
    labels: &Labels,
    out: &mut impl Write,
) -> io::Result<u64> {
    Texts { symbols, labels, envoy: false }.write(format, spans, out)
}

/// What symbols stand for.
struct Texts<'a> {
    symbols: &'a Symbols,
    labels: &'a Labels,
    /// Callees are named as Envoy names its clusters.
    envoy: bool,
}

/// Value of an attribute.
enum Value<'a> {
    Text(String),
    Name(&'a str),
    Number(i64),
}

impl<'a> Texts<'a> {
    fn write(
        &self,
        format: Format,
        spans: impl Iterator<Item = Span>,
        out: &mut impl Write,
    ) -> io::Result<u64> {
        match format {
            Format::OtlpJson => otlp_json::write(spans, self, out),
            Format::OtlpProtobuf => otlp_protobuf::write(spans, self, out),
            Format::Jaeger => jaeger::write(spans, self, out),
            Format::Zipkin => zipkin::write(spans, self, out),
            Format::ZipkinOld => zipkin_old::write(spans, self, out),
            Format::GoConsole => console::write(spans, self, console::go, out),
            Format::PythonConsole => console::write(spans, self, console::python, out),
            Format::NodeConsole => console::write(spans, self, console::node, out),
        }
    }

    fn text(&self, symbol: Symbol) -> &'a str {
        self.symbols.text(symbol)
    }

    /// Attributes of the process that recorded a span.
    fn resource(&self, (service, instance): (Symbol, Symbol)) -> Vec<(&'a str, &'a str)> {
        let instance_id = Some(("service.instance.id", self.text(instance))).filter(|(_, id)| !id.is_empty());
        let named = std::iter::once(("service.name", self.text(service))).chain(instance_id);
        let labels = self.labels.get(&(service, instance)).into_iter().flatten();
        named.chain(labels.map(|(key, value)| (*key, value.as_str()))).collect()
    }

    /// Attributes of a span in OpenTelemetry's words.
    fn attributes(&self, span: &Span) -> Vec<(&'static str, Value<'a>)> {
        let mut all = Vec::new();
        if span.status != 0 {
            let key = if is_grpc(span) { GRPC_STATUS } else { "http.response.status_code" };
            all.push((key, Value::Number(span.status.into())));
        }
        if !span.peer.is_none() {
            let peer = self.text(span.peer);
            all.push(if self.envoy {
                let cluster = format!("outbound|8080||{peer}.svc.cluster.local");
                ("upstream_cluster.name", Value::Text(cluster))
            } else {
                ("peer.service", Value::Name(peer))
            });
        }
        all.extend(attempt(span).map(|(key, number)| (key, Value::Number(number))));
        all.extend(error(span).map(|text| ("error.type", Value::Name(text))));
        all
    }
}

const GRPC_STATUS: &str = "rpc.grpc.status_code";

/// HTTP's statuses begin at 100, gRPC's end at 16.
const fn is_grpc(span: &Span) -> bool {
    span.status < 100
}

/// Which try a span is, as OpenTelemetry counts (those before it), and the first one as Envoy does (from 1).
fn attempt(span: &Span) -> Option<(&'static str, i64)> {
    match span.attempt {
        0 => None,
        1 => Some(("x-envoy-attempt-count", 1)),
        more => Some(("http.request.resend_count", i64::from(more) - 1)),
    }
}

/// Why a call went wrong; `None` when it went well.
const fn error(span: &Span) -> Option<&'static str> {
    match span.outcome {
        SpanOutcome::Good => None,
        SpanOutcome::Error => Some("500"),
        SpanOutcome::Timeout => Some("timeout"),
        SpanOutcome::Cancelled => Some("cancelled"),
    }
}

const fn kind_text(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Internal => "internal",
        SpanKind::Client => "client",
        SpanKind::Server => "server",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    }
}

/// OpenTelemetry's number of a kind.
const fn kind_number(kind: SpanKind) -> u8 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

/// Hands over the spans of one export after the other, by process.
fn batches(
    spans: impl Iterator<Item = Span>,
    mut each: impl FnMut(&Batch<'_>) -> io::Result<()>,
) -> io::Result<u64> {
    let mut count = 0;
    let mut chunk: Vec<Span> = Vec::with_capacity(BATCH);
    let mut spans = spans.peekable();
    while spans.peek().is_some() {
        chunk.clear();
        chunk.extend(spans.by_ref().take(BATCH));
        let mut batch = Batch::new();
        chunk.iter().for_each(|span| batch.entry((span.service, span.instance)).or_default().push(span));
        each(&batch)?;
        count += chunk.len() as u64;
    }
    Ok(count)
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
