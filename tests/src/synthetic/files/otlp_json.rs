//! OTLP in protobuf's JSON: ids as hexadecimal text, 64-bit numbers as decimal text.

use std::io::{self, Write};

use emac_trace::{Span, Symbol};

use super::{Texts, Value, batches, kind_number, quoted};

pub(super) fn write(
    spans: impl Iterator<Item = Span>,
    names: &Texts<'_>,
    out: &mut impl Write,
) -> io::Result<u64> {
    write!(out, "{{\"resourceSpans\":[")?;
    let mut first = true;
    let count = batches(spans, |batch| {
        for (process, spans) in batch {
            write!(out, "{}", if first { "\n" } else { ",\n" })?;
            first = false;
            write_process(*process, spans, names, out)?;
        }
        Ok(())
    })?;
    writeln!(out, "\n]}}")?;
    Ok(count)
}

fn write_process(
    process: (Symbol, Symbol),
    spans: &[&Span],
    names: &Texts<'_>,
    out: &mut impl Write,
) -> io::Result<()> {
    let attributes: Vec<String> =
        names.resource(process).iter().map(|(key, value)| attribute(key, &Value::Name(value))).collect();
    let resource = attributes.join(",");
    let spans: Vec<String> = spans.iter().map(|span| span_text(span, names)).collect();
    write!(
        out,
        "{{\"resource\":{{\"attributes\":[{resource}]}},\"scopeSpans\":[{{\"scope\":{{}},\"spans\":[{}]}}]}}",
        spans.join(",")
    )
}

fn attribute(key: &str, value: &Value<'_>) -> String {
    let value = match value {
        Value::Text(text) => format!("{{\"stringValue\":{}}}", quoted(text)),
        Value::Name(text) => format!("{{\"stringValue\":{}}}", quoted(text)),
        Value::Number(number) => format!("{{\"intValue\":\"{number}\"}}"),
    };
    format!("{{\"key\":{},\"value\":{value}}}", quoted(key))
}

fn span_text(span: &Span, names: &Texts<'_>) -> String {
    let all = names.attributes(span);
    let parent =
        span.parent.map_or_else(String::new, |parent| format!("\"parentSpanId\":\"{:016x}\",", parent.0));
    let attributes: Vec<String> = all.iter().map(|(key, value)| attribute(key, value)).collect();
    let status = if super::error(span).is_some() { "{\"code\":2}" } else { "{}" };
    format!(
        "{{\"traceId\":\"{:032x}\",\"spanId\":\"{:016x}\",{parent}\"name\":{},\"kind\":{},\"startTimeUnixNano\":\"{}\",\"endTimeUnixNano\":\"{}\",\"attributes\":[{}],\"status\":{status}}}",
        span.trace.0,
        span.id.0,
        quoted(names.text(span.operation)),
        kind_number(span.kind),
        span.start_ns,
        span.start_ns + span.duration_ns,
        attributes.join(",")
    )
}
