//! Which traces are of one journey.
//!
//! Traces with different entries are of different journeys. Behind one entry (`POST /graphql`) several may hide, which call different things: shapes are
//! grouped by what they have in common. What differs by a choice, an optional call or a failure that ended a request early shares most of
//! its calls with the others; what is another journey shares few.
//!
//! Similarity is Jaccard's (calls in common over calls in either), entry excluded. A shape that another one contains is a request that ended
//! early or chose less, and belongs to the largest such group. O(shapes · groups · sites).

use std::collections::{BTreeMap, BTreeSet};

use super::observe::{Observations, Shape, SiteId};
use emac_trace::{Symbol, TraceId};

/// Traces taken to be of one journey.
#[derive(Clone, Debug)]
pub struct TraceGroup {
    /// The entry.
    pub root: SiteId,
    /// Name of the journey; none where traces do not say.
    pub journey: Symbol,
    /// Numbers of its shapes, most frequent first.
    pub shapes: Vec<u32>,
    /// Every site of them.
    pub sites: BTreeSet<SiteId>,
    /// Traces.
    pub traces: u64,
    /// Some of them.
    pub examples: Vec<TraceId>,
}

/// Shapes less alike than this are of different journeys. Two halves of a choice within a journey share their callers and what comes before and
/// after; journeys behind one entry share a log-in at most.
const SIMILAR_MIN: f64 = 0.1;

/// Groups of shapes, most frequent first.
pub fn group(observations: &Observations) -> Vec<TraceGroup> {
    let mut by_root: BTreeMap<(SiteId, Symbol), Vec<u32>> = BTreeMap::new();
    for (shape, number) in observations.shapes().iter().zip(0_u32..) {
        if let Some(&root) = shape.sites.iter().find(|site| is_root(observations, **site)) {
            by_root.entry((root, shape.journey)).or_default().push(number);
        }
    }
    let mut groups: Vec<_> = by_root
        .into_iter()
        .flat_map(|((root, journey), shapes)| {
            // Who says which journey it is has told them apart already.
            if journey.is_none() {
                alike(observations, root, shapes)
            } else {
                vec![named(observations, root, journey, shapes)]
            }
        })
        .collect();
    groups.sort_by_key(|group| (std::cmp::Reverse(group.traces), group.root));
    groups
}

fn is_root(observations: &Observations, site: SiteId) -> bool {
    observations.sites().get(site).is_some_and(|site| site.parent.is_none())
}

/// Groups of shapes with one entry.
fn alike(observations: &Observations, root: SiteId, mut shapes: Vec<u32>) -> Vec<TraceGroup> {
    let shape = |number: u32| observations.shapes().get(number as usize);
    // Large ones first: the smaller are parts of them.
    shapes.sort_by_key(|&number| {
        shape(number)
            .map(|shape| (std::cmp::Reverse(shape.sites.len()), std::cmp::Reverse(shape.traces), number))
    });
    let mut groups: Vec<TraceGroup> = Vec::new();
    for number in shapes {
        let Some(found) = shape(number) else { continue };
        let likeness = |group: &TraceGroup| likeness(observations, group, found, root);
        let best = groups
            .iter_mut()
            .max_by(|a, b| likeness(a).total_cmp(&likeness(b)).then(a.traces.cmp(&b.traces)));
        match best.filter(|group| likeness(group) >= SIMILAR_MIN) {
            Some(group) => group.take(number, found),
            None => groups.push(TraceGroup::of(root, number, found)),
        }
    }
    groups.iter_mut().for_each(|group| {
        group.shapes.sort_by_key(|&number| {
            (std::cmp::Reverse(shape(number).map_or(0, |shape| shape.traces)), number)
        });
    });
    groups
}

/// Most shapes of a group that a new one is compared with.
const COMPARED_MAX: usize = 16;

/// 1 for a shape contained in the group, else its likeness to the most alike of the group's shapes.
fn likeness(observations: &Observations, group: &TraceGroup, shape: &Shape, root: SiteId) -> f64 {
    let own = || shape.sites.iter().filter(|site| **site != root);
    if own().all(|site| group.sites.contains(site)) {
        return 1.0;
    }
    let members = group
        .shapes
        .iter()
        .take(COMPARED_MAX)
        .filter_map(|&number| observations.shapes().get(number as usize));
    members.map(|member| jaccard(&member.sites, &shape.sites)).fold(0.0, f64::max)
}

/// Of two ascending lists that share their entry.
fn jaccard(a: &[SiteId], b: &[SiteId]) -> f64 {
    let common = a.iter().filter(|site| b.binary_search(site).is_ok()).count().saturating_sub(1);
    let either = (a.len() + b.len()).saturating_sub(2).saturating_sub(common);
    if either == 0 { 1.0 } else { common as f64 / either as f64 }
}

fn named(observations: &Observations, root: SiteId, journey: Symbol, shapes: Vec<u32>) -> TraceGroup {
    let mut group = TraceGroup::empty(root, journey);
    for number in shapes {
        if let Some(shape) = observations.shapes().get(number as usize) {
            group.take(number, shape);
        }
    }
    group
}

impl TraceGroup {
    fn empty(root: SiteId, journey: Symbol) -> Self {
        Self { root, journey, shapes: Vec::new(), sites: BTreeSet::new(), traces: 0, examples: Vec::new() }
    }

    fn of(root: SiteId, number: u32, shape: &Shape) -> Self {
        let mut group = Self::empty(root, shape.journey);
        group.take(number, shape);
        group
    }

    fn take(&mut self, number: u32, shape: &Shape) {
        self.shapes.push(number);
        self.sites.extend(&shape.sites);
        self.traces += shape.traces;
        let room = emac_compile::model::Provenance::TRACES_MAX.saturating_sub(self.examples.len());
        self.examples.extend(shape.examples.iter().take(room));
    }
}
