//! Answers that are not needed any more: races, quorums, and calls that nobody waits for.
//!
//! What tells a race from calls that merely run at the same time is when the caller goes on. At each moment at which it went on (the start of a
//! later call, or its own end) some call had *just* answered: the trigger. Where a and b race, each is the trigger while the other still
//! runs, and no other call ever is. In `Parallel(a, Series(b, c))` c also begins while a runs, but b always is the trigger. Two more signs: a call that
//! ends at the moment another answers was cancelled for it; and one that always begins the same time after another is its hedge.
//!
//! A branch of a race may be several calls. Members are the calls that won or lost; winners those that end a branch; what is ordered with the
//! members of one branch alone belongs to it.

mod hedge;
mod moments;
mod unawaited;

use std::collections::{BTreeMap, BTreeSet};

use super::SUPPORT_MIN;
use super::log::{Activity, Event, Log, Run};
use super::relation::{Relation, Relations, Union};
use super::support::Support;
use crate::trace::CallOutcome;
use moments::Moments;
pub(super) use unawaited::Unawaited;

/// What was found, by caller.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Found {
    /// Races and quorums; no activity is in two.
    pub(super) groups: Vec<Group>,
    /// Calls that nobody waits for, each with what follows it unawaited.
    pub(super) unawaited: BTreeMap<Activity, Unawaited>,
}

/// Calls of which the first few answers count.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    /// Every call of every branch.
    pub(super) members: BTreeSet<Activity>,
    branches: Vec<Branch>,
    /// How many answers.
    pub(super) needed: u32,
    /// The second begins this many milliseconds after the first; 0: at once.
    pub(super) delay_ms: u64,
    /// What begins, where there is a delay.
    pub(super) first: Option<Activity>,
    pub(super) support: Support,
}

/// One branch of a race.
#[derive(Clone, Debug, Default, PartialEq)]
struct Branch {
    calls: BTreeSet<Activity>,
    /// Those whose answer is the branch's.
    winners: BTreeSet<Activity>,
}

/// More calls than this of one caller are not looked at for races: nobody asks so many the same.
const ACTIVITIES_MAX: usize = 64;

/// Finds races and calls not waited for, and ends their calls in the log at the moment they were not needed any more.
pub(super) fn cut_losers(log: &mut Log) -> Found {
    let activities = log.activities();
    if activities.len() > ACTIVITIES_MAX {
        return Found::default();
    }
    let unawaited = unawaited::detach(log);
    let activities = log.activities();
    let groups = groups(&activities, log);
    for group in &groups {
        log.runs.iter_mut().for_each(|run| group.cut(run));
    }
    let mut found = Found { groups, unawaited };
    unawaited::outliving(&activities, log, &mut found);
    found
}

fn groups(activities: &[Activity], log: &Log) -> Vec<Group> {
    if activities.len() < 2 {
        return Vec::new();
    }
    let moments = Moments::of(activities, log);
    let hedges = hedge::find(activities, log);
    let mut union = Union::new(activities.len());
    moments.join_rivals(&mut union);
    hedges.iter().for_each(|(first, second)| union.join(*first, *second));
    let all: Vec<&Run> = log.runs.iter().collect();
    let relations = Relations::of(activities, &all);
    let groups = union.groups().into_iter().filter(|group| group.len() > 1);
    groups.filter_map(|places| group(&places, activities, &relations, &moments, &hedges, log)).collect()
}

/// A group from the places of its members.
fn group(
    places: &BTreeSet<usize>,
    activities: &[Activity],
    relations: &Relations,
    moments: &Moments,
    hedges: &[(usize, usize)],
    log: &Log,
) -> Option<Group> {
    let branches = branches(places, activities, relations, moments, hedges);
    if branches.len() < 2 {
        return None;
    }
    let mut group = Group {
        members: branches.iter().flat_map(|branch| &branch.calls).copied().collect(),
        branches,
        needed: 1,
        delay_ms: 0,
        first: None,
        support: Support::default(),
    };
    let answers: Vec<_> = log.runs.iter().filter_map(|run| Some((group.answers(run)?, run.trace))).collect();
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    answers.iter().for_each(|(answers, _)| *counts.entry(*answers).or_default() += 1);
    let seen = answers.len() as u64;
    // A loser that happens to be over as well makes it one more, never one less; a call is lost sometimes.
    let (&needed, _) = counts.iter().find(|(_, times)| **times * 5 >= seen)?;
    let times: u64 = counts.range(..=needed).map(|(_, times)| times).sum();
    if needed == 0 || needed as usize >= group.branches.len() || seen < SUPPORT_MIN {
        return None;
    }
    let says = format!(
        "the caller continued after {needed} of {} answers in {times} of {seen} requests",
        group.branches.len()
    );
    group.needed = needed;
    group.support = Support::of_sightings(seen, says).shown_by(answers.into_iter().map(|(_, trace)| trace));
    (group.delay_ms, group.first) = group.delay(log);
    Some(group)
}

/// Members one of which follows the other are one branch, with every other call that follows or leads to this branch alone.
fn branches(
    places: &BTreeSet<usize>,
    activities: &[Activity],
    relations: &Relations,
    moments: &Moments,
    hedges: &[(usize, usize)],
) -> Vec<Branch> {
    let is_hedge = |a: usize, b: usize| hedges.contains(&(a, b)) || hedges.contains(&(b, a));
    // b follows a: it comes after it always, and a is what had just answered most of the time.
    let follows = |a: usize, b: usize| {
        relations.relation(a, b) == Relation::Before
            && !is_hedge(a, b)
            && !moments.rivals(a, b)
            && moments.triggers(a, b)
    };
    let mut union = Union::new(activities.len());
    for (a, b) in pairs(places, places).filter(|&(a, b)| follows(a, b)) {
        union.join(a, b);
    }
    let groups: Vec<BTreeSet<usize>> =
        union.groups().into_iter().filter(|group| group.is_subset(places)).collect();
    let name = |place: usize| activities.get(place).copied();
    let mut branches: Vec<Branch> = groups
        .iter()
        .map(|group| Branch {
            calls: group.iter().filter_map(|&place| name(place)).collect(),
            winners: group
                .iter()
                .filter(|&&place| moments.wins(place))
                .filter_map(|&place| name(place))
                .collect(),
        })
        .collect();
    let others: BTreeSet<usize> = (0..activities.len()).filter(|place| !places.contains(place)).collect();
    for place in &others {
        // On the way to an answer of the branch, or made while another branch may still win.
        let belongs = |group: &BTreeSet<usize>| {
            let rivals = places.iter().any(|rival| {
                !group.contains(rival) && relations.relation(*place, *rival) == Relation::Together
            });
            // What an other branch can set going as well is what follows the race.
            let elsewhere =
                places.iter().any(|rival| !group.contains(rival) && moments.sets_going(*rival, *place));
            group
                .iter()
                .any(|&member| follows(*place, member) || (rivals && !elsewhere && follows(member, *place)))
        };
        let mut with = groups.iter().enumerate().filter(|(_, group)| belongs(group));
        if let (Some((only, _)), None) = (with.next(), with.next())
            && let Some(branch) = branches.get_mut(only)
        {
            branch.calls.extend(name(*place));
        }
    }
    branches
        .iter_mut()
        .filter(|branch| branch.winners.is_empty())
        .for_each(|branch| branch.winners.clone_from(&branch.calls));
    branches
}

fn pairs<'a>(a: &'a BTreeSet<usize>, b: &'a BTreeSet<usize>) -> impl Iterator<Item = (usize, usize)> + 'a {
    a.iter()
        .flat_map(move |&one| b.iter().map(move |&other| (one, other)))
        .filter(|(one, other)| one != other)
}

impl Group {
    fn of<'a>(&'a self, run: &'a Run) -> impl Iterator<Item = &'a Event> {
        run.events.iter().filter(|event| self.members.contains(&event.activity))
    }

    /// When each branch had answered, ascending.
    fn answered(&self, run: &Run) -> Vec<i64> {
        let end = |branch: &Branch| {
            let winners = run.events.iter().filter(|event| branch.winners.contains(&event.activity));
            winners.filter(|event| event.outcome.answered()).map(|event| event.end).max()
        };
        let mut ends: Vec<_> = self.branches.iter().filter_map(end).collect();
        ends.sort_unstable();
        ends
    }

    /// How many branches had answered when the caller went on while others still ran, or were cancelled; `None` when none was.
    fn answers(&self, run: &Run) -> Option<u32> {
        if !run.went_on {
            return None;
        }
        let begun = self
            .branches
            .iter()
            .filter(|branch| self.of(run).any(|event| branch.calls.contains(&event.activity)));
        if begun.count() < 2 {
            return None;
        }
        let ends = self.answered(run);
        let first = *ends.first()?;
        // The first later call outside, else the caller's end.
        let next = run
            .events
            .iter()
            .filter(|event| !self.members.contains(&event.activity) && event.start + SLACK_NS / 20 >= first);
        let at = next.map(|event| event.start).min().unwrap_or(run.until);
        let answered = ends.iter().filter(|end| **end <= at + SLACK_NS / 20).count();
        let lost =
            self.of(run).any(|event| event.running_at(at) || event.start > at || self.lost(event, run));
        lost.then_some(u32::try_from(answered).unwrap_or(u32::MAX))
    }

    /// Whether a call ended because another branch had answered.
    fn lost(&self, event: &Event, run: &Run) -> bool {
        event.outcome != CallOutcome::Good
            && self
                .of(run)
                .filter(|other| other.activity != event.activity && other.outcome.answered())
                .any(|winner| broken_off(event, winner, run.went_on_after(event.end)))
    }

    /// How much later than the first branch the second begins, where always the same is the first, and with what that begins.
    fn delay(&self, log: &Log) -> (u64, Option<Activity>) {
        let (mut firsts, mut opening, mut least) = (BTreeSet::new(), None, i64::MAX);
        for run in &log.runs {
            let mut starts: Vec<_> = self
                .branches
                .iter()
                .enumerate()
                .filter_map(|(place, branch)| {
                    let event = run.events.iter().find(|event| branch.calls.contains(&event.activity))?;
                    Some((event.start, place, event.activity))
                })
                .collect();
            starts.sort_unstable();
            let Some(&(first, place, activity)) = starts.first() else { continue };
            firsts.insert(place);
            opening = Some(activity);
            if let Some((second, ..)) = starts.get(1) {
                least = least.min(second - first);
            }
        }
        let delay_ms = if least == i64::MAX { 0 } else { (least / 1_000_000).max(0).cast_unsigned() };
        if firsts.len() == 1 && delay_ms > 0 { (delay_ms, opening) } else { (0, None) }
    }

    /// Ends the calls of one run at the moment enough had answered.
    fn cut(&self, run: &mut Run) {
        let ends = self.answered(run);
        let Some(&enough) = ends.get((self.needed as usize).saturating_sub(1)) else { return };
        for event in run.events.iter_mut().filter(|event| self.members.contains(&event.activity)) {
            let broken = event.outcome == CallOutcome::Cancelled
                || (event.outcome == CallOutcome::Error && event.end >= enough);
            if event.end > enough || broken {
                event.start = event.start.min(enough);
                (event.end, event.cut) = (event.end.min(enough).max(event.start), true);
            }
        }
        run.events.sort_by_key(|event| event.start);
    }
}

/// Whether a call ended because another had answered: it was over at that moment.
fn broken_off(loser: &Event, winner: &Event, went_on: bool) -> bool {
    let overlapping = loser.start < winner.end && winner.start < loser.end;
    let later = loser.end - winner.end;
    match loser.outcome {
        // When the caller fails, everybody is cancelled, and for nobody's answer.
        CallOutcome::Cancelled => went_on && overlapping && later.abs() <= SLACK_NS,
        // Instrumentation that knows no "cancelled" calls it an error; it then ends at that moment.
        CallOutcome::Error => went_on && overlapping && (0..=BREAK_NS).contains(&later),
        _ => false,
    }
}

/// How far from the winner's end a call cancelled for it may end: the two spans are closed by different threads.
const SLACK_NS: i64 = 2_000_000;
/// How long after the winner's answer a call that is broken off ends; an error of its own would have to fall into this moment.
const BREAK_NS: i64 = 200_000;
