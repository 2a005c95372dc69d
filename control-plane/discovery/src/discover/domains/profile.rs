//! How sure a label makes us.
//!
//! `paper-v2` are the replay's constants: 0.95 for labels that agree, `max(0.35, 0.35 + 0.30 s)` for labels in conflict of which the most
//! frequent value has share `s`, 0.20 for none; the least of the rules counts.
//!
//! `calibrated` is the posterior probability that the next witness says what the most frequent value says, under a Dirichlet prior of 1/2 per
//! value with room for one value not seen yet (Krichevsky and Trofimov 1981): `(n_max + 1/2) / (N + (K + 1)/2)` for `N` witnesses of `K` values.
//! Spans of one process repeat one label, so that of the spans of one service at most 20 count; a replica, a label in a file, counts once. For a
//! component said to be spread, the witnesses that matter are the `m` outside of the largest value, and any one of them is enough:
//! `(m + 1/2) / (m + 1)`. Rules are taken as independent of each other: their confidences multiply. What nobody says has confidence 0. The
//! intent's word is not a sample: 0.95 in both profiles.

use emac_core::units::Ratio;

/// A way to put numbers on how sure a field is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConfidenceProfile {
    /// Constants of the paper's replay.
    PaperV2,
    /// Posterior probabilities with their sample sizes.
    #[default]
    Calibrated,
}

/// The paper's confidence in labels that agree; it stands for the intent's word in both profiles, since that is no sample.
pub(super) const DECLARED: f64 = 0.95;
/// The paper's confidence where no label is found.
const MISSING: f64 = 0.20;
/// The paper's least confidence in labels in conflict, and what the share of the most frequent value adds.
const CONFLICT: f64 = 0.35;
const CONFLICT_SHARE: f64 = 0.30;
/// Most witnesses that spans of one service and value stand for.
pub(super) const SPANS_MAX: u64 = 20;

/// What was counted of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tally {
    /// Nothing was said.
    Missing,
    /// One value, or one that outweighs the others.
    Value { most: u64, all: u64, values: u64, conflicting: bool },
    /// Replicas in several places; `outside`: witnesses outside of the largest.
    Spread { outside: u64 },
}

impl ConfidenceProfile {
    /// Confidence in one rule's finding.
    pub(super) fn confidence(self, tally: Tally) -> f64 {
        match (self, tally) {
            (Self::PaperV2, Tally::Missing) => MISSING,
            (Self::PaperV2, Tally::Value { most, all, conflicting: true, .. }) => {
                CONFLICT + CONFLICT_SHARE * most as f64 / all.max(1) as f64
            }
            (Self::PaperV2, _) => DECLARED,
            (Self::Calibrated, Tally::Missing) => 0.0,
            (Self::Calibrated, Tally::Value { most, all, values, .. }) => {
                (most as f64 + 0.5) / (all as f64 + (values as f64 + 1.0) / 2.0)
            }
            (Self::Calibrated, Tally::Spread { outside }) => (outside as f64 + 0.5) / (outside as f64 + 1.0),
        }
    }

    /// Confidence in all rules together.
    pub(super) fn together(self, each: impl Iterator<Item = f64>) -> f64 {
        match self {
            Self::PaperV2 => each.fold(DECLARED, f64::min),
            Self::Calibrated => each.product(),
        }
    }
}

/// A number that is a probability by its formula, to eight decimals as all that is written.
pub(super) fn ratio(value: f64) -> Ratio {
    Ratio::new((value.clamp(0.0, 1.0) * 1e8).round() / 1e8).unwrap_or_default()
}
