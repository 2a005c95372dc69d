//! How right a discovery is: what was found beside what is true.
//!
//! Both expressions are first brought into one [`Form`], because one truth has several spellings. Then
//!
//! - **operators**: the set of (kind, set of leaves) of the inner nodes; precision, recall, F1 = 2 P R / (P + R), over all journeys together;
//! - **pairs**: for every two services that one service calls, whether they stand in series (and in which order), in parallel, or exclude or stand in
//!   for each other;
//! - **edges**: (caller, callee);
//! - **branches**: probabilities inside the interval that was stated, among choices of branches that were found;
//! - **invented redundancy**: found nodes by which a service stands in for another, or is retried, when the truth has no such thing. This is
//!   the mistake that makes a bound too good;
//! - **journeys**: those of the truth of which one was found with nearly the same services.
//!
//! [`calibration`] asks whether what is claimed with 90 % is right nine times in ten. Delays, counts, weights and timeouts are not scored here.

pub mod calibration;
pub mod form;
mod matching;
mod pairs;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use emac_core::journey::{self, Expr, Probability};

use form::{Form, Kind, Node};
pub use matching::{edges_of, score, siblings_of};
pub use pairs::{Relation, relations};

/// (caller, callee).
pub type Edges = BTreeSet<(String, String)>;

/// Right, found in all, true in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Found and true.
    pub right: u64,
    /// Found.
    pub found: u64,
    /// True.
    pub truth: u64,
}

impl Count {
    /// Share of the found that is true; 1 when nothing was found.
    pub fn precision(self) -> f64 {
        share(self.right, self.found)
    }

    /// Share of the truth that was found; 1 when there is nothing to find.
    pub fn recall(self) -> f64 {
        share(self.right, self.truth)
    }

    /// Harmonic mean of the two: `2 right / (found + truth)`.
    pub fn f1(self) -> f64 {
        share(2 * self.right, self.found + self.truth)
    }

    fn sets<T: Ord>(found: &BTreeSet<T>, truth: &BTreeSet<T>) -> Self {
        let right = found.intersection(truth).count() as u64;
        Self { right, found: found.len() as u64, truth: truth.len() as u64 }
    }

    fn add(&mut self, other: Self) {
        self.right += other.right;
        self.found += other.found;
        self.truth += other.truth;
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// Scores of one or many journeys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// Inner nodes, by kind; their sum is [`Score::operators`].
    pub kinds: BTreeMap<Kind, Count>,
    /// Pairs of siblings whose relation is the true one.
    pub pairs: Count,
    /// Calls.
    pub edges: Count,
    /// Choices whose probability lies inside the stated interval, and choices.
    pub probabilities: (u64, u64),
    /// Found nodes that claim a redundancy that is not there.
    pub invented: Vec<String>,
    /// Journeys.
    pub journeys: Count,
    /// What differed, for people: `seed 3: missed Race{paya, payb}`.
    pub differences: Vec<String>,
}

impl Score {
    /// All kinds together.
    pub fn operators(&self) -> Count {
        let mut all = Count::default();
        self.kinds.values().for_each(|count| all.add(*count));
        all
    }

    /// Adds another one.
    pub fn add(&mut self, other: Self) {
        other.kinds.into_iter().for_each(|(kind, count)| self.kinds.entry(kind).or_default().add(count));
        self.pairs.add(other.pairs);
        self.edges.add(other.edges);
        self.journeys.add(other.journeys);
        self.probabilities.0 += other.probabilities.0;
        self.probabilities.1 += other.probabilities.1;
        self.invented.extend(other.invented);
        self.differences.extend(other.differences);
    }

    /// One journey: its structure as found beside the true one. `siblings`: pairs that one service calls.
    pub fn structure(
        found: &journey::Journey,
        truth: &journey::Journey,
        siblings: &BTreeSet<(String, String)>,
    ) -> Self {
        let (found, truth) = (Form::of(found.root()), Form::of(truth.root()));
        let (mine, theirs) = (found.nodes(), truth.nodes());
        let mut score = Self {
            pairs: pairs::count(&found, &truth, siblings),
            probabilities: probabilities(&found, &truth),
            invented: pairs::invented(&found, &truth),
            ..Self::default()
        };
        let right: BTreeSet<&Node> = mine.intersection(&theirs).collect();
        mine.iter().for_each(|node| score.kinds.entry(node.0).or_default().found += 1);
        theirs.iter().for_each(|node| score.kinds.entry(node.0).or_default().truth += 1);
        right.into_iter().for_each(|node| score.kinds.entry(node.0).or_default().right += 1);
        let text = |what: &str, node: &Node| format!("{what} {:?}{:?}", node.0, node.1);
        score.differences.extend(theirs.difference(&mine).map(|node| text("missed", node)));
        score.differences.extend(mine.difference(&theirs).map(|node| text("found", node)));
        score
    }
}

/// A journey as discovery gives it.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its structure.
    pub structure: journey::Journey,
    /// Its calls.
    pub edges: Edges,
}

/// What of a world's truth a score is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// All of it.
    Truth,
    /// What at least so many sampled requests show.
    Exhibited(u64),
}

/// Choices inside their interval, and choices, of branches over the same leaves in both. The last choice of a branch is what the others leave, and
/// no evidence of its own.
fn probabilities(found: &Form, truth: &Form) -> (u64, u64) {
    let truth: BTreeMap<_, _> = truth.branches().into_iter().collect();
    let mut counts = (0, 0);
    for (leaves, choices) in found.branches() {
        let Some(theirs) = truth.get(&leaves) else { continue };
        for (leaves, p) in choices.into_iter().skip(1) {
            let Some(p_true) = theirs.get(&leaves) else { continue };
            counts = (counts.0 + u64::from(inside(p, *p_true)), counts.1 + 1);
        }
    }
    counts
}

/// Whether a stated interval holds the true probability.
pub(super) fn inside(stated: Probability, truth: Probability) -> bool {
    stated.lo() <= truth.lo() + 1e-12 && truth.hi() <= stated.hi() + 1e-12
}

/// The nodes of an expression by their canonical text, each judged in its place.
pub fn nodes_by_text(root: &Expr) -> BTreeMap<String, Form> {
    form::by_text(root)
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &str, count: Count| {
            let (p, r, f1) = (count.precision(), count.recall(), count.f1());
            let Count { right, found, truth } = count;
            writeln!(
                f,
                "{name:<12} F1 {f1:.4}  precision {p:.4} ({right}/{found})  recall {r:.4} ({right}/{truth})"
            )
        };
        line(f, "operators", self.operators())?;
        for (kind, count) in self.kinds.iter().filter(|(_, count)| count.found + count.truth > 0) {
            line(f, &format!("  {kind:?}"), *count)?;
        }
        line(f, "pairs", self.pairs)?;
        line(f, "edges", self.edges)?;
        line(f, "journeys", self.journeys)?;
        let (inside, all) = self.probabilities;
        writeln!(f, "probabilities inside their intervals: {inside} of {all} ({:.4})", share(inside, all))?;
        writeln!(f, "invented redundancy: {}", self.invented.len())?;
        self.invented.iter().try_for_each(|text| writeln!(f, "  {text}"))
    }
}

#[cfg(test)]
mod tests;
