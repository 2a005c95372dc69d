//! `emac check`: are these files valid? All problems of all of them at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::exit::Exit;
use super::output::{Format, print_answer, print_line, show_problems};
use crate::config;
use emac_compile::model::{ACCEPTED_KIND, AcceptedModel, CANDIDATE_KIND, CandidateModel};
use emac_compile::simulate;
use emac_document::{Document, Limits, Problem, Problems, read_all};
use emac_journey::slo::{DocumentObject, Promises, Slo, Slos, Taken, counted, objects};
use emac_journey::{intent, measured};

/// Validate intents, SLOs, models, evidence, profiles and configurations; reports every problem
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  emac check emac.yaml journeys/
  emac check --format json journeys/checkout/intent.yaml")]
pub(super) struct Args {
    /// Files, or directories searched for .yaml, .yml and .json files; other kinds of documents are named and skipped, templates of Helm charts and
    /// what an .emacignore names are left out
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Exit {
    let problems = Problems::new();
    let found = ValidNames::read(&args.paths, &problems);
    if problems.errors() == 0 && found.is_empty() {
        let problem = Problem::error(
            "no intent, SLO, model, evidence, profile or configuration found in the given paths",
        );
        let unread = found.unread().map(|unread| format!("not read: {unread}"));
        problems.push(Problem { help: unread, ..problem });
    }
    match args.format {
        Format::Json => print_answer(found.to_json(&problems), &problems),
        Format::Text => {
            if problems.errors() == 0 {
                found.show();
            }
            if !problems.is_empty() {
                show_problems(&problems, Format::Text);
            }
        }
    }
    if problems.errors() == 0 { Exit::Ok } else { Exit::InvalidInput }
}

/// What is valid, by name, and what is not ours to read.
struct ValidNames {
    journeys: Vec<String>,
    /// What their components' SLOs were taken as, by journey.
    promises: BTreeMap<String, Promises>,
    /// Those of one name with their places.
    slos: Vec<String>,
    /// What each of them is taken as by itself.
    taken: BTreeMap<String, Vec<String>>,
    models: Vec<String>,
    evidence: Vec<String>,
    profiles: Vec<String>,
    configurations: Vec<String>,
    /// Documents of other kinds, counted by kind.
    other: BTreeMap<String, usize>,
}

impl ValidNames {
    fn read(paths: &[PathBuf], problems: &Problems) -> Self {
        let documents = read_all(paths, &Limits::default(), problems);
        let intents = intent::of(&documents, problems);
        let slos = Slos::read(&documents, problems);
        // References lead nowhere as long as no SLO was given: they may live in another repository.
        let promises = intents.iter().filter(|_| slos.iter().next().is_some());
        let promises =
            promises.map(|intent| (intent.name.to_string(), slos.resolve(intent, problems))).collect();
        let taken = |slo| Slos::taken(slo).iter().map(|taken| taken.as_what.to_string()).collect();
        let named = |slo: &Slo| match slos.iter().filter(|other| other.name == slo.name).count() {
            1 => slo.name.clone(),
            _ => format!("{} ({})", slo.name, slo.place),
        };
        Self {
            journeys: intents.iter().map(|intent| intent.name.to_string()).collect(),
            promises,
            slos: slos.iter().map(named).collect(),
            taken: slos.iter().map(|slo| (named(slo), taken(slo))).collect(),
            models: models(&documents, problems),
            evidence: evidence(&documents, problems),
            profiles: profiles(&documents, problems),
            configurations: configurations(&documents, problems),
            other: counted(objects(&documents).into_iter().filter(|object| !is_read(*object))),
        }
    }

    /// `2 Service (openslo/v1), 1 Deployment (apps/v1)`.
    fn unread(&self) -> Option<String> {
        let counts = self.other.iter().map(|(kind, count)| format!("{count} {kind}"));
        let counts: Vec<_> = counts.collect();
        (!counts.is_empty()).then(|| counts.join(", "))
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
            "taken": self.taken,
            "promises": self.promises.iter().map(|(journey, promises)| (journey.clone(), promises_json(promises))).collect::<Map<_, _>>(),
            "notRead": self.other,
        })
    }

    fn show(&self) {
        for (kind, names) in self.kinds() {
            for name in names {
                let taken = self.taken.get(name).filter(|_| kind == "slo").map(|taken| taken.join("; "));
                print_line(format!(
                    "ok: {kind} {name}{}",
                    taken.map_or_else(String::new, |taken| format!(": {taken}"))
                ));
                let promises = self.promises.get(name).filter(|_| kind == "journey");
                for (component, promise) in
                    promises.into_iter().flatten().filter(|(_, promise)| !promise.taken.is_empty())
                {
                    print_line(format!("  {component}: {}", Taken::line(&promise.taken)));
                }
            }
        }
        if let Some(unread) = self.unread() {
            print_line(format!("not read: {unread}"));
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

/// What a journey's components promise, in words.
fn promises_json(promises: &Promises) -> Value {
    let words = |promise: &emac_journey::slo::Promise| {
        promise.taken.iter().map(|taken| json!(taken.to_string())).collect::<Value>()
    };
    promises
        .iter()
        .map(|(component, promise)| (component.to_string(), words(promise)))
        .collect::<Map<_, _>>()
        .into()
}

/// Whether somebody here reads an object. Of lists only SLOs are taken.
fn is_read(object: DocumentObject<'_>) -> bool {
    const OURS: [&str; 6] =
        [intent::KIND, CANDIDATE_KIND, ACCEPTED_KIND, measured::KIND, simulate::KIND, config::KIND];
    Slos::reads(object) || !object.is_listed() && object.kind().is_some_and(|kind| OURS.contains(&kind))
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
