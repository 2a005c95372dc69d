//! JSON documents: which format each is shows in its keys, so that a file may hold any number of them, one a line or not.
//!
//! | keys | format |
//! |---|---|
//! | `resourceSpans`, `batches` (also under `trace` or `result`, as Tempo and Jaeger answer) | OTLP |
//! | `scopeSpans`, with `resource` or without | one resource of OTLP, as exporters that log write them |
//! | `spanId`, `startTimeUnixNano` | a span of OTLP alone |
//! | `data`, `spans`, `processes`; `operationName`, `spanID` | Jaeger; a span of it alone |
//! | `traceId` with `id`, `localEndpoint`, `binaryAnnotations` ... | a span of Zipkin |
//! | `Traces`, `Segments`, `Document`; `trace_id`, `subsegments` | X-Ray; a segment of it |
//! | `SpanContext`, `SpanKind`; `context`; no quotes | consoles of Go, Python, JavaScript |
//!
//! An array may hold documents, or arrays. Between what console exporters print, lines of the application's own are stepped over and counted. A
//! document without traces that says `errors`, `error` or a message with a code is an answer, and
//! its words are the problem.

mod answer;

use super::ReadError;
use super::console::{self, Sdk};
use super::context::ReadContext;
use super::jaeger;
use super::otlp;
use super::stream::Stream;
use super::xray;
use super::zipkin;
use answer::Answer;

/// Documents within documents; answers nest two.
const DEPTH_MAX: usize = 4;

/// Reads documents to the end.
pub(super) fn documents(stream: &mut Stream<'_>, context: &mut ReadContext<'_>) -> Result<(), ReadError> {
    while let Some(byte) = stream.peek_or_end()? {
        let (at, head) = (stream.offset(), stream.head());
        let known = match byte {
            b'{' => object(stream, 0, context)?,
            _ if context.console => {
                stream.skip_line()?;
                false
            }
            b'[' => array(stream, 0, context)?,
            _ => {
                let what = "expected a JSON object or array";
                return Err(ReadError::Syntax { at, what, found: head.found() });
            }
        };
        match known {
            true => {}
            false if context.console => context.malformed_item("a line between spans", &head.found()),
            false => return Err(ReadError::Unknown { at, what: "JSON, but no traces", found: head.found() }),
        }
    }
    Ok(())
}

/// What an object that stands alone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Document,
    Resource,
    OtlpSpan,
    JaegerSpan,
    ZipkinSpan,
    Segment,
    Console(Sdk),
}

/// What the keys of an object tell, in their order.
#[derive(Default)]
struct Keys {
    trace: bool,
    id: bool,
    resource: bool,
}

impl Keys {
    /// What an object is that has this key behind the others; `None`: it may be several things.
    fn tell(&mut self, key: &str) -> Option<Kind> {
        match key {
            "traceId" => self.trace = true,
            "id" => self.id = true,
            "resource" => self.resource = true,
            // Several formats have these.
            "name" | "kind" | "status" | "attributes" | "links" | "events" | "duration" | "traceID" => {}
            "parentId" | "timestamp" | "localEndpoint" | "remoteEndpoint" | "binaryAnnotations"
            | "shared" | "debug" | "tags"
                if self.trace || self.id || key.ends_with("Endpoint") || key == "binaryAnnotations" =>
            {
                return Some(Kind::ZipkinSpan);
            }
            "scopeSpans" | "scope_spans" | "instrumentationLibrarySpans" => return Some(Kind::Resource),
            "spanId" | "span_id" | "startTimeUnixNano" | "start_time_unix_nano" => {
                return Some(Kind::OtlpSpan);
            }
            "spanID" | "operationName" | "processID" => return Some(Kind::JaegerSpan),
            "SpanContext" | "SpanKind" | "ParentSpanID" => return Some(Kind::Console(Sdk::Go)),
            "context" | "parent_id" | "start_time" | "end_time" => return self.python_or_segment(key),
            _ if xray::is_segment(key) => return Some(Kind::Segment),
            _ if is_of_document(key) => return Some(Kind::Document),
            _ => {}
        }
        (self.trace && self.id).then_some(Kind::ZipkinSpan)
    }

    /// Both have `parent_id` and times; only Python's has a context.
    const fn python_or_segment(&self, key: &str) -> Option<Kind> {
        if matches!(key.as_bytes(), b"context") { Some(Kind::Console(Sdk::Python)) } else { None }
    }

    /// What it is when no key told.
    const fn rest(&self) -> Kind {
        match self {
            Self { resource: true, .. } => Kind::Resource,
            Self { trace: true, .. } => Kind::ZipkinSpan,
            _ => Kind::Document,
        }
    }
}

/// Keys of documents that hold other things; they may be of any length, so that nothing behind them is looked at.
fn is_of_document(key: &str) -> bool {
    matches!(
        key,
        "resourceSpans"
            | "resource_spans"
            | "batches"
            | "trace"
            | "result"
            | "data"
            | "spans"
            | "processes"
            | "Traces"
            | "Segments"
            | "Document"
            | "resourceLogs"
            | "resourceMetrics"
            | "resourceProfiles"
            | "errors"
    )
}

/// Whether any key was known, or there was none.
fn object(stream: &mut Stream<'_>, depth: usize, context: &mut ReadContext<'_>) -> Result<bool, ReadError> {
    let kind = if stream.is_literal()? {
        Kind::Console(Sdk::Node)
    } else {
        let mut keys = Keys::default();
        stream.ask_keys(|key| keys.tell(key))?.unwrap_or_else(|| keys.rest())
    };
    match kind {
        Kind::Document => return document(stream, depth, context),
        Kind::Resource => otlp::json::one_resource(stream, context)?,
        Kind::OtlpSpan => stream.parse(|json| otlp::json::lone_span(json, context))?,
        Kind::JaegerSpan => {
            let mut trace = jaeger::Trace::default();
            stream.parse(|json| trace.lone_span(json, context))?;
            trace.finish(context);
        }
        Kind::ZipkinSpan => stream.parse(|json| zipkin::span(json, context))?,
        Kind::Segment => stream.parse(|json| xray::segment(json, context))?,
        Kind::Console(sdk) => {
            stream.parse(|json| console::span(json, sdk, context))?;
            context.console = true;
        }
    }
    context.progress();
    Ok(true)
}

fn document(stream: &mut Stream<'_>, depth: usize, context: &mut ReadContext<'_>) -> Result<bool, ReadError> {
    let (at, spans) = (stream.offset(), context.spans);
    let mut trace = jaeger::Trace::default();
    let mut answer = Answer::default();
    let result = fields(stream, depth, &mut trace, &mut answer, context);
    trace.finish(context);
    let known = result?;
    answer.judge(at, known, context.spans > spans, context)?;
    Ok(known)
}

fn fields(
    stream: &mut Stream<'_>,
    depth: usize,
    trace: &mut jaeger::Trace,
    answer: &mut Answer,
    context: &mut ReadContext<'_>,
) -> Result<bool, ReadError> {
    let (mut known, mut first) = (false, true);
    stream.enter(b'{')?;
    let mut empty = true;
    while let Some(key) = stream.key(&mut first)? {
        empty = false;
        known |= match key.as_str() {
            "resourceSpans" | "resource_spans" | "batches" => otlp::json::resources(stream, context)?,
            "trace" | "result" if depth < DEPTH_MAX && stream.peek()? == b'{' => {
                object(stream, depth + 1, context)?
            }
            "data" => jaeger::traces(stream, context)?,
            "spans" => trace.spans(stream, context).map(|()| true)?,
            "processes" => trace.processes(stream, context).map(|()| true)?,
            "Traces" => xray::traces(stream, context)?,
            "Segments" => xray::segments(stream, context)?,
            "Document" => xray::document(stream, context).map(|()| true)?,
            "UnprocessedTraceIds" => xray::unprocessed(stream, context).map(|()| true)?,
            // Other signals of the same exporter.
            "resourceLogs" | "resourceMetrics" | "resourceProfiles" => stream.skip().map(|()| true)?,
            key if Answer::listens(key) => answer.hear(key, stream).map(|()| false)?,
            _ => stream.skip().map(|()| false)?,
        };
    }
    Ok(known || empty)
}

/// Whether any item was known, or there was none. What is not is refused.
fn array(stream: &mut Stream<'_>, depth: usize, context: &mut ReadContext<'_>) -> Result<bool, ReadError> {
    let (mut known, mut first, mut empty) = (false, true, true);
    stream.enter(b'[')?;
    while stream.item(&mut first)? {
        empty = false;
        let head = stream.head();
        let found = match stream.peek()? {
            b'{' if depth < DEPTH_MAX => object(stream, depth + 1, context)?,
            b'[' if depth < DEPTH_MAX => array(stream, depth + 1, context)?,
            _ => stream.skip().map(|()| false)?,
        };
        if !found {
            context.malformed_item("an item that is no trace", &head.found());
        }
        known |= found;
        context.progress();
    }
    Ok(known || empty)
}
