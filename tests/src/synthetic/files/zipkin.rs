//! Zipkin v2: one list of spans; microseconds; the callee's half of a call may share the caller's id.

use std::io::{self, Write};

use emac_trace::{Span, SpanKind};
use serde_json::{Map, Value, json};

use super::{GRPC_STATUS, Texts, attempt, error, is_grpc, kind_text};

pub(super) fn write(
    spans: impl Iterator<Item = Span>,
    names: &Texts<'_>,
    out: &mut impl Write,
) -> io::Result<u64> {
    let mut count = 0;
    write!(out, "[")?;
    for span in spans {
        write!(out, "{}{}", if count == 0 { "\n" } else { ",\n" }, span_json(&span, names))?;
        count += 1;
    }
    writeln!(out, "\n]")?;
    Ok(count)
}

fn span_json(span: &Span, names: &Texts<'_>) -> Value {
    let mut all = Map::new();
    let mut set = |key: &str, value: Value| drop(all.insert(key.into(), value));
    set("traceId", format!("{:032x}", span.trace.0).into());
    set("id", format!("{:016x}", span.id.0).into());
    if let Some(parent) = span.parent {
        set("parentId", format!("{:016x}", parent.0).into());
    }
    if span.kind != SpanKind::Internal {
        set("kind", kind_text(span.kind).to_uppercase().into());
    }
    set("name", names.text(span.operation).into());
    set("timestamp", span.start_ns.div_euclid(1_000).into());
    // Zero is not allowed; it means "less than one".
    set("duration", (span.duration_ns / 1_000).max(1).into());
    set("localEndpoint", json!({"serviceName": names.text(span.service)}));
    if !span.peer.is_none() {
        set("remoteEndpoint", json!({"serviceName": names.text(span.peer)}));
    }
    if span.shared {
        set("shared", true.into());
    }
    set("tags", tags(span, names));
    Value::Object(all)
}

/// Everything that is no field, as texts.
pub(super) fn tags(span: &Span, names: &Texts<'_>) -> Value {
    let mut tags = Map::new();
    let resource = names.resource((span.service, span.instance));
    resource.into_iter().skip(1).for_each(|(key, value)| drop(tags.insert(key.into(), value.into())));
    if span.status != 0 {
        let key = if is_grpc(span) { GRPC_STATUS } else { "http.status_code" };
        tags.insert(key.into(), span.status.to_string().into());
    }
    if let Some((key, number)) = attempt(span) {
        tags.insert(key.into(), number.to_string().into());
    }
    if let Some(why) = error(span) {
        tags.insert("error".into(), why.into());
        tags.insert("error.type".into(), why.into());
    }
    Value::Object(tags)
}
