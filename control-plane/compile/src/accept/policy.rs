//! What may be accepted without a person: identified deltas of low impact, where the intent says so.
//!
//! Each must be sure enough (`governance.autoAcceptConfidence`) and move A- by less than [`HIGH_IMPACT`](crate::compile::HIGH_IMPACT); and so must all of
//! them together, because two moves that change nothing alone can end a redundancy together. A policy takes no PASS away. What it cannot see: many
//! small steps over many days, each below the limit; a person reads the lineage.

use std::collections::BTreeSet;

use super::{Class, Delta, Proposal, Refusal, Selection, chosen};
use crate::compile::{Given, Verdict};
use crate::model::Status;
use emac_journey::intent::Intent;

/// Why a policy accepts nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// The intent does not say so.
    #[error("the intent does not allow acceptance by policy (governance.autoAccept.lowImpact)")]
    Forbidden,
    /// No delta is identified, sure enough and of low impact.
    #[error("no delta is identified, of sufficient confidence and of low impact")]
    Nothing,
    /// Each alone is of low impact, together they are not.
    #[error("the deltas of low impact have {} impact together", .0.label())]
    Together(Class),
    /// The journey would no longer pass.
    #[error("the decision would change from PASS to {}", .0.label())]
    Verdict(Verdict),
    /// They cannot be taken.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// What the intent lets a policy accept. Impact must have been predicted.
///
/// # Errors
/// [`NotAllowed`].
pub fn allowed(proposal: &Proposal<'_>, intent: &Intent, given: Given<'_>) -> Result<Selection, NotAllowed> {
    if !intent.governance.auto_accept_low_impact {
        return Err(NotAllowed::Forbidden);
    }
    let least = intent.governance.auto_accept_confidence;
    let may = |delta: &&Delta| {
        let evidence = delta.evidence();
        let low = delta.impact.as_ref().is_some_and(|impact| impact.class() == Class::Low);
        evidence.status == Status::Identified
            && evidence.confidence >= least
            && low
            && !delta.is_consequence()
    };
    let taken: BTreeSet<_> = proposal.deltas.iter().filter(may).map(|delta| delta.id.clone()).collect();
    if taken.is_empty() {
        return Err(NotAllowed::Nothing);
    }
    let (impact, before, after) =
        proposal.impact_together(&chosen::closed(&proposal.deltas, &taken), intent, given)?;
    if impact.class() != Class::Low {
        return Err(NotAllowed::Together(impact.class()));
    }
    if before == Verdict::Pass && after != Verdict::Pass {
        return Err(NotAllowed::Verdict(after));
    }
    Ok(Selection { taken, left: BTreeSet::new() })
}
