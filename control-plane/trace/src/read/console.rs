//! What the console exporters of OpenTelemetry's SDKs print: one span after the other, each with its resource.
//!
//! | SDK | form |
//! |---|---|
//! | [Go](go) (`stdouttrace`) | JSON, fields in `UpperCamelCase`, times in RFC 3339 |
//! | [Python](python) (`ConsoleSpanExporter`) | indented JSON, ids with `0x`, times in RFC 3339 |
//! | [JavaScript](node) (`ConsoleSpanExporter`) | literals of JavaScript, times in microseconds |
//!
//! Java's logging exporter prints no times and no parents, so that nothing can be read from it; its OTLP twin prints OTLP.

mod go;
mod node;
mod python;

use std::borrow::Cow;

use super::attributes::Attributes;
use super::context::ReadContext;
use super::found::{RawSpan, Reporter};
use super::id::{self, Form};
use super::json::{Json, Stop, Value};
use super::keys::Keys;
use crate::{SpanId, TraceId};

/// Whose console exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sdk {
    Go,
    Python,
    Node,
}

/// A span and what its resource says.
#[derive(Default)]
struct Printed<'a> {
    found: RawSpan<'a>,
    resource: Attributes<'a>,
}

/// Reads one span.
pub(super) fn span(json: &mut Json<'_>, sdk: Sdk, context: &mut ReadContext<'_>) -> Result<(), Stop> {
    let mut printed = match sdk {
        Sdk::Go => go::span(json, &context.keys)?,
        Sdk::Python => python::span(json, &context.keys)?,
        Sdk::Node => node::span(json, &context.keys)?,
    };
    printed.found.error |= printed.found.attributes.error.is_true();
    let reporter = Reporter::new(&printed.resource, context);
    printed.found.hand_on(reporter, context);
    Ok(())
}

/// An object of attributes: scalars, or arrays whose first item counts.
pub(super) fn attributes<'a>(
    json: &mut Json<'a>,
    keys: &Keys,
    found: &mut Attributes<'a>,
) -> Result<(), Stop> {
    json.object(|json, name| match keys.of(name.as_bytes()) {
        Some(key) => scalar(json).map(|value| found.set(key, name.as_bytes(), value)),
        None => json.skip(),
    })
    .map(drop)
}

/// A scalar, or the first of an array of them.
fn scalar<'a>(json: &mut Json<'a>) -> Result<Value<'a>, Stop> {
    if json.peek()? != b'[' {
        return json.value();
    }
    let mut first = None;
    json.array(|json| {
        let value = json.value()?;
        first.get_or_insert(value);
        Ok(())
    })?;
    Ok(first.unwrap_or_default())
}

/// Nanoseconds since 1970 of a time in RFC 3339.
fn unix_ns(value: &Value<'_>) -> Option<i128> {
    let Value::Text(text) = value else { return None };
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_nanosecond)
}

/// Reads one field of an object and steps over the others; its default when it is not there.
fn only<'a, T: Default>(
    json: &mut Json<'a>,
    name: &str,
    mut read: impl FnMut(&mut Json<'a>) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let mut found = T::default();
    json.object(|json, key| {
        if key != name {
            return json.skip();
        }
        found = read(json)?;
        Ok(())
    })?;
    Ok(found)
}

/// Trace and span id of a span context, by the names of these fields; `0x` before them is left out.
fn ids<'a>(json: &mut Json<'a>, trace: &str, span: &str) -> Result<(Value<'a>, Value<'a>), Stop> {
    let mut found = (Value::Null, Value::Null);
    json.object(|json, key| {
        match key {
            _ if key == trace => found.0 = bare(json.value()?),
            _ if key == span => found.1 = bare(json.value()?),
            _ => json.skip()?,
        }
        Ok(())
    })?;
    Ok(found)
}

/// An id without its `0x`.
fn bare(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Text(Cow::Borrowed(text)) => {
            Value::Text(Cow::Borrowed(text.strip_prefix("0x").unwrap_or(text)))
        }
        value => value,
    }
}

/// Where a link leads, when both ids are there.
fn linked((trace, span): (Value<'_>, Value<'_>)) -> Option<(TraceId, SpanId)> {
    id::trace_id(&trace, Form::Hex).zip(id::span_id(&span, Form::Hex))
}
