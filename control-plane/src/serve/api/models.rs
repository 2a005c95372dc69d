//! `/api/v1/models`: the intents and accepted models that the plan in force was made from, and where they come from.

use std::sync::Arc;

use emac_compile::declared::Declared;
use emac_core::id::JourneyName;
use serde_json::{Value, json};

use super::super::models::{InForce, Origin, Own, Source};
use super::super::state::Shared;
use crate::plan::PlanSnapshot;

/// Every journey of the plan in force, or of this process's files, by name.
pub(in super::super) fn models(shared: &Shared) -> Value {
    let (plan, in_force, intents) = (shared.plan.load(), shared.in_force.load(), shared.intents.load());
    let planned = plan.journeys.keys();
    let own =
        intents.planned.iter().map(|input| &input.name).filter(|name| !plan.journeys.contains_key(*name));
    let mut names: Vec<&JourneyName> = planned.chain(own).collect();
    names.sort();
    let models = names.into_iter().map(|name| head(name, &plan, &in_force));
    json!({
        "generation": plan.generation.0,
        "models": models.collect::<Vec<_>>(),
    })
}

/// One journey with its documents; `None` when neither plan nor files have it. Documents are null where nobody knows them.
pub(in super::super) fn model(shared: &Shared, name: &str) -> Option<Value> {
    let name = JourneyName::new(name).ok()?;
    let (plan, in_force, intents) = (shared.plan.load(), shared.in_force.load(), shared.intents.load());
    let own = intents.declared(name.as_str());
    let planned = plan.journeys.get(&name);
    if own.is_none() && planned.is_none() {
        return None;
    }
    let mut answer = head(&name, &plan, &in_force);
    let there = planned.and_then(|journey| in_force.elsewhere(&journey.declaration));
    let documents = match in_force.origin(&name).source {
        Source::Files => own.and_then(documents),
        Source::Nats => there.map(Arc::as_ref).and_then(documents),
        Source::Unknown => None,
    };
    for member in ["intent", "model", "promises"] {
        let key = if member == "model" { "accepted" } else { member };
        answer[key] = documents.as_ref().map(|documents| documents[member].clone()).unwrap_or_default();
    }
    Some(answer)
}

fn documents(declared: &Declared) -> Option<Value> {
    serde_json::from_str(&declared.declaration()?).ok()
}

fn head(name: &JourneyName, plan: &PlanSnapshot, in_force: &InForce) -> Value {
    let planned = plan.journeys.get(name);
    let mut head = json!({
        "journey": name.as_str(),
        "model": planned.map(|journey| &journey.model),
        "declaration": planned.map(|journey| &journey.declaration),
    });
    told(&mut head, in_force.origin(name), planned.is_some());
    head
}

/// Where what is shown of a journey comes from, and how the own files stand to it.
pub(super) fn told(shown: &mut Value, origin: Origin, planned: bool) {
    let own = if planned { origin.own } else { Own::Unplanned };
    shown["source"] = json!(origin.source.label());
    shown["files"] = json!(own.label());
}
