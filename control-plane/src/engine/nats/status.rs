//! How it stands with NATS, for `/readyz`, the log and error messages.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{info, warn};

/// How long a refusal of NATS explains what fails.
const REFUSAL_KEPT: Duration = Duration::from_secs(30);

/// Most often that something is said of one part.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Shared by every task of the engine.
#[derive(Debug)]
pub(super) struct Status {
    state: Mutex<State>,
    /// Counts connections: a change means that what was open is to be opened anew.
    connections: watch::Sender<u64>,
    /// What ends the process.
    fatal: watch::Sender<Option<String>>,
}

/// What can fail by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Connecting.
    Connection,
    /// Streams and bucket.
    Layout,
    /// Reading a stream.
    Reading,
    /// Not everything counted is known yet.
    View,
    /// Taking in reports.
    Evidence,
    /// Writing what counts of a partition.
    Log(u16),
    /// Writing plans.
    Plan,
    /// Reading and writing people's orders.
    Orders,
}

#[derive(Debug, Default)]
struct State {
    connected: bool,
    /// What keeps this replica from working, by part.
    problems: BTreeMap<Part, String>,
    /// When something was said of a part: a problem that changes its words with every report is said now and then.
    said: BTreeMap<Part, Instant>,
    /// What NATS forbade last, and when.
    refusal: Option<(String, Instant)>,
}

impl Default for Status {
    fn default() -> Self {
        let (connections, fatal) = (watch::Sender::new(0), watch::Sender::new(None));
        Self { state: Mutex::default(), connections, fatal }
    }
}

impl Status {
    pub(super) fn connected(&self) {
        let mut state = self.state();
        info!("connected to NATS");
        state.connected = true;
        state.problems.remove(&Part::Connection);
        self.connections.send_modify(|count| *count += 1);
    }

    pub(super) fn disconnected(&self) {
        let mut state = self.state();
        if state.connected {
            warn!("NATS is lost; reports are not acknowledged until it is back, budgets stay as they are");
        }
        state.connected = false;
    }

    pub(super) fn is_connected(&self) -> bool {
        self.state().connected
    }

    /// Ticks whenever a connection was made.
    pub(super) fn connections(&self) -> watch::Receiver<u64> {
        self.connections.subscribe()
    }

    /// NATS forbids something: says so once.
    pub(super) fn refused(&self, what: String) {
        let mut state = self.state();
        if state.refusal.as_ref().is_none_or(|(known, at)| *known != what || at.elapsed() > REFUSAL_KEPT) {
            warn!(problem = what, "NATS refuses; give the user of this replica the right that is named");
        }
        state.refusal = Some((what, Instant::now()));
    }

    /// What fails, explained by what NATS forbade just before.
    pub(super) fn explain(&self, error: impl std::fmt::Display) -> String {
        let state = self.state();
        match state.refusal.as_ref().filter(|(_, at)| at.elapsed() <= REFUSAL_KEPT) {
            Some((refusal, _)) => format!("{error}; NATS says: {refusal}"),
            None => error.to_string(),
        }
    }

    /// Notes what keeps this replica from working; says it when it is new.
    pub(super) fn trouble(&self, part: Part, problem: String) {
        let mut state = self.state();
        let new = state.problems.get(&part) != Some(&problem);
        if new && state.said.get(&part).is_none_or(|said| said.elapsed() > SAY_EVERY) {
            warn!(problem, "the engine waits");
            state.said.insert(part, Instant::now());
        }
        state.problems.insert(part, problem);
    }

    /// The part works.
    pub(super) fn well(&self, part: Part) {
        self.state().problems.remove(&part);
    }

    pub(super) fn is_well(&self, part: Part) -> bool {
        !self.state().problems.contains_key(&part)
    }

    /// Why this replica should get no traffic, if so.
    pub(super) fn problem(&self) -> Option<String> {
        let state = self.state();
        let first = state.problems.values().next();
        match (state.connected, first) {
            (true, first) => first.cloned(),
            (false, Some(first)) => Some(format!("NATS is not connected: {first}")),
            (false, None) => Some("NATS is not connected".to_owned()),
        }
    }

    /// This process must not go on.
    pub(super) fn fail(&self, why: String) {
        self.trouble(Part::Layout, why.clone());
        self.fatal.send_replace(Some(why));
    }

    /// Comes when this process must not go on.
    pub(super) fn fatal(&self) -> watch::Receiver<Option<String>> {
        self.fatal.subscribe()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
