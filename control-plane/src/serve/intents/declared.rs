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

#[cfg(test)]
mod tests {
    use emac_core::journey::{Journey, parse};

    use super::super::Intents;
    use super::*;
    use crate::accept::{Consent, Proposal, Selection};
    use crate::document::render_text;
    use crate::model::{CandidateModel, EvidenceRef, EvidenceSource};

    const INTENT: &str = include_str!("../../../examples/checkout/intent.yaml");
    const RACE: &str = "Series(front, Parallel(Fallback(pricing, 0.5*cached-price), cart), Race(paya, payb))";

    /// The checkout whose providers race, as somebody agreed to it.
    fn raced(intent: &Intent) -> AcceptedModel {
        let declared = AcceptedModel::declared(intent);
        let mut model = declared.model().clone();
        model.structure = Some(Journey::new(parse(RACE).unwrap()).unwrap());
        let (name, digest) = ("traces.json".to_owned(), "0".repeat(64));
        model.evidence.push(EvidenceRef { name, source: EvidenceSource::Traces, digest });
        let candidate = CandidateModel::new(model, None);
        let proposal = Proposal::new(&declared, &candidate, Some(intent));
        let all = Selection::new(&proposal, &[], true).unwrap();
        let consent = Consent { by: "ann", at: "2026-01-31T12:00:00Z" };
        proposal.accept(&all, Some(intent), consent).unwrap()
    }

    fn load(folder: &Path) -> Result<Intents, String> {
        let problems = Problems::new();
        let intents = Intents::load(&[folder.display().to_string()], &problems);
        intents.ok_or_else(|| render_text(&problems, false))
    }

    #[test]
    fn what_somebody_agreed_to_is_planned_and_what_somebody_edited_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("intent.yaml"), INTENT).unwrap();
        let alone = load(folder.path()).unwrap();
        assert_eq!(alone.journeys[0].model_digest, alone.declared.intents[0].digest);

        let accepted = raced(&alone.declared.intents[0]);
        std::fs::write(folder.path().join("model.yaml"), accepted.to_text()).unwrap();
        let both = load(folder.path()).unwrap();
        assert_eq!(both.journeys[0].structure.to_string(), RACE);
        assert_eq!(Some(both.journeys[0].model_digest.as_str()), accepted.version());

        let edited = accepted.to_text().replace("payment-network-b", "payment-network-a");
        std::fs::write(folder.path().join("model.yaml"), edited).unwrap();
        let problem = load(folder.path()).unwrap_err();
        assert!(problem.contains("seal") && problem.contains("model.yaml"), "{problem}");
    }

    #[test]
    fn journeys_that_share_a_folder_have_files_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.yaml"), INTENT).unwrap();
        let alone = load(folder.path()).unwrap();
        assert_eq!(alone.declared.files[0].candidate, folder.path().join("candidate.yaml"));
        let other =
            INTENT.replace("name: checkout", "name: other").replace("path: /checkout", "path: /other");
        std::fs::write(folder.path().join("b.yaml"), other).unwrap();
        let both = load(folder.path()).unwrap();
        let names = |files: &Files| (files.model.clone(), files.candidate.clone());
        let expected = ["checkout", "other"].map(|name| {
            let file = |kind: &str| folder.path().join(format!("{name}.{kind}.yaml"));
            (file("model"), file("candidate"))
        });
        assert_eq!(both.declared.files.iter().map(names).collect::<Vec<_>>(), expected);
    }
}
