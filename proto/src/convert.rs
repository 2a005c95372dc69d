//! Wire to domain and back, the only place where one becomes the other.
//!
//! A wire message is checked as a whole: the first field out of its range refuses it, named by its path
//! (`hops[3].retry.burst`), so that a NACK or an INVALID_ARGUMENT tells its sender what to mend. Ranges are those of the
//! comments in `emac/v1/*.proto`.

mod budgets;
mod evidence;

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;

pub use evidence::{NodeReport, REPORT_BYTES_MAX};

/// A message that breaks its specification: where, and how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidMessage {
    /// Path of the field, as in `hops[3].retry.burst`.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub problem: Cow<'static, str>,
}

impl InvalidMessage {
    /// A problem with one field.
    pub fn new(field: impl Into<String>, problem: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// The same problem seen from the message that holds this one.
    #[must_use]
    pub fn within(mut self, parent: &str) -> Self {
        self.field = format!("{parent}.{}", self.field);
        self
    }
}

/// `value` when it lies in `min ..= max`.
fn in_range<T: PartialOrd + core::fmt::Display>(
    field: &str,
    value: T,
    min: T,
    max: T,
) -> Result<T, InvalidMessage> {
    if min <= value && value <= max {
        Ok(value)
    } else {
        Err(InvalidMessage::new(field, format!("{value} is outside {min} ..= {max}")))
    }
}

/// Refuses a list longer than its cap, before anything is built from it.
fn at_most<T>(field: &str, items: &[T], max: usize) -> Result<(), InvalidMessage> {
    if items.len() <= max {
        Ok(())
    } else {
        Err(InvalidMessage::new(field, format!("{} entries, at most {max} are allowed", items.len())))
    }
}

/// Text of bounded length.
fn text(field: &str, value: String, min: usize, max: usize) -> Result<String, InvalidMessage> {
    in_range(field, value.len(), min, max).map_err(|_| {
        InvalidMessage::new(field, format!("{} bytes, allowed are {min} ..= {max}", value.len()))
    })?;
    Ok(value)
}
