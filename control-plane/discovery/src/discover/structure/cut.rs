//! Choices, steps and branches: the log is divided until single calls remain.

use std::collections::BTreeSet;

use super::log::{Activity, Log, Run};
use super::race::{self, Races};
use super::relation::{Relation, Relations, Union};
use super::support::{Share, Support};
use super::{Block, NOISE_PART, Node, repetition};

mod branches;

use branches::{parallel, parallel_support};

type Part = BTreeSet<Activity>;

/// The structure of a log; `None` when nothing is called.
pub(super) fn divide(log: &Log, races: &Races) -> Option<Node> {
    let activities = log.activities();
    match activities.as_slice() {
        [] => None,
        [only] => Some(perhaps(log, repetition::single(*only, log, races))),
        all => several(all, log, races),
    }
}

/// A part that is left out in some requests: a choice between it and nothing.
fn perhaps(log: &Log, node: Node) -> Node {
    let share = Share { of: log.telling(), all: log.total() };
    if !is_left_out(log) {
        return node;
    }
    let says = format!("called in {} of {} requests", share.of, share.all);
    let support = Support::of_sightings(log.empty.min(share.of), says).shown_by(traces(log));
    let nothing = Node::new(Block::Nothing, support.clone());
    let rest = Share { of: log.empty, all: share.all };
    Node::new(Block::Branch(vec![(share, node), (rest, nothing)]), support)
}

/// Whether a part is left out in more requests than lose a span.
fn is_left_out(log: &Log) -> bool {
    log.empty > 0 && log.empty * NOISE_PART >= log.total()
}

fn traces(log: &Log) -> impl Iterator<Item = emac_trace::TraceId> {
    log.runs.iter().map(|run| run.trace)
}

/// Divides several calls: into choices, into steps, into rounds, into branches. Steps come before rounds so that what is repeated is the smallest
/// part; a retry shows only in requests whose failures were mended, the true order of branches only in those without.
fn several(activities: &[Activity], log: &Log, races: &Races) -> Option<Node> {
    let mended = relations(activities, log, &log.mended());
    let choices = parts(activities, mended.groups(|relation| relation != Relation::Apart));
    if choices.len() > 1 {
        return Some(branch(log, &choices, races));
    }
    let in_order = parts(activities, steps(&mended));
    if in_order.len() > 1 {
        let support = series_support(&mended, 0);
        return Some(perhaps(log, series(log, &in_order, races, support)));
    }
    if let Some(mut rounds) = repetition::rounds(log, activities) {
        let body = in_rounds(std::mem::take(&mut rounds.log), races)?;
        return Some(perhaps(log, rounds.node(body)));
    }
    at_once(activities, log, races)
}

/// Divides calls that are neither choices, steps nor rounds: into branches, else into the steps of requests in which nothing failed.
fn at_once(activities: &[Activity], log: &Log, races: &Races) -> Option<Node> {
    let mut relations = relations(activities, log, &log.clean());
    let mut relaxed = 0_u64;
    loop {
        let branches = parts(activities, relations.groups(|relation| relation != Relation::Together));
        if branches.len() > 1 {
            let support = parallel_support(&relations, relaxed);
            return Some(perhaps(log, parallel(log, &branches, races, support)));
        }
        let in_order = parts(activities, steps(&relations));
        if in_order.len() > 1 {
            let support = series_support(&relations, relaxed);
            return Some(perhaps(log, series(log, &in_order, races, support)));
        }
        // Neither: two calls at the same time look ordered by accident, or the code is no block. The weakest order goes.
        if relations.relax(|earlier, later| races.follows(earlier, later)).is_none() {
            // No order is left to give up: calls of which some are never together and others overlap, in a circle.
            let each: Vec<Part> = activities.iter().map(|&activity| Part::from([activity])).collect();
            let support = doubted(parallel_support(&relations, relaxed), relaxed + 1);
            return Some(perhaps(log, parallel(log, &each, races, support)));
        }
        relaxed += 1;
    }
}

/// How calls lie to each other in some runs; in all runs, where those do not tell.
fn relations(activities: &[Activity], log: &Log, runs: &[&Run]) -> Relations {
    let all: Vec<&Run> = log.runs.iter().collect();
    Relations::of(activities, runs).or(&Relations::of(activities, &all))
}

/// Groups of places as the calls that stand there.
fn parts(activities: &[Activity], groups: Vec<BTreeSet<usize>>) -> Vec<Part> {
    let part = |group: BTreeSet<usize>| group.iter().filter_map(|&at| activities.get(at)).copied().collect();
    groups.into_iter().map(part).collect()
}

/// The structure of single rounds: who won is told round by round.
fn in_rounds(mut log: Log, races: &Races) -> Option<Node> {
    let mut found = race::cut_losers(&mut log);
    found.groups.extend(races.groups.iter().cloned());
    found.waited.extend(&races.waited);
    races.unawaited.iter().for_each(|(activity, one)| {
        found.unawaited.entry(*activity).or_insert_with(|| one.clone());
    });
    divide(&log, &found)
}

// === choices ===

fn branch(log: &Log, choices: &[Part], races: &Races) -> Node {
    let mut logs = vec![Log::default(); choices.len()];
    for run in &log.runs {
        let within = |part: &Part| run.events.iter().filter(|event| part.contains(&event.activity)).count();
        let chosen =
            choices.iter().enumerate().max_by_key(|(place, part)| (within(part), usize::MAX - place));
        let Some((place, part)) = chosen else { continue };
        let events = run.events.iter().filter(|event| part.contains(&event.activity)).copied().collect();
        if let Some(log) = logs.get_mut(place) {
            log.runs.push(Run { events, ..run.clone() });
        }
    }
    let all = log.total();
    let says = format!("never in the same request, {} requests", log.runs.len());
    let support = Support::of_rule(log.runs.len() as u64, 0, says).shown_by(traces(log));
    let mut found: Vec<_> = logs
        .iter()
        .filter_map(|part| Some((Share { of: part.telling(), all }, divide(part, races)?)))
        .collect();
    if is_left_out(log) {
        found.push((Share { of: log.empty, all }, Node::new(Block::Nothing, support.clone())));
    }
    Node::new(Block::Branch(found), support)
}

// === steps ===

/// Positions in the order of time: those that are at the same time, or not comparable, are one step.
fn steps(relations: &Relations) -> Vec<BTreeSet<usize>> {
    let n = relations.len();
    let mut union = Union::new(n);
    for a in 0..n {
        (a + 1..n).filter(|&b| relations.relation(a, b) == Relation::Together).for_each(|b| union.join(a, b));
    }
    loop {
        let groups = union.groups();
        let reach = reachable(relations, &groups);
        let mut joined = false;
        for i in 0..groups.len() {
            for j in i + 1..groups.len() {
                // Both ways is a circle, no way is not comparable: neither is an order.
                if reach(i, j) == reach(j, i)
                    && let (Some(a), Some(b)) =
                        (groups.get(i).and_then(BTreeSet::first), groups.get(j).and_then(BTreeSet::first))
                {
                    union.join(*a, *b);
                    joined = true;
                }
            }
        }
        if !joined {
            let mut order: Vec<usize> = (0..groups.len()).collect();
            order.sort_by_key(|&i| (0..groups.len()).filter(|&j| reach(j, i)).count());
            return order.into_iter().filter_map(|i| groups.get(i).cloned()).collect();
        }
    }
}

/// Whether one group is before another, directly or through others.
fn reachable(relations: &Relations, groups: &[BTreeSet<usize>]) -> impl Fn(usize, usize) -> bool {
    let n = groups.len();
    let mut reach = vec![vec![false; n]; n];
    for (i, from) in groups.iter().enumerate() {
        for (j, to) in groups.iter().enumerate().filter(|(j, _)| *j != i) {
            let direct =
                from.iter().any(|&a| to.iter().any(|&b| relations.relation(a, b) == Relation::Before));
            if let Some(cell) = reach.get_mut(i).and_then(|row| row.get_mut(j)) {
                *cell = direct;
            }
        }
    }
    for via in 0..n {
        let onward = reach.get(via).cloned().unwrap_or_default();
        for row in reach.iter_mut().filter(|row| row.get(via) == Some(&true)) {
            row.iter_mut().zip(&onward).for_each(|(cell, next)| *cell |= next);
        }
    }
    move |i, j| reach.get(i).and_then(|row| row.get(j)).copied().unwrap_or(false)
}

fn series(log: &Log, steps: &[Part], races: &Races, support: Support) -> Node {
    let mut found = Vec::new();
    let steps = left_out_together(log, steps);
    for (place, step) in steps.iter().enumerate() {
        let after: Part = steps.iter().skip(place + 1).flatten().copied().collect();
        found.extend(divide(&log.project(step, &after), races));
    }
    flat(Node::new(Block::Series(found), support.shown_by(traces(log))))
}

/// Joins neighbours that are left out in the same requests: one choice, not several that happen to agree.
fn left_out_together(log: &Log, steps: &[Part]) -> Vec<Part> {
    let telling: Vec<&Run> = log.runs.iter().filter(|run| run.went_on && run.is_mended()).collect();
    let presence = |part: &Part| -> Vec<bool> {
        telling.iter().map(|run| run.events.iter().any(|event| part.contains(&event.activity))).collect()
    };
    let mut joined: Vec<(Part, Vec<bool>)> = Vec::new();
    for step in steps {
        let present = presence(step);
        match joined.last_mut() {
            Some((part, before)) if alike(before, &present) => part.extend(step),
            _ => joined.push((step.clone(), present)),
        }
    }
    joined.into_iter().map(|(part, _)| part).collect()
}

/// Of the requests that leave out one of two steps, one in so many may leave out that one alone: where a step is left out seldom, noise over all
/// requests would be most of them.
const ALIKE_PART: usize = 10;

/// Whether two steps are both left out at times, and in the same requests but for noise.
fn alike(a: &[bool], b: &[bool]) -> bool {
    let absent = |all: &[bool]| all.iter().filter(|present| !**present).count();
    let differ = a.iter().zip(b).filter(|(a, b)| a != b).count();
    let rarer = absent(a).min(absent(b));
    let within_noise = |requests: usize| requests * NOISE_PART as usize <= a.len();
    !within_noise(rarer) && within_noise(differ) && differ * ALIKE_PART <= rarer
}

/// A series of one step is that step; a series within a series is one.
fn flat(node: Node) -> Node {
    let Block::Series(steps) = node.block else { return node };
    let mut all = Vec::new();
    for step in steps {
        match step.block {
            Block::Series(inner) => all.extend(inner),
            _ => all.push(step),
        }
    }
    match all.len() {
        1 => all.remove(0),
        _ => Node::new(Block::Series(all), node.support),
    }
}

fn series_support(relations: &Relations, relaxed: u64) -> Support {
    let ordered =
        pairs(relations).filter(|pair| matches!(pair.relation(), Relation::Before | Relation::After));
    let weakest = ordered.min_by_key(|pair| pair.both()).unwrap_or_default();
    let kept = weakest.before.max(weakest.after);
    let says = format!("in the same order without overlap in {kept} of {} requests", weakest.both());
    doubted(Support::of_rule(kept, weakest.both() - kept, says), relaxed)
}

fn pairs(relations: &Relations) -> impl Iterator<Item = super::relation::PairCounts> {
    let n = relations.len();
    (0..n).flat_map(move |a| (a + 1..n).map(move |b| relations.pair(a, b)))
}

/// What is left of the confidence after each order that had to be taken for an accident: it is as likely that it was one as that it was not.
const RELAXED: f64 = 0.5;

/// A support that orders were given up for.
fn doubted(mut support: Support, relaxed: u64) -> Support {
    if relaxed > 0 {
        support.confidence *= RELAXED.powi(i32::try_from(relaxed).unwrap_or(i32::MAX));
        support.says = format!("{}; {relaxed} other orders ignored as accidental", support.says);
    }
    support
}
