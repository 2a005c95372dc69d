//! Small logs, written by hand: each operator alone, what must not be taken for it, and some within others.

use super::*;
use CallOutcome::{Cancelled, Error, Good, Timeout};
use emac_trace::{CallOutcome, TraceId};

/// A little more than a millisecond: clocks that tell whole ones know less.
const MS: i64 = 1_001_000;

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
        replaced: false,
        message: false,
    };
    let mut events: Vec<_> = calls.iter().map(event).collect();
    events.sort_by_key(|event| event.start);
    Run { events, until: until * MS, went_on, blocked: false, trace: TraceId(1) }
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
    assert_eq!(inferred(mixed(&[(10, long), (10, short)])), "Series(Async(b), a)");
}

#[test]
fn always_given_up_after_the_same_time_is_a_timeout() {
    let well = run(&[(0, 0, 5, Good)], 6, true);
    let late = run(&[(0, 0, 100, Timeout)], 101, false);
    assert_eq!(inferred(mixed(&[(30, well), (5, late)])), "Timeout(a, 100)");
}

/// Numbers that look random and are the same each time.
fn draws(seed: u64) -> impl FnMut(i64, i64) -> i64 {
    let mut state = seed;
    move |from, to| {
        state = emac_core::mix::mix(state.wrapping_add(1));
        from + i64::try_from(state % u64::try_from(to - from).unwrap()).unwrap()
    }
}

/// The confidence and the reason of an operator, by its text.
fn support(node: &Node, of: &str) -> Option<Support> {
    if text(node) == of {
        return Some(node.support.clone());
    }
    node.children().into_iter().find_map(|child| support(child, of))
}

#[test]
fn a_balanced_race_within_a_choice_whose_losers_go_on() {
    let mut draw = draws(1);
    let runs = (0..200).map(|n| {
        let work = draw(1, 9);
        if n % 3 == 0 {
            let c = draw(5, 30);
            return run(&[(2, 0, c, Good)], c + work, true);
        }
        let (a, b) = (draw(5, 30), draw(5, 30));
        run(&[(0, 0, a, Good), (1, 0, b, Good)], a.min(b) + work, true)
    });
    assert_eq!(inferred(runs.collect()), "Branch(133/200 Race(a, b), 67/200 c)");
}

#[test]
fn a_race_shows_even_where_the_caller_works_longer_than_the_loser() {
    let mut draw = draws(2);
    let runs = |fastest: bool, draw: &mut dyn FnMut(i64, i64) -> i64| -> Vec<Run> {
        let one = |_| {
            let (a, b) = (draw(5, 30), draw(5, 30));
            let answer = if fastest { a.min(b) } else { a.max(b) };
            run(&[(0, 0, a, Good), (1, 0, b, Good)], answer + draw(38, 42), true)
        };
        (0..200).map(one).collect()
    };
    assert_eq!(inferred(runs(true, &mut draw)), "Race(a, b)");
    assert_eq!(inferred(runs(false, &mut draw)), "Parallel(a, b)");
}

#[test]
fn what_never_answered_first_may_race_or_not_be_waited_for() {
    let mut draw = draws(3);
    let runs = (0..200).map(|_| {
        let (a, b, work) = (draw(5, 10), draw(20, 40), draw(1, 4));
        run(&[(0, 0, a, Good), (1, 0, b, Good)], a + work, true)
    });
    let node = infer(Log { runs: runs.collect(), empty: 0 }).unwrap();
    assert_eq!(text(&node), "Series(Async(b), a)");
    let support = support(&node, "Async(b)").unwrap();
    assert!(support.confidence < 0.8 && support.says.contains("not waited for or a race"), "{support:?}");
}

#[test]
fn a_branch_that_never_was_the_last_may_not_be_waited_for() {
    let mut draw = draws(4);
    let runs = (0..200).map(|_| {
        let (a, b, work) = (draw(5, 10), draw(20, 40), draw(1, 4));
        run(&[(0, 0, a, Good), (1, 0, b, Good)], b + work, true)
    });
    let node = infer(Log { runs: runs.collect(), empty: 0 }).unwrap();
    let support = support(&node, "Parallel(a, b)").unwrap();
    assert!(support.confidence < 0.8 && support.says.contains("waited for or not"), "{support:?}");
}

#[test]
fn a_call_that_always_was_among_the_first_may_be_one_of_a_quorum() {
    let mut draw = draws(5);
    let runs = (0..200).map(|_| {
        let (b, c, work) = (draw(10, 40), draw(10, 40), draw(1, 4));
        // Never the last of the three.
        let a = draw(5, 40).min(b.max(c));
        run(&[(0, 0, a, Good), (1, 0, b, Good), (2, 0, c, Good)], a.max(b.min(c)) + work, true)
    });
    let node = infer(Log { runs: runs.collect(), empty: 0 }).unwrap();
    assert_eq!(text(&node), "Parallel(Race(b, c), a)");
    assert!(support(&node, "Race(b, c)").unwrap().confidence < 0.8);
    assert!(node.support.confidence < 0.8 && node.support.says.contains("quorum"), "{:?}", node.support);
}

/// The caller chooses a or b with a half each; a fails one time in five.
#[test]
fn shares_count_requests_that_failed() {
    let a = run(&[(0, 0, 5, Good)], 6, true);
    let broken = run(&[(0, 0, 5, Error)], 6, false);
    let b = run(&[(1, 0, 5, Good)], 6, true);
    let runs = mixed(&[(40, a), (10, broken), (50, b)]);
    assert_eq!(inferred(runs), "Branch(50/100 a, 50/100 b)");
}

/// What is left out cannot fail: of requests that a later step failed both kinds count, of those that failed before neither does.
#[test]
fn shares_of_a_call_that_may_be_left_out_count_requests_that_failed() {
    let with = run(&[(0, 0, 5, Good), (1, 5, 9, Good), (2, 9, 12, Good)], 13, true);
    let without = run(&[(0, 0, 5, Good), (2, 5, 8, Good)], 9, true);
    let with_failed = run(&[(0, 0, 5, Good), (1, 5, 9, Error)], 10, false);
    let (late, later) = (
        run(&[(0, 0, 5, Good), (1, 5, 9, Good), (2, 9, 12, Error)], 13, false),
        run(&[(0, 0, 5, Good), (2, 5, 8, Error)], 9, false),
    );
    let early = run(&[(0, 0, 5, Error)], 6, false);
    let runs = mixed(&[(30, with), (50, without), (10, with_failed), (5, late), (5, later), (20, early)]);
    assert_eq!(inferred(runs), "Series(a, Branch(45/100 b, 55/100 -), c)");
}

/// Where something had failed before, leaving a call out may mean that it was not reached; then having called it does not count either.
#[test]
fn shares_count_neither_kind_of_requests_in_which_something_failed_before() {
    let with = run(&[(0, 0, 5, Good), (1, 5, 9, Good), (2, 9, 12, Good)], 13, true);
    let without = run(&[(0, 0, 5, Good), (2, 5, 8, Good)], 9, true);
    let borne = run(&[(0, 0, 5, Error), (1, 5, 9, Good), (2, 9, 12, Good)], 13, true);
    let runs = mixed(&[(30, with), (70, without), (20, borne)]);
    assert_eq!(inferred(runs), "Series(a, Branch(30/100 b, 70/100 -), c)");
}

/// The third is asked only after the first has failed and long after the second was: it is no alternate, and it does not vanish.
#[test]
fn calls_that_meet_only_after_a_failure_are_kept() {
    let alone = run(&[(0, 0, 9, Good)], 10, true);
    let second = run(&[(0, 0, 14, Good), (1, 10, 14, Cancelled)], 15, true);
    let won = run(&[(0, 0, 16, Cancelled), (1, 10, 16, Good)], 17, true);
    let third = run(&[(0, 0, 5, Error), (1, 10, 25, Cancelled), (2, 20, 25, Good)], 26, true);
    let other = run(&[(0, 0, 7, Error), (1, 10, 24, Good), (2, 20, 24, Cancelled)], 25, true);
    let runs = mixed(&[(60, alone), (8, second), (8, won), (8, third), (8, other)]);
    assert_eq!(inferred(runs), "Race(a, b, c, delay 10)");
}

/// A loser of the first race that still runs when the second is decided takes no part in it.
#[test]
fn one_race_after_another() {
    let one = |i: i64| {
        let (a, b) = (10 + i * 7 % 40, 10 + i * 11 % 40);
        let at = a.min(b);
        let (c, d) = (at + 5 + i * 13 % 30, at + 5 + i * 17 % 30);
        run(&[(0, 0, a, Good), (1, 0, b, Good), (2, at, c, Good), (3, at, d, Good)], c.min(d), true)
    };
    assert_eq!(inferred((0..200).map(one).collect()), "Series(Race(a, b), Race(c, d))");
}

/// Two threads for three calls: the third begins with the first answer, and the caller waits for all.
#[test]
fn a_free_thread_is_no_race() {
    let one = |i: i64| {
        let (a, b) = (10 + i * 7 % 40, 10 + i * 11 % 40);
        let c = a.min(b) + 5 + i * 13 % 30;
        let until = a.max(b).max(c);
        run(
            &[(0, 0, a, Good), (1, 0, b, Good), (2, a.min(b), c, Good), (3, until, until + 5, Good)],
            until + 6,
            true,
        )
    };
    assert_eq!(inferred((0..200).map(one).collect()), "Series(Parallel(a, b, c), d)");
}

/// Two chains that end in the same call: it comes again when the other answers.
#[test]
fn two_chains_into_one_call_are_no_race() {
    let one = |i: i64| {
        let (a, b) = (10 + i * 7 % 40, 10 + i * 11 % 40);
        let (x, y) = (a + 3 + i % 5, b + 3 + i % 4);
        let calls = [(0, 0, a, Good), (1, 0, b, Good), (2, a, x, Good), (2, b, y, Good)];
        let until = x.max(y);
        run(&[&calls[..], &[(3, until, until + 5, Good)]].concat(), until + 6, true)
    };
    let found = inferred((0..200).map(one).collect());
    assert!(!found.contains("Race") && !found.contains(" of "), "{found}");
}

/// Which of two races is run is drawn: each way has its own.
#[test]
fn a_race_in_each_way_of_a_choice() {
    let one = |i: i64| {
        let (x, y) = (10 + i * 7 % 40, 10 + i * 11 % 40);
        let at = u32::try_from(i % 2 * 2).unwrap();
        run(&[(at, 0, x, Good), (at + 1, 0, y, Good)], x.min(y), true)
    };
    let found = inferred((0..200).map(one).collect());
    assert_eq!(found, "Branch(100/200 Race(a, b), 100/200 Race(c, d))");
}

/// Whose failure an alternate makes up for is waited for.
#[test]
fn a_fallback_beside_another_call() {
    let well = run(&[(0, 0, 9, Good), (2, 0, 12, Good)], 13, true);
    let slow = run(&[(0, 0, 15, Good), (2, 0, 12, Good)], 16, true);
    let saved = run(&[(0, 0, 5, Error), (1, 5, 9, Good), (2, 0, 12, Good)], 13, true);
    let broken = run(&[(0, 0, 9, Good), (2, 0, 12, Error)], 13, false);
    let runs = mixed(&[(40, well), (40, slow), (20, saved), (10, broken)]);
    assert_eq!(inferred(runs), "Parallel(Fallback(a, b), c)");
}

/// What races as one branch is divided within it, not taken for the race again without end; and is waited for there, though it runs on where the other
/// branch wins.
#[test]
fn a_branch_of_a_race_may_be_calls_at_once() {
    let one = |i: i64| {
        let (b, c, d) = (15 + i * 7 % 20, 15 + i * 11 % 20, 8 + i * 13 % 50);
        let calls = [(0, 0, 5, Good), (1, 5, b, Good), (2, 5, c, Good), (3, 0, d, Good)];
        run(&calls, b.max(c).min(d), true)
    };
    assert_eq!(inferred((0..100).map(one).collect()), "Race(Series(a, Parallel(b, c)), d)");
}

mod laws;
