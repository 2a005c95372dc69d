//! Where a journey's models stand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use emac_document::{Document, Limits, Problem, Problems, files_in, read_file};
use emac_journey::intent::{self, Intent};

/// The files of one journey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Of the accepted model; may not be there.
    pub model: PathBuf,
    /// Of the candidate.
    pub candidate: PathBuf,
    /// The intent names the file of the model (`discoveredModelRef`).
    pub is_referred: bool,
}

/// Files of intents by journey.
#[derive(Debug)]
pub(super) struct Places(BTreeMap<String, PathBuf>);

/// Where the intents of some documents stand.
pub(super) fn places(documents: &[Document]) -> Places {
    let mut places = BTreeMap::new();
    for document in documents {
        for name in names(std::slice::from_ref(document)) {
            places.entry(name).or_insert_with(|| PathBuf::from(document.source.name()));
        }
    }
    Places(places)
}

impl Places {
    /// The files of an intent that stands in one of these places.
    pub(super) fn files(&self, intent: &Intent, problems: &Problems) -> Files {
        let place = self.0.get(intent.name.as_str()).cloned().unwrap_or_default();
        beside(&place, intent, problems)
    }
}

/// The files of an intent that stands in `place`. What the folder holds decides their names, not what somebody happened to read of it.
pub(super) fn beside(place: &Path, intent: &Intent, problems: &Problems) -> Files {
    let folder = place.parent().unwrap_or(Path::new(""));
    let journey = intent.name.as_str();
    let alone = journeys_in(folder).into_iter().all(|other| other == journey);
    let file = |kind: &str| if alone { format!("{kind}.yaml") } else { format!("{journey}.{kind}.yaml") };
    let referred = intent.evidence.discovered_model.clone();
    let files = Files {
        is_referred: referred.is_some(),
        model: folder.join(referred.unwrap_or_else(|| file("model"))),
        candidate: folder.join(file("candidate")),
    };
    let shared = folder.join("model.yaml");
    if !alone && shared != files.model && shared.is_file() {
        let message = format!(
            "this file is not read: the folder holds intents of several journeys, and the model of `{journey}` is {}",
            files.model.display()
        );
        problems.push(Problem::warning(message).in_file(shared.display().to_string()));
    }
    files
}

/// Names of the journeys whose intents a folder holds itself; what is wrong with its files is told by whoever reads them.
fn journeys_in(folder: &Path) -> Vec<String> {
    let unheard = Problems::new();
    let files = files_in(folder).into_iter().filter(|file| may_hold_an_intent(file));
    files.flat_map(|file| names(&read_file(&file, &Limits::default(), &unheard))).collect()
}

/// Traces and other large files lie beside intents, and reading them as documents would take long.
fn may_hold_an_intent(file: &Path) -> bool {
    let small = file.metadata().is_ok_and(|file| file.len() <= Limits::default().bytes_max as u64);
    let says = |bytes: Vec<u8>| bytes.windows(intent::KIND.len()).any(|part| part == intent::KIND.as_bytes());
    small && std::fs::read(file).is_ok_and(says)
}

fn names(documents: &[Document]) -> Vec<String> {
    let unheard = Problems::new();
    intent::of(documents, &unheard).into_iter().map(|intent| intent.name.to_string()).collect()
}
