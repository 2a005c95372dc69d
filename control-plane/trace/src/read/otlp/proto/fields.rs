//! The fields of a protobuf message that is whole in memory (protobuf, "Encoding").

use prost::encoding::decode_varint;

/// Wire type of varints.
pub(super) const VARINT: u8 = 0;
/// Wire type of 8 bytes.
pub(super) const FIXED64: u8 = 1;
/// Wire type of what has its length before it.
pub(super) const LENGTH: u8 = 2;
/// Wire type of 4 bytes.
pub(super) const FIXED32: u8 = 5;

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    /// Varint or fixed.
    Number(u64),
    /// Text, bytes or a message.
    Bytes(&'a [u8]),
}

/// Goes over the fields; ends with an error where there is none. Groups, which nobody writes any more, are errors.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// These bytes are no field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoField;

impl<'a> Fields<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[inline(always)]
    fn take(&mut self) -> Option<(u32, Field<'a>)> {
        let (number, wire_type) = key(&mut self.rest)?;
        let value = match wire_type {
            VARINT => Field::Number(varint(&mut self.rest)?),
            FIXED64 => Field::Number(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?)),
            FIXED32 => Field::Number(u64::from(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?))),
            LENGTH => {
                let length = usize::try_from(varint(&mut self.rest)?).ok()?;
                Field::Bytes(self.bytes(length)?)
            }
            _ => return None,
        };
        Some((number, value))
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Field<'a>), NoField>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.take();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field.ok_or(NoField))
    }
}

/// Number, wire type, length of the header, and length of the value behind it.
pub(super) fn header(bytes: &[u8]) -> Option<(u32, u8, usize, u64)> {
    let mut rest = bytes;
    let (number, wire_type) = key(&mut rest)?;
    let length = match wire_type {
        VARINT => varint(&mut rest).map(|_| 0)?,
        FIXED64 => 8,
        FIXED32 => 4,
        LENGTH => varint(&mut rest)?,
        _ => return None,
    };
    Some((number, wire_type, bytes.len() - rest.len(), length))
}

#[inline]
fn key(rest: &mut &[u8]) -> Option<(u32, u8)> {
    let key = u32::try_from(varint(rest)?).ok()?;
    (key >> 3 != 0).then_some((key >> 3, (key & 7) as u8))
}

/// Most varints are one byte. A span has some sixty, so that a call for each would be a tenth of reading it.
#[inline(always)]
fn varint(rest: &mut &[u8]) -> Option<u64> {
    match rest.split_first() {
        Some((&byte, behind)) if byte < 0x80 => {
            *rest = behind;
            Some(u64::from(byte))
        }
        _ => long_varint(rest),
    }
}

#[inline(never)]
fn long_varint(rest: &mut &[u8]) -> Option<u64> {
    decode_varint(rest).ok()
}
