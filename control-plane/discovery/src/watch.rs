//! Drift watch: evidence flows in, and what differs from the accepted model for long enough is proposed.
//!
//! Evidence is cut into windows, one behind the other. At a window's end ([`Watch::close`]) each declared journey's model is discovered from that
//! window alone and compared with the accepted one. A difference is kept under its [`field`], not under its exact numbers; what recurs is
//! proposed, and what is proposed is withdrawn only after a longer absence ([`Recurring`]). The candidate is the accepted model with exactly
//! what is proposed, and stays the same bytes while that is the same.
//!
//! | a window | says |
//! |---|---|
//! | with fewer traces of the journey than asked for | nothing: it neither proposes nor withdraws |
//! | of records older than the intent's `freshness.maxAge` | nothing: they are refused and counted |
//! | of two sources (sidecars' records, spans of tracing) | what the one says that saw more of the journey |
//!
//! Sans-I/O: time, intents, accepted models and configuration are passed in; files, locks and queues are the caller's. What is known is lost with
//! the process, and told anew after as many windows as a proposal needs. Memory: one window of [`crate::discover::observe`], and as many models of
//! each journey as windows are remembered.
//!
//! Left out: windows that overlap; and a slow drift of numbers within their error, which each comparison with the accepted model sees as none until it
//! is large enough.

mod field;
mod journey;
mod propose;
mod recurring;
mod source;
mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use emac_core::evidence::HopRecord;
use emac_core::units::{Micros, Millis, Moment};

use crate::discover::domains::ConfidenceProfile;
use crate::discover::{Discovered, DiscoveryContext, DiscoveryEvidence, complete};
use crate::mesh::MeshFacts;
use emac_compile::compile::Given;
use emac_compile::declared::Declared;
use emac_compile::model::{AcceptedModel, CandidateModel, EvidenceSource};
use emac_journey::intent::Intent;
use emac_trace::Sink;
pub use field::field;
use journey::{Watched, WindowModel};
pub use recurring::{Recurrence, Recurring};
use source::EvidenceStream;
pub use status::{DeltaStatus, JourneyStatus, Observed, Undeclared, WatchStatus};

/// How drift is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchSettings {
    /// Length of a window.
    pub window: Millis,
    /// A trace without news for so long is over.
    pub silence: Millis,
    /// Fewest traces of a journey in a window that proposes.
    pub traces_min: u64,
    /// When a difference is proposed and withdrawn.
    pub recurrence: Recurrence,
}

/// What the caller should do for a journey at a window's end.
#[derive(Clone, Debug, PartialEq)]
pub struct Due<'a> {
    /// The journey.
    pub journey: &'a Declared,
    /// To be written: it differs from the one before.
    pub candidate: Option<CandidateModel>,
    /// What the intent lets a policy agree to: to replace the accepted model.
    pub accepted: Option<AcceptedModel>,
}

/// See the module.
#[derive(Debug)]
pub struct Watch {
    settings: WatchSettings,
    sources: [EvidenceStream; 2],
    /// Longest age of evidence, by journey.
    ages: BTreeMap<String, Micros>,
    /// The longest; `None` where some evidence may be of any age.
    age_max: Option<Micros>,
    journeys: BTreeMap<String, Watched>,
    began: Moment,
    windows: u64,
    undeclared: Vec<Undeclared>,
}

impl Watch {
    /// Begins with an empty window.
    pub fn new(settings: WatchSettings, now: Moment) -> Self {
        let source = |kind| EvidenceStream::new(kind, settings.silence);
        Self {
            settings,
            sources: [source(EvidenceSource::HopRecords), source(EvidenceSource::Traces)],
            ages: BTreeMap::new(),
            age_max: None,
            journeys: BTreeMap::new(),
            began: now,
            windows: 0,
            undeclared: Vec::new(),
        }
    }

    /// Says that two names are one service's: what any source reports as `name` counts as `of`.
    pub fn alias(&mut self, name: &str, of: &str) {
        self.sources.iter_mut().for_each(|source| source.alias(name, of));
    }

    /// Tells how old evidence of each journey may be.
    pub fn expect(&mut self, journeys: &[Declared]) {
        let age =
            |Declared { intent, .. }: &Declared| Some((intent.name.to_string(), intent.evidence.max_age?));
        self.ages = journeys.iter().filter_map(age).collect();
        let all = self.ages.len() == journeys.len();
        self.age_max = self.ages.values().max().copied().filter(|_| all);
    }

    /// Takes the record of a sidecar; one that is too old is refused and counted. O(1), see [`emac_trace::Assembler`].
    pub fn hop(&mut self, node: &str, record: &HopRecord, now: Moment) {
        let ended = record.start_unix_us.saturating_add(record.duration.0);
        let age = now.unix_ms.saturating_mul(1_000).saturating_sub(ended);
        let too_old = self.ages.get(&record.hop.journey).is_some_and(|most| age > most.0);
        let [hops, _] = &mut self.sources;
        hops.hop(node, record, too_old);
    }

    /// Where spans of tracing go. Of which journey they are shows later, so that they may be as old as the most patient intent allows.
    pub fn spans(&mut self, now: Moment) -> impl Sink + use<'_> {
        let longest = self.age_max.map_or(u64::MAX, |age| age.0);
        let oldest_us = now.unix_ms.saturating_mul(1_000).saturating_sub(longest);
        let [_, spans] = &mut self.sources;
        spans.sink(oldest_us)
    }

    /// Tells the time: traces that are over are looked at.
    pub fn tick(&mut self, now: Moment) {
        self.sources.iter_mut().for_each(|source| source.tick(now));
    }

    /// Whether the window is over.
    pub fn is_due(&self, now: Moment) -> bool {
        now.at.since(self.began.at) >= self.settings.window.to_micros()
    }

    /// Ends the window and begins the next, holding what was seen against the declared journeys and the configuration of mesh and cluster. What to do for each journey about which anything is new; the rest is in [`Self::status`].
    ///
    /// Costs a discovery a source and a compilation a delta: at a window's end only.
    pub fn close<'a>(&mut self, now: Moment, journeys: &'a [Declared], mesh: &MeshFacts) -> Vec<Due<'a>> {
        self.tick(now);
        self.windows += 1;
        let began = std::mem::replace(&mut self.began, now);
        let mut best: BTreeMap<usize, WindowModel> = BTreeMap::new();
        self.undeclared.clear();
        for source in &mut self.sources {
            for found in discovered(source, journeys, mesh, (began, now)) {
                let Some(place) = found.declared else {
                    self.undeclared.push(Undeclared::of(&found));
                    continue;
                };
                let found = WindowModel { source: source.kind(), traces: found.traces, model: found.model };
                if best.get(&place).is_none_or(|other| found.is_better_than(other)) {
                    best.insert(place, found);
                }
            }
        }
        let names: Vec<&str> = journeys.iter().map(|one| one.intent.name.as_str()).collect();
        self.journeys.retain(|name, _| names.contains(&name.as_str()));
        let each = journeys.iter().enumerate();
        each.filter_map(|(place, journey)| self.judge(journey, best.remove(&place), now)).collect()
    }

    fn judge<'a>(
        &mut self,
        journey: &'a Declared,
        found: Option<WindowModel>,
        now: Moment,
    ) -> Option<Due<'a>> {
        let Declared { intent, promises, .. } = journey;
        let numbers = Given { promises, evidence: None, now_unix_ms: now.unix_ms };
        let watched = self.journeys.entry(intent.name.to_string()).or_insert_with(|| Watched::new(intent));
        let judged = watched.judge(&self.settings, found, journey, numbers);
        (judged.candidate.is_some() || judged.accepted.is_some()).then_some(Due {
            journey,
            candidate: judged.candidate,
            accepted: judged.accepted,
        })
    }

    /// What is known now.
    pub fn status(&self) -> WatchStatus {
        let stale = self.sources.iter().map(EvidenceStream::stale).sum();
        let traces = self.sources.iter().map(EvidenceStream::traces).sum();
        WatchStatus {
            windows: self.windows,
            window_began_unix_ms: self.began.unix_ms,
            traces,
            stale,
            journeys: self.journeys.iter().map(|(name, one)| (name.clone(), one.status())).collect(),
            undeclared: self.undeclared.clone(),
        }
    }
}

/// Every journey that a source saw in the window that ends.
fn discovered(
    source: &mut EvidenceStream,
    journeys: &[Declared],
    mesh: &MeshFacts,
    window: (Moment, Moment),
) -> Vec<Discovered> {
    let window = source.cut(window);
    if window.observations.traces().1 == 0 {
        return Vec::new();
    }
    let known = DiscoveryEvidence {
        observations: &window.observations,
        symbols: source.symbols(),
        labels: &window.labels,
        mesh,
        profile: ConfidenceProfile::default(),
    };
    let evidence = [window.evidence];
    let intents: Vec<&Intent> = journeys.iter().map(|journey| &journey.intent).collect();
    complete(&known, &DiscoveryContext { intents: &intents, source: source.kind(), evidence: &evidence })
}
