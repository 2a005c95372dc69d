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
use emac_trace::CallOutcome;
use moments::Moments;
pub(super) use unawaited::Unawaited;

/// Races among the calls of one caller, and those of its calls that nobody waits for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Races {
    /// Races and quorums; no activity is in two.
    pub(super) groups: Vec<Race>,
    /// Calls that nobody waits for, each with what follows it unawaited.
    pub(super) unawaited: BTreeMap<Activity, Unawaited>,
}

/// Calls of which the first few answers count: a race, or a quorum where more than one is needed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Race {
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
pub(super) fn cut_losers(log: &mut Log) -> Races {
    let activities = log.activities();
    if activities.len() > ACTIVITIES_MAX {
        return Races::default();
    }
    let unawaited = unawaited::detach(log);
    let activities = log.activities();
    let groups = groups(&activities, log);
    for group in &groups {
        log.runs.iter_mut().for_each(|run| group.cut(run));
    }
    let mut found = Races { groups, unawaited };
    unawaited::outliving(&activities, log, &mut found);
    found
}

fn groups(activities: &[Activity], log: &Log) -> Vec<Race> {
    if activities.len() < 2 {
        return Vec::new();
    }
    let rivalry = Rivalry::of(activities, log);
    rivalry.rivals().iter().filter_map(|rivals| Race::of(rivalry.branches(rivals), log)).collect()
}

/// What tells rivals among the calls of one caller. A call is named by its place in the list of activities.
struct Rivalry<'a> {
    activities: &'a [Activity],
    relations: Relations,
    moments: Moments,
    /// Pairs (first, hedge).
    hedges: Vec<(usize, usize)>,
}

impl<'a> Rivalry<'a> {
    fn of(activities: &'a [Activity], log: &Log) -> Self {
        let all: Vec<&Run> = log.runs.iter().collect();
        Self {
            activities,
            relations: Relations::of(activities, &all),
            moments: Moments::of(activities, log),
            hedges: hedge::find(activities, log),
        }
    }

    /// Calls that win and lose against each other, race by race.
    fn rivals(&self) -> Vec<BTreeSet<usize>> {
        let mut union = Union::new(self.activities.len());
        self.moments.join_rivals(&mut union);
        self.hedges.iter().for_each(|(first, hedge)| union.join(*first, *hedge));
        union.groups().into_iter().filter(|group| group.len() > 1).collect()
    }

    /// The branches of one race: rivals that lead to one another are one branch, with every other call that belongs to this branch alone.
    fn branches(&self, rivals: &BTreeSet<usize>) -> Vec<Branch> {
        let chains = self.chains(rivals);
        let mut branches: Vec<Branch> = chains.iter().map(|chain| self.branch(chain)).collect();
        for other in (0..self.activities.len()).filter(|place| !rivals.contains(place)) {
            let branch = self.home(other, &chains, rivals).and_then(|only| branches.get_mut(only));
            if let Some(branch) = branch {
                branch.calls.extend(self.activity(other));
            }
        }
        // A branch that never won: any of its calls may be its answer.
        let never_won = branches.iter_mut().filter(|branch| branch.winners.is_empty());
        never_won.for_each(|branch| branch.winners.clone_from(&branch.calls));
        branches
    }

    /// Rivals joined to those that they lead to: two that come one after the other are on one side.
    fn chains(&self, rivals: &BTreeSet<usize>) -> Vec<BTreeSet<usize>> {
        let mut union = Union::new(self.activities.len());
        for &earlier in rivals {
            let later = rivals.iter().filter(|&&later| self.leads_to(earlier, later));
            later.for_each(|&later| union.join(earlier, later));
        }
        union.groups().into_iter().filter(|chain| chain.is_subset(rivals)).collect()
    }

    fn branch(&self, chain: &BTreeSet<usize>) -> Branch {
        let winners = chain.iter().filter(|&&place| self.moments.wins(place));
        Branch {
            calls: chain.iter().filter_map(|&place| self.activity(place)).collect(),
            winners: winners.filter_map(|&place| self.activity(place)).collect(),
        }
    }

    /// The only branch that a call belongs to which neither wins nor loses itself; `None` when it belongs to none, or to several.
    fn home(&self, call: usize, chains: &[BTreeSet<usize>], rivals: &BTreeSet<usize>) -> Option<usize> {
        let mut homes = chains
            .iter()
            .enumerate()
            .filter(|(_, chain)| self.belongs(call, chain, rivals))
            .map(|(at, _)| at);
        let only = homes.next()?;
        homes.next().is_none().then_some(only)
    }

    /// Whether a call is on the way to an answer of a branch, or follows one while another branch may still win.
    fn belongs(&self, call: usize, chain: &BTreeSet<usize>, rivals: &BTreeSet<usize>) -> bool {
        let others = || rivals.difference(chain);
        let is_on_the_way = chain.iter().any(|&member| self.leads_to(call, member));
        let is_led_to = chain.iter().any(|&member| self.leads_to(member, call));
        let is_contested = others().any(|&rival| self.relations.relation(call, rival) == Relation::Together);
        // What another branch can set going as well is what follows the race.
        let follows_the_race = || others().any(|&rival| self.moments.sets_going(rival, call));
        is_on_the_way || (is_led_to && is_contested && !follows_the_race())
    }

    /// Whether one call leads to another: the other comes after it always, and most of the time when it had just answered. A hedge comes
    /// after its first by a timer, a rival by chance.
    fn leads_to(&self, earlier: usize, later: usize) -> bool {
        self.relations.relation(earlier, later) == Relation::Before
            && !self.is_hedged(earlier, later)
            && !self.moments.rivals(earlier, later)
            && self.moments.triggers(earlier, later)
    }

    /// Whether one of two calls is the other's hedge.
    fn is_hedged(&self, a: usize, b: usize) -> bool {
        self.hedges.contains(&(a, b)) || self.hedges.contains(&(b, a))
    }

    fn activity(&self, place: usize) -> Option<Activity> {
        self.activities.get(place).copied()
    }
}

/// So many answers were enough if the caller went on with no more in one telling request of so many. A call that was lost makes it one less, which is
/// far rarer; a loser that happens to be over as well makes it one more, which may be the usual case.
const ENOUGH_PART: u64 = 5;

/// How many answers the caller waited for, and in how many requests it went on after no more, by how many it had each time that it went on.
fn needed(answers: impl Iterator<Item = u32>) -> Option<(u32, u64)> {
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    answers.for_each(|answers| *counts.entry(answers).or_default() += 1);
    let seen: u64 = counts.values().sum();
    let (&needed, _) = counts.iter().find(|(_, times)| **times * ENOUGH_PART >= seen)?;
    Some((needed, counts.range(..=needed).map(|(_, times)| times).sum()))
}

impl Race {
    /// A race between branches; `None` where the caller waited for all of them, or too few requests tell.
    fn of(branches: Vec<Branch>, log: &Log) -> Option<Self> {
        if branches.len() < 2 {
            return None;
        }
        let mut group = Self {
            members: branches.iter().flat_map(|branch| &branch.calls).copied().collect(),
            branches,
            needed: 1,
            delay_ms: 0,
            first: None,
            support: Support::default(),
        };
        let answers: Vec<_> =
            log.runs.iter().filter_map(|run| Some((group.answers(run)?, run.trace))).collect();
        let (needed, times) = needed(answers.iter().map(|(answers, _)| *answers))?;
        let (seen, all) = (answers.len() as u64, group.branches.len());
        if needed == 0 || needed as usize >= all || seen < SUPPORT_MIN {
            return None;
        }
        let says =
            format!("the caller continued after {needed} of {all} answers in {times} of {seen} requests");
        group.needed = needed;
        group.support =
            Support::of_sightings(seen, says).shown_by(answers.into_iter().map(|(_, trace)| trace));
        (group.delay_ms, group.first) = group.delay(log);
        Some(group)
    }

    fn events<'a>(&'a self, run: &'a Run) -> impl Iterator<Item = &'a Event> {
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
        if !run.went_on || self.begun(run) < 2 {
            return None;
        }
        let ends = self.answered(run);
        let at = self.went_on_at(run, *ends.first()?);
        let answered = ends.iter().filter(|end| **end <= at + GOING_ON_NS).count();
        let is_needless = |event: &Event| event.running_at(at) || event.start > at || self.lost(event, run);
        self.events(run).any(is_needless).then_some(u32::try_from(answered).unwrap_or(u32::MAX))
    }

    /// How many branches were asked.
    fn begun(&self, run: &Run) -> usize {
        let begun = |branch: &&Branch| run.events.iter().any(|event| branch.calls.contains(&event.activity));
        self.branches.iter().filter(begun).count()
    }

    /// When the caller went on after the first answer: at the first later call outside, else at its own end.
    fn went_on_at(&self, run: &Run, first: i64) -> i64 {
        let outside = run.events.iter().filter(|event| !self.members.contains(&event.activity));
        let next = outside.map(|event| event.start).filter(|start| start + GOING_ON_NS >= first).min();
        next.unwrap_or(run.until)
    }

    /// Whether a call ended because another branch had answered.
    fn lost(&self, event: &Event, run: &Run) -> bool {
        event.outcome != CallOutcome::Good
            && self
                .events(run)
                .filter(|other| other.activity != event.activity && other.outcome.answered())
                .any(|winner| broken_off(event, winner, run.went_on_after(event.end)))
    }

    /// How much later than the first branch the second begins, where always the same is the first, and with what that begins.
    fn delay(&self, log: &Log) -> (u64, Option<Activity>) {
        let (mut firsts, mut opening, mut least) = (BTreeSet::new(), None, None);
        for run in &log.runs {
            let starts = self.starts(run);
            let Some(&(first, branch, activity)) = starts.first() else { continue };
            firsts.insert(branch);
            opening = Some(activity);
            let later = starts.get(1).map(|(second, ..)| second - first);
            least = least.into_iter().chain(later).min();
        }
        let delay_ms = (least.unwrap_or(0) / 1_000_000).max(0).cast_unsigned();
        if firsts.len() == 1 && delay_ms > 0 { (delay_ms, opening) } else { (0, None) }
    }

    /// When each branch that was asked began, which it is, and with what call, ascending.
    fn starts(&self, run: &Run) -> Vec<(i64, usize, Activity)> {
        let start = |(place, branch): (usize, &Branch)| {
            let event = run.events.iter().find(|event| branch.calls.contains(&event.activity))?;
            Some((event.start, place, event.activity))
        };
        let mut starts: Vec<_> = self.branches.iter().enumerate().filter_map(start).collect();
        starts.sort_unstable();
        starts
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
/// How long before the span of the answer ends the caller may have gone on by it: it closes the span beside its next step, as two calls touch.
const GOING_ON_NS: i64 = SLACK_NS / 20;
/// How long after the winner's answer a call that is broken off ends; an error of its own would have to fall into this moment.
const BREAK_NS: i64 = 200_000;
