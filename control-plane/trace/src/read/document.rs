//! JSON documents: which format each is shows in its keys, so that a file may hold any number of them, one a line or not.
//!
//! `resourceSpans` or `batches` is OTLP (also under `trace` or `result`, as Tempo and Jaeger answer), and so is one of its resources alone
//! (`resource`, `scopeSpans`), as exporters that log write one a line; `data` and `spans` are Jaeger's, an array of spans is Zipkin's. An array
//! may also hold documents, or arrays.

use super::ReadError;
use super::context::ReadContext;
use super::jaeger;
use super::otlp;
use super::stream::Stream;
use super::zipkin;

/// Documents within documents; answers nest two.
const DEPTH_MAX: usize = 4;

/// Reads documents to the end.
pub(super) fn documents(stream: &mut Stream<'_>, context: &mut ReadContext<'_>) -> Result<(), ReadError> {
    while let Some(byte) = stream.peek_or_end()? {
        let at = stream.offset();
        let known = match byte {
            b'{' => object(stream, 0, context)?,
            b'[' => array(stream, 0, context)?,
            _ => return Err(ReadError::Syntax { at, what: "expected a JSON object or array" }),
        };
        if !known {
            return Err(ReadError::Unknown { at, what: "JSON, but no traces" });
        }
    }
    Ok(())
}

/// Whether any key was known, or there was none.
fn object(stream: &mut Stream<'_>, depth: usize, context: &mut ReadContext<'_>) -> Result<bool, ReadError> {
    match stream.first_key()? {
        Some(key) if zipkin::begins_span(&key) => {
            return stream.parse(|json| zipkin::span(json, context)).map(|()| true);
        }
        Some(key) if otlp::json::begins_resource(&key) => {
            return otlp::json::one_resource(stream, context).map(|()| true);
        }
        _ => {}
    }
    let mut trace = jaeger::Trace::default();
    let result = fields(stream, depth, &mut trace, context);
    trace.finish(context);
    result
}

fn fields(
    stream: &mut Stream<'_>,
    depth: usize,
    trace: &mut jaeger::Trace,
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
            // Other signals of the same exporter.
            "resourceLogs" | "resourceMetrics" | "resourceProfiles" => stream.skip().map(|()| true)?,
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
        let found = match stream.peek()? {
            b'{' if depth < DEPTH_MAX => object(stream, depth + 1, context)?,
            b'[' if depth < DEPTH_MAX => array(stream, depth + 1, context)?,
            _ => stream.skip().map(|()| false)?,
        };
        if !found {
            context.malformed("an item that is no trace");
        }
        known |= found;
        context.progress();
    }
    Ok(known || empty)
}
