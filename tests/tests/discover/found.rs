//! What discovery finds in a world, and how it is judged.

use std::collections::BTreeSet;

use emac_compile::model::EvidenceSource;
use emac_core::journey::{ComponentName, Journey, parse};
use emac_discovery::discover::observe::Observations;
use emac_discovery::discover::{Discovered, DiscoveryContext, discover};
use emac_tests::synthetic::score::calibration::{Claim, judge};
use emac_tests::synthetic::score::{Found, edges_of};
use emac_tests::synthetic::{Propagation, World};
use emac_trace::read::{ReadSettings, read_source};
use emac_trace::{Assembler, Symbols, TraceLimits};

/// From spans, as they arrive.
pub(crate) fn from_spans(world: &World) -> Vec<Discovered> {
    let mut assembler = Assembler::new(TraceLimits::default(), Observations::default());
    world.feed(&mut assembler);
    let assembled = assembler.finish();
    given(&assembled.consumer, &assembled.symbols, EvidenceSource::Traces)
}

/// From a file of any format.
pub(crate) fn from_file(bytes: &[u8]) -> Vec<Discovered> {
    let mut assembler = Assembler::new(TraceLimits::default(), Observations::default());
    let (_, refused) = read_source(bytes, &ReadSettings::default(), &mut assembler).unwrap();
    assert_eq!(refused, 0);
    let assembled = assembler.finish();
    given(&assembled.consumer, &assembled.symbols, EvidenceSource::Traces)
}

/// From hop records alone, as a mesh without a tracing backend sends them.
pub(crate) fn from_hops(world: &World, propagation: Propagation) -> Vec<Discovered> {
    let mut assembler = Assembler::new(TraceLimits::default(), Observations::default());
    for record in world.hop_records(propagation, true) {
        // Who sends a record: the callee's sidecar what came in, the caller's what went out.
        let node = if record.inbound { &record.hop.destination } else { &record.hop.source };
        assembler.hop(&node.clone(), &record);
    }
    let assembled = assembler.finish();
    given(&assembled.consumer, &assembled.symbols, EvidenceSource::HopRecords)
}

/// From what a perfect assembler would have made of the spans.
pub(crate) fn from_traces(world: &World) -> Vec<Discovered> {
    let mut symbols = Symbols::default();
    let mut observations = Observations::default();
    world.traces(&mut symbols).for_each(|trace| observations.observe(&trace));
    given(&observations, &symbols, EvidenceSource::Traces)
}

fn given(observations: &Observations, symbols: &Symbols, source: EvidenceSource) -> Vec<Discovered> {
    discover(observations, symbols, &DiscoveryContext { intents: &[], source, evidence: &[] })
}

/// As it is scored.
pub(crate) fn scored(discovered: &[Discovered]) -> Vec<Found> {
    let found = |one: &Discovered| {
        let edges = one.model.edges.iter().map(|edge| (short(&edge.from), short(&edge.to)));
        let edges: BTreeSet<_> = edges.collect();
        // Sidecars know workloads, with their namespace.
        let structure = Journey::new(parse(&short(&one.structure()?.to_string())).unwrap()).unwrap();
        Some(Found { name: one.name.clone(), structure, edges })
    };
    discovered.iter().filter_map(found).collect()
}

/// A text with the names that spans have: sidecars' `shop/cart` is spans' `cart.shop`.
fn short(text: &str) -> String {
    let mut parts = text.split("shop/");
    let mut renamed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !ComponentName::allows(c)).unwrap_or(part.len());
        renamed.extend([&part[..end], ".shop", &part[end..]]);
    }
    renamed
}

/// What is claimed of the fields of a world of one journey, and whether it is right of what its requests show: redundancy that was never needed
/// leaves no trace, and nothing is claimed of it.
pub(crate) fn claims(world: &World, discovered: &[Discovered]) -> Vec<Claim> {
    let [journey] = world.journeys.as_slice() else { return Vec::new() };
    let edges = edges_of(world, &journey.entry);
    let Some(truth) = world.exhibited(0, 1) else { return Vec::new() };
    let judged = discovered
        .iter()
        .filter_map(|one| Some(judge(&one.model.findings, one.structure()?, &truth, &edges)));
    judged.flatten().collect()
}
