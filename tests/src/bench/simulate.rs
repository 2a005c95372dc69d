//! Monte Carlo: trials per second of one core, on worlds too large to enumerate.
//!
//! A world is a tree of calls, each service calling four others; every node and edge can fail, every third node is in a failure domain with its
//! neighbour, and three endpoints are asked, one of them for the eventual outcome. A trial draws everything and asks all three.

use std::fmt::Write as _;
use std::hint::black_box;

use emac_compile::model::CandidateModel;
use emac_compile::simulate::{SimulationSettings, StopAmount, World, availability, fail_stop, read};
use emac_document::{Limits, Problems, Source, parse};

use super::Section;
use super::timing::{Work, side_by_side};

/// Trials of one call; whole chunks of the simulator.
const TRIALS: u64 = 4_096;

/// The section of the report; some seconds.
pub fn section() -> Section {
    let worlds = [30, 100, 1_000].map(|nodes| (nodes, world(nodes)));
    let mut body =
        "| trials per second and core | 30 nodes | 100 nodes | 1 000 nodes |\n|---|---|---|---|\n".to_owned();
    for (name, stops) in [
        ("everything up or down by chance", &[][..]),
        ("a third of all containers stopped, drawn without replacement", &[StopAmount::Fraction(1.0 / 3.0)]),
    ] {
        let work = |(_, world): &(usize, World)| trials(world.clone(), stops);
        let times = side_by_side(worlds.iter().map(|world| Some(work(world))).collect());
        let cells =
            times.into_iter().map(|nanos| nanos.map_or("-".to_owned(), |nanos| thousands(1e9 / nanos)));
        let _ = writeln!(body, "| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    body.push_str("\nThree endpoints a trial; threads change the time and not the numbers.\n");
    Section { title: "Simulate: Monte Carlo, one core", body }
}

fn trials(world: World, stops: &'static [StopAmount]) -> Work<'static> {
    let settings = SimulationSettings { trials: TRIALS, seed: 1, threads: 1 };
    Box::new(move || {
        match stops {
            [] => drop(black_box(availability(&world, settings))),
            stops => drop(black_box(fail_stop(&world, stops, settings))),
        }
        TRIALS
    })
}

/// `1 234 567`.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(" ")
}

fn world(nodes: usize) -> World {
    let name = |node: usize| format!("s{node}");
    let edges: Vec<_> = (1..nodes)
        .map(|node| {
            let kind = if node % 10 == 9 { ", callType: async" } else { "" };
            format!("{{from: {}, to: {}{kind}}}", name((node - 1) / 4), name(node))
        })
        .collect();
    let domains: Vec<_> = (0..nodes / 3)
        .map(|i| format!("{{name: d{i}, members: [{}, {}], beta: 0.2}}", name(3 * i), name(3 * i + 1)))
        .collect();
    let targets: Vec<_> = (nodes - 10..nodes).map(name).collect();
    let endpoint = |label: &str, rest: &str| {
        format!("{{name: {label}, entry: s0, targets: [{}]{rest}}}", targets.join(", "))
    };
    let endpoints = [
        endpoint("all", ""),
        endpoint("most", ", predicate: {atLeast: 7}"),
        endpoint("eventual", ", semantics: eventual"),
    ];
    let head = "apiVersion: emac.dev/v1alpha1\n";
    let model = format!(
        "{head}kind: DiscoveredJourneyModel\nmetadata: {{name: j}}\nspec: {{topology: {{edges: [{}]}}}}\n",
        edges.join(", ")
    );
    let profile = format!(
        "{head}kind: SimulationProfile\nspec: {{defaults: {{replicas: 2, nodeAvailability: 0.99, edgeAvailability: 0.999}}, domains: [{}], endpoints: \
         [{}]}}\n",
        domains.join(", "),
        endpoints.join(", ")
    );
    let problems = Problems::new();
    let document =
        |text: String| parse(&Source::new("bench.yaml", text), &Limits::default(), &problems).remove(0);
    let model = CandidateModel::read(&document(model), &problems);
    let profile = read(&document(profile), &problems);
    let world = model.zip(profile).and_then(|(model, profile)| profile.world(model.model()).ok());
    world.unwrap_or_else(|| unreachable!("{:?}", problems.list()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worlds_are_estimated_and_not_enumerated() {
        let settings = SimulationSettings { trials: 1_000, seed: 1, threads: 1 };
        for estimate in availability(&world(30), settings) {
            assert!(estimate.exact.is_none() && estimate.mean > 0.5 && estimate.mean < 1.0, "{estimate:?}");
        }
    }

    #[test]
    fn digits_stand_in_groups() {
        assert_eq!([999.0, 1_000.0, 1_234_567.0].map(thousands), ["999", "1 000", "1 234 567"]);
    }
}
