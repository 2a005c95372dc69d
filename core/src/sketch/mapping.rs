//! From a value to its bucket and back, in integers only.
//!
//! Bucket `i` of schema 5 covers `(2^(i/32), 2^((i+1)/32)]`, upper end included, as in the OpenTelemetry data model ("Exponential
//! Histogram", scale 5) and in Prometheus native histograms, whose index is one higher. A *slot* is the Prometheus index: slot
//! `s` ends at `2^(s/32)`. Values are whole microseconds, so the slot of `v` is found without logarithms, from the bits of `v` as
//! a double: the exponent is the octave, and the fraction is compared with the one boundary that can lie in its 64th of the
//! octave (boundaries are at least 2.19 % apart, a 64th is at most 1.57 % wide). The conversion is exact. Counting leading zeros
//! would do the same, but costs twice as much where the processor has only `bsr`, whose result waits for the one before.
//!
//! The 32 boundaries are literals; a test proves each with exact integer arithmetic.

/// Buckets per doubling.
pub(super) const PER_OCTAVE: u32 = 32;
/// Largest value with a bucket of its own, `2^27` us or about 134 s.
pub(super) const VALUE_MAX: u64 = 1 << 27;
/// Slots `0 ..= 864` end at `1 us ..= 2^27 us`; the last one takes everything above.
pub(super) const SLOTS: usize = 27 * PER_OCTAVE as usize + 2;
/// The slot of values above [`VALUE_MAX`].
pub(super) const SLOT_OVERFLOW: usize = SLOTS - 1;

/// `floor(2^(31 + k/32))`: the top bit is the octave, the others its fraction. Only `k = 0` is a whole number, so for integers `m > floor(b)` is `m > b`.
const BOUNDARIES: [u32; PER_OCTAVE as usize] = [
    0x8000_0000,
    0x82cd_8698,
    0x85aa_c367,
    0x8898_0e80,
    0x8b95_c1e3,
    0x8ea4_398b,
    0x91c3_d373,
    0x94f4_efa8,
    0x9837_f051,
    0x9b8d_39b9,
    0x9ef5_3260,
    0xa270_4303,
    0xa5fe_d6a9,
    0xa9a1_5ab4,
    0xad58_3eea,
    0xb123_f581,
    0xb504_f333,
    0xb8fb_af47,
    0xbd08_a39f,
    0xc12c_4cca,
    0xc567_2a11,
    0xc9b9_bd86,
    0xce24_8c15,
    0xd2a8_1d91,
    0xd744_fcca,
    0xdbfb_b797,
    0xe0cc_deec,
    0xe5b9_06e7,
    0xeac0_c6e7,
    0xefe4_b99b,
    0xf525_7d15,
    0xfa83_b2db,
];

/// Exponent field of `1.0_f64`.
const EXPONENT_OF_ONE: u32 = 1_023;
const CELL_BITS: u32 = 6;
const CELLS: [Cell; 1 << CELL_BITS] = cells();

/// A 64th of the octave.
#[derive(Clone, Copy)]
struct Cell {
    /// Boundaries below the cell.
    below: u32,
    /// Fraction of the octave, in units of 2^-32, of the first boundary in or above the cell.
    boundary: u32,
}

impl Cell {
    /// Above all boundaries.
    const LAST: Self = Self { below: PER_OCTAVE, boundary: u32::MAX };
}

#[allow(clippy::indexing_slicing)] // evaluated by the compiler, which refuses an index out of range
const fn cells() -> [Cell; 1 << CELL_BITS] {
    let mut cells = [Cell::LAST; 1 << CELL_BITS];
    let mut cell = 0;
    while cell < cells.len() {
        let start = (1 << 31) + ((cell as u32) << (31 - CELL_BITS));
        let mut below = 0;
        while below < BOUNDARIES.len() && BOUNDARIES[below] < start {
            below += 1;
        }
        if below < BOUNDARIES.len() {
            cells[cell] = Cell { below: below as u32, boundary: BOUNDARIES[below] << 1 };
        }
        cell += 1;
    }
    cells
}

/// The slot of a value in microseconds; 0 counts as 1.
#[inline]
pub(super) fn slot_of(value: u64) -> usize {
    let value = value.clamp(1, VALUE_MAX + 1) as u32;
    // Exact: 28 bits fit the 53 of a double.
    let bits = f64::from(value).to_bits();
    let octave = (bits >> 52) as u32 - EXPONENT_OF_ONE;
    let fraction = (bits >> 20) as u32;
    let Cell { below, boundary } =
        CELLS.get((fraction >> (32 - CELL_BITS)) as usize).copied().unwrap_or(Cell::LAST);
    (octave * PER_OCTAVE + below + u32::from(fraction > boundary)) as usize
}

/// Largest whole value of a slot: `floor(2^(slot/32))`, or `u64::MAX` for the overflow slot.
pub(super) fn upper_of(slot: usize) -> u64 {
    if slot >= SLOT_OVERFLOW {
        return u64::MAX;
    }
    let slot = slot as u32;
    let boundary = BOUNDARIES.get((slot % PER_OCTAVE) as usize).copied().unwrap_or(u32::MAX);
    u64::from(boundary >> (31 - slot / PER_OCTAVE))
}

/// Largest whole value below a slot; 0 for the first.
pub(super) fn lower_of(slot: usize) -> u64 {
    slot.checked_sub(1).map_or(0, upper_of)
}

/// The value that stands for a slot: the harmonic mean of its smallest and largest whole value, whose relative error is the
/// least possible and at most `(g-1)/(g+1)` = 1.083 % with `g = 2^(1/32)` (DDSketch, Masson et al. 2019, lemma 2). The
/// overflow slot is represented by [`VALUE_MAX`].
pub(super) fn value_of(slot: usize) -> f64 {
    let last = upper_of(slot).min(VALUE_MAX) as f64;
    let first = (lower_of(slot) as f64 + 1.0).min(last);
    2.0 * first * last / (first + last)
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    /// `2^exponent >= x^32`, in exact arithmetic on 32-bit limbs.
    fn power_at_most(x: u32, exponent: u32) -> bool {
        let mut limbs = vec![1_u32];
        for _ in 0..32 {
            limbs = multiply(&limbs, x);
        }
        let bits = limbs.len() as u32 * 32 - limbs.last().unwrap().leading_zeros();
        let is_power = limbs.iter().map(|limb| limb.count_ones()).sum::<u32>() == 1;
        bits <= exponent || (bits == exponent + 1 && is_power)
    }

    fn multiply(limbs: &[u32], x: u32) -> Vec<u32> {
        let mut carry = 0_u64;
        let mut product: Vec<u32> = limbs
            .iter()
            .map(|&limb| {
                carry += u64::from(limb) * u64::from(x);
                let low = carry as u32;
                carry >>= 32;
                low
            })
            .collect();
        if carry > 0 {
            product.push(carry as u32);
        }
        product
    }

    #[test]
    fn boundaries_are_the_floors_of_the_powers() {
        for (k, boundary) in (0..).zip(BOUNDARIES) {
            assert!(power_at_most(boundary, 31 * 32 + k), "boundary {k} is too large");
            assert!(!power_at_most(boundary + 1, 31 * 32 + k), "boundary {k} is too small");
        }
    }

    #[test]
    fn no_cell_holds_two_boundaries() {
        for cell in 0..1_u32 << CELL_BITS {
            let start = (1 << 31) + (cell << (31 - CELL_BITS));
            let end = start.saturating_add(1 << (31 - CELL_BITS));
            assert!(BOUNDARIES.iter().filter(|&&b| start <= b && b < end).count() <= 1, "cell {cell}");
        }
    }

    #[test]
    fn a_value_lies_in_its_slot() {
        let near_edges = (0..SLOTS).flat_map(|slot| {
            let upper = upper_of(slot).min(VALUE_MAX);
            [upper.saturating_sub(1), upper, upper + 1]
        });
        for value in near_edges.chain(0..100_000) {
            let slot = slot_of(value);
            assert!(value.max(1) > lower_of(slot) && value <= upper_of(slot), "{value} in slot {slot}");
        }
        assert_eq!(slot_of(VALUE_MAX), SLOT_OVERFLOW - 1);
        assert_eq!(slot_of(VALUE_MAX + 1), SLOT_OVERFLOW);
        assert_eq!(slot_of(u64::MAX), SLOT_OVERFLOW);
    }

    #[test]
    fn the_representative_is_within_the_error_of_both_ends() {
        for slot in 0..SLOT_OVERFLOW {
            let (first, last) = (lower_of(slot) + 1, upper_of(slot));
            for value in [first.min(last), last] {
                let error = (value_of(slot) / value as f64 - 1.0).abs();
                assert!(error <= super::super::RELATIVE_ERROR_MAX, "slot {slot}: {error}");
            }
        }
    }
}
