//! Declared journeys with their accepted models and the files that both stand in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::compile::Promises;
use crate::document::{Document, Limits, Problem, Problems, read_file};
use crate::intent::{self, Intent};
use crate::model::{ACCEPTED_KIND, AcceptedModel};
use crate::slo::Slos;

/// Every declared journey; the lists are equally long and in the order of names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declared {
    /// What they promise.
    pub intents: Vec<Intent>,
    /// The models somebody agreed to; `None`: the intent's own structure acts.
    pub accepted: Vec<Option<AcceptedModel>>,
    /// What their components promise.
    pub promises: Vec<Promises>,
    /// Where their models stand.
    pub files: Vec<Files>,
}

/// The files of one journey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Of the accepted model; may not be there.
    pub model: PathBuf,
    /// Of the candidate.
    pub candidate: PathBuf,
}

impl Declared {
    /// Reads the accepted models of intents. One that cannot be used is a problem: nothing is planned from a model that somebody edited.
    pub(super) fn of(intents: Vec<Intent>, documents: &[Document], slos: &Slos, problems: &Problems) -> Self {
        let places = places(documents);
        // Whatever a reference leads to was judged where the planner's numbers were made.
        let unheard = Problems::new();
        let mut declared = Self::default();
        for intent in intents {
            let files = files(&intent, &places);
            declared.promises.push(slos.resolve(&intent, &unheard));
            declared.accepted.push(accepted(&files.model, &intent, problems));
            declared.files.push(files);
            declared.intents.push(intent);
        }
        declared
    }
}

/// Files of intents by journey.
fn places(documents: &[Document]) -> BTreeMap<String, PathBuf> {
    let mut places = BTreeMap::new();
    let unheard = Problems::new();
    for document in documents {
        for intent in intent::of(std::slice::from_ref(document), &unheard) {
            places.entry(intent.name.to_string()).or_insert_with(|| PathBuf::from(document.source.name()));
        }
    }
    places
}

/// Beside the intent: `model.yaml` and `candidate.yaml`, with the journey's name before them where the folder holds several intents.
fn files(intent: &Intent, places: &BTreeMap<String, PathBuf>) -> Files {
    let name = intent.name.as_str();
    let place = places.get(name).cloned().unwrap_or_default();
    let folder = place.parent().unwrap_or(Path::new(""));
    let alone = places.values().filter(|other| other.parent() == Some(folder)).count() <= 1;
    let file = |kind: &str| if alone { format!("{kind}.yaml") } else { format!("{name}.{kind}.yaml") };
    let model = intent.evidence.discovered_model.clone().unwrap_or_else(|| file("model"));
    Files { model: folder.join(model), candidate: folder.join(file("candidate")) }
}

fn accepted(file: &Path, intent: &Intent, problems: &Problems) -> Option<AcceptedModel> {
    if !file.is_file() {
        return None;
    }
    let documents = read_file(file, &Limits::default(), problems);
    let is_accepted = |document: &&Document| {
        let mut entries = document.root.entries().into_iter().flatten();
        entries.any(|entry| entry.key == "kind" && entry.value.text() == Some(ACCEPTED_KIND))
    };
    let model = AcceptedModel::read(documents.iter().find(is_accepted)?, problems)?;
    if model.model().journey != intent.name.as_str() {
        let message = format!("this is a model of `{}`, not of `{}`", model.model().journey, intent.name);
        problems.push(Problem::error(message).in_file(file.display().to_string()));
        return None;
    }
    Some(model)
}
