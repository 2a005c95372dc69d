//! Families of discovery: spans that came in, windows, and what is proposed.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::super::exposition::MetricFamily;
use super::super::state::Shared;
use super::{counter, gauge};
use crate::ingest::otlp;
use emac_compile::accept::Class;
use emac_discovery::watch::{DeltaStatus, WatchStatus};

/// None while discovery is disabled.
pub(super) fn families(shared: &Shared) -> Vec<MetricFamily> {
    let Some(known) = shared.discovery.load_full() else { return Vec::new() };
    let watch = &known.watch;
    let mut waiting = gauge("emac_discovery_queue_records", "Records queued for discovery.");
    waiting.gauge(&[], known.waiting as f64);
    let mut families = vec![
        total("emac_discovery_windows_total", "Completed observation windows.", watch.windows),
        total("emac_discovery_traces_total", "Complete traces processed by discovery.", watch.traces),
        total(
            "emac_discovery_stale_records_total",
            "Records refused because they were older than the intent's freshness.maxAge.",
            watch.stale,
        ),
        total("emac_discovery_candidates_total", "Candidates written.", known.written),
        total("emac_discovery_policy_acceptances_total", "Models accepted by policy.", known.by_policy),
    ];
    families.extend(proposed(watch));
    families.extend([undeclared(watch), waiting]);
    families.extend(received(&shared.otlp));
    families
}

fn total(name: &str, help: &str, value: u64) -> MetricFamily {
    let mut family = counter(name, help);
    family.counter(&[], value);
    family
}

/// What candidates of declared journeys would change.
fn proposed(watch: &WatchStatus) -> [MetricFamily; 3] {
    let mut proposed = gauge("emac_discovery_deltas_proposed", "Deltas proposed by a journey's candidate.");
    let help = "Deltas proposed by a journey's candidate, by their impact on A- when taken alone.";
    let mut impacts = gauge("emac_discovery_deltas_by_impact", help);
    let help =
        "Change of a journey's A- if all proposed deltas were accepted; absent where it cannot be computed.";
    let mut together = gauge("emac_discovery_proposed_a_minus_change", help);
    for (name, journey) in &watch.journeys {
        let labels = [("journey", name.as_str())];
        proposed.gauge(&labels, journey.deltas.len() as f64);
        for class in Class::ALL {
            let of =
                |delta: &&DeltaStatus| delta.impact.as_ref().is_some_and(|impact| impact.class() == class);
            let count = journey.deltas.iter().filter(of).count();
            impacts.gauge(&[("journey", name.as_str()), ("impact", class.label())], count as f64);
        }
        let shift = journey.together.as_ref().and_then(|together| together.impact.a_minus.as_ref().ok());
        if let Some(shift) = shift {
            together.gauge(&labels, shift.delta());
        }
    }
    [proposed, impacts, together]
}

fn undeclared(watch: &WatchStatus) -> MetricFamily {
    let help = "Journeys that nobody declared, in the last window, by state.";
    let mut undeclared = gauge("emac_discovery_undeclared_journeys", help);
    let recurred = watch.undeclared.iter().filter(|one| one.proposed).count();
    for (state, count) in [
        ("seen", (watch.undeclared.len() - recurred) as u64),
        ("proposed", recurred as u64),
        ("left_out", watch.undeclared_left_out),
    ] {
        undeclared.gauge(&[("state", state)], count as f64);
    }
    undeclared
}

/// What came in by OTLP.
fn received(otlp: &otlp::Stats) -> [MetricFamily; 2] {
    let mut requests = counter("emac_otlp_requests_total", "OTLP export requests by result.");
    let mut spans = counter("emac_otlp_spans_total", "Spans received by OTLP, by result.");
    let read = |counter: &AtomicU64| counter.load(Relaxed);
    for (result, count) in [("taken", &otlp.requests), ("invalid", &otlp.invalid), ("shed", &otlp.shed)] {
        requests.counter(&[("result", result)], read(count));
    }
    for (result, count) in
        [("taken", &otlp.spans), ("refused", &otlp.spans_refused), ("shed", &otlp.spans_shed)]
    {
        spans.counter(&[("result", result)], read(count));
    }
    [requests, spans]
}
