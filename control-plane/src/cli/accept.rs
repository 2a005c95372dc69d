//! `emac accept`: somebody agrees to a candidate, and the model file is replaced.

use std::path::PathBuf;

use super::exit::Exit;
use super::inputs::{promises, read_candidate, read_intent};
use super::output::{Format, complain, print_line, show_problems};
use crate::clock::Clock;
use emac_compile::accept::{Consent, ModelFile, Proposal, Refusal, Selection, StoreError, allowed};
use emac_compile::compile::Given;
use emac_compile::model::AcceptedModel;
use emac_document::Problems;
use emac_document::{format_timestamp, parse_timestamp};
use emac_journey::intent::Intent;

/// Accept a candidate, or some of its deltas: replaces the model and seals it with its lineage
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  emac accept --candidate candidate.yaml --into journeys/checkout/model.yaml --by ann
  emac accept --candidate candidate.yaml --into model.yaml --by ann --only 3f1c --only 9a20
  emac accept --candidate candidate.yaml --into model.yaml --policy

Without --only everything that is identified is taken; what is unresolved or contradictory is left out and listed.
Where nothing has been accepted yet, the candidate is compared with what the intent declares.
Exit code 65: nothing was changed; the message says why.")]
pub(super) struct Args {
    /// Candidate model
    #[arg(long, value_name = "FILE")]
    candidate: PathBuf,
    /// Accepted model; created if it does not exist
    #[arg(long, value_name = "FILE")]
    into: PathBuf,
    /// Name of the person who accepts
    #[arg(long, value_name = "NAME", required_unless_present = "policy", conflicts_with = "policy")]
    by: Option<String>,
    /// Accept only these deltas, by id or id prefix; repeatable
    #[arg(long, value_name = "DELTA_ID", conflicts_with = "policy")]
    only: Vec<String>,
    /// Also accept unresolved and contradictory deltas
    #[arg(long, conflicts_with = "policy")]
    unresolved: bool,
    /// Accept what the intent allows by policy (governance.autoAccept)
    #[arg(long)]
    policy: bool,
    /// Intent; default: intent.yaml in the model's directory
    #[arg(long, value_name = "FILE")]
    intent: Option<PathBuf>,
    /// OpenSLO documents for --policy; default: the nearest directory `slos` above the intent
    #[arg(long, value_name = "PATH")]
    slo: Vec<PathBuf>,
    /// Version (or version prefix) of the model that was reviewed; default: the candidate's base version
    #[arg(long, value_name = "VERSION")]
    parent: Option<String>,
    /// Time of acceptance, such as 2026-01-31T12:00:00Z; default: now
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<u64>,
}

fn time(text: &str) -> Result<u64, String> {
    parse_timestamp(text).map_err(|error| error.to_string())
}

pub(super) fn run(args: &Args) -> Exit {
    match args.accept() {
        Ok(lines) => {
            lines.iter().for_each(print_line);
            Exit::Ok
        }
        Err(exit) => exit,
    }
}

impl Args {
    fn accept(&self) -> Result<Vec<String>, Exit> {
        let intent = self.intent()?;
        let candidate = read_candidate(&self.candidate, Format::Text)?;
        let file = ModelFile::lock(&self.into).map_err(|error| failed(&error))?;
        let problems = Problems::new();
        let model = file.model(&problems).ok_or_else(|| {
            show_problems(&problems, Format::Text);
            Exit::InvalidInput
        })?;
        let found = model.as_ref().and_then(AcceptedModel::version);
        let expected = self.parent.as_deref().or(candidate.base());
        file.check(expected, found).map_err(|error| failed(&error))?;
        let before = match (&model, &intent) {
            (Some(model), _) => model.clone(),
            (None, Some((intent, _))) => AcceptedModel::declared(intent),
            (None, None) => return Err(refuse("the first acceptance needs the intent; pass --intent")),
        };
        let proposal = Proposal::new(&before, &candidate, intent.as_ref().map(|(intent, _)| intent));
        if model.is_some() && proposal.is_same() {
            return Ok(vec!["nothing to accept: the candidate equals the model".to_owned()]);
        }
        let (proposal, selection) = self.select(proposal, intent.as_ref())?;
        if selection.taken.is_empty() && !proposal.deltas.is_empty() {
            return Err(refuse(
                "no delta is identified; to accept an uncertain one, pass --only ID --unresolved",
            ));
        }
        let accepted = self.agree(&proposal, &selection, intent.as_ref().map(|(intent, _)| intent))?;
        file.replace(&accepted).map_err(|error| failed(&error))?;
        Ok(self.told(&accepted, &proposal, &selection))
    }

    fn intent(&self) -> Result<Option<(Intent, PathBuf)>, Exit> {
        let beside = self.into.with_file_name("intent.yaml");
        let file = match &self.intent {
            Some(file) => file.clone(),
            None if beside.is_file() => beside,
            None => return Ok(None),
        };
        read_intent(&file, Format::Text).map(|intent| Some((intent, file)))
    }

    fn select<'a>(
        &self,
        mut proposal: Proposal<'a>,
        intent: Option<&(Intent, PathBuf)>,
    ) -> Result<(Proposal<'a>, Selection), Exit> {
        if !self.policy {
            let selection = Selection::new(&proposal, &self.only, self.unresolved);
            return selection.map(|selection| (proposal, selection)).map_err(|refusal| refused(&refusal));
        }
        let Some((intent, file)) = intent else {
            return Err(refuse("--policy needs the intent; pass --intent"));
        };
        let promises = promises(intent, file, &self.slo, Format::Text)?;
        let given = Given::promises(&promises);
        proposal.predict(intent, given);
        let selection = allowed(&proposal, intent, given).map_err(refuse)?;
        Ok((proposal, selection))
    }

    fn agree(
        &self,
        proposal: &Proposal<'_>,
        selection: &Selection,
        intent: Option<&Intent>,
    ) -> Result<AcceptedModel, Exit> {
        let at = format_timestamp(self.at.unwrap_or_else(|| Clock::start().unix_ms()));
        let consent = Consent { by: self.by.as_deref().unwrap_or("policy"), at: &at };
        proposal.accept(selection, intent, consent).map_err(|refusal| refused(&refusal))
    }

    fn told(&self, accepted: &AcceptedModel, proposal: &Proposal<'_>, selection: &Selection) -> Vec<String> {
        let (into, version) = (self.into.display(), accepted.version().unwrap_or_default());
        let taken = accepted.record().map(|record| record.acceptance.deltas.as_slice()).unwrap_or_default();
        let mut lines = vec![format!("accepted {} deltas into {into}, version {version}", taken.len())];
        lines.extend(taken.iter().map(|taken| format!("  {}  {}", taken.id, taken.change)));
        for delta in proposal.deltas.iter().filter(|delta| selection.left.contains(&delta.id)) {
            let status = delta.evidence().status.label();
            lines.push(format!("not accepted ({status}): {}  {}", delta.id, delta.change));
        }
        let unfounded = proposal.unfounded.iter();
        lines.extend(unfounded.map(|change| format!("not accepted (no provenance): {change}")));
        lines
    }
}

fn refuse(message: impl std::fmt::Display) -> Exit {
    complain(message);
    Exit::InvalidInput
}

fn refused(refusal: &Refusal) -> Exit {
    complain(refusal);
    if matches!(refusal, Refusal::Unresolved { .. }) {
        complain("to accept it anyway, pass --unresolved");
    }
    Exit::InvalidInput
}

fn failed(error: &StoreError) -> Exit {
    complain(error);
    match error {
        StoreError::MovedOn { .. } => {
            complain(
                "nothing was changed; run `emac diff` again, then pass --parent with the version it shows",
            );
            Exit::InvalidInput
        }
        StoreError::Changed { .. } => Exit::InvalidInput,
        StoreError::Io { .. } | StoreError::Replace(_) => Exit::Runtime,
    }
}
