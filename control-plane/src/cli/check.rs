//! `emac check`: are these files valid? All problems of all of them at once.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::exit::Exit;
use super::output::{Format, print_answer, print_line, show_problems};
use crate::config;
use emac_compile::model::{ACCEPTED_KIND, AcceptedModel, CANDIDATE_KIND, CandidateModel};
use emac_compile::simulate;
use emac_document::{Document, Limits, Problem, Problems, read_all};
use emac_journey::slo::Slos;
use emac_journey::{intent, measured};

/// Validate intents, SLOs, models, evidence, profiles and configurations; reports every problem
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  emac check emac.yaml journeys/
  emac check --format json journeys/checkout/intent.yaml")]
pub(super) struct Args {
    /// Files, or directories searched for .yaml, .yml and .json files; other kinds of documents are skipped
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Exit {
    let problems = Problems::new();
    let found = ValidNames::read(&args.paths, &problems);
    if problems.is_empty() && found.is_empty() {
        problems.push(Problem::error(
            "no intent, SLO, model, evidence, profile or configuration found in the given paths",
        ));
    }
    match args.format {
        Format::Json => print_answer(found.to_json(&problems), &problems),
        Format::Text if problems.is_empty() => found.show(),
        Format::Text => show_problems(&problems, Format::Text),
    }
    if problems.errors() == 0 { Exit::Ok } else { Exit::InvalidInput }
}

/// Names of what is valid.
struct ValidNames {
    journeys: Vec<String>,
    slos: Vec<String>,
    models: Vec<String>,
    evidence: Vec<String>,
    profiles: Vec<String>,
    configurations: Vec<String>,
}

impl ValidNames {
    fn read(paths: &[PathBuf], problems: &Problems) -> Self {
        let documents = read_all(paths, &Limits::default(), problems);
        let intents = intent::of(&documents, problems);
        let slos = Slos::read(&documents, problems);
        // References lead nowhere as long as no SLO was given: they may live in another repository.
        if slos.iter().next().is_some() {
            intents.iter().for_each(|intent| drop(slos.resolve(intent, problems)));
        }
        Self {
            journeys: intents.iter().map(|intent| intent.name.to_string()).collect(),
            slos: slos.iter().map(|slo| slo.name.clone()).collect(),
            models: models(&documents, problems),
            evidence: evidence(&documents, problems),
            profiles: profiles(&documents, problems),
            configurations: configurations(&documents, problems),
        }
    }

    fn is_empty(&self) -> bool {
        self.kinds().iter().all(|(_, names)| names.is_empty())
    }

    fn to_json(&self, problems: &Problems) -> Value {
        json!({
            "valid": problems.errors() == 0,
            "journeys": self.journeys,
            "slos": self.slos,
            "models": self.models,
            "evidence": self.evidence,
            "profiles": self.profiles,
            "configurations": self.configurations,
        })
    }

    fn show(&self) {
        for (kind, names) in self.kinds() {
            names.iter().for_each(|name| print_line(format!("ok: {kind} {name}")));
        }
    }

    fn kinds(&self) -> [(&'static str, &Vec<String>); 6] {
        [
            ("journey", &self.journeys),
            ("slo", &self.slos),
            ("model", &self.models),
            ("evidence", &self.evidence),
            ("profile", &self.profiles),
            ("configuration", &self.configurations),
        ]
    }
}

/// `kind` of a document.
fn kind(document: &Document) -> Option<&str> {
    let entries = document.root.entries()?;
    entries.iter().find(|entry| entry.key == "kind").and_then(|entry| entry.value.text())
}

/// Files of valid models, candidates and accepted ones.
fn models(documents: &[Document], problems: &Problems) -> Vec<String> {
    let valid = |document: &&Document| match kind(document) {
        Some(CANDIDATE_KIND) => CandidateModel::read(document, problems).is_some(),
        Some(ACCEPTED_KIND) => AcceptedModel::read(document, problems).is_some(),
        _ => false,
    };
    documents.iter().filter(valid).map(|document| document.source.name().to_owned()).collect()
}

/// Files of valid evidence.
fn evidence(documents: &[Document], problems: &Problems) -> Vec<String> {
    let evidence = documents.iter().filter(|document| kind(document) == Some(measured::KIND));
    let valid = evidence.filter(|document| measured::read(document, problems).is_some());
    valid.map(|document| document.source.name().to_owned()).collect()
}

/// Files of valid simulation profiles.
fn profiles(documents: &[Document], problems: &Problems) -> Vec<String> {
    let profiles = documents.iter().filter(|document| kind(document) == Some(simulate::KIND));
    let valid = profiles.filter(|document| simulate::read(document, problems).is_some());
    valid.map(|document| document.source.name().to_owned()).collect()
}

/// Files of valid configurations.
fn configurations(documents: &[Document], problems: &Problems) -> Vec<String> {
    let configurations = documents.iter().filter(|document| document.is_kind(config::KIND));
    let valid = configurations.filter_map(|document| {
        let file = document.source.name();
        let folder = Path::new(file).parent().unwrap_or(Path::new(""));
        config::read(document.reader(problems), folder).map(|_| file.to_string())
    });
    valid.collect()
}
