//! Where a journey's models stand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use emac_document::{Document, Limits, Node, Problem, Problems, files_in, read_file};
use emac_journey::intent::{self, Intent};

/// The files of one journey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Of the intent itself, as it was named when it was read.
    pub intent: PathBuf,
    /// Of the accepted model; may not be there.
    pub model: PathBuf,
    /// Of the candidate.
    pub candidate: PathBuf,
    /// The intent names the file of the model (`discoveredModelRef`).
    pub is_referred: bool,
}

impl Files {
    /// The files of an intent that stands in the file `place`; a `model.yaml` there that is not read is told.
    pub fn beside(place: &Path, intent: &Intent, problems: &Problems) -> Self {
        Folders::default().files(place, intent, problems)
    }
}

/// Where the intents of some documents stand, by journey.
pub(super) fn places(documents: &[Document]) -> BTreeMap<String, &Document> {
    let mut places = BTreeMap::new();
    for document in documents {
        if let Some(name) = name_of(document) {
            places.entry(name).or_insert(document);
        }
    }
    places
}

/// The journeys of each folder that was looked into: it is read once, however many intents stand in it.
#[derive(Debug, Default)]
pub(super) struct Folders(BTreeMap<PathBuf, BTreeSet<String>>);

impl Folders {
    /// The files of an intent that stands in `place`. What the folder holds decides their names, not what somebody happened to read of it.
    pub(super) fn files(&mut self, place: &Path, intent: &Intent, problems: &Problems) -> Files {
        let folder = place.parent().unwrap_or(Path::new(""));
        let journey = intent.name.as_str();
        let journeys = self.0.entry(folder.to_owned()).or_insert_with(|| journeys_in(folder));
        let alone = journeys.iter().all(|other| other == journey);
        let file = |kind: &str| if alone { format!("{kind}.yaml") } else { format!("{journey}.{kind}.yaml") };
        let referred = intent.evidence.discovered_model.clone();
        let files = Files {
            intent: place.to_owned(),
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
}

/// Names of the journeys whose intents a folder holds itself; what is wrong with its files is told by whoever reads them.
fn journeys_in(folder: &Path) -> BTreeSet<String> {
    let unheard = Problems::new();
    let files = files_in(folder).into_iter().filter(|file| may_hold_an_intent(file));
    let documents = files.flat_map(|file| read_file(&file, &Limits::default(), &unheard));
    documents.filter_map(|document| name_of(&document)).collect()
}

/// Traces and other large files lie beside intents, and reading them as documents would take long.
fn may_hold_an_intent(file: &Path) -> bool {
    let small = file.metadata().is_ok_and(|file| file.len() <= Limits::default().bytes_max as u64);
    let says = |bytes: Vec<u8>| bytes.windows(intent::KIND.len()).any(|part| part == intent::KIND.as_bytes());
    small && std::fs::read(file).is_ok_and(says)
}

/// The journey of an intent, valid or not: a mistake elsewhere in it does not rename the files of its neighbours.
pub fn name_of(document: &Document) -> Option<String> {
    let field = |node: &Node, key: &str| {
        node.entries()?.iter().find(|entry| entry.key == key).map(|entry| entry.value.clone())
    };
    let name = || field(&field(&document.root, "metadata")?, "name")?.text().map(str::to_owned);
    intent::is_intent(document).then(name).flatten()
}
