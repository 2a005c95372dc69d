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

#[cfg(test)]
mod tests {
    use super::*;

    /// 6457827717110365317 / 2^64 is 0.350079...
    #[test]
    fn a_trace_is_chosen_from_its_own_millionth_on() {
        let low = 0_u64;
        let id = u128::from(1_234_567 ^ mix(low)) << 64 | u128::from(low);
        let chosen = |ppm| is_chosen(id.to_be_bytes(), Ppm::new(ppm).unwrap());
        assert_eq!([350_078, 350_079, 350_080].map(chosen), [false, false, true]);
    }
}
