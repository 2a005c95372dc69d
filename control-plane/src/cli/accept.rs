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

/// Agree to a candidate, or to some of its deltas: the model is replaced, sealed, with its lineage
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  emac accept --candidate candidate.yaml --into journeys/checkout/model.yaml --by ann
  emac accept --candidate candidate.yaml --into model.yaml --by ann --only 3f1c --only 9a20
  emac accept --candidate candidate.yaml --into model.yaml --policy

Without --only everything that is identified is taken; what is unresolved or contradictory is left out and listed.
Where nothing has been accepted yet, the candidate is compared with what the intent declares.
Exit code 65: nothing was changed, for the reason that is told.")]
pub(super) struct Args {
    /// The candidate
    #[arg(long, value_name = "FILE")]
    candidate: PathBuf,
    /// The accepted model; made when it is not there
    #[arg(long, value_name = "FILE")]
    into: PathBuf,
    /// Who agrees
    #[arg(long, value_name = "NAME", required_unless_present = "policy", conflicts_with = "policy")]
    by: Option<String>,
    /// Take only these deltas, by id or its beginning; may be given several times
    #[arg(long, value_name = "DELTA_ID", conflicts_with = "policy")]
    only: Vec<String>,
    /// Take also what is unresolved or contradictory
    #[arg(long, conflicts_with = "policy")]
    unresolved: bool,
    /// Take what the intent lets a policy take: governance.autoAccept
    #[arg(long)]
    policy: bool,
    /// The intent. Without it: intent.yaml beside the model
    #[arg(long, value_name = "FILE")]
    intent: Option<PathBuf>,
    /// OpenSLO documents for --policy. Without it: the nearest directory `slos` above the intent
    #[arg(long, value_name = "PATH")]
    slo: Vec<PathBuf>,
    /// Version of the model that was looked at, or its beginning. Without it: the one the candidate was made from
    #[arg(long, value_name = "VERSION")]
    parent: Option<String>,
    /// When, as 2026-01-31T12:00:00Z; without it now
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
            (None, None) => return Err(refuse("the first acceptance needs the intent: give --intent")),
        };
        let proposal = Proposal::new(&before, &candidate, intent.as_ref().map(|(intent, _)| intent));
        if model.is_some() && proposal.is_same() {
            return Ok(vec!["nothing to accept: the candidate says what the model says".to_owned()]);
        }
        let (proposal, selection) = self.select(proposal, intent.as_ref())?;
        if selection.taken.is_empty() && !proposal.deltas.is_empty() {
            return Err(refuse("no delta is identified; to take one in doubt, give --only ID --unresolved"));
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
            return Err(refuse("a policy needs the intent: give --intent"));
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
            lines.push(format!("left out, {status}: {}  {}", delta.id, delta.change));
        }
        let unfounded = proposal.unfounded.iter();
        lines.extend(unfounded.map(|change| format!("left out, without provenance: {change}")));
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
        complain("to take it all the same, give --unresolved");
    }
    Exit::InvalidInput
}

fn failed(error: &StoreError) -> Exit {
    complain(error);
    match error {
        StoreError::MovedOn { .. } => {
            complain(
                "nothing was changed; look at `emac diff` again, then give --parent with the version seen there",
            );
            Exit::InvalidInput
        }
        StoreError::Changed { .. } => Exit::InvalidInput,
        StoreError::Io { .. } | StoreError::Replace(_) => Exit::Runtime,
    }
}
