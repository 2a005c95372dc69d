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
use super::store::{ForEach, LOST_MAX, Store};

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
    let held = store.held();
    if held == 0 {
        return;
    }
    out.push(VERSION);
    write_varint(out, held + store.lost());
    let mut next = 0;
    for (slot, count) in store.nonzero() {
        write_token(out, slot - next, count - 1);
        next = slot + 1;
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
        store.add_all(checked.lost, checked.tokens);
    }
    Ok(())
}

struct Checked<'a> {
    tokens: Reader<'a>,
    lost: u64,
}

fn check(bytes: &[u8]) -> Result<Option<Checked<'_>>, InvalidSketch> {
    let Some(&version) = bytes.first() else { return Ok(None) };
    if version != VERSION {
        return Err(InvalidSketch::Version { found: version });
    }
    if bytes.len() > ENCODED_BYTES_MAX {
        return Err(InvalidSketch::TooLong { len: bytes.len() });
    }
    let mut tokens = Reader { bytes, at: 1 };
    let declared = tokens.varint()?;
    let Sums { held, any_full } = tokens.sums()?;
    match declared.checked_sub(held) {
        Some(0) if held > 0 => Ok(Some(Checked { tokens, lost: 0 })),
        Some(lost) if any_full && lost <= LOST_MAX => Ok(Some(Checked { tokens, lost })),
        _ => Err(InvalidSketch::Total { declared, held }),
    }
}

/// What the tokens add up to.
struct Sums {
    held: u64,
    any_full: bool,
}

/// A token of one byte.
fn short_token(byte: u8) -> (usize, u32) {
    (usize::from(byte & 3), u32::from(byte >> GAP_BITS) + 1)
}

/// Eight tokens of one byte each, the first in the lowest byte. A sum of its bytes' parts stays below 256.
struct Eight(u64);

impl Eight {
    const ONES: u64 = 0x0101_0101_0101_0101;

    /// Slots they cover, gaps included.
    fn slots(&self) -> usize {
        8 + Self::sum(self.0 & (Self::ONES * 3)) as usize
    }

    /// Sum of their counts.
    fn held(&self) -> u64 {
        8 + Self::sum(self.0 >> GAP_BITS & (Self::ONES * 0x1f))
    }

    fn sum(bytes: u64) -> u64 {
        bytes.wrapping_mul(Self::ONES) >> 56
    }
}

/// A place in the bytes; copied, not borrowed, so that the checked part can be read again.
#[derive(Clone, Copy)]
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn sums(mut self) -> Result<Sums, InvalidSketch> {
        let mut sums = Sums { held: 0, any_full: false };
        let mut next = 0;
        while self.at < self.bytes.len() {
            if let Some(eight) = self.eight().filter(|eight| eight.slots() <= SLOTS - next) {
                self.at += 8;
                next += eight.slots();
                sums.held += eight.held();
                continue;
            }
            let at = self.at;
            let (gap, count) = self.token()?;
            next += gap + 1;
            if next > SLOTS {
                return Err(InvalidSketch::Bucket { at });
            }
            sums.held += u64::from(count);
            sums.any_full |= count == u32::MAX;
        }
        Ok(sums)
    }

    /// The next eight bytes, if each is a token: most are, and eight are checked as quickly as one.
    #[inline]
    fn eight(&self) -> Option<Eight> {
        let word = u64::from_le_bytes(*self.bytes.get(self.at..)?.first_chunk()?);
        let long_gaps = word & (word >> 1) & Eight::ONES;
        (word & (Eight::ONES << 7) == 0 && long_gaps == 0).then_some(Eight(word))
    }

    /// (empty slots before, count).
    #[inline]
    fn token(&mut self) -> Result<(usize, u32), InvalidSketch> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 && usize::from(byte & 3) != GAP_LONG => {
                self.at += 1;
                Ok(short_token(byte))
            }
            _ => self.long_token(),
        }
    }

    fn long_token(&mut self) -> Result<(usize, u32), InvalidSketch> {
        let at = self.at;
        let word = self.varint()?;
        let gap = match (word & 3) as usize {
            GAP_LONG => GAP_LONG + self.long_gap(at)?,
            short => short,
        };
        let count = u32::try_from((word >> GAP_BITS) + 1).map_err(|_| InvalidSketch::Count { at })?;
        Ok((gap, count))
    }

    fn long_gap(&mut self, token_at: usize) -> Result<usize, InvalidSketch> {
        let rest = self.varint()?;
        if rest < SLOTS as u64 { Ok(rest as usize) } else { Err(InvalidSketch::Bucket { at: token_at }) }
    }

    fn varint(&mut self) -> Result<u64, InvalidSketch> {
        let start = self.at;
        let mut value = 0_u64;
        for (shift, &byte) in (0..64).step_by(7).zip(self.bytes.get(start..).unwrap_or_default()) {
            self.at += 1;
            let low = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit; a further byte of zero says nothing.
            if low << shift >> shift != low || (byte == 0 && shift > 0) {
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

impl ForEach for Reader<'_> {
    /// They were checked before.
    fn for_each(mut self, mut add: impl FnMut(usize, u32)) {
        let mut next = 0;
        let mut add_next = |gap: usize, count| {
            add(next + gap, count);
            next += gap + 1;
        };
        while self.at < self.bytes.len() {
            if let Some(Eight(word)) = self.eight() {
                self.at += 8;
                word.to_le_bytes().into_iter().map(short_token).for_each(|(gap, count)| add_next(gap, count));
            } else if let Ok((gap, count)) = self.token() {
                add_next(gap, count);
            } else {
                return;
            }
        }
    }
}
