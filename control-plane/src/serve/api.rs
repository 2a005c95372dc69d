//! The API's answers: `/api/v1/{journeys,hops,proxies,plan,models,discovery,enforcement,engine}`; that of `/api/v1/records` is made in `records`.
//!
//! Lists are sorted by name and fields keep their order, so equal states give equal bytes. Whole numbers above 2^53 are text.

mod discovery;
mod enforcement;
mod models;
mod plan;

use emac_core::budget::Mode;
use emac_core::evidence::{DecisionCounts, DecisionKind, HopDelta, JourneyDelta};
use emac_core::id::JourneyName;
use emac_core::outcome::{Outcome, OutcomeCounts};
use emac_core::sketch::Sketch;
use serde_json::{Map, Value, json};

use super::standing::{self, EdgeSeen, Row, Seen};
use super::state::Shared;
use crate::aggregate::Aggregate;
pub(super) use discovery::discovery;
use emac_core::units::Micros;
use emac_push::proxies::{Answered, PAST_KEPT, PAST_MAX, Proxy};
use emac_push::standing::{End, Standing};
pub(super) use enforcement::{acknowledged, enforcement};
pub(super) use models::{model, models};
pub(super) use plan::plan;

/// Journeys with totals and the last seconds, and what is known of their edges.
pub(super) fn journeys(shared: &Shared) -> Value {
    let view = shared.enforcement.view();
    let planned = shared.planned();
    let declared = |name: &JourneyName| Some(planned.iter().find(|it| it.name == *name)?.runtime.mode);
    let (now, evidence) = (shared.clock.now(), shared.evidence());
    let journeys = evidence.journeys().iter().map(|(name, journey)| {
        let totals = &journey.totals;
        json!({
            "journey": name.as_str(),
            "mode": declared(name).map(|mode| view.stops.mode(name.as_str(), mode).label()),
            "mode_declared": declared(name).map(Mode::label),
            "stopped": enforcement::stopped(&view, name.as_str()),
            "total": {
                "requests": totals.outcomes.total(),
                "outcomes": outcomes(&totals.outcomes),
                "within_deadline": totals.within_deadline,
                "degraded": totals.degraded,
            },
            "recent": recent_journey(&journey.recent.total(now)),
        })
    });
    let rows = Seen::take(shared, &evidence, now).rows();
    let edges = standing::edges(&planned, &evidence, &rows, now);
    let edges = edges.iter().map(|edge| {
        let workloads = edge.workloads.iter();
        json!({
            "journey": edge.journey,
            "state": match edge.seen {
                EdgeSeen::Reporting => "reporting",
                EdgeSeen::NoRequest => "no request",
                EdgeSeen::NoEdge => "no edge",
            },
            "last_report_age_ms": age(now, edge.last),
            "workloads": workloads.map(|(name, there)| json!({"workload": name, "proxies": there})).collect::<Vec<_>>(),
            "message": edge.message,
        })
    });
    let mut answer = spans(shared, &evidence, now);
    answer["intents_refused"] = json!(shared.intents_refused.load().as_deref());
    answer["journeys"] = journeys.collect();
    answer["edges"] = edges.collect();
    answer
}

/// Hops with totals and the last seconds, and callees whose filter is not there.
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
    let rows = Seen::take(shared, &evidence, now).rows();
    let bypassed = standing::bypassed(&shared.planned(), &evidence, &rows, now);
    let bypassed = bypassed.iter().map(|one| {
        json!({
            "journey": one.journey,
            "destination": one.destination,
            "workload": one.workload,
            "calls": one.calls,
            "message": one.message,
        })
    });
    let mut answer = spans(shared, &evidence, now);
    answer["hops"] = hops.collect();
    answer["bypassed"] = bypassed.collect();
    answer
}

/// From when the numbers are: `recent` from the window, `total` since the store began where there is one, else since the process did.
fn spans(shared: &Shared, evidence: &Aggregate, now: Micros) -> Value {
    let (start, end) = evidence.span(now);
    let now_unix_ms = shared.clock.unix_ms();
    let length_ms = end.since(start).to_millis_floor().0;
    json!({
        "now_unix_ms": now_unix_ms,
        "began_unix_ms": shared.began_unix_ms,
        "window_ms": evidence.window().0,
        "window": {
            "start_unix_ms": now_unix_ms.saturating_sub(length_ms),
            "end_unix_ms": now_unix_ms,
            "length_ms": length_ms,
        },
        "totals_since": if shared.durable { "store" } else { "process" },
    })
}

/// Every proxy with how it stands, and streams that ask for budgets; the same sidecar is in both, under its node id.
pub(super) fn proxies(shared: &Shared) -> Value {
    let (now, evidence) = (shared.clock.now(), shared.evidence());
    let rows = Seen::take(shared, &evidence, now).rows();
    let count = |standing| rows.iter().filter(|row| row.standing == standing).count();
    let counts = Standing::ALL.map(|standing| (standing.label().to_owned(), json!(count(standing))));
    let totals = shared.proxies.totals();
    let streams: Vec<Value> = shared.proxies.list().iter().map(stream).collect();
    json!({
        "now_unix_ms": shared.clock.unix_ms(),
        "began_unix_ms": shared.began_unix_ms,
        "live_within_ms": evidence.window().0,
        "states": Value::Object(Map::from_iter(counts)),
        "proxies": rows.iter().map(|row| row_of(row, now)).collect::<Vec<_>>(),
        "forgotten": {
            "after_ms": PAST_KEPT.to_millis_floor().0,
            "by_time": totals.forgotten_by_time,
            "most": PAST_MAX,
            "by_number": totals.forgotten_by_number,
        },
        "streams": streams,
    })
}

/// Where evidence and plans are kept, and who shares them.
pub(super) fn engine(shared: &Shared) -> Value {
    match &shared.cluster {
        Some(cluster) => {
            let (mut engine, in_force) = (cluster.describe(), shared.in_force.load());
            let differing = in_force.differing().map(|(name, own)| (name.to_string(), json!(own.label())));
            let models = cluster.models(&shared.plan.load());
            engine["models"] = json!({
                "named": models.named,
                "missing": models.missing,
                "problem": models.problem,
                "ignored": models.ignored,
                "differing": Value::Object(Map::from_iter(differing)),
            });
            engine
        }
        None => json!({"engine": "embedded", "durable": shared.durable}),
    }
}

fn row_of(row: &Row, now: Micros) -> Value {
    let (report, stream) = (row.report.as_ref(), row.stream.as_ref());
    let open = stream.filter(|_| row.ended.is_none());
    json!({
        "node": row.node,
        "workload": row.workload,
        "state": row.standing.label(),
        "replica": row.replica,
        "stream": stream.map(|proxy| proxy.stream),
        "connected_age_ms": age(now, open.map(|proxy| proxy.connected)),
        "ended_age_ms": age(now, row.ended.map(|(at, _)| at)),
        "ended": row.ended.map(|(_, end)| match end {
            End::Closed => "closed",
            End::Broken => "broken",
            End::Dismissed => "ended by the control plane",
        }),
        "last_heard_age_ms": age(now, stream.and_then(|proxy| proxy.heard)),
        "unanswered_age_ms": age(now, open.and_then(|proxy| proxy.owed_since)),
        "generation_offered": row.offered,
        "generation_acknowledged": stream.and_then(|proxy| proxy.accepted.as_ref()?.generation),
        "refused": stream.filter(|proxy| proxy.refused_last).and_then(|proxy| Some(&proxy.refused.as_ref()?.error)),
        "sequence": report.map(|report| report.sequence),
        "last_report_age_ms": age(now, report.map(|report| report.seen)),
        "generation": report.map(|report| report.generation.0),
        "stale": report.map(|report| report.stale),
    })
}

fn age(now: Micros, at: Option<Micros>) -> Option<u64> {
    at.map(|at| now.since(at).to_millis_floor().0)
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
