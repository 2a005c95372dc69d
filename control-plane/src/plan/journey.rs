//! The plan of one journey: curves, the best split, damping.

use emac_core::budget::curve::{Allocation, Grid, Inputs, achieved, evaluate};
use emac_core::units::Millis;

use super::curves::{Curves, Reading};
use super::damp::{Move, comparable, damp};
use super::input::{EvidenceByHop, JourneyInput};
use super::limits::Limits;
use super::roles::Roles;
use super::snapshot::{Bound, CurveSource, Damped, JourneyPlan, LeafPlan};

/// Longest deadline that budgets can carry.
const DEADLINE_MAX: Millis = Millis(120_000);

/// What a journey is planned from, beside its intent.
pub(super) struct Known<'a> {
    pub(super) roles: &'a Roles,
    pub(super) limits: &'a Limits,
    pub(super) evidence: &'a EvidenceByHop,
    pub(super) previous: Option<&'a JourneyPlan>,
}

pub(super) fn plan_journey(intent: &JourneyInput, known: &Known<'_>, now_unix_ms: u64) -> JourneyPlan {
    let deadline = Millis(intent.deadline.0.clamp(1, DEADLINE_MAX.0));
    let planned = Millis(deadline.0.saturating_sub(margin(intent).0).max(1));
    let mut plan = JourneyPlan {
        predicted: 0.0,
        predicted_lower: 0.0,
        model: intent.model_digest.clone(),
        declaration: intent.declaration.clone(),
        expression: intent.structure.to_string(),
        objective: intent.objective.get(),
        deadline,
        planned,
        leaves: Vec::new(),
        changed_unix_ms: now_unix_ms,
        damped: Damped::No,
        notes: known.roles.notes.clone(),
    };
    if deadline != intent.deadline {
        plan.notes.push(format!("deadline {} is planned as {deadline}", intent.deadline));
    }
    match split(intent, known, &plan) {
        Ok(split) => split.fill(&mut plan, known.previous),
        Err(note) => plan.notes.push(note),
    }
    plan
}

/// Kept back at the end, so that the answer arrives in time.
pub(super) fn margin(intent: &JourneyInput) -> Millis {
    intent.runtime.margin.unwrap_or(Millis(intent.deadline.0 / 20))
}

struct Split {
    allocations: Vec<Allocation>,
    damped: Damped,
    predicted: f64,
    predicted_lower: f64,
    leaves: Vec<(CurveSource, Millis, f64)>,
}

fn split(intent: &JourneyInput, known: &Known<'_>, plan: &JourneyPlan) -> Result<Split, String> {
    let grid = Grid::new(plan.planned).map_err(|invalid| invalid.to_string())?;
    let curves = Curves::new(intent, known, &grid);
    let evaluation =
        evaluate(&intent.structure, &grid, &curves.lower()).map_err(|unbound| unbound.to_string())?;
    let optimum = evaluation.allocate(plan.planned);
    let at = |reading: &Reading<'_>, times: &[Allocation]| success(intent, &grid, reading, times);
    let (allocations, damped) = match known.previous.filter(|old| comparable(old, &optimum, plan.planned)) {
        None => (optimum, Damped::No),
        Some(previous) => {
            let old: Vec<Allocation> = previous.leaves.iter().map(|leaf| leaf.allocation.clone()).collect();
            let gain = at(&curves.lower(), &optimum) - at(&curves.lower(), &old);
            let now_unix_ms = plan.changed_unix_ms;
            damp(Move { policy: &intent.runtime, previous, optimum, gain, now_unix_ms })
        }
    };
    let of_leaf = |allocation: &Allocation| {
        let known = curves.leaves.get(&allocation.leaf);
        known.map_or((CurveSource::Default { calls: 0 }, Millis(0), 0.0), |known| {
            (known.source, known.usual, known.measured.at(grid.cell(allocation.time)))
        })
    };
    Ok(Split {
        predicted: at(&curves.measured(), &allocations),
        predicted_lower: at(&curves.lower(), &allocations),
        leaves: allocations.iter().map(of_leaf).collect(),
        allocations,
        damped,
    })
}

fn success(intent: &JourneyInput, grid: &Grid, inputs: &impl Inputs, allocations: &[Allocation]) -> f64 {
    let times: Vec<Millis> = allocations.iter().map(|allocation| allocation.time).collect();
    achieved(&intent.structure, grid, inputs, &times).unwrap_or(0.0)
}

impl Split {
    fn fill(self, plan: &mut JourneyPlan, previous: Option<&JourneyPlan>) {
        plan.predicted = self.predicted;
        plan.predicted_lower = self.predicted_lower;
        plan.damped = self.damped;
        let leaf = |(allocation, (source, usual, success))| LeafPlan {
            allocation,
            hops: Vec::new(),
            timeout: None,
            source,
            usual,
            bound: Bound::Optimum,
            success,
        };
        plan.leaves = self.allocations.into_iter().zip(self.leaves).map(leaf).collect();
        let unchanged = |previous: &&JourneyPlan| {
            let pairs = previous.leaves.iter().zip(&plan.leaves);
            previous.leaves.len() == plan.leaves.len()
                && pairs.into_iter().all(|(a, b)| a.allocation == b.allocation)
        };
        if let Some(previous) = previous.filter(unchanged) {
            plan.changed_unix_ms = previous.changed_unix_ms;
        }
    }
}
