//! What console exporters of OpenTelemetry print: a span after the other, each with its resource.

use std::io::{self, Write};

use emac_trace::{Span, SpanKind};
use serde_json::{Map, Value as Json, json};

use super::{Texts, Value, error, kind_number, kind_text};

pub(super) fn write(
    spans: impl Iterator<Item = Span>,
    names: &Texts<'_>,
    one: fn(&Span, &Texts<'_>) -> String,
    out: &mut impl Write,
) -> io::Result<u64> {
    let mut count = 0;
    for span in spans {
        writeln!(out, "{}", one(&span, names))?;
        count += 1;
    }
    Ok(count)
}

type Attributes = Vec<(String, Json)>;

/// Attributes of the span and of its resource.
fn attributes(span: &Span, names: &Texts<'_>) -> (Attributes, Attributes) {
    let value = |value: &Value<'_>| match value {
        Value::Text(text) => Json::from(text.as_str()),
        Value::Name(text) => Json::from(*text),
        Value::Number(number) => Json::from(*number),
    };
    let own = names.attributes(span).iter().map(|(key, found)| ((*key).to_owned(), value(found))).collect();
    let resource = names.resource((span.service, span.instance));
    (own, resource.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect())
}

/// RFC 3339, with the zone that Go's clocks and Python's have.
fn time(unix_ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(unix_ns.into()).expect("a time that a calendar has").to_string()
}

pub(super) fn go(span: &Span, names: &Texts<'_>) -> String {
    let list = |all: Attributes| -> Vec<Json> {
        let of = |value: &Json| if value.is_string() { "STRING" } else { "INT64" };
        all.into_iter()
            .map(|(key, value)| json!({"Key": key, "Value": {"Type": of(&value), "Value": value}}))
            .collect()
    };
    let context = |span_id: u64| json!({"TraceID": format!("{:032x}", span.trace.0), "SpanID": format!("{span_id:016x}"), "TraceFlags": "01", "TraceState": "", "Remote": false});
    let (own, resource) = attributes(span, names);
    json!({
        "Name": names.text(span.operation),
        "SpanContext": context(span.id.0),
        "Parent": context(span.parent.map_or(0, |parent| parent.0)),
        "SpanKind": kind_number(span.kind),
        "StartTime": time(span.start_ns),
        "EndTime": time(span.start_ns + span.duration_ns),
        "Attributes": list(own),
        "Events": Json::Null,
        "Links": Json::Null,
        "Status": {"Code": if error(span).is_some() { "Error" } else { "Unset" }, "Description": ""},
        "ChildSpanCount": 0,
        "Resource": list(resource),
        "InstrumentationScope": {"Name": "t", "Attributes": Json::Null},
    })
    .to_string()
}

pub(super) fn python(span: &Span, names: &Texts<'_>) -> String {
    let (own, resource) = attributes(span, names);
    let map = |all: Attributes| all.into_iter().collect::<Map<String, Json>>();
    let span = json!({
        "name": names.text(span.operation),
        "context": {"trace_id": format!("0x{:032x}", span.trace.0), "span_id": format!("0x{:016x}", span.id.0), "trace_state": "[]"},
        "kind": format!("SpanKind.{}", kind_text(span.kind).to_uppercase()),
        "parent_id": span.parent.map(|parent| format!("0x{:016x}", parent.0)),
        "start_time": time(span.start_ns),
        "end_time": time(span.start_ns + span.duration_ns),
        "status": {"status_code": if error(span).is_some() { "ERROR" } else { "UNSET" }},
        "attributes": map(own),
        "events": [],
        "links": [],
        "resource": {"attributes": map(resource), "schema_url": ""},
    });
    serde_json::to_string_pretty(&span).expect("JSON")
}

pub(super) fn node(span: &Span, names: &Texts<'_>) -> String {
    let (own, resource) = attributes(span, names);
    let object = |all: Attributes| {
        let fields: Vec<String> = all
            .iter()
            .map(|(key, value)| format!("{}: {}", literal(&key.as_str().into()), literal(value)))
            .collect();
        format!("{{ {} }}", fields.join(", "))
    };
    let kind = match span.kind {
        SpanKind::Internal => 0,
        kind => kind_number(kind) - 1,
    };
    let parent = span.parent.map_or_else(
        || "undefined".to_owned(),
        |parent| {
            format!(
                "{{\n    traceId: '{:032x}',\n    spanId: '{:016x}',\n    traceFlags: 1\n  }}",
                span.trace.0, parent.0
            )
        },
    );
    format!(
        "{{\n  resource: {{\n    attributes: {}\n  }},\n  traceId: '{:032x}',\n  parentSpanContext: {parent},\n  traceState: undefined,\n  name: {},\n  id: '{:016x}',\n  kind: {kind},\n  timestamp: {},\n  duration: {},\n  attributes: {},\n  status: {{ code: {} }},\n  events: [],\n  links: []\n}}",
        object(resource),
        span.trace.0,
        literal(&names.text(span.operation).into()),
        span.id.0,
        micros(span.start_ns),
        micros(span.duration_ns),
        object(own),
        if error(span).is_some() { 2 } else { 0 },
    )
}

/// Microseconds with a fraction where there is one.
fn micros(ns: i64) -> String {
    let (whole, rest) = (ns.div_euclid(1_000), ns.rem_euclid(1_000));
    if rest == 0 { whole.to_string() } else { format!("{whole}.{rest:03}") }
}

/// A text as Node prints it, a long one in two parts; anything else as JSON.
fn literal(value: &Json) -> String {
    let Some(text) = value.as_str() else { return value.to_string() };
    let quoted =
        |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n"));
    match text.split_once('\n') {
        Some((line, rest)) => format!("{} +\n      {}", quoted(&format!("{line}\n")), quoted(rest)),
        None => quoted(text),
    }
}
