//! Services that fail together are found by it, and others are not.

use std::collections::BTreeSet;

use emac_core::journey::{ComponentName, Join};
use emac_discovery::discover::domains::correlation::{Options, Slot, SlotSeries, correlated};
use emac_discovery::discover::observe::Observations;
use emac_tests::synthetic::{Call, Faults, Losers, Service, Settings, Step, World};
use emac_trace::Symbols;

const SEEDS: u64 = 10;

/// A root that asks ten services at the same time and waits for all: an outage of one hides no other.
fn world(seed: u64, faults: Faults) -> World {
    let mut services = vec![Service::plain("front", 0.0, 1.0)];
    services.extend((1..=10).map(|i| Service::plain(&format!("s{i}"), 0.001, 2.0)));
    let body = Step::Parallel {
        join: Join::All,
        spread_ns: 1e5,
        fail_fast: false,
        losers: Losers::LeftRunning,
        branches: (1..=10).map(Step::call).collect(),
    };
    let settings = Settings { requests: 6_000, faults, ..Settings::small(seed) };
    World::with(settings, services, vec![Call { service: 0, body: Some(Box::new(body)) }])
}

/// Groups that correlation finds.
fn groups(world: &World) -> BTreeSet<BTreeSet<String>> {
    let mut symbols = Symbols::default();
    let mut observations = Observations::default();
    world.traces(&mut symbols).for_each(|trace| observations.observe(&trace));
    let name = |service: &Service| ComponentName::new(&service.name).unwrap();
    let slots = |service: &Service| {
        let counts = observations.series().of(symbols.find(&service.name).unwrap());
        let slot = |(slot, count): (i64, _)| {
            let emac_discovery::discover::observe::SlotCount { requests, failures } = count;
            Slot { slot: slot as u64, requests, failures }
        };
        counts.into_iter().map(slot).collect()
    };
    let series: SlotSeries = world.services.iter().map(|service| (name(service), slots(service))).collect();
    let root = name(&world.services[0]);
    let calls: Vec<_> = world.services[1..].iter().map(|service| (root.clone(), name(service))).collect();
    let found = correlated(&series, &calls, &Options::default()).groups;
    found.into_iter().map(|group| group.members.iter().map(ToString::to_string).collect()).collect()
}

#[test]
fn a_shared_domain_is_found_by_its_outages() {
    let faults =
        Faults { shared_domains: 2, shared_outages: 6, outages: 5, length_s: 25.0, ..Faults::default() };
    let (mut found, mut truth, mut right) = (0, 0, 0);
    for seed in 0..SEEDS {
        let world = world(seed, faults);
        let mine = groups(&world);
        let name = |id: &usize| world.services[*id].name.clone();
        let theirs: BTreeSet<BTreeSet<String>> =
            world.domains.shared.iter().map(|group| group.iter().map(name).collect()).collect();
        (found, truth) = (found + mine.len(), truth + theirs.len());
        right += mine.intersection(&theirs).count();
    }
    println!("shared domains: {right} of {truth} found, {found} claimed");
    assert!(right == found && right * 10 >= truth * 9, "{right} of {truth}, {found} claimed");
}

#[test]
fn outages_that_meet_by_chance_are_no_domain() {
    let faults = Faults { outages: 10, length_s: 200.0, ..Faults::default() };
    let invented: Vec<_> = (0..SEEDS).flat_map(|seed| groups(&world(seed, faults))).collect();
    assert!(invented.is_empty(), "{invented:?}");
}
