//! Compiling a journey: from an intent, a model and what components promise to bounds, budgets and a decision.
//!
//! [`compile`](fn@compile) takes an [`AcceptedModel`] only; [`preview`] does the same with a candidate and marks the result, so that nothing acts on what
//! nobody agreed to. Both are pure. The numbers come from `emac_core::bound`; here is what they are computed from, what they mean together
//! (`decision`), and how they are told (`report`). Bounds are always told side by side, each with its assumption.

mod budget;
mod decision;
mod facts;
mod nodes;
mod report;

use std::collections::BTreeMap;

use emac_core::bound::{
    Attribution, Change, Facts, Interval, Unbound, View, any_dependence, break_even_beta, common_cause,
    independent, shared_fate,
};
use emac_core::journey::{ComponentName, Journey};

use crate::intent::Intent;
use crate::model::{AcceptedModel, CandidateModel, Model, Status};
use crate::slo::Promise;

pub use decision::{Decision, Verdict};
pub use nodes::NodeBounds;
pub use report::{derivation, exact8};

/// What every component promises, by name.
pub type Promises = BTreeMap<ComponentName, Promise>;

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
    /// What is decided.
    pub decision: Decision,
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
    /// By domain with two members or more, the beta from which on the objective does not hold; `None`: it holds up to 1.
    pub break_even: BTreeMap<String, Option<f64>>,
    /// The outcome in the end, where something is asynchronous: independent, and domain envelope.
    pub eventual: Option<(Interval, Interval)>,
    /// Every operator, outermost first.
    pub nodes: Vec<NodeBounds>,
    /// Components by their part in the unreliability, largest first.
    pub attribution: Vec<Attribution>,
    /// Unavailability that each component may have; `None` when no budget is enough.
    pub budget: Option<Vec<(ComponentName, f64)>>,
    /// The one change that restores the objective, when it does not hold.
    pub restoring: Option<Change>,
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
pub fn compile<'a>(intent: &'a Intent, model: &'a AcceptedModel, promises: &Promises) -> Compiled<'a> {
    with(intent, model.model(), promises, false)
}

/// Looks at what a candidate would mean.
pub fn preview<'a>(intent: &'a Intent, model: &'a CandidateModel, promises: &Promises) -> Compiled<'a> {
    with(intent, model.model(), promises, true)
}

fn with<'a>(intent: &'a Intent, model: &'a Model, promises: &Promises, preview: bool) -> Compiled<'a> {
    let structure = model.structure.clone().unwrap_or_else(|| intent.structure.clone());
    let leaves = facts::leaves(intent, model, promises, &structure);
    let bounds = facts::of(&leaves).and_then(|facts| bounds(intent, &structure, &facts).ok());
    let decision = decision::decide(intent, model, &structure, &leaves, bounds.as_ref());
    Compiled { intent, model, preview, structure, leaves, bounds, decision }
}

fn bounds(intent: &Intent, structure: &Journey, facts: &Facts) -> Result<Bounds, Unbound> {
    let objective = intent.objectives.availability.target.get();
    let immediate = View::Immediate;
    let betas = facts::betas(intent);
    let domain_envelope = shared_fate(structure, facts, immediate)?.interval;
    let cause = (!betas.is_empty()).then(|| {
        common_cause(structure, facts, &betas, immediate)
            .map(|bound| bound.interval)
            .map_err(|e| e.to_string())
    });
    let mut break_even = BTreeMap::new();
    for domain in facts::shared_domains(facts) {
        if let Ok(beta) = break_even_beta(structure, facts, &betas, &domain, objective, immediate) {
            break_even.insert(domain, beta);
        }
    }
    Ok(Bounds {
        independent: independent(structure, facts, immediate)?.interval,
        domain_envelope,
        any_dependence: any_dependence(structure, facts, immediate)?.interval,
        common_cause: cause,
        break_even,
        eventual: eventual(structure, facts)?,
        nodes: nodes::of(structure, facts)?,
        attribution: budget::attribution(structure, facts)?,
        budget: budget::split(structure, facts, objective)?,
        restoring: budget::restoring(structure, facts, objective, domain_envelope.lo())?,
    })
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
