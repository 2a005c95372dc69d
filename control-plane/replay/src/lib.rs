//! Replay of the paper's checkout layout: the same atomic promises, evidence that drifts, and what the gate says.
//!
//! A folder holds `fixtures/{accepted,atomic,policy,evidence/<scenario>}`. For every scenario the traces and deployment records are turned
//! into a discovered model, a delta to the accepted one, and a derivation report, in the paper's own shapes; confidence is its profile
//! `paper-v2`, constants and all. Pure but for [`read`](fn@read). Discovery proper, with calibrated confidence, is another module's work.

mod confidence;
mod delta;
mod discover;
mod read;
mod report;

use std::collections::BTreeMap;

use emac_core::bound::{Component, Domains, Facts, Interval, Unbound, View, independent, shared_fate};
use emac_core::journey::{ComponentName, Expr, Journey};
use emac_core::units::Ratio;
use serde_json::Value;

use emac_compile::compile::Verdict;
use emac_journey::intent::Intent;

pub use read::{Replay, Scenario, read};

/// What one scenario gives.
#[derive(Clone, Debug, PartialEq)]
pub struct ScenarioResult {
    /// Its name.
    pub scenario: String,
    /// Optimistic end, eight decimals.
    pub a_plus: f64,
    /// Careful end, eight decimals.
    pub a_minus: f64,
    /// Overall confidence.
    pub confidence: f64,
    /// What the gate says.
    pub verdict: Verdict,
    /// Evidence flags, in order.
    pub flags: Vec<String>,
    /// Why.
    pub reasons: Vec<String>,
    /// The discovered model.
    pub model: Value,
    /// The delta to the accepted model; `None` when nothing changed.
    pub delta: Option<Value>,
    /// The derivation report.
    pub report: Value,
}

/// Availability of a journey and of its race, both ends, unrounded.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ends {
    plus: f64,
    minus: f64,
}

/// Why a scenario cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The accepted model uses a component that the atomic inputs lack.
    #[error(transparent)]
    Unbound(#[from] Unbound),
    /// The replay is about one race, and the accepted model has none.
    #[error("the accepted model has no race")]
    NoRace,
}

/// Replays one scenario. `intent` is compared with the accepted model when given.
///
/// # Errors
/// [`ReplayError`].
pub fn replay(
    replay: &Replay,
    scenario: &Scenario,
    intent: Option<&Intent>,
) -> Result<ScenarioResult, ReplayError> {
    let race = race(replay.structure.root()).ok_or(ReplayError::NoRace)?;
    let found = discover::ScenarioFindings::new(replay, scenario, &race);
    let (now, race_now) = ends(replay, &race, &found.domains())?;
    let (before, _) = ends(replay, &race, &replay.accepted_domains())?;
    let confidence = confidence::PaperConfidence::new(&found);
    let changes = delta::changes(replay, &found, before, now);
    let (verdict, reasons) =
        decide(replay, &confidence, now, delta::is_high(replay, &changes, before, now), intent);
    let delta = (!changes.is_empty()).then(|| delta::document(replay, scenario, changes, before, now));
    let story = report::Story {
        replay,
        scenario,
        found: &found,
        confidence: &confidence,
        now,
        race: race_now,
        verdict,
    };
    Ok(ScenarioResult {
        scenario: scenario.name.clone(),
        a_plus: round8(now.plus),
        a_minus: round8(now.minus),
        confidence: confidence.overall,
        verdict,
        flags: confidence.flags.clone(),
        model: found.document(&confidence),
        report: story.document(&reasons, delta.is_some()),
        reasons,
        delta,
    })
}

/// PASS, FAIL or REVIEW by the policy's three lists, in the order that the paper's replay takes them: doubt first, then the bound.
fn decide(
    replay: &Replay,
    confidence: &confidence::PaperConfidence,
    now: Ends,
    high_impact: bool,
    intent: Option<&Intent>,
) -> (Verdict, Vec<String>) {
    let (least, objective) = (replay.policy.auto_accept, replay.policy.objective);
    let mut doubts = Vec::new();
    if confidence.overall < least {
        doubts.push(format!("overall confidence {} is below {least}", confidence.overall));
    }
    doubts.extend(confidence.flags.iter().map(|flag| format!("evidence flag: {flag}")));
    if let Some(intent) = intent.filter(|intent| intent.structure != replay.structure) {
        doubts.push(format!(
            "the intent declares {}, the accepted model has {}",
            intent.structure, replay.structure
        ));
    }
    if !doubts.is_empty() {
        return (Verdict::Review, doubts);
    }
    if now.minus < objective {
        let reason = format!("A_minus {:.8} is below objective {objective:.8}", now.minus);
        return (Verdict::Fail, vec![reason]);
    }
    if high_impact {
        return (Verdict::Review, vec!["high-impact model delta requires operator review".to_owned()]);
    }
    (Verdict::Pass, vec!["A_minus meets objective and evidence confidence is sufficient".to_owned()])
}

/// Components of the first race, in the order written.
fn race(expr: &Expr) -> Option<Vec<ComponentName>> {
    match expr {
        Expr::Race { .. } => Some(expr.leaves().into_iter().cloned().collect()),
        other => other.children().into_iter().find_map(race),
    }
}

/// Both ends of the journey, and of the race by itself.
fn ends(
    replay: &Replay,
    race: &[ComponentName],
    domains: &BTreeMap<ComponentName, Domains>,
) -> Result<(Ends, Ends), Unbound> {
    let facts = facts(&replay.atomic, domains);
    let leaves = race.iter().cloned().map(Expr::Leaf).collect();
    let alone = Journey::new(Expr::Race { delay: emac_core::units::Millis(0), branches: leaves });
    let whole = both(&replay.structure, &facts)?;
    let alone = alone.map_or(Ok(whole), |alone| both(&alone, &facts))?;
    Ok((whole, alone))
}

fn both(journey: &Journey, facts: &Facts) -> Result<Ends, Unbound> {
    let plus = independent(journey, facts, View::Immediate)?.interval.hi();
    let minus = shared_fate(journey, facts, View::Immediate)?.interval.lo();
    Ok(Ends { plus, minus })
}

fn facts(atomic: &BTreeMap<ComponentName, Ratio>, domains: &BTreeMap<ComponentName, Domains>) -> Facts {
    let mut facts = Facts::default();
    for (name, availability) in atomic {
        let domains = domains.get(name).cloned().unwrap_or(Domains::Missing);
        let component = Component { availability: Interval::exactly(*availability), domains };
        facts.components.insert(name.clone(), component);
    }
    facts
}

/// Eight decimals, as the paper rounds.
fn round8(value: f64) -> f64 {
    (value * 1e8).round() / 1e8
}

#[cfg(test)]
mod tests;
