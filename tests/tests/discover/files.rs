//! Every format says the same of the same world: to other people's code, and to our readers.

use std::collections::BTreeMap;

use emac_discovery::discover::Discovered;
use emac_discovery::discover::observe::Observations;
use emac_tests::bench::discover::otlp;
use emac_tests::synthetic::{Format, Settings, Signals, Style, World, hostile};
use emac_trace::read::{self, read_source};
use emac_trace::{Assembler, Symbols, TraceLimits};
use prost::Message as _;
use serde_json::Value;

use super::found::{from_file, from_spans};

/// (trace, span, kind) -> (parent, name, service), as text.
type Content = BTreeMap<(String, String, String), (String, String, String)>;

fn world(style: Style) -> World {
    World::new(Settings {
        signals: Signals { style, ..Signals::CLEAN },
        requests: 40,
        ..Settings::large(3, 30)
    })
}

fn written(world: &World, format: Format) -> Vec<u8> {
    let mut bytes = Vec::new();
    let count = world.write(format, &mut bytes).unwrap();
    assert_eq!(count as usize, world.spans(&mut Symbols::default()).count());
    bytes
}

fn truth(world: &World) -> Content {
    let mut symbols = Symbols::default();
    let spans: Vec<_> = world.spans(&mut symbols).collect();
    let key = |span: &emac_trace::Span| {
        let kind = format!("{:?}", span.kind).to_lowercase();
        (format!("{:032x}", span.trace.0), format!("{:016x}", span.id.0), kind)
    };
    let text = |symbol| symbols.text(symbol).to_owned();
    let parent = |id: Option<emac_trace::SpanId>| id.map_or(String::new(), |id| format!("{:016x}", id.0));
    spans.iter().map(|s| (key(s), (parent(s.parent), text(s.operation), text(s.service)))).collect()
}

const KINDS: [&str; 6] = ["", "internal", "server", "client", "producer", "consumer"];

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The value of a key in a list of keys and values.
fn of(list: &Value, key: &str) -> Value {
    list.as_array()
        .unwrap()
        .iter()
        .find(|tag| tag["key"] == key)
        .map_or(Value::Null, |tag| tag["value"].clone())
}

#[test]
fn otlp_json_is_json_of_the_protobuf() {
    let world = world(Style::Otel);
    let json: Value = serde_json::from_slice(&written(&world, Format::OtlpJson)).unwrap();
    let mut content = Content::new();
    for process in json["resourceSpans"].as_array().unwrap() {
        let service = text(&of(&process["resource"]["attributes"], "service.name")["stringValue"]);
        for span in process["scopeSpans"][0]["spans"].as_array().unwrap() {
            let kind = KINDS[span["kind"].as_u64().unwrap() as usize].to_owned();
            let key = (text(&span["traceId"]), text(&span["spanId"]), kind);
            content.insert(key, (text(&span["parentSpanId"]), text(&span["name"]), service.clone()));
            let times =
                ["startTimeUnixNano", "endTimeUnixNano"].map(|key| text(&span[key]).parse::<u64>().unwrap());
            assert!(times[0] <= times[1]);
        }
    }
    assert_eq!(content, truth(&world));
}

#[test]
fn otlp_protobuf_is_decoded_by_prost() {
    let world = world(Style::Otel);
    let data = otlp::TracesData::decode(written(&world, Format::OtlpProtobuf).as_slice()).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut content = Content::new();
    for process in &data.resource_spans {
        let attributes = &process.resource.as_ref().unwrap().attributes;
        let name = attributes.iter().find(|pair| pair.key == "service.name").unwrap();
        let service = name.value.clone().unwrap().string_value.unwrap();
        for span in &process.scope_spans[0].spans {
            let key = (hex(&span.trace_id), hex(&span.span_id), KINDS[span.kind as usize].to_owned());
            content.insert(key, (hex(&span.parent_span_id), span.name.clone(), service.clone()));
        }
    }
    assert_eq!(content, truth(&world));
}

#[test]
fn jaeger_lists_traces() {
    let world = world(Style::Envoy);
    let json: Value = serde_json::from_slice(&written(&world, Format::Jaeger)).unwrap();
    let mut content = Content::new();
    for trace in json["data"].as_array().unwrap() {
        for span in trace["spans"].as_array().unwrap() {
            let key = (text(&span["traceID"]), text(&span["spanID"]), text(&of(&span["tags"], "span.kind")));
            let service = text(&trace["processes"][text(&span["processID"])]["serviceName"]);
            content
                .insert(key, (text(&span["references"][0]["spanID"]), text(&span["operationName"]), service));
        }
    }
    assert_eq!(content, truth(&world));
}

#[test]
fn zipkin_shares_ids() {
    let world = world(Style::Zipkin);
    let json: Value = serde_json::from_slice(&written(&world, Format::Zipkin)).unwrap();
    let mut content = Content::new();
    let mut shared = 0;
    for span in json.as_array().unwrap() {
        let kind = span["kind"].as_str().unwrap_or("internal").to_lowercase();
        let key = (text(&span["traceId"]), text(&span["id"]), kind);
        let service = text(&span["localEndpoint"]["serviceName"]);
        content.insert(key, (text(&span["parentId"]), text(&span["name"]), service));
        shared += usize::from(span["shared"] == true);
    }
    assert_eq!(content, truth(&world));
    assert!(shared > 100, "{shared}");
}

// === Our readers ===

/// Discovery reads every format, and finds in each what it finds in the spans themselves.
#[test]
fn a_journey_is_the_same_in_every_format() {
    for (style, formats) in [
        (Style::Otel, &[Format::OtlpJson, Format::OtlpProtobuf, Format::Jaeger][..]),
        (Style::Zipkin, &[Format::Zipkin][..]),
        (Style::Envoy, &[Format::OtlpJson, Format::OtlpProtobuf][..]),
    ] {
        for seed in 0..4 {
            // Microseconds, as the coarsest of the formats has them.
            let signals = Signals { style, resolution_ns: 1_000, ..Signals::CLEAN };
            let world = World::new(Settings { signals, requests: 400, ..Settings::small(seed) });
            let expected = texts(&from_spans(&world));
            for format in formats {
                let found = texts(&from_file(&written(&world, *format)));
                assert_eq!(found, expected, "{format:?} {seed}");
            }
        }
    }
}

fn texts(found: &[Discovered]) -> Vec<String> {
    found.iter().filter_map(|one| Some(one.structure()?.to_string())).collect()
}

/// Whatever is in a file, reading it ends, and nothing is found that is not there.
#[test]
fn hostile_files_end_and_make_no_journey() {
    for (what, bytes) in hostile::files() {
        let mut assembler = Assembler::new(TraceLimits::default(), Observations::default());
        let read = read_source(bytes.as_slice(), &read::ReadSettings::default(), &mut assembler);
        let assembled = assembler.finish();
        let quality = &assembled.quality;
        let refused: u64 = quality.refused.values().map(|refused| refused.count).sum();
        assert!(read.is_err() || refused > 0 || quality.spans <= 1, "{what}: {read:?} {quality:?}");
        assert!(assembled.consumer.traces().0 <= 1, "{what}");
    }
}
