//! What documents may say, as data: a table of fields for every mapping of every kind.
//!
//! The JSON Schemas under `deploy/schemas` and the field tables of `docs/reference.md` are made from these tables, so that an editor, a
//! reference and a reader say the same. Nobody writes a table: a reader declares its fields (`emac_document::Fields::field`), and
//! `emac_document::describe` runs it over nothing and notes what it declares. Only the report, which is written and not read, has its table here.
//!
//! Adding a field: declare it where its section is read, and run `make golden`. That shapes say what readers take is tested both ways: a sample of every field's shape is given
//! to its reader, and spoilt documents must be refused by both (`tests/tests/schemas`). Left out: rules between sections (a `ref`
//! that leads nowhere, a budget without a domain), which only readers know, and empty fields (`target:`), which readers of what people write take for
//! absent ones and schemas refuse.

mod json;
mod markdown;
mod report;

pub use emac_document::shape::{Field, Form, Mapping, Named, Need, Rule, Scalar, Shape};
pub use json::json_schema;
pub use markdown::{field_table, operator_table};

use std::sync::LazyLock;

use crate::config;
use emac_compile::{compile, model, simulate};
use emac_document::API_VERSION;
use emac_journey::{intent, measured};

/// A kind of document.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// `kind`.
    pub name: &'static str,
    /// The name of its schema, without `.json`.
    pub file: &'static str,
    /// What it is for, in one sentence.
    pub says: &'static str,
    /// Its fields, `apiVersion` and `kind` aside.
    pub root: fn() -> &'static Mapping,
    /// What `apiVersion` may be.
    pub versions: &'static [&'static str],
}

impl Kind {
    /// Whether it is read here; otherwise it is only written.
    pub fn is_read(&self) -> bool {
        self.name != compile::REPORT_KIND
    }
}

/// Tables that readers declare, made once.
static INTENT: LazyLock<&Mapping> = LazyLock::new(intent::table);
static CONFIG: LazyLock<&Mapping> = LazyLock::new(config::table);
static EVIDENCE: LazyLock<&Mapping> = LazyLock::new(measured::table);
static MODEL: LazyLock<&Mapping> = LazyLock::new(model::table);
static PROFILE: LazyLock<&Mapping> = LazyLock::new(simulate::table);

/// Every kind, the one people write most first.
pub const KINDS: [Kind; 7] = [
    Kind {
        name: intent::KIND,
        file: "journey-intent",
        says: "What a journey promises, and what may be done to keep the promise.",
        root: || *INTENT,
        versions: &[API_VERSION],
    },
    Kind {
        name: model::CANDIDATE_KIND,
        file: "discovered-journey-model",
        says: "What evidence suggests that a journey is; a candidate, which never acts.",
        root: || *MODEL,
        versions: &[API_VERSION, model::REPLAY_VERSION],
    },
    Kind {
        name: model::ACCEPTED_KIND,
        file: "accepted-journey-model",
        says: "What somebody agreed that a journey is; the only model that acts.",
        root: || *MODEL,
        versions: &[API_VERSION, model::REPLAY_VERSION],
    },
    Kind {
        name: measured::KIND,
        file: "journey-evidence",
        says: "Counts and latencies of a journey and its components over a window.",
        root: || *EVIDENCE,
        versions: &[API_VERSION],
    },
    Kind {
        name: simulate::KIND,
        file: "simulation-profile",
        says: "What-if numbers for `emac simulate`: replicas, availabilities, domains, endpoints, fail-stop shares.",
        root: || *PROFILE,
        versions: &[API_VERSION],
    },
    Kind {
        name: config::KIND,
        file: "control-plane-config",
        says: "How a control plane runs (`emac serve --config emac.yaml`).",
        root: || *CONFIG,
        versions: &[API_VERSION],
    },
    Kind {
        name: compile::REPORT_KIND,
        file: "derivation-report",
        says: "Where every number of a compiled journey comes from; written by `emac compile`.",
        root: || &report::ROOT,
        versions: &[API_VERSION],
    },
];

#[cfg(test)]
mod tests;
