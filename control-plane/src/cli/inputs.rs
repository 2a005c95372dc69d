//! What `compile`, `gate` and `explain` read: an intent, a model, SLOs.

use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::output::{Format, show_problems};
use crate::clock::Clock;
use crate::compile::{Compiled, Given, Promises, compile, preview};
use crate::document::{Document, Limits, Problem, Problems, read_all, read_file};
use crate::intent::{self, Intent};
use crate::measured::{self, Evidence};
use crate::model::{ACCEPTED_KIND, AcceptedModel, CANDIDATE_KIND, CandidateModel};
use crate::slo::Slos;

/// Options that the commands share.
#[derive(Debug, clap::Args)]
pub(super) struct InputArgs {
    /// The intent
    #[arg(long, value_name = "FILE")]
    intent: PathBuf,
    /// The model; without it the structure declared in the intent is the model
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Take a candidate as the model. Every output says PREVIEW, and a gate never passes
    #[arg(long)]
    preview: bool,
    /// OpenSLO documents, files or directories. Without it: the nearest directory `slos` above the intent
    #[arg(long, value_name = "PATH")]
    slo: Vec<PathBuf>,
    /// Evidence of the journey, files or directories; without it promises alone
    #[arg(long, value_name = "PATH")]
    evidence: Vec<PathBuf>,
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
        let inputs = self.read_into(&problems);
        let valid = inputs.filter(|_| problems.errors() == 0);
        if !problems.is_empty() && (valid.is_none() || format == Format::Text) {
            show_problems(&problems, format);
        }
        valid.ok_or(Exit::InvalidInput)
    }

    fn read_into(&self, problems: &Problems) -> Option<Inputs> {
        let documents = read_file(&self.intent, &Limits::default(), problems);
        let intent = self.only_intent(&documents, problems);
        let basis = match (&self.model, &intent) {
            (Some(file), _) => self.model(file, problems),
            (None, Some(intent)) => Some(Basis::Accepted(AcceptedModel::declared(intent))),
            (None, None) => None,
        };
        let mut slo_documents = read_all(&self.slo_paths(), &Limits::default(), problems);
        slo_documents.extend(documents);
        let slos = Slos::read(&slo_documents, problems);
        let intent = intent?;
        let promises = slos.resolve(&intent, problems);
        let evidence = self.evidence(&intent, problems)?;
        Some(Inputs { intent, basis: basis?, promises, evidence, now_unix_ms: Clock::start().unix_ms() })
    }

    fn only_intent(&self, documents: &[Document], problems: &Problems) -> Option<Intent> {
        let before = problems.errors();
        let mut intents = intent::of(documents, problems);
        let file = self.intent.display().to_string();
        match intents.len() {
            1 => intents.pop(),
            0 if problems.errors() > before || documents.is_empty() && problems.errors() > 0 => None,
            0 => refuse(problems, "there is no intent in this file", &file),
            _ => refuse(problems, "there are several intents in this file; give one", &file),
        }
    }

    fn model(&self, file: &Path, problems: &Problems) -> Option<Basis> {
        let documents = read_file(file, &Limits::default(), problems);
        let kind = |document: &Document, kind: &str| {
            document
                .root
                .entries()
                .is_some_and(|all| all.iter().any(|e| e.key == "kind" && e.value.text() == Some(kind)))
        };
        if let Some(document) = documents.iter().find(|document| kind(document, ACCEPTED_KIND)) {
            return AcceptedModel::read(document, problems).map(Basis::Accepted);
        }
        let name = file.display().to_string();
        match documents.iter().find(|document| kind(document, CANDIDATE_KIND)) {
            Some(document) if self.preview => CandidateModel::read(document, problems).map(Basis::Candidate),
            Some(document) => {
                let problem = Problem::error("this model is a candidate that nobody has accepted");
                problems.push(
                    problem
                        .at(&document.source, document.root.span)
                        .help("accept it, or look at it with --preview"),
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
        let is_evidence = |document: &&Document| {
            let mut entries = document.root.entries().into_iter().flatten();
            entries.any(|entry| entry.key == "kind" && entry.value.text() == Some(measured::KIND))
        };
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

    fn slo_paths(&self) -> Vec<PathBuf> {
        if !self.slo.is_empty() {
            return self.slo.clone();
        }
        let absolute = std::path::absolute(&self.intent).unwrap_or_else(|_| self.intent.clone());
        let beside = absolute.ancestors().skip(1).map(|folder| folder.join("slos"));
        beside.into_iter().find(|folder| folder.is_dir()).into_iter().collect()
    }
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

    /// What another candidate would mean.
    pub(super) fn preview_of<'a>(&'a self, candidate: &'a CandidateModel) -> Compiled<'a> {
        preview(&self.intent, candidate, self.given())
    }

    fn given(&self) -> Given<'_> {
        Given { promises: &self.promises, evidence: self.evidence.as_ref(), now_unix_ms: self.now_unix_ms }
    }
}
