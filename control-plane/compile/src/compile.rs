//! Compiling a journey: from an intent, a model and what components promise to bounds, budgets and a decision.
//!
//! [`compile`](fn@compile) takes an [`AcceptedModel`] only; [`preview`] does the same with a candidate and marks the result, so that nothing acts on what
//! nobody agreed to. Both are pure. The numbers come from `emac_core::bound`; here is what they are computed from, what they mean together
//! (`decision`), and how they are told (`report`). Bounds are always told side by side, each with its assumption.

mod decision;
mod facts;
mod latency;
mod nodes;
mod report;

use std::collections::BTreeMap;

use emac_core::bound::{
    Attribution, BreakEven, Change, Facts, Importance, Interval, Loose, Unbound, View, any_dependence,
    attribute, common_cause, importance, independent, shared_fate, smallest_change, split_budget,
};
use emac_core::journey::{ComponentName, Journey};

use crate::model::{AcceptedModel, CandidateModel, Model, Status};
use emac_journey::guard::ledger::Record;
use emac_journey::guard::{Evaluation, Guard, Input, Known};
use emac_journey::intent::Intent;
use emac_journey::measured::MeasuredEvidence;
pub use emac_journey::slo::{Promises, Taken};

pub use decision::{Decision, Verdict};
pub use latency::{AtObjective, LatencyBounds};
pub use nodes::NodeBounds;
pub(crate) use nodes::is_redundant;
pub use report::{REPORT_KIND, at_least8, at_most8, derivation, exact8, guard as guard_report};

/// Chance that one of the components' availabilities lies outside its measured interval, and the same again for latencies: 2.5 % each, shared
/// out evenly among the components.
const LEAF_ERROR: f64 = 0.025;

/// Components whose importance is worked out: each costs two evaluations of the whole journey, and of a thousand nobody reads more.
pub const IMPORTANCE_MAX: usize = 20;

/// What is known of the components, and when it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// What they promise.
    pub promises: &'a Promises,
    /// What was measured; `None`: promises alone.
    pub evidence: Option<&'a MeasuredEvidence>,
    /// Milliseconds since 1970, for the age of evidence.
    pub now_unix_ms: u64,
}

impl<'a> Given<'a> {
    /// Promises alone.
    pub fn promises(promises: &'a Promises) -> Self {
        Self { promises, evidence: None, now_unix_ms: 0 }
    }
}

/// A compiled journey.
#[derive(Clone, Debug)]
pub struct Compiled<'a> {
    /// What is promised.
    pub intent: &'a Intent,
    /// What the system is.
    pub model: &'a Model,
    /// The model is a candidate that nobody agreed to.
    pub preview: bool,
    /// The structure that was computed: the model's, or the intent's where the model has none.
    pub structure: Journey,
    /// Every component of it, by name.
    pub leaves: BTreeMap<ComponentName, Leaf>,
    /// Bounds; `None` when a component has no availability.
    pub bounds: Option<Bounds>,
    /// Latency; `None` without an objective, or when nothing is known of some component.
    pub latency: Option<LatencyBounds>,
    /// What was measured at the journey's edge.
    pub measured: Option<emac_journey::measured::Counts>,
    /// What is decided.
    pub decision: Decision,
    /// Guards of actions by kind, asked.
    pub guards: Vec<(String, Evaluation)>,
}

/// A component as it entered the computation.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// Its availability.
    pub availability: Option<Interval>,
    /// Where that comes from.
    pub source: String,
    /// Its failure domains.
    pub domains: Vec<String>,
    /// How sure they are.
    pub domain_status: Status,
    /// It is an answer kept in the sidecar.
    pub kept: bool,
    /// What each SLO that it refers to was taken as.
    pub promises: Vec<Taken>,
}

/// Availability of a journey under every assumption, and what follows.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Components fail independently.
    pub independent: Interval,
    /// Components that share a domain fail somewhere between independently and together.
    pub domain_envelope: Interval,
    /// Whatever the dependence.
    pub any_dependence: Interval,
    /// With the domains' stated betas; `None` when none is stated, or why it cannot be computed.
    pub common_cause: Option<Result<Interval, String>>,
    /// By domain that matters (two members, or one that is asked again), the beta from which on the objective does not hold; `None`: it holds
    /// up to 1.
    pub break_even: BTreeMap<String, Option<f64>>,
    /// The outcome in the end, where something is asynchronous: independent, and domain envelope.
    pub eventual: Option<(Interval, Interval)>,
    /// Every operator, outermost first.
    pub nodes: Vec<NodeBounds>,
    /// Components by their part in the unreliability, largest first.
    pub attribution: Vec<Attribution>,
    /// Importance of the first [`IMPORTANCE_MAX`] of them, as fault-tree tools print it, if components fail independently.
    pub importance: Vec<Importance>,
    /// Unavailability that each component may have; `None` when no budget is enough.
    pub budget: Option<Vec<(ComponentName, f64)>>,
    /// The one change that restores the objective, when it does not hold.
    pub restoring: Option<Change>,
    /// Which of these hold and are wider than they need be, and why.
    pub loose: Vec<String>,
}

impl Bounds {
    /// A+: the optimistic end.
    pub fn a_plus(&self) -> f64 {
        self.independent.hi()
    }

    /// A-: the careful end.
    pub fn a_minus(&self) -> f64 {
        self.domain_envelope.lo()
    }
}

/// Compiles with a model that somebody agreed to.
pub fn compile<'a>(intent: &'a Intent, model: &'a AcceptedModel, given: Given<'_>) -> Compiled<'a> {
    let mut compiled = with(intent, model.model(), given, false);
    if model.version().is_some() && !model.is_sealed() {
        compiled.decision.notes.push("the model has no seal: manual changes are not detected".to_owned());
    }
    compiled
}

/// Looks at what a candidate would mean.
pub fn preview<'a>(intent: &'a Intent, model: &'a CandidateModel, given: Given<'_>) -> Compiled<'a> {
    with(intent, model.model(), given, true)
}

fn with<'a>(intent: &'a Intent, model: &'a Model, given: Given<'_>, preview: bool) -> Compiled<'a> {
    let structure = model.structure.clone().unwrap_or_else(|| intent.structure.clone());
    let leaves = facts::leaves(intent, model, &given, &structure);
    let known = latency::Known::new(intent, &structure, &leaves, &given);
    let bounds = facts::of(&leaves).and_then(|mut facts| {
        known.tell(&mut facts);
        bounds(intent, &structure, &facts).ok()
    });
    let latency = known.bounds(intent, &structure).unwrap_or_default();
    let asked = decision::Asked {
        intent,
        model,
        structure: &structure,
        leaves: &leaves,
        bounds: bounds.as_ref(),
        latency: latency.as_ref(),
        slow: &known.unknown,
        untimed: &known.untimed,
        given: &given,
    };
    let decision = asked.decide();
    let measured = given.evidence.and_then(|evidence| evidence.whole);
    let mut compiled = Compiled {
        intent,
        model,
        preview,
        structure,
        leaves,
        bounds,
        latency,
        measured,
        decision,
        guards: Vec::new(),
    };
    compiled.guards = compiled.ask_guards();
    compiled
}

/// A change of A- from which on a delta is of high impact (the paper's replay policy).
pub const HIGH_IMPACT: f64 = 0.001;

impl Compiled<'_> {
    /// Looks at a candidate beside the accepted model: what would pass waits for a person while the candidate as a whole would move A- by
    /// [`HIGH_IMPACT`] or more, or cannot be computed.
    #[must_use]
    pub fn beside(self, candidate: &Compiled<'_>) -> Self {
        let (now, then) =
            (self.bounds.as_ref().map(Bounds::a_minus), candidate.bounds.as_ref().map(Bounds::a_minus));
        let reason = match (now, then) {
            (Some(now), Some(then)) if (then - now).abs() >= HIGH_IMPACT => {
                format!(
                    "unresolved high-impact delta: A- would change from {} to {}",
                    exact8(now),
                    exact8(then)
                )
            }
            (Some(_), None) => "the candidate cannot be computed".to_owned(),
            _ => return self,
        };
        self.held_up(vec![reason])
    }

    /// What would pass waits for a person, for these reasons; without any nothing changes.
    #[must_use]
    pub fn held_up(mut self, reasons: Vec<String>) -> Self {
        if reasons.is_empty() {
            return self;
        }
        if self.decision.verdict == Verdict::Pass {
            self.decision.verdict = Verdict::Review;
            self.decision.reasons.splice(0..0, reasons);
        } else {
            self.decision.reasons.extend(reasons);
        }
        self.guards = self.ask_guards();
        self
    }

    /// The guards' answers as they go into a ledger; `at_unix_ms` as in [`Given::now_unix_ms`].
    pub fn records(&self, at_unix_ms: u64) -> Vec<Record> {
        let record = |(action, evaluation): &(String, Evaluation)| Record {
            at_unix_ms,
            journey: self.intent.name.to_string(),
            intent: self.intent.digest.clone(),
            model: self.model.digest.clone(),
            preview: self.preview,
            verdict: self.decision.verdict.label().to_owned(),
            action: action.clone(),
            evaluation: evaluation.clone(),
        };
        self.guards.iter().map(record).collect()
    }

    /// Every guard with what is known here; a burn rate is only known to who measures it.
    fn ask_guards(&self) -> Vec<(String, Evaluation)> {
        let actions = self.intent.governance.actions.iter();
        let guards =
            actions.filter_map(|action| Some((action.kind.clone(), Guard::new(&action.guard.value).ok()?)));
        guards.map(|(kind, guard)| (kind, guard.evaluate(|input| self.known(input)))).collect()
    }

    /// How sure the model is. A declared structure states no confidence: it is somebody's word, and nothing is in doubt but that.
    pub fn confidence(&self) -> f64 {
        self.model.confidence.overall.map_or(1.0, emac_core::units::Ratio::get)
    }

    /// What a guard may know of the journey; `None` where it is not known here.
    pub fn known(&self, input: &Input) -> Option<Known> {
        let number = |value: Option<f64>| value.map(Known::Number);
        let seconds = |time: Option<emac_core::units::Micros>| number(time.map(|time| time.0 as f64 / 1e6));
        let bounds = self.bounds.as_ref();
        let latency = self.latency.as_ref().map(|latency| latency.any_dependence.quantile);
        match input {
            Input::Burn(_) => None,
            Input::Confidence(_) => number(Some(self.confidence())),
            Input::Symbol(name) => match name.as_str() {
                "A_plus" => number(bounds.map(Bounds::a_plus)),
                "A_minus" => number(bounds.map(Bounds::a_minus)),
                "any_lo" => number(bounds.map(|bounds| bounds.any_dependence.lo())),
                "any_hi" => number(bounds.map(|bounds| bounds.any_dependence.hi())),
                "objective" => number(Some(self.intent.objectives.availability.target.get())),
                "p99_L" => seconds(latency?.0),
                "p99_U" => seconds(latency?.1),
                "no_unresolved_domain_conflict" => Some(Known::Flag(self.decision.domains_resolved)),
                "fresh" => self.decision.fresh.map(Known::Flag),
                "verdict" => Some(Known::Text(self.decision.verdict.label().to_owned())),
                "mode" => Some(Known::Text(self.intent.runtime.policy.mode.label().to_owned())),
                "journey" => Some(Known::Text(self.intent.name.to_string())),
                _ => None,
            },
        }
    }
}

fn bounds(intent: &Intent, structure: &Journey, facts: &Facts) -> Result<Bounds, Unbound> {
    let objective = intent.objectives.availability.target.get();
    let immediate = View::Immediate;
    let betas = facts::betas(intent);
    let (plus, minus) =
        (independent(structure, facts, immediate)?, shared_fate(structure, facts, immediate)?);
    let mut loose = looseness("independent", plus.loose);
    loose.extend(looseness("domain envelope", minus.loose));
    let cause = (!betas.is_empty()).then(|| {
        let bound = common_cause(structure, facts, &betas, immediate).map_err(|e| e.to_string())?;
        loose.extend(looseness("common cause", bound.loose));
        Ok(bound.interval)
    });
    let mut break_even = BTreeMap::new();
    if let Ok(mut search) = BreakEven::new(structure, facts, &betas, immediate) {
        for domain in search.domains() {
            if let Ok(beta) = search.of(&domain, objective) {
                break_even.insert(domain, beta);
            }
        }
    }
    let attribution = attribute(structure, facts)?;
    Ok(Bounds {
        independent: plus.interval,
        domain_envelope: minus.interval,
        any_dependence: any_dependence(structure, facts, immediate)?.interval,
        common_cause: cause,
        break_even,
        eventual: eventual(structure, facts)?,
        nodes: nodes::of(structure, facts)?,
        importance: importance(
            structure,
            facts,
            attribution.iter().take(IMPORTANCE_MAX).map(|part| &part.component),
        )?,
        attribution,
        budget: split_budget(structure, facts, objective)?,
        restoring: smallest_change(structure, facts, objective)?,
        loose,
    })
}

/// Each reason why a bound may be wider than its assumption makes it.
fn looseness(assumption: &str, loose: Loose) -> Vec<String> {
    let reason =
        |reason| format!("the bounds under {assumption} hold, and may be wider than they need be: {reason}");
    loose.reasons().map(reason).collect()
}

fn eventual(structure: &Journey, facts: &Facts) -> Result<Option<(Interval, Interval)>, Unbound> {
    if !nodes::has_async(structure.root()) {
        return Ok(None);
    }
    let independent = independent(structure, facts, View::Eventual)?.interval;
    Ok(Some((independent, shared_fate(structure, facts, View::Eventual)?.interval)))
}

#[cfg(test)]
mod tests;
