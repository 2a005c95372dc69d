//! Zipkin's JSON, version 2: a flat array of spans, or an array of such arrays, each a trace.
//!
//! Times in microseconds, both optional (the half that did not begin a shared span leaves them to the other); a span without a kind is local work; `error` marks a failure by being there, even when empty. An endpoint
//! without a service's name is known by its tags, or else by whom it stands for (an edge proxy's cluster), or else unknown.

use std::borrow::Cow;

use super::attributes::{self, Attributes};
use super::context::ReadContext;
use super::found::{RawSpan, Reporter};
use super::id::{self, Form};
use super::jaeger::microseconds;
use super::json::{Json, Stop, Value};
use super::keys::Keys;
use super::otlp::json::parent;

/// Whether an object that begins with this key is a span.
pub(super) fn begins_span(key: &str) -> bool {
    let keys = ["traceId", "id", "parentId", "kind", "name", "timestamp", "duration", "debug", "shared"];
    keys.contains(&key) || matches!(key, "localEndpoint" | "remoteEndpoint" | "annotations" | "tags")
}

/// Reads one span.
pub(super) fn span(json: &mut Json<'_>, context: &mut ReadContext<'_>) -> Result<(), Stop> {
    match parse(json, &context.keys)? {
        Some((found, local)) => {
            let reporter = Reporter::new(&local, context);
            found.hand_on(reporter, context);
        }
        None => context.malformed("an item that is no object"),
    }
    Ok(())
}

/// The span and its local endpoint. `None`: it is no object.
fn parse<'a>(json: &mut Json<'a>, keys: &Keys) -> Result<Option<(RawSpan<'a>, Attributes<'a>)>, Stop> {
    let (mut found, mut local) =
        (RawSpan { times_optional: true, ..RawSpan::default() }, Attributes::default());
    let mut remote = Attributes::default();
    let is_object = json.object(|json, key| {
        match key {
            "traceId" => found.trace = id::trace_id(&json.value()?, Form::Hex),
            "id" => found.id = id::span_id(&json.value()?, Form::Hex),
            "parentId" => found.parent = parent(&json.value()?, Form::Hex),
            "kind" => {
                found.kind = json.value()?.text().and_then(|kind| attributes::kind(&kind)).unwrap_or_default()
            }
            "name" => found.name = json.value()?.text().unwrap_or_default(),
            "timestamp" => found.start_ns = microseconds(&json.value()?),
            "duration" => found.duration_ns = microseconds(&json.value()?),
            "localEndpoint" => local = endpoint(json)?,
            "remoteEndpoint" => remote = endpoint(json)?,
            "tags" => tags(json, keys, &mut found.attributes)?,
            "shared" => found.shared = json.value()?.is_true(),
            _ => json.skip()?,
        }
        Ok(())
    })?;
    found.error = found.attributes.error != Value::Null;
    if !remote.service.is_empty() {
        found.attributes.peer_service = remote.service;
    }
    if found.attributes.socket.is_empty() {
        found.attributes.socket = remote.ip;
    }
    Ok(is_object.then_some((found, local)))
}

fn endpoint<'a>(json: &mut Json<'a>) -> Result<Attributes<'a>, Stop> {
    let mut found = Attributes::default();
    json.object(|json, key| {
        match key {
            "serviceName" => found.service = json.value()?.text().unwrap_or_default(),
            "ipv4" | "ipv6" => found.ip = json.value()?.text().unwrap_or_default(),
            _ => json.skip()?,
        }
        Ok(())
    })?;
    Ok(found)
}

/// An object of texts.
fn tags<'a>(json: &mut Json<'a>, keys: &Keys, found: &mut Attributes<'a>) -> Result<(), Stop> {
    json.object(|json, name| {
        let value = json.value()?;
        if let Some(key) = keys.of(name.as_bytes()) {
            // A tag that is there says something, whatever its value.
            let value = if value == Value::Null { Value::Text(Cow::Borrowed("")) } else { value };
            found.set(key, name.as_bytes(), value);
        }
        Ok(())
    })
    .map(drop)
}
