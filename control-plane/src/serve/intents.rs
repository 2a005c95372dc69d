//! The intents in force, and the files they come from.
//!
//! Read at the start and again when a file changed, appeared or went, or on SIGHUP. A set of files with any error changes nothing:
//! the last good intents stay in force, the problems are logged and counted. The accepted model of a journey stands beside its intent
//! (`model.yaml`); where there is one, its structure is planned, and one that was edited by hand is an error. SLO documents among the files are resolved for the
//! availability of components that declare none of their own.

mod declared;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::document::{Limits, Problem, Problems, list_files, read_all};
use crate::intent::{self, Intent};
use crate::model::AcceptedModel;
use crate::plan::JourneyInput;
use crate::slo::Slos;
pub use declared::{Declared, Files};

/// Intents read from files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Intents {
    /// Journeys as the planner sees them, by name; those without entry or deadline are left out.
    pub journeys: Vec<JourneyInput>,
    /// All of them, with their accepted models.
    pub declared: Declared,
}

/// Every file looked at, with what tells that it changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<(PathBuf, Option<(u64, SystemTime)>)>);

impl Intents {
    /// Reads every intent under some patterns (files, directories, globs). `None` when there was an error; all are in `problems`.
    pub fn load(patterns: &[String], problems: &Problems) -> Option<Self> {
        let documents = read_all(&expand(patterns, problems), &Limits::default(), problems);
        let intents = intent::of(&documents, problems);
        let slos = Slos::read(&documents, problems);
        let declared = Declared::of(intents, &documents, &slos, problems);
        let both = declared.intents.iter().zip(&declared.accepted);
        let planned = both.filter_map(|(intent, accepted)| {
            let mut planned = for_planner(intent, &slos, problems)?;
            if let Some(accepted) = accepted {
                act_on(accepted, &mut planned, problems);
            }
            Some(planned)
        });
        let journeys = planned.collect();
        (problems.errors() == 0).then_some(Self { journeys, declared })
    }
}

impl Fingerprint {
    /// Looks at every file: one directory listing and one `stat` a file.
    pub(super) fn take(patterns: &[String]) -> Self {
        let unheard = Problems::new();
        let files = list_files(&expand(patterns, &unheard), &unheard);
        Self(
            files
                .into_iter()
                .map(|file| {
                    let seen = look(&file);
                    (file, seen)
                })
                .collect(),
        )
    }
}

/// Plans by the structure that somebody agreed to. Of a component that the intent does not declare nobody knows how it is reached: then the intent's
/// own structure stays.
fn act_on(accepted: &AcceptedModel, planned: &mut JourneyInput, problems: &Problems) {
    let Some(structure) = &accepted.model().structure else { return };
    if let Some(unknown) = structure.leaves().into_iter().find(|leaf| !planned.components.contains_key(*leaf))
    {
        let message = format!(
            "the accepted model of `{}` calls `{unknown}`, which the intent does not declare: the intent's structure is planned",
            planned.name
        );
        return problems.push(Problem::warning(message));
    }
    planned.structure = structure.clone();
    planned.model_digest = accepted.version().unwrap_or_default().to_owned();
}

fn look(file: &Path) -> Option<(u64, SystemTime)> {
    let metadata = file.metadata().ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

impl Fingerprint {
    /// The same, and the accepted models of intents that stand elsewhere or are not there yet.
    pub(super) fn with_models(mut self, intents: &Intents) -> Self {
        for files in &intents.declared.files {
            if !self.0.iter().any(|(file, _)| *file == files.model) {
                self.0.push((files.model.clone(), look(&files.model)));
            }
        }
        self
    }
}

fn for_planner(intent: &Intent, slos: &Slos, problems: &Problems) -> Option<JourneyInput> {
    // Without any SLO document references lead nowhere by design: the documents may live elsewhere.
    if slos.iter().next().is_none() {
        return JourneyInput::of(intent, |_| None);
    }
    let promises = slos.resolve(intent, problems);
    JourneyInput::of(intent, |component| promises.get(component)?.availability)
}

/// Paths of patterns; one that is no pattern stands for itself, so that a missing file is a problem, and so is one without a match.
fn expand(patterns: &[String], problems: &Problems) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for pattern in patterns {
        if !pattern.contains(['*', '?', '[']) {
            paths.push(PathBuf::from(pattern));
            continue;
        }
        match glob::glob(pattern) {
            Ok(found) => {
                let before = paths.len();
                paths.extend(found.filter_map(Result::ok));
                if paths.len() == before {
                    problems.push(Problem::error("no file matches this pattern").in_file(pattern));
                }
            }
            Err(error) => {
                problems.push(Problem::error(format!("not a path pattern: {}", error.msg)).in_file(pattern))
            }
        }
    }
    paths
}
