//! A journey as one text: what a plan was made from, for whoever does not have its files.
//!
//! Canonical JSON with three members: `intent` and `model` as they stand in their files, less comments and layout (`model` is null where nobody accepted one),
//! and `promises`, the availabilities that SLO documents gave its components. Equal files give equal bytes, so the text's SHA-256 names what it says.

use std::sync::Arc;

use emac_core::journey::ComponentName;
use emac_core::units::Ratio;
use serde_json::{Map, Value as Json, json};

use super::{Declared, Files};
use crate::model::AcceptedModel;
use emac_document::{Document, Limits, Node, Problem, Problems, Source, parse, sha256_hex};
use emac_journey::intent;
use emac_journey::slo::{Promise, Promises};

/// The documents of a journey as canonical JSON.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Texts {
    pub(super) intent: Arc<str>,
    pub(super) accepted: Option<Arc<str>>,
}

/// A document as canonical JSON.
pub(super) fn text(document: &Document) -> Arc<str> {
    intent::canonical_json(&document.root).to_string().into()
}

impl Declared {
    /// The journey as one text; `None` where it was not read from files with others. See the module. Cost: a copy of both documents.
    pub fn declaration(&self) -> Option<String> {
        let texts = self.texts.as_ref()?;
        let promised = self
            .promises
            .iter()
            .filter_map(|(name, promise)| Some((name.to_string(), json!(promise.availability?.get()))));
        let promises = Json::Object(Map::from_iter(promised));
        let accepted = texts.accepted.as_deref().unwrap_or("null");
        Some(format!(r#"{{"intent":{},"model":{accepted},"promises":{promises}}}"#, texts.intent))
    }

    /// What names the text: its SHA-256 (hex). Empty where there is none.
    pub fn declaration_digest(&self) -> String {
        self.declaration().map(sha256_hex).unwrap_or_default()
    }

    /// Reads such a text, which came from somewhere called `origin`. `None` when there was an error; all of them are in `problems`.
    pub fn of_declaration(declaration: &str, origin: &str, problems: &Problems) -> Option<Self> {
        let source = Source::new(origin, declaration);
        let documents = parse(&source, &Limits::default(), problems);
        let member = |name: &str| -> Option<Document> {
            let entry = documents.first()?.root.entries()?.iter().find(|entry| entry.key == name)?;
            Some(Document { source: Arc::clone(&source), root: entry.value.clone() })
        };
        let Some(document) = member("intent") else {
            problems.push(Problem::error("no intent in it").in_file(origin));
            return None;
        };
        let intent = intent::read(&document, problems)?;
        let model = member("model").filter(|model| model.root.value != emac_document::Value::Null);
        let accepted = match &model {
            Some(model) => Some(AcceptedModel::read(model, problems)?),
            None => None,
        };
        let promises = member("promises").map(|promises| promises_of(&promises.root)).unwrap_or_default();
        let files = Files {
            intent: origin.into(),
            model: origin.into(),
            candidate: origin.into(),
            is_referred: false,
        };
        let texts = Texts { intent: text(&document), accepted: model.as_ref().map(text) };
        Some(Self { texts: Some(texts), ..Self::new(intent, accepted, promises, files) })
    }

    /// Whether the accepted model of this journey came before that of the other one, by the other one's lineage.
    pub fn is_older_than(&self, other: &Self) -> bool {
        let version = self.accepted.as_ref().and_then(AcceptedModel::version);
        let record = other.accepted.as_ref().and_then(AcceptedModel::record);
        version.zip(record).is_some_and(|(version, record)| {
            record.lineage.iter().any(|ancestor| ancestor.version == version)
        })
    }
}

/// What cannot be a promise is none.
fn promises_of(root: &Node) -> Promises {
    let entries = root.entries().unwrap_or_default().iter();
    let promise = |entry: &emac_document::Entry| {
        let share = intent::canonical_json(&entry.value).as_f64().and_then(|share| Ratio::new(share).ok())?;
        let promise = Promise { availability: Some(share), ..Promise::default() };
        Some((ComponentName::new(&entry.key).ok()?, promise))
    };
    entries.filter_map(promise).collect()
}
