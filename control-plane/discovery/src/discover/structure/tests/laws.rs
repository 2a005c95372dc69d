//! What holds for whatever requests a caller makes.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Requests in which everything went well: up to five calls, each perhaps left out, at any time.
fn requests() -> impl Strategy<Value = Vec<Run>> {
    let call = (any::<bool>(), 0..40_i64, 1..30_i64);
    let request = (prop::collection::vec(call, 5), 0..30_i64);
    let made = request.prop_map(|(calls, until)| {
        let calls = calls.into_iter().zip(0..).filter(|((is_made, ..), _)| *is_made);
        let calls: Vec<Call> = calls.map(|((_, from, ms), at)| (at, from, from + ms, Good)).collect();
        run(&calls, until, true)
    });
    prop::collection::vec(made, 1..40)
        .prop_map(|runs| runs.into_iter().filter(|run| !run.events.is_empty()).collect())
}

/// A caller's code.
#[derive(Clone, Debug)]
enum Code {
    Call(Activity),
    InOrder(Vec<Code>),
    /// The first so many good answers are enough, of as many as there are at most.
    AtOnce(usize, Vec<Code>),
    OneOf(Vec<Code>),
    OrElse(Vec<Code>),
    Unawaited(Box<Code>),
}

/// Code of a few calls, some of them perhaps made in several places.
fn code() -> impl Strategy<Value = Code> {
    (0..9_u32).prop_map(Code::Call).prop_recursive(4, 10, 4, |inner| {
        let several = || prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            several().prop_map(Code::InOrder),
            (1..4_usize, several()).prop_map(|(needed, parts)| Code::AtOnce(needed, parts)),
            several().prop_map(Code::OneOf),
            several().prop_map(Code::OrElse),
            inner.prop_map(|part| Code::Unawaited(Box::new(part))),
        ]
    })
}

/// One request by what chance has in store for it, bytes of which each decides one thing.
struct Play<'a> {
    chance: std::iter::Cycle<std::slice::Iter<'a, u8>>,
    calls: Vec<Call>,
}

impl Play<'_> {
    fn draw(&mut self) -> i64 {
        i64::from(self.chance.next().copied().unwrap_or(0))
    }

    /// Runs code from a moment on, in milliseconds; when it was over, and whether it did well.
    fn run(&mut self, code: &Code, from: i64) -> (i64, bool) {
        match code {
            Code::Call(activity) => {
                let (end, well) = (from + 1 + self.draw() % 60, self.draw() % 8 > 0);
                self.calls.push((*activity, from, end, if well { Good } else { Error }));
                (end, well)
            }
            Code::InOrder(parts) => parts
                .iter()
                .fold((from, true), |(at, well), part| if well { self.run(part, at) } else { (at, false) }),
            Code::AtOnce(needed, parts) => {
                let ends: Vec<_> = parts.iter().map(|part| self.run(part, from)).collect();
                let mut good: Vec<_> = ends.iter().filter(|(_, well)| *well).map(|(end, _)| *end).collect();
                good.sort_unstable();
                match good.get(needed.min(&parts.len()) - 1) {
                    Some(enough) => (*enough, true),
                    None => (ends.iter().map(|(end, _)| *end).max().unwrap_or(from), false),
                }
            }
            Code::OneOf(parts) => {
                let chosen = self.draw() as usize % parts.len();
                self.run(&parts[chosen], from)
            }
            Code::OrElse(parts) => parts
                .iter()
                .fold((from, false), |(at, well), part| if well { (at, true) } else { self.run(part, at) }),
            Code::Unawaited(part) => {
                self.run(part, from);
                (from, true)
            }
        }
    }
}

/// Requests of some code: every operator within every other, many of which no service would have.
fn played() -> impl Strategy<Value = Vec<Run>> {
    let chances = prop::collection::vec(prop::collection::vec(any::<u8>(), 5..40), 1..80);
    (code(), chances).prop_map(|(code, chances)| {
        let play = |chance: &Vec<u8>| {
            let mut play = Play { chance: chance.iter().cycle(), calls: Vec::new() };
            let (until, went_on) = play.run(&code, 0);
            run(&play.calls, until, went_on)
        };
        chances.iter().map(play).filter(|run| !run.events.is_empty()).collect()
    })
}

fn called(node: Option<Node>) -> BTreeSet<Activity> {
    node.map(|node| node.activities()).unwrap_or_default().into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x5CA11),
        failure_persistence: None,
        ..ProptestConfig::with_cases(256)
    })]

    /// A call that was seen is in the structure, whatever it is taken for.
    #[test]
    fn no_call_vanishes(runs in requests()) {
        let log = Log { runs, empty: 0 };
        let seen: BTreeSet<_> = log.activities().into_iter().collect();
        prop_assert_eq!(called(infer(log)), seen);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(0xC0DE),
        failure_persistence: None,
        ..ProptestConfig::with_cases(2048)
    })]

    /// Whatever a caller does, its structure is found in the end, and has no call that it does not make.
    #[test]
    fn every_division_ends(runs in played()) {
        let log = Log { runs, empty: 0 };
        let seen: BTreeSet<_> = log.activities().into_iter().collect();
        prop_assert!(called(infer(log)).is_subset(&seen));
    }
}
