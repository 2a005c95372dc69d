//! What changed against the accepted model, typed, with provenance and impact.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::discover::{ScenarioFindings, labels};
use super::read::{Replay, Scenario};
use super::{Ends, round8};

/// Domain assignments and the race's relation; empty when nothing changed. Domain lists are compared as sets.
pub(super) fn changes(replay: &Replay, found: &ScenarioFindings<'_>, before: Ends, now: Ends) -> Vec<Value> {
    let mut changes = Vec::new();
    for (name, domains) in &found.domains {
        let accepted: BTreeSet<&str> = replay
            .accepted
            .domains
            .get(name)
            .into_iter()
            .flat_map(|finding| &finding.domains)
            .map(String::as_str)
            .collect();
        let after: BTreeSet<&str> = domains.names().into_iter().collect();
        if accepted != after {
            changes.push(json!({
                "type": "failure_domain_assignment", "component": name.as_str(),
                "before": accepted, "after": domains.names(),
                "status": domains.status(), "confidence": domains.confidence(), "provenance": domains.shown(),
            }));
        }
    }
    let accepted = accepted_relation(replay, found);
    if accepted != found.relation() {
        changes.push(json!({
            "type": "payment_race_domain_relation",
            "group": found.race.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
            "before": accepted, "after": found.relation(),
            "predictedImpactOnA_minus": {
                "acceptedA_minus": round8(before.minus), "discoveredA_minus": round8(now.minus),
                "delta": round8(now.minus - before.minus),
                "highImpactThreshold": replay.policy.high_impact,
                "classification": if is_high_impact(replay, before, now) { "high" } else { "low" },
            },
        }));
    }
    changes
}

fn accepted_relation(replay: &Replay, found: &ScenarioFindings<'_>) -> &'static str {
    let mut seen = BTreeSet::new();
    let domains = found
        .race
        .iter()
        .filter_map(|name| replay.accepted.domains.get(name))
        .flat_map(|finding| &finding.domains);
    let mut shared = false;
    domains.for_each(|domain| shared |= !seen.insert(domain));
    if shared { "shared_effective_domain" } else { "separate_effective_domains" }
}

fn is_high_impact(replay: &Replay, before: Ends, now: Ends) -> bool {
    (now.minus - before.minus).abs() >= replay.policy.high_impact
}

/// Whether there are changes of high impact.
pub(super) fn is_high(replay: &Replay, changes: &[Value], before: Ends, now: Ends) -> bool {
    !changes.is_empty() && is_high_impact(replay, before, now)
}

/// The delta as a document.
pub(super) fn document(
    replay: &Replay,
    scenario: &Scenario,
    changes: Vec<Value>,
    before: Ends,
    now: Ends,
) -> Value {
    let name = &scenario.name;
    let journey = &replay.accepted.journey;
    let high = is_high_impact(replay, before, now);
    json!({
        "apiVersion": "emac.sanity/v1",
        "kind": "ModelDelta",
        "metadata": {"name": format!("{journey}-{name}"), "labels": labels(journey, name)},
        "spec": {
            "scenario": name,
            "comparedToAcceptedModel": replay.files.accepted,
            "discoveredModel": format!("generated/models/{name}.discovered-model.yaml"),
            "changes": changes,
            "summary": {
                "hasHighImpactDelta": high,
                "A_minusBefore": round8(before.minus), "A_minusAfter": round8(now.minus),
                "A_minusDelta": round8(now.minus - before.minus),
                "governanceImplication":
                    if high { "requires conservative gate evaluation" } else { "no conservative gate evaluation required" },
            },
        },
    })
}
