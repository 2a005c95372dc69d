//! Our member in a W3C Baggage header: found, replaced, taken out; the others kept byte for byte.
//!
//! Limits are those of the W3C recommendation (8 192 bytes, 64 members). Ours is not added to a header that it would bring beyond them:
//! what others wrote stays, ours is left out ([`Written::omitted`]). It is read wherever it stands, though, since an SDK may make a header
//! longer by escaping it. Ours comes first, because SDKs that stop early, at a limit or at a member they cannot read, have passed it by
//! then. Properties of our member (`;...`) that we do not know are not written again.

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
/// [`InvalidContext`] when there are two, or the member is not ours to understand.
pub fn find<'a>(
    header: &'a [u8],
    decoded: &'a mut Vec<u8>,
) -> Result<Option<Context<'a, Deadline>>, InvalidContext> {
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
/// The others keep their bytes and order, whatever they are; ours comes first, if that stays within the limits.
pub fn replace(header: &[u8], ours: Option<&dyn Member>) -> Written {
    let mut out = Vec::with_capacity(header.len() + OURS_BYTES);
    if let Some(ours) = ours {
        out.extend_from_slice(KEY);
        out.push(b'=');
        ours.write(&mut out);
    }
    let own = out.len();
    let mut count = 0_usize;
    for other in members(header).filter(|member| !is_ours(member)) {
        separate(&mut out);
        out.extend_from_slice(other);
        count += 1;
    }
    let omitted = ours.is_some() && (out.len() > BYTES_MAX || count >= MEMBERS_MAX);
    if omitted {
        // With the comma behind it; a header that is too long has others.
        out.drain(..(own + 1).min(out.len()));
    }
    Written { header: out, omitted }
}

/// Whether a header may have lost our member because there was no room for it.
pub fn is_full(header: &[u8]) -> bool {
    header.len() + OURS_BYTES > BYTES_MAX || members(header).nth(MEMBERS_MAX - 1).is_some()
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
