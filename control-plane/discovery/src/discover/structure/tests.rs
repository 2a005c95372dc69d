//! Small logs, written by hand: each operator alone, what must not be taken for it, and some within others.

use super::*;
use CallOutcome::{Cancelled, Error, Good, Timeout};
use emac_trace::{CallOutcome, TraceId};

const MS: i64 = 1_000_000;

type Call = (Activity, i64, i64, CallOutcome);

/// A request: calls as (activity, start, end, outcome) in milliseconds, the caller's end, whether it ended well.
fn run(calls: &[Call], until: i64, went_on: bool) -> Run {
    let event = |&(activity, start, end, outcome): &Call| Event {
        activity,
        start: start * MS,
        end: end * MS,
        outcome,
        attempts: 1,
        cut: false,
        message: false,
    };
    let mut events: Vec<_> = calls.iter().map(event).collect();
    events.sort_by_key(|event| event.start);
    let run = Run { events, until: until * MS, went_on, whole: went_on, trace: TraceId(1) };
    Run { whole: went_on && run.is_mended(), ..run }
}

fn times(n: usize, run: &Run) -> Vec<Run> {
    vec![run.clone(); n]
}

/// The canonical text, with letters for the calls.
fn text(node: &Node) -> String {
    let all = |nodes: &[Node]| nodes.iter().map(text).collect::<Vec<_>>().join(", ");
    let letter = |activity: &Activity| char::from(b'a' + u8::try_from(*activity).unwrap());
    match &node.block {
        Block::Call(activity) => letter(activity).to_string(),
        Block::Kept(activity) => format!("kept {}", letter(activity)),
        Block::Nothing => "-".to_owned(),
        Block::Series(steps) => format!("Series({})", all(steps)),
        Block::Parallel(Join::All, branches) => format!("Parallel({})", all(branches)),
        Block::Parallel(Join::AtLeast(k), branches) => format!("{k} of ({})", all(branches)),
        Block::Race(0, branches) => format!("Race({})", all(branches)),
        Block::Race(delay, branches) => format!("Race({}, delay {delay})", all(branches)),
        Block::Fallback(primary, alternates) => format!("Fallback({}, {})", text(primary), all(alternates)),
        Block::Branch(choices) => {
            let choice = |(share, node): &(Share, Node)| format!("{}/{} {}", share.of, share.all, text(node));
            format!("Branch({})", choices.iter().map(choice).collect::<Vec<_>>().join(", "))
        }
        Block::Retry(attempts, body) => format!("Retry({}, {attempts})", text(body)),
        Block::Repeat(count, body) => format!("Repeat({}, {count})", text(body)),
        Block::Timeout(after, body) => format!("Timeout({}, {after})", text(body)),
        Block::Async(body) => format!("Async({})", text(body)),
    }
}

fn inferred(runs: Vec<Run>) -> String {
    infer(Log { runs, empty: 0 }).map_or_else(|| "none".to_owned(), |node| text(&node))
}

fn mixed(parts: &[(usize, Run)]) -> Vec<Run> {
    parts.iter().flat_map(|(n, run)| times(*n, run)).collect()
}

#[test]
fn nothing_called_is_no_structure() {
    assert_eq!(inferred(Vec::new()), "none");
}

#[test]
fn always_in_order_and_never_overlapping_is_a_series() {
    let one = run(&[(0, 0, 10, Good), (1, 10, 20, Good), (2, 25, 30, Good)], 31, true);
    assert_eq!(inferred(times(20, &one)), "Series(a, b, c)");
}

#[test]
fn rarely_overlapping_is_parallel_nevertheless() {
    let ab = run(&[(0, 0, 5, Good), (1, 6, 9, Good)], 10, true);
    let ba = run(&[(1, 0, 5, Good), (0, 6, 9, Good)], 10, true);
    assert_eq!(inferred(mixed(&[(10, ab), (10, ba)])), "Parallel(a, b)");
}

#[test]
fn parallel_within_series_and_series_within_parallel() {
    let one = run(&[(0, 0, 5, Good), (1, 5, 9, Good), (2, 6, 12, Good), (3, 12, 14, Good)], 15, true);
    assert_eq!(inferred(times(20, &one)), "Series(a, Parallel(b, c), d)");
    let slow_b = run(&[(0, 0, 5, Good), (2, 5, 9, Good), (1, 0, 20, Good)], 21, true);
    let slow_ac = run(&[(0, 0, 5, Good), (2, 5, 29, Good), (1, 0, 20, Good)], 30, true);
    let slow_a = run(&[(0, 0, 15, Good), (2, 15, 29, Good), (1, 0, 10, Good)], 30, true);
    assert_eq!(inferred(mixed(&[(20, slow_b), (20, slow_ac), (20, slow_a)])), "Parallel(Series(a, c), b)");
}

#[test]
fn never_together_is_a_choice() {
    let a = run(&[(0, 0, 5, Good), (1, 6, 9, Good)], 10, true);
    let b = run(&[(0, 0, 5, Good), (2, 6, 9, Good)], 10, true);
    assert_eq!(inferred(mixed(&[(30, a), (10, b)])), "Series(a, Branch(30/40 b, 10/40 c))");
}

#[test]
fn sometimes_left_out_is_a_choice_of_nothing() {
    let with = run(&[(0, 0, 5, Good), (1, 6, 9, Good)], 10, true);
    let without = run(&[(0, 0, 5, Good)], 10, true);
    assert_eq!(inferred(mixed(&[(30, with), (10, without)])), "Series(a, Branch(30/40 b, 10/40 -))");
}

#[test]
fn a_step_missing_after_a_failure_is_no_choice() {
    let well = run(&[(0, 0, 5, Good), (1, 6, 9, Good)], 10, true);
    let failed = run(&[(0, 0, 5, Error)], 6, false);
    assert_eq!(inferred(mixed(&[(30, well), (10, failed)])), "Series(a, b)");
}

#[test]
fn asked_only_after_a_failure_and_saving_the_request_is_a_fallback() {
    let well = run(&[(0, 0, 5, Good), (1, 5, 9, Good), (3, 9, 10, Good)], 11, true);
    let saved = run(&[(0, 0, 5, Good), (1, 5, 9, Error), (2, 9, 12, Good), (3, 12, 13, Good)], 14, true);
    assert_eq!(inferred(mixed(&[(30, well), (5, saved)])), "Series(a, Fallback(b, c), d)");
}

#[test]
fn a_fallback_for_two_steps_stands_around_both() {
    let well = run(&[(0, 0, 5, Good), (1, 5, 9, Good), (3, 9, 10, Good)], 11, true);
    let saved = run(&[(0, 0, 5, Error), (2, 5, 8, Good), (3, 8, 9, Good)], 10, true);
    assert_eq!(inferred(mixed(&[(30, well), (5, saved)])), "Series(Fallback(Series(a, b), c), d)");
}

#[test]
fn a_chain_of_alternates() {
    let well = run(&[(0, 0, 5, Good)], 6, true);
    let second = run(&[(0, 0, 5, Error), (1, 5, 8, Good)], 9, true);
    let third = run(&[(0, 0, 5, Error), (1, 5, 8, Error), (2, 8, 9, Good)], 10, true);
    assert_eq!(inferred(mixed(&[(30, well), (6, second), (4, third)])), "Fallback(a, b, c)");
}

#[test]
fn compensation_is_no_redundancy() {
    let well = run(&[(0, 0, 5, Good)], 6, true);
    let refunded = run(&[(0, 0, 5, Error), (1, 5, 8, Good)], 9, false);
    assert_eq!(inferred(mixed(&[(30, well), (10, refunded)])), "a");
}

#[test]
fn tried_again_after_a_failure_is_a_retry() {
    let well = run(&[(0, 0, 5, Good)], 6, true);
    let again = run(&[(0, 0, 5, Error), (0, 6, 9, Error), (0, 10, 12, Good)], 13, true);
    assert_eq!(inferred(mixed(&[(30, well), (5, again)])), "Retry(a, 3)");
}

#[test]
fn both_again_after_a_failure_is_a_retry_of_both() {
    let well = run(&[(0, 0, 5, Good), (1, 5, 9, Good)], 10, true);
    let again = run(&[(0, 0, 5, Good), (1, 5, 9, Error), (0, 9, 12, Good), (1, 12, 15, Good)], 16, true);
    assert_eq!(inferred(mixed(&[(30, well), (5, again)])), "Retry(Series(a, b), 2)");
}

#[test]
fn called_again_after_a_success_is_a_repetition() {
    let thrice = run(&[(0, 0, 5, Good), (0, 5, 9, Good), (0, 10, 12, Good)], 13, true);
    assert_eq!(inferred(times(20, &thrice)), "Repeat(a, 3)");
    let both = run(
        &[
            (2, 0, 1, Good),
            (0, 1, 5, Good),
            (1, 5, 9, Good),
            (0, 10, 12, Good),
            (1, 12, 13, Good),
            (3, 14, 15, Good),
        ],
        16,
        true,
    );
    assert_eq!(inferred(times(20, &both)), "Series(c, Repeat(Series(a, b), 2), d)");
}

#[test]
fn the_first_answer_wins_a_race_whose_losers_go_on() {
    let a = run(&[(0, 0, 5, Good), (1, 0, 9, Good), (2, 5, 20, Good)], 21, true);
    let b = run(&[(0, 0, 9, Good), (1, 0, 5, Good), (2, 5, 7, Good)], 8, true);
    assert_eq!(inferred(mixed(&[(10, a), (10, b)])), "Series(Race(a, b), c)");
}

#[test]
fn a_race_whose_losers_are_cancelled() {
    let a = run(&[(0, 0, 5, Good), (1, 0, 5, Cancelled)], 6, true);
    let b = run(&[(0, 0, 4, Cancelled), (1, 0, 4, Good)], 5, true);
    assert_eq!(inferred(mixed(&[(10, a), (10, b)])), "Race(a, b)");
}

#[test]
fn a_hedge_begins_later_and_only_when_needed() {
    let alone = run(&[(0, 0, 5, Good)], 6, true);
    let won = run(&[(0, 0, 15, Good), (1, 10, 15, Cancelled)], 16, true);
    let lost = run(&[(0, 0, 14, Cancelled), (1, 10, 14, Good)], 15, true);
    assert_eq!(inferred(mixed(&[(30, alone), (5, won), (5, lost)])), "Race(a, b, delay 10)");
}

#[test]
fn two_of_three_answers_are_a_quorum() {
    let orders = [[5, 6, 9], [9, 5, 6], [6, 9, 5], [6, 5, 9], [5, 9, 6], [9, 6, 5]];
    let runs = orders.map(|[a, b, c]| {
        run(&[(0, 0, a, Good), (1, 0, b, Good), (2, 0, c, Good), (3, 6, 20, Good)], 21, true)
    });
    let runs: Vec<_> = runs.iter().flat_map(|one| times(5, one)).collect();
    assert_eq!(inferred(runs), "Series(2 of (a, b, c), d)");
}

#[test]
fn failures_that_others_make_up_for_are_a_quorum() {
    let well = run(&[(0, 0, 5, Good), (1, 0, 6, Good), (2, 0, 7, Good)], 8, true);
    let borne = run(&[(0, 0, 5, Good), (1, 0, 2, Error), (2, 0, 7, Good)], 8, true);
    let other = run(&[(0, 0, 3, Error), (1, 0, 6, Good), (2, 0, 7, Good)], 8, true);
    let broken = run(&[(0, 0, 3, Error), (1, 0, 2, Error), (2, 0, 7, Good)], 8, false);
    assert_eq!(inferred(mixed(&[(30, well), (5, borne), (5, other), (2, broken)])), "2 of (a, b, c)");
}

#[test]
fn parallel_calls_of_which_one_breaks_the_request_are_all_needed() {
    let well = run(&[(0, 0, 5, Good), (1, 0, 6, Good)], 8, true);
    let broken = run(&[(0, 0, 5, Good), (1, 0, 6, Error)], 8, false);
    assert_eq!(inferred(mixed(&[(30, well), (5, broken)])), "Parallel(a, b)");
}

#[test]
fn outliving_the_caller_is_not_being_waited_for() {
    let long = run(&[(0, 0, 5, Good), (1, 2, 90, Good)], 6, true);
    let short = run(&[(0, 0, 5, Good), (1, 2, 4, Good)], 6, true);
    assert_eq!(inferred(mixed(&[(10, long), (10, short)])), "Parallel(a, Async(b))");
}

#[test]
fn always_given_up_after_the_same_time_is_a_timeout() {
    let well = run(&[(0, 0, 5, Good)], 6, true);
    let late = run(&[(0, 0, 100, Timeout)], 101, false);
    assert_eq!(inferred(mixed(&[(30, well), (5, late)])), "Timeout(a, 100)");
}
