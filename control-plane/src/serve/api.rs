//! The API's answers: `/api/v1/{journeys,hops,proxies,plan,discovery}`.
//!
//! Lists are sorted by name and fields keep their order, so equal states give equal bytes. Whole numbers above 2^53 are text.

mod discovery;
mod plan;

use emac_core::evidence::{DecisionCounts, DecisionKind, HopDelta, JourneyDelta};
use emac_core::outcome::{Outcome, OutcomeCounts};
use emac_core::sketch::Sketch;
use serde_json::{Map, Value, json};

use super::state::Shared;
use crate::push::proxies::{Answered, Proxy};
pub(super) use discovery::discovery;
pub(super) use plan::plan;

/// Journeys with totals and the last seconds.
pub(super) fn journeys(shared: &Shared) -> Value {
    let (now, evidence) = (shared.clock.now(), shared.evidence());
    let journeys = evidence.journeys().iter().map(|(name, journey)| {
        let totals = &journey.totals;
        json!({
            "journey": name.as_str(),
            "total": {
                "requests": totals.outcomes.total(),
                "outcomes": outcomes(&totals.outcomes),
                "within_deadline": totals.within_deadline,
                "degraded": totals.degraded,
            },
            "recent": recent_journey(&journey.recent.total(now)),
        })
    });
    json!({"window_ms": evidence.window().0, "journeys": journeys.collect::<Vec<_>>()})
}

/// Hops with totals and the last seconds.
pub(super) fn hops(shared: &Shared) -> Value {
    let (now, evidence) = (shared.clock.now(), shared.evidence());
    let hops = evidence.hops().iter().map(|(key, hop)| {
        let totals = &hop.totals;
        json!({
            "journey": key.journey,
            "source": key.source,
            "destination": key.destination,
            "operation": key.operation,
            "total": {
                "requests": totals.outcomes.total(),
                "outcomes": outcomes(&totals.outcomes),
                "retries": totals.retries,
                "decisions": decisions(&totals.decisions),
            },
            "recent": recent_hop(&hop.recent.total(now)),
        })
    });
    json!({"window_ms": evidence.window().0, "hops": hops.collect::<Vec<_>>()})
}

/// Sidecars that reported, and streams that ask for budgets; the same sidecar is in both, under its node id.
pub(super) fn proxies(shared: &Shared) -> Value {
    let (now, evidence) = (shared.clock.now(), shared.evidence());
    let reporting = evidence.nodes().iter().map(|(node, seen)| {
        json!({
            "node": node,
            "workload": seen.workload.as_str(),
            "epoch": seen.epoch.to_string(),
            "sequence": seen.sequence,
            "last_report_age_ms": now.since(seen.seen).to_millis_floor().0,
            "generation": seen.generation.0,
            "stale": seen.stale,
        })
    });
    let streams: Vec<Value> = shared.proxies.list().iter().map(stream).collect();
    json!({"proxies": reporting.collect::<Vec<_>>(), "streams": streams})
}

fn stream(proxy: &Proxy) -> Value {
    let answered = |answered: &Option<Answered>| {
        answered.as_ref().map(|it| {
            json!({"at_unix_ms": it.at_unix_ms, "version": it.version, "generation": it.generation, "error": it.error})
        })
    };
    json!({
        "node": proxy.node,
        "workload": proxy.workload,
        "variant": proxy.variant,
        "connected_since_unix_ms": proxy.connected_since_unix_ms,
        "pushes": proxy.pushes,
        "acks": proxy.acks,
        "nacks": proxy.nacks,
        "accepted": answered(&proxy.accepted),
        "refused": answered(&proxy.refused),
    })
}

fn recent_journey(delta: &JourneyDelta) -> Value {
    let requests = delta.outcomes.total();
    json!({
        "requests": requests,
        "outcomes": outcomes(&delta.outcomes),
        "within_deadline": delta.within_deadline,
        "success_within_deadline": share(delta.within_deadline, delta.outcomes.judged()),
        "degraded_share": share(delta.degraded, delta.outcomes.judged()),
        "p50_ms": quantile_ms(&delta.latency, 0.5),
        "p99_ms": quantile_ms(&delta.latency, 0.99),
    })
}

fn recent_hop(delta: &HopDelta) -> Value {
    let requests = delta.outcomes.total();
    json!({
        "requests": requests,
        "outcomes": outcomes(&delta.outcomes),
        "retries": delta.retries,
        "decisions": decisions(&delta.decisions),
        "success": share(delta.outcomes.get(Outcome::Success), delta.outcomes.judged()),
        "p50_ms": quantile_ms(&delta.latency, 0.5),
        "p99_ms": quantile_ms(&delta.latency, 0.99),
    })
}

fn outcomes(counts: &OutcomeCounts) -> Value {
    let fields = Outcome::ALL.map(|outcome| (outcome.label().to_string(), json!(counts.get(outcome))));
    Value::Object(Map::from_iter(fields))
}

fn decisions(counts: &DecisionCounts) -> Value {
    let fields = DecisionKind::ALL.map(|kind| (kind.label().to_string(), json!(counts.get(kind))));
    Value::Object(Map::from_iter(fields))
}

/// `null` when there is nothing to share: no traffic is no success.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn quantile_ms(latency: &Sketch, q: f64) -> Option<f64> {
    latency.quantile(q).map(|us| (us / 10.0).round() / 100.0)
}
