//! Jaeger's JSON: answers of its query service and exports of its UI.
//!
//! `{"data": [{"traceID", "spans": [...], "processes": {...}}]}`, times in microseconds, ids in hexadecimal that may lack leading zeros.
//! An export of the UI nests a copy of the parent into each reference, up to the root; only the reference's own ids are looked at.
//! The parent is the first `CHILD_OF` within the trace, or else the first `FOLLOWS_FROM`; that a parent does not wait for what
//! follows from it is left out.

use std::borrow::Cow;

use super::ReadError;
use super::attributes::Attributes;
use super::context::ReadContext;
use super::deferred::Deferred;
use super::found::{Parent, RawSpan, Reporter};
use super::id::{self, Form};
use super::json::{Json, Stop, Value};
use super::keys::Keys;
use super::stream::Stream;
use crate::{SpanId, TraceId};

/// Reads the array under `data`. `false`: it is something else, and was stepped over.
pub(super) fn traces(stream: &mut Stream<'_>, context: &mut ReadContext<'_>) -> Result<bool, ReadError> {
    stream.items(|stream| {
        let mut trace = Trace::default();
        let result = one(stream, &mut trace, context);
        trace.finish(context);
        if !result? {
            context.malformed("an item of data without spans");
        }
        Ok(())
    })
}

/// `false`: it has no spans.
fn one(stream: &mut Stream<'_>, trace: &mut Trace, context: &mut ReadContext<'_>) -> Result<bool, ReadError> {
    let (mut first, mut any) = (true, false);
    if !stream.enter(b'{')? {
        return Ok(false);
    }
    while let Some(key) = stream.key(&mut first)? {
        any |= key == "spans";
        match key.as_str() {
            "spans" => trace.spans(stream, context)?,
            "processes" => trace.processes(stream, context)?,
            _ => stream.skip()?,
        }
    }
    Ok(any)
}

/// One trace: its spans wait for its processes.
#[derive(Default)]
pub(super) struct Trace {
    deferred: Deferred,
}

impl Trace {
    /// Hands on what still waits.
    pub(super) fn finish(&mut self, context: &mut ReadContext<'_>) {
        self.deferred.settle(context);
    }

    /// Reads one span that bears its process, as Jaeger stores them.
    pub(super) fn lone_span(
        &mut self,
        json: &mut Json<'_>,
        context: &mut ReadContext<'_>,
    ) -> Result<(), Stop> {
        match span(json, &context.keys)? {
            Some(span) => self.take(span, context),
            None => context.malformed("a span that is no object"),
        }
        Ok(())
    }

    /// Reads the array under `spans`.
    pub(super) fn spans(
        &mut self,
        stream: &mut Stream<'_>,
        context: &mut ReadContext<'_>,
    ) -> Result<(), ReadError> {
        let each = |stream: &mut Stream<'_>| {
            stream.parse(|json| {
                match span(json, &context.keys)? {
                    Some(span) => self.take(span, context),
                    None => context.malformed("an item of spans that is no object"),
                }
                Ok(())
            })?;
            context.progress();
            Ok(())
        };
        stream.items(each).map(|_| ())
    }

    /// Takes a span; an inlined process makes its reporter known.
    fn take(&mut self, span: JaegerSpan<'_>, context: &mut ReadContext<'_>) {
        let inlined = span.process.as_ref().map_or("", |process| &process.service);
        let name = if span.process_id.is_empty() { inlined } else { &span.process_id };
        if let Some(process) = span.process.as_ref().filter(|_| !self.deferred.knows(name)) {
            self.deferred.reporter(name, Reporter::new(process, context));
        }
        self.deferred.take(name, &span.found, context);
    }

    /// Reads the object under `processes`.
    pub(super) fn processes(
        &mut self,
        stream: &mut Stream<'_>,
        context: &mut ReadContext<'_>,
    ) -> Result<(), ReadError> {
        let mut first = true;
        if !stream.enter(b'{')? {
            return Ok(());
        }
        while let Some(name) = stream.key(&mut first)? {
            let reporter = stream.parse(|json| {
                let found = process(json, &context.keys)?;
                Ok(Reporter::new(&found, context))
            })?;
            self.deferred.reporter(&name, reporter);
        }
        Ok(())
    }
}

struct JaegerSpan<'a> {
    found: RawSpan<'a>,
    process_id: Cow<'a, str>,
    process: Option<Attributes<'a>>,
}

/// `None`: it is no object.
fn span<'a>(json: &mut Json<'a>, keys: &Keys) -> Result<Option<JaegerSpan<'a>>, Stop> {
    let mut span = JaegerSpan { found: RawSpan::default(), process_id: Cow::Borrowed(""), process: None };
    let mut references = References::default();
    let is_object = json.object(|json, key| {
        let found = &mut span.found;
        match key {
            "traceID" | "traceId" => found.set_trace(&json.value()?, Form::Hex),
            "spanID" | "spanId" => found.set_id(&json.value()?, Form::Hex),
            "parentSpanID" | "parentSpanId" => {
                found.set_parent(&json.value()?, Form::Hex);
                references.legacy = found.parent;
            }
            "references" => references.read(json)?,
            "operationName" => found.name = json.value()?.text().unwrap_or_default(),
            "startTime" => found.start_ns = found.time("start", &json.value()?, microseconds),
            "duration" => found.duration_ns = found.time("duration", &json.value()?, microseconds),
            "tags" => tags(json, keys, &mut found.attributes)?,
            "processID" | "processId" => span.process_id = json.value()?.text().unwrap_or_default(),
            "process" if json.peek()? == b'{' => span.process = Some(process(json, keys)?),
            _ => json.skip()?,
        }
        Ok(())
    })?;
    let found = &mut span.found;
    found.parent = references.parent(found.trace);
    found.set_links(&references.links());
    found.kind = found.attributes.kind.unwrap_or_default();
    found.error = found.attributes.error.is_true();
    Ok(is_object.then_some(span))
}

/// Nanoseconds of a number of microseconds.
pub(super) fn microseconds(value: &Value<'_>) -> Option<i128> {
    value.integer()?.checked_mul(1_000)
}

#[derive(Default)]
struct References {
    child_of: Vec<(Option<TraceId>, Option<SpanId>)>,
    follows_from: Vec<(Option<TraceId>, Option<SpanId>)>,
    legacy: Parent,
}

impl References {
    fn read(&mut self, json: &mut Json<'_>) -> Result<(), Stop> {
        json.array(|json| {
            let (mut trace, mut span, mut follows) = (None, None, false);
            json.object(|json, key| {
                match key {
                    "refType" => follows = json.value()?.text().is_some_and(|text| text == "FOLLOWS_FROM"),
                    "traceID" | "traceId" => trace = id::trace_id(&json.value()?, Form::Hex),
                    "spanID" | "spanId" => span = id::span_id(&json.value()?, Form::Hex),
                    _ => json.skip()?,
                }
                Ok(())
            })?;
            if follows { &mut self.follows_from } else { &mut self.child_of }.push((trace, span));
            Ok(())
        })
        .map(drop)
    }

    /// Those with both ids.
    fn links(&self) -> Vec<(TraceId, SpanId)> {
        let all = self.child_of.iter().chain(&self.follows_from);
        all.filter_map(|(trace, span)| (*trace).zip(*span)).collect()
    }

    /// The first within the trace; a reference without a trace is meant within it.
    fn parent(&self, trace: Option<TraceId>) -> Parent {
        let mut all = self.child_of.iter().chain(&self.follows_from);
        let within = all.find(|(of, _)| of.is_none() || *of == trace);
        match within {
            Some((_, Some(span))) => Parent::Is(*span),
            Some((_, None)) => Parent::Unreadable,
            None => self.legacy,
        }
    }
}

/// An array of `{key, type, value}`.
fn tags<'a>(json: &mut Json<'a>, keys: &Keys, found: &mut Attributes<'a>) -> Result<(), Stop> {
    json.array(|json| {
        let (mut name, mut value) = (None, Value::Null);
        json.object(|json, field| match field {
            "key" => json.value().map(|found| name = found.text()),
            "value" => json.value().map(|found| value = found),
            _ => json.skip(),
        })?;
        if let Some(name) = name
            && let Some(key) = keys.of(name.as_bytes())
        {
            found.set(key, name.as_bytes(), value);
        }
        Ok(())
    })
    .map(drop)
}

fn process<'a>(json: &mut Json<'a>, keys: &Keys) -> Result<Attributes<'a>, Stop> {
    let mut found = Attributes::default();
    let mut service = None;
    json.object(|json, key| match key {
        "serviceName" => json.value().map(|name| service = name.text()),
        "tags" => tags(json, keys, &mut found),
        _ => json.skip(),
    })?;
    found.service = service.filter(|name| !name.is_empty()).unwrap_or(found.service);
    Ok(found)
}
