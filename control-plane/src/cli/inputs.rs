//! What `compile`, `gate` and `explain` read: an intent, a model, SLOs.

use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::output::{Format, show_problems};
use crate::accept::Proposal;
use crate::clock::Clock;
use crate::compile::{Compiled, Given, Promises, compile, preview};
use crate::document::{Document, Limits, Problem, Problems, read_all, read_file};
use crate::intent::{self, Intent};
use crate::measured::{self, Evidence, parse_timestamp};
use crate::model::{ACCEPTED_KIND, AcceptedModel, CANDIDATE_KIND, CandidateModel};
use crate::slo::Slos;

/// Options that the commands share.
#[derive(Debug, clap::Args)]
pub(super) struct InputArgs {
    /// Intent
    #[arg(long, value_name = "FILE")]
    intent: PathBuf,
    /// Model; default: the structure declared in the intent
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Use a candidate as the model without accepting it: every output says PREVIEW, and a gate never passes
    #[arg(long)]
    preview: bool,
    /// OpenSLO documents (files or directories); default: the nearest directory `slos` above the intent
    #[arg(long, value_name = "PATH")]
    slo: Vec<PathBuf>,
    /// Measured evidence of the journey (files or directories); default: promises only
    #[arg(long, value_name = "PATH")]
    evidence: Vec<PathBuf>,
    /// Time of the decision, such as 2026-01-31T12:00:00Z, used for the age of evidence and in the ledger; default: now
    #[arg(long, value_name = "TIME", value_parser = parse_timestamp)]
    at: Option<u64>,
}

/// The model by who agreed to it.
enum Basis {
    Accepted(AcceptedModel),
    Candidate(CandidateModel),
}

/// Everything read.
pub(super) struct Inputs {
    intent: Intent,
    basis: Basis,
    promises: Promises,
    evidence: Option<Evidence>,
    now_unix_ms: u64,
}

impl InputArgs {
    /// Reads everything; shows what is wrong. Warnings are shown and do not stop.
    pub(super) fn read(&self, format: Format) -> Result<Inputs, Exit> {
        let problems = Problems::new();
        valid(self.read_into(&problems), &problems, format)
    }

    fn read_into(&self, problems: &Problems) -> Option<Inputs> {
        let documents = read_file(&self.intent, &Limits::default(), problems);
        let intent = only_intent(&self.intent, &documents, problems);
        let basis = match (&self.model, &intent) {
            (Some(file), _) => self.model(file, problems),
            (None, Some(intent)) => Some(Basis::Accepted(AcceptedModel::declared(intent))),
            (None, None) => None,
        };
        let slos = slos(&self.intent, &self.slo, documents, problems);
        let intent = intent?;
        let promises = slos.resolve(&intent, problems);
        let evidence = self.evidence(&intent, problems)?;
        Some(Inputs {
            intent,
            basis: basis?,
            promises,
            evidence,
            now_unix_ms: self.at.unwrap_or_else(|| Clock::start().unix_ms()),
        })
    }

    fn model(&self, file: &Path, problems: &Problems) -> Option<Basis> {
        let documents = read_file(file, &Limits::default(), problems);
        if let Some(document) = documents.iter().find(|document| is_kind(document, ACCEPTED_KIND)) {
            return AcceptedModel::read(document, problems).map(Basis::Accepted);
        }
        let name = file.display().to_string();
        match documents.iter().find(|document| is_kind(document, CANDIDATE_KIND)) {
            Some(document) if self.preview => CandidateModel::read(document, problems).map(Basis::Candidate),
            Some(document) => {
                let problem = Problem::error("this model is a candidate that has not been accepted");
                problems.push(
                    problem.at(&document.source, document.root.span).help("accept it, or use --preview"),
                );
                None
            }
            None if documents.is_empty() && problems.errors() > 0 => None,
            None => refuse(problems, "there is no model in this file", &name),
        }
    }

    /// What all documents together say of the journey. To be given evidence of other journeys only is a problem.
    fn evidence(&self, intent: &Intent, problems: &Problems) -> Option<Option<Evidence>> {
        if self.evidence.is_empty() {
            return Some(None);
        }
        let documents = read_all(&self.evidence, &Limits::default(), problems);
        let is_evidence = |document: &&Document| is_kind(document, measured::KIND);
        let found =
            documents.iter().filter(is_evidence).filter_map(|document| measured::read(document, problems));
        let mut of_journey = found.filter(|evidence| evidence.journey == intent.name.as_str());
        let Some(mut sum) = of_journey.next() else {
            let message = format!("there is no evidence of the journey `{}`", intent.name);
            let place =
                self.evidence.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
            return refuse(problems, &message, &place);
        };
        of_journey.for_each(|evidence| sum.add(evidence));
        Some(Some(sum))
    }
}

/// SLOs in some places and in the intent's own file. Without places: the nearest directory `slos` above the intent.
fn slos(intent: &Path, places: &[PathBuf], beside: Vec<Document>, problems: &Problems) -> Slos {
    let nearest = || {
        let absolute = std::path::absolute(intent).unwrap_or_else(|_| intent.to_owned());
        let folders: Vec<_> = absolute.ancestors().skip(1).map(|folder| folder.join("slos")).collect();
        folders.into_iter().find(|folder| folder.is_dir()).into_iter().collect()
    };
    let places = if places.is_empty() { nearest() } else { places.to_vec() };
    let mut documents = read_all(&places, &Limits::default(), problems);
    documents.extend(beside);
    Slos::read(&documents, problems)
}

fn only_intent(file: &Path, documents: &[Document], problems: &Problems) -> Option<Intent> {
    let before = problems.errors();
    let mut intents = intent::of(documents, problems);
    let file = file.display().to_string();
    match intents.len() {
        1 => intents.pop(),
        0 if problems.errors() > before || documents.is_empty() && problems.errors() > 0 => None,
        0 => refuse(problems, "there is no intent in this file", &file),
        _ => refuse(problems, "there are several intents in this file; give one", &file),
    }
}

/// Shows what is wrong, unless there is a value and no error.
fn valid<T>(value: Option<T>, problems: &Problems, format: Format) -> Result<T, Exit> {
    let valid = value.filter(|_| problems.errors() == 0);
    if !problems.is_empty() && (valid.is_none() || format == Format::Text) {
        show_problems(problems, format);
    }
    valid.ok_or(Exit::InvalidInput)
}

/// Reads the one intent in a file; shows what is wrong.
pub(super) fn read_intent(file: &Path, format: Format) -> Result<Intent, Exit> {
    let problems = Problems::new();
    let documents = read_file(file, &Limits::default(), &problems);
    valid(only_intent(file, &documents, &problems), &problems, format)
}

/// What an intent's components promise; shows what is wrong.
pub(super) fn promises(
    intent: &Intent,
    file: &Path,
    places: &[PathBuf],
    format: Format,
) -> Result<Promises, Exit> {
    let problems = Problems::new();
    let documents = read_file(file, &Limits::default(), &problems);
    let promises = slos(file, places, documents, &problems).resolve(intent, &problems);
    valid(Some(promises), &problems, format)
}

/// Every accepted model in files; shows what is wrong.
pub(super) fn read_accepted(files: &[PathBuf], format: Format) -> Result<Vec<AcceptedModel>, Exit> {
    let problems = Problems::new();
    let mut models = Vec::new();
    for file in files {
        let before = (models.len(), problems.errors());
        models.extend(read_models(file, &problems).into_iter().filter_map(Result::ok));
        if before == (models.len(), problems.errors()) {
            refuse::<()>(&problems, "there is no accepted model in this file", &file.display().to_string());
        }
    }
    valid(Some(models), &problems, format)
}

/// Every model in a file, accepted ones and candidates; what is wrong is among the problems, and so is a file without any.
pub(super) fn read_models(file: &Path, problems: &Problems) -> Vec<Result<AcceptedModel, CandidateModel>> {
    let before = problems.errors();
    let documents = read_file(file, &Limits::default(), problems);
    let read = |document: &Document| {
        if is_kind(document, ACCEPTED_KIND) {
            AcceptedModel::read(document, problems).map(Ok)
        } else if is_kind(document, CANDIDATE_KIND) {
            CandidateModel::read(document, problems).map(Err)
        } else {
            None
        }
    };
    let models: Vec<_> = documents.iter().filter_map(read).collect();
    if models.is_empty() && problems.errors() == before {
        refuse::<()>(problems, "there is no model in this file", &file.display().to_string());
    }
    models
}

/// Whether a document says that it is of a kind.
fn is_kind(document: &Document, kind: &str) -> bool {
    let mut entries = document.root.entries().into_iter().flatten();
    entries.any(|entry| entry.key == "kind" && entry.value.text() == Some(kind))
}

/// Reads the candidate in a file; shows what is wrong.
pub(super) fn read_candidate(file: &Path, format: Format) -> Result<CandidateModel, Exit> {
    let problems = Problems::new();
    let documents = read_file(file, &Limits::default(), &problems);
    let candidate = documents.first().and_then(|document| CandidateModel::read(document, &problems));
    if candidate.is_none() && problems.errors() == 0 {
        refuse::<()>(&problems, "there is no model in this file", &file.display().to_string());
    }
    valid(candidate, &problems, format)
}

fn refuse<T>(problems: &Problems, message: &str, file: &str) -> Option<T> {
    problems.push(Problem::error(message).in_file(file));
    None
}

impl Inputs {
    /// Compiles, or looks at what a candidate would mean.
    pub(super) fn compiled(&self) -> Compiled<'_> {
        match &self.basis {
            Basis::Accepted(model) => compile(&self.intent, model, self.given()),
            Basis::Candidate(model) => preview(&self.intent, model, self.given()),
        }
    }

    /// The intent.
    pub(super) fn intent(&self) -> &Intent {
        &self.intent
    }

    /// What a candidate would change, with the impact of every delta; `None` when the model itself is a candidate.
    pub(super) fn proposal<'a>(&'a self, candidate: &'a CandidateModel) -> Option<Proposal<'a>> {
        let Basis::Accepted(model) = &self.basis else { return None };
        let mut proposal = Proposal::new(model, candidate, Some(&self.intent));
        proposal.predict(&self.intent, self.given());
        Some(proposal)
    }

    /// What another candidate would mean.
    pub(super) fn preview_of<'a>(&'a self, candidate: &'a CandidateModel) -> Compiled<'a> {
        preview(&self.intent, candidate, self.given())
    }

    /// As of when.
    pub(super) const fn now_unix_ms(&self) -> u64 {
        self.now_unix_ms
    }

    /// What is known of the components.
    pub(super) fn given(&self) -> Given<'_> {
        Given { promises: &self.promises, evidence: self.evidence.as_ref(), now_unix_ms: self.now_unix_ms }
    }
}
