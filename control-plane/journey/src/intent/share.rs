//! Types of fields that several sections have.

use std::collections::BTreeMap;
use std::fmt::Display;

use emac_core::id::WorkloadName;
use emac_core::units::{Millis, Ppm, Ratio};

use emac_document::Reader;
use emac_document::shape::Form;
use emac_document::types::{PERCENT, Shown, Type, millis, scalar, text_like, word_as};

/// A name with its checked constructor.
pub(super) fn named<'a, T, E: Display>(
    label: &'static str,
    pattern: &'static str,
    example: &'static str,
    new: impl Fn(&str) -> Result<T, E>,
) -> impl Type<'a, Value = T> {
    text_like(label, pattern, example, move |it, text| {
        new(text).map_or_else(|error| it.refuse(error.to_string()), Some)
    })
}

/// `<namespace>/<workload>`.
pub(super) fn workload<'a>() -> impl Type<'a, Value = WorkloadName> {
    named("workload", "^[a-z0-9.-]{1,253}/[a-z0-9.-]{1,253}$", "shop/front", WorkloadName::new)
}

/// PromQL.
pub(super) fn promql<'a>() -> impl Type<'a, Value = String> {
    word_as(|it, _| it.promql().map(str::to_owned))
}

/// A number above zero.
pub(super) fn above_zero<'a>() -> impl Type<'a, Value = f64> {
    scalar("number", &[Form::Above(0.0, f64::MAX)], "14.4", |it: Reader<'a>| match it.number()? {
        number if number > 0.0 => Some(number),
        number => it.refuse(format!("{number} is not above zero")),
    })
}

/// Looks of a share that is above zero.
pub(super) const ABOVE_ZERO: [Form; 2] = [Form::Above(0.0, 1.0), PERCENT];

/// A share in parts per million, at least one of them.
pub(super) fn ppm<'a>() -> impl Shown<'a, Value = Ppm> {
    scalar("share", &ABOVE_ZERO, "20%", |it: Reader<'a>| {
        let share = it.ratio()?.get();
        match Ppm::new((share * 1e6).round() as u32) {
            Ok(ppm) if ppm > Ppm::ZERO => Some(ppm),
            _ => it.refuse(format!("{share} is below one millionth")),
        }
    })
}

/// A share above zero; `name` is the field.
pub(super) fn share_above_zero<'a>(name: &'static str) -> impl Shown<'a, Value = Ratio> {
    scalar("share", &ABOVE_ZERO, "20%", move |it: Reader<'a>| match it.ratio()? {
        share if share > Ratio::ZERO => Some(share),
        _ => it.refuse(format!("{name} is above zero")),
    })
}

/// A share above 0 and below 1: a target of 1 leaves no error budget, a target of 0 promises nothing.
pub(super) fn target<'a>() -> impl Type<'a, Value = Ratio> {
    scalar("share", &[Form::Between(0.0, 1.0), PERCENT], "0.995", |it: Reader<'a>| {
        let target = it.ratio()?;
        if target == Ratio::ONE {
            return it
                .refuse_with("a target of 1 leaves no error budget", "write a share below 1, such as 0.999");
        }
        if target == Ratio::ZERO {
            return it.refuse_with("a target of 0 promises nothing", "write a share above 0, such as 0.999");
        }
        Some(target)
    })
}

/// Whole milliseconds up to the longest the wire carries (two minutes).
pub(super) fn wire_millis<'a>() -> impl Shown<'a, Value = Millis> {
    millis(1..=120_000)
}

/// Refuses the second of two equal items of a list.
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
