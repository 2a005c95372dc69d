//! Whether confidence is what it says: of what is claimed with 90 %, nine in ten are right.
//!
//! Claims are put into bins by their confidence. A bin is calibrated when the mean confidence of its claims lies inside the exact
//! (Clopper-Pearson) interval of its share of right ones; being right more often than claimed is no harm, so [`Bin::overclaims`] asks one side only.
//! Claims of one world depend on each other, so many small worlds say more than one large one.

use std::collections::BTreeMap;
use std::fmt;

use emac_compile::model::{Field, Finding};
use emac_core::bound::Interval;
use emac_core::bound::latency::clopper_pearson;
use emac_core::journey;

use super::form::Form;
use super::{Edges, inside, nodes_by_text};

/// A claim and whether it is right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    /// `edges`, `operator` or `probability`.
    pub field: &'static str,
    /// As claimed.
    pub confidence: f64,
    /// As it is.
    pub right: bool,
}

/// Claims of similar confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Confidences from here.
    pub from: f64,
    /// To here.
    pub to: f64,
    /// Mean confidence.
    pub claimed: f64,
    /// Right ones.
    pub right: u64,
    /// All.
    pub all: u64,
}

impl Bin {
    /// Interval of the share that is right, at level 95 %.
    pub fn interval(&self) -> Interval {
        clopper_pearson(self.right, self.all, 0.05)
    }

    /// Right less often than claimed, beyond chance.
    pub fn overclaims(&self) -> bool {
        self.interval().hi() < self.claimed
    }
}

/// Edges of the bins: fine where decisions are made (acting needs 0.80).
pub const BINS: [f64; 8] = [0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0 + f64::EPSILON];

/// Claims by bin; empty bins are left out.
pub fn reliability<'a>(claims: impl Iterator<Item = &'a Claim>) -> Vec<Bin> {
    let mut bins: Vec<Bin> = BINS
        .windows(2)
        .map(|ends| Bin { from: ends[0], to: ends[1].min(1.0), claimed: 0.0, right: 0, all: 0 })
        .collect();
    for claim in claims {
        let at = BINS.partition_point(|from| *from <= claim.confidence).clamp(1, bins.len()) - 1;
        let bin = &mut bins[at];
        bin.claimed += claim.confidence;
        bin.right += u64::from(claim.right);
        bin.all += 1;
    }
    bins.retain(|bin| bin.all > 0);
    bins.iter_mut().for_each(|bin| bin.claimed /= bin.all as f64);
    bins
}

/// Judges the findings of one journey. Domains and runtime parameters are not judged here, nor are texts that the structure does not
/// have.
pub fn judge(
    findings: &BTreeMap<Field, Finding>,
    found: &journey::Journey,
    truth: &journey::Journey,
    edges: &Edges,
) -> Vec<Claim> {
    let texts = nodes_by_text(found.root());
    let truth = Form::of(truth.root());
    let claim = |(field, finding): (&Field, &Finding)| {
        let (name, right) = match field {
            Field::Edge { from, to } => ("edges", Some(edges.contains(&(from.clone(), to.clone())))),
            Field::Operator(text) => ("operator", texts.get(text).and_then(|form| is_node(form, &truth))),
            Field::Probability(text) => ("probability", texts.get(text).and_then(|f| is_likely(f, &truth))),
            _ => ("", None),
        };
        Some(Claim { field: name, confidence: finding.confidence.get(), right: right? })
    };
    findings.iter().filter_map(claim).collect()
}

fn is_node(form: &Form, truth: &Form) -> Option<bool> {
    Some(truth.nodes().contains(&form.node()?))
}

/// Whether every choice of a branch that is there has its true probability inside.
fn is_likely(form: &Form, truth: &Form) -> Option<bool> {
    let truth: BTreeMap<_, _> = truth.branches().into_iter().collect();
    let (leaves, choices) = form.branches().into_iter().next()?;
    let theirs = truth.get(&leaves)?;
    Some(choices.iter().all(|(leaves, p)| theirs.get(leaves).is_some_and(|p_true| inside(*p, *p_true))))
}

impl fmt::Display for Bin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = self.right as f64 / self.all.max(1) as f64;
        let interval = self.interval();
        let verdict = if self.overclaims() { "OVERCLAIMS" } else { "" };
        write!(
            f,
            "{:.2}..{:.2}  claimed {:.4}  right {share:.4} ({}/{}) [{:.4}, {:.4}] {verdict}",
            self.from,
            self.to,
            self.claimed,
            self.right,
            self.all,
            interval.lo(),
            interval.hi()
        )
    }
}
