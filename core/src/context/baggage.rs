//! Our member in a W3C Baggage header: found and replaced, the others kept byte for byte.
//!
//! Limits are those of the W3C recommendation (8 192 bytes, 64 members): a longer header is not searched, so work is bounded.
//! Properties of our member (`;...`) that we do not know are not written again.

use alloc::vec::Vec;

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

/// The value of our member.
pub trait Member {
    /// Appends it, with its properties.
    fn write(&self, out: &mut Vec<u8>);
}

/// Writes `header` with `ours` (a [`Context`]) in place of whatever emac members it had, or without any.
///
/// The others keep their bytes and order; ours comes last. Members that would exceed a limit are dropped from the end, and a
/// header that is itself over its limits is dropped whole: neither is valid baggage.
pub fn replace(header: &[u8], ours: Option<&dyn Member>) -> Vec<u8> {
    let mut out = Vec::with_capacity(header.len().min(BYTES_MAX) + 2 * OURS_BYTES);
    let kept = if check_limits(header).is_ok() { header } else { &[] };
    let room = if ours.is_some() { BYTES_MAX - OURS_BYTES } else { BYTES_MAX };
    for other in members(kept).filter(|member| !is_ours(member)).take(MEMBERS_MAX - 1) {
        if out.len() + other.len() + 1 > room {
            break;
        }
        separate(&mut out);
        out.extend_from_slice(other);
    }
    if let Some(ours) = ours {
        separate(&mut out);
        out.extend_from_slice(KEY);
        out.push(b'=');
        ours.write(&mut out);
    }
    out
}

/// Room kept for our member: 5 for its key, 3 + 63 + 1 + 20 + 1 + 4 for its value, 20 for its id, a comma.
const OURS_BYTES: usize = 128;

fn separate(out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b',');
    }
}

/// With its properties.
fn find(header: &[u8]) -> Result<Option<&[u8]>, InvalidContext> {
    check_limits(header)?;
    let mut ours = members(header).filter(|member| is_ours(member));
    let first = ours.next().map(value);
    if ours.next().is_some() { Err(InvalidContext::Duplicate) } else { Ok(first) }
}

fn check_limits(header: &[u8]) -> Result<(), InvalidContext> {
    if header.len() > BYTES_MAX {
        return Err(InvalidContext::HeaderTooLong { len: header.len() });
    }
    // Counting commas is cheap, and few of them settle it.
    let commas = header.iter().filter(|&&b| b == b',').count();
    if commas >= MEMBERS_MAX && members(header).nth(MEMBERS_MAX).is_some() {
        return Err(InvalidContext::TooManyMembers);
    }
    Ok(())
}

/// Members with their surrounding bytes; empty ones are no members.
fn members(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    header.split(|&b| b == b',').filter(|member| !member.trim_ascii().is_empty())
}

/// A key ends at `=`, at `;` or with the member; blanks around it do not count.
fn is_ours(member: &[u8]) -> bool {
    member
        .trim_ascii_start()
        .strip_prefix(KEY)
        .is_some_and(|rest| matches!(rest.trim_ascii_start().first(), None | Some(b'=' | b';')))
}

/// Behind the first `=`; nothing for a key without one.
fn value(member: &[u8]) -> &[u8] {
    let at = member.iter().position(|&b| b == b'=').map_or(member.len(), |at| at + 1);
    member.get(at..).unwrap_or_default().trim_ascii()
}
