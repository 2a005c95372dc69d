//! Journeys that nobody declared: from requests of tracing, or of those that the edge follows without being told of a journey.
//!
//! They recur as changes do; one that has is proposed, with the model that the newest window saw. Bounded: the most frequent
//! [`Undeclared::JOURNEYS_MAX`] of a window are looked at, the others are counted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Recurrence;
use super::memory;
use super::recurring::Recurring;
use crate::discover::Discovered;
use emac_compile::model::{CandidateModel, Model};
use emac_core::units::Ratio;

/// A journey that nobody declared.
#[derive(Clone, Debug, PartialEq)]
pub struct Undeclared {
    /// Made from its entry.
    pub name: String,
    /// Service and operation.
    pub entry: (String, String),
    /// Traces in the last window.
    pub traces: u64,
    /// Canonical text; `None` when the structure could not be told.
    pub expression: Option<String>,
    /// Of the model as a whole, 0 to 1.
    pub confidence: Option<f64>,
    /// It has recurred: its model is worth declaring.
    pub proposed: bool,
}

impl Undeclared {
    /// Most journeys that are told of.
    pub const JOURNEYS_MAX: usize = 32;

    fn of(found: &Discovered) -> Self {
        Self {
            name: found.name.clone(),
            entry: found.entry.clone(),
            traces: found.traces,
            expression: found.structure().map(ToString::to_string),
            confidence: found.model.confidence.overall.map(Ratio::get),
            proposed: false,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Strangers {
    recurring: Recurring,
    seen: Vec<Undeclared>,
    left_out: u64,
    /// Name and expression with which each that is in was handed out, by what it recurs under.
    told: BTreeMap<String, String>,
}

/// A stranger under which it recurs: its entry, since two windows may number names of one entry differently.
fn key(one: &Undeclared) -> String {
    format!("{} {}", one.entry.0, one.entry.1)
}

impl Strangers {
    pub(super) const fn new(apart: u64) -> Self {
        Self { recurring: Recurring::new(apart), seen: Vec::new(), left_out: 0, told: BTreeMap::new() }
    }

    /// What is written down, see [`super::memory`].
    pub(super) fn memory(&self) -> Value {
        let seen = self.recurring.seen().iter().map(|(step, names)| json!({"step": step, "names": names}));
        json!({"kept": self.recurring.kept(), "seen": seen.collect::<Vec<_>>(), "told": self.told})
    }

    /// As it was written down; what is no memory says nothing.
    pub(super) fn restore(&mut self, apart: u64, written: &Value) {
        let window = |window: &Value| Some((window["step"].as_u64()?, memory::words(&window["names"])));
        let seen = memory::list(&written["seen"]).iter().filter_map(window).collect();
        self.recurring = Recurring::restored(apart, seen, memory::words(&written["kept"]));
        let told = written["told"].as_object().into_iter().flatten();
        self.told = told.filter_map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned()))).collect();
    }

    pub(super) fn seen(&self) -> &[Undeclared] {
        &self.seen
    }

    /// Journeys of the last window beyond the limit.
    pub(super) const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes what a window saw; candidates of those that have recurred and look otherwise than when last handed out. A window without any
    /// of them says that they are gone.
    pub(super) fn window(
        &mut self,
        settings: &Recurrence,
        number: u64,
        traces_min: u64,
        found: Vec<Discovered>,
    ) -> Vec<CandidateModel> {
        let mut found: Vec<(Undeclared, Model)> =
            found.into_iter().map(|found| (Undeclared::of(&found), found.model)).collect();
        found.sort_by(|(a, _), (b, _)| b.traces.cmp(&a.traces).then_with(|| a.name.cmp(&b.name)));
        self.left_out = found.len().saturating_sub(Undeclared::JOURNEYS_MAX) as u64;
        found.truncate(Undeclared::JOURNEYS_MAX);
        let often = found.iter().filter(|(one, _)| one.traces >= traces_min && one.expression.is_some());
        let keys: BTreeSet<String> = often.map(|(one, _)| key(one)).collect();
        self.recurring.window(settings, number, keys.clone());
        let mut told = Vec::new();
        self.seen = found
            .into_iter()
            .map(|(mut one, model)| {
                let key = key(&one);
                one.proposed = self.recurring.kept().contains(&key);
                let looks = format!("{} {}", one.name, one.expression.as_deref().unwrap_or_default());
                if one.proposed && keys.contains(&key) && self.told.get(&key) != Some(&looks) {
                    self.told.insert(key, looks);
                    told.push(CandidateModel::new(model, None));
                }
                one
            })
            .collect();
        self.told.retain(|key, _| self.recurring.kept().contains(key));
        told
    }
}
