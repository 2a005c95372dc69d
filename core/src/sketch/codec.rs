//! The sketch as bytes: `version total token*`, canonical and self-checking.
//!
//! - An empty sketch is no bytes at all, so that an absent field means "nothing".
//! - `version` is one byte, 1.
//! - `total` is a varint: everything recorded. It must be the sum of the counts, or more when some count is full; so a
//!   message cut at a token's end is noticed.
//! - A token is one slot with a count: varint of `(count - 1) << 2 | gap`, where `gap` empty slots come first; `gap = 3` means
//!   `3 +` the varint that follows. Typical counts and gaps share one byte.
//!
//! Varints are LEB128 of at most 64 bits in their shortest form. Each sketch has exactly one encoding, and decoding is bounded:
//! it allocates nothing but the sketch itself and reads at most [`ENCODED_BYTES_MAX`] bytes.

use alloc::vec::Vec;

use super::mapping::SLOTS;
use super::store::Store;

/// First byte of every encoding that is not empty.
pub(super) const VERSION: u8 = 1;
/// Longest valid encoding: version, total, and a token of five bytes for each slot.
pub const ENCODED_BYTES_MAX: usize = 1 + 10 + 5 * SLOTS;
/// Gaps from here on take a varint of their own.
const GAP_LONG: usize = 3;
const GAP_BITS: u32 = 2;

/// Why bytes are no sketch. `at` is the offset of the first byte of what was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSketch {
    /// Another version; written by a newer sidecar.
    #[error("sketch version {found} is not known (this is version 1)")]
    Version {
        /// Version byte found.
        found: u8,
    },
    /// More bytes than any sketch needs.
    #[error("a sketch has at most {ENCODED_BYTES_MAX} bytes, this one has {len}")]
    TooLong {
        /// Bytes given.
        len: usize,
    },
    /// The bytes end inside a number.
    #[error("sketch ends inside a number at byte {at}")]
    Truncated {
        /// Offset.
        at: usize,
    },
    /// A number above 64 bits, or one written with more bytes than it needs.
    #[error("sketch has an overlong number at byte {at}")]
    Overlong {
        /// Offset.
        at: usize,
    },
    /// A slot past the last one.
    #[error("sketch has more buckets than there are, at byte {at}")]
    Bucket {
        /// Offset.
        at: usize,
    },
    /// A count above 32 bits.
    #[error("sketch has a count above 32 bits at byte {at}")]
    Count {
        /// Offset.
        at: usize,
    },
    /// The total does not agree with the counts: cut short or damaged.
    #[error("sketch declares {declared} values and holds {held}")]
    Total {
        /// Total as written.
        declared: u64,
        /// Sum of the counts.
        held: u64,
    },
}

// === Writing ===

pub(super) fn encode(store: &Store, out: &mut Vec<u8>) {
    if store.total() == 0 {
        return;
    }
    out.push(VERSION);
    write_varint(out, store.total());
    let mut gap = 0;
    for &count in store.counts() {
        match count.checked_sub(1) {
            None => gap += 1,
            Some(less_one) => {
                write_token(out, gap, less_one);
                gap = 0;
            }
        }
    }
}

fn write_token(out: &mut Vec<u8>, gap: usize, less_one: u32) {
    write_varint(out, u64::from(less_one) << GAP_BITS | gap.min(GAP_LONG) as u64);
    if let Some(rest) = gap.checked_sub(GAP_LONG) {
        write_varint(out, rest as u64);
    }
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

// === Reading ===

/// Checks all of `bytes`, then adds them to `store`; on error `store` is as it was.
pub(super) fn merge(store: &mut Store, bytes: &[u8]) -> Result<(), InvalidSketch> {
    if let Some(checked) = check(bytes)? {
        store.add_all(checked.tokens.pairs(), checked.held, checked.total);
    }
    Ok(())
}

struct Checked<'a> {
    tokens: Reader<'a>,
    held: u64,
    total: u64,
}

fn check(bytes: &[u8]) -> Result<Option<Checked<'_>>, InvalidSketch> {
    let Some(&version) = bytes.first() else { return Ok(None) };
    if version != VERSION {
        return Err(InvalidSketch::Version { found: version });
    }
    if bytes.len() > ENCODED_BYTES_MAX {
        return Err(InvalidSketch::TooLong { len: bytes.len() });
    }
    let mut reader = Reader { bytes, at: 1 };
    let total = reader.varint()?;
    let checked = Checked { tokens: reader, held: 0, total };
    reader.check_tokens(checked).map(Some)
}

/// A place in the bytes; copied, not borrowed, so that the checked part can be read again.
#[derive(Clone, Copy)]
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn check_tokens(mut self, mut checked: Checked<'a>) -> Result<Checked<'a>, InvalidSketch> {
        let mut slot = 0;
        let mut any_full = false;
        while self.at < self.bytes.len() {
            let at = self.at;
            let (gap, count) = self.token()?;
            slot += gap;
            if slot >= SLOTS {
                return Err(InvalidSketch::Bucket { at });
            }
            slot += 1;
            any_full |= count == u32::MAX;
            checked.held += u64::from(count);
        }
        let (declared, held) = (checked.total, checked.held);
        if held == 0 || declared < held || (declared > held && !any_full) {
            return Err(InvalidSketch::Total { declared, held });
        }
        Ok(checked)
    }

    /// The (slot, count) pairs of tokens that were checked before.
    fn pairs(mut self) -> impl Iterator<Item = (usize, u32)> {
        let mut next = 0;
        core::iter::from_fn(move || {
            let (gap, count) = self.token().ok()?;
            let slot = next + gap;
            next = slot + 1;
            Some((slot, count))
        })
    }

    /// (empty slots before, count).
    #[inline]
    fn token(&mut self) -> Result<(usize, u32), InvalidSketch> {
        let at = self.at;
        let word = self.varint()?;
        let gap = match (word & 3) as usize {
            GAP_LONG => GAP_LONG + self.long_gap(at)?,
            short => short,
        };
        let count = (word >> GAP_BITS).checked_add(1).and_then(|count| u32::try_from(count).ok());
        Ok((gap, count.ok_or(InvalidSketch::Count { at })?))
    }

    fn long_gap(&mut self, token_at: usize) -> Result<usize, InvalidSketch> {
        let rest = self.varint()?;
        if rest < SLOTS as u64 { Ok(rest as usize) } else { Err(InvalidSketch::Bucket { at: token_at }) }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, InvalidSketch> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            Some(_) => self.long_varint(),
            None => Err(InvalidSketch::Truncated { at: self.at }),
        }
    }

    fn long_varint(&mut self) -> Result<u64, InvalidSketch> {
        let start = self.at;
        let mut value = 0_u64;
        for (shift, &byte) in (0..64).step_by(7).zip(self.bytes.get(start..).unwrap_or_default()) {
            self.at += 1;
            let low = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit; a last byte of zero says nothing.
            if low << shift >> shift != low || byte == 0 {
                return Err(InvalidSketch::Overlong { at: start });
            }
            value |= low << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        let full = self.at - start == 10;
        Err(if full { InvalidSketch::Overlong { at: start } } else { InvalidSketch::Truncated { at: start } })
    }
}
