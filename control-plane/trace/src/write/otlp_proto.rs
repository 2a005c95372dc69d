//! OTLP as protobuf, one `TracesData`.

use std::io::{self, Write};

use prost::encoding::{WireType, encode_key, encode_varint};

use super::{Spans, failed, kind_number};
use crate::{Span, Symbol};

/// Writes one message. Messages one after the other are one message, so this may be called again on the same `out`. One service
/// instance's spans are in memory at a time. O(spans · log services).
///
/// # Errors
/// Those of `out`.
pub fn otlp_proto(spans: &Spans<'_>, out: &mut impl Write) -> io::Result<()> {
    for ((service, instance), group) in spans.by_reporter() {
        let mut scope_spans = Vec::new();
        group.into_iter().for_each(|span| bytes(2, &message(spans, span), &mut scope_spans));
        let mut resource_spans = Vec::new();
        bytes(1, &resource(spans, service, instance), &mut resource_spans);
        bytes(2, &scope_spans, &mut resource_spans);
        let mut field = Vec::new();
        bytes(1, &resource_spans, &mut field);
        out.write_all(&field)?;
    }
    Ok(())
}

fn resource(spans: &Spans<'_>, service: Symbol, instance: Symbol) -> Vec<u8> {
    let mut out = Vec::new();
    attribute(1, "service.name", spans.text(service), &mut out);
    for (key, value) in spans.reporter_attributes(service, instance) {
        attribute(1, key, value, &mut out);
    }
    out
}

fn message(spans: &Spans<'_>, span: &Span) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(1, &span.trace.0.to_be_bytes(), &mut out);
    bytes(2, &span.id.0.to_be_bytes(), &mut out);
    if let Some(parent) = span.parent {
        bytes(4, &parent.0.to_be_bytes(), &mut out);
    }
    bytes(5, spans.text(span.operation).as_bytes(), &mut out);
    number(6, u64::from(kind_number(span.kind)), &mut out);
    fixed(7, span.start_ns, &mut out);
    fixed(8, span.start_ns.saturating_add(span.duration_ns), &mut out);
    for (key, value) in spans.attributes(span) {
        attribute(9, key, &value, &mut out);
    }
    if failed(span) {
        let mut status = Vec::new();
        number(3, 2, &mut status);
        bytes(15, &status, &mut out);
    }
    out
}

fn attribute(field: u32, key: &str, value: &str, out: &mut Vec<u8>) {
    let (mut any, mut pair) = (Vec::new(), Vec::new());
    bytes(1, value.as_bytes(), &mut any);
    bytes(1, key.as_bytes(), &mut pair);
    bytes(2, &any, &mut pair);
    bytes(field, &pair, out);
}

fn bytes(field: u32, value: &[u8], out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

fn number(field: u32, value: u64, out: &mut Vec<u8>) {
    encode_key(field, WireType::Varint, out);
    encode_varint(value, out);
}

fn fixed(field: u32, value: i64, out: &mut Vec<u8>) {
    encode_key(field, WireType::SixtyFourBit, out);
    out.extend_from_slice(&value.to_le_bytes());
}
