//! Zipkin's JSON, version 2, as one flat array.

use std::io::{self, Write};

use super::{Spans, failed, kind_name, quoted};
use crate::Span;

/// Writes one array of spans. O(spans).
///
/// # Errors
/// Those of `out`.
pub fn zipkin(spans: &Spans<'_>, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"[")?;
    for (at, span) in spans.spans.iter().enumerate() {
        out.write_all(if at == 0 { b"" } else { b"," })?;
        write_span(spans, span, out)?;
    }
    out.write_all(b"]\n")
}

fn write_span(spans: &Spans<'_>, span: &Span, out: &mut impl Write) -> io::Result<()> {
    write!(out, "{{\"traceId\":\"{:032x}\",\"id\":\"{:016x}\"", span.trace.0, span.id.0)?;
    if let Some(parent) = span.parent {
        write!(out, ",\"parentId\":\"{:016x}\"", parent.0)?;
    }
    if let Some(kind) = kind_name(span.kind) {
        write!(out, ",\"kind\":\"{}\"", kind.to_ascii_uppercase())?;
    }
    let (start, duration) = (span.start_ns / 1_000, span.duration_ns / 1_000);
    write!(
        out,
        ",\"name\":{},\"timestamp\":{start},\"duration\":{duration}",
        quoted(spans.text(span.operation))
    )?;
    write!(out, ",\"localEndpoint\":{}", endpoint(spans.text(span.service)))?;
    if !span.peer.is_none() {
        write!(out, ",\"remoteEndpoint\":{}", endpoint(spans.text(span.peer)))?;
    }
    let shared = if span.shared { ",\"shared\":true" } else { "" };
    write!(out, ",\"tags\":{}{shared}}}", tags(spans, span))
}

fn endpoint(service: &str) -> String {
    format!("{{\"serviceName\":{}}}", quoted(service))
}

fn tags(spans: &Spans<'_>, span: &Span) -> String {
    let said = spans.attributes(span);
    let error = failed(span).then_some(("error", ""));
    let all = said.iter().map(|(key, value)| (*key, value.as_str()));
    let all = all.filter(|(key, _)| *key != "peer.service").chain(error);
    let all = all.chain(spans.reporter_attributes(span.service, span.instance));
    let tag = |(key, value)| format!("{}:{}", quoted(key), quoted(value));
    format!("{{{}}}", all.map(tag).collect::<Vec<_>>().join(","))
}
