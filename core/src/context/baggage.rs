//! Our member in a W3C Baggage header: found and replaced, the others kept byte for byte.
//!
//! Limits are those of the W3C recommendation (8 192 bytes, 64 members): a longer header is not searched, so work is bounded.
//! Properties of our member (`;...`) that we do not know are not written again.

use alloc::vec::Vec;
use core::fmt::{self, Display, Write};

use super::{Absolute, Context, InvalidContext, Remaining};

/// Most bytes of a header.
pub const BYTES_MAX: usize = 8_192;
/// Most members of a header.
pub const MEMBERS_MAX: usize = 64;
const KEY: &[u8] = b"emac";

/// Our context as it came from another pod; `None` when the header has no member of ours.
///
/// # Errors
/// [`InvalidContext`] when the header is over its limits or the member is not ours to understand.
pub fn find_remaining(header: &[u8]) -> Result<Option<Context<'_, Remaining>>, InvalidContext> {
    find(header)?.map(Context::parse_remaining).transpose()
}

/// Our context as it came from the application of this pod; `None` when the header has no member of ours.
///
/// # Errors
/// As [`find_remaining`].
pub fn find_absolute(header: &[u8]) -> Result<Option<Context<'_, Absolute>>, InvalidContext> {
    find(header)?.map(Context::parse_absolute).transpose()
}

/// Writes `header` with `ours` (a [`Context`]) in place of whatever emac members it had, or without any.
///
/// The others keep their bytes and order; ours comes last. Members that would exceed a limit are dropped from the end, and a
/// header that is itself over its limits is dropped whole: neither is valid baggage.
pub fn replace(header: &[u8], ours: Option<&dyn Display>) -> Vec<u8> {
    let member = ours.map(encode);
    let room = BYTES_MAX.saturating_sub(member.as_ref().map_or(0, |member| member.len() + 1));
    let mut out = Vec::with_capacity(header.len().min(BYTES_MAX) + 48);
    let kept = if check_limits(header).is_ok() { header } else { &[] };
    for other in members(kept).filter(|member| !is_ours(member)).take(MEMBERS_MAX - 1) {
        if out.len() + other.len() + 1 > room {
            break;
        }
        push(&mut out, other);
    }
    if let Some(member) = member {
        push(&mut out, &member);
    }
    out
}

fn push(out: &mut Vec<u8>, member: &[u8]) {
    if !out.is_empty() {
        out.push(b',');
    }
    out.extend_from_slice(member);
}

fn encode(context: &dyn Display) -> Vec<u8> {
    let mut bytes = Bytes(Vec::with_capacity(64));
    // Writing to memory cannot fail.
    let _ = write!(bytes, "emac={context}");
    bytes.0
}

struct Bytes(Vec<u8>);

impl Write for Bytes {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

fn find(header: &[u8]) -> Result<Option<&[u8]>, InvalidContext> {
    check_limits(header)?;
    let mut ours = members(header).filter(|member| is_ours(member));
    let first = ours.next().map(|member| value(member).unwrap_or_default());
    if ours.next().is_some() { Err(InvalidContext::Duplicate) } else { Ok(first) }
}

fn check_limits(header: &[u8]) -> Result<(), InvalidContext> {
    if header.len() > BYTES_MAX {
        return Err(InvalidContext::HeaderTooLong { len: header.len() });
    }
    if members(header).nth(MEMBERS_MAX).is_some() {
        return Err(InvalidContext::TooManyMembers);
    }
    Ok(())
}

/// Members with their surrounding bytes; empty ones are no members.
fn members(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    header.split(|&b| b == b',').filter(|member| !member.trim_ascii().is_empty())
}

fn is_ours(member: &[u8]) -> bool {
    key(member) == KEY
}

fn key(member: &[u8]) -> &[u8] {
    member.split(|&b| b == b'=' || b == b';').next().unwrap_or_default().trim_ascii()
}

/// With its properties.
fn value(member: &[u8]) -> Option<&[u8]> {
    member.splitn(2, |&b| b == b'=').nth(1).map(<[u8]>::trim_ascii)
}
