//! OTLP as JSON, one request.

use std::io::{self, Write};

use super::{Spans, failed, kind_number, quoted};
use crate::{Span, Symbol};

/// Writes one request on one line, with a line feed at its end. O(spans · log services).
///
/// # Errors
/// Those of `out`.
pub fn otlp_json(spans: &Spans<'_>, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"{\"resourceSpans\":[")?;
    for (at, ((service, instance), group)) in spans.by_reporter().into_iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(out, "{comma}{{\"resource\":{{\"attributes\":{}}}", resource(spans, service, instance))?;
        out.write_all(b",\"scopeSpans\":[{\"spans\":[")?;
        for (at, span) in group.into_iter().enumerate() {
            out.write_all(if at == 0 { b"" } else { b"," })?;
            write_span(spans, span, out)?;
        }
        out.write_all(b"]}]}")?;
    }
    out.write_all(b"]}\n")
}

fn resource(spans: &Spans<'_>, service: Symbol, instance: Symbol) -> String {
    let name = std::iter::once(("service.name", spans.text(service)));
    attributes(name.chain(spans.reporter_attributes(service, instance)))
}

fn write_span(spans: &Spans<'_>, span: &Span, out: &mut impl Write) -> io::Result<()> {
    write!(out, "{{\"traceId\":\"{:032x}\",\"spanId\":\"{:016x}\"", span.trace.0, span.id.0)?;
    if let Some(parent) = span.parent {
        write!(out, ",\"parentSpanId\":\"{:016x}\"", parent.0)?;
    }
    let (start, end) = (span.start_ns, span.start_ns.saturating_add(span.duration_ns));
    write!(out, ",\"name\":{},\"kind\":{}", quoted(spans.text(span.operation)), kind_number(span.kind))?;
    write!(out, ",\"startTimeUnixNano\":\"{start}\",\"endTimeUnixNano\":\"{end}\"")?;
    let said = spans.attributes(span);
    write!(out, ",\"attributes\":{}", attributes(said.iter().map(|(key, value)| (*key, value.as_str()))))?;
    write!(out, ",\"status\":{}}}", if failed(span) { "{\"code\":2}" } else { "{}" })
}

fn attributes<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pair =
        |(key, value)| format!("{{\"key\":{},\"value\":{{\"stringValue\":{}}}}}", quoted(key), quoted(value));
    format!("[{}]", all.map(pair).collect::<Vec<_>>().join(","))
}
