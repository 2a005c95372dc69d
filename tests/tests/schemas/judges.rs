//! The two judges of a document: its schema and its reader.

use std::collections::BTreeMap;
use std::path::Path;

use emac_compile::model::{ACCEPTED_KIND, AcceptedModel, CANDIDATE_KIND, CandidateModel, Model};
use emac_compile::simulate::{self, Profile};
use emac_control_plane::config::{self, Config};
use emac_control_plane::schema::{KINDS, Kind, json_schema};
use emac_document::{Limits, Problems, Source, parse};
use emac_journey::intent::{self, Intent};
use emac_journey::measured::{self, MeasuredEvidence};
use jsonschema::Validator;
use serde_json::Value;

/// The schemas by kind.
pub(crate) struct Schemas(BTreeMap<&'static str, Validator>);

impl Schemas {
    /// Those of the tables; that the published ones are the same is a test of its own.
    pub(crate) fn of_the_tables() -> Self {
        let validator = |kind: &Kind| jsonschema::validator_for(&json_schema(kind)).unwrap();
        Self(KINDS.iter().map(|kind| (kind.name, validator(kind))).collect())
    }

    fn of(&self, document: &Value) -> &Validator {
        &self.0[document["kind"].as_str().unwrap()]
    }

    pub(crate) fn takes(&self, document: &Value) -> bool {
        self.of(document).is_valid(document)
    }

    pub(crate) fn problems(&self, document: &Value) -> Vec<String> {
        self.of(document).iter_errors(document).map(|e| format!("{}: {e}", e.instance_path())).collect()
    }
}

/// What a reader made of a document.
#[derive(PartialEq)]
pub(crate) enum Read {
    Intent(Box<Intent>),
    Model(Box<Model>),
    Evidence(MeasuredEvidence),
    Profile(Profile),
    Config(Box<Config>),
}

pub(crate) struct Reading {
    pub(crate) value: Option<Read>,
    /// Messages of errors.
    pub(crate) problems: Vec<String>,
}

impl Reading {
    pub(crate) fn is_taken(&self) -> bool {
        self.value.is_some()
    }

    /// Whether every problem is one that a schema knows: a field too many or too few, or a value of another type.
    pub(crate) fn is_about_shape(&self) -> bool {
        let about_shape = |message: &String| {
            message.starts_with("unknown field `")
                || message.starts_with("the field `")
                || message.starts_with("expected ") && message.contains(", found ")
        };
        !self.problems.is_empty() && self.problems.iter().all(about_shape)
    }
}

/// Whether two readings gave the same; digests and origins aside.
pub(crate) fn same(one: &Reading, other: &Reading) -> bool {
    one.value == other.value
}

/// Reads a document with the reader of its kind.
pub(crate) fn read(document: &Value) -> Reading {
    let problems = Problems::new();
    let parsed = parse(&Source::new("document", document.to_string()), &Limits::default(), &problems);
    let document_ = &parsed[0];
    let value = match document["kind"].as_str().unwrap() {
        intent::KIND => intent::read(document_, &problems)
            .map(|intent| Read::Intent(Box::new(Intent { digest: String::new(), ..intent }))),
        CANDIDATE_KIND => CandidateModel::read(document_, &problems).map(|model| of_model(model.model())),
        ACCEPTED_KIND => AcceptedModel::read(document_, &problems).map(|model| of_model(model.model())),
        measured::KIND => measured::read(document_, &problems).map(Read::Evidence),
        simulate::KIND => simulate::read(document_, &problems).map(Read::Profile),
        config::KIND => config::read(document_.reader(&problems), Path::new(""))
            .map(|config| Read::Config(Box::new(config))),
        other => panic!("{other} has no reader here"),
    };
    let errors = problems.list().into_iter().filter(|problem| problem.severity.label() == "error");
    Reading { value, problems: errors.map(|problem| problem.message).collect() }
}

fn of_model(model: &Model) -> Read {
    Read::Model(Box::new(Model { digest: String::new(), ..model.clone() }))
}

/// A model as this project writes it, sealed; `None` for other kinds.
pub(crate) fn rewritten(document: &Value) -> Option<Value> {
    let problems = Problems::new();
    let parsed = parse(&Source::new("document", document.to_string()), &Limits::default(), &problems);
    match document["kind"].as_str()? {
        CANDIDATE_KIND => CandidateModel::read(&parsed[0], &problems).map(|model| model.document()),
        ACCEPTED_KIND => AcceptedModel::read(&parsed[0], &problems).map(|model| model.document()),
        _ => None,
    }
}
