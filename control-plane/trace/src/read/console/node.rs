//! JavaScript's `ConsoleSpanExporter`: `{ resource: { attributes: {...} }, traceId: '...', parentSpanContext: { spanId: '...' }, name, id, kind,
//! timestamp, duration, attributes, status: { code: 2 }, links }`, as Node prints objects. Resources and links that lie too deep for
//! Node are `[Object]`, and say nothing.

use super::{Printed, attributes, ids, linked, only};
use crate::SpanKind;
use crate::read::attributes::Attributes;
use crate::read::id::Form;
use crate::read::json::{Json, Stop, Value};
use crate::read::keys::Keys;
use crate::read::otlp::STATUS_ERROR;
use crate::read::otlp::json::read_links;

pub(super) fn span<'a>(json: &mut Json<'a>, keys: &Keys) -> Result<Printed<'a>, Stop> {
    json.read_literal();
    let mut printed = Printed::default();
    let Printed { found, resource } = &mut printed;
    let mut links = Vec::new();
    json.object(|json, key| {
        match key {
            "traceId" => found.set_trace(&json.value()?, Form::Hex),
            "id" => found.set_id(&json.value()?, Form::Hex),
            // Before version 2.
            "parentId" | "parentSpanId" => found.set_parent(&json.value()?, Form::Hex),
            "parentSpanContext" => {
                let (_, span) = ids(json, "traceId", "spanId")?;
                found.set_parent(&span, Form::Hex);
            }
            "name" => found.name = json.value()?.text().unwrap_or_default(),
            "kind" => found.kind = kind(&json.value()?),
            "timestamp" => found.start_ns = found.time("start", &json.value()?, nanoseconds),
            "duration" => found.duration_ns = found.time("duration", &json.value()?, nanoseconds),
            "attributes" => attributes(json, keys, &mut found.attributes)?,
            "status" => found.error = status(json)?,
            "links" => {
                links = read_links(json, |json| {
                    only(json, "context", |json| ids(json, "traceId", "spanId")).map(linked)
                })?
            }
            "resource" => read_resource(json, keys, resource)?,
            _ => json.skip()?,
        }
        Ok(())
    })?;
    found.set_links(&links);
    Ok(printed)
}

/// Nanoseconds of microseconds, which may have a fraction.
fn nanoseconds(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Int(number) => number.checked_mul(1_000),
        Value::Double(number) if number.is_finite() => Some((number * 1_000.0).round() as i128),
        _ => None,
    }
}

/// `SpanKind` of the API for JavaScript, whose numbers are not the protocol's.
fn kind(value: &Value<'_>) -> SpanKind {
    match value.integer() {
        Some(1) => SpanKind::Server,
        Some(2) => SpanKind::Client,
        Some(3) => SpanKind::Producer,
        Some(4) => SpanKind::Consumer,
        _ => SpanKind::Internal,
    }
}

fn status(json: &mut Json<'_>) -> Result<bool, Stop> {
    Ok(only(json, "code", Json::value)?.integer() == Some(STATUS_ERROR))
}

fn read_resource<'a>(json: &mut Json<'a>, keys: &Keys, found: &mut Attributes<'a>) -> Result<(), Stop> {
    only(json, "attributes", |json| attributes(json, keys, found))
}
