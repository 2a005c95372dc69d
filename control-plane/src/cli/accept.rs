//! `emac accept`: somebody agrees to a candidate, and the model file is replaced.

use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::inputs::{promises, read_candidate, read_intent};
use super::output::{Format, complain, print_line, valid};
use crate::clock::Clock;
use emac_compile::accept::{Consent, ModelFile, Proposal, Refusal, Selection, StoreError, allowed};
use emac_compile::compile::Given;
use emac_compile::declared::Files;
use emac_compile::model::AcceptedModel;
use emac_document::{Problem, Problems, format_timestamp, parse_timestamp};
use emac_journey::intent::Intent;

/// Accept a candidate, or some of its deltas: replaces the model and seals it with its lineage
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  emac accept --candidate journeys/checkout/candidate.yaml --by ann
  emac accept --candidate candidate.yaml --by ann --only 3f1c --only 9a20
  emac accept --candidate candidate.yaml --intent journeys/checkout/intent.yaml --policy
  emac accept --candidate candidate.yaml --into elsewhere/model.yaml --by ann

Without --only everything that is identified is taken; what is unresolved or contradictory is left out and listed.
Where nothing has been accepted yet, the candidate is compared with what the intent declares.
Exit code 65: nothing was changed; the message says why.")]
pub(super) struct Args {
    /// Candidate model
    #[arg(long, value_name = "FILE")]
    candidate: PathBuf,
    /// Accepted model, created if it does not exist; default: the file that `emac serve` and `emac gate` read, which is the one that
    /// discoveredModelRef of the intent names, else model.yaml beside the intent (<journey>.model.yaml among intents of several journeys)
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
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
    /// Intent; default: intent.yaml in the directory of --into, without --into in that of the candidate
    #[arg(long, value_name = "FILE")]
    intent: Option<PathBuf>,
    /// SLO documents (OpenSLO, Sloth, Pyrra) for --policy; default: the nearest directory `slos` above the intent
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
        let problems = Problems::new();
        let intent = self.intent(&problems);
        let candidate = read_candidate(&self.candidate, &problems);
        let into = self.target(intent.as_ref(), &problems);
        let (candidate, into) = valid(candidate.zip(into), &problems, Format::Text)?;
        let file = ModelFile::lock(&into).map_err(|error| failed(&error))?;
        let problems = Problems::new();
        let model = valid(file.model(&problems), &problems, Format::Text)?;
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
        Ok(told(&into, &accepted, &proposal, &selection))
    }

    /// `None`: there is none, or an error is among the problems.
    fn intent(&self, problems: &Problems) -> Option<(Intent, PathBuf)> {
        let beside = || self.into.as_ref().unwrap_or(&self.candidate).with_file_name("intent.yaml");
        let file = match &self.intent {
            Some(file) => file.clone(),
            None => Some(beside()).filter(|file| file.is_file())?,
        };
        read_intent(&file, problems).map(|intent| (intent, file))
    }

    /// The file that is replaced; `None` comes with an error among the problems.
    fn target(&self, intent: Option<&(Intent, PathBuf)>, problems: &Problems) -> Option<PathBuf> {
        let Some(into) = &self.into else {
            if let Some((intent, place)) = intent {
                return Some(Files::beside(place, intent, problems).model);
            }
            if problems.errors() == 0 {
                let message = format!(
                    "which file holds the accepted model is not known: there is no intent.yaml beside {}",
                    self.candidate.display()
                );
                problems.push(Problem::error(message).help("pass --intent, or --into with the file"));
            }
            return None;
        };
        if let Some((intent, place)) = intent {
            let read = Files::beside(place, intent, &Problems::new()).model;
            if !is_same_file(into, &read) {
                let message = format!(
                    "`emac serve` and `emac gate` do not read this file: the accepted model of `{}` is {}",
                    intent.name,
                    read.display()
                );
                let help = "leave out --into, or name this file in spec.evidence.modelDiscovery.discoveredModelRef of the intent";
                problems.push(Problem::warning(message).help(help).in_file(into.display().to_string()));
            }
        }
        Some(into.clone())
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
        let problems = Problems::new();
        let promises = promises(intent, file, &self.slo, &problems);
        let promises = valid(Some(promises), &problems, Format::Text)?;
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
}

fn told(
    into: &Path,
    accepted: &AcceptedModel,
    proposal: &Proposal<'_>,
    selection: &Selection,
) -> Vec<String> {
    let (into, version) = (into.display(), accepted.version().unwrap_or_default());
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

/// Whether two paths name one file, which need not exist; links are followed where they lead somewhere.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let folder = absolute.parent().and_then(|folder| folder.canonicalize().ok());
        let in_folder = folder.zip(absolute.file_name()).map(|(folder, name)| folder.join(name));
        absolute.canonicalize().ok().or(in_folder).unwrap_or(absolute)
    };
    real(one) == real(other)
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
