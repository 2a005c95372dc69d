//! Budgets and attribution, with a bound on the work for large journeys.

use emac_core::bound::{Attribution, Change, Facts, Unbound, attribute, required, split_budget};
use emac_core::journey::{ComponentName, Journey};

/// Components tried for the smallest restoring change: those that gain most. A component that gains less than the shortfall cannot restore.
const TRIED_MAX: usize = 20;

/// Components by their part in the unreliability, largest first.
pub(super) fn attribution(structure: &Journey, facts: &Facts) -> Result<Vec<Attribution>, Unbound> {
    attribute(structure, facts)
}

/// Unavailability that each component may have.
pub(super) fn split(
    structure: &Journey,
    facts: &Facts,
    objective: f64,
) -> Result<Option<Vec<(ComponentName, f64)>>, Unbound> {
    split_budget(structure, facts, objective)
}

/// The one-component change that restores the objective with the smallest increase of availability.
pub(super) fn restoring(
    structure: &Journey,
    facts: &Facts,
    objective: f64,
    a_minus: f64,
) -> Result<Option<Change>, Unbound> {
    if a_minus >= objective {
        return Ok(None);
    }
    let mut candidates = attribute(structure, facts)?;
    candidates.retain(|candidate| candidate.gain >= objective - a_minus);
    let mut best: Option<Change> = None;
    for candidate in candidates.into_iter().take(TRIED_MAX) {
        let from = 1.0 - candidate.unavailability;
        let Some(to) = required(structure, facts, &candidate.component, objective)? else { continue };
        if best.as_ref().is_none_or(|best| to - from < best.to - best.from) {
            best = Some(Change { component: candidate.component, from, to });
        }
    }
    Ok(best)
}
