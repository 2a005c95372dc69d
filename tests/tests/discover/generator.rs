//! The generator tells the truth about itself: what it says of a journey is how its requests behave.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::bound::latency::clopper_pearson;
use emac_core::bound::{Component, Domains, Facts, Interval, View, independent};
use emac_core::evidence::HopRecord;
use emac_core::journey::ComponentName;
use emac_tests::synthetic::execute::{Act, Ended};
use emac_tests::synthetic::{
    Call, Faults, Operators, Propagation, Service, Settings, Signals, Step, Style, World, score,
};
use emac_trace::{Span, SpanKind, Symbols};

/// Level of one check; there are some hundred of them, so that a false alarm is a matter of one seed in a hundred, and seeds are fixed.
const ALPHA: f64 = 1e-4;

fn spans(settings: Settings) -> (Vec<Span>, Symbols) {
    let mut symbols = Symbols::default();
    let spans = World::new(settings).spans(&mut symbols).collect();
    (spans, symbols)
}

fn within(seen: u64, all: u64, truth: f64) -> bool {
    let interval = clopper_pearson(seen, all, ALPHA);
    (interval.lo()..=interval.hi()).contains(&truth)
}

#[test]
fn a_seed_is_a_world() {
    let settings = |seed| Settings { signals: Signals::REAL, requests: 50, ..Settings::large(seed, 40) };
    assert_eq!(World::new(settings(7)), World::new(settings(7)));
    assert_eq!(spans(settings(7)).0, spans(settings(7)).0);
    assert_ne!(spans(settings(7)).0, spans(settings(8)).0);
}

#[test]
fn worlds_have_the_services_asked_for_and_every_operator() {
    let mut operators = BTreeSet::new();
    for (seed, services) in [(1, 10), (2, 100), (3, 1_000), (4, 10_000)] {
        let world = World::new(Settings::large(seed, services));
        assert!((services..services + 16).contains(&world.services.len()), "{}", world.services.len());
        let names: BTreeSet<_> = world.services.iter().map(|s| &s.name).collect();
        assert_eq!(names.len(), world.services.len(), "one name each");
        for journey in &world.journeys {
            let mut open = vec![journey.truth.root()];
            while let Some(expr) = open.pop() {
                operators.insert(expr.operator());
                open.extend(expr.children());
            }
        }
    }
    let all =
        ["Async", "Branch", "Fallback", "Leaf", "Parallel", "Race", "Repeat", "Retry", "Series", "Timeout"];
    assert_eq!(operators.into_iter().collect::<Vec<_>>(), all);
}

#[test]
fn journeys_hide_behind_one_root() {
    let settings = Settings { journeys_per_root: 10, ..Settings::large(5, 100) };
    let world = World::new(settings);
    let first = world.journeys[0].entry.service;
    let behind = world.journeys.iter().filter(|journey| journey.entry.service == first).count();
    assert_eq!(behind, 10);
}

/// Good answers are as frequent as the expression says, in every world without timeouts.
#[test]
fn success_is_as_frequent_as_the_expression_says() {
    let operators = Operators { timeout: 0.0, fallback_after_timeout: 0.0, ..Operators::ALL };
    for seed in 0..40 {
        let world = World::new(Settings { operators, requests: 2_000, ..Settings::small(seed) });
        let component = |s: &Service| Component {
            availability: Interval::new(1.0 - s.failure, 1.0 - s.failure).unwrap(),
            domains: Domains::Known(BTreeSet::new().into_iter().collect()),
        };
        let name = |s: &Service| ComponentName::new(&s.name).unwrap();
        let facts = Facts::new(world.services.iter().map(|s| (name(s), component(s))).collect());
        let exact = independent(&world.journeys[0].truth, &facts, View::Immediate).unwrap().interval;
        let good = world.requests().filter(|request| request.run.good).count() as u64;
        assert!(within(good, 2_000, exact.lo()), "{seed} {good} {exact} {}", world.journeys[0].truth);
    }
}

#[test]
fn branches_are_taken_as_often_as_they_say() {
    let operators = Operators { branch: 1.0, optional: 1.0, call: 1.0, ..Operators::NONE };
    let mut checked = 0;
    for seed in 0..20 {
        let world = World::new(Settings { operators, requests: 2_000, ..Settings::small(seed) });
        let mut taken: BTreeMap<usize, BTreeMap<usize, u64>> = BTreeMap::new();
        for (id, choice) in world.requests().flat_map(|request| request.run.choices) {
            *taken.entry(id).or_default().entry(choice).or_default() += 1;
        }
        for (id, probabilities) in branches(&world.journeys[0].entry) {
            let Some(taken) = taken.get(&id) else { continue };
            let all = taken.values().sum();
            for (choice, p) in probabilities.into_iter().enumerate() {
                let seen = taken.get(&choice).copied().unwrap_or(0);
                assert!(within(seen, all, p), "{seed} {id} {choice}: {seen} of {all}, not {p}");
                checked += 1;
            }
        }
    }
    assert!(checked > 50, "{checked}");
}

fn branches(call: &Call) -> BTreeMap<usize, Vec<f64>> {
    let mut found = BTreeMap::new();
    let mut open: Vec<&Step> = call.body.as_deref().into_iter().collect();
    while let Some(step) = open.pop() {
        match step {
            Step::Call(call) => open.extend(call.body.as_deref()),
            Step::Branch { id, choices } => {
                found.insert(*id, choices.iter().map(|(p, _)| *p).collect());
            }
            _ => {}
        }
        open.extend(step.children());
    }
    found
}

// === Spans ===

#[test]
fn without_losses_every_parent_is_there_and_halves_of_calls_nest() {
    for style in Style::ALL {
        let signals = Signals { style, ..Signals::CLEAN };
        let settings = Settings { signals, requests: 200, ..Settings::large(3, 60) };
        let (spans, symbols) = spans(settings);
        let by_id: BTreeMap<_, _> =
            spans.iter().map(|span| ((span.trace, span.id, span.kind == SpanKind::Server), span)).collect();
        let find = |span: &Span, id| {
            [true, false].into_iter().find_map(|server| by_id.get(&(span.trace, id, server)).copied())
        };
        let mut roots = 0;
        for span in &spans {
            assert!(!symbols.text(span.service).is_empty() && !symbols.text(span.operation).is_empty());
            assert!(span.duration_ns >= 0, "{span:?}");
            let Some(parent) = span.parent else {
                roots += 1;
                continue;
            };
            let parent = find(span, parent).unwrap_or_else(|| panic!("{style:?} {span:?} has no parent"));
            assert!(parent.start_ns <= span.start_ns, "{style:?} {parent:?} {span:?}");
        }
        assert_eq!(roots, 200, "{style:?}");
    }
}

#[test]
fn a_trace_is_kept_whole_and_as_often_as_asked() {
    let at = |sampling| {
        let signals = Signals { sampling, ..Signals::CLEAN };
        let (spans, _) = spans(Settings { signals, requests: 3_000, ..Settings::small(1) });
        let mut by_trace: BTreeMap<_, usize> = BTreeMap::new();
        spans.iter().for_each(|span| *by_trace.entry(span.trace).or_default() += 1);
        by_trace
    };
    let (all, tenth) = (at(1.0), at(0.1));
    assert!(within(tenth.len() as u64, 3_000, 0.1), "{}", tenth.len());
    assert!(tenth.iter().all(|(trace, spans)| all[trace] == *spans));
}

#[test]
fn losses_and_doubles_are_as_frequent_as_asked() {
    let with = |dropped, duplicated| {
        let signals = Signals { dropped, duplicated, late: 0.1, ..Signals::CLEAN };
        spans(Settings { signals, ..Settings::small(2) }).0.len() as u64
    };
    let all = with(0.0, 0.0);
    assert!(within(all - with(0.05, 0.0), all, 0.05) && within(with(0.0, 0.02) - all, all, 0.02));
}

#[test]
fn traces_interleave_and_clocks_tick() {
    let signals = Signals { resolution_ns: 1_000_000, skew_ns: 1e7, ..Signals::CLEAN };
    let (spans, _) = spans(Settings { signals, window_s: 60.0, ..Settings::small(4) });
    assert!(spans.iter().all(|span| span.start_ns % 1_000_000 == 0));
    let switches = spans.windows(2).filter(|pair| pair[0].trace != pair[1].trace).count();
    assert!(switches > spans.len() / 2, "{switches} of {}", spans.len());
}

/// The calls of a perfect assembler are those that the truth has, and what a sampled world shows is no more than the truth.
#[test]
fn calls_are_made_along_true_edges() {
    for seed in 0..20 {
        let world = World::new(Settings { requests: 300, ..Settings::small(seed) });
        let truth = score::edges_of(&world, &world.journeys[0].entry);
        let mut symbols = Symbols::default();
        let traces: Vec<_> = world.traces(&mut symbols).collect();
        let mut seen = BTreeSet::new();
        for emac_trace::Trace { calls, .. } in &traces {
            assert!(calls[0].parent.is_none() && calls.iter().all(|call| call.start_ns <= call.end_ns));
            let name = |call: &emac_trace::Call| symbols.text(call.service).to_owned();
            let edge = |call: &emac_trace::Call| Some((name(&calls[call.parent? as usize]), name(call)));
            seen.extend(calls.iter().filter_map(edge));
        }
        assert!(traces.len() == 300 && seen.is_subset(&truth), "{seed}");
        let shown = world.exhibited(0, 1).unwrap();
        let shown: BTreeSet<_> = shown.leaves().into_iter().map(ToString::to_string).collect();
        assert!(seen.iter().all(|(_, callee)| shown.contains(callee)), "{seed}");
        assert_eq!(shown.len(), seen.iter().map(|edge| &edge.1).collect::<BTreeSet<_>>().len() + 1);
    }
}

#[test]
fn sidecars_record_both_ends_of_a_call_under_one_id() {
    let signals = Signals { style: Style::Envoy, ..Signals::CLEAN };
    let world = World::new(Settings { signals, requests: 100, ..Settings::large(6, 30) });
    let records = |propagation| world.hop_records(propagation, true).collect::<Vec<_>>();
    let instrumented = records(Propagation::Instrumented);
    let key = |record: &HopRecord| (record.trace_id, record.parent_span_id);
    let outbound: BTreeMap<_, _> =
        instrumented.iter().filter(|record| !record.inbound).map(|record| (key(record), record)).collect();
    let inbound = instrumented.iter().filter(|record| record.inbound);
    let (joined, edges): (Vec<_>, Vec<_>) = inbound.partition(|record| outbound.contains_key(&key(record)));
    assert!(joined.len() > 500 && edges.len() == 100, "{} {}", joined.len(), edges.len());
    for record in joined {
        let caller = outbound[&key(record)];
        assert!(caller.start_unix_us <= record.start_unix_us && caller.hop.journey == record.hop.journey);
        let service = record.hop.destination.strip_prefix("shop/").unwrap();
        assert_eq!(caller.hop.destination, format!("{service}.shop.svc.cluster.local"));
    }
    let forwarded = records(Propagation::Forwarded);
    let ids: BTreeSet<_> = forwarded.iter().map(key).collect();
    assert!(ids.len() == 100 && forwarded.len() == instrumented.len());
}

#[test]
fn outages_come_together_where_a_domain_is_shared() {
    let faults = Faults {
        shared_domains: 2,
        shared_outages: 3,
        length_s: 120.0,
        conflicting: 1,
        unlabelled: 1,
        ..Faults::default()
    };
    let world = World::new(Settings { faults, requests: 0, ..Settings::large(8, 40) });
    assert_eq!(world.domains.shared.len(), 2);
    for pair in &world.domains.shared {
        let down = |id: &usize, second: i64| world.outages.is_down(*id, second * 1_000_000_000);
        let (a, b) = (pair.first().unwrap(), pair.last().unwrap());
        assert!((0..3_600).all(|second| down(a, second) == down(b, second)));
        assert!((100..=361).contains(&(0..3_600).filter(|second| down(a, *second)).count()));
    }
    let labels = |id: &usize| &world.services[*id].labels;
    assert!(world.domains.unlabelled.iter().all(|id| labels(id).is_empty()));
    assert!(world.domains.conflicting.iter().all(|id| labels(id).len() == 3));
}

// === What callers do ===

/// A root over `body`, whose callees fail as often as given and take about as many milliseconds.
fn world(callees: &[(f64, f64)], body: Step) -> World {
    let mut services = vec![Service::plain("front", 0.0, 1.0)];
    services.extend(callees.iter().enumerate().map(|(i, (p, ms))| Service::plain(&format!("s{i}"), *p, *ms)));
    let entry = Call { service: 0, body: Some(Box::new(body)) };
    World::with(Settings { requests: 500, ..Settings::small(11) }, services, vec![entry])
}

/// The acts of each request by service, those that happened.
fn acts(world: &World) -> impl Iterator<Item = BTreeMap<usize, Vec<Act>>> {
    world.requests().map(|request| {
        let mut by_service: BTreeMap<usize, Vec<Act>> = BTreeMap::new();
        for act in request.run.acts.into_iter().filter(|act| act.happened) {
            by_service.entry(act.service).or_default().push(act);
        }
        by_service
    })
}

#[path = "callers.rs"]
mod callers;
