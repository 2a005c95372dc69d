//! Which deltas are taken, and why some cannot be.

use std::collections::BTreeSet;

use super::{Delta, DeltaId, Proposal, merge};
use crate::model::Status;

/// Deltas to take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Taken.
    pub taken: BTreeSet<DeltaId>,
    /// Left out because they are unresolved or contradictory.
    pub left: BTreeSet<DeltaId>,
}

/// Why nothing was accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such delta; it may have been taken already, or the model has moved on.
    #[error("no delta {0} between this model and this candidate")]
    NoDelta(String),
    /// The beginning of more than one id.
    #[error("{0} is a prefix of several ids; give a longer one")]
    Ambiguous(String),
    /// Asked for by id without saying that doubt is accepted.
    #[error("{id} is {}: {change}", .status.label())]
    Unresolved {
        /// Which.
        id: DeltaId,
        /// How sure it is.
        status: Status,
        /// What it would change.
        change: String,
    },
    /// It only follows from others.
    #[error("{id} depends on {}: accept {}", list(.needs), if .needs.len() == 1 { "it" } else { "them" })]
    Consequence {
        /// Which.
        id: DeltaId,
        /// Those that were not taken.
        needs: Vec<String>,
    },
    /// Together they make no valid model.
    #[error("these deltas alone do not form a valid model: {reason}; they need {}", list(.needs))]
    Incomplete {
        /// Which rule would be broken.
        reason: String,
        /// Any one of which would mend it; all of them, where no single one does.
        needs: Vec<String>,
    },
    /// They are about different journeys.
    #[error("the candidate belongs to journey {candidate}, the other document to {other}")]
    Journey {
        /// The candidate's.
        candidate: String,
        /// The model's or the intent's.
        other: String,
    },
    /// An acceptance is somebody's.
    #[error("the name of the person who accepts is empty")]
    Nobody,
}

fn list(needs: &[String]) -> String {
    needs.join("; ")
}

/// An id with what it changes.
fn named(delta: &Delta) -> String {
    format!("{} ({})", delta.id, delta.change)
}

impl Selection {
    /// The deltas named by (beginnings of) ids; without any all of them, but for what is unresolved or contradictory, which is left out unless
    /// `unresolved` says that somebody takes it all the same.
    ///
    /// # Errors
    /// [`Refusal`] for an id that is none, and one in doubt.
    pub fn new(proposal: &Proposal<'_>, only: &[String], unresolved: bool) -> Result<Self, Refusal> {
        let sure = |delta: &Delta| unresolved || delta.evidence().status == Status::Identified;
        if only.is_empty() {
            let own = proposal.deltas.iter().filter(|delta| !delta.is_consequence());
            let (taken, left): (BTreeSet<_>, BTreeSet<_>) =
                own.map(|delta| (delta.id.clone(), sure(delta))).partition(|(_, sure)| *sure);
            let ids = |all: BTreeSet<(DeltaId, bool)>| all.into_iter().map(|(id, _)| id).collect();
            return Ok(Self { taken: ids(taken), left: ids(left) });
        }
        let mut taken = BTreeSet::new();
        for text in only {
            let delta = find(proposal, text)?;
            if !sure(delta) {
                let status = delta.evidence().status;
                return Err(Refusal::Unresolved {
                    id: delta.id.clone(),
                    status,
                    change: delta.change.to_string(),
                });
            }
            taken.insert(delta.id.clone());
        }
        Ok(Self { taken, left: BTreeSet::new() })
    }
}

fn find<'p>(proposal: &'p Proposal<'_>, text: &str) -> Result<&'p Delta, Refusal> {
    let text = text.trim();
    let mut found =
        proposal.deltas.iter().filter(|delta| !text.is_empty() && delta.id.as_str().starts_with(text));
    match (found.next(), found.next()) {
        (Some(delta), None) => Ok(delta),
        (Some(_), Some(_)) => Err(Refusal::Ambiguous(text.to_owned())),
        (None, _) => Err(Refusal::NoDelta(text.to_owned())),
    }
}

/// With what follows from them.
pub(super) fn closed(deltas: &[Delta], taken: &BTreeSet<DeltaId>) -> BTreeSet<DeltaId> {
    let follows =
        |delta: &&Delta| delta.is_consequence() && delta.follows.iter().all(|id| taken.contains(id));
    let more = deltas.iter().filter(follows).map(|delta| delta.id.clone());
    taken.iter().cloned().chain(more).collect()
}

/// What follows from others is taken with them only.
pub(super) fn check_consequences(deltas: &[Delta], ids: &BTreeSet<DeltaId>) -> Result<(), Refusal> {
    for delta in deltas.iter().filter(|delta| ids.contains(&delta.id)) {
        let missing =
            deltas.iter().filter(|other| delta.follows.contains(&other.id) && !ids.contains(&other.id));
        let needs: Vec<_> = missing.map(named).collect();
        if !needs.is_empty() {
            return Err(Refusal::Consequence { id: delta.id.clone(), needs });
        }
    }
    Ok(())
}

/// Looks for the deltas that would make a broken structure whole.
pub(super) fn incomplete(proposal: &Proposal<'_>, ids: &BTreeSet<DeltaId>, reason: String) -> Refusal {
    let of_structure = |delta: &&Delta| delta.change.place().is_some() && !ids.contains(&delta.id);
    let missing: Vec<_> = proposal.deltas.iter().filter(of_structure).collect();
    let mends = |delta: &&&Delta| {
        let merged = merge::merge(&proposal.before, proposal.candidate.model(), &mut |change| {
            let id = change.id();
            ids.contains(&id) || id == delta.id
        });
        merged.structure.is_ok()
    };
    let single: Vec<_> = missing.iter().filter(mends).map(|delta| named(delta)).collect();
    let needs = if single.is_empty() { missing.iter().map(|delta| named(delta)).collect() } else { single };
    Refusal::Incomplete { reason, needs }
}
