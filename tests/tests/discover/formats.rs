//! One set of spans is the same in every format.

use std::collections::BTreeMap;
use std::io::Write as _;

use emac_tests::synthetic::{Format, Labels, write_spans};
use emac_tests::{not_run, shared_data};
use emac_trace::read::{ReadError, ReadSettings, read_source};
use emac_trace::{Oddity, Refused, Sink, Span, SpanId, SpanKind, SpanOutcome, Symbol, Symbols, TraceId};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

const START: i64 = 1_700_000_000_000_000_000;
const KINDS: [SpanKind; 5] =
    [SpanKind::Internal, SpanKind::Client, SpanKind::Server, SpanKind::Producer, SpanKind::Consumer];
const ENDS: [(SpanOutcome, u16); 9] = [
    (SpanOutcome::Good, 0),
    (SpanOutcome::Good, 200),
    (SpanOutcome::Good, 404),
    (SpanOutcome::Error, 0),
    (SpanOutcome::Error, 503),
    (SpanOutcome::Error, 14),
    (SpanOutcome::Timeout, 504),
    (SpanOutcome::Timeout, 4),
    (SpanOutcome::Cancelled, 0),
];

/// Keeps everything.
#[derive(Debug, Default)]
struct Kept {
    symbols: Symbols,
    spans: Vec<Span>,
    labels: BTreeMap<(String, String), String>,
}

impl Sink for Kept {
    fn symbols(&mut self) -> &mut Symbols {
        &mut self.symbols
    }

    fn span(&mut self, span: Span) {
        self.spans.push(span);
    }

    fn label(&mut self, service: Symbol, key: &str, value: &str) {
        self.labels.insert((self.symbols.text(service).to_owned(), key.to_owned()), value.to_owned());
    }

    fn sampled(&mut self, _: f64) {}

    fn within(&mut self, service: Symbol, _: &str) -> Symbol {
        service
    }

    fn linked(&mut self, _: &Span, _: (TraceId, SpanId)) {}

    fn odd(&mut self, _: Oddity, _: std::fmt::Arguments<'_>) {}

    fn refuse(&mut self, _: Refused, _: std::fmt::Arguments<'_>) {}
}

impl Kept {
    fn text(&self, symbol: Symbol) -> &str {
        self.symbols.text(symbol)
    }

    /// Spans with names for symbols, sorted: comparable between tables.
    fn named(&self) -> Vec<String> {
        let name = |span: &Span| {
            let [service, operation, peer, instance] =
                [span.service, span.operation, span.peer, span.instance].map(|symbol| self.text(symbol));
            let blank = Span {
                service: Symbol::NONE,
                operation: Symbol::NONE,
                peer: Symbol::NONE,
                instance: Symbol::NONE,
                ..*span
            };
            format!("{service:?} {operation:?} {peer:?} {instance:?} {blank:?}")
        };
        let mut all: Vec<_> = self.spans.iter().map(name).collect();
        all.sort();
        all
    }
}

fn read_with(bytes: &[u8], settings: &ReadSettings) -> (Kept, Result<(u64, u64), ReadError>) {
    let mut kept = Kept::default();
    let result = read_source(bytes, settings, &mut kept);
    (kept, result)
}

fn read(bytes: impl AsRef<[u8]>) -> (Kept, Result<(u64, u64), ReadError>) {
    read_with(bytes.as_ref(), &ReadSettings::default())
}

fn any_spans() -> impl Strategy<Value = Kept> {
    let ids = (1..5_u128, 1..=u64::MAX, prop::option::of(1..=u64::MAX));
    let names = (0..4_u8, 0..4_u8, 0..3_u8, 0..3_u8);
    // Zipkin knows nothing shorter than a microsecond.
    let times = (0..1_000_000_000_i64, 1..10_000_000_i64);
    let rest = (0..KINDS.len(), 0..ENDS.len(), 0..4_u16);
    proptest::collection::vec((ids, names, times, rest), 1..20).prop_map(|all| {
        let mut kept = Kept::default();
        for (
            (trace, id, parent),
            (service, operation, peer, instance),
            (start, duration),
            (kind, end, attempt),
        ) in all
        {
            let calls = matches!(KINDS[kind], SpanKind::Client | SpanKind::Producer);
            let mut symbol = |prefix: &str, number: u8| match number {
                0 => Symbol::NONE,
                number => kept.symbols.of(&format!("{prefix} \"{number}\" ä")),
            };
            let names = [
                symbol("service", service + 1),
                symbol("GET /users/{id}", operation),
                symbol("peer", peer),
                symbol("pod", instance),
            ];
            kept.spans.push(Span {
                trace: TraceId(trace),
                id: SpanId(id),
                parent: parent.filter(|&parent| parent != id).map(SpanId),
                kind: KINDS[kind],
                service: names[0],
                operation: names[1],
                peer: if calls { names[2] } else { Symbol::NONE },
                instance: names[3],
                start_ns: START + start * 1_000,
                duration_ns: duration * 1_000,
                outcome: ENDS[end].0,
                status: ENDS[end].1,
                attempt: attempt as u8,
                shared: false,
                by_proxy: false,
                to_store: false,
            });
        }
        kept
    })
}

fn labels_of(kept: &Kept) -> Labels {
    let label = |span: &Span| ("cloud.availability_zone", format!("zone-{}", kept.text(span.service)));
    kept.spans.iter().map(|span| ((span.service, span.instance), vec![label(span)])).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// As the collector's file exporter frames messages.
fn prefixed_by_length(message: &[u8]) -> Vec<u8> {
    [&u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// The spans in every form that a file may have.
fn in_all_forms(kept: &Kept, labels: &Labels) -> Vec<(&'static str, Vec<u8>)> {
    let [json, proto, jaeger, zipkin, zipkin_old, go, python, node] = Format::ALL.map(|format| {
        let mut bytes = Vec::new();
        let spans = kept.spans.iter().copied();
        let count = write_spans(format, spans, &kept.symbols, labels, &mut bytes).unwrap();
        assert_eq!(count, kept.spans.len() as u64);
        bytes
    });
    let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let prefixed = prefixed_by_length(&proto);
    vec![
        ("OTLP JSON, indented", serde_json::to_vec_pretty(&value).unwrap()),
        ("OTLP JSON, backwards", serde_json::to_vec(&backwards(value.clone())).unwrap()),
        ("OTLP JSON of Tempo", serde_json::to_vec(&tempo(value)).unwrap()),
        ("gzip of OTLP JSON", gzip(&json)),
        (
            "gzip of protobuf, in two members",
            [gzip(&proto[..proto.len() / 2]), gzip(&proto[proto.len() / 2..])].concat(),
        ),
        ("zstd of OTLP JSON", zstd(&json)),
        (
            "zstd of protobuf, in two frames",
            [zstd(&proto[..proto.len() / 2]), zstd(&proto[proto.len() / 2..])].concat(),
        ),
        ("length-prefixed zstd", [prefixed_by_length(&zstd(&json)), prefixed_by_length(&zstd(b""))].concat()),
        ("Go's console", go),
        ("Python's console", python),
        ("Node's console", node),
        ("OTLP JSON", json),
        ("protobuf", proto),
        ("length-prefixed protobuf", prefixed),
        (
            "Zipkin, backwards",
            serde_json::to_vec(&backwards(serde_json::from_slice(&zipkin).unwrap())).unwrap(),
        ),
        ("Zipkin", zipkin),
        (
            "Zipkin v1, backwards",
            serde_json::to_vec(&backwards(serde_json::from_slice(&zipkin_old).unwrap())).unwrap(),
        ),
        ("Zipkin v1", zipkin_old),
        (
            "Jaeger, backwards",
            serde_json::to_vec(&backwards(serde_json::from_slice(&jaeger).unwrap())).unwrap(),
        ),
        ("Jaeger", jaeger),
    ]
}

/// Fields of every object in reverse: resources and processes stand behind their spans, or before.
fn backwards(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(fields) => serde_json::Value::Object(
            fields.into_iter().rev().map(|(key, value)| (key, backwards(value))).collect(),
        ),
        serde_json::Value::Array(items) => items.into_iter().map(backwards).collect(),
        scalar => scalar,
    }
}

/// `batches`, base64, names for numbers, numbers for text.
fn tempo(mut value: serde_json::Value) -> serde_json::Value {
    use base64::Engine as _;
    let spans = value.pointer_mut("/resourceSpans").unwrap().as_array_mut().unwrap();
    for span in spans.iter_mut().flat_map(|group| group["scopeSpans"][0]["spans"].as_array_mut().unwrap()) {
        for key in ["traceId", "spanId", "parentSpanId"] {
            let Some(id) = span.get(key).and_then(|id| id.as_str()) else { continue };
            let bytes: Vec<u8> =
                (0..id.len() / 2).map(|i| u8::from_str_radix(&id[2 * i..2 * i + 2], 16).unwrap()).collect();
            span[key] = base64::engine::general_purpose::STANDARD.encode(bytes).into();
        }
        let names = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
        span["kind"] = format!("SPAN_KIND_{}", names[span["kind"].as_u64().unwrap() as usize]).into();
        span["startTimeUnixNano"] =
            span["startTimeUnixNano"].as_str().unwrap().parse::<u64>().unwrap().into();
        if span["status"]["code"] == 2 {
            span["status"]["code"] = "STATUS_CODE_ERROR".into();
        }
    }
    serde_json::json!({"batches": value["resourceSpans"]})
}

#[test]
fn a_recorded_trace_is_the_same_in_two_formats() {
    let read_file = |name: &str| {
        let file = shared_data("otlp/jaeger")?.join(name);
        let (kept, result) = read(std::fs::read(file).ok()?);
        assert_eq!(result.unwrap(), (2, 0), "{name}");
        Some(kept)
    };
    let (Some(otlp), Some(jaeger)) = (read_file("otlp2jaeger-in.json"), read_file("otlp2jaeger-out.json"))
    else {
        return not_run("discover: a trace in two formats", "no otlp/jaeger (EMAC_SHARED_DATA)");
    };
    assert_eq!(otlp.named(), jaeger.named());
    assert_eq!(jaeger.spans[0].start_ns, 1_706_678_909_209_712_000);
    assert_eq!(jaeger.spans[0].duration_ns, 123_000);
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0xF03A), ..ProptestConfig::with_cases(64) })]
    #[test]
    fn all_formats_say_the_same(kept in any_spans()) {
        let labels = labels_of(&kept);
        for (form, bytes) in in_all_forms(&kept, &labels) {
            let (found, result) = read(&bytes);
            prop_assert!(result.is_ok(), "{form}: {result:?}");
            prop_assert_eq!(result.unwrap(), (kept.spans.len() as u64, 0));
            prop_assert_eq!(found.named(), kept.named(), "{}", form);
            let expected: BTreeMap<_, _> = labels.iter().flat_map(|((service, _), labels)| {
                let name = kept.text(*service).to_owned();
                labels.iter().map(move |(key, value)| ((name.clone(), (*key).to_owned()), value.clone()))
            }).collect();
            prop_assert_eq!(&found.labels, &expected, "{}", form);
        }
    }

    #[test]
    fn the_window_may_be_small(kept in any_spans()) {
        let settings = ReadSettings { element_bytes_max: 2 << 10, ..ReadSettings::default() };
        for (form, bytes) in in_all_forms(&kept, &labels_of(&kept)) {
            let (found, result) = read_with(&bytes, &settings);
            prop_assert!(result.is_ok(), "{form}: {result:?}");
            prop_assert_eq!(found.named(), kept.named(), "{}", form);
        }
    }
}
