//! `Span`, `KeyValue`, `AnyValue`, `Status`.

use super::fields::{Field, Fields, NoField};
use crate::read::attributes::Attributes;
use crate::read::found::{Parent, RawSpan};
use crate::read::json::{Value, lossy};
use crate::read::keys::Keys;
use crate::read::otlp::{STATUS_ERROR, kind};
use crate::{SpanId, TraceId};

/// Takes what a `Span` says. `None`: it is no message.
pub(super) fn span<'a>(bytes: &'a [u8], keys: &Keys, found: &mut RawSpan<'a>) -> Option<()> {
    let (mut start, mut end) = (0, 0);
    for field in Fields::new(bytes) {
        match field.ok()? {
            (1, Field::Bytes(id)) => {
                found.trace = trace_id(id);
                keep_bad(found, "trace id", id, |found| found.trace.is_none());
            }
            (2, Field::Bytes(id)) => {
                found.id = span_id(id);
                keep_bad(found, "span id", id, |found| found.id.is_none());
            }
            (4, Field::Bytes(id)) => {
                found.parent = parent(id);
                keep_bad(found, "parent id", id, |found| found.parent == Parent::Unreadable);
            }
            (5, Field::Bytes(name)) => found.name = lossy(name),
            (6, Field::Number(number)) => found.kind = kind(i128::from(number)),
            (7, Field::Number(nanoseconds)) => start = nanoseconds,
            (8, Field::Number(nanoseconds)) => end = nanoseconds,
            (9, Field::Bytes(pair)) => attribute(pair, keys, &mut found.attributes)?,
            (13, Field::Bytes(bytes)) if found.link.is_none() => found.link = link(bytes, found.trace)?,
            (15, Field::Bytes(status)) => found.error = is_error(status)?,
            _ => {}
        }
    }
    found.error |= found.attributes.error.is_true();
    found.start_ns = Some(i128::from(start));
    found.duration_ns = Some(i128::from(end) - i128::from(start));
    Some(())
}

fn trace_id(id: &[u8]) -> Option<TraceId> {
    id.try_into().ok().map(u128::from_be_bytes).filter(|&id| id != 0).map(TraceId)
}

/// Keeps an id that is none, in hexadecimal.
fn keep_bad(found: &mut RawSpan<'_>, field: &'static str, id: &[u8], is_bad: impl Fn(&RawSpan<'_>) -> bool) {
    if is_bad(found) && found.bad.is_none() {
        let hex: String = id.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        found.bad = Some((field, format!("{hex} ({} bytes)", id.len())));
    }
}

/// A link to a span of another trace than `own`, which is written before it. The outer `None`: it is no message.
fn link(bytes: &[u8], own: Option<TraceId>) -> Option<Option<(TraceId, SpanId)>> {
    let (mut trace, mut span) = (None, None);
    for field in Fields::new(bytes) {
        match field.ok()? {
            (1, Field::Bytes(id)) => trace = trace_id(id),
            (2, Field::Bytes(id)) => span = span_id(id),
            _ => {}
        }
    }
    Some(trace.filter(|_| trace != own).zip(span))
}

fn span_id(id: &[u8]) -> Option<SpanId> {
    id.try_into().ok().map(u64::from_be_bytes).filter(|&id| id != 0).map(SpanId)
}

fn parent(id: &[u8]) -> Parent {
    if id.iter().all(|&b| b == 0) {
        return Parent::None;
    }
    span_id(id).map_or(Parent::Unreadable, Parent::Is)
}

fn is_error(status: &[u8]) -> Option<bool> {
    let mut code = 0;
    for field in Fields::new(status) {
        if let (3, Field::Number(number)) = field.ok()? {
            code = number;
        }
    }
    Some(i128::from(code) == STATUS_ERROR)
}

/// Takes a `KeyValue`, if its key is looked at. `None`: it is no message.
pub(super) fn attribute<'a>(pair: &'a [u8], keys: &Keys, found: &mut Attributes<'a>) -> Option<()> {
    let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
    for field in Fields::new(pair) {
        match field.ok()? {
            (1, Field::Bytes(bytes)) => name = bytes,
            (2, Field::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    if let Some(key) = keys.of(name) {
        found.set(key, name, any_value(value, true).ok()?);
    }
    Some(())
}

/// The scalar of an `AnyValue`, or the first of an array of them.
fn any_value(bytes: &[u8], may_be_array: bool) -> Result<Value<'_>, NoField> {
    let mut value = Value::Null;
    for field in Fields::new(bytes) {
        value = match field? {
            (1, Field::Bytes(bytes)) => Value::Text(lossy(bytes)),
            (2, Field::Number(number)) => Value::Bool(number != 0),
            (3, Field::Number(number)) => Value::Int(i128::from(number.cast_signed())),
            (4, Field::Number(number)) => Value::Double(f64::from_bits(number)),
            (5, Field::Bytes(array)) if may_be_array => first_of_array(array)?,
            _ => Value::Other,
        };
    }
    Ok(value)
}

fn first_of_array(array: &[u8]) -> Result<Value<'_>, NoField> {
    for field in Fields::new(array) {
        if let (1, Field::Bytes(item)) = field? {
            return any_value(item, false);
        }
    }
    Ok(Value::Other)
}
