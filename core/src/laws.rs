//! How the property tests of this crate are run.

use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;

/// `cases` cases from a fixed seed: the same on every machine. A case that fails is written to `core/proptest-regressions`, to be committed:
/// it is tried first from then on.
///
/// `PROPTEST_CASES` lowers the number of cases (mutation testing runs the tests thousands of times).
pub(crate) fn config(cases: u32, seed: u64) -> ProptestConfig {
    let most = std::env::var("PROPTEST_CASES").ok().and_then(|most| most.parse().ok());
    ProptestConfig {
        cases: most.map_or(cases, |most: u32| cases.min(most)),
        rng_seed: RngSeed::Fixed(seed),
        ..ProptestConfig::default()
    }
}
