//! Drift watch: evidence flows in, and what differs from the accepted model for long enough is proposed.
//!
//! Evidence is cut into windows, of which one ends with each step; a step is a window or a part of one, and then windows overlap. At a window's end
//! ([`Watch::close`]) each declared journey's model is discovered from that window alone and compared with the accepted one. A difference is kept
//! under its [`field`], not under its exact numbers; what recurs in windows that share no request is proposed, and what is proposed is withdrawn only
//! after a longer absence ([`Recurring`]). The candidate is the accepted model with exactly what is proposed, and stays the same bytes while that is the
//! same. What it would do to the journey's numbers is compiled anew at each window's end, since promises change too.
//!
//! | a window | says |
//! |---|---|
//! | with fewer traces of the journey than asked for | nothing: it neither proposes nor withdraws |
//! | of records older than the intent's `freshness.maxAge` | nothing: they are refused and counted |
//! | of two sources (sidecars' records, spans of tracing) | what the one says that saw more of the journey |
//!
//! Sans-I/O: time, intents, accepted models and configuration are passed in; files, locks and queues are the caller's. What is known can be written down
//! ([`Watch::memory`]) and taken up again ([`Watch::restore`]); evidence of windows that are not over is the caller's to keep and to give again.
//! Memory: as many windows of [`crate::discover::observe`] as are open at once, and as many models of each journey as windows are remembered.
//!
//! Left out: a slow drift of numbers within their error, which each comparison with the accepted model sees as none until it is large enough.

mod field;
mod journey;
mod memory;
mod propose;
mod recurring;
mod source;
mod status;
#[cfg(test)]
mod tests;
mod undeclared;

use std::collections::{BTreeMap, VecDeque};

use emac_core::evidence::HopRecord;
use emac_core::units::{Micros, Millis, Moment};

use crate::discover::domains::ConfidenceProfile;
use crate::discover::{
    Discovered, DiscoveryContext, DiscoveryEvidence, KnownTemplates, complete, named_operations,
};
use crate::mesh::MeshFacts;
use emac_compile::compile::Given;
use emac_compile::declared::Declared;
use emac_compile::model::{AcceptedModel, CandidateModel, EvidenceSource};
use emac_journey::intent::Intent;
use emac_trace::Sink;
pub use field::field;
use journey::{Watched, WindowModel};
pub use memory::{Forgotten, Memory};
pub use recurring::{Recurrence, Recurring};
use source::EvidenceStream;
pub use status::{DeltaStatus, JourneyStatus, Observed, TogetherStatus, WatchStatus};
use undeclared::Strangers;
pub use undeclared::Undeclared;

/// How drift is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchSettings {
    /// Length of a window.
    pub window: Millis,
    /// A window ends with each step, which is as long as a window or shorter.
    pub step: Millis,
    /// A trace without news for so long is over.
    pub silence: Millis,
    /// Fewest traces of a journey in a window that proposes.
    pub traces_min: u64,
    /// When a difference is proposed and withdrawn.
    pub recurrence: Recurrence,
}

impl Default for WatchSettings {
    /// Five minutes at one request a second are 300 traces, enough to tell a call of 1 in 100 from none; ten seconds are several reports of every
    /// sidecar.
    fn default() -> Self {
        Self {
            window: Millis(300_000),
            step: Millis(300_000),
            silence: Millis(10_000),
            traces_min: 100,
            recurrence: Recurrence::default(),
        }
    }
}

impl WatchSettings {
    /// Most windows that are open at once.
    pub const OVERLAP_MAX: u64 = 12;

    /// Steps of a window: windows that end so many steps apart share no request.
    pub const fn steps(&self) -> u64 {
        let step = if self.step.0 == 0 { 1 } else { self.step.0 };
        let steps = self.window.0.div_ceil(step);
        if steps == 0 {
            1
        } else if steps > Self::OVERLAP_MAX {
            Self::OVERLAP_MAX
        } else {
            steps
        }
    }
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
    /// When each window that is not over began, oldest first; with the last the present step.
    open: VecDeque<Moment>,
    /// Steps that ended, over all lives.
    step: u64,
    windows: u64,
    undeclared: Strangers,
    /// Of windows before: an id that only many names show is one in a window that has few.
    templates: KnownTemplates,
    /// Candidates of journeys that nobody declared, not yet taken.
    proposals: Vec<CandidateModel>,
    /// Counted in lives before.
    before: Counted,
    /// When the memory was written that is taken up at present.
    saved_unix_ms: Option<u64>,
}

/// What is counted over all lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) traces: u64,
    pub(crate) stale: u64,
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
            open: VecDeque::from([now]),
            step: 0,
            windows: 0,
            undeclared: Strangers::new(settings.steps()),
            templates: KnownTemplates::default(),
            proposals: Vec::new(),
            before: Counted::default(),
            saved_unix_ms: None,
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

    /// Whether the step is over.
    pub fn is_due(&self, now: Moment) -> bool {
        let began = self.open.back().map_or(now.at, |began| began.at);
        now.at.since(began) >= self.settings.step.to_micros()
    }

    /// Ends the step and begins the next. If a window ends with it, what was seen is held against the declared journeys and the configuration of mesh and cluster: what to do for each journey about which anything is new; the rest is in [`Self::status`].
    ///
    /// Costs a discovery a source and a compilation a delta: at a window's end only.
    pub fn close<'a>(&mut self, now: Moment, journeys: &'a [Declared], mesh: &MeshFacts) -> Vec<Due<'a>> {
        self.tick(now);
        self.step = self.step.saturating_add(1);
        let steps = usize::try_from(self.settings.steps()).unwrap_or(usize::MAX);
        let full = self.open.len() >= steps;
        let began = if full { self.open.pop_front() } else { self.open.front().copied() };
        let found = self.cut((began.unwrap_or(now), now), steps, journeys, mesh);
        self.open.push_back(now);
        self.sources.iter_mut().for_each(EvidenceStream::begin);
        let names: Vec<&str> = journeys.iter().map(|one| one.intent.name.as_str()).collect();
        self.journeys.retain(|name, _| names.contains(&name.as_str()));
        if !full {
            return Vec::new();
        }
        self.windows = self.windows.saturating_add(1);
        let FoundModels { mut best, undeclared } = found;
        let (recurrence, traces_min) = (self.settings.recurrence, self.settings.traces_min);
        let proposals = self.undeclared.window(&recurrence, self.step, traces_min, undeclared);
        self.proposals.extend(proposals);
        let each = journeys.iter().enumerate();
        each.filter_map(|(place, journey)| self.judge(journey, best.remove(&place), now)).collect()
    }

    /// Candidates of journeys that nobody declared and that are new, or look otherwise, since they were last taken.
    pub fn take_proposals(&mut self) -> Vec<CandidateModel> {
        std::mem::take(&mut self.proposals)
    }

    /// What each source saw in the window that ends.
    fn cut(
        &mut self,
        window: (Moment, Moment),
        steps: usize,
        journeys: &[Declared],
        mesh: &MeshFacts,
    ) -> FoundModels {
        let mut found = FoundModels::default();
        for source in &mut self.sources {
            for one in discovered(source, journeys, mesh, (window, steps), &mut self.templates) {
                let Some(place) = one.declared else {
                    found.undeclared.push(one);
                    continue;
                };
                let one = WindowModel { source: source.kind(), traces: one.traces, model: one.model };
                if found.best.get(&place).is_none_or(|other| one.is_better_than(other)) {
                    found.best.insert(place, one);
                }
            }
        }
        found
    }

    fn judge<'a>(
        &mut self,
        journey: &'a Declared,
        found: Option<WindowModel>,
        now: Moment,
    ) -> Option<Due<'a>> {
        let Declared { intent, promises, .. } = journey;
        let numbers = Given { promises, evidence: None, now_unix_ms: now.unix_ms };
        let steps = self.settings.steps();
        let watched =
            self.journeys.entry(intent.name.to_string()).or_insert_with(|| Watched::new(intent, steps));
        let judged = watched.judge(&self.settings, (self.step, found), journey, numbers);
        (judged.candidate.is_some() || judged.accepted.is_some()).then_some(Due {
            journey,
            candidate: judged.candidate,
            accepted: judged.accepted,
        })
    }

    /// What is known now. O(journeys, services and instances).
    pub fn status(&self) -> WatchStatus {
        let Counted { traces, stale } = self.counted();
        WatchStatus {
            windows: self.windows,
            window_began_unix_ms: self.open.front().map_or(0, |began| began.unix_ms),
            traces,
            stale,
            journeys: self.journeys.iter().map(|(name, one)| (name.clone(), one.status())).collect(),
            undeclared: self.undeclared.seen().to_vec(),
            undeclared_left_out: self.undeclared.left_out(),
            signal: self.sources.iter().filter_map(EvidenceStream::signal).collect(),
        }
    }

    fn counted(&self) -> Counted {
        let sum = |of: fn(&EvidenceStream) -> u64| self.sources.iter().map(of).sum::<u64>();
        Counted {
            traces: self.before.traces.saturating_add(sum(EvidenceStream::traces)),
            stale: self.before.stale.saturating_add(sum(EvidenceStream::stale)),
        }
    }
}

/// What a window saw.
#[derive(Default)]
struct FoundModels {
    /// By place of the journey.
    best: BTreeMap<usize, WindowModel>,
    undeclared: Vec<Discovered>,
}

/// Every journey that a source saw in the window that ends.
fn discovered(
    source: &mut EvidenceStream,
    journeys: &[Declared],
    mesh: &MeshFacts,
    (window, steps): ((Moment, Moment), usize),
    templates: &mut KnownTemplates,
) -> Vec<Discovered> {
    let Some(mut window) = source.cut(window, steps) else { return Vec::new() };
    if window.observations.traces().1 == 0 {
        return Vec::new();
    }
    let kept = named_operations(journeys.iter().map(|journey| &journey.intent));
    window.observations.generalize(source.symbols_mut(), &kept, templates);
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
