//! What let a caller go on: explanations of the same moments, weighed against each other.
//!
//! At a *moment* (the start of a call, or the caller's good end) something had let the caller go on. An explanation says what: all of some calls had
//! ended, or so many of a group had answered. It gives for each request the time at which the caller could go on, and the *gap* from there to the
//! moment is the caller's own work. The right explanation never comes after the moment, and its gaps are the shortest and most alike; a wrong one
//! adds the difference between two calls' lengths to them, or is contradicted.
//!
//! So gaps have a likelihood: a density over time, learnt from the gaps themselves by counts in bins of a ratio (the marginal likelihood of a
//! categorical distribution under a symmetric Dirichlet prior), with a fixed small density for what contradicts the explanation. The difference
//! of two explanations' logarithms is the evidence for one against the other, whatever the number of requests; none of them has to be taken for
//! granted. What two explanations predict alike, nothing decides.

use std::collections::{BTreeMap, BTreeSet};

use super::super::log::{Activity, Event, Log};
use super::super::{NOISE_PART, SUPPORT_MIN};
use super::AWAITED_MIN;
use gaps::Gaps;
use sights::{BEGIN, Begun, GROUP, Members, Sight, Stand, insert, last_two, sights};

mod gaps;
mod sights;

/// Calls of which the first few answers let the caller go on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Contest {
    /// Places of the calls that answer for their branches.
    pub(super) members: BTreeSet<usize>,
    /// How many answers are enough.
    pub(super) needed: u32,
    /// Natural logarithm of how much likelier it is than waiting for all of them, or for none.
    pub(super) gain: f64,
    /// The moments that it explains: what follows it.
    pub(super) moments: BTreeSet<usize>,
    /// One more call and one more answer explain the same as well: a call that always was among the first.
    pub(super) undecided: bool,
}

/// What the moments of one caller tell.
#[derive(Debug, Default)]
pub(super) struct Explained {
    /// Best first; no call is in two.
    pub(super) contests: Vec<Contest>,
    /// By moment and call: by how much waiting for the call explains the moment better than not waiting for it.
    awaited: BTreeMap<(usize, usize), f64>,
    /// By a call still running when the caller went on, and one that had answered: how much better a race of the two explains that than that nobody
    /// waits for the first. Near 0 nothing tells.
    rivals: BTreeMap<(usize, usize), f64>,
}

/// Log-odds from which on a group is taken to race: one in four hundred against it, as many groups are tried.
const GAIN_MIN: f64 = 6.0;
/// Calls of which every subset is weighed; of more, pairs and all together.
const SUBSETS_MAX: usize = 5;
/// Calls at the same moment that are looked at for races at all: nobody asks so many the same.
const CONTENDERS_MAX: usize = 12;

impl Contest {
    fn is_of(&self, other: &Self) -> bool {
        self.members == other.members && self.needed == other.needed
    }
}

impl Explained {
    /// Weighs every moment. `together(a, b)`: the two ran at the same time. O(calls · (requests · calls + groups · requests)).
    pub(super) fn of(activities: &[Activity], log: &Log, together: &dyn Fn(usize, usize) -> bool) -> Self {
        let mut explained = Self::default();
        let mut found: Vec<Contest> = Vec::new();
        let order = in_time(activities, log);
        for &moment in &order {
            let mut left = sights(moment, 0, activities, log);
            // Another way of a choice may have a race of its own.
            while left.len() as u64 >= SUPPORT_MIN {
                let seen = left.len();
                let Some(contest) = explained.weigh(moment, &mut left, &found, activities.len(), together)
                else {
                    break;
                };
                note(&mut found, contest);
                if left.len() == seen {
                    break;
                }
            }
        }
        found.retain(|contest| !explained.is_refuted(contest, &order, activities, log));
        for contest in &mut found {
            contest.gain += borne(activities, &contest.members, contest.needed, log);
        }
        explained.contests = apart(found);
        explained
    }

    /// Weighs one moment in some requests, and leaves those without any call of the group that explains it best, if one does.
    fn weigh(
        &mut self,
        moment: usize,
        left: &mut Vec<Sight>,
        found: &[Contest],
        places: usize,
        together: &dyn Fn(usize, usize) -> bool,
    ) -> Option<Contest> {
        let mut view = View::of(std::mem::take(left), places);
        view.note_rivals(together, &mut self.rivals);
        let mut contest = view.contest(together);
        if let Some((after, decided)) = view.after(found, contest.as_ref(), together) {
            (view, contest) = (after, decided);
        }
        view.note_awaited(moment, contest.as_ref(), &mut self.awaited);
        let mut contest = contest?;
        contest.moments.insert(moment);
        let members = Members::of(&contest.members);
        *left = view.sights;
        left.retain(|sight| sight.begun.iter().all(|begun| !members.has(begun.place)));
        Some(contest)
    }

    /// Whether a later moment waits for a member of a group all the same, or the same call when it is made again: what let the caller go on the first time
    /// was some other rule, such as a free thread. After a race nobody asks for its losers.
    fn is_refuted(&self, contest: &Contest, order: &[usize], activities: &[Activity], log: &Log) -> bool {
        let last = order.iter().rposition(|moment| contest.moments.contains(moment));
        let later = order.get(last.map_or(order.len(), |last| last + 1)..).unwrap_or_default();
        let is_awaited = |awaited: &BTreeMap<(usize, usize), f64>, moment: usize| {
            let of = |&member: &usize| awaited.get(&(moment, member)).copied().unwrap_or(0.0);
            contest.members.iter().map(of).any(|odds| odds >= AWAITED_MIN)
        };
        let again = |&moment: &usize| {
            let sights = sights(moment, 1, activities, log);
            let mut awaited = BTreeMap::new();
            if moment < activities.len() && sights.len() as u64 >= SUPPORT_MIN {
                View::of(sights, activities.len()).note_awaited(moment, None, &mut awaited);
            }
            is_awaited(&awaited, moment)
        };
        later.iter().any(|&moment| is_awaited(&self.awaited, moment)) || contest.moments.iter().any(again)
    }

    /// By how much waiting for a call explains a moment better than not waiting for it; 0: nothing tells.
    pub(super) fn awaited(&self, moment: usize, place: usize) -> f64 {
        self.awaited.get(&(moment, place)).copied().unwrap_or(0.0)
    }

    /// A call with which one that nobody seems to wait for might as well race.
    pub(super) fn undecided(&self, late: usize) -> Option<usize> {
        let of = self.rivals.range((late, 0)..=(late, usize::MAX));
        of.filter(|(_, gain)| **gain > UNDECIDED)
            .max_by(|a, b| a.1.total_cmp(b.1))
            .map(|(&(_, rival), _)| rival)
    }
}

/// Adds a group to those found, or what it explains to what is known of it.
fn note(found: &mut Vec<Contest>, contest: Contest) {
    match found.iter_mut().find(|known| known.is_of(&contest)) {
        Some(known) => {
            known.gain += contest.gain;
            known.moments.extend(contest.moments);
            known.undecided &= contest.undecided;
        }
        None => found.push(contest),
    }
}

/// Moments in the order of time: the starts of calls, by their median, and the caller's end. What decided one race is known before the next.
fn in_time(activities: &[Activity], log: &Log) -> Vec<usize> {
    let mut starts: Vec<Vec<i64>> = vec![Vec::new(); activities.len()];
    for event in log.runs.iter().flat_map(|run| &run.events) {
        let place = activities.binary_search(&event.activity).ok();
        let of_call = place.and_then(|place| starts.get_mut(place));
        of_call.into_iter().for_each(|starts| starts.push(event.start));
    }
    let median = |starts: &mut Vec<i64>| {
        let middle = starts.len() / 2;
        starts.get(middle)?;
        Some(*starts.select_nth_unstable(middle).1)
    };
    let mut order: Vec<(i64, usize)> =
        starts.iter_mut().enumerate().filter_map(|(place, all)| Some((median(all)?, place))).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, place)| place).chain([activities.len()]).collect()
}

/// Log-odds against a race below which it is refuted.
const UNDECIDED: f64 = -3.0;

/// The best groups that share no call. Of races that do, the union: another winner at another moment.
fn apart(mut all: Vec<Contest>) -> Vec<Contest> {
    all.retain(|contest| contest.gain >= GAIN_MIN);
    all.sort_by(|a, b| b.gain.total_cmp(&a.gain).then_with(|| a.members.cmp(&b.members)));
    let mut kept: Vec<Contest> = Vec::new();
    for contest in all {
        let mut meeting = kept.iter_mut().filter(|other| !other.members.is_disjoint(&contest.members));
        match (meeting.next(), meeting.next()) {
            (None, _) => kept.push(contest),
            (Some(other), None) if other.needed == 1 && contest.needed == 1 => {
                other.members.extend(contest.members);
                other.moments.extend(contest.moments);
            }
            _ => {}
        }
    }
    kept
}

/// One request more, in which a member failed and enough others answered, shows what its failure means: the caller went on, or it did not. Natural
/// logarithm of 19 to 1, as requests fail for other reasons.
const BORNE: f64 = 2.9;
/// Most that failures say.
const BORNE_MAX: f64 = 30.0;

/// What failures of members say for a group, as log-odds.
fn borne(activities: &[Activity], members: &BTreeSet<usize>, needed: u32, log: &Log) -> f64 {
    let of_group = |event: &&Event| {
        activities.binary_search(&event.activity).is_ok_and(|place| members.contains(&place))
    };
    let mut odds = 0.0;
    for run in &log.runs {
        let events = || run.events.iter().filter(of_group).filter(|event| !event.cut);
        let answered = events().filter(|event| event.outcome.answered()).count();
        let last = events().filter(|event| event.outcome.failed()).map(|event| event.end).min();
        if let Some(failed) = last.filter(|_| answered >= needed as usize) {
            odds += if run.went_on_after(failed) { BORNE } else { -BORNE };
        }
    }
    odds.clamp(-BORNE_MAX, BORNE_MAX)
}

/// One moment in all requests, and which calls it can have waited for.
struct View {
    sights: Vec<Sight>,
    /// By place: still running now and then, so that nobody waited for them.
    late: Vec<bool>,
    /// By sight: the last two ends of calls that are never late, the last one first.
    last: Vec<[(i64, usize); 2]>,
    /// Gaps below this are alike.
    floor_ns: f64,
}

/// The tick of clocks that tell milliseconds.
const COARSE_NS: i64 = 1_000_000;
/// Percent of times that are whole milliseconds by such a clock.
const COARSE_PERCENT: usize = 95;

/// Below what length gaps are alike: a tick, where a caller's clock tells whole milliseconds. The caller's own begin may be by another clock, so only the
/// times from one call's end to another's tell.
fn floor_ns(sights: &[Sight]) -> f64 {
    let is_coarse = |pair: &&[Begun]| matches!(pair, [a, b] if (b.end - a.end) % COARSE_NS == 0);
    let pairs = || sights.iter().flat_map(|sight| sight.begun.windows(2));
    let (all, coarse) = (pairs().count(), pairs().filter(is_coarse).count());
    // A span that was lost is timed by another clock now and then.
    if coarse * 100 >= all * COARSE_PERCENT { COARSE_NS as f64 } else { Gaps::FLOOR_NS }
}

impl View {
    fn of(sights: Vec<Sight>, places: usize) -> Self {
        let (mut pending, mut present) = (vec![0_u64; places], vec![0_u64; places]);
        for begun in sights.iter().flat_map(|sight| &sight.begun) {
            present.get_mut(begun.place).into_iter().for_each(|count| *count += 1);
            let is_late = u64::from(begun.stand == Stand::Pending);
            pending.get_mut(begun.place).into_iter().for_each(|count| *count += is_late);
        }
        let is_late =
            |(pending, present): (&u64, &u64)| *pending >= SUPPORT_MIN && pending * NOISE_PART >= *present;
        let late: Vec<bool> = pending.iter().zip(&present).map(is_late).collect();
        let is_over = |place| late.get(place) == Some(&false);
        let last = sights.iter().map(|sight| last_two(sight, is_over)).collect();
        let floor_ns = floor_ns(&sights);
        Self { sights, late, last, floor_ns }
    }

    /// The same moment once earlier races are decided, and the group that explains it then, if that does at least as well as `contest`: losers of those
    /// races that still run are nobody's rivals any more. `None` where no earlier race is in question.
    fn after(
        &self,
        decided: &[Contest],
        contest: Option<&Contest>,
        together: &dyn Fn(usize, usize) -> bool,
    ) -> Option<(Self, Option<Contest>)> {
        let contest = contest.filter(|contest| !decided.iter().any(|known| known.is_of(contest)))?;
        let is_late = |place: &usize| self.late.get(*place) == Some(&true);
        let in_question = |known: &&Contest| known.members.iter().any(is_late);
        let decided: Vec<&Contest> = decided.iter().filter(in_question).collect();
        let mut room = Vec::new();
        let mut sights = self.sights.clone();
        if decided.is_empty() {
            return None;
        }
        for known in decided {
            let members = Members::of(&known.members);
            sights.iter_mut().for_each(|sight| sight.decide(members, known.needed, &mut room));
        }
        let view = Self { floor_ns: self.floor_ns, ..Self::of(sights, self.late.len()) };
        let instead = view.contest(together);
        (view.weight(instead.as_ref()) >= self.weight(Some(contest))).then_some((view, instead))
    }

    /// Logarithm of the likelihood of the moment where the caller waited for a group's answers and for every call that is never late.
    fn weight(&self, contest: Option<&Contest>) -> f64 {
        let group = contest.map(|contest| (Members::of(&contest.members), contest.needed));
        let (mut gaps, mut room) = (Gaps::new(self.floor_ns), Vec::new());
        for sight in &self.sights {
            let is_other = |place: usize| {
                self.late.get(place) == Some(&false) && group.is_none_or(|(members, _)| !members.has(place))
            };
            let others = last_two(sight, is_other)[0].0;
            let Some((members, needed)) = group else {
                gaps.file(sight.at - others, 1);
                continue;
            };
            let of_group = || sight.begun.iter().filter(|begun| members.has(begun.place));
            match sight.enough(members, needed, &mut room) {
                Some(enough) => gaps.file(sight.at - enough.max(others), 1),
                None if of_group().all(|begun| begun.stand == Stand::Failed) => {
                    gaps.file(sight.at - others, 1);
                }
                None => gaps.file(i64::MIN, 1),
            }
        }
        gaps.weight()
    }

    /// What waiting for each call that is never late explains, given the answers of a group that were waited for, if any.
    fn note_awaited(
        &self,
        moment: usize,
        contest: Option<&Contest>,
        awaited: &mut BTreeMap<(usize, usize), f64>,
    ) {
        let members = contest.map(|contest| Members::of(&contest.members));
        let is_other = |place: usize| {
            self.late.get(place) == Some(&false) && members.is_none_or(|members| !members.has(place))
        };
        let (mut all, mut room) = (Gaps::new(self.floor_ns), Vec::new());
        let mut last = |sight: &Sight| {
            let mut last = last_two(sight, is_other);
            let enough =
                |(members, contest): (Members, &Contest)| sight.enough(members, contest.needed, &mut room);
            if let Some(enough) = members.zip(contest).and_then(enough) {
                insert(&mut last, (enough, GROUP));
            }
            all.file(sight.at - last[0].0, 1);
            last
        };
        let ends: Vec<[(i64, usize); 2]> = self.sights.iter().map(&mut last).collect();
        let with = all.weight();
        let mut without: BTreeMap<usize, Gaps> = BTreeMap::new();
        for (sight, [last, before]) in self.sights.iter().zip(&ends) {
            if last.1 != BEGIN.1 && last.1 != GROUP {
                let gaps = without.entry(last.1).or_insert_with(|| all.clone());
                gaps.file(sight.at - last.0, -1);
                gaps.file(sight.at - before.0, 1);
            }
        }
        for (place, gaps) in without {
            *awaited.entry((moment, place)).or_default() += with - gaps.weight();
        }
    }

    /// For each late call and each that had answered: a race of the two, against nobody waiting for the late one.
    fn note_rivals(
        &self,
        together: &dyn Fn(usize, usize) -> bool,
        rivals: &mut BTreeMap<(usize, usize), f64>,
    ) {
        let begun = self.begun();
        let (late, over): (Vec<usize>, Vec<usize>) =
            begun.into_iter().partition(|place| self.late.get(*place) == Some(&true));
        for &late in late.iter().take(CONTENDERS_MAX) {
            for &other in over.iter().filter(|&&place| together(late, place)).take(CONTENDERS_MAX) {
                *rivals.entry((late, other)).or_default() += self.gain(&BTreeSet::from([late, other]), 1);
            }
        }
    }

    /// The group that explains the moment best, if any does better than none.
    fn contest(&self, together: &dyn Fn(usize, usize) -> bool) -> Option<Contest> {
        let mut best: Option<Contest> = None;
        for members in self.candidates(together) {
            for needed in 1..u32::try_from(members.len()).unwrap_or(u32::MAX) {
                let gain = self.gain(&members, needed);
                // Of two that explain it alike the smaller one: nothing speaks for the rest.
                let is_better = |best: &Contest| {
                    let more = members.len().saturating_sub(best.members.len());
                    gain > best.gain + TIE + MEMBER * more as f64
                };
                let better = best.as_ref().is_none_or(is_better);
                if gain >= GAIN_MIN && better {
                    best = Some(Contest {
                        members: members.clone(),
                        needed,
                        gain,
                        moments: BTreeSet::new(),
                        undecided: false,
                    });
                }
            }
        }
        best.map(|best| Contest { undecided: self.is_undecided(&best, together), ..best })
    }

    /// Whether some other call that ran beside all members might be one of them, with one answer more needed.
    fn is_undecided(&self, contest: &Contest, together: &dyn Fn(usize, usize) -> bool) -> bool {
        let beside = |&place: &usize| {
            self.late.get(place) == Some(&false)
                && !contest.members.contains(&place)
                && contest.members.iter().all(|&member| together(member, place))
        };
        (0..self.late.len()).filter(beside).any(|place| {
            let mut members = contest.members.clone();
            members.insert(place);
            self.gain(&members, contest.needed + 1) > contest.gain + UNDECIDED
        })
    }

    /// Every call that had begun in some request.
    fn begun(&self) -> BTreeSet<usize> {
        self.sights.iter().flat_map(|sight| &sight.begun).map(|begun| begun.place).collect()
    }

    /// Groups worth weighing: of late calls, and of calls that ran at the same time and were over both; small ones first.
    fn candidates(&self, together: &dyn Fn(usize, usize) -> bool) -> Vec<BTreeSet<usize>> {
        let begun = self.begun();
        let is_late = |place: &usize| self.late.get(*place) == Some(&true);
        let late: Vec<usize> = begun.iter().copied().filter(is_late).collect();
        let over: Vec<usize> = begun
            .iter()
            .copied()
            .filter(|place| !is_late(place))
            .filter(|&place| {
                begun.iter().any(|&other| other != place && !is_late(&other) && together(place, other))
            })
            .collect();
        let mut all = subsets(&late);
        all.extend(subsets(&over));
        // Who is never at work beside another does not race with it.
        let is_race =
            |group: &BTreeSet<usize>| group.iter().all(|&a| group.iter().all(|&b| a == b || together(a, b)));
        all.retain(is_race);
        all.sort_by_key(BTreeSet::len);
        all
    }

    /// Log-odds of a race, or quorum, of a group against waiting for all of it, or for all but one, or for none; what is late nobody can have waited
    /// for.
    fn gain(&self, members: &BTreeSet<usize>, needed: u32) -> f64 {
        let group = Members::of(members);
        let is_over = |place: usize| self.late.get(place) == Some(&false);
        let over: Vec<usize> = members.iter().copied().filter(|&place| is_over(place)).collect();
        let (mut with, mut none) = (Gaps::new(self.floor_ns), Gaps::new(self.floor_ns));
        let mut without: Vec<Gaps> = vec![Gaps::new(self.floor_ns); over.len() + 1];
        let mut room = Vec::with_capacity(members.len());
        for (sight, last) in self.sights.iter().zip(&self.last) {
            let of_group = || sight.begun.iter().filter(|begun| group.has(begun.place));
            if of_group().next().is_none() {
                continue;
            }
            let enough = sight.enough(group, needed, &mut room);
            if enough.is_none() && of_group().all(|begun| begun.stand == Stand::Failed) {
                continue;
            }
            let others = last_two(sight, |place| is_over(place) && !group.has(place))[0].0;
            none.file(sight.at - others, 1);
            let skipped = std::iter::once(usize::MAX).chain(over.iter().copied());
            for (gaps, skipped) in without.iter_mut().zip(skipped) {
                // The last end but that of the call that is not waited for.
                let [one, two] = last;
                gaps.file(sight.at - if one.1 == skipped { two.0 } else { one.0 }, 1);
            }
            match enough {
                Some(enough) => with.file(sight.at - enough.max(others), 1),
                None => with.file(i64::MIN, 1),
            }
        }
        without.push(none);
        with.weight() - without.iter().map(Gaps::weight).fold(f64::NEG_INFINITY, f64::max)
    }
}

/// By how much one more member must explain a moment better, log-odds: seven to one, as there are many calls that it may be.
const MEMBER: f64 = 2.0;

/// Log-likelihoods closer than this are alike.
const TIE: f64 = 1e-6;

/// Every subset of two or more; of many calls all pairs and all together; of too many none.
fn subsets(places: &[usize]) -> Vec<BTreeSet<usize>> {
    let n = places.len();
    if !(2..=CONTENDERS_MAX).contains(&n) {
        return Vec::new();
    }
    if n > SUBSETS_MAX {
        let pairs = (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b)));
        let pair = |(a, b): (usize, usize)| Some(BTreeSet::from([*places.get(a)?, *places.get(b)?]));
        return pairs.filter_map(pair).chain([places.iter().copied().collect()]).collect();
    }
    let subset = |mask: u32| {
        (0..n).filter(move |bit| mask & (1 << bit) != 0).filter_map(|bit| places.get(bit).copied())
    };
    (1_u32..1 << n).filter(|mask| mask.count_ones() > 1).map(|mask| subset(mask).collect()).collect()
}
