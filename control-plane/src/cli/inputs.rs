//! What `compile`, `gate` and `explain` read: an intent, a model, SLOs.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::clock::Clock;
use emac_compile::accept::Proposal;
use emac_compile::compile::{Compiled, Given, Promises, compile, preview};
use emac_compile::declared::Declared;
use emac_compile::model::{ACCEPTED_KIND, AcceptedModel, CANDIDATE_KIND, CandidateModel, Model, Origin};
use emac_document::parse_timestamp;
use emac_document::{Document, Limits, Problem, Problems, read_all, read_file};
use emac_journey::intent::{self, Intent};
use emac_journey::measured::{self, MeasuredEvidence};
use emac_journey::slo::Slos;

/// Options that the commands share.
#[derive(Debug, clap::Args)]
pub(super) struct InputArgs {
    /// Intent
    #[arg(long, value_name = "FILE")]
    intent: PathBuf,
    /// Model; default: the model that `emac serve` enforces, which is the accepted model in the file that discoveredModelRef names, else in
    /// model.yaml beside the intent, else the structure declared in the intent
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Use a candidate as the model without accepting it: every output says PREVIEW, and a gate never passes
    #[arg(long)]
    preview: bool,
    /// SLO documents of OpenSLO, Sloth or Pyrra (files or directories); default: the nearest directory `slos` above the intent
    #[arg(long, value_name = "PATH")]
    slo: Vec<PathBuf>,
    /// Measured evidence of the journey (files or directories); default: promises only
    #[arg(long, value_name = "PATH")]
    evidence: Vec<PathBuf>,
    /// Time of the decision, such as 2026-01-31T12:00:00Z, used for the age of evidence and in the ledger; default: now
    #[arg(long, value_name = "TIME", value_parser = parse_timestamp)]
    at: Option<u64>,
}

/// A model that was named instead of the one that acts.
enum Named {
    Accepted(AcceptedModel),
    Candidate(CandidateModel),
}

/// Everything read.
pub(super) struct Inputs {
    declared: Declared,
    named: Option<Named>,
    evidence: Option<MeasuredEvidence>,
    now_unix_ms: u64,
}

impl InputArgs {
    /// Reads everything; `None` comes with an error among the problems.
    pub(super) fn read(&self, problems: &Problems) -> Option<Inputs> {
        let documents = read_file(&self.intent, &Limits::default(), problems);
        let intent = only_intent(&self.intent, &documents, problems);
        let named = self.model.as_ref().map(|file| self.model(file, problems));
        let slos = slos(&self.intent, &self.slo, documents, problems);
        let intent = intent?;
        let promises = slos.resolve(&intent, problems);
        let evidence = self.evidence(&intent, problems)?;
        // A model that is named replaces the one that acts, which then need not even be readable.
        let unheard = Problems::new();
        let told = if named.is_some() { &unheard } else { problems };
        let declared = Declared::beside(intent, promises, &self.intent, told);
        let named = match named {
            Some(read) => Some(read?),
            None => None,
        };
        let now_unix_ms = self.at.unwrap_or_else(|| Clock::start().unix_ms());
        Some(Inputs { declared, named, evidence, now_unix_ms })
    }

    fn model(&self, file: &Path, problems: &Problems) -> Option<Named> {
        let documents = read_file(file, &Limits::default(), problems);
        if let Some(document) = documents.iter().find(|document| document.is_kind(ACCEPTED_KIND)) {
            return AcceptedModel::read(document, problems).map(Named::Accepted);
        }
        let name = file.display().to_string();
        match documents.iter().find(|document| document.is_kind(CANDIDATE_KIND)) {
            Some(document) if self.preview => CandidateModel::read(document, problems).map(Named::Candidate),
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
    fn evidence(&self, intent: &Intent, problems: &Problems) -> Option<Option<MeasuredEvidence>> {
        if self.evidence.is_empty() {
            return Some(None);
        }
        let documents = read_all(&self.evidence, &Limits::default(), problems);
        let is_evidence = |document: &&Document| document.is_kind(measured::KIND);
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

/// Reads the one intent in a file; `None` comes with an error among the problems.
pub(super) fn read_intent(file: &Path, problems: &Problems) -> Option<Intent> {
    only_intent(file, &read_file(file, &Limits::default(), problems), problems)
}

/// What an intent's components promise.
pub(super) fn promises(intent: &Intent, file: &Path, places: &[PathBuf], problems: &Problems) -> Promises {
    // What is wrong with the intent's own file was told when the intent was read.
    let documents = read_file(file, &Limits::default(), &Problems::new());
    slos(file, places, documents, problems).resolve(intent, problems)
}

/// Every accepted model in files; a file without any is a problem.
pub(super) fn read_accepted(files: &[PathBuf], problems: &Problems) -> Vec<AcceptedModel> {
    let mut models = Vec::new();
    for file in files {
        let before = (models.len(), problems.errors());
        models.extend(read_models(file, problems).into_iter().filter_map(Result::ok));
        if before == (models.len(), problems.errors()) {
            refuse::<()>(problems, "there is no accepted model in this file", &file.display().to_string());
        }
    }
    models
}

/// Every model in a file, accepted ones and candidates; what is wrong is among the problems, and so is a file without any.
pub(super) fn read_models(file: &Path, problems: &Problems) -> Vec<Result<AcceptedModel, CandidateModel>> {
    let before = problems.errors();
    let documents = read_file(file, &Limits::default(), problems);
    let read = |document: &Document| {
        if document.is_kind(ACCEPTED_KIND) {
            AcceptedModel::read(document, problems).map(Ok)
        } else if document.is_kind(CANDIDATE_KIND) {
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

/// Reads the candidate in a file; `None` comes with an error among the problems.
pub(super) fn read_candidate(file: &Path, problems: &Problems) -> Option<CandidateModel> {
    let before = problems.errors();
    let documents = read_file(file, &Limits::default(), problems);
    let candidate = documents.first().and_then(|document| CandidateModel::read(document, problems));
    if candidate.is_none() && problems.errors() == before {
        refuse::<()>(problems, "there is no model in this file", &file.display().to_string());
    }
    candidate
}

fn refuse<T>(problems: &Problems, message: &str, file: &str) -> Option<T> {
    problems.push(Problem::error(message).in_file(file));
    None
}

impl Inputs {
    /// Compiles, or looks at what a candidate would mean.
    pub(super) fn compiled(&self) -> Compiled<'_> {
        match &self.named {
            None => compile(self.intent(), self.declared.acting(), self.given()),
            Some(Named::Accepted(model)) => compile(self.intent(), model, self.given()),
            Some(Named::Candidate(model)) => preview(self.intent(), model, self.given()),
        }
    }

    /// Which model is judged: its file and its version.
    pub(super) fn judged(&self) -> JudgedModel {
        let file = |model: &Model| match &model.origin {
            Origin::File(name) => Some(name.clone()),
            Origin::Declared => None,
        };
        let accepted = |model: &AcceptedModel| JudgedModel {
            file: file(model.model()),
            version: model.version().map(str::to_owned),
            looked_for: self.declared.files.model.clone(),
        };
        match &self.named {
            None => accepted(self.declared.acting()),
            Some(Named::Accepted(model)) => accepted(model),
            Some(Named::Candidate(model)) => JudgedModel {
                file: file(model.model()),
                version: Some(model.version().to_owned()),
                looked_for: self.declared.files.model.clone(),
            },
        }
    }

    /// The intent.
    pub(super) fn intent(&self) -> &Intent {
        &self.declared.intent
    }

    /// What a candidate would change, with the impact of every delta; `None` when the model itself is a candidate.
    pub(super) fn proposal<'a>(&'a self, candidate: &'a CandidateModel) -> Option<Proposal<'a>> {
        let model = match &self.named {
            None => self.declared.agreed(),
            Some(Named::Accepted(model)) => model,
            Some(Named::Candidate(_)) => return None,
        };
        let mut proposal = Proposal::new(model, candidate, Some(self.intent()));
        proposal.predict(self.intent(), self.given());
        Some(proposal)
    }

    /// What another candidate would mean.
    pub(super) fn preview_of<'a>(&'a self, candidate: &'a CandidateModel) -> Compiled<'a> {
        preview(self.intent(), candidate, self.given())
    }

    /// As of when.
    pub(super) const fn now_unix_ms(&self) -> u64 {
        self.now_unix_ms
    }

    /// What is known of the components.
    pub(super) fn given(&self) -> Given<'_> {
        let promises = &self.declared.promises;
        Given { promises, evidence: self.evidence.as_ref(), now_unix_ms: self.now_unix_ms }
    }
}

/// Which model a command judged.
pub(super) struct JudgedModel {
    /// The file of the model; `None`: the structure that the intent declares.
    pub(super) file: Option<String>,
    /// Its seal.
    version: Option<String>,
    /// Where an accepted model was looked for.
    looked_for: PathBuf,
}

/// Digits of a seal that people are shown, as Git does.
const SEAL_SHOWN: usize = 12;

impl fmt::Display for JudgedModel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => {
                let seal = self.version.as_deref().unwrap_or_default();
                write!(out, "model {file}, seal {}", seal.get(..SEAL_SHOWN).unwrap_or(seal))
            }
            None => write!(
                out,
                "model: the structure that the intent declares (no accepted model acts; looked for {})",
                self.looked_for.display()
            ),
        }
    }
}

impl JudgedModel {
    /// `{file, seal}`; both null for what the intent declares.
    pub(super) fn json(&self) -> Value {
        json!({"file": self.file, "seal": self.version})
    }
}
