//! Counts and sketches in few bytes: what windows hold in memory, and what the store's log holds on disk.
//!
//! Most hops have a few calls in half a second. As a value such a slot takes 7 KB (two dense sketches), packed some thirty bytes: a mask
//! of the counts that are not zero, those counts as varints, and each sketch in its own encoding. Packed values of one kind can stand
//! one behind the other; merging reads them all.

use emac_core::evidence::{DecisionCounts, HopDelta, JourneyDelta};
use emac_core::outcome::OutcomeCounts;
use emac_core::sketch::{InvalidSketch, Sketch};

/// Why bytes are no packed value.
#[derive(Debug, thiserror::Error)]
pub enum Damaged {
    /// They end inside a value.
    #[error("the bytes end inside a value")]
    Short,
    /// A number, a length or a mask that nothing here writes.
    #[error("{0} is not what this version writes")]
    Strange(&'static str),
    /// A sketch that is none.
    #[error(transparent)]
    Sketch(#[from] InvalidSketch),
}

/// A value that packs, and merges with packed ones.
pub trait Packed: Default {
    /// Appends the value.
    fn pack(&self, out: &mut Vec<u8>);

    /// Adds the packed value at the head of the bytes, and moves behind it.
    ///
    /// # Errors
    /// [`Damaged`]; part of it may have been added.
    fn merge_packed(&mut self, bytes: &mut Reader<'_>) -> Result<(), Damaged>;
}

const HOP_COUNTS: usize = 16;
const JOURNEY_COUNTS: usize = 10;

impl Packed for HopDelta {
    fn pack(&self, out: &mut Vec<u8>) {
        let mut counts = [0; HOP_COUNTS];
        counts[0] = self.retries;
        counts[1..8].copy_from_slice(&self.decisions.to_array());
        counts[8..].copy_from_slice(&self.outcomes.to_array());
        write_counts(out, &counts);
        write_sketch(out, &self.latency);
        write_sketch(out, &self.alternate_latency);
    }

    fn merge_packed(&mut self, bytes: &mut Reader<'_>) -> Result<(), Damaged> {
        let counts: [u64; HOP_COUNTS] = bytes.counts()?;
        let (mut decisions, mut outcomes) = ([0; 7], [0; 8]);
        decisions.copy_from_slice(&counts[1..8]);
        outcomes.copy_from_slice(&counts[8..]);
        self.retries = self.retries.saturating_add(counts[0]);
        self.decisions.merge(&DecisionCounts::from_array(decisions));
        self.outcomes.merge(&OutcomeCounts::from_array(outcomes));
        self.latency.merge_encoded(bytes.bytes()?)?;
        self.alternate_latency.merge_encoded(bytes.bytes()?)?;
        Ok(())
    }
}

impl Packed for JourneyDelta {
    fn pack(&self, out: &mut Vec<u8>) {
        let mut counts = [0; JOURNEY_COUNTS];
        (counts[0], counts[1]) = (self.within_deadline, self.degraded);
        counts[2..].copy_from_slice(&self.outcomes.to_array());
        write_counts(out, &counts);
        write_sketch(out, &self.latency);
    }

    fn merge_packed(&mut self, bytes: &mut Reader<'_>) -> Result<(), Damaged> {
        let counts: [u64; JOURNEY_COUNTS] = bytes.counts()?;
        let mut outcomes = [0; 8];
        outcomes.copy_from_slice(&counts[2..]);
        self.within_deadline = self.within_deadline.saturating_add(counts[0]);
        self.degraded = self.degraded.saturating_add(counts[1]);
        self.outcomes.merge(&OutcomeCounts::from_array(outcomes));
        self.latency.merge_encoded(bytes.bytes()?)?;
        Ok(())
    }
}

// === Writing ===

/// Appends a number: seven bits a byte, the lowest first.
pub(crate) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes of a number.
pub(crate) fn varint_length(value: u64) -> usize {
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Writes a number over one that takes as many bytes.
pub(crate) fn overwrite_varint(place: &mut [u8], mut value: u64) {
    for byte in place {
        if value < 0x80 {
            *byte = value as u8;
            return;
        }
        *byte = value as u8 | 0x80;
        value >>= 7;
    }
}

/// Appends bytes behind their length.
pub(crate) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn write_counts(out: &mut Vec<u8>, counts: &[u64]) {
    let mask = counts.iter().rev().fold(0, |mask, count| mask << 1 | u64::from(*count > 0));
    write_varint(out, mask);
    counts.iter().filter(|count| **count > 0).for_each(|count| write_varint(out, *count));
}

fn write_sketch(out: &mut Vec<u8>, sketch: &Sketch) {
    let at = out.len();
    // Most lengths take one byte.
    out.push(0);
    sketch.encode_into(out);
    let length = out.len() - at - 1;
    match u8::try_from(length) {
        Ok(length @ 0..0x80) => out[at] = length,
        _ => {
            let mut bytes = Vec::with_capacity(2);
            write_varint(&mut bytes, length as u64);
            out.splice(at..=at, bytes);
        }
    }
}

// === Reading ===

/// Bytes being read.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// From the first byte on.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether everything is read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes not yet read.
    pub(crate) fn len(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Damaged> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(Damaged::Short)?;
            self.rest = rest;
            let low = u64::from(byte & 0x7f);
            if low << shift >> shift != low {
                break;
            }
            value |= low << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damaged::Strange("a number above 64 bits"))
    }

    /// Bytes behind their length.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let length = usize::try_from(self.varint()?).map_err(|_| Damaged::Short)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Damaged::Short)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Text behind its length.
    pub(crate) fn text(&mut self) -> Result<&'a str, Damaged> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Damaged::Strange("text that is not UTF-8"))
    }

    fn counts<const N: usize>(&mut self) -> Result<[u64; N], Damaged> {
        let mask = self.varint()?;
        if mask >> N != 0 {
            return Err(Damaged::Strange("a mask of more counts"));
        }
        let mut counts = [0; N];
        for (_, count) in counts.iter_mut().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1) {
            *count = self.varint()?;
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use emac_core::units::Micros;
    use proptest::prelude::*;

    use super::*;

    fn sketch(values: &[(u64, u32)]) -> Sketch {
        let mut sketch = Sketch::new();
        values.iter().for_each(|(value, times)| sketch.record_n(Micros(*value), *times));
        sketch
    }

    prop_compose! {
        fn hop()(
            counts in prop::collection::vec(prop_oneof![Just(0), 0..300_u64, any::<u64>()], 16),
            latency in prop::collection::vec((0..200_000_000_u64, prop_oneof![1..5_u32, any::<u32>()]), 0..30),
            other in prop::collection::vec((0..200_000_000_u64, 1..5_u32), 0..3),
        ) -> HopDelta {
            HopDelta {
                retries: counts[0],
                decisions: DecisionCounts::from_array(counts[1..8].try_into().unwrap()),
                outcomes: OutcomeCounts::from_array(counts[8..].try_into().unwrap()),
                latency: sketch(&latency),
                alternate_latency: sketch(&other),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(0x9ACD), failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        /// Reading what was packed, one behind the other, is merging the values.
        #[test]
        fn merging_packed_values_is_merging_them(hops in prop::collection::vec(hop(), 1..4)) {
            let (mut bytes, mut merged, mut read) = (Vec::new(), HopDelta::default(), HopDelta::default());
            for hop in &hops {
                hop.pack(&mut bytes);
                merged.merge(hop);
            }
            let mut reader = Reader::new(&bytes);
            while !reader.is_empty() {
                read.merge_packed(&mut reader).unwrap();
            }
            prop_assert_eq!(&read, &merged);
            let journey = JourneyDelta { outcomes: merged.outcomes, latency: merged.latency, within_deadline: merged.retries, degraded: 0 };
            let (mut bytes, mut read) = (Vec::new(), JourneyDelta::default());
            journey.pack(&mut bytes);
            read.merge_packed(&mut Reader::new(&bytes)).unwrap();
            prop_assert_eq!(read, journey);
        }

        /// Whatever the bytes are, the answer is a value or an error, never a panic.
        #[test]
        fn any_bytes_are_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = HopDelta::default().merge_packed(&mut Reader::new(&bytes));
            let _ = JourneyDelta::default().merge_packed(&mut Reader::new(&bytes));
        }
    }

    #[test]
    fn a_value_cut_short_is_noticed() {
        let hop =
            HopDelta { retries: 300, latency: sketch(&[(1_000, 2), (9_000, 1)]), ..HopDelta::default() };
        let mut bytes = Vec::new();
        hop.pack(&mut bytes);
        assert!(bytes.len() < 20, "{}", bytes.len());
        for length in 0..bytes.len() {
            assert!(HopDelta::default().merge_packed(&mut Reader::new(&bytes[..length])).is_err());
        }
    }
}
