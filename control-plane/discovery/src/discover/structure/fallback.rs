//! Calls made only after another had failed.
//!
//! A call is an alternate when in every request that makes it another call had failed before, and requests in which that one did not fail do not
//! make it. Whether it helps is seen from how the caller went on: what is called after a failure and does not save the request
//! (compensation, error reporting) is no redundancy, and is left out.
//!
//! Each condition is one function, in this order: [`triggers`] (it is called only after failures, and which), [`contrasted`] (it is not called where
//! those did well), [`helped`] (it saves requests), [`put_back`] (what it stands in for).

use std::collections::{BTreeMap, BTreeSet};

use super::log::{Activity, Event, Log, Run};
use super::race::Races;
use super::support::Support;
use super::{Block, Node, SUPPORT_MIN, whole};
use emac_trace::CallOutcome;

/// Calls that stand in for others.
#[derive(Debug)]
pub(super) struct Alternates {
    /// What must have failed.
    triggers: BTreeSet<Activity>,
    /// What was not called any more when they answered: the rest of what they stand in for.
    skipped: BTreeSet<Activity>,
    node: Node,
    support: Support,
}

/// Takes alternates out of a log. Those that race with each other are none, even if one begins when another has failed.
pub(super) fn set_aside(log: Log, races: &Races) -> (Log, Vec<Alternates>) {
    let mut triggers = triggers(&log);
    let rivals = |a: &Activity, b: &Activity| {
        races.groups.iter().any(|group| group.members.contains(a) && group.members.contains(b))
    };
    triggers.retain(|activity, of| {
        of.retain(|trigger| !rivals(activity, trigger));
        !of.is_empty()
    });
    if triggers.is_empty() {
        return (log, Vec::new());
    }
    let aside: BTreeSet<_> = triggers.keys().copied().collect();
    let groups = groups(&triggers, &aside);
    let alternates: Vec<_> =
        groups.iter().filter_map(|group| alternates(&log, group, &triggers, &aside)).collect();
    // What stands in for several steps leaves the rest of them out: that is no choice.
    let single = alternates.iter().filter(|one| one.skipped.is_empty());
    let instead = single.flat_map(|one| one.node.activities()).collect();
    (without(&log, &aside, &instead), alternates)
}

/// One occurrence in so many may not follow a failure, and one trigger in so many may be an accident: clocks tick, and spans get lost.
const ACCIDENTS: u64 = 20;

/// One answer in so many at least must save the request: half of them. A call that helps less often is made for another reason, such as to undo what
/// was done before the failure.
const HELPED_PART: u64 = 2;
/// What is skipped after an alternate's answer is called by more than this share of clean requests: it is no choice, and a span is lost now and then.
const SKIPPED_CLEAN_MIN: f64 = 0.95;
/// And by less than this share of the requests that an alternate saved: below what lost spans leave of a step that is not skipped, and above
/// what is left where several alternates of different reach are counted together.
const SKIPPED_SAVED_MAX: f64 = 0.7;

/// For each call made only after failures: what had failed last before it.
fn triggers(log: &Log) -> BTreeMap<Activity, BTreeSet<Activity>> {
    let mut seen: BTreeMap<Activity, (u64, BTreeMap<Activity, u64>)> = BTreeMap::new();
    for run in &log.runs {
        for event in &run.events {
            let (times, triggers) = seen.entry(event.activity).or_default();
            *times += 1;
            if let Some(trigger) = failed_before(run, event) {
                *triggers.entry(trigger).or_default() += 1;
            }
        }
    }
    let mut found = BTreeMap::new();
    for (activity, (times, triggers)) in seen {
        let triggered: u64 = triggers.values().sum();
        if (times - triggered) * ACCIDENTS <= times {
            let usual = triggers.into_iter().filter(|(_, count)| count * ACCIDENTS >= triggered);
            found.insert(activity, usual.map(|(trigger, _)| trigger).collect());
        }
    }
    found.retain(|activity, triggers| contrasted(log, *activity, triggers));
    found
}

/// What failed last before a call, other than the call's own earlier tries, or had its sidecar ask this one instead.
fn failed_before(run: &Run, event: &Event) -> Option<Activity> {
    // Of two in one tick of the clock the one that failed came first.
    let earlier =
        run.events.iter().filter(|other| other.activity != event.activity && other.start <= event.start);
    let failed = earlier.filter(|other| match other.outcome {
        CallOutcome::Alternate => other.end >= event.start,
        outcome => {
            !other.cut && (outcome.failed() || outcome == CallOutcome::Cancelled) && other.before(event)
        }
    });
    let last = failed.max_by_key(|other| other.end.min(event.start))?;
    // A success of the same call in between: it was repeated, and the failure was mended.
    let mended = run
        .of(last.activity)
        .any(|again| again.start >= last.end && again.end <= event.start && !again.outcome.failed());
    (!mended).then_some(last.activity)
}

/// Where what had failed did well, the call is not made: otherwise nothing is known of when it is made.
fn contrasted(log: &Log, activity: Activity, triggers: &BTreeSet<Activity>) -> bool {
    let well = |run: &&Run| {
        triggers.iter().any(|trigger| run.of(*trigger).any(|event| event.outcome == CallOutcome::Good))
    };
    let without = log.runs.iter().filter(well).filter(|run| run.of(activity).next().is_none()).count();
    let with = log.runs.iter().filter(|run| run.of(activity).next().is_some()).count();
    // Once is enough to say that there is such a call: what little it rests on is in its confidence.
    without as u64 >= SUPPORT_MIN && with > 0
}

/// Alternates of the same parts, with the alternates' own alternates.
fn groups(
    triggers: &BTreeMap<Activity, BTreeSet<Activity>>,
    aside: &BTreeSet<Activity>,
) -> Vec<BTreeSet<Activity>> {
    let mut groups: Vec<(BTreeSet<Activity>, BTreeSet<Activity>)> = Vec::new();
    for (activity, of) in triggers {
        let (mut members, mut links) = (BTreeSet::from([*activity]), of.clone());
        links.insert(*activity);
        let (linked, others): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|(_, known)| !known.is_disjoint(&links));
        for (more, known) in linked {
            members.extend(more);
            links.extend(known);
        }
        groups = others;
        groups.push((members, links));
    }
    groups.into_iter().map(|(members, _)| members).filter(|members| members.is_subset(aside)).collect()
}

fn alternates(
    log: &Log,
    group: &BTreeSet<Activity>,
    triggers: &BTreeMap<Activity, BTreeSet<Activity>>,
    aside: &BTreeSet<Activity>,
) -> Option<Alternates> {
    let mut part = log.project(group, &BTreeSet::new());
    part.empty = 0;
    let (helped, asked) = (helped(log, group), part.runs.len() as u64);
    if helped * HELPED_PART < asked || helped == 0 {
        return None;
    }
    let of: BTreeSet<_> = group
        .iter()
        .filter_map(|member| triggers.get(member))
        .flatten()
        .filter(|trigger| !aside.contains(trigger))
        .copied()
        .collect();
    let skipped = skipped(log, group, aside);
    let traces: Vec<_> = part.runs.iter().map(|run| run.trace).collect();
    let says = format!("called {asked} times, only after a failure; the request continued {helped} times");
    let support = Support::of_sightings(helped, says).shown_by(traces.into_iter());
    let node = whole(part, &Races::default())?;
    Some(Alternates { triggers: of, skipped, node, support })
}

/// Requests that went on well after one of the group had answered.
fn helped(log: &Log, group: &BTreeSet<Activity>) -> u64 {
    let saved = |run: &&Run| {
        run.went_on
            && run.events.iter().any(|event| group.contains(&event.activity) && event.outcome.answered())
    };
    log.runs.iter().filter(saved).count() as u64
}

/// What nearly every clean request calls and those that the group saved do not.
fn skipped(log: &Log, group: &BTreeSet<Activity>, aside: &BTreeSet<Activity>) -> BTreeSet<Activity> {
    let clean = log.clean();
    let saved: Vec<_> = log
        .runs
        .iter()
        .filter(|run| run.went_on && run.events.iter().any(|event| group.contains(&event.activity)))
        .collect();
    let share = |runs: &[&Run], activity: Activity| {
        runs.iter().filter(|run| run.of(activity).next().is_some()).count() as f64 / runs.len().max(1) as f64
    };
    let activities = log.activities().into_iter().filter(|activity| !aside.contains(activity));
    let is_skipped = |activity: &Activity| {
        share(&clean, *activity) > SKIPPED_CLEAN_MIN && share(&saved, *activity) < SKIPPED_SAVED_MAX
    };
    activities.filter(is_skipped).collect()
}

/// The log without the alternates; what failed before one of `instead` answered was replaced.
fn without(log: &Log, aside: &BTreeSet<Activity>, instead: &BTreeSet<Activity>) -> Log {
    let mut rest = Log { runs: Vec::new(), empty: log.empty };
    for run in &log.runs {
        let mut events: Vec<_> =
            run.events.iter().filter(|event| !aside.contains(&event.activity)).copied().collect();
        let answers =
            run.events.iter().filter(|event| instead.contains(&event.activity) && event.outcome.answered());
        if let Some(last) = answers.map(|event| event.start).max() {
            let replaced = |event: &&mut Event| event.outcome.failed() && event.end <= last;
            events.iter_mut().filter(replaced).for_each(|event| event.replaced = true);
        }
        if !events.is_empty() {
            rest.runs.push(Run { events, ..run.clone() });
        }
    }
    rest
}

/// Puts alternates around the smallest part that holds all they stand in for.
pub(super) fn put_back(node: Node, alternates: Vec<Alternates>) -> Node {
    alternates.into_iter().fold(node, |node, alternates| {
        let needed = alternates.triggers.union(&alternates.skipped).copied().collect();
        around(node, &needed, alternates)
    })
}

/// Puts alternates around a node, or around what is within it that holds all they stand in for.
fn around(node: Node, needed: &BTreeSet<Activity>, alternates: Alternates) -> Node {
    let Node { block, support } = node;
    match block {
        Block::Series(steps) => around_steps(steps, support, needed, alternates),
        Block::Parallel(join, branches) => {
            around_branch(branches, support, needed, alternates, |branches| Block::Parallel(join, branches))
        }
        Block::Race(delay, branches) => {
            around_branch(branches, support, needed, alternates, |branches| Block::Race(delay, branches))
        }
        Block::Branch(choices) => {
            let (shares, choices): (Vec<_>, Vec<_>) = choices.into_iter().unzip();
            around_branch(choices, support, needed, alternates, |choices| {
                Block::Branch(shares.into_iter().zip(choices).collect())
            })
        }
        // What is tried again is tried before somebody else is asked, unless only a part of it has an alternate.
        Block::Retry(attempts, body) if part_of(needed, &body) => {
            Node::new(Block::Retry(attempts, Box::new(around(*body, needed, alternates))), support)
        }
        // Each round has its own failures.
        Block::Repeat(count, body) => {
            Node::new(Block::Repeat(count, Box::new(around(*body, needed, alternates))), support)
        }
        block => wrap(Node::new(block, support), alternates),
    }
}

/// Around the one step, or the fewest neighbouring steps, that hold what is needed.
fn around_steps(
    mut steps: Vec<Node>,
    support: Support,
    needed: &BTreeSet<Activity>,
    alternates: Alternates,
) -> Node {
    match smallest_range(&steps, needed) {
        Some((from, to)) if from == to => inside(steps, from, needed, alternates, support, Block::Series),
        Some((from, to)) if (from, to) != (0, steps.len() - 1) => {
            let part: Vec<_> = steps.splice(from..=to, std::iter::empty()).collect();
            let part = wrap(Node::new(Block::Series(part), support.clone()), alternates);
            steps.insert(from, part);
            Node::new(Block::Series(steps), support)
        }
        _ => wrap(Node::new(Block::Series(steps), support), alternates),
    }
}

/// Around the one branch that holds all that is needed, else around all of them.
fn around_branch(
    branches: Vec<Node>,
    support: Support,
    needed: &BTreeSet<Activity>,
    alternates: Alternates,
    block: impl FnOnce(Vec<Node>) -> Block,
) -> Node {
    let holds = |node: &Node| needed.is_subset(&node.activities().into_iter().collect());
    match branches.iter().position(holds) {
        Some(place) => inside(branches, place, needed, alternates, support, block),
        None => wrap(Node::new(block(branches), support), alternates),
    }
}

/// Whether something is needed of a body, but not all of it.
fn part_of(needed: &BTreeSet<Activity>, body: &Node) -> bool {
    let all: BTreeSet<_> = body.activities().into_iter().collect();
    needed.is_subset(&all) && needed.len() < all.len()
}

/// Puts alternates around, or into, one of several parts.
fn inside(
    mut parts: Vec<Node>,
    place: usize,
    needed: &BTreeSet<Activity>,
    alternates: Alternates,
    support: Support,
    block: impl FnOnce(Vec<Node>) -> Block,
) -> Node {
    let part = parts.remove(place);
    parts.insert(place, around(part, needed, alternates));
    Node::new(block(parts), support)
}

/// First and last step that hold some of what is needed.
fn smallest_range(steps: &[Node], needed: &BTreeSet<Activity>) -> Option<(usize, usize)> {
    let touches = |step: &Node| step.activities().iter().any(|activity| needed.contains(activity));
    Some((steps.iter().position(touches)?, steps.iter().rposition(touches)?))
}

/// A fallback of a node to alternates. Those that the node, or the alternates, have already are joined: one list, in the order they are asked in.
fn wrap(primary: Node, alternates: Alternates) -> Node {
    let Alternates { node, support, .. } = alternates;
    let mut others = match node.block {
        Block::Fallback(first, mut rest) => {
            rest.insert(0, *first);
            rest
        }
        block => vec![Node::new(block, node.support)],
    };
    match primary.block {
        Block::Fallback(first, mut before) => {
            before.append(&mut others);
            Node::new(Block::Fallback(first, before), support)
        }
        block => Node::new(Block::Fallback(Box::new(Node::new(block, primary.support)), others), support),
    }
}
