//! `/api/v1/discovery`: what the drift watch knows.

use serde_json::{Map, Value, json};

use super::super::state::Shared;
use emac_compile::accept::{Impact, Shift};
use emac_compile::model::{Disagreement, provenance_json};
use emac_discovery::watch::{DeltaStatus, JourneyStatus, Observed, TogetherStatus, Undeclared};

/// Windows, and for each journey what was seen, what is proposed, and what waits to recur.
pub(in super::super) fn discovery(shared: &Shared) -> Value {
    let Some(known) = shared.discovery.load_full() else { return json!({"enabled": false}) };
    let watch = &known.watch;
    let journeys = watch.journeys.iter().map(|(name, journey)| (name.clone(), json_of_journey(journey)));
    let signal = watch.signal.iter().map(|(source, quality)| (source.label().to_owned(), quality.to_value()));
    json!({
        "enabled": true,
        "windows": watch.windows,
        "window_began_unix_ms": watch.window_began_unix_ms,
        "traces": watch.traces,
        "records": {
            "waiting": known.waiting,
            "dropped": shared.stats.snapshot().records_dropped,
            "stale": watch.stale,
        },
        "candidates_written": known.written,
        "accepted_by_policy": known.by_policy,
        "problems": known.problems,
        "journeys": Value::Object(Map::from_iter(journeys)),
        "signal": Value::Object(Map::from_iter(signal)),
        "undeclared_left_out": watch.undeclared_left_out,
        "undeclared": watch.undeclared.iter().map(json_of_undeclared).collect::<Vec<_>>(),
    })
}

fn json_of_journey(journey: &JourneyStatus) -> Value {
    json!({
        "windows": journey.windows,
        "said": journey.said,
        "base": journey.base,
        "candidate": journey.candidate,
        "confidence": journey.confidence,
        "observed": journey.observed.as_ref().map(json_of_observed),
        "together": journey.together.as_ref().map(json_of_together),
        "deltas": journey.deltas.iter().map(json_of_delta).collect::<Vec<_>>(),
        "waiting": journey.waiting.iter().map(|(change, seen)| json!({"change": change, "windows": seen})).collect::<Vec<_>>(),
        "policy": journey.policy,
    })
}

fn json_of_observed(observed: &Observed) -> Value {
    let operators = observed.operators.iter().map(|(text, provenance)| {
        json!({"operator": text, "provenance": provenance.iter().map(provenance_json).collect::<Vec<_>>()})
    });
    json!({
        "source": observed.source.label(),
        "traces": observed.traces,
        "expression": observed.expression,
        "confidence": observed.confidence,
        "operators": operators.collect::<Vec<_>>(),
        "disagreements": observed.disagreements.iter().map(json_of_disagreement).collect::<Vec<_>>(),
    })
}

fn json_of_disagreement(one: &Disagreement) -> Value {
    json!({"field": one.field.to_string(), "declared": one.declared, "observed": one.observed})
}

fn json_of_delta(delta: &DeltaStatus) -> Value {
    json!({
        "id": delta.id,
        "type": delta.kind,
        "change": delta.change,
        "status": delta.status.label(),
        "confidence": delta.confidence,
        "impact": delta.impact.as_ref().map(json_of_impact),
        "provenance": delta.provenance.iter().map(provenance_json).collect::<Vec<_>>(),
    })
}

/// A number that cannot be computed is absent, and `unknown` says why.
fn json_of_impact(impact: &Impact) -> Value {
    let shift = |shift: &Result<Shift, String>| {
        shift.as_ref().ok().map(|Shift { before, after }| json!({"before": before, "after": after}))
    };
    let unknown = [&impact.a_minus, &impact.p99].map(|shift| shift.as_ref().err());
    json!({
        "class": impact.class().label(),
        "a_minus": shift(&impact.a_minus),
        "p99_seconds": shift(&impact.p99),
        "unknown": {"a_minus": unknown[0], "p99_seconds": unknown[1]},
    })
}

fn json_of_together(together: &TogetherStatus) -> Value {
    let (before, after) = together.decision;
    json!({"impact": json_of_impact(&together.impact), "decision": {"before": before, "after": after}})
}

fn json_of_undeclared(one: &Undeclared) -> Value {
    json!({
        "name": one.name,
        "service": one.entry.0,
        "operation": one.entry.1,
        "traces": one.traces,
        "expression": one.expression,
        "confidence": one.confidence,
        "proposed": one.proposed,
    })
}
