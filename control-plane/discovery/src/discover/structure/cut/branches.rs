//! Branches at the same time: which of them race, which are waited for, and whose failures are borne.

use emac_core::journey::Join;

use super::super::log::{Activity, Log, Run};
use super::super::race::{Race, Races};
use super::super::relation::{Relation, Relations};
use super::super::support::Support;
use super::super::{Block, Node, SUPPORT_MIN};
use super::{Part, divide, doubted, pairs, traces};

pub(super) fn parallel_support(relations: &Relations, relaxed: u64) -> Support {
    let together = pairs(relations).filter(|pair| pair.relation() == Relation::Together);
    let weakest =
        together.min_by_key(|pair| pair.overlap.max(pair.before.min(pair.after))).unwrap_or_default();
    let seen = weakest.overlap.max(weakest.before.min(weakest.after));
    let says = format!(
        "overlapping in {} of {} requests; first before second in {}, second before first in {}",
        weakest.overlap,
        weakest.both(),
        weakest.before,
        weakest.after
    );
    doubted(Support::of_sightings(seen, says), relaxed)
}

/// Branches of which some may be a race.
pub(super) fn parallel(log: &Log, branches: &[Part], races: &Races, support: Support) -> Node {
    let mut left: Vec<&Part> = branches.iter().collect();
    let mut found = Vec::new();
    for group in &races.groups {
        let (racing, others): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|part| !part.is_disjoint(&group.members));
        left = others;
        // Of one branch alone the calls are the parts of this parallel, whoever that branch races with elsewhere. Divided as that branch they would
        // be the same calls again, without end.
        let apart = group.apart(&racing);
        match (racing.as_slice(), apart.as_slice()) {
            ([] | [_], _) | (_, [] | [_]) => left.extend(racing),
            _ => found.push(contest(log, &apart, races, group)),
        }
    }
    left.sort();
    found.extend(left.into_iter().filter_map(|part| divide(&log.project(part, &Part::new()), races)));
    let unseen = unseen(log, branches, races);
    // Where each of them begins and ends, and which of them take part in a race, is not sure either.
    let all = unseen > 0
        || found.len() > 1 && races.groups.iter().any(|group| group.undecided && group.is_of(branches));
    found.iter_mut().filter(|branch| all || has_doubts(branch)).for_each(doubt);
    let support = if all && unseen == 0 { undecided(support) } else { support };
    let support = doubted_by(unseen, support).shown_by(traces(log));
    match found.len() {
        1 => found.remove(0),
        // With a race among them the parts are no longer the branches, whose failures it bears by itself.
        parts if parts < branches.len() => Node::new(Block::Parallel(Join::All, found), support),
        _ => tolerant(log, branches, Node::new(Block::Parallel(Join::All, found), support)),
    }
}

/// What is left of the confidence in a parallel of which the caller was never seen to wait for a branch: that branch always ended before something
/// else did, so that it may as well run on by itself.
const UNSEEN: f64 = 0.5;

/// How many branches nothing shows the caller to wait for: neither their end, which never was the last, nor their failure.
///
/// Where a step follows, a failure shows nothing: the step may be of another branch, which was given up as well.
fn unseen(log: &Log, branches: &[Part], races: &Races) -> usize {
    let is_followed = races.is_followed(branches);
    let is_unseen = |part: &&Part| {
        !races.waits_for(part)
            && part.iter().all(|activity| !races.unawaited.contains_key(activity))
            && (is_followed || alone(log, branches, part).broken < SUPPORT_MIN)
    };
    branches.iter().filter(is_unseen).count()
}

/// The support of a parallel with so many branches that nothing shows to be waited for.
fn doubted_by(unseen: usize, mut support: Support) -> Support {
    if unseen > 0 {
        support.confidence *= UNSEEN;
        support.says =
            format!("{}; {unseen} of them never the last: waited for or not, 0.5 / 0.5", support.says);
    }
    support
}

/// The support of a parallel of a race and what may take part in it.
fn undecided(mut support: Support) -> Support {
    support.confidence *= UNSEEN;
    support.says.push_str("; a race beside a call, or a quorum of both, 0.5 / 0.5");
    support
}

/// Whether one of the steps of a branch is not sure in itself.
fn has_doubts(branch: &Node) -> bool {
    let Block::Series(steps) = &branch.block else { return false };
    steps
        .iter()
        .any(|step| matches!(step.block, Block::Parallel(Join::All, _)) && step.support.confidence <= UNSEEN)
}

/// Doubts a branch of several calls: what stands beside it may be a part of it.
fn doubt(branch: &mut Node) {
    if branch.activities().len() > 1 {
        branch.support.confidence *= UNSEEN;
        branch.support.says.push_str("; what runs beside it may be a part of it, 0.5 / 0.5");
    }
}

/// Branches of which the first k answers count.
fn contest(log: &Log, parts: &[Part], races: &Races, group: &Race) -> Node {
    let won = |part: &Part| {
        let mut log = log.project(part, &Part::new());
        // What was cut off, or not even started, does not show the whole branch.
        log.runs.retain(|run| run.events.iter().all(|event| !event.cut));
        log.empty = 0;
        log
    };
    let shown = |part: &Part| {
        let won = won(part);
        // A call that is in none of them is a call all the same.
        let is_whole =
            part.iter().all(|activity| won.runs.iter().any(|run| run.of(*activity).next().is_some()));
        if is_whole { won } else { Log { empty: 0, ..log.project(part, &Part::new()) } }
    };
    let mut nodes: Vec<_> = parts.iter().filter_map(|part| divide(&shown(part), races)).collect();
    if group.delay_ms > 0 {
        nodes.sort_by_key(|node| {
            std::cmp::Reverse(group.first.is_some_and(|first| node.activities().contains(&first)))
        });
    }
    let block = match group.needed {
        1 => Block::Race(group.delay_ms, nodes),
        k => Block::Parallel(Join::AtLeast(k), nodes),
    };
    Node::new(block, group.support.clone())
}

/// A branch's failures are borne when the caller went on after them so many times as often as not: nine in ten, as elsewhere, since what failed
/// besides is not always recorded.
const BORNE_TIMES: u64 = 9;
/// Branches whose failures are borne make a quorum from two on: one alone is a branch that nobody waits for.
const QUORUM_BRANCHES_MIN: usize = 2;
/// And when they are so many percent of those that ever failed alone: in a quorum every branch's failure is borne, but of some too few are seen.
const QUORUM_PERCENT: usize = 80;

/// Branches whose failures the caller bears: some of any of them (a quorum), or all of one of them (nobody waits for its answer).
fn tolerant(log: &Log, branches: &[Part], node: Node) -> Node {
    let Block::Parallel(_, parts) = node.block else { return node };
    let alone: Vec<Alone> = branches.iter().map(|part| alone(log, branches, part)).collect();
    let bears = |one: &Alone| one.borne >= SUPPORT_MIN && one.borne >= one.broken * BORNE_TIMES;
    let failing = alone.iter().filter(|one| one.borne + one.broken > 0).count();
    let borne = alone.iter().filter(|one| bears(one)).count();
    if borne >= QUORUM_BRANCHES_MIN && borne * 100 >= failing * QUORUM_PERCENT {
        return quorum(log, branches, parts, node.support);
    }
    let each = parts.into_iter().zip(branches.iter().zip(&alone)).map(|(part, (_, one))| {
        // Its failures never matter while another's do.
        let ignored = bears(one) && alone.iter().any(|other| other.broken >= SUPPORT_MIN && !bears(other));
        match part.block {
            Block::Async(_) => part,
            _ if ignored => {
                let says = format!("the request succeeded in all {} requests in which it failed", one.borne);
                Node::new(Block::Async(Box::new(part)), Support::of_sightings(one.borne, says))
            }
            _ => part,
        }
    });
    Node::new(Block::Parallel(Join::All, each.collect()), node.support)
}

/// Requests in which one branch alone failed.
#[derive(Clone, Copy, Debug, Default)]
struct Alone {
    /// And the caller went on.
    borne: u64,
    /// And it did not.
    broken: u64,
}

fn alone(log: &Log, branches: &[Part], part: &Part) -> Alone {
    let mut alone = Alone::default();
    for run in log.runs.iter().filter(|run| !run.is_clean()) {
        let others = branches.iter().filter(|other| *other != part);
        // What began only after the failure is no answer that made up for it, but an alternate or the next step.
        let is_beside = |other: &Part| begun(run, other) < ended(run, part);
        if failed(run, part)
            && others.clone().all(|other| !failed(run, other))
            && others.clone().any(is_beside)
        {
            alone.borne += u64::from(run.went_on);
            alone.broken += u64::from(!run.went_on);
        }
    }
    alone
}

/// Whether a branch was called and did not answer well.
fn failed(run: &Run, part: &Part) -> bool {
    run.events.iter().any(|event| part.contains(&event.activity)) && !answered(run, part)
}

/// When a part's first call began in a run; at the end of time where none did.
fn begun(run: &Run, part: &Part) -> i64 {
    part.iter().filter_map(|activity| Some(run.of(*activity).next()?.start)).min().unwrap_or(i64::MAX)
}

/// When a part's last call ended in a run.
fn ended(run: &Run, part: &Part) -> i64 {
    part.iter().flat_map(|activity| run.of(*activity)).map(|event| event.end).max().unwrap_or(i64::MIN)
}

/// The fewest good answers with which the caller went on, now and then.
fn quorum(log: &Log, branches: &[Part], parts: Vec<Node>, support: Support) -> Node {
    // A branch that was left out did not fail.
    let is_whole = |run: &&Run| branches.iter().all(|part| begun(run, part) < i64::MAX);
    let unclean = log.runs.iter().filter(|run| run.went_on && !run.is_clean()).filter(is_whole);
    let answers = unclean.map(|run| branches.iter().filter(|part| answered(run, part)).count());
    let answers: Vec<_> = answers.filter(|answers| *answers < branches.len()).collect();
    match answers.iter().min().copied().filter(|least| *least > 0) {
        Some(least) => {
            let k = u32::try_from(least).unwrap_or(u32::MAX);
            let borne = answers.len() as u64;
            let says = format!(
                "the caller continued in {borne} requests with {k} or more of {} answers",
                branches.len()
            );
            let support = Support::of_sightings(borne, says).shown_by(traces(log));
            Node::new(Block::Parallel(Join::AtLeast(k), parts), support)
        }
        None => Node::new(Block::Parallel(Join::All, parts), support),
    }
}

/// Whether the last try of every call of a part ended well, be it that the sidecar answered in the callee's place.
fn answered(run: &Run, part: &Part) -> bool {
    let last = |activity: &Activity| run.of(*activity).last();
    let mut seen = part.iter().filter_map(last).peekable();
    seen.peek().is_some()
        && seen
            .all(|event| event.cut || event.replaced || event.outcome.answered() || !event.outcome.failed())
}
