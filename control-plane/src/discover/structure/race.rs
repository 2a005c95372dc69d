//! Answers that are not needed any more: races, quorums, and calls that nobody waits for.
//!
//! What tells a race from calls that merely run at the same time is when the caller goes on. At each moment at which it went on (the start of a
//! later call, or its own end) some call had *just* answered: the trigger. Where a and b race, each is the trigger while the other still
//! runs (or is cancelled), and no other call ever is. In `Parallel(a, Series(b, c))` c also begins while a runs, but b always is the trigger.

use std::collections::{BTreeMap, BTreeSet};

use super::SUPPORT_MIN;
use super::log::{Activity, Event, Log, Run};
use super::relation::Union;
use super::support::Support;
use crate::trace::CallOutcome;

/// What was found, by caller.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Found {
    /// Races and quorums; no activity is in two.
    pub(super) groups: Vec<Group>,
    /// Calls that nobody waits for.
    pub(super) unawaited: BTreeMap<Activity, Support>,
}

/// Calls of which the first few answers count.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    pub(super) members: BTreeSet<Activity>,
    /// How many answers.
    pub(super) needed: u32,
    /// The second begins this many milliseconds after the first; 0: at once.
    pub(super) delay_ms: u64,
    /// Which begins, where there is a delay.
    pub(super) first: Option<Activity>,
    pub(super) support: Support,
}

/// More calls than this of one caller are not looked at for races: nobody asks so many the same.
const ACTIVITIES_MAX: usize = 64;
/// Share of the moments at which the trigger must be of the group.
const TRIGGERED_MIN: f64 = 0.9;

/// Finds races and calls not waited for, and ends their calls in the log at the moment they were not needed any more.
pub(super) fn cut_losers(log: &mut Log) -> Found {
    let activities = log.activities();
    if activities.len() > ACTIVITIES_MAX {
        return Found::default();
    }
    let moments = Moments::of(&activities, log);
    let mut found = Found { groups: moments.groups(log), unawaited: BTreeMap::new() };
    for group in &found.groups {
        log.runs.iter_mut().for_each(|run| group.cut(run));
    }
    found.unawaited = unawaited(&activities, log, &found.groups);
    for run in &mut log.runs {
        for event in run.events.iter_mut().filter(|event| found.unawaited.contains_key(&event.activity)) {
            (event.end, event.cut) = (event.start, true);
        }
    }
    found
}

// === moments at which the caller went on ===

/// Counts over all moments.
struct Moments {
    activities: Vec<Activity>,
    /// By moment (position of the call that began; the last: the caller's end), trigger, and what still ran or was cancelled then.
    won: BTreeMap<(usize, usize, usize), u64>,
    /// By moment and trigger.
    triggered: BTreeMap<(usize, usize), u64>,
    /// By pair: overlapping, the first cancelled and the second well.
    cancelled: BTreeMap<(usize, usize), u64>,
}

impl Moments {
    fn of(activities: &[Activity], log: &Log) -> Self {
        let mut moments = Self {
            activities: activities.to_vec(),
            won: BTreeMap::new(),
            triggered: BTreeMap::new(),
            cancelled: BTreeMap::new(),
        };
        log.runs.iter().for_each(|run| moments.look_at(run));
        moments
    }

    fn place(&self, activity: Activity) -> usize {
        self.activities.binary_search(&activity).unwrap_or(usize::MAX)
    }

    fn look_at(&mut self, run: &Run) {
        for (next, event) in run.events.iter().enumerate() {
            let before = run.events.get(..next).unwrap_or_default();
            self.moment(self.place(event.activity), event.start, before, Some(event.activity));
        }
        if run.went_on {
            self.moment(self.activities.len(), run.until, &run.events, None);
        }
        self.look_for_cancelled(run);
    }

    fn moment(&mut self, moment: usize, at: i64, before: &[Event], own: Option<Activity>) {
        let others = || before.iter().filter(|event| Some(event.activity) != own && !event.message);
        let over = others().filter(|event| !event.running_at(at) && event.outcome.answered());
        let Some(trigger) = over.max_by_key(|event| event.end) else { return };
        let trigger_place = self.place(trigger.activity);
        *self.triggered.entry((moment, trigger_place)).or_default() += 1;
        for event in others().filter(|event| event.running_at(at) && event.start < trigger.end) {
            *self.won.entry((moment, trigger_place, self.place(event.activity))).or_default() += 1;
        }
    }

    /// A call that ended because another had answered: cancelled, or broken off at that moment.
    fn look_for_cancelled(&mut self, run: &Run) {
        for loser in run.events.iter().filter(|event| event.outcome != CallOutcome::Good) {
            for winner in
                run.events.iter().filter(|event| event.outcome.answered() && event.activity != loser.activity)
            {
                if broken_off(loser, winner, run.went_on) {
                    *self
                        .cancelled
                        .entry((self.place(loser.activity), self.place(winner.activity)))
                        .or_default() += 1;
                }
            }
        }
    }

    fn won(&self, moment: usize, trigger: usize, loser: usize) -> u64 {
        self.won.get(&(moment, trigger, loser)).copied().unwrap_or(0)
    }

    fn cancelled(&self, loser: usize, winner: usize) -> u64 {
        self.cancelled.get(&(loser, winner)).copied().unwrap_or(0)
    }

    // === groups ===

    fn groups(&self, log: &Log) -> Vec<Group> {
        let n = self.activities.len();
        let mut union = Union::new(n);
        for moment in 0..=n {
            self.join_rivals(moment, &mut union);
        }
        for a in 0..n {
            for b in a + 1..n {
                if self.cancelled(a, b) + self.cancelled(b, a) >= SUPPORT_MIN {
                    union.join(a, b);
                }
            }
        }
        let groups = union.groups().into_iter().filter(|group| group.len() > 1);
        groups.filter_map(|group| self.group(&group, log)).collect()
    }

    /// Joins calls each of which let the caller go on while the other still ran.
    fn join_rivals(&self, moment: usize, union: &mut Union) {
        let n = self.activities.len();
        let rivals = |a: usize, b: usize| {
            let (one, other) = (self.won(moment, a, b), self.won(moment, b, a));
            one > 0 && other > 0 && one + other >= SUPPORT_MIN
        };
        let pairs = (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b)));
        let found: Vec<_> = pairs.filter(|&(a, b)| a != moment && b != moment && rivals(a, b)).collect();
        let members: BTreeSet<_> = found.iter().flat_map(|&(a, b)| [a, b]).collect();
        let all: u64 = self.triggered.range((moment, 0)..(moment + 1, 0)).map(|(_, count)| count).sum();
        let of_members: u64 =
            members.iter().filter_map(|&member| self.triggered.get(&(moment, member))).sum();
        if of_members as f64 >= TRIGGERED_MIN * all as f64 {
            found.into_iter().for_each(|(a, b)| union.join(a, b));
        }
    }

    fn group(&self, places: &BTreeSet<usize>, log: &Log) -> Option<Group> {
        let members: BTreeSet<_> =
            places.iter().filter_map(|&place| self.activities.get(place)).copied().collect();
        let mut needed: BTreeMap<u32, u64> = BTreeMap::new();
        for run in &log.runs {
            if let Some(answers) = answers_when_going_on(run, &members) {
                *needed.entry(answers).or_default() += 1;
            }
        }
        // The number most often seen: a loser that happens to be over as well makes it one more, never one less.
        let seen: u64 = needed.values().sum();
        let (&needed, &times) =
            needed.iter().max_by_key(|(answers, times)| (**times, std::cmp::Reverse(**answers)))?;
        if needed == 0 || needed as usize >= members.len() || seen < SUPPORT_MIN {
            return None;
        }
        let says = format!(
            "the caller went on after {needed} of {} answers in {times} of {seen} requests",
            members.len()
        );
        let support = Support::of_sightings(times, says).shown_by(
            log.runs.iter().filter(|run| answers_when_going_on(run, &members).is_some()).map(|run| run.trace),
        );
        let (delay_ms, first) = delay(log, &members);
        Some(Group { members, needed, delay_ms, first, support })
    }
}

/// Whether a call ended because another had answered: it was over at that moment.
fn broken_off(loser: &Event, winner: &Event, went_on: bool) -> bool {
    let overlapping = loser.start < winner.end && winner.start < loser.end;
    let later = loser.end - winner.end;
    match loser.outcome {
        CallOutcome::Cancelled => overlapping && later.abs() <= SLACK_NS,
        // Instrumentation that knows no "cancelled" calls it an error; it then ends at that moment.
        CallOutcome::Error => went_on && overlapping && (0..=BREAK_NS).contains(&later),
        _ => false,
    }
}

/// How far from the winner's end a call cancelled for it may end: the two spans are closed by different threads.
const SLACK_NS: i64 = 2_000_000;
/// How long after the winner's answer a call that is broken off ends; an error of its own would have to fall into this moment.
const BREAK_NS: i64 = 200_000;

/// How many of a group had answered when the caller went on while others still ran, or were cancelled; `None` when none was.
fn answers_when_going_on(run: &Run, members: &BTreeSet<Activity>) -> Option<u32> {
    if !run.went_on {
        return None;
    }
    let of_group = || run.events.iter().filter(|event| members.contains(&event.activity));
    let last_start = of_group().map(|event| event.start).max()?;
    let next =
        run.events.iter().filter(|event| !members.contains(&event.activity) && event.start > last_start);
    let running =
        |at: i64| of_group().any(|event| event.running_at(at) || event.outcome == CallOutcome::Cancelled);
    // The first later call that something of the group triggered, else the caller's end.
    let at = next
        .map(|event| event.start)
        .find(|&at| running(at) && triggered_by(run, members, at))
        .unwrap_or(run.until);
    let lost = of_group().filter(|event| event.running_at(at) || is_loser(event, run, members)).count();
    let answered = of_group().filter(|event| !event.running_at(at) && event.outcome.answered()).count();
    (lost > 0).then_some(u32::try_from(answered).unwrap_or(u32::MAX))
}

fn is_loser(event: &Event, run: &Run, members: &BTreeSet<Activity>) -> bool {
    let winners = run
        .events
        .iter()
        .filter(|other| members.contains(&other.activity) && other.activity != event.activity);
    event.outcome != CallOutcome::Good
        && winners
            .filter(|other| other.outcome.answered())
            .any(|winner| broken_off(event, winner, run.went_on))
}

fn triggered_by(run: &Run, members: &BTreeSet<Activity>, at: i64) -> bool {
    let over = run
        .events
        .iter()
        .filter(|event| event.start < at && !event.running_at(at) && event.outcome.answered());
    over.max_by_key(|event| event.end).is_some_and(|event| members.contains(&event.activity))
}

/// How much later than the first the second begins, where always the same call is the first, and which it is.
fn delay(log: &Log, members: &BTreeSet<Activity>) -> (u64, Option<Activity>) {
    let mut firsts = BTreeSet::new();
    let mut least = i64::MAX;
    for run in &log.runs {
        let mut starts = run.events.iter().filter(|event| members.contains(&event.activity));
        let Some(first) = starts.next() else { continue };
        firsts.insert(first.activity);
        if let Some(second) = starts.find(|event| event.activity != first.activity) {
            least = least.min(second.start - first.start);
        }
    }
    let delay_ms = if least == i64::MAX { 0 } else { (least / 1_000_000).max(0).cast_unsigned() };
    match (firsts.len(), firsts.first()) {
        (1, first) if delay_ms > 0 => (delay_ms, first.copied()),
        _ => (0, None),
    }
}

impl Group {
    /// Ends the calls of one run at the moment enough had answered.
    fn cut(&self, run: &mut Run) {
        let of_group = |event: &&Event| self.members.contains(&event.activity);
        let mut ends: Vec<_> = run
            .events
            .iter()
            .filter(of_group)
            .filter(|event| event.outcome.answered())
            .map(|event| event.end)
            .collect();
        ends.sort_unstable();
        let Some(&enough) = ends.get((self.needed as usize).saturating_sub(1)) else { return };
        for event in run.events.iter_mut().filter(|event| self.members.contains(&event.activity)) {
            let broken = event.outcome == CallOutcome::Cancelled
                || (event.outcome == CallOutcome::Error && event.end >= enough);
            if event.end > enough || broken {
                (event.end, event.cut) = (enough.max(event.start).min(event.end), true);
            }
        }
    }
}

// === calls not waited for ===

fn unawaited(activities: &[Activity], log: &Log, groups: &[Group]) -> BTreeMap<Activity, Support> {
    let racing: BTreeSet<_> = groups.iter().flat_map(|group| &group.members).collect();
    let mut found = BTreeMap::new();
    for activity in activities.iter().filter(|activity| !racing.contains(activity)) {
        let outlived = |run: &&Run| {
            run.went_on && run.of(*activity).any(|event| event.message || event.running_at(run.until))
        };
        let late: Vec<_> = log.runs.iter().filter(outlived).map(|run| run.trace).collect();
        let present = log.runs.iter().filter(|run| run.of(*activity).next().is_some()).count();
        if late.len() as u64 >= SUPPORT_MIN && late.len() * 50 >= present {
            let says = format!(
                "still running when its caller had ended well in {} of {present} requests",
                late.len()
            );
            let support = Support::of_sightings(late.len() as u64, says).shown_by(late.into_iter());
            found.insert(*activity, support);
        }
    }
    found
}
