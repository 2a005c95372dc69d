//! Trace files and OTLP requests: whatever the bytes, spans that come out are whole, each counted once, and reading twice is the same.

use emac_trace::read::{ReadError, ReadSettings, read_otlp_json, read_otlp_proto, read_source};
use emac_trace::{Oddity, Refused, Sink, Span, SpanId, SpanKind, SpanOutcome, Symbol, Symbols, TraceId};

use emac_tests::synthetic::{Format, Labels, write_spans};

use super::harness::fuzz;

#[derive(Default)]
struct Kept {
    symbols: Symbols,
    spans: Vec<Span>,
    labels: Vec<(Symbol, String, String)>,
    refused: u64,
}

impl Sink for Kept {
    fn symbols(&mut self) -> &mut Symbols {
        &mut self.symbols
    }

    fn span(&mut self, span: Span) {
        self.spans.push(span);
    }

    fn label(&mut self, service: Symbol, key: &str, value: &str) {
        self.labels.push((service, key.to_owned(), value.to_owned()));
    }

    fn sampled(&mut self, _: f64) {}

    fn within(&mut self, service: Symbol, _: &str) -> Symbol {
        service
    }

    fn linked(&mut self, _: &Span, _: (TraceId, SpanId)) {}

    fn odd(&mut self, _: Oddity, _: std::fmt::Arguments<'_>) {}

    fn refuse(&mut self, _: Refused, _: std::fmt::Arguments<'_>) {
        self.refused += 1;
    }
}

fn spans(format: Format) -> Vec<u8> {
    let mut symbols = Symbols::default();
    let (front, cart, operation) = (symbols.of("front"), symbols.of("cart"), symbols.of("GET /cart/{id}"));
    let span = |id, kind, service, peer| Span {
        trace: TraceId(7 << 64 | 1),
        id: SpanId(id),
        parent: (id > 1).then(|| SpanId(id - 1)),
        kind,
        service,
        operation,
        peer,
        instance: front,
        start_ns: 1_700_000_000_000_000_000,
        duration_ns: 1_000_000,
        outcome: SpanOutcome::Error,
        status: 503,
        attempt: 2,
        shared: false,
        by_proxy: false,
        to_store: false,
    };
    let spans = [
        span(1, SpanKind::Server, front, Symbol::NONE),
        span(2, SpanKind::Client, front, cart),
        span(3, SpanKind::Server, cart, Symbol::NONE),
    ];
    let labels = Labels::from([((cart, front), vec![("cloud.region", "eu\n\"1\"".to_owned())])]);
    let mut out = Vec::new();
    write_spans(format, spans.into_iter(), &symbols, &labels, &mut out).expect("memory");
    out
}

/// Reads twice; panics when a law is broken. Whether it was read to its end, with a span taken.
fn lawful(bytes: &[u8], read: impl Fn(&[u8], &mut Kept) -> Result<(u64, u64), ReadError>) -> bool {
    let (mut once, mut again) = (Kept::default(), Kept::default());
    let result = read(bytes, &mut once);
    let second = read(bytes, &mut again);
    assert_eq!((&once.spans, &once.labels, once.refused), (&again.spans, &again.labels, again.refused));
    for span in &once.spans {
        assert!(span.trace.0 != 0 && span.id.0 != 0 && span.parent != Some(span.id));
        let said = |ns: i64| Some(ns).filter(|&ns| ns != Span::NO_TIME);
        let (start, duration) = (said(span.start_ns), said(span.duration_ns));
        assert!(
            start.is_none_or(|start| start > 31_000_000_000_000_000) && duration.is_none_or(|ns| ns >= 0)
        );
        let ends = start.zip(duration).is_none_or(|(start, duration)| start.checked_add(duration).is_some());
        assert!(ends && !span.service.is_none());
    }
    match (result, second) {
        (Ok(counts), Ok(same)) => {
            assert_eq!((counts, counts), (same, (once.spans.len() as u64, once.refused)));
            !once.spans.is_empty()
        }
        (Err(error), Err(same)) => {
            assert_eq!(error.to_string(), same.to_string());
            false
        }
        (result, second) => panic!("{result:?}, then {second:?}"),
    }
}

/// A small window, so that its edges are met.
fn settings() -> ReadSettings {
    ReadSettings { element_bytes_max: 4 << 10, deferred_max: 100, ..ReadSettings::default() }
}

fn files(examples: &[Vec<u8>]) {
    fuzz(examples, |bytes| lawful(bytes, |bytes, kept| read_source(bytes, &settings(), kept)));
}

#[test]
fn otlp_json_file() {
    let tempo = br#"{"batches":[{"scopeSpans":[{"spans":[{"traceId":"O6VWCcPN5JZJzXfR+dzZNg==","spanId":"Sc130fnc2TY=","kind":
        "SPAN_KIND_CLIENT","startTimeUnixNano":"1701779876570888000","endTimeUnixNano":1701779876582820000,"name":"a.b:80/c"}]}],
        "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"a"}}]}}]}"#;
    files(&[spans(Format::OtlpJson), tempo.to_vec()]);
}

#[test]
fn otlp_protobuf_file() {
    let proto = spans(Format::OtlpProtobuf);
    let prefixed = [&u32::try_from(proto.len()).expect("small").to_be_bytes()[..], &proto].concat();
    files(&[proto, prefixed]);
}

#[test]
fn jaeger_file() {
    files(&[spans(Format::Jaeger)]);
}

#[test]
fn zipkin_file() {
    files(&[spans(Format::Zipkin)]);
}

#[test]
fn zipkin_v1_file() {
    let both = br#"[{"traceId":"1","id":"2","name":"get","annotations":[{"timestamp":1700000000000000,"value":"cs","endpoint":{"serviceName":"a"}},
        {"timestamp":1700000000000005,"value":"sr","endpoint":{"serviceName":"b"}},{"timestamp":1700000000000006,"value":"ss","endpoint":{"serviceName":"b"}}],
        "binaryAnnotations":[{"key":"sa","value":true,"endpoint":{"serviceName":"b","ipv4":"1.2.3.4"}},{"key":"error","value":null}]}]"#;
    files(&[spans(Format::ZipkinOld), both.to_vec()]);
}

#[test]
fn console_output() {
    files(&[spans(Format::GoConsole), spans(Format::PythonConsole), spans(Format::NodeConsole)]);
}

#[test]
fn xray_segments() {
    let segment = r#"{"id":"53995c3f42cd8ad8","name":"front","trace_id":"1-581cf771-a006649127e371903a2de979","start_time":1478293361.271,
        "end_time":1478293361.449,"http":{"request":{"method":"GET","url":"https://a.example/b/7"},"response":{"status":503}},"fault":true,
        "subsegments":[{"id":"53995c3f42cd8ad9","name":"cart","start_time":1478293361.3,"end_time":1478293361.4,"namespace":"remote"}]}"#;
    let answer = serde_json::json!({"Traces": [{"Id": "1", "Segments": [{"Id": "2", "Document": segment}]}], "UnprocessedTraceIds": ["7"]});
    files(&[segment.as_bytes().to_vec(), answer.to_string().into_bytes()]);
}

#[test]
fn zstd_file() {
    let packed =
        |bytes: &[u8]| ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    let (proto, json) = (packed(&spans(Format::OtlpProtobuf)), packed(&spans(Format::OtlpJson)));
    let prefixed = [&u32::try_from(json.len()).expect("small").to_be_bytes()[..], &json].concat();
    files(&[proto, json, prefixed]);
}

#[test]
fn otlp_request() {
    fuzz(&[spans(Format::OtlpProtobuf)], |bytes| {
        lawful(bytes, |bytes, kept| read_otlp_proto(bytes.to_vec(), &settings(), kept))
    });
    fuzz(&[spans(Format::OtlpJson)], |bytes| {
        lawful(bytes, |bytes, kept| read_otlp_json(bytes.to_vec(), &settings(), kept))
    });
}
