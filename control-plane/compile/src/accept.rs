//! Acceptance: what a candidate would change, and the one way from evidence to a model that acts.
//!
//! A [`Proposal`] holds the difference of an accepted model and a candidate as typed [`Delta`]s, each with its provenance, confidence, status and
//! predicted impact. [`Proposal::accept`] takes all or some of them and is the only constructor of an [`AcceptedModel`] from evidence.
//!
//! Merging is one walk over both models that asks, change by change, which side to take: collecting the answers "candidate" gives the
//! difference, answering by a set of ids gives the accepted model. So all deltas give the candidate, none the accepted model, and the order
//! of ids has no meaning. What does not hold together is refused, with the deltas it needs ([`Refusal`]).
//!
//! Rules: unresolved and contradictory deltas are never taken by a policy, and by a person only by saying so. Left out: conflict
//! resolution between two candidates; the second is compared anew.

mod chosen;
mod delta;
mod evidence;
mod impact;
mod merge;
mod policy;
mod render;
mod shared_fate;
mod store;
mod structure;

use std::collections::BTreeSet;

use crate::model::{
    Acceptance, AcceptedModel, Ancestor, CandidateModel, Confidence, Disagreement, Model, Origin, Record,
    TakenDelta,
};
use emac_journey::intent::Intent;

pub use chosen::{Refusal, Selection};
pub use delta::{Change, ChangeKind, Delta, DeltaId, DomainRelation};
pub use impact::{Class, Impact, Shift, Together};
pub use policy::{NotAllowed, allowed};
pub use render::{Comparison, markdown, text, to_json};
pub use store::{ModelFile, StoreError};

/// The difference of an accepted model and a candidate.
#[derive(Clone, Debug)]
pub struct Proposal<'a> {
    accepted: &'a AcceptedModel,
    candidate: &'a CandidateModel,
    /// What acts now, with the intent's operators where it has none of its own.
    before: Model,
    /// What is known of every change, in the order in which a person reads them.
    pub deltas: Vec<Delta>,
    /// Differences for which the candidate gives no provenance at all: no deltas, nobody can take them.
    pub unfounded: Vec<Change>,
}

/// Who agrees, and when.
#[derive(Clone, Copy, Debug)]
pub struct Consent<'a> {
    /// A person's name, or `policy`.
    pub by: &'a str,
    /// UTC as in RFC 3339.
    pub at: &'a str,
}

impl<'a> Proposal<'a> {
    /// Compares. Without an accepted model, `accepted` is what the intent declares ([`AcceptedModel::declared`]). Impact is not predicted yet:
    /// see [`Self::predict`]. O(n log n) in the size of both models.
    pub fn new(accepted: &'a AcceptedModel, candidate: &'a CandidateModel, intent: Option<&Intent>) -> Self {
        let mut before = accepted.model().clone();
        if before.structure.is_none() {
            before.structure = intent.map(|intent| intent.structure.clone());
        }
        let mut proposal = Self { accepted, candidate, before, deltas: Vec::new(), unfounded: Vec::new() };
        proposal.find_deltas();
        proposal
    }

    fn find_deltas(&mut self) {
        let mut changes = Vec::new();
        merge::merge(&self.before, self.candidate.model(), &mut |change| {
            changes.push(change);
            true
        });
        let mut seen = BTreeSet::new();
        changes.retain(|change| seen.insert(change.id()));
        for change in changes {
            match Delta::new(change.clone(), evidence::of(&change, self.candidate.model())) {
                Some(delta) => self.deltas.push(delta),
                None => self.unfounded.push(change),
            }
        }
        let relations = shared_fate::deltas(&self.before, self.candidate.model(), &self.deltas);
        self.deltas.extend(relations);
    }

    /// The accepted model.
    pub fn accepted(&self) -> &'a AcceptedModel {
        self.accepted
    }

    /// The candidate.
    pub fn candidate(&self) -> &'a CandidateModel {
        self.candidate
    }

    /// A delta by its id.
    pub fn delta(&self, id: &DeltaId) -> Option<&Delta> {
        self.deltas.iter().find(|delta| delta.id == *id)
    }

    /// Whether candidate and accepted model say the same, down to confidence and evidence.
    pub fn is_same(&self) -> bool {
        let (before, after) = (&self.before, self.candidate.model());
        let told = |model: &Model| (model.confidence.clone(), model.evidence.clone(), model.edge_coverage);
        self.deltas.is_empty()
            && told(before) == told(after)
            && before.findings == after.findings
            && before.disagreements == after.disagreements
    }

    /// Deltas that hold up a decision until somebody agrees or refuses: of high or unknown impact.
    pub fn pending(&self) -> impl Iterator<Item = &Delta> {
        let holds = |delta: &&Delta| delta.impact.as_ref().is_some_and(|impact| impact.class() != Class::Low);
        self.deltas.iter().filter(holds)
    }

    /// What would act after taking some deltas; `ids` that are none of them change nothing.
    ///
    /// # Errors
    /// [`Refusal`] when the result is no valid model; it names the deltas that are missing.
    pub fn apply(&self, ids: &BTreeSet<DeltaId>) -> Result<Model, Refusal> {
        chosen::check_consequences(&self.deltas, ids)?;
        let merged =
            merge::merge(&self.before, self.candidate.model(), &mut |change| ids.contains(&change.id()));
        let structure = match merged.structure {
            Ok(structure) => structure,
            Err(reason) => return Err(chosen::incomplete(self, ids, reason)),
        };
        let mut model = Model { structure, ..merged.model };
        self.tell(&mut model, ids);
        Ok(model)
    }

    /// Takes the deltas of a selection. The record names the parent, the candidate, the intent, and what was taken.
    ///
    /// # Errors
    /// [`Refusal`], also for a candidate of another journey and a name that is blank.
    pub fn accept(
        &self,
        selection: &Selection,
        intent: Option<&Intent>,
        consent: Consent<'_>,
    ) -> Result<AcceptedModel, Refusal> {
        self.check_journey(intent)?;
        if consent.by.trim().is_empty() {
            return Err(Refusal::Nobody);
        }
        let ids = chosen::closed(&self.deltas, &selection.taken);
        let mut model = self.apply(&ids)?;
        model.origin = Origin::File("the accepted model".to_owned());
        let taken = self.deltas.iter().filter(|delta| ids.contains(&delta.id));
        let taken =
            taken.map(|delta| TakenDelta { id: delta.id.to_string(), change: delta.change.to_string() });
        let acceptance = Acceptance {
            parent: self.accepted.version().map(str::to_owned),
            candidate: self.candidate.version().to_owned(),
            intent: intent.map(|intent| intent.digest.clone()),
            by: consent.by.to_owned(),
            at: consent.at.to_owned(),
            deltas: taken.collect(),
        };
        Ok(AcceptedModel::agreed(model, Record { acceptance, lineage: self.lineage() }))
    }

    /// The parent's lineage and the parent.
    fn lineage(&self) -> Vec<Ancestor> {
        let Some(version) = self.accepted.version() else { return Vec::new() };
        let record = self.accepted.record();
        let mut lineage = record.map(|record| record.lineage.clone()).unwrap_or_default();
        let acceptance = record.map(|record| record.acceptance.clone());
        lineage.push(Ancestor { version: version.to_owned(), acceptance });
        lineage
    }

    fn check_journey(&self, intent: Option<&Intent>) -> Result<(), Refusal> {
        let candidate = &self.candidate.model().journey;
        let others = [Some(self.before.journey.as_str()), intent.map(|intent| intent.name.as_str())];
        match others.into_iter().flatten().find(|other| other != candidate) {
            Some(other) => Err(Refusal::Journey { candidate: candidate.clone(), other: other.to_owned() }),
            None => Ok(()),
        }
    }

    /// Puts what is known about the fields into a merged model: of each field what the side said whose value was taken. When everything was
    /// taken, it is what the candidate says; else the model is no surer than the less sure of both, and keeps the flags of both.
    fn tell(&self, model: &mut Model, ids: &BTreeSet<DeltaId>) {
        let (before, after) = (&self.before, self.candidate.model());
        let is_all = self.unfounded.is_empty() && self.deltas.iter().all(|delta| ids.contains(&delta.id));
        model.evidence.clone_from(&after.evidence);
        model.edge_coverage = after.edge_coverage;
        if is_all {
            model.findings.clone_from(&after.findings);
            model.disagreements.clone_from(&after.disagreements);
            model.confidence = after.confidence.clone();
            return;
        }
        model.findings = evidence::merged_findings(before, after, model);
        model.disagreements = merged_disagreements(before, after);
        model.confidence = less_sure(&before.confidence, &after.confidence);
        let more = before.evidence.iter().filter(|evidence| !after.evidence.contains(evidence));
        model.evidence.extend(more.cloned());
    }
}

fn merged_disagreements(before: &Model, after: &Model) -> Vec<Disagreement> {
    let mut all = after.disagreements.clone();
    all.extend(before.disagreements.iter().filter(|one| !after.disagreements.contains(one)).cloned());
    all
}

fn less_sure(before: &Confidence, after: &Confidence) -> Confidence {
    let overall = match (before.overall, after.overall) {
        (Some(before), Some(after)) => Some(if before < after { before } else { after }),
        (before, after) => before.or(after),
    };
    let mut fields = after.fields.clone();
    for (name, value) in &before.fields {
        let field = fields.entry(name.clone()).or_insert(*value);
        *field = if *value < *field { *value } else { *field };
    }
    let mut flags = after.flags.clone();
    flags.extend(before.flags.iter().filter(|flag| !after.flags.contains(flag)).cloned());
    Confidence { overall, fields, flags }
}

/// A model with those changes towards a candidate that are chosen, and what is known about each field from the side it was taken from. Nobody has
/// agreed to it: it is for making candidates.
///
/// # Errors
/// Why the chosen changes make no valid structure.
pub fn adopted(
    before: &Model,
    candidate: &Model,
    choose: &mut dyn FnMut(Change) -> bool,
) -> Result<Model, String> {
    let merged = merge::merge(before, candidate, choose);
    let mut model = Model { structure: merged.structure?, ..merged.model };
    model.findings = evidence::merged_findings(before, candidate, &model);
    Ok(model)
}

#[cfg(test)]
mod tests;
