//! Which traces are recorded hop by hop: the same ones in every sidecar, with nothing said between them.

use crate::units::Ppm;

/// Whether a trace belongs to the share that is recorded.
///
/// Deterministic in the trace id, and monotone in the share: a trace chosen at a small share is chosen at every larger one. The id is
/// mixed (finalizer of splitmix64, Steele et al. 2014) because only part of it need be random.
pub fn is_chosen(trace_id: [u8; 16], share: Ppm) -> bool {
    let id = u128::from_be_bytes(trace_id);
    let mixed = mix((id >> 64) as u64 ^ mix(id as u64));
    let point = (u128::from(mixed) * u128::from(Ppm::ONE.get())) >> 64;
    point < u128::from(share.get())
}

const fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
