//! `/metrics`: every number this process knows, as metric families.
//!
//! Counters come from lifetime totals, so with a state directory they survive restarts. Latencies are exposed as native and as
//! classic histograms at once:
//!
//! - Native, schema 5. Our buckets are those of schema 5 over *microseconds*, Prometheus wants *seconds*, and a million is no power
//!   of `2^(1/32)`: the grids are 0.19 of a bucket apart. Each bucket goes to the nearest one ([`NATIVE_SHIFT`]), which adds
//!   0.42 % to the sketch's 1.08 % of error and keeps counts exact.
//! - Classic, two bounds an octave from 1.024 ms to 134 s. Bounds are upper ends of our buckets and latencies are whole
//!   microseconds, so each cumulative count is exact.

mod discovery;
mod door;
mod process;
mod replicas;
mod tables;

use std::sync::atomic::Ordering::Relaxed;

use emac_core::evidence::DecisionKind;
use emac_core::outcome::Outcome;
use emac_core::sketch::SCHEMA;
use emac_core::units::Micros;

use super::api;
use super::exposition::wire::Bucket;
use super::exposition::{Histogram, MetricFamily, MetricType};
use super::standing::{self, EdgeSeen, Seen};
use super::state::Shared;
use crate::aggregate::Aggregate;
use crate::ingest::StatsSnapshot;
use crate::totals::LatencyTotals;
use emac_push::proxies::Proxies;
use emac_push::standing::Standing;

/// `round(32 * log2(1e6))`, less the one by which Prometheus numbers buckets higher than OpenTelemetry.
const NATIVE_SHIFT: i32 = 638 - 1;
/// Half octaves of microseconds: 1.024 ms is the 20th, 134 s the 54th.
const CLASSIC_HALF_OCTAVES: std::ops::RangeInclusive<u32> = 20..=54;

/// Up to so many hops each shows every outcome and decision; beyond it those that happened.
const HOPS_WHOLE_MAX: usize = 4_096;

/// Every family that has something to say, in a fixed order.
pub(super) fn families(shared: &Shared) -> Vec<MetricFamily> {
    let now = shared.clock.now();
    let mut families = {
        let evidence = shared.evidence();
        let mut families = journeys(&evidence);
        families.extend(hops(&evidence));
        families.extend(sidecars(&evidence, now));
        families.extend(presence(shared, &evidence, now));
        families
    };
    families.extend(tables::families(&shared.evidence()));
    let stats = shared.stats.snapshot();
    families.extend(ingestion(&stats));
    families.extend(door::families(shared));
    families.extend(enforcement(shared));
    families.extend(push(&shared.proxies));
    families.extend(predictions(shared));
    families.extend(replicas::families(shared));
    families.extend(discovery::families(shared));
    families.extend(control_plane(shared, &stats));
    families.extend(process::families(shared));
    families.retain(|family| !family.metric.is_empty());
    families
}

fn journeys(evidence: &Aggregate) -> Vec<MetricFamily> {
    let mut requests =
        counter("journey_requests_total", "Requests of a journey by result, measured at the edge.");
    let mut within =
        counter("emac_journey_within_deadline_total", "Good answers within the journey's deadline.");
    let mut degraded =
        counter("emac_journey_degraded_total", "Good answers of a journey with a degraded part.");
    let help = "Latency of a journey's good answers, measured at the edge.";
    let mut latency = MetricFamily::new("journey_latency_seconds", MetricType::Histogram, help);
    for (name, journey) in evidence.journeys() {
        let (name, totals) = (name.as_str(), &journey.totals);
        for result in Outcome::RESULTS {
            let ended = Outcome::ALL.into_iter().filter(|outcome| outcome.result() == result);
            let count = ended.map(|outcome| totals.outcomes.get(outcome)).sum();
            requests.counter(&[("journey", name), ("result", result)], count);
        }
        within.counter(&[("journey", name)], totals.within_deadline);
        degraded.counter(&[("journey", name)], totals.degraded);
        latency.histogram(&[("journey", name)], histogram(&totals.latency));
    }
    vec![requests, within, degraded, latency]
}

fn hops(evidence: &Aggregate) -> Vec<MetricFamily> {
    let mut requests =
        counter("emac_hop_requests_total", "Calls of a hop by outcome, measured by the caller.");
    let mut retries = counter("emac_hop_retries_total", "Retries of a hop.");
    let mut decisions =
        counter("emac_hop_decisions_total", "Enforcement decisions for a hop by kind, including dry-run.");
    // A hundred thousand hops with sixteen series each are more than anybody can scrape.
    let lean = evidence.hops().len() > HOPS_WHOLE_MAX;
    for (key, hop) in evidence.hops() {
        let labels = [
            ("journey", key.journey.as_str()),
            ("source", key.source.as_str()),
            ("destination", key.destination.as_str()),
            ("operation", key.operation.as_str()),
        ];
        let with = |name, value| [labels.as_slice(), &[(name, value)]].concat();
        for outcome in Outcome::ALL {
            let count = hop.totals.outcomes.get(outcome);
            if count > 0 || !lean {
                requests.counter(&with("outcome", outcome.label()), count);
            }
        }
        for kind in DecisionKind::ALL {
            let count = hop.totals.decisions.get(kind);
            if count > 0 || !lean {
                decisions.counter(&with("decision", kind.label()), count);
            }
        }
        if hop.totals.retries > 0 || !lean {
            retries.counter(&labels, hop.totals.retries);
        }
    }
    vec![requests, retries, decisions]
}

fn sidecars(evidence: &Aggregate, now: Micros) -> Vec<MetricFamily> {
    let mut lag = gauge("emac_evidence_lag_seconds", "Largest time since a sidecar's last counted report.");
    let silent = evidence.nodes().values().map(|node| now.since(node.seen)).max().unwrap_or_default();
    lag.gauge(&[], seconds(silent));
    let mut reporting =
        gauge("emac_sidecars_reporting", "Sidecars whose evidence was counted in the last hour.");
    reporting.gauge(&[], evidence.nodes().len() as f64);
    let mut stale =
        gauge("emac_sidecars_stale", "Sidecars whose last report said that the lease had expired.");
    stale.gauge(&[], evidence.nodes().values().filter(|node| node.stale).count() as f64);
    let mut epochs = gauge("emac_evidence_epochs", "Epochs kept to detect duplicate reports.");
    epochs.gauge(&[], evidence.marks().len() as f64);
    vec![lag, reporting, stale, epochs, filter_events(evidence)]
}

/// Who is there and who is missing.
fn presence(shared: &Shared, evidence: &Aggregate, now: Micros) -> Vec<MetricFamily> {
    let rows = Seen::take(shared, evidence, now).rows();
    let planned = shared.planned();
    let mut proxies = gauge("emac_proxies", "Proxies by state; gone proxies are counted for one hour.");
    for standing in Standing::ALL {
        let count = rows.iter().filter(|row| row.standing == standing).count();
        proxies.gauge(&[("state", standing.label())], count as f64);
    }
    let totals = shared.proxies.totals();
    let mut forgotten = counter("emac_proxies_forgotten_total", "Proxies no longer listed, by reason.");
    forgotten.counter(&[("reason", "time")], totals.forgotten_by_time);
    forgotten.counter(&[("reason", "number")], totals.forgotten_by_number);
    let help = "1 if no requests of the journey were reported since process start and no proxy of its edge is connected, else 0.";
    let mut without_edge = gauge("emac_journey_without_edge", help);
    let mut missing =
        gauge("emac_journey_edges_missing", "Edge workloads of a journey without a known proxy.");
    for edge in standing::edges(&planned, evidence, &rows, now) {
        let labels = [("journey", edge.journey.as_str())];
        without_edge.gauge(&labels, f64::from(u8::from(edge.seen == EdgeSeen::NoEdge)));
        missing.gauge(&labels, edge.workloads.iter().filter(|(_, there)| *there == 0).count() as f64);
    }
    let help = "Calls in the window answered by a destination whose workload has no known filter.";
    let mut bypassed = gauge("emac_destination_bypassed_calls", help);
    for one in standing::bypassed(&planned, evidence, &rows, now) {
        let labels = [
            ("journey", one.journey.as_str()),
            ("destination", one.destination.as_str()),
            ("workload", one.workload.as_str()),
        ];
        bypassed.gauge(&labels, one.calls as f64);
    }
    vec![proxies, forgotten, without_edge, missing, bypassed]
}

fn filter_events(evidence: &Aggregate) -> MetricFamily {
    let help = "Abnormal events in sidecars by kind, since process start.";
    let mut events = counter("emac_filter_events_total", help);
    let health = evidence.health();
    for (event, count) in [
        ("context_missing", health.context_missing),
        ("context_invalid", health.context_invalid),
        ("overflow", health.overflow),
        ("dropped", health.dropped),
        ("clock_backwards", health.clock_backwards),
        ("internal_error", health.internal_errors),
    ] {
        events.counter(&[("event", event)], count);
    }
    events
}

fn ingestion(stats: &StatsSnapshot) -> Vec<MetricFamily> {
    let mut reports = counter("emac_reports_total", "Evidence reports by result.");
    for (result, count) in [
        ("counted", stats.counted),
        ("duplicate", stats.duplicates),
        ("invalid", stats.invalid),
        ("expired_epoch", stats.expired),
        ("implausible_sequence", stats.implausible),
        ("epoch_ahead", stats.ahead),
        ("turned_away", stats.turned_away),
        ("not_stored", stats.not_stored),
    ] {
        reports.counter(&[("result", result)], count);
    }
    let mut missing = counter(
        "emac_reports_missing_total",
        "Reports acknowledged by an earlier store and missing in this one.",
    );
    missing.counter(&[], stats.missing);
    let mut records = counter("emac_hop_records_total", "Hop records received.");
    records.counter(&[], stats.records);
    let mut dropped = counter(
        "emac_hop_records_dropped_total",
        "Hop records dropped because the discovery queue was full.",
    );
    dropped.counter(&[], stats.records_dropped);
    let mut failures = counter("emac_store_commit_failures_total", "Failed store transactions.");
    failures.counter(&[], stats.commit_failures);
    let mut queued = gauge("emac_ingest_queue_reports", "Evidence reports queued for the store.");
    queued.gauge(&[], stats.queued as f64);
    let mut streams = gauge("emac_evidence_streams", "Open evidence streams.");
    streams.gauge(&[], stats.streams as f64);
    let help = "Duration of store transactions until durable.";
    let mut commits = MetricFamily::new("emac_store_commit_seconds", MetricType::Histogram, help);
    commits.histogram(&[], histogram(&stats.commits));
    vec![reports, missing, records, dropped, failures, queued, streams, commits]
}

fn enforcement(shared: &Shared) -> Vec<MetricFamily> {
    let view = shared.enforcement.view();
    let help = "1 while enforcement of the journey is stopped by an order or the configuration, else 0.";
    let mut stopped = gauge("emac_enforcement_stopped", help);
    for intent in shared.planned().iter() {
        let name = intent.name.as_str();
        stopped.gauge(&[("journey", name)], f64::from(u8::from(view.stops.why(name).is_some())));
    }
    let help = "1 while enforcement of all journeys is stopped, undeclared ones too, else 0.";
    let mut all = gauge("emac_enforcement_stopped_all", help);
    all.gauge(&[], f64::from(u8::from(view.stops.all())));
    let help =
        "Sidecars connected to any replica that have not acknowledged the newest change of enforcement.";
    let mut waiting = gauge("emac_enforcement_unacknowledged", help);
    let (connected, acknowledged) = api::acknowledged(shared, &view);
    waiting.gauge(&[], (connected - acknowledged) as f64);
    let help = "0 while orders about enforcement would not survive a restart, else 1.";
    let mut durable = gauge("emac_enforcement_durable", help);
    durable.gauge(&[], f64::from(u8::from(view.durable)));
    let mut refused = counter(
        "emac_api_refused_total",
        "HTTP requests refused because of who sent them or how, by reason.",
    );
    for (reason, count) in shared.guard.refusals() {
        refused.counter(&[("reason", reason)], count);
    }
    vec![stopped, all, waiting, durable, refused]
}

fn control_plane(shared: &Shared, stats: &StatsSnapshot) -> Vec<MetricFamily> {
    let mut generation = gauge("emac_plan_generation", "Generation of the current plan.");
    generation.gauge(&[], shared.enforcement.generation().0 as f64);
    let help = "Duration of planning, from reading evidence to publishing.";
    let mut plans = MetricFamily::new("emac_plan_seconds", MetricType::Histogram, help);
    plans.histogram(&[], histogram(&stats.plans));
    let mut intents = gauge("emac_intents", "Journeys with a plan.");
    intents.gauge(&[], shared.intents.load().planned.len() as f64);
    let mut reloads = counter("emac_intent_reloads_total", "Reloads of the intent files by result.");
    reloads.counter(&[("result", "taken")], stats.reloads);
    reloads.counter(&[("result", "refused")], stats.reloads_refused);
    let mut refused = gauge(
        "emac_intents_refused",
        "1 while the intent files are invalid and the last valid intents stay in use, else 0.",
    );
    refused.gauge(&[], f64::from(u8::from(shared.intents_refused.load().is_some())));
    let mut removed = counter("emac_journeys_removed_total", "Journeys whose file was removed.");
    removed.counter(&[], shared.stats.journeys_removed.load(Relaxed));
    let mut durable = gauge("emac_store_durable", "1 if evidence survives a restart, else 0.");
    durable.gauge(&[], f64::from(u8::from(shared.durable)));
    vec![generation, plans, intents, reloads, refused, removed, durable]
}

fn push(proxies: &Proxies) -> Vec<MetricFamily> {
    let totals = proxies.totals();
    let mut connected = gauge("emac_proxies_connected", "Open xDS streams.");
    connected.gauge(&[], proxies.connected() as f64);
    let mut responses = counter("emac_xds_responses_total", "xDS responses sent.");
    responses.counter(&[], totals.pushes);
    let mut answers = counter("emac_xds_answers_total", "Answers of proxies to xDS responses, by kind.");
    answers.counter(&[("answer", "ack")], totals.acks);
    answers.counter(&[("answer", "nack")], totals.nacks);
    answers.counter(&[("answer", "stale")], totals.stale);
    let mut streams = counter("emac_xds_streams_total", "xDS streams by admission result.");
    streams.counter(&[("result", "opened")], totals.streams);
    streams.counter(&[("result", "turned_away")], totals.turned_away);
    vec![connected, responses, answers, streams]
}

fn predictions(shared: &Shared) -> Vec<MetricFamily> {
    let help = "Predicted share of requests that succeed within the deadline under the current plan.";
    let mut predicted = gauge("emac_journey_predicted_success", help);
    let help = "Predicted share of requests that succeed within the deadline, from the lower confidence bound of the evidence.";
    let mut lower = gauge("emac_journey_predicted_success_lower", help);
    let mut objective =
        gauge("emac_journey_objective", "Availability objective: required share of good answers.");
    for (name, journey) in &shared.plan.load().journeys {
        let labels = [("journey", name.as_str())];
        predicted.gauge(&labels, journey.predicted);
        lower.gauge(&labels, journey.predicted_lower);
        objective.gauge(&labels, journey.objective);
    }
    vec![predicted, lower, objective]
}

fn counter(name: &str, help: &str) -> MetricFamily {
    MetricFamily::new(name, MetricType::Counter, help)
}

fn gauge(name: &str, help: &str) -> MetricFamily {
    MetricFamily::new(name, MetricType::Gauge, help)
}

fn seconds(duration: Micros) -> f64 {
    duration.0 as f64 / 1e6
}

fn histogram(latency: &LatencyTotals) -> Histogram {
    let (sum, count) = (latency.sum_us() / 1e6, latency.count());
    let mut histogram = Histogram {
        sample_count: Some(count),
        sample_sum: Some(sum),
        bucket: classic(latency),
        ..Histogram::default()
    };
    histogram.set_native(SCHEMA, latency.buckets().map(|(index, count)| (index - NATIVE_SHIFT, count)));
    histogram
}

/// Cumulative counts at `2^(n/2)` microseconds: the upper end of the bucket with the index `16 n - 1`.
fn classic(latency: &LatencyTotals) -> Vec<Bucket> {
    let mut counts = latency.buckets().peekable();
    let mut cumulative = 0_u64;
    CLASSIC_HALF_OCTAVES
        .map(|half_octave| {
            let last = 16 * half_octave as i32 - 1;
            while let Some((_, count)) = counts.next_if(|&(index, _)| index <= last) {
                cumulative = cumulative.saturating_add(count);
            }
            // Whole microseconds: the floor of 2^(n/2) bounds the same values.
            let bound = (1_u64 << half_octave).isqrt();
            Bucket { cumulative_count: Some(cumulative), upper_bound: Some(seconds(Micros(bound))) }
        })
        .collect()
}

#[cfg(test)]
mod tests;
