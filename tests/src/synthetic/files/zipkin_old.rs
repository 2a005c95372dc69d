//! Zipkin v1: annotations for kinds, binary annotations for tags.

use std::io::{self, Write};

use emac_trace::{Span, SpanKind};
use serde_json::{Map, Value, json};

use super::{Texts, zipkin};

pub(super) fn write(
    spans: impl Iterator<Item = Span>,
    names: &Texts<'_>,
    out: &mut impl Write,
) -> io::Result<u64> {
    let all: Vec<Value> = spans.map(|span| span_json(&span, names)).collect();
    serde_json::to_writer(out, &all)?;
    Ok(all.len() as u64)
}

fn span_json(span: &Span, names: &Texts<'_>) -> Value {
    let (start, duration) = (span.start_ns.div_euclid(1_000), (span.duration_ns / 1_000).max(1));
    let own = json!({"serviceName": names.text(span.service)});
    let annotation = |at: i64, value: &str| json!({"timestamp": at, "value": value, "endpoint": own});
    let annotations = match span.kind {
        SpanKind::Client => vec![annotation(start, "cs"), annotation(start + duration, "cr")],
        SpanKind::Server => vec![annotation(start, "sr"), annotation(start + duration, "ss")],
        SpanKind::Producer => vec![annotation(start, "ms")],
        SpanKind::Consumer => vec![annotation(start, "mr")],
        SpanKind::Internal => Vec::new(),
    };
    let mut binary: Vec<Value> = zipkin::tags(span, names)
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| json!({"key": key, "value": value, "endpoint": own}))
        .collect();
    if span.kind == SpanKind::Internal {
        binary.push(json!({"key": "lc", "value": "", "endpoint": own}));
    }
    if !span.peer.is_none() {
        let peer = json!({"serviceName": names.text(span.peer)});
        let key = if span.kind == SpanKind::Client { "sa" } else { "ma" };
        binary.push(json!({"key": key, "value": true, "endpoint": peer}));
    }
    let mut all = Map::new();
    let mut set = |key: &str, value: Value| drop(all.insert(key.into(), value));
    set("traceId", format!("{:032x}", span.trace.0).into());
    set("id", format!("{:016x}", span.id.0).into());
    if let Some(parent) = span.parent {
        set("parentId", format!("{:016x}", parent.0).into());
    }
    set("name", names.text(span.operation).into());
    set("timestamp", start.into());
    set("duration", duration.into());
    set("annotations", annotations.into());
    set("binaryAnnotations", binary.into());
    Value::Object(all)
}
