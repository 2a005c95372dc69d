//! AWS X-Ray: segments, as `BatchGetTraces` answers them (documents as text within JSON) or one document a line.
//!
//! A segment is what a service served; a subsegment with a `namespace` (`remote`, `aws`) or a statement is a call, any other is local work.
//! Times are seconds with a fraction. `fault` is a failure, `error` the caller's mistake, which is an answer. Segments that X-Ray made up
//! of somebody's subsegment (`inferred`) say nothing that the subsegment does not, and are left out.

mod segment;

use super::ReadError;
use super::context::ReadContext;
use super::json::{Json, Stop};
use super::stream::Stream;
use crate::Oddity;
use segment::Segment;

/// Whether an object that has this key is a segment.
pub(super) fn is_segment(key: &str) -> bool {
    matches!(key, "trace_id" | "in_progress" | "subsegments" | "precursor_ids")
}

/// Reads the array under `Traces`. `false`: it is something else, and was stepped over.
pub(super) fn traces(stream: &mut Stream<'_>, context: &mut ReadContext<'_>) -> Result<bool, ReadError> {
    stream.items(|stream| {
        let (mut first, mut any) = (true, false);
        if stream.enter(b'{')? {
            while let Some(key) = stream.key(&mut first)? {
                any |= key == "Segments";
                if key == "Segments" { segments(stream, context).map(drop)? } else { stream.skip()? }
            }
        }
        if !any {
            context.malformed("an item of Traces without Segments");
        }
        Ok(())
    })
}

/// Reads the array under `Segments`. `false`: it is something else, and was stepped over.
pub(super) fn segments(stream: &mut Stream<'_>, context: &mut ReadContext<'_>) -> Result<bool, ReadError> {
    stream.items(|stream| {
        let mut any = false;
        if stream.enter(b'{')? {
            let mut first = true;
            while let Some(key) = stream.key(&mut first)? {
                any |= key == "Document";
                if key == "Document" { document(stream, context)? } else { stream.skip()? }
            }
        }
        if !any {
            context.malformed("an item of Segments without a Document");
        }
        context.progress();
        Ok(())
    })
}

/// Reads the text under `Document`, which is a segment in JSON.
pub(super) fn document(stream: &mut Stream<'_>, context: &mut ReadContext<'_>) -> Result<(), ReadError> {
    stream.parse(|json| {
        let text = json.value()?.text().unwrap_or_default();
        let mut inner = Json::new(text.as_bytes());
        if !matches!(inner.peek(), Ok(b'{')) || segment(&mut inner, context).is_err() {
            context.malformed("a Document that is no segment in JSON");
        }
        Ok(())
    })
}

/// Ids of traces that the answer lacks, under `UnprocessedTraceIds`.
pub(super) fn unprocessed(stream: &mut Stream<'_>, context: &mut ReadContext<'_>) -> Result<(), ReadError> {
    let each = |stream: &mut Stream<'_>| {
        let id = stream.parse(|json| Ok(json.value()?.shown()))?;
        context.odd(Oddity::Partial, format_args!("trace {id} was not processed"));
        Ok(())
    };
    stream.items(each).map(drop)
}

/// Reads one segment with everything below it.
pub(super) fn segment(json: &mut Json<'_>, context: &mut ReadContext<'_>) -> Result<(), Stop> {
    let found = Segment::read(json, &context.keys, 0)?;
    found.hand_on(context);
    Ok(())
}
