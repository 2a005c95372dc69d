//! The likelihood of gaps: the caller's own work between what let it go on and its going on.
//!
//! Gaps are counted in bins of a ratio; their likelihood is that of a categorical distribution under a symmetric Dirichlet prior, as a density over time.

use super::super::GOING_ON_NS;

/// Gaps between what lets a caller go on and its going on, by length.
#[derive(Clone, Debug)]
pub(super) struct Gaps {
    bins: [u32; Self::BINS],
    /// Shorter gaps are alike.
    floor_ns: f64,
    /// The caller had gone on before.
    contradicted: u32,
}

impl Gaps {
    /// Two bins an octave, from the floor up: half an hour from 20 us.
    const BINS: usize = 54;
    /// A caller's own bookkeeping: where clocks tick finer than this, gaps below are alike.
    pub(super) const FLOOR_NS: f64 = 20_000.0;
    /// Pseudo-counts of each bin: less than a half, since most of so many bins stay empty.
    const PRIOR: f64 = 0.1;
    /// Logarithm of the probability of a contradiction times its density: one request in 200 errs, and by anything up to a second.
    const CONTRADICTION: f64 = -26.0;

    /// None yet; gaps shorter than `floor_ns`, above 0, are alike.
    pub(super) const fn new(floor_ns: f64) -> Self {
        Self { bins: [0; Self::BINS], floor_ns, contradicted: 0 }
    }

    /// Counts a gap, or takes it back.
    pub(super) fn file(&mut self, gap_ns: i64, times: i32) {
        let slot = if gap_ns < -GOING_ON_NS {
            Some(&mut self.contradicted)
        } else {
            let octaves = (gap_ns as f64 / self.floor_ns).log2();
            let bin = if octaves > 0.0 { 1 + (2.0 * octaves) as usize } else { 0 };
            self.bins.get_mut(bin.min(Self::BINS - 1))
        };
        slot.into_iter().for_each(|count| *count = count.saturating_add_signed(times));
    }

    /// Logarithm of the marginal likelihood, density per nanosecond. O(gaps).
    pub(super) fn weight(&self) -> f64 {
        let (mut weight, mut seen) = (f64::from(self.contradicted) * Self::CONTRADICTION, 0_u32);
        for (bin, &count) in self.bins.iter().enumerate().filter(|(_, count)| **count > 0) {
            for i in 0..count {
                let (kept, all) =
                    (f64::from(i) + Self::PRIOR, f64::from(seen) + Self::PRIOR * Self::BINS as f64);
                weight += (kept / all).ln();
                seen += 1;
            }
            weight -= f64::from(count) * self.width(bin).ln();
        }
        weight
    }

    /// Width of a bin, nanoseconds: never less than the first one's, or gaps a little longer than the floor would be likelier than shorter ones.
    fn width(&self, bin: usize) -> f64 {
        let first = self.floor_ns + GOING_ON_NS as f64;
        let from = self.floor_ns * (bin.saturating_sub(1) as f64 / 2.0).exp2();
        first.max(from * (std::f64::consts::SQRT_2 - 1.0))
    }
}
