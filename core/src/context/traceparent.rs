//! W3C Trace Context, level 1, section 3.2: the header `traceparent`.

use alloc::vec::Vec;

/// Of version 0.
const HEADER_BYTES: usize = 55;

/// `<version>-<trace id>-<parent span id>-<flags>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// Never all zero.
    pub trace_id: [u8; 16],
    /// The caller's span. Never all zero.
    pub parent_span_id: [u8; 8],
    /// The caller records this trace.
    pub sampled: bool,
}

/// Not a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTraceParent {
    /// Not the four fields at their places.
    #[error("traceparent is not version-traceid-parentid-flags")]
    Layout,
    /// Something else than lower-case hex digits.
    #[error("traceparent has a field that is not lower-case hex")]
    Hex,
    /// Version 255, or an id of zeros.
    #[error("traceparent has a forbidden version or an id of zeros")]
    Forbidden,
}

impl TraceParent {
    /// The header, of version 0.
    pub fn to_header(self) -> Vec<u8> {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        push_hex(&mut header, &[0]);
        header.push(b'-');
        push_hex(&mut header, &self.trace_id);
        header.push(b'-');
        push_hex(&mut header, &self.parent_span_id);
        header.push(b'-');
        push_hex(&mut header, &[u8::from(self.sampled)]);
        header
    }

    /// Reads the header. Versions above 0 may carry more after the flags, which is ignored.
    ///
    /// # Errors
    /// [`InvalidTraceParent`].
    pub fn parse(header: &[u8]) -> Result<Self, InvalidTraceParent> {
        let mut fields = header.split(|&b| b == b'-');
        let mut field = || fields.next().ok_or(InvalidTraceParent::Layout);
        let [version] = hex(field()?)?;
        let trace_id: [u8; 16] = hex(field()?)?;
        let parent_span_id: [u8; 8] = hex(field()?)?;
        let [flags] = hex(field()?)?;
        if version == 0 && fields.next().is_some() {
            return Err(InvalidTraceParent::Layout);
        }
        if version == 0xff || trace_id == [0; 16] || parent_span_id == [0; 8] {
            return Err(InvalidTraceParent::Forbidden);
        }
        Ok(Self { trace_id, parent_span_id, sampled: flags & 1 != 0 })
    }
}

fn hex<const N: usize>(text: &[u8]) -> Result<[u8; N], InvalidTraceParent> {
    if text.len() != 2 * N {
        return Err(InvalidTraceParent::Layout);
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = pair
            .iter()
            .try_fold(0, |byte, &digit| Some(byte << 4 | nibble(digit)?))
            .ok_or(InvalidTraceParent::Hex)?;
    }
    Ok(out)
}

fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.push(digit(byte >> 4));
        out.push(digit(byte & 0xf));
    }
}

const fn digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
