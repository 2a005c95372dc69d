//! OTLP as JSON (protobuf's mapping, with the protocol's exception for ids), and as Tempo writes it.
//!
//! Field names in `lowerCamelCase` or as in the .proto file, ids in hexadecimal or base64, enumerations as numbers or names, 64-bit
//! integers as text or numbers.

use super::super::ReadError;
use super::super::attributes::{self, Attributes};
use super::super::context::ReadContext;
use super::super::deferred::Deferred;
use super::super::error::Found;
use super::super::found::{RawSpan, Reporter};
use super::super::id::{self, Form};
use super::super::json::{Json, Stop, Value};
use super::super::keys::Keys;
use super::super::stream::Stream;
use super::{STATUS_ERROR, kind};
use crate::{SpanId, SpanKind, TraceId};

/// The one reporter of a resource's spans.
const RESOURCE: &str = "";

/// Reads one request and nothing else: an object, to the end of the source.
pub(in crate::read) fn request(
    stream: &mut Stream<'_>,
    context: &mut ReadContext<'_>,
) -> Result<(), ReadError> {
    let mut first = true;
    stream.parse(|json| json.expect(b'{', "expected an object with resourceSpans"))?;
    while let Some(key) = stream.key(&mut first)? {
        let at = stream.offset();
        match key.as_str() {
            "resourceSpans" | "resource_spans" if !resources(stream, context)? => {
                let what = "expected an array under resourceSpans";
                return Err(ReadError::Syntax { at, what, found: Found::default() });
            }
            "resourceSpans" | "resource_spans" => {}
            _ => stream.skip()?,
        }
    }
    match stream.peek_or_end()? {
        None => Ok(()),
        Some(_) => {
            let (at, found) = (stream.offset(), stream.head().found());
            Err(ReadError::Syntax { at, what: "expected nothing behind the request", found })
        }
    }
}

/// Reads the array of resources and their spans. `false`: it is something else, and was stepped over.
pub(in crate::read) fn resources(
    stream: &mut Stream<'_>,
    context: &mut ReadContext<'_>,
) -> Result<bool, ReadError> {
    stream.items(|stream| one_resource(stream, context))
}

/// Reads one `ResourceSpans`, which may stand without a request around it, as exporters that log write one a line.
pub(in crate::read) fn one_resource(
    stream: &mut Stream<'_>,
    context: &mut ReadContext<'_>,
) -> Result<(), ReadError> {
    let mut deferred = Deferred::default();
    let result = resource_spans(stream, &mut deferred, context);
    deferred.settle(context);
    result
}

fn resource_spans(
    stream: &mut Stream<'_>,
    deferred: &mut Deferred,
    context: &mut ReadContext<'_>,
) -> Result<(), ReadError> {
    if !stream.enter(b'{')? {
        context.malformed("an item of resourceSpans that is no object");
        return Ok(());
    }
    let mut first = true;
    while let Some(key) = stream.key(&mut first)? {
        match key.as_str() {
            "resource" => {
                let reporter = stream.parse(|json| resource(json, context))?;
                deferred.reporter(RESOURCE, reporter);
            }
            "scopeSpans"
            | "scope_spans"
            | "instrumentationLibrarySpans"
            | "instrumentation_library_spans" => {
                scopes(stream, deferred, context)?;
            }
            _ => stream.skip()?,
        }
    }
    Ok(())
}

fn scopes(
    stream: &mut Stream<'_>,
    deferred: &mut Deferred,
    context: &mut ReadContext<'_>,
) -> Result<(), ReadError> {
    let each = |stream: &mut Stream<'_>| {
        if !stream.enter(b'{')? {
            context.malformed("an item of scopeSpans that is no object");
            return Ok(());
        }
        let mut first = true;
        while let Some(key) = stream.key(&mut first)? {
            if key == "spans" { spans(stream, deferred, context)? } else { stream.skip()? }
        }
        Ok(())
    };
    stream.items(each).map(|_| ())
}

fn spans(
    stream: &mut Stream<'_>,
    deferred: &mut Deferred,
    context: &mut ReadContext<'_>,
) -> Result<(), ReadError> {
    let resource = deferred.place(RESOURCE);
    let each = |stream: &mut Stream<'_>| {
        stream.parse(|json| {
            match span(json, &context.keys)? {
                Some(found) => deferred.take_of(resource, &found, context),
                None => context.malformed("an item of spans that is no object"),
            }
            Ok(())
        })?;
        context.progress();
        Ok(())
    };
    stream.items(each).map(|_| ())
}

fn resource(json: &mut Json<'_>, context: &mut ReadContext<'_>) -> Result<Reporter, Stop> {
    let mut found = Attributes::default();
    json.object(|json, key| match key {
        "attributes" => attributes(json, &context.keys, &mut found),
        _ => json.skip(),
    })?;
    Ok(Reporter::new(&found, context))
}

/// `None`: it is no object.
fn span<'a>(json: &mut Json<'a>, keys: &Keys) -> Result<Option<RawSpan<'a>>, Stop> {
    let mut found = RawSpan::default();
    let (mut end_ns, mut links) = (None, Vec::new());
    let is_object = json.object(|json, key| {
        match key {
            "traceId" | "trace_id" => found.set_trace(&json.value()?, Form::HexOrBase64),
            "spanId" | "span_id" => found.set_id(&json.value()?, Form::HexOrBase64),
            "parentSpanId" | "parent_span_id" => found.set_parent(&json.value()?, Form::HexOrBase64),
            "name" => found.name = json.value()?.text().unwrap_or_default(),
            "kind" => found.kind = span_kind(&json.value()?),
            "startTimeUnixNano" | "start_time_unix_nano" => {
                found.start_ns = found.time("start", &json.value()?, |value| value.integer());
            }
            "endTimeUnixNano" | "end_time_unix_nano" => {
                end_ns = found.time("end", &json.value()?, |value| value.integer());
            }
            "links" => links = read_links(json, link)?,
            "attributes" => attributes(json, keys, &mut found.attributes)?,
            "status" => found.error = status(json)?,
            _ => json.skip()?,
        }
        Ok(())
    })?;
    found.error |= found.attributes.error.is_true();
    found.set_links(&links);
    found.duration_ns = end_ns.zip(found.start_ns).map(|(end, start)| end.saturating_sub(start));
    Ok(is_object.then_some(found))
}

/// Most links of a span that are looked at: the first one to another trace counts.
const LINKS_MAX: usize = 16;

/// An array of links, each read by `one`; those without both ids are left out.
pub(in crate::read) fn read_links<'a>(
    json: &mut Json<'a>,
    mut one: impl FnMut(&mut Json<'a>) -> Result<Option<(TraceId, SpanId)>, Stop>,
) -> Result<Vec<(TraceId, SpanId)>, Stop> {
    let mut links = Vec::new();
    json.array(|json| {
        if links.len() >= LINKS_MAX {
            return json.skip();
        }
        links.extend(one(json)?);
        Ok(())
    })?;
    Ok(links)
}

/// `{traceId, spanId}`.
fn link(json: &mut Json<'_>) -> Result<Option<(TraceId, SpanId)>, Stop> {
    let (mut trace, mut span) = (None, None);
    json.object(|json, key| {
        match key {
            "traceId" | "trace_id" => trace = id::trace_id(&json.value()?, Form::HexOrBase64),
            "spanId" | "span_id" => span = id::span_id(&json.value()?, Form::HexOrBase64),
            _ => json.skip()?,
        }
        Ok(())
    })?;
    Ok(trace.zip(span))
}

/// Reads one span that stands alone, without the resource that would name its service.
pub(in crate::read) fn lone_span(json: &mut Json<'_>, context: &mut ReadContext<'_>) -> Result<(), Stop> {
    match span(json, &context.keys)? {
        Some(found) => found.hand_on(Reporter::default(), context),
        None => context.malformed("a span that is no object"),
    }
    Ok(())
}

/// A kind by number or name.
pub(in crate::read) fn span_kind(value: &Value<'_>) -> SpanKind {
    match (value.integer(), value) {
        (Some(number), _) => kind(number),
        (None, Value::Text(text)) => attributes::kind(text).unwrap_or_default(),
        _ => SpanKind::Internal,
    }
}

fn status(json: &mut Json<'_>) -> Result<bool, Stop> {
    let mut error = false;
    json.object(|json, key| {
        if key != "code" {
            return json.skip();
        }
        let code = json.value()?;
        error = code.integer() == Some(STATUS_ERROR)
            || matches!(&code, Value::Text(text) if text == "STATUS_CODE_ERROR");
        Ok(())
    })?;
    Ok(error)
}

/// An array of `{key, value: {stringValue: ...}}`.
fn attributes<'a>(json: &mut Json<'a>, keys: &Keys, found: &mut Attributes<'a>) -> Result<(), Stop> {
    json.array(|json| {
        let (mut name, mut wanted, mut value) = (None, None, Value::Null);
        json.object(|json, field| match field {
            "key" => {
                name = json.value()?.text();
                wanted = name.as_deref().and_then(|name| keys.of(name.as_bytes()));
                Ok(())
            }
            "value" if name.is_some() && wanted.is_none() => json.skip(),
            "value" => any_value(json).map(|found| value = found),
            _ => json.skip(),
        })?;
        if let Some((name, key)) = name.zip(wanted) {
            found.set(key, name.as_bytes(), value);
        }
        Ok(())
    })
    .map(drop)
}

/// The scalar of an `AnyValue`, or the first of an array of them (header values are arrays).
fn any_value<'a>(json: &mut Json<'a>) -> Result<Value<'a>, Stop> {
    let mut found = Value::Null;
    json.object(|json, kind| {
        match kind {
            "stringValue" | "string_value" | "boolValue" | "bool_value" | "doubleValue" | "double_value" => {
                found = json.value()?;
            }
            "intValue" | "int_value" => {
                let value = json.value()?;
                found = value.integer().map_or(Value::Other, Value::Int);
            }
            "arrayValue" | "array_value" => found = first_of_array(json)?,
            _ => json.skip()?,
        }
        Ok(())
    })?;
    Ok(found)
}

/// One level only: what nests deeper is stepped over.
fn first_of_array<'a>(json: &mut Json<'a>) -> Result<Value<'a>, Stop> {
    let mut first = None;
    json.object(|json, key| {
        if key != "values" {
            return json.skip();
        }
        json.array(|json| {
            let mut text = None;
            json.object(|json, kind| match kind {
                "stringValue" | "string_value" | "intValue" | "int_value" => {
                    json.value().map(|value| text = Some(value))
                }
                _ => json.skip(),
            })?;
            first = first.take().or(text);
            Ok(())
        })
        .map(drop)
    })?;
    Ok(first.unwrap_or(Value::Other))
}
