//! Zipkin's JSON: a flat array of spans, or an array of such arrays, each a trace; one span a line, too.
//!
//! Times in microseconds, both optional (the half that did not begin a shared span leaves them to the other); a span without a kind is local work;
//! `error` marks a failure by being there, even when empty. An endpoint without a service's name is known by its tags, or else by whom it
//! stands for (an edge proxy's cluster), or else unknown. What version 1 says otherwise is told in [`old`].

mod old;

use std::borrow::Cow;

use super::attributes::{self, Attributes};
use super::context::ReadContext;
use super::found::{RawSpan, Reporter};
use super::id::Form;
use super::jaeger::microseconds;
use super::json::{Json, Stop, Value};
use super::keys::Keys;
use old::Old;

/// Reads one span.
pub(super) fn span(json: &mut Json<'_>, context: &mut ReadContext<'_>) -> Result<(), Stop> {
    let Some(parsed) = parse(json, &context.keys)? else {
        context.malformed("an item that is no object");
        return Ok(());
    };
    if parsed.local.is_empty() && parsed.old.says_anything() {
        for (half, endpoint) in parsed.old.halves(&parsed.found, &context.keys) {
            let reporter = Reporter::new(&endpoint.attributes(), context);
            half.hand_on(reporter, context);
        }
        return Ok(());
    }
    let reporter = Reporter::new(&parsed.local.attributes(), context);
    parsed.found.hand_on(reporter, context);
    Ok(())
}

/// A span as it is written.
struct Parsed<'a> {
    found: RawSpan<'a>,
    local: Endpoint<'a>,
    old: Old<'a>,
}

/// `None`: it is no object.
fn parse<'a>(json: &mut Json<'a>, keys: &Keys) -> Result<Option<Parsed<'a>>, Stop> {
    let mut found = RawSpan { times_optional: true, ..RawSpan::default() };
    let (mut local, mut remote, mut old) = (Endpoint::default(), Endpoint::default(), Old::default());
    let is_object = json.object(|json, key| {
        match key {
            "traceId" => found.set_trace(&json.value()?, Form::Hex),
            "id" => found.set_id(&json.value()?, Form::Hex),
            "parentId" => found.set_parent(&json.value()?, Form::Hex),
            "kind" => {
                found.kind = json.value()?.text().and_then(|kind| attributes::kind(&kind)).unwrap_or_default()
            }
            "name" => found.name = json.value()?.text().unwrap_or_default(),
            "timestamp" => found.start_ns = found.time("timestamp", &json.value()?, microseconds),
            "duration" => found.duration_ns = found.time("duration", &json.value()?, microseconds),
            "localEndpoint" => local = endpoint(json)?,
            "remoteEndpoint" => remote = endpoint(json)?,
            "tags" => tags(json, keys, &mut found.attributes)?,
            "shared" => found.shared = json.value()?.is_true(),
            "annotations" => old.annotations(json)?,
            "binaryAnnotations" => old.binary_annotations(json)?,
            _ => json.skip()?,
        }
        Ok(())
    })?;
    found.error = found.attributes.error != Value::Null;
    remote.name_peer(&mut found.attributes);
    Ok(is_object.then_some(Parsed { found, local, old }))
}

/// Who reports, or who is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Endpoint<'a> {
    service: Cow<'a, str>,
    ip: Cow<'a, str>,
}

impl<'a> Endpoint<'a> {
    fn is_empty(&self) -> bool {
        self.service.is_empty() && self.ip.is_empty()
    }

    /// As the resource of a reporter.
    fn attributes(&self) -> Attributes<'a> {
        let mut attributes = Attributes::of_service(self.service.clone());
        attributes.ip = self.ip.clone();
        attributes
    }

    /// Says that it is who is called; what tags say goes first.
    fn name_peer(self, attributes: &mut Attributes<'a>) {
        if !self.service.is_empty() {
            attributes.peer_service = self.service;
        }
        if attributes.socket.is_empty() {
            attributes.socket = self.ip;
        }
    }
}

fn endpoint<'a>(json: &mut Json<'a>) -> Result<Endpoint<'a>, Stop> {
    let mut found = Endpoint::default();
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
            found.set(key, name.as_bytes(), telling(value));
        }
        Ok(())
    })
    .map(drop)
}

/// A tag that is there says something, whatever its value.
fn telling(value: Value<'_>) -> Value<'_> {
    if value == Value::Null { Value::Text(Cow::Borrowed("")) } else { value }
}
