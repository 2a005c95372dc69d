//! Our member in a W3C Baggage header: found, replaced, taken out; the others kept byte for byte.
//!
//! Limits are those of the W3C recommendation (8 192 bytes, 64 members). Of a header beyond them ours is not believed, and ours is not
//! added to one that it would bring beyond them: what others wrote stays, ours is left out ([`Written::omitted`]).
//! Properties of our member (`;...`) that we do not know are not written again.

use alloc::vec::Vec;

use super::{Context, Deadline, InvalidContext};

/// Most bytes of a header.
pub const BYTES_MAX: usize = 8_192;
/// Most members of a header.
pub const MEMBERS_MAX: usize = 64;
const KEY: &[u8] = b"emac";

/// Our context; `None` when the header has no member of ours. `decoded` lends the room in which escapes are taken out.
///
/// # Errors
/// [`InvalidContext`] when the header is over its limits or the member is not ours to understand.
pub fn find<'a>(
    header: &'a [u8],
    decoded: &'a mut Vec<u8>,
) -> Result<Option<Context<'a, Deadline>>, InvalidContext> {
    check_limits(header)?;
    let mut ours = members(header).filter(|member| is_ours(member)).map(value);
    let (first, second) = (ours.next(), ours.next());
    if second.is_some() {
        return Err(InvalidContext::Duplicate);
    }
    let Some(value) = first else { return Ok(None) };
    if !value.contains(&b'%') {
        return Context::parse(value).map(Some);
    }
    unescape(value, decoded);
    Context::parse(decoded).map(Some)
}

/// Whether the header has a member of ours, be it readable or not; also beyond the limits.
pub fn has_ours(header: &[u8]) -> bool {
    members(header).any(is_ours)
}

/// The value of our member.
pub trait Member {
    /// Appends it.
    fn write(&self, out: &mut Vec<u8>);
}

/// A header written anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Empty: no header is needed.
    pub header: Vec<u8>,
    /// There was no room for ours within the limits.
    pub omitted: bool,
}

/// Writes `header` with `ours` (a [`Context`]) in place of whatever emac members it had, or without any.
///
/// The others keep their bytes and order, whatever they are; ours comes last, if that stays within the limits.
pub fn replace(header: &[u8], ours: Option<&dyn Member>) -> Written {
    let mut out = Vec::with_capacity(header.len() + OURS_BYTES);
    let mut count = 0_usize;
    for other in members(header).filter(|member| !is_ours(member)) {
        separate(&mut out);
        out.extend_from_slice(other);
        count += 1;
    }
    let Some(ours) = ours else { return Written { header: out, omitted: false } };
    let before = out.len();
    separate(&mut out);
    out.extend_from_slice(KEY);
    out.push(b'=');
    ours.write(&mut out);
    let omitted = out.len() > BYTES_MAX || count >= MEMBERS_MAX;
    if omitted {
        out.truncate(before);
    }
    Written { header: out, omitted }
}

/// Room kept for our member: 5 for its key, 3 + 63 + 1 + 21 + 1 + 4 for its value, 21 for its id, a comma.
const OURS_BYTES: usize = 128;

fn separate(out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b',');
    }
}

/// Percent-encoding (RFC 3986, section 2.1), as SDKs write values; what is no escape stays.
fn unescape(value: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut rest = value;
    while let Some((&first, after)) = rest.split_first() {
        let hex = |at: usize| after.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(first);
                rest = after;
            }
        }
    }
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
