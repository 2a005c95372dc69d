//! The journeys and workloads: ten workloads a journey, of which the first is its edge and the second calls the others; every workload
//! reports ten hops.

use std::fmt::Write as _;
use std::path::Path;

use emac_core::evidence::{Delta, HopDelta, JourneyDelta, Report};
use emac_core::id::{HopKey, JourneyName, WorkloadName};
use emac_core::outcome::OutcomeCounts;
use emac_core::sketch::Sketch;
use emac_core::units::{Micros, Millis};
use emac_proto::convert::NodeReport;
use emac_proto::v1::ReportRequest;

/// Workloads of a journey.
pub(super) const WORKLOADS: usize = 10;
/// Hops that each reports.
pub(super) const HOPS: usize = 10;
/// Deadline of a journey nobody has changed yet; each change adds a millisecond, by which it is known.
pub(super) const DEADLINE_MS: u64 = 400;

pub(super) fn workload(sidecar: usize) -> String {
    format!("shop/w{sidecar:05}")
}

pub(super) fn journey(number: usize) -> String {
    format!("journey-{number:04}")
}

/// Writes the intent of a journey, whole or not at all.
pub(super) fn write_intent(folder: &Path, number: usize, deadline_ms: u64) -> std::io::Result<()> {
    let name = journey(number);
    let aside = folder.join(format!(".{name}.new"));
    std::fs::write(&aside, intent(number, deadline_ms))?;
    std::fs::rename(aside, folder.join(format!("{name}.yaml")))
}

fn intent(number: usize, deadline_ms: u64) -> String {
    let (name, first) = (journey(number), number * WORKLOADS);
    let called = |place: usize| workload(first + place);
    let mut components = String::new();
    for place in 1..WORKLOADS {
        let source = if place == 1 { String::new() } else { format!("source: {}, ", called(1)) };
        let destination = called(place).replace("shop/", "");
        let _ = writeln!(
            components,
            "    c{place}:\n      availability: 0.999\n      latency: {{p50: 5ms, p99: 30ms}}\n      hop: {{{source}destination: {destination}, workload: {}}}",
            called(place)
        );
    }
    format!(
        "apiVersion: emac.dev/v1alpha1
kind: JourneyIntent
metadata: {{name: {name}}}
spec:
  objectives:
    availability:
      window: 30d
      target: 0.99
      sli:
        goodEventQuery: sum(rate(journey_requests_total{{journey=\"{name}\",result=\"success\"}}[{{{{ .window }}}}]))
        totalEventQuery: sum(rate(journey_requests_total{{journey=\"{name}\"}}[{{{{ .window }}}}]))
    latency:
      window: 30d
      objective: {{metric: p99, threshold: {deadline_ms}ms}}
  entry:
    - {{host: {name}.example}}
  operator:
    type: series
    steps:
      - ref: c1
      - type: parallel
        join: all
        branches: [{{ref: c2}}, {{ref: c3}}, {{ref: c4}}]
      - type: fallback
        primary: {{ref: c5}}
        alternates: [{{ref: c6, weight: 1}}]
      - ref: c7
      - ref: c8
      - ref: c9
  components:
{components}  governance:
    runtime:
      mode: enforce
      edge: [{}]
",
        called(0)
    )
}

/// What a sidecar reports each time, but for its number and time: a few hundred calls over ten hops, six of them, for the workload that calls
/// the others, those of its journey.
pub(super) fn report(sidecar: usize, seed: u64) -> ReportRequest {
    let mut random = fastrand::Rng::with_seed(seed ^ sidecar as u64);
    let (number, place) = (sidecar / WORKLOADS, sidecar % WORKLOADS);
    let hop = |n: usize| {
        let own = match place {
            0 if n == 0 => Some(1),
            1 if n < WORKLOADS - 2 => Some(n + 2),
            _ => None,
        };
        let destination = match own {
            Some(called) => workload(number * WORKLOADS + called).replace("shop/", ""),
            None => format!("store-{n}"),
        };
        HopKey { journey: journey(number), source: workload(sidecar), destination, operation: String::new() }
    };
    let hops = (0..HOPS).map(|n| (hop(n), calls(&mut random, 30))).collect();
    let mut delta = Delta { hops, ..Delta::default() };
    if place == 0
        && let Ok(name) = JourneyName::new(&journey(number))
    {
        let HopDelta { outcomes, latency, .. } = calls(&mut random, 30);
        let within_deadline = outcomes.total() - 1;
        delta.journeys.insert(name, JourneyDelta { outcomes, latency, within_deadline, degraded: 0 });
    }
    let report = Report { epoch: 1, sequence: 1, start_unix: Millis(1), end_unix: Millis(2), delta };
    let name = WorkloadName::new(&workload(sidecar)).unwrap_or_else(|error| unreachable!("{error}"));
    NodeReport::to_wire(&format!("node-{sidecar}"), &name, &report)
}

fn calls(random: &mut fastrand::Rng, count: u64) -> HopDelta {
    let mut latency = Sketch::new();
    (1..count).for_each(|_| latency.record(Micros(2_000 + random.u64(0..8_000) * random.u64(1..4))));
    let outcomes = OutcomeCounts::from_array([count - 1, 1, 0, 0, 0, 0, 0, 0]);
    HopDelta { outcomes, latency, ..HopDelta::default() }
}
