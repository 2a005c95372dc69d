//! Which calls win and lose against each other, and which belong to whose branch.

use std::collections::{BTreeMap, BTreeSet};

use super::super::log::{Activity, Event, Log, Run};
use super::super::relation::{Relation, Relations, Union};
use super::explain::{Contest, Explained};
use super::moments::Moments;
use super::{AWAITED_MIN, Branch, hedge};

/// Probability up to which something is no chance.
const CHANCE_MAX: f64 = 0.05;

/// What tells rivals among the calls of one caller. A call is named by its place in the list of activities.
pub(super) struct Rivalry<'a> {
    activities: &'a [Activity],
    log: &'a Log,
    relations: Relations,
    moments: Moments,
    explained: Explained,
    /// Pairs (first, hedge).
    hedges: Vec<(usize, usize)>,
}

impl<'a> Rivalry<'a> {
    pub(super) fn of(activities: &'a [Activity], log: &'a Log) -> Self {
        let all: Vec<&Run> = log.runs.iter().collect();
        let relations = Relations::of(activities, &all);
        let together = |a, b| relations.relation(a, b) == Relation::Together;
        let explained = Explained::of(activities, log, &together);
        let (moments, hedges) = (Moments::of(activities, log), hedge::find(activities, log));
        Self { activities, log, relations, moments, explained, hedges }
    }

    /// Calls that win and lose against each other, race by race.
    pub(super) fn rivals(&self) -> Vec<BTreeSet<usize>> {
        let mut union = Union::new(self.activities.len());
        self.moments.join_cancelled(&mut union);
        for contest in &self.explained.contests {
            let first = contest.members.first().copied();
            contest.members.iter().for_each(|&member| union.join(first.unwrap_or(member), member));
        }
        self.hedges.iter().for_each(|(first, hedge)| union.join(*first, *hedge));
        union.groups().into_iter().filter(|group| group.len() > 1).collect()
    }

    /// The branches of one race: rivals that lead to one another are one branch, with every other call that belongs to this branch alone.
    pub(super) fn branches(&self, rivals: &BTreeSet<usize>) -> Vec<Branch> {
        let chains = self.chains(rivals);
        let mut branches: Vec<Branch> = chains.iter().map(|chain| self.branch(chain)).collect();
        // First what is on the way or follows an answer, then what begins beside that.
        let mut within = chains;
        for _ in 0..2 {
            let found: Vec<(usize, usize)> = (0..self.activities.len())
                .filter(|place| !rivals.contains(place) && !within.iter().any(|calls| calls.contains(place)))
                .filter_map(|other| Some((self.home(other, &within, rivals)?, other)))
                .collect();
            for (home, other) in found {
                branches
                    .get_mut(home)
                    .into_iter()
                    .for_each(|branch| branch.calls.extend(self.activity(other)));
                within.get_mut(home).into_iter().for_each(|calls| calls.extend([other]));
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
        let winners = chain.iter().filter(|&&place| self.wins(place));
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
        let follows_the_race =
            || others().any(|&rival| self.moments.sets_going(rival, call)) || self.follows(rivals, call);
        is_on_the_way
            || (is_led_to && is_contested && !follows_the_race() && self.is_missed(call, chain, rivals))
    }

    /// Whether a call that followed either branch would have been seen after another branch's answer: it was made often enough after this one's, and
    /// the others answered first often enough. What rests on nothing else is what follows the race, which bounds no better.
    fn is_missed(&self, call: usize, chain: &BTreeSet<usize>, rivals: &BTreeSet<usize>) -> bool {
        let place = |event: &Event| self.activities.binary_search(&event.activity).ok();
        let (mut ours, mut with, mut theirs) = (0_u32, 0_u32, 0_u32);
        for run in self.log.runs.iter().filter(|run| run.went_on) {
            let answers = run.events.iter().filter(|event| event.outcome.answered());
            let of_rivals = answers.filter_map(|event| Some((event.end, place(event)?)));
            let first = of_rivals.filter(|(_, place)| rivals.contains(place)).min();
            let Some((_, first)) = first else { continue };
            if chain.contains(&first) {
                ours += 1;
                with += u32::from(run.events.iter().any(|event| place(event) == Some(call)));
            } else {
                theirs += 1;
            }
        }
        let left_out = 1.0 - f64::from(with) / f64::from(ours.max(1));
        theirs > 0 && left_out.powf(f64::from(theirs)) <= CHANCE_MAX
    }

    /// Whether one call leads to another: the other comes after it always, and most of the time when it had just answered. A hedge comes
    /// after its first by a timer, a rival by chance.
    fn leads_to(&self, earlier: usize, later: usize) -> bool {
        // A hedge begins by a timer; what leads to it leads to the call that it hedges.
        let hedged = self.hedges.iter().filter(|(_, hedge)| *hedge == later).map(|(first, _)| *first).min();
        match hedged {
            Some(first) if first < later && first != earlier => return self.leads_to(earlier, first),
            Some(_) => return false,
            None => {}
        }
        self.relations.relation(earlier, later) == Relation::Before
            && !self.is_hedged(earlier, later)
            && !self.are_rivals(earlier, later)
            && self.explained.awaited(later, earlier) >= AWAITED_MIN
    }

    /// Whether one of two calls is the other's hedge.
    fn is_hedged(&self, a: usize, b: usize) -> bool {
        self.hedges.contains(&(a, b)) || self.hedges.contains(&(b, a))
    }

    /// Calls whose end let something go on, and what.
    pub(super) fn waited(&self) -> BTreeSet<(Activity, Option<Activity>)> {
        let n = self.activities.len();
        let pairs = (0..n).flat_map(|call| (0..=n).map(move |next| (call, next)));
        let seen = pairs.filter(|&(call, next)| self.explained.awaited(next, call) >= AWAITED_MIN);
        seen.filter_map(|(call, next)| Some((self.activity(call)?, self.activity(next)))).collect()
    }

    pub(super) fn undecided(&self) -> BTreeMap<Activity, Activity> {
        let with =
            |late: usize| Some((self.activity(late)?, self.activity(self.explained.undecided(late)?)?));
        (0..self.activities.len()).filter_map(with).collect()
    }

    /// Whether two calls win and lose against each other: one was cancelled for the other, or either lets the caller go on.
    fn are_rivals(&self, a: usize, b: usize) -> bool {
        let both = |contest: &Contest| contest.members.contains(&a) && contest.members.contains(&b);
        self.moments.is_cancelled(a, b) || self.explained.contests.iter().any(both)
    }

    /// Whether a call's answer is its branch's.
    fn wins(&self, place: usize) -> bool {
        self.moments.wins(place)
            || self.explained.contests.iter().any(|contest| contest.members.contains(&place))
    }

    /// Whether a call begins when a race between some of the rivals was decided.
    fn follows(&self, rivals: &BTreeSet<usize>, call: usize) -> bool {
        let contests = self.explained.contests.iter().filter(|contest| !contest.members.is_disjoint(rivals));
        contests.into_iter().any(|contest| contest.moments.contains(&call))
    }

    /// How many answers are needed of some rivals, and how sure that is, if their moments tell.
    pub(super) fn contest(&self, rivals: &BTreeSet<usize>) -> Option<&Contest> {
        self.explained.contests.iter().find(|contest| contest.members == *rivals)
    }

    fn activity(&self, place: usize) -> Option<Activity> {
        self.activities.get(place).copied()
    }
}
