//! A journey as it stands in a repository: its intent, the model that somebody accepted, what its components promise, and the files of both.
//!
//! Here, and only here, is decided which structure acts; `serve`, `gate`, `compile`, `explain` and the drift watch ask. The rule:
//!
//! 1. The accepted model, in the file that `spec.evidence.modelDiscovery.discoveredModelRef` names; without it in `model.yaml` beside the intent, or
//!    in `<journey>.model.yaml` where the folder holds intents of several journeys.
//! 2. Where there is none, or where it calls a component of which the intent does not say how it is reached: the structure that the intent declares.
//!
//! A model that somebody edited by hand is an error, never a reason to fall back. Whatever is not used is said once, as a warning.

mod declaration;
mod files;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use emac_core::journey::Journey;

use crate::model::{ACCEPTED_KIND, AcceptedModel, CANDIDATE_KIND};
use declaration::Texts;
use emac_document::{Document, Limits, Problem, Problems, read_file};
use emac_journey::intent::{self, Intent};
use emac_journey::slo::{Promises, Slos};
use files::Folders;
pub use files::{Files, name_of};

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// What is promised.
    pub intent: Intent,
    /// What its components promise.
    pub promises: Promises,
    /// Where its models stand.
    pub files: Files,
    /// What the intent itself says, as a model.
    own: AcceptedModel,
    accepted: Option<AcceptedModel>,
    /// Why the accepted model does not act, where there is one and it does not.
    unusable: Option<String>,
    /// What was read; `None` where the journey was put together otherwise.
    texts: Option<Texts>,
}

impl Declared {
    /// From what was read. `accepted`: what somebody agreed to, if anything.
    pub fn new(intent: Intent, accepted: Option<AcceptedModel>, promises: Promises, files: Files) -> Self {
        let own = AcceptedModel::declared(&intent);
        let unusable = accepted.as_ref().and_then(|accepted| unreachable(accepted, &intent));
        Self { intent, promises, files, own, accepted, unusable, texts: None }
    }

    /// Every journey of some documents, in their order. A model that cannot be read is an error: nothing acts on what somebody edited.
    pub fn of(documents: &[Document], slos: &Slos, problems: &Problems) -> Vec<Self> {
        let intents = intent::of(documents, problems);
        let (places, mut folders) = (files::places(documents), Folders::default());
        let declared = |intent: Intent| {
            let promises = promises(slos, &intent, problems);
            let place = places.get(intent.name.as_str());
            let file = place.map(|place| PathBuf::from(place.source.name())).unwrap_or_default();
            let files = folders.files(&file, &intent, problems);
            let (declared, accepted) = Self::with_files(intent, promises, files, problems);
            let texts = place.map(|place| Texts { intent: declaration::text(place), accepted });
            Self { texts, ..declared }
        };
        intents.into_iter().map(declared).collect()
    }

    /// One journey, with the accepted model beside the file that its intent was read from.
    pub fn beside(intent: Intent, promises: Promises, file: &Path, problems: &Problems) -> Self {
        let files = Files::beside(file, &intent, problems);
        Self::with_files(intent, promises, files, problems).0
    }

    /// With the text of its accepted model.
    fn with_files(
        intent: Intent,
        promises: Promises,
        files: Files,
        problems: &Problems,
    ) -> (Self, Option<Arc<str>>) {
        let (accepted, text) = accepted(&files, &intent, problems).unzip();
        let declared = Self::new(intent, accepted, promises, files);
        if let Some(reason) = &declared.unusable {
            problems.push(Problem::warning(reason).in_file(declared.files.model.display().to_string()));
        }
        (declared, text)
    }

    /// The journey as its document says now, everything else as it was read: `None` where that is not enough, because the document names another journey or another
    /// file of its model, or because what enters it changed, which concerns other journeys; also when there was an error.
    pub fn read_again(&self, document: &Document, slos: &Slos, problems: &Problems) -> Option<Self> {
        let intent = intent::read(document, problems)?;
        let same = intent.name == self.intent.name
            && intent.entry == self.intent.entry
            && intent.runtime.policy.edges == self.intent.runtime.policy.edges
            && intent.evidence.discovered_model == self.intent.evidence.discovered_model;
        if !same {
            return None;
        }
        let promises = promises(slos, &intent, problems);
        let (declared, accepted) = Self::with_files(intent, promises, self.files.clone(), problems);
        let texts = Some(Texts { intent: declaration::text(document), accepted });
        (problems.errors() == 0).then_some(Self { texts, ..declared })
    }

    /// The model that acts.
    pub fn acting(&self) -> &AcceptedModel {
        if self.unusable.is_some() { &self.own } else { self.agreed() }
    }

    /// What evidence is compared with: what somebody agreed to, acting or not; else what the intent declares.
    pub fn agreed(&self) -> &AcceptedModel {
        self.accepted.as_ref().unwrap_or(&self.own)
    }

    /// The structure that acts: the acting model's, or the intent's where that model has none.
    pub fn structure(&self) -> &Journey {
        self.acting().model().structure.as_ref().unwrap_or(&self.intent.structure)
    }

    /// What names the structure that acts: the model's seal where the structure is the model's, else the intent's digest.
    pub fn structure_version(&self) -> &str {
        let acting = self.acting();
        let own = acting.model().structure.is_none();
        acting.version().filter(|_| !own).unwrap_or(&self.intent.digest)
    }
}

/// Without any SLO document references lead nowhere by design: the documents may live elsewhere.
fn promises(slos: &Slos, intent: &Intent, problems: &Problems) -> Promises {
    let unheard = Problems::new();
    slos.resolve(intent, if slos.iter().next().is_none() { &unheard } else { problems })
}

/// Of a component that the intent does not declare nobody knows how it is reached.
fn unreachable(accepted: &AcceptedModel, intent: &Intent) -> Option<String> {
    let structure = accepted.model().structure.as_ref()?;
    let unknown = structure.leaves().into_iter().find(|leaf| !intent.components.contains_key(*leaf))?;
    Some(format!(
        "the accepted model of `{}` calls `{unknown}`, which the intent does not declare: the structure that the intent declares acts",
        intent.name
    ))
}

fn accepted(files: &Files, intent: &Intent, problems: &Problems) -> Option<(AcceptedModel, Arc<str>)> {
    let name = files.model.display().to_string();
    let unused = |message: String| problems.push(Problem::warning(message).in_file(&name));
    if !files.model.is_file() {
        if files.is_referred {
            unused(format!(
                "discoveredModelRef of `{}` names this file, which is not there: the structure that the intent declares acts",
                intent.name
            ));
        }
        return None;
    }
    let before = problems.errors();
    let documents = read_file(&files.model, &Limits::default(), problems);
    let Some(document) = documents.iter().find(|document| document.is_kind(ACCEPTED_KIND)) else {
        if problems.errors() == before {
            let what = if documents.iter().any(|document| document.is_kind(CANDIDATE_KIND)) {
                "this model is a candidate that nobody has accepted"
            } else {
                "there is no accepted model in this file"
            };
            unused(format!("{what}: the structure that the intent of `{}` declares acts", intent.name));
        }
        return None;
    };
    let model = AcceptedModel::read(document, problems)?;
    if model.model().journey != intent.name.as_str() {
        let message = format!("this is a model of `{}`, not of `{}`", model.model().journey, intent.name);
        problems.push(Problem::error(message).in_file(name));
        return None;
    }
    Some((model, declaration::text(document)))
}

#[cfg(test)]
mod tests;
