//! Answers that are not needed any more: races, quorums, and calls that nobody waits for.
//!
//! What tells a race from calls that merely run at the same time is when the caller goes on: [`explain`] weighs what it may have waited for. Two more
//! signs: a call that ends at the moment another answers was cancelled for it ([`moments`]); and one that always begins the same time after another is
//! its [`hedge`].
//!
//! A branch of a race may be several calls ([`rivalry`]). Members are the calls that won or lost; winners those that end a branch; what waits for the
//! members of one branch alone, or what they wait for, belongs to it.

mod explain;
mod hedge;
mod moments;
mod rivalry;
mod unawaited;

use std::collections::{BTreeMap, BTreeSet};

use super::SUPPORT_MIN;
use super::log::{Activity, Event, Log, Run};
use super::support::Support;
use emac_trace::CallOutcome;
use rivalry::Rivalry;
pub(super) use unawaited::Unawaited;

/// Races among the calls of one caller, and those of its calls that nobody waits for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Races {
    /// Races and quorums; no activity is in two.
    pub(super) groups: Vec<Race>,
    /// Calls that nobody waits for, each with what follows it unawaited.
    pub(super) unawaited: BTreeMap<Activity, Unawaited>,
    /// Calls whose end was seen to let something go on, with the call that began then, or none for the caller's end.
    pub(super) waited: BTreeSet<(Activity, Option<Activity>)>,
}

impl Races {
    /// Whether a call was seen to wait for another, directly or through calls between.
    pub(super) fn follows(&self, earlier: Activity, later: Activity) -> bool {
        let (mut open, mut known) = (vec![earlier], BTreeSet::from([earlier]));
        while let Some(call) = open.pop() {
            let next = self
                .waited
                .range((call, None)..)
                .take_while(|(of, _)| *of == call)
                .filter_map(|(_, next)| *next);
            open.extend(next.filter(|next| known.insert(*next)));
        }
        known.contains(&later)
    }

    /// Whether a call outside some parts was seen to begin by the end of one of theirs.
    pub(super) fn is_followed(&self, parts: &[BTreeSet<Activity>]) -> bool {
        let is_within = |call: &Activity| parts.iter().any(|part| part.contains(call));
        self.waited.iter().any(|(call, next)| is_within(call) && next.is_some_and(|next| !is_within(&next)))
    }

    /// Whether something outside a part was seen to wait for it: for one of its calls, or for the answers of a race that it takes part in.
    pub(super) fn waits_for(&self, part: &BTreeSet<Activity>) -> bool {
        let is_outside = |next: &Option<Activity>| next.is_none_or(|next| !part.contains(&next));
        self.waited.iter().any(|(call, next)| part.contains(call) && is_outside(next))
            || self.groups.iter().any(|group| !group.members.is_disjoint(part))
    }
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
    /// A call beside it might be one of its branches, with one answer more needed.
    pub(super) undecided: bool,
    pub(super) support: Support,
}

/// One branch of a race.
#[derive(Clone, Debug, Default, PartialEq)]
struct Branch {
    calls: BTreeSet<Activity>,
    /// Those whose answer is the branch's.
    winners: BTreeSet<Activity>,
}

/// Log-odds from which on a call is taken to wait for another: twenty to one.
const AWAITED_MIN: f64 = 3.0;

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
    let Found { groups, waited, undecided } = find(&activities, log);
    for group in &groups {
        log.runs.iter_mut().for_each(|run| group.cut(run));
    }
    let mut found = Races { groups, unawaited, waited };
    unawaited::outliving(&activities, log, &mut found, &undecided);
    found
}

/// What the moments of one caller show.
#[derive(Debug, Default)]
struct Found {
    groups: Vec<Race>,
    waited: BTreeSet<(Activity, Option<Activity>)>,
    /// Calls still running when the caller went on, each with one that it may as well race with.
    undecided: BTreeMap<Activity, Activity>,
}

fn find(activities: &[Activity], log: &Log) -> Found {
    if activities.len() < 2 {
        return Found::default();
    }
    let rivalry = Rivalry::of(activities, log);
    let race = |rivals| Race::of(rivalry.branches(rivals), rivalry.contest(rivals), log);
    let groups = rivalry.rivals().iter().filter_map(race).collect();
    Found { groups, waited: rivalry.waited(), undecided: rivalry.undecided() }
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
    fn of(branches: Vec<Branch>, contest: Option<&explain::Contest>, log: &Log) -> Option<Self> {
        if branches.len() < 2 {
            return None;
        }
        let mut group = Self {
            members: branches.iter().flat_map(|branch| &branch.calls).copied().collect(),
            branches,
            needed: 1,
            delay_ms: 0,
            first: None,
            undecided: contest.is_some_and(|contest| contest.undecided),
            support: Support::default(),
        };
        let (needed, support) = match contest {
            Some(contest) => (contest.needed, group.explained(contest, log)),
            None => group.counted(log)?,
        };
        if needed == 0 || needed as usize >= group.branches.len() || support.agree < SUPPORT_MIN {
            return None;
        }
        (group.needed, group.support) = (needed, support);
        (group.delay_ms, group.first) = group.delay(log);
        Some(group)
    }

    /// What a race rests on that explains when the caller went on.
    fn explained(&self, contest: &explain::Contest, log: &Log) -> Support {
        let asked: Vec<_> =
            log.runs.iter().filter(|run| run.went_on && self.begun(run) > 1).map(|run| run.trace).collect();
        let (needed, all, seen) = (contest.needed, self.branches.len(), asked.len());
        let says = format!(
            "the caller continued when {needed} of {all} had answered, in {seen} requests; by e^{:.0} likelier than waiting for all",
            contest.gain
        );
        Support::of_sightings(seen as u64, says).shown_by(asked.into_iter())
    }

    /// How many answers were enough, and what that rests on, by how many there were when the caller went on; `None` where nothing tells.
    fn counted(&self, log: &Log) -> Option<(u32, Support)> {
        let answers: Vec<_> =
            log.runs.iter().filter_map(|run| Some((self.answers(run)?, run.trace))).collect();
        let (needed, times) = needed(answers.iter().map(|(answers, _)| *answers))?;
        let (seen, all) = (answers.len() as u64, self.branches.len());
        let says =
            format!("the caller continued after {needed} of {all} answers in {times} of {seen} requests");
        Some((
            needed,
            Support::of_sightings(seen, says).shown_by(answers.into_iter().map(|(_, trace)| trace)),
        ))
    }

    /// Whether it is between some parts.
    pub(super) fn is_of(&self, parts: &[BTreeSet<Activity>]) -> bool {
        parts.iter().any(|part| !part.is_disjoint(&self.members))
    }

    /// The calls of some parts by branch, for each branch that has any: two branches may look like one part, where one always began after the other
    /// had failed. What is no branch's goes with those it is a part with. Of two or more each is less than the parts together.
    pub(super) fn apart(&self, parts: &[&BTreeSet<Activity>]) -> Vec<BTreeSet<Activity>> {
        let is_there = |call: &&Activity| parts.iter().any(|part| part.contains(call));
        let mut branches: Vec<BTreeSet<Activity>> = self
            .branches
            .iter()
            .map(|branch| branch.calls.iter().filter(is_there).copied().collect())
            .collect();
        for part in parts {
            let home = self.branches.iter().position(|branch| !branch.calls.is_disjoint(part));
            let others = part.difference(&self.members);
            if let Some(home) = home.and_then(|home| branches.get_mut(home)) {
                home.extend(others);
            }
        }
        branches.retain(|branch| !branch.is_empty());
        branches
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
            // A first that fails sets the second going before the timer does.
            let is_at_work = |second: i64| {
                let of_first = |branch: &Branch| {
                    run.events
                        .iter()
                        .filter(|event| branch.calls.contains(&event.activity))
                        .any(|event| event.end > second)
                };
                self.branches.get(branch).is_some_and(of_first)
            };
            let later =
                starts.get(1).filter(|(second, ..)| is_at_work(*second)).map(|(second, ..)| second - first);
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
