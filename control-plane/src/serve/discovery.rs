//! The drift watch's hands: records from the queue, configuration and models from files, candidates and accepted models into files.
//!
//! A thread of its own, because a window's end may take seconds; until it is done records wait in their queue. It ends when the queue's senders
//! are gone. What the watch knows and the records of windows that are not over are kept in the state directory ([`kept`]), so that a restart forgets
//! none of them. A candidate is written whole or not at all, and never over a file that is none. An accepted model is replaced by policy under
//! the same lock as by `emac accept`, and only if it is still the one that was compared with.

mod files;
mod kept;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use emac_core::units::Micros;
use tracing::{info, warn};

use self::files::Mesh;
use self::kept::Kept;
use super::intents::Intents;
use super::state::Shared;
use crate::aggregate::Recorded;
use crate::config;
use crate::ingest::RecordsReceiver;
use crate::ingest::otlp::Batches;
use emac_compile::declared::Declared;
use emac_compile::model::CandidateModel;
use emac_core::units::Moment;
use emac_discovery::watch::{Due, Watch, WatchSettings, WatchStatus};

/// How long a quiet queue is waited for before the time is told and spans are looked for.
const PATIENCE: Duration = Duration::from_millis(100);
/// Most candidates of journeys that nobody declared in their folder: what users ask for is not ours to bound.
const UNDECLARED_MAX: usize = 256;
/// How often what is known is shown.
const SHOWN: Micros = Micros(1_000_000);

/// What is known, for API and metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Discovery {
    pub(super) watch: WatchStatus,
    /// Candidates written.
    pub(super) written: u64,
    /// Of them, of journeys that nobody declared.
    pub(super) undeclared_written: u64,
    /// Models replaced by policy.
    pub(super) by_policy: u64,
    /// What is wrong with files, latest of each kind.
    pub(super) problems: Vec<String>,
    /// Records waiting.
    pub(super) waiting: usize,
}

struct Work<'a> {
    config: &'a config::Discovery,
    /// Where candidates of journeys that nobody declared are written; `None`: nowhere.
    undeclared: Option<PathBuf>,
    kept: Kept,
    /// What is wrong with what is kept, until a step ends.
    troubles: Vec<String>,
    shared: &'a Shared,
    watch: Watch,
    mesh: Mesh,
    /// Those whose ages the watch was told.
    intents: Arc<Intents>,
    known: Discovery,
    shown: Micros,
    /// Candidates that wait for their file, by journey: what a full disk refused is tried again at the next window's end.
    unwritten: BTreeMap<String, (PathBuf, CandidateModel)>,
}

/// Watches until nobody can send records any more.
pub(super) fn run(
    config: &config::Discovery,
    state: Option<&Path>,
    records: &RecordsReceiver,
    mut spans: Option<Batches>,
    shared: &Shared,
) {
    let mut work = Work::begin(config, state, shared);
    while work.take(records, spans.as_mut()) {
        work.step();
    }
}

/// How far back the clock of durations can tell: windows that were open before a restart began before this process did.
const BEFORE: Micros = Micros(48 * 3_600 * 1_000_000);

fn now(shared: &Shared) -> Moment {
    let now = shared.moment();
    Moment { at: now.at.after(BEFORE), ..now }
}

impl<'a> Work<'a> {
    /// Takes up what was kept.
    fn begin(config: &'a config::Discovery, state: Option<&Path>, shared: &'a Shared) -> Self {
        let settings = WatchSettings {
            window: config.window,
            step: config.step,
            silence: config.silence,
            traces_min: config.traces_min,
            recurrence: config.recurrence,
        };
        let intents = shared.intents.load_full();
        let (kept, watch, troubles) =
            Kept::open(state, settings, now(shared), (&intents.declared, &config.aliases));
        let folder = config.candidates.clone().or_else(|| Some(state?.join("discovery")));
        let mut work = Self {
            config,
            undeclared: folder.map(|folder| folder.join("undeclared")),
            kept,
            troubles: Vec::new(),
            shared,
            watch,
            mesh: Mesh::new(&config.mesh),
            intents,
            known: Discovery::default(),
            shown: Micros(0),
            unwritten: BTreeMap::new(),
        };
        work.watch.expect(&work.intents.declared);
        troubles.into_iter().for_each(|problem| work.complain(problem));
        work.show();
        work
    }

    /// Takes what came, and waits a little where nothing did; false once nobody can send records any more.
    fn take(&mut self, records: &RecordsReceiver, spans: Option<&mut Batches>) -> bool {
        match records.next(PATIENCE) {
            Ok(recorded) => self.take_records(&recorded),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        if let Some(spans) = spans {
            while let Some(batch) = spans.try_next() {
                let now = now(self.shared);
                self.troubles.extend(self.kept.append_spans(&batch, now));
                batch.replay(&mut self.watch.spans(now));
            }
        }
        self.known.waiting = records.waiting();
        true
    }

    fn take_records(&mut self, recorded: &Recorded) {
        let now = now(self.shared);
        self.shared.records.keep(recorded);
        self.troubles.extend(self.kept.append(recorded, now));
        recorded.records.iter().for_each(|record| self.watch.hop(&recorded.node, record, now));
    }

    fn step(&mut self) {
        let intents = self.shared.intents.load_full();
        if !Arc::ptr_eq(&intents, &self.intents) {
            self.watch.expect(&intents.declared);
            self.intents = intents;
        }
        let now = now(self.shared);
        self.watch.tick(now);
        if self.watch.is_due(now) {
            self.close(now);
            self.show();
        } else if now.at.since(self.shown) >= SHOWN {
            self.show();
        }
    }

    fn show(&mut self) {
        self.shown = self.shared.clock.now();
        self.known.watch = self.watch.status();
        self.shared.discovery.store(Some(Arc::new(self.known.clone())));
    }

    fn close(&mut self, now: Moment) {
        self.known.problems = self.mesh.refresh();
        let intents = Arc::clone(&self.intents);
        for due in self.watch.close(now, &intents.declared, self.mesh.facts()) {
            self.act(due);
        }
        self.write();
        self.write_undeclared();
        let troubles = std::mem::take(&mut self.troubles).into_iter();
        let problems: Vec<_> = troubles.chain(self.kept.save(&self.watch, now)).collect();
        problems.into_iter().for_each(|problem| self.complain(problem));
    }

    /// Writes what journeys that nobody declared look like. One that cannot be written is told, and comes again when it looks otherwise.
    fn write_undeclared(&mut self) {
        for candidate in self.watch.take_proposals() {
            let journey = candidate.model().journey.to_string();
            let Some(folder) = &self.undeclared else { continue };
            let path = folder.join(format!("{journey}.yaml"));
            if !path.exists() && files::count_in(folder) >= UNDECLARED_MAX {
                self.complain(format!(
                    "{}: holds {UNDECLARED_MAX} candidates of journeys that nobody declared, so that of {journey} was not written; remove those that are of no use",
                    folder.display()
                ));
                continue;
            }
            match files::write_candidate(&path, &candidate.to_text()) {
                Ok(()) => {
                    self.known.written += 1;
                    self.known.undeclared_written += 1;
                    info!(journey, path = %path.display(), "nobody declared this journey; its candidate is written");
                }
                Err(problem) => self.complain(problem.to_string()),
            }
        }
    }

    fn act(&mut self, due: Due<'_>) {
        let Declared { intent, files, .. } = due.journey;
        let journey = intent.name.as_str();
        let base = due.candidate.as_ref().and_then(|candidate| candidate.base()).map(str::to_owned);
        if let Some(candidate) = due.candidate {
            self.unwritten.insert(journey.to_owned(), (self.candidate_file(journey, files), candidate));
        }
        if let Some(model) = &due.accepted {
            match files::replace_model(&files.model, base.as_deref(), model) {
                Ok(()) => {
                    self.known.by_policy += 1;
                    self.shared.reload.notify_one();
                    info!(journey, version = model.version().unwrap_or_default(), "accepted by policy");
                }
                Err(problem) => self.complain(problem),
            }
        }
    }

    /// Writes every candidate that waits.
    fn write(&mut self) {
        for (journey, (path, candidate)) in std::mem::take(&mut self.unwritten) {
            match files::write_candidate(&path, &candidate.to_text()) {
                Ok(()) => {
                    self.known.written += 1;
                    info!(journey, path = %path.display(), version = candidate.version(), "candidate written");
                }
                Err(problem) => {
                    self.complain(problem.to_string());
                    self.unwritten.insert(journey, (path, candidate));
                }
            }
        }
    }

    fn candidate_file(&self, journey: &str, files: &emac_compile::declared::Files) -> PathBuf {
        let folder = self.config.candidates.as_ref();
        folder.map_or_else(|| files.candidate.clone(), |folder| folder.join(format!("{journey}.yaml")))
    }

    fn complain(&mut self, problem: String) {
        warn!(%problem, "discovery");
        self.known.problems.push(problem);
    }
}
