//! Which traces are recorded hop by hop: the same ones in every sidecar, with nothing said between them.

use crate::mix::mix;
use crate::units::Ppm;

/// Whether a trace belongs to the share that is recorded.
///
/// Deterministic in the trace id, and monotone in the share: a trace chosen at a small share is chosen at every larger one. The id is
/// mixed ([`mix`]) because only part of it need be random.
pub fn is_chosen(trace_id: [u8; 16], share: Ppm) -> bool {
    let id = u128::from_be_bytes(trace_id);
    let mixed = mix((id >> 64) as u64 ^ mix(id as u64));
    let point = (u128::from(mixed) * u128::from(Ppm::ONE.get())) >> 64;
    point < u128::from(share.get())
}
