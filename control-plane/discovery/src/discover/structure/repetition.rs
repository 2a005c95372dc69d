//! The same call, or the same calls, several times in one request; and the time after which a call is given up.

use std::collections::BTreeMap;

use super::log::{Activity, Event, Log, Run};
use super::race::Races;
use super::support::Support;
use super::{Block, Node, SUPPORT_MIN};
use emac_trace::CallOutcome;

const NS_PER_MS: i64 = 1_000_000;

/// The structure around one call.
pub(super) fn single(activity: Activity, log: &Log, races: &Races) -> Node {
    let says = format!("called in {} requests", log.runs.len());
    let traces = || log.runs.iter().map(|run| run.trace);
    let call = Node::new(
        Block::Call(activity),
        Support::of_sightings(log.runs.len() as u64, says).shown_by(traces()),
    );
    let node = kept(activity, log, given_up(log, call));
    let node = repeated(log, retried(log, node));
    match races.unawaited.get(&activity) {
        Some(unawaited) => {
            let body = unawaited.node.clone().unwrap_or(node);
            Node::new(Block::Async(Box::new(body)), unawaited.support.clone())
        }
        None => node,
    }
}

/// A call whose sidecar answers itself when it fails.
fn kept(activity: Activity, log: &Log, node: Node) -> Node {
    let answered = |event: &&Event| event.outcome == CallOutcome::Fallback;
    let seen: Vec<_> = log
        .runs
        .iter()
        .filter(|run| run.events.iter().any(|event| answered(&event)))
        .map(|run| run.trace)
        .collect();
    if (seen.len() as u64) < SUPPORT_MIN {
        return node;
    }
    let says = format!("the sidecar answered instead in {} requests", seen.len());
    let support = Support::of_sightings(seen.len() as u64, says).shown_by(seen.into_iter());
    let kept = Node::new(Block::Kept(activity), support.clone());
    Node::new(Block::Fallback(Box::new(node), vec![kept]), support)
}

/// Widest spread of the durations of calls given up, relative to their median: a timer is exact, an overloaded server is not.
const TIMER_SPREAD: f64 = 0.1;
/// Shortest time after which a call is taken to be given up, nanoseconds: the unit in which timeouts are configured.
const TIMER_MIN_NS: i64 = 1_000_000;

/// Calls that ended without an answer after always the same time, which no other call outlasted.
fn given_up(log: &Log, node: Node) -> Node {
    let events = || log.runs.iter().flat_map(|run| &run.events).filter(|event| !event.cut);
    let length = |event: &Event| event.end - event.start;
    let mut lengths: Vec<_> =
        events().filter(|event| event.outcome == CallOutcome::Timeout).map(length).collect();
    lengths.sort_unstable();
    let (Some(&shortest), Some(&longest)) = (lengths.first(), lengths.last()) else { return node };
    let median = lengths.get(lengths.len() / 2).copied().unwrap_or(longest);
    let exact = (longest - shortest) as f64 <= TIMER_SPREAD * median as f64;
    let outlasted =
        events().filter(|event| event.outcome == CallOutcome::Good && length(event) > longest).count();
    if (lengths.len() as u64) < SUPPORT_MIN || !exact || outlasted > 0 || median < TIMER_MIN_NS {
        return node;
    }
    let after_ms = ((median + NS_PER_MS / 2) / NS_PER_MS).cast_unsigned();
    let says = format!("timed out after {after_ms} ms in {} calls", lengths.len());
    Node::new(Block::Timeout(after_ms, Box::new(node)), Support::of_sightings(lengths.len() as u64, says))
}

/// Tries after failures.
fn retried(log: &Log, node: Node) -> Node {
    let (mut again, mut most) = (Vec::new(), 1);
    for run in &log.runs {
        let tries = longest_row_of_tries(&run.events);
        if tries > 1 {
            again.push(run.trace);
            most = most.max(tries);
        }
    }
    if (again.len() as u64) < SUPPORT_MIN {
        return node;
    }
    let says = format!("retried after a failure in {} requests, at most {most} tries", again.len());
    let support = Support::of_sightings(again.len() as u64, says).shown_by(again.into_iter());
    Node::new(Block::Retry(most.min(emac_core::journey::Expr::ATTEMPTS_MAX), Box::new(node)), support)
}

/// Most tries in a row, each after the failure of the one before.
fn longest_row_of_tries(events: &[Event]) -> u32 {
    let (mut row, mut longest, mut failed_until) = (0, 0, None);
    for event in events {
        let again = failed_until.is_some_and(|end: i64| event.start >= end);
        row = if again { row + u32::from(event.attempts) } else { u32::from(event.attempts) };
        longest = longest.max(row);
        let failed = event.outcome.failed() || event.outcome == CallOutcome::Cancelled;
        failed_until = (failed && !event.cut).then_some(event.end);
    }
    longest
}

/// One request in so many repeats at least, or the recurrence is an accident of timing.
const REPEATED_PART: usize = 10;

/// Calls after successes.
fn repeated(log: &Log, node: Node) -> Node {
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    for run in log.runs.iter().filter(|run| run.went_on) {
        let good = run.events.iter().filter(|event| event.cut || !event.outcome.failed()).count();
        *counts.entry(u32::try_from(good).unwrap_or(u32::MAX)).or_default() += 1;
    }
    repeat(node, &counts)
}

/// A repetition by how often each count was seen: the count most often seen.
fn repeat(node: Node, counts: &BTreeMap<u32, u64>) -> Node {
    let several: u64 = counts.range(2..).map(|(_, times)| times).sum();
    let all: u64 = counts.range(1..).map(|(_, times)| times).sum();
    if several < SUPPORT_MIN || several * (REPEATED_PART as u64) < all {
        return node;
    }
    let Some((&count, &times)) = counts.range(2..).max_by_key(|(_, times)| **times) else { return node };
    let says = format!("called {count} times in {times} of {all} requests");
    let mut support = Support::of_sightings(times, says);
    support.confidence *= times as f64 / all as f64;
    support.against = all - times;
    Node::new(Block::Repeat(count.min(emac_core::journey::Expr::COUNT_MAX), Box::new(node)), support)
}

// === several calls again and again ===

/// A log of single rounds, and how many rounds a request has.
#[derive(Debug)]
pub(super) struct Rounds {
    pub(super) log: Log,
    /// Whether every round but the last had failed.
    retry: bool,
    counts: BTreeMap<u32, u64>,
}

/// A request with its calls round by round.
type Divided<'a> = (&'a Run, Vec<Vec<Event>>);

/// Divides requests into rounds of the same calls; `None` when there is but one, or when what comes again is another structure's.
pub(super) fn rounds(log: &Log, activities: &[Activity]) -> Option<Rounds> {
    let divided: Vec<Divided<'_>> = log.runs.iter().map(|run| (run, divide(run))).collect();
    let several = divided.iter().filter(|(_, rounds)| rounds.len() > 1).count() as u64;
    if several < SUPPORT_MIN {
        return None;
    }
    let early = Early::of(&divided, activities);
    if early.have_failed() {
        // Of a retry of everything the first call's own failure is one, too.
        let tries = || log.runs.iter().map(|run| (run, tries(run))).collect::<Vec<_>>();
        return whole_at_last(&divided).then(|| Rounds::of(&tries(), true, log.empty));
    }
    let often = several as usize * REPEATED_PART >= log.runs.len();
    (often && early.are_alike()).then(|| Rounds::of(&divided, false, log.empty))
}

/// Percent of the rounds before the last that must have failed for a retry: the failure may be in a span that was lost.
const RETRY_PERCENT: u64 = 90;
/// Percent of the rounds before the last that must hold every call for a repetition: each may lose some to choices, and all of them seldom.
const ALIKE_PERCENT: u64 = 80;

/// Rounds that were not the last of their request, counted.
#[derive(Clone, Copy, Debug, Default)]
struct Early {
    all: u64,
    /// In which a call failed.
    failed: u64,
    /// With every call.
    full: u64,
}

impl Early {
    fn of(divided: &[Divided<'_>], activities: &[Activity]) -> Self {
        let mut early = Self::default();
        for round in divided.iter().flat_map(|(_, rounds)| rounds.iter().rev().skip(1)) {
            let is_called = |activity: &Activity| round.iter().any(|event| event.activity == *activity);
            early.all += 1;
            early.failed += u64::from(has_failed(round));
            early.full += u64::from(activities.iter().all(is_called));
        }
        early
    }

    /// Whether the rounds before the last had failed, nearly always: then what comes again is a retry.
    fn have_failed(self) -> bool {
        self.failed * 100 >= self.all * RETRY_PERCENT
    }

    /// Whether they make the same calls, most of the time: rounds that end well are alike, or the recurrence is another structure's.
    fn are_alike(self) -> bool {
        self.full * 100 >= self.all * ALIKE_PERCENT
    }
}

/// Whether a call failed that was waited for.
fn has_failed(events: &[Event]) -> bool {
    events.iter().any(|event| !event.cut && event.outcome.failed())
}

/// A call in more than this share of requests of one round is of every round, but for lost spans.
const USUAL_MIN: f64 = 0.95;
/// And then of at least this share of last rounds, or it is not tried again: lost spans leave more, and where a part alone is tried again the
/// last rounds lack the rest.
const WHOLE_MIN: f64 = 0.75;

/// Whether the last round of a request that went on is as whole as a request of one round: everything was tried again, not a part.
fn whole_at_last(divided: &[Divided<'_>]) -> bool {
    let went_on = || divided.iter().filter(|(run, _)| run.went_on);
    let calls = |round: &Vec<Event>| {
        round.iter().map(|event| event.activity).collect::<std::collections::BTreeSet<_>>()
    };
    let share = |several: bool, activity: Activity| {
        let rounds = went_on()
            .filter(|(_, rounds)| (rounds.len() > 1) == several)
            .filter_map(|(_, rounds)| rounds.last());
        let (all, with) = rounds.fold((0_u64, 0_u64), |(all, with), round| {
            (all + 1, with + u64::from(calls(round).contains(&activity)))
        });
        (all, with as f64 / all.max(1) as f64)
    };
    let known: std::collections::BTreeSet<_> =
        went_on().filter_map(|(_, rounds)| rounds.last()).flat_map(calls).collect();
    known.into_iter().all(|activity| {
        let ((single, usual), (again, last)) = (share(false, activity), share(true, activity));
        single == 0 || again == 0 || usual < USUAL_MIN || last >= WHOLE_MIN
    })
}

/// A round begins when its first call comes again after all of the round before was over, unless that call was also the last to end: then it is
/// that call alone that comes again.
fn divide(run: &Run) -> Vec<Vec<Event>> {
    cut_before(run, |round, event| {
        let last = round.iter().max_by_key(|other| other.end);
        last.is_some_and(|last| last.activity != event.activity) && begins_again(round, event)
    })
}

/// Rounds of a retry: each begins with the first call, after a failure.
fn tries(run: &Run) -> Vec<Vec<Event>> {
    cut_before(run, |round, event| has_failed(round) && begins_again(round, event))
}

/// Whether a call is the first one of a round again, after all of the round was over.
fn begins_again(round: &[Event], event: &Event) -> bool {
    round.first().is_some_and(|first| first.activity == event.activity)
        && round.iter().all(|other| other.before(event))
}

/// Cuts the calls of a request before each with which a round begins, as `begins` says by the round before and the call.
fn cut_before(run: &Run, begins: impl Fn(&[Event], &Event) -> bool) -> Vec<Vec<Event>> {
    let mut rounds: Vec<Vec<Event>> = Vec::new();
    for event in &run.events {
        match rounds.last_mut() {
            Some(round) if !begins(round, event) => round.push(*event),
            _ => rounds.push(vec![*event]),
        }
    }
    rounds
}

/// Each round as a request of its own. Before the last one the caller went on when the next began, unless it had to try again.
fn as_runs<'a>(run: &'a Run, rounds: &'a [Vec<Event>]) -> impl Iterator<Item = Run> + 'a {
    rounds.iter().enumerate().map(|(place, events)| {
        let (until, went_on) = match rounds.get(place + 1) {
            Some(next) => (next.first().map_or(run.until, |first| first.start), !has_failed(events)),
            None => (run.until, run.went_on),
        };
        Run { events: events.clone(), until, went_on, blocked: run.blocked, trace: run.trace }
    })
}

impl Rounds {
    fn of(divided: &[Divided<'_>], retry: bool, empty: u64) -> Self {
        let mut counts = BTreeMap::new();
        for (_, rounds) in divided {
            *counts.entry(u32::try_from(rounds.len()).unwrap_or(u32::MAX)).or_default() += 1;
        }
        let runs = divided.iter().flat_map(|(run, rounds)| as_runs(run, rounds)).collect();
        Self { log: Log { runs, empty }, retry, counts }
    }

    /// The structure of one round, again and again.
    pub(super) fn node(&self, body: Node) -> Node {
        if !self.retry {
            return repeat(body, &self.counts);
        }
        let most = self.counts.keys().max().copied().unwrap_or(1);
        let several: u64 = self.counts.range(2..).map(|(_, times)| times).sum();
        let says = format!("retried as a whole after a failure in {several} requests, at most {most} tries");
        Node::new(
            Block::Retry(most.min(emac_core::journey::Expr::ATTEMPTS_MAX), Box::new(body)),
            Support::of_sightings(several, says),
        )
    }
}
