//! What the watch knows, written down and taken up again.
//!
//! A JSON object, `"format": 1`. Names of changes and numbers of steps are as [`super::Recurring`] keeps them; models are sealed candidate documents,
//! so that a byte that was changed is noticed. Windows that are not over are told by when they began, by the calendar; their evidence is the caller's.
//!
//! ```json
//! {"format": 1, "window_ms": 300000, "step_ms": 300000, "saved_unix_ms": 1700000000000, "step": 7, "windows": 7, "traces": 900, "stale": 0,
//!  "open_unix_ms": [1700000000000],
//!  "journeys": {"checkout": {"intent": "<digest>", "base": null, "spoken": 7, "said": "...", "kept": ["..."],
//!    "seen": [{"step": 6, "names": ["..."], "model": {}}], "candidate": {}, "made_of": {"base": null, "names": ["..."]}, "confidence": 0.9}},
//!  "undeclared": {"kept": ["..."], "seen": [{"step": 6, "names": ["..."]}], "told": {"shop/edge GET /orders/{id}": "get-orders-id Series(...)"}},
//!  "templates": {"front": {"templates": ["GET /users/{id}"], "stay": ["GET /users/me"]}}}
//! ```

use std::collections::{BTreeSet, VecDeque};

use serde_json::{Map, Value, json};

use super::journey::Watched;
use super::{Counted, Declared, Millis, Moment, Watch, WatchSettings};
use crate::discover::KnownTemplates;
use emac_compile::compile::Given;
use emac_compile::model::CandidateModel;
use emac_document::{Limits, Problems, Source, parse, render_text};

/// Another layout has another number.
const FORMAT: u64 = 1;

/// What was written down, checked.
#[derive(Clone, Debug)]
pub struct Memory {
    document: Value,
}

/// Why something that was written down is not taken up again. Each says what is the matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgotten(pub String);

impl Memory {
    /// Reads what [`Watch::memory`] gave.
    ///
    /// # Errors
    /// [`Forgotten`], for what is no memory of this version.
    pub fn read(bytes: &[u8]) -> Result<Self, Forgotten> {
        let document: Value =
            serde_json::from_slice(bytes).map_err(|error| Forgotten(format!("no JSON: {error}")))?;
        match document["format"].as_u64() {
            Some(FORMAT) => Ok(Self { document }),
            Some(other) => Err(Forgotten(format!("format {other}, this version reads {FORMAT}"))),
            None => Err(Forgotten("no `format`".to_owned())),
        }
    }

    /// When the windows that were not over had begun, milliseconds since 1970, oldest first.
    pub fn open_unix_ms(&self) -> Vec<u64> {
        list(&self.document["open_unix_ms"]).iter().filter_map(Value::as_u64).collect()
    }
}

impl Watch {
    /// Everything known but the evidence of windows that are not over.
    pub fn memory(&self, now: Moment) -> String {
        let Counted { traces, stale } = self.counted();
        let journeys = self.journeys.iter().map(|(name, one)| (name.clone(), one.memory()));
        let document = json!({
            "format": FORMAT,
            "window_ms": self.settings.window.0,
            "step_ms": self.settings.step.0,
            "saved_unix_ms": now.unix_ms,
            "step": self.step,
            "windows": self.windows,
            "traces": traces,
            "stale": stale,
            "open_unix_ms": self.open.iter().map(|began| began.unix_ms).collect::<Vec<_>>(),
            "journeys": Map::from_iter(journeys),
            "undeclared": self.undeclared.memory(),
            "templates": self.templates.to_value(),
        });
        format!("{document}\n")
    }

    /// A watch that goes on where another one stopped, with what it could not take up. Evidence of the open windows is to be given again: all that
    /// came since [`Self::resumes_at`], each piece with [`Self::replay_at`] before it. A window whose time ended meanwhile is judged by what it saw.
    pub fn restore(
        settings: WatchSettings,
        memory: &Memory,
        now: Moment,
        journeys: &[Declared],
    ) -> (Self, Vec<Forgotten>) {
        let document = &memory.document;
        let mut watch = Self::new(settings, now);
        let mut forgotten = Vec::new();
        let same = |key: &str, value: Millis| document[key].as_u64() == Some(value.0);
        if !same("window_ms", settings.window) || !same("step_ms", settings.step) {
            let reason =
                "windows have another length now: what was remembered of them says nothing of those to come";
            return (watch, vec![Forgotten(reason.to_owned())]);
        }
        watch.step = document["step"].as_u64().unwrap_or_default();
        watch.windows = document["windows"].as_u64().unwrap_or_default();
        watch.before = Counted {
            traces: document["traces"].as_u64().unwrap_or_default(),
            stale: document["stale"].as_u64().unwrap_or_default(),
        };
        watch.saved_unix_ms = document["saved_unix_ms"].as_u64();
        watch.undeclared.restore(settings.steps(), &document["undeclared"]);
        watch.templates = KnownTemplates::of_value(&document["templates"]);
        for journey in journeys {
            let name = journey.intent.name.to_string();
            let Some(written) = document["journeys"].get(&name) else { continue };
            let given = Given { promises: &journey.promises, evidence: None, now_unix_ms: now.unix_ms };
            match Watched::restore(written, &settings, journey, given) {
                Ok(watched) => drop(watch.journeys.insert(name, watched)),
                Err(Forgotten(reason)) => forgotten.push(Forgotten(format!("journey {name}: {reason}"))),
            }
        }
        watch.reopen(&memory.open_unix_ms(), now);
        (watch, forgotten)
    }

    /// Windows that were open, by when they began; the clock that tells durations has begun anew, so times before it are counted back from now.
    /// A calendar that went back, or evidence from the future, opens nothing.
    fn reopen(&mut self, open_unix_ms: &[u64], now: Moment) {
        let steps = self.settings.steps() as usize;
        let began = open_unix_ms.iter().rev().take(steps).rev();
        let open: VecDeque<Moment> =
            began.filter(|began| **began <= now.unix_ms).map(|&unix_ms| now.back_to(unix_ms)).collect();
        if !open.is_empty() {
            self.open = open;
        }
    }

    /// When the oldest open window began, milliseconds since 1970: evidence from then on is to be given again.
    pub fn resumes_at(&self) -> u64 {
        self.open.front().map_or(0, |began| began.unix_ms)
    }

    /// Tells the time of evidence that is given again; it opens the windows that had begun by then. `opened`: how many of them were.
    pub fn replay_at(&mut self, at: Moment, opened: &mut usize) {
        while self.open.get(*opened).is_some_and(|began| began.unix_ms <= at.unix_ms) {
            if *opened > 0 {
                self.sources.iter_mut().for_each(super::EvidenceStream::begin);
            }
            *opened += 1;
        }
        self.tick(at);
        if self.saved_unix_ms.is_some_and(|saved| saved <= at.unix_ms) {
            self.count_again();
        }
    }

    /// All evidence was given again: the remaining windows are open, too.
    pub fn replayed(&mut self, now: Moment, mut opened: usize) {
        self.replay_at(now, &mut opened);
        self.count_again();
    }

    /// What came before the memory was written is in its counts, and was counted again since.
    fn count_again(&mut self) {
        if self.saved_unix_ms.take().is_some() {
            let Counted { traces, stale } = std::mem::take(&mut self.before);
            let again = self.counted();
            self.before = Counted {
                traces: traces.saturating_sub(again.traces),
                stale: stale.saturating_sub(again.stale),
            };
        }
    }
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A list of words.
pub(super) fn words(value: &Value) -> BTreeSet<String> {
    list(value).iter().filter_map(|word| Some(word.as_str()?.to_owned())).collect()
}

/// A candidate from its document; the seal must be whole.
pub(super) fn candidate(document: &Value) -> Result<CandidateModel, Forgotten> {
    let problems = Problems::new();
    let documents =
        parse(&Source::new("remembered model", document.to_string()), &Limits::default(), &problems);
    let read = documents.first().and_then(|document| CandidateModel::read(document, &problems));
    let whole = read.filter(|model| problems.errors() == 0 && model.is_sealed());
    whole.ok_or_else(|| {
        Forgotten(format!("a remembered model cannot be read: {}", render_text(&problems, false).trim_end()))
    })
}
