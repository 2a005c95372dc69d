//! The candidate: the accepted model with what is proposed, and nothing else.

use std::collections::BTreeSet;

use super::field::{field, is_significant};
use crate::discover::confidence;
use emac_compile::accept::{Delta, Proposal, adopted};
use emac_compile::model::{AcceptedModel, CandidateModel, Model};
use emac_journey::intent::Intent;

/// Under what a change recurs: its field, and how sure it is, since somebody who waits for certainty must be told when it is there.
fn name(delta: &Delta) -> String {
    format!("{}{SURENESS}{}", field(&delta.change), delta.evidence().status.label())
}

/// Stands in no name of a component.
const SURENESS: char = '\n';

/// The field of a name.
pub(super) fn field_of(name: &str) -> &str {
    name.split(SURENESS).next().unwrap_or(name)
}

/// Names of the changes from the accepted model to what a window saw.
pub(super) fn names(accepted: &AcceptedModel, seen: &CandidateModel, intent: &Intent) -> BTreeSet<String> {
    let proposal = Proposal::new(accepted, seen, Some(intent));
    let own = proposal.deltas.iter().filter(|delta| !delta.is_consequence());
    let counts = |delta: &&Delta| is_significant(&delta.change, accepted.model(), seen.model());
    own.filter(counts).map(name).collect()
}

/// The accepted model with the changes of these names: as the newest window saw them; those that it did not see, as the newest that did.
///
/// # Errors
/// Why they make no valid model together.
pub(super) fn candidate(
    accepted: &AcceptedModel,
    windows: &[&CandidateModel],
    proposed: &BTreeSet<String>,
    intent: &Intent,
) -> Result<Model, String> {
    let mut model = accepted.model().clone();
    if model.structure.is_none() {
        model.structure = Some(intent.structure.clone());
    }
    let Some(last) = windows.last() else { return Ok(model) };
    let newest = last.model();
    if names(accepted, last, intent) == *proposed && all_counted(accepted, last, intent) {
        return Ok(newest.clone());
    }
    let mut missing: BTreeSet<&str> = proposed.iter().map(|name| field_of(name)).collect();
    for window in windows.iter().rev() {
        if missing.is_empty() {
            break;
        }
        let mut taken = BTreeSet::new();
        model = adopted(&model, window.model(), &mut |change| {
            let field = field(&change);
            let takes = missing.contains(field.as_str());
            if takes {
                taken.insert(field);
            }
            takes
        })?;
        missing.retain(|field| !taken.contains(*field));
    }
    model.evidence.clone_from(&newest.evidence);
    model.edge_coverage = newest.edge_coverage;
    model.disagreements.clone_from(&newest.disagreements);
    model.confidence.flags.clone_from(&newest.confidence.flags);
    model.confidence = confidence(&model);
    Ok(model)
}

/// Whether every difference counts, so that what was seen can be taken as a whole.
fn all_counted(accepted: &AcceptedModel, seen: &CandidateModel, intent: &Intent) -> bool {
    let proposal = Proposal::new(accepted, seen, Some(intent));
    proposal.unfounded.is_empty()
        && proposal.deltas.iter().all(|delta| is_significant(&delta.change, accepted.model(), seen.model()))
}
