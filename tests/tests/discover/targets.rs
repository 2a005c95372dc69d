//! What discovery must reach on worlds whose truth is known, 1 000 requests each. A failure prints the whole score and what differed.

use emac_discovery::discover::Discovered;
use emac_tests::synthetic::score::calibration::{Claim, reliability};
use emac_tests::synthetic::score::{Against, Score, score};
use emac_tests::synthetic::{Propagation, Settings, Signals, Style, World};

use super::found::{claims, from_hops, from_spans, from_traces, scored};

const SEEDS: u64 = 60;

/// Score over seeded worlds of one journey each.
fn over(seeds: u64, signals: Signals, discover: impl Fn(&World) -> Vec<Discovered>) -> Score {
    against(seeds, signals, discover, Against::Truth)
}

fn against(
    seeds: u64,
    signals: Signals,
    discover: impl Fn(&World) -> Vec<Discovered>,
    against: Against,
) -> Score {
    let mut total = Score::default();
    for seed in 0..seeds {
        let world = World::new(Settings { signals, ..Settings::small(seed) });
        total.add(score(&world, &scored(&discover(&world)), against));
    }
    total
}

/// Asks for the targets. Intervals of branches are judged over more worlds, with all other claims, by [`confidence_is_what_it_says`].
fn reaches(name: &str, total: &Score, operators: f64, invented: usize) {
    let report = format!("{name}\n{total}{}", total.differences.join("\n"));
    println!("{report}");
    assert!(total.operators().f1() >= operators, "operators: {report}");
    assert!(total.edges.f1() >= 0.99, "edges: {report}");
    assert!(total.invented.len() <= invented, "invented redundancy: {report}");
}

#[test]
fn of_every_trace() {
    reaches("all traces", &over(SEEDS, Signals::CLEAN, from_spans), 0.95, 0);
}

#[test]
fn of_every_tenth_trace() {
    let signals = Signals { sampling: 0.1, ..Signals::CLEAN };
    let total = over(SEEDS, signals, from_spans);
    println!("every tenth trace, against the whole truth\n{total}");
    let mut shown = against(SEEDS, signals, from_spans, Against::Exhibited(3));
    // An alternate that one request shows is told, and is no invention: those are what the truth does not hold.
    shown.invented = total.invented;
    reaches("every tenth trace, against what three requests show", &shown, 0.90, 0);
}

#[test]
fn of_what_a_real_backend_holds() {
    reaches("clocks off, spans lost", &over(SEEDS, Signals::REAL, from_spans), 0.95, 0);
    let coarse = Signals { resolution_ns: 1_000_000, ..Signals::REAL };
    // Two short calls in one tick have no order, and now and then look like a race.
    reaches("clocks of milliseconds", &over(SEEDS, coarse, from_spans), 0.90, 1);
}

#[test]
fn of_every_instrumentation() {
    for style in Style::ALL {
        let signals = Signals { style, ..Signals::CLEAN };
        // Where callees alone record, nobody knows when a caller went on: redundancy found there is unresolved (and some of it is not there).
        let (operators, invented) = if style == Style::ServerOnly { (0.75, 4) } else { (0.95, 0) };
        reaches(&format!("{style:?}"), &over(SEEDS / 2, signals, from_spans), operators, invented);
    }
}

#[test]
fn of_hop_records_alone() {
    let signals = Signals { style: Style::Envoy, ..Signals::CLEAN };
    for propagation in [Propagation::Instrumented, Propagation::Forwarded] {
        let total = over(SEEDS / 2, signals, |world| from_hops(world, propagation));
        // An application that forwards `traceparent` as it came tells nobody which of its requests a call belongs to.
        let (operators, invented) = if propagation == Propagation::Forwarded { (0.80, 1) } else { (0.95, 0) };
        reaches(&format!("{propagation:?}"), &total, operators, invented);
    }
}

/// On spans without defects the assembler is perfect, so what discovery finds is the same.
#[test]
fn assembled_spans_are_as_good_as_the_calls_themselves() {
    for seed in 0..20 {
        let world = World::new(Settings { requests: 300, ..Settings::small(seed) });
        let (spans, calls) = (scored(&from_spans(&world)), scored(&from_traces(&world)));
        let texts = |found: &[emac_tests::synthetic::score::Found]| -> Vec<String> {
            found.iter().map(|one| one.structure.to_string()).collect()
        };
        assert_eq!(texts(&spans), texts(&calls), "{seed}");
    }
}

#[test]
fn journeys_behind_one_root_are_told_apart() {
    let mut total = Score::default();
    for seed in 0..10 {
        let settings = Settings { journeys_per_root: 10, requests: 5_000, ..Settings::large(seed, 90) };
        let world = World::new(settings);
        total.add(score(&world, &scored(&from_spans(&world)), Against::Truth));
    }
    println!("{total}{}", total.differences.join("\n"));
    // Journeys that share their first calls look like one with a choice.
    assert!(total.journeys.f1() >= 0.88, "{total}");
}

#[test]
fn confidence_is_what_it_says() {
    let mut all: Vec<Claim> = Vec::new();
    for seed in 1_000..1_150 {
        for sampling in [1.0, 0.1] {
            let signals = Signals { sampling, ..Signals::CLEAN };
            let world = World::new(Settings { signals, ..Settings::small(seed) });
            all.extend(claims(&world, &from_spans(&world)));
        }
    }
    let mut over = Vec::new();
    for field in ["edges", "operator", "probability"] {
        for bin in reliability(all.iter().filter(|claim| claim.field == field)) {
            println!("{field:<12} {bin}");
            over.extend((bin.from >= 0.8 && bin.overclaims()).then(|| format!("{field} {bin}")));
        }
    }
    assert!(over.is_empty(), "{over:#?}");
}
