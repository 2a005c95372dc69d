//! Found journeys beside the true ones of a world.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::journey;

use super::super::step::{Call, Step};
use super::super::world::World;
use super::form::Form;
use super::{Against, Count, Edges, Found, Score, share};

/// Everything found in a world beside its truth. Journeys are paired with those that share most of their services, best pairs first; one that has no
/// partner counts as missed, or as found without being true, with all its nodes.
pub fn score(world: &World, found: &[Found], against: Against) -> Score {
    let truth = truths(world, against);
    let mut total = Score::default();
    let mut edges = (Edges::new(), Edges::new());
    let partners = pair(&truth, found);
    let mut near = 0;
    for (name, structure, siblings) in &truth {
        let partner = partners.get(name.as_str()).map(|(at, likeness)| (&found[*at], *likeness));
        near += u64::from(partner.is_some_and(|(_, likeness)| likeness >= 0.9));
        let mut score = match partner {
            Some((partner, _)) => Score::structure(&partner.structure, structure, siblings),
            None => missed(structure),
        };
        for line in &mut score.differences {
            line.insert_str(0, &format!("seed {} {name}: ", world.settings.seed));
        }
        total.add(score);
    }
    let paired: BTreeSet<usize> = partners.values().map(|(at, _)| *at).collect();
    for (_, alone) in found.iter().enumerate().filter(|(at, _)| !paired.contains(at)) {
        total.add(not_true(&alone.structure));
    }
    found.iter().for_each(|journey| edges.0.extend(journey.edges.iter().cloned()));
    truth.iter().zip(&world.journeys).for_each(|(truth, journey)| {
        let leaves: BTreeSet<&str> = truth.1.leaves().into_iter().map(|name| name.as_str()).collect();
        let all = edges_of(world, &journey.entry);
        edges.1.extend(all.into_iter().filter(|(_, callee)| leaves.contains(callee.as_str())));
    });
    total.edges = Count::sets(&edges.0, &edges.1);
    total.journeys = Count { right: near, found: found.len() as u64, truth: truth.len() as u64 };
    total
}

/// Name, structure and siblings of each journey that shows at all.
type Truth = (String, journey::Journey, BTreeSet<(String, String)>);

fn truths(world: &World, against: Against) -> Vec<Truth> {
    let all = world.journeys.iter().enumerate().filter_map(|(at, journey)| {
        let structure = match against {
            Against::Truth => Some(journey.truth.clone()),
            Against::Exhibited(least) => world.exhibited(at, least),
        };
        Some((journey.name.clone(), structure?, siblings_of(world, &journey.entry)))
    });
    all.collect()
}

/// Truth by name -> index of what was found, and how alike their services are (Jaccard).
fn pair<'a>(truth: &'a [Truth], found: &[Found]) -> BTreeMap<&'a str, (usize, f64)> {
    let leaves = |journey: &journey::Journey| -> BTreeSet<String> {
        journey.leaves().into_iter().map(ToString::to_string).collect()
    };
    let theirs: Vec<_> = found.iter().map(|found| leaves(&found.structure)).collect();
    let mut all = Vec::new();
    for (name, structure, _) in truth {
        let mine = leaves(structure);
        for (at, theirs) in theirs.iter().enumerate() {
            let both = mine.intersection(theirs).count();
            all.push((share(both as u64, mine.union(theirs).count() as u64), name.as_str(), at));
        }
    }
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)).then(a.2.cmp(&b.2)));
    let mut partners: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for (likeness, name, at) in all {
        if likeness > 0.3 && !taken.contains(&at) && !partners.contains_key(name) {
            taken.insert(at);
            partners.insert(name, (at, likeness));
        }
    }
    partners
}

fn missed(structure: &journey::Journey) -> Score {
    let mut score = Score::default();
    for (kind, _) in Form::of(structure.root()).nodes() {
        score.kinds.entry(kind).or_default().truth += 1;
    }
    score.differences.push(format!("missed as a whole: {structure}"));
    score
}

fn not_true(structure: &journey::Journey) -> Score {
    let mut score = Score::default();
    for (kind, _) in Form::of(structure.root()).nodes() {
        score.kinds.entry(kind).or_default().found += 1;
    }
    score.differences.push(format!("no such journey: {structure}"));
    score
}

/// The true calls of a journey.
pub fn edges_of(world: &World, entry: &Call) -> Edges {
    let name = |call: &Call| world.services[call.service].name.clone();
    let mut edges = Edges::new();
    let mut open = vec![entry];
    while let Some(caller) = open.pop() {
        let calls = caller.body.as_deref().map_or_else(Vec::new, Step::calls);
        edges.extend(calls.iter().map(|callee| (name(caller), name(callee))));
        open.extend(calls);
    }
    edges
}

/// Every two services that one service calls, smaller name first.
pub fn siblings_of(world: &World, entry: &Call) -> BTreeSet<(String, String)> {
    let edges: Vec<_> = edges_of(world, entry).into_iter().collect();
    let mut pairs = BTreeSet::new();
    for (i, (caller, one)) in edges.iter().enumerate() {
        let others = edges[i + 1..].iter().take_while(|(other, _)| other == caller);
        pairs.extend(others.map(|(_, other)| (one.clone(), other.clone())));
    }
    pairs
}
