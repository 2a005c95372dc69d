//! The journey context: what a request carries from hop to hop.
//!
//! One W3C Baggage member, `emac=v2.<journey>.<deadline>.<flags>`, because baggage is what OpenTelemetry SDKs forward by default. Its
//! value has only letters, digits, `-` and `.`, which every SDK passes on as they are; others escape `:` (tests/tests/sdks).
//!
//! `<deadline>` is a mark and decimal milliseconds: `r400` REMAINS on the wire between pods, `a1790000000123` is an ABSOLUTE time of
//! one Envoy's clock inside a pod, so that time spent in the application is deducted and clocks of hosts are never compared. The mark
//! says which of the two a value is, wherever it turns up ([`Deadline`]); [`Context::arrive`] and [`Context::depart`] are the only ways
//! between them. `<flags>` is four lower-case hex digits: two of bits ([`Flags`]), two of priority. Inside a pod a fifth field numbers
//! the request, so that the two sides of a pod can speak of it.
//!
//! Read, but not written any more: `v1:<journey>:<milliseconds>:<flags>[;id=<number>]`, whose deadline has no mark. What is at most
//! [`REMAINING_MAX`] cannot be a time since 1970 and is remaining.
//!
//! Left out: who may be believed. The edge strips what comes from outside before anything here is asked.

pub mod baggage;
mod request_id;
mod sampling;
mod traceparent;

use alloc::vec::Vec;
use core::fmt;

use crate::decimal::Decimal;
use crate::units::{Micros, Millis};
use baggage::Member;

pub use request_id::request_id;
pub use sampling::is_chosen;
pub use traceparent::{InvalidTraceParent, TraceParent};

/// Longest deadline on the wire; the same bound as `JourneyBudget.deadline_ms`.
pub const REMAINING_MAX: Millis = Millis(120_000);

/// The journey of a request that entered on no declared one and is followed all the same, to see whether it should be declared. It has no
/// deadline that binds: what stands in its context is [`REMAINING_MAX`] for readers that know no better. No intent can have this name.
pub const UNDECLARED: &str = "-";

/// Milliseconds left, as written between pods. At most [`REMAINING_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remaining(pub Millis);

/// The moment it is too late, in milliseconds of this Envoy's clock, as written inside a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Absolute(pub Millis);

impl Remaining {
    /// The moment it will be too late. Rounded down, so that a conversion never adds time.
    pub const fn at(self, now: Micros) -> Absolute {
        Absolute(Millis(now.to_millis_floor().0.saturating_add(self.0.0)))
    }
}

/// A deadline as it was written, of either kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// By another pod.
    Remaining(Remaining),
    /// Inside a pod.
    Absolute(Absolute),
}

impl Absolute {
    /// What is left; zero when it is too late. At most [`REMAINING_MAX`], whatever a clock that jumped would say.
    pub const fn left(self, now: Micros) -> Remaining {
        let left = self.0.to_micros().since(now).to_millis_floor();
        if left.0 > REMAINING_MAX.0 { Remaining(REMAINING_MAX) } else { Remaining(left) }
    }
}

/// Marks a request carries. Bits nobody knows yet are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    bits: u8,
    /// 0 is shed first.
    pub priority: u8,
}

impl Flags {
    const SAMPLED: u8 = 1;
    const DEGRADED: u8 = 2;
    const HEDGE: u8 = 4;

    /// No marks.
    pub const fn new(priority: u8) -> Self {
        Self { bits: 0, priority }
    }

    /// Hops of this request are recorded one by one.
    pub const fn is_sampled(self) -> bool {
        self.bits & Self::SAMPLED != 0
    }

    /// Some hop before this one gave a degraded answer.
    pub const fn is_degraded(self) -> bool {
        self.bits & Self::DEGRADED != 0
    }

    /// This is the second try of a hedged call.
    pub const fn is_hedge(self) -> bool {
        self.bits & Self::HEDGE != 0
    }

    /// Sets or clears [`Flags::is_sampled`].
    pub const fn sampled(self, yes: bool) -> Self {
        self.with(Self::SAMPLED, yes)
    }

    /// Sets or clears [`Flags::is_degraded`].
    pub const fn degraded(self, yes: bool) -> Self {
        self.with(Self::DEGRADED, yes)
    }

    /// Sets or clears [`Flags::is_hedge`].
    pub const fn hedge(self, yes: bool) -> Self {
        self.with(Self::HEDGE, yes)
    }

    const fn with(self, bit: u8, yes: bool) -> Self {
        let bits = if yes { self.bits | bit } else { self.bits & !bit };
        Self { bits, ..self }
    }
}

/// A journey, its deadline ([`Remaining`] or [`Absolute`]) and marks. Borrowed: reading one allocates nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context<'a, D> {
    /// 1 to 63 characters of `[a-z0-9-]`, checked when parsed.
    pub journey: &'a str,
    /// When it is too late.
    pub deadline: D,
    /// Marks.
    pub flags: Flags,
    /// Inside a pod: which request; 0: not known. Never on the wire between pods.
    pub id: u64,
}

/// Why a context was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidContext {
    /// Two members of ours; which to believe cannot be known.
    #[error("the baggage header has more than one emac member")]
    Duplicate,
    /// Neither `v2.` nor `v1:`.
    #[error("the context is not of version v2 or v1")]
    Version,
    /// Too few fields, or too many.
    #[error("the context does not have the fields v2.journey.deadline.flags")]
    Fields,
    /// Not a journey name.
    #[error("the journey of the context is not a name of 1 to 63 characters of [a-z0-9-]")]
    Journey,
    /// No mark, not a number, or a remaining time beyond [`REMAINING_MAX`].
    #[error("the deadline of the context is not r or a and a number of milliseconds in range")]
    Deadline,
    /// Not four lower-case hex digits.
    #[error("the flags of the context are not four hex digits")]
    Flags,
}

impl<'a> Context<'a, Deadline> {
    /// Reads the value of a member, wherever it comes from; escapes must have been taken out.
    ///
    /// # Errors
    /// [`InvalidContext`] naming the first field that is wrong.
    pub fn parse(value: &'a [u8]) -> Result<Self, InvalidContext> {
        let value = core::str::from_utf8(value).map_err(|_| InvalidContext::Fields)?;
        let (value, properties) = value.split_once(';').unwrap_or((value, ""));
        let value = value.trim();
        match (value.strip_prefix("v2."), value.strip_prefix("v1:")) {
            (Some(fields), _) => parse_marked(fields),
            (None, Some(fields)) => parse_unmarked(fields, properties),
            (None, None) => Err(InvalidContext::Version),
        }
    }

    /// The context when it came from another pod; `None` when its deadline is a time of somebody's clock.
    pub fn remaining(self) -> Option<Context<'a, Remaining>> {
        match self.deadline {
            Deadline::Remaining(deadline) => Some(self.due(deadline)),
            Deadline::Absolute(_) => None,
        }
    }
}

impl<'a, D> Context<'a, D> {
    /// Whether the request is on a journey that somebody declared.
    pub fn is_declared(&self) -> bool {
        self.journey != UNDECLARED
    }

    /// The same request with another deadline.
    pub fn due<T>(self, deadline: T) -> Context<'a, T> {
        Context { journey: self.journey, deadline, flags: self.flags, id: self.id }
    }
}

impl<'a> Context<'a, Remaining> {
    /// Inbound: from the wire into the pod, as its request `id`.
    pub const fn arrive(self, now: Micros, id: u64) -> Context<'a, Absolute> {
        Context { journey: self.journey, deadline: self.deadline.at(now), flags: self.flags, id }
    }
}

impl<'a> Context<'a, Absolute> {
    /// Outbound: out of the pod onto the wire.
    pub const fn depart(self, now: Micros) -> Context<'a, Remaining> {
        Context { journey: self.journey, deadline: self.deadline.left(now), flags: self.flags, id: 0 }
    }
}

impl Member for Context<'_, Remaining> {
    fn write(&self, out: &mut Vec<u8>) {
        write(out, self.journey, b'r', self.deadline.0, self.flags);
    }
}

impl Member for Context<'_, Absolute> {
    fn write(&self, out: &mut Vec<u8>) {
        write(out, self.journey, b'a', self.deadline.0, self.flags);
        if self.id != 0 {
            out.push(b'.');
            out.extend_from_slice(Decimal::new(self.id).as_bytes());
        }
    }
}

impl fmt::Display for Context<'_, Remaining> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self, f)
    }
}

impl fmt::Display for Context<'_, Absolute> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display(self, f)
    }
}

fn display(member: &dyn Member, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut bytes = Vec::new();
    member.write(&mut bytes);
    // ASCII by construction.
    f.write_str(core::str::from_utf8(&bytes).unwrap_or_default())
}

fn write(out: &mut Vec<u8>, journey: &str, mark: u8, deadline: Millis, flags: Flags) {
    out.extend_from_slice(b"v2.");
    out.extend_from_slice(journey.as_bytes());
    out.extend_from_slice(&[b'.', mark]);
    out.extend_from_slice(Decimal::new(deadline.0).as_bytes());
    out.push(b'.');
    let hex = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    for byte in [flags.bits, flags.priority] {
        out.extend_from_slice(&[hex(byte >> 4), hex(byte & 0xf)]);
    }
}

/// `journey.deadline.flags`, and an id inside a pod.
fn parse_marked(fields: &str) -> Result<Context<'_, Deadline>, InvalidContext> {
    let mut fields = fields.split('.');
    let (Some(journey), Some(deadline), Some(flags)) = (fields.next(), fields.next(), fields.next()) else {
        return Err(InvalidContext::Fields);
    };
    let id = match (fields.next(), fields.next()) {
        (None, _) => 0,
        (Some(id), None) => id.parse().map_err(|_| InvalidContext::Fields)?,
        (Some(_), Some(_)) => return Err(InvalidContext::Fields),
    };
    let journey = parse_journey(journey)?;
    let deadline = match (deadline.strip_prefix('r'), deadline.strip_prefix('a')) {
        (Some(ms), _) => Deadline::Remaining(remaining(parse_millis(ms)?)?),
        (None, Some(ms)) => Deadline::Absolute(Absolute(parse_millis(ms)?)),
        (None, None) => return Err(InvalidContext::Deadline),
    };
    let id = if matches!(deadline, Deadline::Absolute(_)) { id } else { 0 };
    Ok(Context { journey, deadline, flags: parse_flags(flags)?, id })
}

/// `journey:milliseconds:flags`, and an id among the member's properties.
fn parse_unmarked<'a>(fields: &'a str, properties: &str) -> Result<Context<'a, Deadline>, InvalidContext> {
    let mut fields = fields.split(':');
    let (Some(journey), Some(deadline), Some(flags), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(InvalidContext::Fields);
    };
    let (journey, ms) = (parse_journey(journey)?, parse_millis(deadline)?);
    let (deadline, id) = match remaining(ms) {
        Ok(deadline) => (Deadline::Remaining(deadline), 0),
        Err(_) => (Deadline::Absolute(Absolute(ms)), parse_id(properties)),
    };
    Ok(Context { journey, deadline, flags: parse_flags(flags)?, id })
}

fn remaining(ms: Millis) -> Result<Remaining, InvalidContext> {
    if ms > REMAINING_MAX { Err(InvalidContext::Deadline) } else { Ok(Remaining(ms)) }
}

/// Properties are not ours alone: what is no id is none.
fn parse_id(properties: &str) -> u64 {
    let mut ids = properties.split(';').filter_map(|property| property.trim().strip_prefix("id="));
    ids.next().and_then(|id| id.parse().ok()).unwrap_or(0)
}

/// The rule of `JourneyName`, without owning the name.
fn parse_journey(text: &str) -> Result<&str, InvalidContext> {
    let length = 1..=crate::id::JourneyName::BYTES_MAX;
    let allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if length.contains(&text.len()) && text.bytes().all(allowed) {
        Ok(text)
    } else {
        Err(InvalidContext::Journey)
    }
}

/// Digits only: `u64::from_str` alone would take a sign.
fn parse_millis(text: &str) -> Result<Millis, InvalidContext> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(InvalidContext::Deadline);
    }
    text.parse().map(Millis).map_err(|_| InvalidContext::Deadline)
}

fn parse_flags(text: &str) -> Result<Flags, InvalidContext> {
    let lower_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 4 || !text.bytes().all(lower_hex) {
        return Err(InvalidContext::Flags);
    }
    let [bits, priority] = u16::from_str_radix(text, 16).map_err(|_| InvalidContext::Flags)?.to_be_bytes();
    Ok(Flags { bits, priority })
}

#[cfg(test)]
mod tests;
