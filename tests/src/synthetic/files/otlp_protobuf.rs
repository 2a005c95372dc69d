//! OTLP in protobuf, by hand: `TracesData` is its `resource_spans` one after the other, so a file streams.
//!
//! Field numbers are those of opentelemetry/proto/trace/v1/trace.proto, common.proto and resource.proto.

use std::io::{self, Write};

use emac_trace::{Span, Symbol};
use prost::encoding::encode_varint;

use super::{Texts, Value, batches, kind_number};

pub(super) fn write(
    spans: impl Iterator<Item = Span>,
    names: &Texts<'_>,
    out: &mut impl Write,
) -> io::Result<u64> {
    batches(spans, |batch| {
        batch.iter().try_for_each(|(process, spans)| out.write_all(&resource_spans(*process, spans, names)))
    })
}

/// Field 1 of `TracesData`.
fn resource_spans(process: (Symbol, Symbol), spans: &[&Span], names: &Texts<'_>) -> Vec<u8> {
    let mut resource = Vec::new();
    for (key, value) in names.resource(process) {
        bytes(1, &attribute(key, &Value::Name(value)), &mut resource);
    }
    let mut scope = Vec::new();
    spans.iter().for_each(|span| bytes(2, &span_bytes(span, names), &mut scope));
    let mut message = Vec::new();
    bytes(1, &resource, &mut message);
    bytes(2, &scope, &mut message);
    let mut field = Vec::new();
    bytes(1, &message, &mut field);
    field
}

fn span_bytes(span: &Span, names: &Texts<'_>) -> Vec<u8> {
    let mut message = Vec::with_capacity(160);
    bytes(1, &span.trace.0.to_be_bytes(), &mut message);
    bytes(2, &span.id.0.to_be_bytes(), &mut message);
    if let Some(parent) = span.parent {
        bytes(4, &parent.0.to_be_bytes(), &mut message);
    }
    bytes(5, names.text(span.operation).as_bytes(), &mut message);
    number(6, kind_number(span.kind).into(), &mut message);
    fixed64(7, span.start_ns as u64, &mut message);
    fixed64(8, (span.start_ns + span.duration_ns) as u64, &mut message);
    for (key, value) in names.attributes(span) {
        bytes(9, &attribute(key, &value), &mut message);
    }
    if super::error(span).is_some() {
        let mut status = Vec::new();
        number(3, 2, &mut status);
        bytes(15, &status, &mut message);
    }
    message
}

fn attribute(key: &str, value: &Value<'_>) -> Vec<u8> {
    let mut any = Vec::new();
    match value {
        Value::Text(text) => bytes(1, text.as_bytes(), &mut any),
        Value::Name(text) => bytes(1, text.as_bytes(), &mut any),
        Value::Number(value) => number(3, *value as u64, &mut any),
    }
    let mut message = Vec::new();
    bytes(1, key.as_bytes(), &mut message);
    bytes(2, &any, &mut message);
    message
}

fn bytes(field: u64, content: &[u8], message: &mut Vec<u8>) {
    encode_varint(field << 3 | 2, message);
    encode_varint(content.len() as u64, message);
    message.extend_from_slice(content);
}

fn number(field: u64, value: u64, message: &mut Vec<u8>) {
    encode_varint(field << 3, message);
    encode_varint(value, message);
}

fn fixed64(field: u64, value: u64, message: &mut Vec<u8>) {
    encode_varint(field << 3 | 1, message);
    message.extend_from_slice(&value.to_le_bytes());
}
