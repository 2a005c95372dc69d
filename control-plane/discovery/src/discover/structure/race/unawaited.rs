//! Calls that nobody waits for.
//!
//! A message has no answer. A request that still runs when its caller has ended well was not waited for; and what begins only after that end
//! belongs to work that the caller left running: with the calls it follows, that is one structure of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::super::log::{Activity, Event, Log, Run};
use super::super::relation::{Relation, Relations, Union};
use super::super::support::Support;
use super::super::{Node, SUPPORT_MIN, infer};
use super::Races;
use super::moments::{CHANCE_PART, Moments};

/// A call not waited for.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::discover::structure) struct Unawaited {
    pub(in crate::discover::structure) support: Support,
    /// The whole of what is not waited for, where it is more than the call.
    pub(in crate::discover::structure) node: Option<Node>,
}

/// Takes work that goes on after its caller's end out of the log, but for its first call.
pub(super) fn detach(log: &mut Log) -> BTreeMap<Activity, Unawaited> {
    let activities = log.activities();
    let later: BTreeSet<usize> = (0..activities.len())
        .filter(|&place| activities.get(place).is_some_and(|activity| begins_later(*activity, log)))
        .collect();
    if later.is_empty() {
        return BTreeMap::new();
    }
    let moments = Moments::of(&activities, log);
    // Where one of it lets the caller go on now and then, it is a race's loser rather than nobody's.
    let is_awaited = |&place: &usize| {
        let others = (0..activities.len()).filter(|next| !later.contains(next));
        moments.ends(place) || others.into_iter().any(|next| moments.often_sets_going(place, next))
    };
    if later.iter().any(is_awaited) {
        return BTreeMap::new();
    }
    let mut found = BTreeMap::new();
    for members in works(&activities, &later, &moments, log) {
        found.extend(take_out(&members, log));
    }
    found
}

/// Calls that begin later, with the calls that they follow, work by work: two that begin later after the same call are one work.
fn works(
    activities: &[Activity],
    later: &BTreeSet<usize>,
    moments: &Moments,
    log: &Log,
) -> Vec<BTreeSet<Activity>> {
    let all: Vec<&Run> = log.runs.iter().collect();
    let relations = Relations::of(activities, &all);
    let leads_to = |a: usize, b: usize| {
        (later.contains(&a) || later.contains(&b))
            && relations.relation(a, b) == Relation::Before
            && moments.triggers(a, b)
    };
    let mut union = Union::new(activities.len());
    for b in 0..activities.len() {
        (0..activities.len()).filter(|&a| leads_to(a, b)).for_each(|a| union.join(a, b));
    }
    let is_work =
        |group: &BTreeSet<usize>| group.len() > 1 && group.iter().any(|place| later.contains(place));
    let calls = |group: BTreeSet<usize>| group.iter().filter_map(|&at| activities.get(at)).copied().collect();
    union.groups().into_iter().filter(is_work).map(calls).collect()
}

/// Whether a call begins after its caller ended well and something was still at work that it can follow, in some requests. By the callee's record alone
/// one that the caller made at last begins later too, by the way there.
fn begins_later(activity: Activity, log: &Log) -> bool {
    let follows = |run: &Run, event: &Event| {
        let is_at_work = |other: &Event| other.end > run.until && other.before(event);
        run.events.iter().any(|other| other.activity != activity && is_at_work(other))
    };
    let is_later = |run: &Run, event: &Event| event.start > run.until && follows(run, event);
    let later = |run: &&Run| run.went_on && run.of(activity).any(|event| is_later(run, event));
    log.runs.iter().filter(later).count() as u64 >= SUPPORT_MIN
}

fn take_out(members: &BTreeSet<Activity>, log: &mut Log) -> Option<(Activity, Unawaited)> {
    let mut work = log.project(members, &BTreeSet::new());
    work.empty = 0;
    for run in &mut work.runs {
        run.until = run.events.iter().map(|event| event.end).max().unwrap_or(run.until) + 1;
        run.went_on = run.is_mended();
    }
    let mut firsts: BTreeMap<Activity, u64> = BTreeMap::new();
    work.runs
        .iter()
        .filter_map(|run| run.events.first())
        .for_each(|event| *firsts.entry(event.activity).or_default() += 1);
    let (&first, _) = firsts.iter().max_by_key(|(_, times)| **times)?;
    let seen = work.runs.len() as u64;
    let says = format!("goes on after its caller had ended well, in {seen} requests");
    let support = Support::of_sightings(seen, says).shown_by(work.runs.iter().map(|run| run.trace));
    let node = infer(work);
    for run in &mut log.runs {
        run.events.retain(|event| event.activity == first || !members.contains(&event.activity));
    }
    log.runs.retain(|run| !run.events.is_empty());
    Some((first, Unawaited { support, node }))
}

/// What is left of the confidence where a race would look the same: a race that one call always wins is rarer than work that nobody waits for.
const UNDECIDED: f64 = 0.6;

/// Calls per request from which on a call is taken to come again, in halves: between one, with a retry now and then, and two.
const AGAIN_HALVES: usize = 3;

/// Finds calls that outlive their caller, and ends everything not waited for at its own start.
///
/// `undecided`: with which call one might as well race; a race that a call never wins looks like nobody's call.
pub(super) fn outliving(
    activities: &[Activity],
    log: &mut Log,
    found: &mut Races,
    undecided: &BTreeMap<Activity, Activity>,
) {
    let racing: BTreeSet<_> = found.groups.iter().flat_map(|group| &group.members).copied().collect();
    for activity in activities.iter().filter(|activity| !racing.contains(activity)) {
        let outlived = |run: &&Run| {
            run.went_on && run.of(*activity).any(|event| event.message || event.running_at(run.until))
        };
        let late: Vec<_> = log.runs.iter().filter(outlived).map(|run| run.trace).collect();
        let present = log.runs.iter().filter(|run| run.of(*activity).next().is_some()).count();
        // Of what comes again the last one alone can outlive the caller; whether it is waited for shows round by round.
        let times: usize = log
            .runs
            .iter()
            .map(|run| run.of(*activity).filter(|event| !event.outcome.failed()).count())
            .sum();
        let again = times * 2 > present * AGAIN_HALVES && late.len() < present;
        if late.len() as u64 >= SUPPORT_MIN && late.len() * CHANCE_PART as usize >= present && !again {
            let says = format!(
                "still running when its caller had ended well in {} of {present} requests",
                late.len()
            );
            let mut support = Support::of_sightings(late.len() as u64, says).shown_by(late.into_iter());
            if undecided.contains_key(activity) {
                support.confidence *= UNDECIDED;
                support.says.push_str("; not waited for or a race that it never won: 0.6 / 0.4");
            }
            found.unawaited.entry(*activity).or_insert(Unawaited { support, node: None });
        }
    }
    for run in &mut log.runs {
        for event in run.events.iter_mut().filter(|event| found.unawaited.contains_key(&event.activity)) {
            (event.end, event.cut) = (event.start, true);
        }
    }
}
