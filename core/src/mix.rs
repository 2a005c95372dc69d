//! SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014): a good hash of a number, and from it
//! draws that are the same everywhere. Pure: the seed is the caller's. Not for secrets.

/// What the generator's state grows by: 2^64 divided by the golden ratio, odd.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// Neighbouring numbers to unrelated ones, each to another: the generator's first draw from this state.
///
/// ```
/// assert_eq!(emac_core::mix::mix(0), 0xe220_a839_7b1d_cdaf);
/// ```
pub const fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(GAMMA);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The next draw, uniform over all 64 bits; `state` begins as the seed.
pub const fn next(state: &mut u64) -> u64 {
    let drawn = mix(*state);
    *state = state.wrapping_add(GAMMA);
    drawn
}

/// The next draw as a number in `[0, 1)`: a multiple of 2^-53.
pub const fn unit(state: &mut u64) -> f64 {
    (next(state) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first draws of the published algorithm from this seed, as other implementations give them.
    #[test]
    fn draws_are_those_of_splitmix64() {
        let mut state = 1_234_567;
        let drawn = [(); 5].map(|()| next(&mut state));
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821
            ]
        );
    }

    #[test]
    fn shares_are_below_one() {
        let mut state = 3;
        let drawn = [(); 100].map(|()| unit(&mut state));
        assert!(drawn.iter().all(|share| (0.0..1.0).contains(share)));
        assert!((drawn.iter().sum::<f64>() / 100.0 - 0.5).abs() < 0.1);
    }
}
