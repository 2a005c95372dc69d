//! OTLP as protobuf, without messages: fields are walked where they lie, and what is not wanted is stepped over.
//!
//! The outer messages (`TracesData`, `ResourceSpans`, `ScopeSpans`) may be of any length; their ends are kept, not their bytes. Spans and
//! resources are looked at whole. Field numbers are those of `opentelemetry/proto/{trace,common,resource}/v1`.

mod fields;
mod resources;
mod span;

use super::super::ReadError;
use super::super::context::ReadContext;
use super::super::deferred::Deferred;
use super::super::error::Found;
use super::super::found::RawSpan;
use super::super::window::ReadWindow;
use resources::Resources;

/// Longest header of a field: a key of 5 bytes and a length of 10.
const HEADER_BYTES_MAX: usize = 15;
const SPAN: &str = "a protobuf message";

/// A protobuf document: a window and how far the present message reaches.
struct Walk<'w, 'r> {
    window: &'w mut ReadWindow<'r>,
}

/// What is kept from one message to the next.
#[derive(Default)]
struct Kept {
    resources: Resources,
    deferred: Deferred,
}

/// A field of an outer message.
struct Field {
    number: u32,
    wire_type: u8,
    /// Where it ends, by offset.
    end: u64,
}

/// Reads one `TracesData` that reaches to the end of the source.
pub(in crate::read) fn traces_data(
    window: &mut ReadWindow<'_>,
    context: &mut ReadContext<'_>,
) -> Result<(), ReadError> {
    let mut kept = Kept::default();
    let result = Walk { window }.traces_data(u64::MAX, &mut kept, context);
    kept.resources.settle(context);
    result
}

/// Reads messages with their length before each, in 4 bytes, big-endian, as the collector's file exporter writes them.
pub(in crate::read) fn length_prefixed(
    window: &mut ReadWindow<'_>,
    context: &mut ReadContext<'_>,
) -> Result<(), ReadError> {
    let mut kept = Kept::default();
    let result = messages(window, &mut kept, context);
    kept.resources.settle(context);
    result
}

fn messages(
    window: &mut ReadWindow<'_>,
    kept: &mut Kept,
    context: &mut ReadContext<'_>,
) -> Result<(), ReadError> {
    while window.ensure(4)? {
        let mut length = [0; 4];
        length.copy_from_slice(window.bytes().get(..4).unwrap_or(&[0; 4]));
        window.take(4);
        let end = window.offset() + u64::from(u32::from_be_bytes(length));
        Walk { window }.traces_data(end, kept, context)?;
    }
    let rest = window.bytes().len() as u64;
    if rest == 0 { Ok(()) } else { Err(truncated(window)) }
}

fn truncated(window: &ReadWindow<'_>) -> ReadError {
    ReadError::Truncated { at: window.offset() + window.bytes().len() as u64, what: SPAN }
}

impl Walk<'_, '_> {
    fn traces_data(
        &mut self,
        end: u64,
        kept: &mut Kept,
        context: &mut ReadContext<'_>,
    ) -> Result<(), ReadError> {
        while let Some(field) = self.next(end)? {
            if (field.number, field.wire_type) != (1, fields::LENGTH) {
                self.step_over(&field)?;
                continue;
            }
            let result = self.resource_spans(field.end, kept, context);
            kept.deferred.settle(context);
            result?;
        }
        Ok(())
    }

    fn resource_spans(
        &mut self,
        end: u64,
        kept: &mut Kept,
        context: &mut ReadContext<'_>,
    ) -> Result<(), ReadError> {
        let own = kept.deferred.nameless();
        while let Some(field) = self.next(end)? {
            match (field.number, field.wire_type) {
                (1, fields::LENGTH) => {
                    let reporter = kept.resources.reporter(self.bytes(&field)?, context);
                    kept.deferred.set(own, reporter);
                    self.step_over(&field)?;
                }
                (2 | 1000, fields::LENGTH) => {
                    self.scope_spans(field.end, own, &mut kept.deferred, context)?
                }
                _ => self.step_over(&field)?,
            }
        }
        Ok(())
    }

    fn scope_spans(
        &mut self,
        end: u64,
        resource: usize,
        deferred: &mut Deferred,
        context: &mut ReadContext<'_>,
    ) -> Result<(), ReadError> {
        while let Some(field) = self.next(end)? {
            if (field.number, field.wire_type) == (2, fields::LENGTH) {
                let mut found = RawSpan::default();
                match span::span(self.bytes(&field)?, &context.keys, &mut found) {
                    Some(()) => deferred.take_of(resource, &found, context),
                    None => context.malformed("a span that is no protobuf message"),
                }
                context.progress();
            }
            self.step_over(&field)?;
        }
        Ok(())
    }

    /// The next field of the message that ends at `end`; its header is taken.
    fn next(&mut self, end: u64) -> Result<Option<Field>, ReadError> {
        let at = self.window.offset();
        if at >= end {
            return Ok(None);
        }
        let whole = self.window.ensure(HEADER_BYTES_MAX)?;
        let bytes = self.window.bytes();
        if bytes.is_empty() {
            return if end == u64::MAX { Ok(None) } else { Err(truncated(self.window)) };
        }
        let Some((number, wire_type, header, length)) = fields::header(bytes) else {
            return Err(if whole { bad(at, "no protobuf field") } else { truncated(self.window) });
        };
        let field = Field { number, wire_type, end: at.saturating_add(header as u64).saturating_add(length) };
        if field.end > end {
            return Err(bad(at, "a field that is longer than its message"));
        }
        self.window.take(header);
        Ok(Some(field))
    }

    /// The bytes of a field, which is not taken.
    fn bytes(&mut self, field: &Field) -> Result<&[u8], ReadError> {
        let length = usize::try_from(field.end - self.window.offset()).unwrap_or(usize::MAX);
        if !self.window.ensure(length)? {
            return Err(truncated(self.window));
        }
        Ok(self.window.bytes().get(..length).unwrap_or_default())
    }

    fn step_over(&mut self, field: &Field) -> Result<(), ReadError> {
        let left = field.end.saturating_sub(self.window.offset());
        if self.window.skip(left)? { Ok(()) } else { Err(truncated(self.window)) }
    }
}

fn bad(at: u64, what: &'static str) -> ReadError {
    ReadError::Syntax { at, what, found: Found::default() }
}
