//! Readers that several sections need.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

use emac_core::units::{Millis, Ppm};

use emac_document::Reader;

/// A name with its checked constructor.
pub(super) fn named<T, E: Display>(reader: Reader<'_>, new: impl Fn(&str) -> Result<T, E>) -> Option<T> {
    let text = reader.text()?;
    match new(text) {
        Ok(name) => Some(name),
        Err(error) => reader.refuse(error.to_string()),
    }
}

/// Text of the writer's choosing, such as a description.
pub(super) fn owned(reader: Reader<'_>) -> Option<String> {
    reader.word().map(str::to_owned)
}

/// PromQL.
pub(super) fn promql(reader: Reader<'_>) -> Option<String> {
    reader.promql().map(str::to_owned)
}

/// A mapping from text to text, such as labels.
pub(super) fn texts(reader: Reader<'_>) -> Option<BTreeMap<String, String>> {
    let pairs = reader.map(|entry, value| Some((entry.key.clone(), value.text()?.to_owned())))?;
    Some(pairs.into_iter().collect())
}

/// A share in parts per million, at least one of them.
pub(super) fn ppm(reader: Reader<'_>) -> Option<Ppm> {
    let share = reader.ratio()?.get();
    let parts = (share * 1e6).round();
    match Ppm::new(parts as u32) {
        Ok(ppm) if ppm > Ppm::ZERO => Some(ppm),
        _ => reader.refuse(format!("{share} is below one millionth")),
    }
}

/// Whole milliseconds up to the longest the wire carries (two minutes).
pub(super) fn wire_millis(reader: Reader<'_>) -> Option<Millis> {
    millis_within(reader, 1..=120_000)
}

/// Whole milliseconds within a range.
pub(super) fn millis_within(reader: Reader<'_>, range: RangeInclusive<u64>) -> Option<Millis> {
    let millis = reader.millis()?;
    if range.contains(&millis.0) {
        Some(millis)
    } else {
        reader.refuse(format!("{millis} is not within {} to {} ms", range.start(), range.end()))
    }
}

/// A 32-bit whole number within a range.
pub(super) fn small(reader: Reader<'_>, range: RangeInclusive<u32>) -> Option<u32> {
    let wide = u64::from(*range.start())..=u64::from(*range.end());
    reader.integer(wide).and_then(|value| u32::try_from(value).ok())
}

/// Reports the second of two equal items of a list.
pub(super) fn refuse_duplicates<'a>(items: impl Iterator<Item = (&'a str, Reader<'a>)>, what: &str) {
    let mut seen = BTreeMap::new();
    for (name, reader) in items {
        if let Some(first) = seen.insert(name, reader) {
            let (line, _) = first.source().position(first.span().start);
            reader.refuse_with::<()>(
                format!("the {what} `{name}` is given twice"),
                format!("it was first given on line {line}"),
            );
        }
    }
}
