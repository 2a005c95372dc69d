//! How two calls lie to each other in time, over all requests.

use std::collections::BTreeSet;

use super::log::{Activity, Event, Run};
use super::{NOISE_PART, SUPPORT_MIN};

/// Counts of one pair (a, b), each request once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PairCounts {
    /// a was over when b began.
    pub(super) before: u64,
    /// b was over when a began.
    pub(super) after: u64,
    /// Neither.
    pub(super) overlap: u64,
}

/// What the counts mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// Never in one request.
    Apart,
    /// a first, always.
    Before,
    /// b first, always.
    After,
    /// At the same time.
    Together,
}

impl PairCounts {
    /// Requests with both.
    pub(super) const fn both(self) -> u64 {
        self.before + self.after + self.overlap
    }

    /// "Series if and only if never overlapping and always in the same order", but for noise.
    pub(super) const fn relation(self) -> Relation {
        let noise = self.both() / NOISE_PART;
        if self.both() == 0 {
            Relation::Apart
        } else if self.overlap + self.after <= noise {
            Relation::Before
        } else if self.overlap + self.before <= noise {
            Relation::After
        } else {
            Relation::Together
        }
    }
}

/// Every pair of some activities.
#[derive(Clone, Debug)]
pub(super) struct Relations {
    activities: Vec<Activity>,
    /// Row by row; only a < b (by position) is used.
    pairs: Vec<PairCounts>,
}

impl Relations {
    /// Counts every pair. O(runs · activities²).
    pub(super) fn of(activities: &[Activity], runs: &[&Run]) -> Self {
        let n = activities.len();
        let mut relations =
            Self { activities: activities.to_vec(), pairs: vec![PairCounts::default(); n * n] };
        let mut present: Vec<(usize, Event)> = Vec::with_capacity(n);
        for run in runs {
            present.clear();
            let hulls = activities.iter().enumerate();
            present.extend(hulls.filter_map(|(place, activity)| Some((place, run.hull(*activity)?))));
            for (i, (a, first)) in present.iter().enumerate() {
                present.iter().skip(i + 1).for_each(|(b, second)| relations.count(*a, *b, first, second));
            }
        }
        relations
    }

    fn count(&mut self, a: usize, b: usize, first: &Event, second: &Event) {
        let Some(pair) = self.pairs.get_mut(a * self.activities.len() + b) else { return };
        // Of two that are over at once the one that began first counts as first.
        match (first.before(second), second.before(first)) {
            (true, true) if first.start > second.start => pair.after += 1,
            (true, _) => pair.before += 1,
            (false, true) => pair.after += 1,
            (false, false) => pair.overlap += 1,
        }
    }

    /// Pairs that these requests never hold together, as other requests show them: two calls that meet only where something failed are no choice.
    pub(super) fn or(mut self, others: &Self) -> Self {
        for (pair, other) in self.pairs.iter_mut().zip(&others.pairs) {
            if pair.both() == 0 && other.both() >= SUPPORT_MIN {
                *pair = *other;
            }
        }
        self
    }

    /// The pair at two positions.
    pub(super) fn pair(&self, a: usize, b: usize) -> PairCounts {
        let n = self.activities.len();
        if a <= b {
            return self.pairs.get(a * n + b).copied().unwrap_or_default();
        }
        let pair = self.pair(b, a);
        PairCounts { before: pair.after, after: pair.before, overlap: pair.overlap }
    }

    /// The relation at two positions.
    pub(super) fn relation(&self, a: usize, b: usize) -> Relation {
        self.pair(a, b).relation()
    }

    /// How many activities.
    pub(super) fn len(&self) -> usize {
        self.activities.len()
    }

    /// Takes the weakest order for an accident, so that a division can be found; `None` when there is none left. Orders that something was seen to
    /// wait for, as `waits(earlier, later)` says, go last.
    pub(super) fn relax(&mut self, waits: impl Fn(Activity, Activity) -> bool) -> Option<(usize, usize)> {
        let n = self.len();
        let pairs = (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b)));
        let ordered =
            pairs.filter(|&(a, b)| matches!(self.relation(a, b), Relation::Before | Relation::After));
        let is_waited = |a: usize, b: usize| {
            let (earlier, later) = if self.relation(a, b) == Relation::Before { (a, b) } else { (b, a) };
            let activity = |at: usize| self.activities.get(at).copied();
            activity(earlier).zip(activity(later)).is_some_and(|(earlier, later)| waits(earlier, later))
        };
        let weakest = ordered.min_by_key(|&(a, b)| (is_waited(a, b), self.pair(a, b).both()))?;
        let pair = self.pairs.get_mut(weakest.0 * n + weakest.1)?;
        pair.overlap = pair.both();
        Some(weakest)
    }

    /// Groups of positions that `joined` connects, each ascending, in order of their first.
    pub(super) fn groups(&self, joined: impl Fn(Relation) -> bool) -> Vec<BTreeSet<usize>> {
        let mut union = Union::new(self.len());
        for a in 0..self.len() {
            (a + 1..self.len()).filter(|&b| joined(self.relation(a, b))).for_each(|b| union.join(a, b));
        }
        union.groups()
    }
}

/// Disjoint sets.
#[derive(Clone, Debug)]
pub(super) struct Union {
    parent: Vec<usize>,
}

impl Union {
    pub(super) fn new(n: usize) -> Self {
        Self { parent: (0..n).collect() }
    }

    pub(super) fn root(&self, mut item: usize) -> usize {
        while let Some(&parent) = self.parent.get(item) {
            if parent == item {
                break;
            }
            item = parent;
        }
        item
    }

    /// The smaller root stays.
    pub(super) fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        if let Some(parent) = self.parent.get_mut(a.max(b)) {
            *parent = a.min(b);
        }
    }

    pub(super) fn groups(&self) -> Vec<BTreeSet<usize>> {
        let mut groups = vec![BTreeSet::new(); self.parent.len()];
        for item in 0..self.parent.len() {
            if let Some(group) = groups.get_mut(self.root(item)) {
                group.insert(item);
            }
        }
        groups.retain(|group| !group.is_empty());
        groups
    }
}
