//! Which traces are of one journey.
//!
//! Traces with different entries are of different journeys. Behind one entry (`POST /graphql`, `Recv`) several may hide. Pages that share callees
//! show in how their calls go together (`pages`), at the first caller behind the entry that calls more than one thing: a load balancer before it
//! does not matter. What calls little in common is told apart by similarity: what differs by a choice, an optional call or a failure that ended a
//! request early shares most of its calls with the others.
//!
//! Similarity is Jaccard's (calls in common over calls in either), entry excluded. A shape that another one contains is a request that ended
//! early or chose less, and belongs to the largest such group. O(shapes · groups · sites).

pub(super) mod naming;
pub(super) mod pages;

use std::collections::{BTreeMap, BTreeSet};

use self::pages::{Class, nearest};
use super::observe::{Observations, Occurrence, Shape, SiteId};
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

/// Groups of shapes, most frequent first. Pages of one entry stay together where `is_one` says of all of them and each of them that somebody declares
/// them as one journey.
pub fn group(
    observations: &Observations,
    is_one: &dyn Fn(&TraceGroup, &[TraceGroup]) -> bool,
) -> Vec<TraceGroup> {
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
                behind(observations, root, shapes, is_one)
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

/// Journeys behind one entry.
fn behind(
    observations: &Observations,
    root: SiteId,
    shapes: Vec<u32>,
    is_one: &dyn Fn(&TraceGroup, &[TraceGroup]) -> bool,
) -> Vec<TraceGroup> {
    let pages = by_page(observations, root, &shapes);
    if pages.len() > 1 {
        let of = |shapes: &[u32]| named(observations, root, Symbol::NONE, shapes.to_vec());
        let each: Vec<_> = pages.iter().map(|page| of(page)).collect();
        if !is_one(&of(&shapes), &each) {
            return pages.into_iter().flat_map(|page| alike(observations, root, page)).collect();
        }
    }
    alike(observations, root, shapes)
}

/// Shapes of one entry, page by page; all of them together where there is one page.
fn by_page(observations: &Observations, root: SiteId, shapes: &[u32]) -> Vec<Vec<u32>> {
    let of_entry: BTreeSet<u32> = shapes.iter().copied().collect();
    let seen =
        fork(observations, root, &of_entry).and_then(|(fork, seen)| Some((fork, pages::pages(&seen)?)));
    let Some((fork, classes)) = seen else { return vec![shapes.to_vec()] };
    let mut pages: Vec<Vec<u32>> = vec![Vec::new(); classes.len()];
    for &number in shapes {
        let called = called(observations, number, fork);
        // A class of its own where none of its requests was sampled.
        let known = classes.iter().position(|page| page.contains(&called));
        let page = known.or_else(|| nearest(&classes, &called)).unwrap_or_default();
        if let Some(page) = pages.get_mut(page) {
            page.push(number);
        }
    }
    pages.retain(|page| !page.is_empty());
    pages
}

/// What a shape calls at a caller.
fn called(observations: &Observations, shape: u32, caller: SiteId) -> Class {
    let sites = observations.shapes().get(shape as usize).into_iter().flat_map(|shape| &shape.sites);
    let by_caller =
        |site: &SiteId| observations.sites().get(*site).is_some_and(|site| site.parent == Some(caller));
    sites.copied().filter(by_caller).collect()
}

/// The first caller from the entry down that calls more than one thing, with what it called in the sampled requests of these shapes.
fn fork<'a>(
    observations: &'a Observations,
    root: SiteId,
    shapes: &BTreeSet<u32>,
) -> Option<(SiteId, Vec<&'a Occurrence>)> {
    let mut caller = root;
    // A call's site has a greater number than its caller's, so this ends.
    loop {
        let sample = observations.sample(caller)?.smallest(usize::MAX);
        let seen: Vec<_> = sample.into_iter().filter(|one| shapes.contains(&one.shape)).collect();
        let mut called = seen.iter().flat_map(|one| &one.calls).map(|call| call.site);
        let first = called.next()?;
        if called.any(|site| site != first) {
            return Some((caller, seen));
        }
        caller = first;
    }
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
