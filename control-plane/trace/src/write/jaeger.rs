//! Jaeger's JSON, as its query service answers.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::{Spans, failed, kind_name, quoted};
use crate::{Span, Symbol, TraceId};

type Processes = BTreeMap<(Symbol, Symbol), usize>;

/// Writes one answer with all traces. O(spans · log spans).
///
/// # Errors
/// Those of `out`.
pub fn jaeger(spans: &Spans<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut traces = BTreeMap::<TraceId, Vec<&Span>>::new();
    for span in spans.spans {
        traces.entry(span.trace).or_default().push(span);
    }
    out.write_all(b"{\"data\":[")?;
    for (at, (id, group)) in traces.into_iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(out, "{comma}{{\"traceID\":\"{:x}\",\"spans\":[", id.0)?;
        let mut processes = Processes::new();
        for (at, span) in group.into_iter().enumerate() {
            let next = processes.len() + 1;
            let process = *processes.entry((span.service, span.instance)).or_insert(next);
            out.write_all(if at == 0 { b"" } else { b"," })?;
            write_span(spans, span, process, out)?;
        }
        write!(out, "],\"processes\":{},\"warnings\":null}}", write_processes(spans, &processes))?;
    }
    out.write_all(b"],\"total\":0,\"limit\":0,\"offset\":0,\"errors\":null}\n")
}

fn write_span(spans: &Spans<'_>, span: &Span, process: usize, out: &mut impl Write) -> io::Result<()> {
    write!(out, "{{\"traceID\":\"{0:x}\",\"spanID\":\"{1:x}\"", span.trace.0, span.id.0)?;
    write!(out, ",\"operationName\":{},\"references\":[", quoted(spans.text(span.operation)))?;
    if let Some(parent) = span.parent {
        let trace = span.trace.0;
        write!(out, "{{\"refType\":\"CHILD_OF\",\"traceID\":\"{trace:x}\",\"spanID\":\"{:x}\"}}", parent.0)?;
    }
    let (start, duration) = (span.start_ns / 1_000, span.duration_ns / 1_000);
    write!(out, "],\"startTime\":{start},\"duration\":{duration},\"tags\":{}", span_tags(spans, span))?;
    write!(out, ",\"logs\":[],\"processID\":\"p{process}\",\"warnings\":null}}")
}

fn span_tags(spans: &Spans<'_>, span: &Span) -> String {
    let said = spans.attributes(span);
    let kind = kind_name(span.kind).map(|kind| ("span.kind", kind));
    let mut all = tags(kind.into_iter().chain(said.iter().map(|(key, value)| (*key, value.as_str()))));
    if failed(span) {
        all.push("{\"key\":\"error\",\"type\":\"bool\",\"value\":true}".to_owned());
    }
    format!("[{}]", all.join(","))
}

fn write_processes(spans: &Spans<'_>, processes: &Processes) -> String {
    let process = |(&(service, instance), number): (&(Symbol, Symbol), &usize)| {
        let name = quoted(spans.text(service));
        let tags = tags(spans.reporter_attributes(service, instance).into_iter()).join(",");
        format!("\"p{number}\":{{\"serviceName\":{name},\"tags\":[{tags}]}}")
    };
    format!("{{{}}}", processes.iter().map(process).collect::<Vec<_>>().join(","))
}

fn tags<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let tag =
        |(key, value)| format!("{{\"key\":{},\"type\":\"string\",\"value\":{}}}", quoted(key), quoted(value));
    all.map(tag).collect()
}
