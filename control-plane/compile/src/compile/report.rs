//! The derivation report: every number with what it was computed from.

use emac_core::bound::{Importance, Interval};
use emac_core::units::Micros;
use serde_json::{Map, Value, json};

use super::{AtObjective, Bounds, Compiled, LatencyBounds, Leaf, NodeBounds};
use crate::model::Origin;
use emac_document::API_VERSION;
use emac_document::format_duration;
use emac_journey::guard::Evaluation;

/// Kind of the document.
pub const REPORT_KIND: &str = "DerivationReport";

/// Eight decimals, as the paper prints; trailing zeros are kept.
pub fn exact8(value: f64) -> String {
    format!("{value:.8}")
}

/// Eight decimals, rounded up: what an availability has to be is never less than that. What is a rounding of doubles above a decimal is that
/// decimal: the decision tolerates as much.
pub fn at_least8(value: f64) -> f64 {
    (value * 1e8 - SLACK).ceil() / 1e8
}

/// Eight decimals, rounded down: what may be spent is never more than that.
pub fn at_most8(value: f64) -> f64 {
    (value * 1e8 + SLACK).floor() / 1e8
}

/// In units of the eighth decimal: a hundredth of what decisions tolerate.
const SLACK: f64 = 1e-6;

/// A number rounded to eight decimals.
fn round8(value: f64) -> Value {
    json!((value * 1e8).round() / 1e8)
}

fn interval(interval: Interval) -> Value {
    json!({"lo": round8(interval.lo()), "hi": round8(interval.hi())})
}

/// The report as a document; the same input gives the same bytes.
pub fn derivation(compiled: &Compiled<'_>) -> Value {
    let mut spec = Map::new();
    let mut put = |key: &str, value: Value| spec.insert(key.to_owned(), value);
    if compiled.preview {
        put("preview", json!("PREVIEW: the model is a candidate that nobody has accepted"));
    }
    put("intent", json!({"digest": compiled.intent.digest}));
    put("model", model(compiled));
    put("expression", json!(compiled.structure.to_string()));
    put(
        "leaves",
        compiled.leaves.iter().map(|(name, one)| (name.to_string(), leaf(one))).collect::<Map<_, _>>().into(),
    );
    put("objectives", objectives(compiled));
    if let Some(bounds) = &compiled.bounds {
        let mut results = json!({"availability": availability(bounds)});
        if let Some(bounds) = &compiled.latency {
            results["latency"] = latency(compiled, bounds);
        }
        put("results", results);
        put("derivation", bounds.nodes.iter().map(node).collect());
        put("budget", budget(compiled, bounds));
        put("contributors", contributors(compiled, bounds));
    }
    put("confidence", confidence(compiled));
    put("decision", decision(compiled));
    if !compiled.guards.is_empty() {
        put("guards", compiled.guards.iter().map(|(kind, evaluation)| guard(kind, evaluation)).collect());
    }
    let name = compiled.intent.name.as_str();
    json!({"apiVersion": API_VERSION, "kind": REPORT_KIND, "metadata": {"name": name}, "spec": spec})
}

fn model(compiled: &Compiled<'_>) -> Value {
    let source = match (&compiled.model.origin, compiled.preview) {
        (Origin::Declared, _) => "declared",
        (Origin::File(_), true) => "candidate",
        (Origin::File(_), false) => "accepted",
    };
    json!({"source": source, "digest": compiled.model.digest})
}

fn leaf(leaf: &Leaf) -> Value {
    let mut json = Map::new();
    match leaf.availability {
        Some(availability) if availability.lo() == availability.hi() => {
            json.insert("availability".to_owned(), json!(availability.lo()))
        }
        Some(availability) => json.insert("availability".to_owned(), interval(availability)),
        None => None,
    };
    json.insert("source".to_owned(), json!(leaf.source));
    if !leaf.promises.is_empty() {
        json.insert(
            "promises".to_owned(),
            leaf.promises.iter().map(|taken| json!(taken.to_string())).collect(),
        );
    }
    json.insert("failureDomains".to_owned(), json!(leaf.domains));
    json.insert("domainStatus".to_owned(), json!(leaf.domain_status.label()));
    Value::Object(json)
}

fn objectives(compiled: &Compiled<'_>) -> Value {
    let objectives = &compiled.intent.objectives;
    let mut json = Map::new();
    let availability = &objectives.availability;
    json.insert(
        "availability".to_owned(),
        json!({"target": availability.target.get(), "window": format_duration(availability.window)}),
    );
    if let Some(latency) = &objectives.latency {
        let threshold = format_duration(latency.threshold);
        json.insert("latency".to_owned(), json!({"metric": latency.metric.name, "threshold": threshold}));
    }
    Value::Object(json)
}

fn availability(bounds: &Bounds) -> Value {
    let mut json = Map::new();
    json.insert("A_plus".to_owned(), round8(bounds.a_plus()));
    json.insert("A_minus".to_owned(), round8(bounds.a_minus()));
    json.insert("width".to_owned(), round8(bounds.a_plus() - bounds.a_minus()));
    json.insert("independent".to_owned(), interval(bounds.independent));
    json.insert("domain_envelope".to_owned(), interval(bounds.domain_envelope));
    json.insert("any_dependence".to_owned(), interval(bounds.any_dependence));
    match &bounds.common_cause {
        Some(Ok(value)) => json.insert("common_cause".to_owned(), interval(*value)),
        Some(Err(reason)) => json.insert("common_cause".to_owned(), json!({"notComputed": reason})),
        None => None,
    };
    let beta = |beta: &Option<f64>| beta.map_or(json!("holds up to 1"), |beta| json!(at_least8(beta)));
    if !bounds.break_even.is_empty() {
        let break_even: Map<_, _> =
            bounds.break_even.iter().map(|(domain, value)| (domain.clone(), beta(value))).collect();
        json.insert("break_even_beta".to_owned(), Value::Object(break_even));
    }
    if !bounds.loose.is_empty() {
        json.insert("loose".to_owned(), json!(bounds.loose));
    }
    if let Some((independent, envelope)) = bounds.eventual {
        let eventual = json!({"independent": interval(independent), "domain_envelope": interval(envelope)});
        json.insert("eventual".to_owned(), eventual);
    }
    Value::Object(json)
}

/// Shares within the threshold and the objective's quantile in seconds, under each assumption.
fn latency(compiled: &Compiled<'_>, bounds: &LatencyBounds) -> Value {
    let seconds =
        |time: Option<Micros>| time.map_or(json!("no finite bound"), |time| json!(time.0 as f64 / 1e6));
    let metric =
        compiled.intent.objectives.latency.as_ref().map_or("", |latency| latency.metric.name.as_str());
    let at = |at: &AtObjective| {
        let quantile = json!({"lo": seconds(at.quantile.0), "hi": seconds(at.quantile.1)});
        json!({"withinThreshold": interval(at.within), metric: quantile})
    };
    json!({
        "any_dependence": at(&bounds.any_dependence),
        "independent": at(&bounds.independent),
        "comonotone": at(&bounds.comonotone),
    })
}

/// A guard's answer with the inputs it was told.
pub fn guard(kind: &str, evaluation: &Evaluation) -> Value {
    let (answer, why) = evaluation.answer.said();
    let mut json =
        json!({"action": kind, "guard": evaluation.guard, "answer": answer, "inputs": evaluation.inputs});
    if let Some(why) = why {
        json["why"] = json!(why);
    }
    json
}

fn node(node: &NodeBounds) -> Value {
    json!({
        "path": node.path,
        "expression": node.expression,
        "independent": interval(node.independent),
        "domain_envelope": interval(node.domain_envelope),
        "any_dependence": interval(node.any_dependence),
    })
}

fn budget(compiled: &Compiled<'_>, bounds: &Bounds) -> Value {
    let total = 1.0 - compiled.intent.objectives.availability.target.get();
    let mut json = Map::new();
    json.insert("total".to_owned(), round8(total));
    // Four decimals, as ratios of small differences have no more.
    let spends = |value: f64| json!(((1.0 - value) / total * 1e4).round() / 1e4);
    json.insert(
        "spent".to_owned(),
        json!({"A_plus": spends(bounds.a_plus()), "A_minus": spends(bounds.a_minus())}),
    );
    if let Some(measured) = compiled.measured.filter(|measured| measured.requests > 0) {
        let spent = (measured.requests - measured.good) as f64 / measured.requests as f64 / total;
        let round = |value: f64| json!((value * 1e4).round() / 1e4);
        json.insert("measured".to_owned(), json!({"spent": round(spent), "left": round(1.0 - spent)}));
    }
    let split = bounds.budget.as_ref().map(|split| {
        split
            .iter()
            .map(|(name, unavailability)| (name.to_string(), json!(at_most8(*unavailability))))
            .collect::<Map<_, _>>()
    });
    json.insert("unavailability".to_owned(), split.map_or(json!("no split is enough"), Value::Object));
    if let Some(change) = &bounds.restoring {
        json.insert(
            "smallestRestoringChange".to_owned(),
            json!({"component": change.component.as_str(), "from": round8(change.from), "to": at_least8(change.to)}),
        );
    }
    Value::Object(json)
}

/// Shared fate at redundant operators, the shortfall, and components by what they would gain.
fn contributors(compiled: &Compiled<'_>, bounds: &Bounds) -> Value {
    let mut list = Vec::new();
    let losing = bounds.nodes.iter().filter(|node| node.redundant && node.shared_fate_loss() > 0.0);
    for node in losing {
        list.push(json!({"kind": "shared_fate_loss", "of": node.expression, "value": round8(node.shared_fate_loss())}));
    }
    let shortfall = compiled.intent.objectives.availability.target.get() - bounds.a_minus();
    if shortfall > 0.0 {
        list.push(
            json!({"kind": "shortfall", "of": compiled.intent.name.as_str(), "value": round8(shortfall)}),
        );
    }
    for part in &bounds.attribution {
        let (importance, gain) = (round8(part.importance), round8(part.gain));
        let mut one = json!({"kind": "component", "of": part.component.as_str(), "value": gain, "birnbaum": importance});
        let measured = bounds.importance.iter().find(|measured| measured.component == part.component);
        if let Some(measured) = measured {
            one["importance"] = importance_of(measured);
        }
        list.push(one);
    }
    Value::Array(list)
}

/// Measures of fault-tree tools; what is not defined is absent.
fn importance_of(measured: &Importance) -> Value {
    let mut json = Map::new();
    json.insert("birnbaum".to_owned(), round8(measured.birnbaum));
    let others = [
        ("criticality", measured.criticality),
        ("fussellVesely", measured.fussell_vesely),
        ("riskAchievementWorth", measured.achievement_worth),
        ("riskReductionWorth", measured.reduction_worth),
    ];
    for (name, value) in others {
        if let Some(value) = value {
            json.insert(name.to_owned(), round8(value));
        }
    }
    Value::Object(json)
}

fn confidence(compiled: &Compiled<'_>) -> Value {
    let confidence = &compiled.model.confidence;
    let fields: Map<_, _> =
        confidence.fields.iter().map(|(field, value)| (field.clone(), json!(value.get()))).collect();
    json!({
        "overall": confidence.overall.map(emac_core::units::Ratio::get),
        "autoAccept": compiled.intent.governance.auto_accept_confidence.get(),
        "fields": fields,
        "flags": confidence.flags,
    })
}

fn decision(compiled: &Compiled<'_>) -> Value {
    let decision = &compiled.decision;
    let mode = match compiled.intent.governance.mode {
        emac_journey::intent::EvaluationMode::Conservative => "conservative",
        emac_journey::intent::EvaluationMode::Selective => "selective",
    };
    json!({"verdict": decision.verdict.label(), "mode": mode, "reasons": decision.reasons, "notes": decision.notes})
}
