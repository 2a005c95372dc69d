//! Laws of assembling, against trees whose truth is known because the spans were made from them.

mod world;

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::testing::{show_tree, trees};
use super::{
    Assembler, Sink, Span, SpanId, SpanKind, SpanOutcome, Symbol, Symbols, Trace, TraceId, TraceLimits,
};
use world::{World, world};

fn config(seed: u64) -> ProptestConfig {
    ProptestConfig {
        cases: 128,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// The same items in an order of the seed's choice.
fn shuffled<T>(mut items: Vec<T>, seed: u64) -> Vec<T> {
    let mut state = seed | 1;
    for i in (1..items.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(i, (state >> 33) as usize % (i + 1));
    }
    items
}

/// Any spans at all, of few ids.
fn nonsense() -> impl Strategy<Value = Vec<Span>> {
    let kinds =
        [SpanKind::Internal, SpanKind::Client, SpanKind::Server, SpanKind::Producer, SpanKind::Consumer];
    let span = (1..12_u64, 0..14_u64, 0..5_usize, 1..4_usize, 0..100_i64, 0..50_i64, any::<bool>());
    let span = span.prop_map(move |(id, parent, kind, service, start, duration, shared)| {
        let mut symbols = Symbols::default();
        let names: Vec<Symbol> = ["a", "b", "c", "d"].map(|name| symbols.of(name)).to_vec();
        Span {
            trace: TraceId(1),
            id: SpanId(id),
            parent: Some(SpanId(parent)).filter(|parent| parent.0 != 0 && parent.0 != id),
            kind: kinds[kind],
            service: names[service],
            operation: names[0],
            peer: Symbol::NONE,
            instance: Symbol::NONE,
            start_ns: start,
            duration_ns: duration,
            outcome: SpanOutcome::Good,
            attempt: 0,
            shared,
            status: 0,
            by_proxy: false,
            to_store: false,
        }
    });
    proptest::collection::vec(span, 1..40)
}

proptest! {
    #![proptest_config(config(41))]

    #[test]
    fn what_was_made_into_spans_is_found(world in world(), seed: u64) {
        let truth = world.truth();
        let spans = shuffled(world.spans(&world.still_clocks()), seed);
        let found = trees(TraceLimits::default(), World::symbols(), &[spans]);
        prop_assert_eq!(&found.shown(), &[show_tree(&truth, true)]);
        prop_assert!(found.quality.skews.is_empty());
    }

    #[test]
    fn spans_sent_twice_change_nothing(world in world(), seed: u64) {
        let spans = world.spans(&world.still_clocks());
        let twice = shuffled([spans.clone(), spans.clone()].concat(), seed);
        let found = trees(TraceLimits::default(), World::symbols(), &[twice]);
        prop_assert_eq!(found.quality.duplicates, spans.len() as u64);
        prop_assert_eq!(&found.shown(), &[show_tree(&world.truth(), true)]);
    }

    /// Whatever clocks say: every duration and every distance of calls that one service made and timed itself is exact, and calls lie
    /// within the call they were made for. More cannot be known.
    #[test]
    fn skew_is_removed_as_far_as_it_can_be(world in world(), skews in proptest::collection::vec(-5_000_000_i64..5_000_000, 16)) {
        let spans = world.spans(&skews);
        let again = spans.iter().map(|span| Span { trace: TraceId(2), start_ns: span.start_ns + 1_000_000_000, ..*span }).collect();
        let found = trees(TraceLimits::default(), World::symbols(), &[spans, again]);
        prop_assert_eq!(found.traces.len(), 2);
        for trace in &found.traces {
            world.check_times(trace)?;
        }
    }

    #[test]
    fn nothing_is_lost_uncounted(world in world(), kept in proptest::collection::vec(any::<bool>(), 64), seed: u64) {
        let all = world.spans(&world.still_clocks());
        let spans: Vec<Span> = all.iter().zip(kept.iter().cycle()).filter(|(_, kept)| **kept).map(|(s, _)| *s).collect();
        let has = |id, client_only: bool| spans.iter().any(|s| s.id == id && (!client_only || s.kind == SpanKind::Client));
        let orphans = spans.iter().filter(|span| {
            let other_half = span.shared && has(span.id, true);
            span.parent.is_some_and(|parent| !has(parent, false)) && !other_half
        });
        let orphans = orphans.count() as u64;
        let roots = spans.iter().filter(|span| span.parent.is_none()).count() as u64;
        let found = trees(TraceLimits::default(), World::symbols(), &[shuffled(spans, seed)]);
        prop_assert_eq!(found.quality.orphans, orphans);
        prop_assert_eq!(found.traces.len() as u64, orphans + roots);
        prop_assert!(found.quality.traces <= 1);
        prop_assert!(found.traces.iter().all(|trace| trace.complete == (orphans == 0)));
    }

    #[test]
    fn nonsense_makes_trees_too_the_same_in_any_order(spans in nonsense(), seed: u64) {
        let one = trees(TraceLimits::default(), &Symbols::default(), std::slice::from_ref(&spans));
        let other = trees(TraceLimits::default(), &Symbols::default(), &[shuffled(spans, seed)]);
        prop_assert_eq!(one.shown(), other.shown());
        prop_assert_eq!(&one.quality, &other.quality);
        for trace in &one.traces {
            prop_assert!(trace.calls[0].parent.is_none());
            for (i, call) in trace.calls.iter().enumerate().skip(1) {
                prop_assert!(call.parent.is_some_and(|parent| (parent as usize) < i));
                prop_assert!(call.start_ns <= call.end_ns && call.attempts > 0);
            }
        }
    }

    /// The assembler against one that has all the room there is, whatever the order in which spans of many traces come.
    #[test]
    fn mixed_traces_are_told_apart(worlds in proptest::collection::vec(world(), 1..6), seed: u64) {
        let spans = worlds.iter().enumerate().flat_map(|(i, world)| {
            let spans = world.spans(&world.still_clocks());
            spans.into_iter().map(move |span| Span { trace: TraceId(i as u128 + 1), ..span })
        });
        let found = trees(TraceLimits::default(), World::symbols(), &[shuffled(spans.collect(), seed)]);
        let by_id: BTreeMap<_, _> = found.traces.iter().map(|trace| (trace.id, show_tree(&trace.calls, trace.complete))).collect();
        let expected: Vec<String> = worlds.iter().map(|world| show_tree(&world.truth(), true)).collect();
        prop_assert_eq!(by_id.into_values().collect::<Vec<_>>(), expected);
    }
}

fn line(trace: u128, id: u64) -> Span {
    let text = format!("{id} {} s a A {id} 1", id - 1);
    let span = super::testing::span(&text, &mut Symbols::default());
    Span { trace: TraceId(trace), ..span }
}

#[test]
fn a_full_assembler_hands_on_what_was_silent_longest() {
    let limits = TraceLimits { spans_open_max: 4, ..TraceLimits::default() };
    let mut seen = Vec::new();
    let consumer = |trace: &Trace, _: &Symbols| seen.push((trace.id.0, trace.calls.len(), trace.complete));
    let mut assembler = Assembler::new(limits, consumer);
    for (trace, id) in [(1, 1), (2, 1), (1, 2), (3, 1), (4, 1), (2, 2)] {
        assembler.span(line(trace, id));
    }
    assert_eq!(assembler.spans_open(), 4);
    let quality = assembler.finish().quality;
    assert_eq!((quality.late, quality.evicted, quality.incomplete), (1, 1, 1));
    assert_eq!(
        seen.iter().map(|&(id, _, complete)| (id, complete)).collect::<Vec<_>>(),
        [(2, false), (1, true), (3, true), (4, true)]
    );
}

#[test]
fn silent_traces_are_handed_on_and_what_comes_later_is_late() {
    let limits = TraceLimits { silence_ns: 10, ..TraceLimits::default() };
    let mut count = 0;
    let mut assembler = Assembler::new(limits, |_: &Trace, _: &Symbols| count += 1);
    assembler.tick(100);
    assembler.span(line(1, 1));
    assembler.tick(105);
    assembler.span(line(2, 1));
    assembler.tick(111);
    assert_eq!(assembler.spans_open(), 1);
    assembler.span(line(1, 2));
    assembler.tick(90);
    assert_eq!(assembler.spans_open(), 1, "a clock that goes back is not believed");
    let quality = assembler.finish().quality;
    assert_eq!((quality.spans, quality.late, count), (3, 1, 2));
}

#[test]
fn a_monstrous_trace_is_cut_and_a_deep_one_is_no_problem() {
    let limits = TraceLimits { spans_per_trace_max: 50_000, ..TraceLimits::default() };
    let mut depth = 0;
    let mut assembler = Assembler::new(limits, |trace: &Trace, _: &Symbols| {
        assert!(!trace.complete);
        depth = trace.calls.len();
    });
    for id in 1..=60_000 {
        let service = assembler.symbols().of(if id % 2 == 0 { "a" } else { "b" });
        assembler.span(Span { service, ..line(1, id) });
    }
    assert_eq!(assembler.finish().quality.cut, 10_000);
    assert_eq!(depth, 50_000);
}
