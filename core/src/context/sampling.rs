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

#[cfg(test)]
mod tests {
    use super::*;

    /// First outputs of the published generator, started at 0 and at 1 234 567: every sidecar, of whatever version, chooses the same.
    #[test]
    fn the_mix_is_that_of_splitmix64() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(1_234_567), 6_457_827_717_110_365_317);
    }

    /// 6457827717110365317 / 2^64 is 0.350079...
    #[test]
    fn a_trace_is_chosen_from_its_own_millionth_on() {
        let low = 0_u64;
        let id = u128::from(1_234_567 ^ mix(low)) << 64 | u128::from(low);
        let chosen = |ppm| is_chosen(id.to_be_bytes(), Ppm::new(ppm).unwrap());
        assert_eq!([350_078, 350_079, 350_080].map(chosen), [false, false, true]);
    }
}
