//! Which reports have been counted: at-least-once on the wire, exactly-once here.
//!
//! A leader sends one report at a time and numbers them 1, 2, 3 ... within its epoch, so one number a (node, epoch) says it all: every
//! sequence up to it has been counted (or will never come). Several epochs of a node may be live at once, while leadership changes
//! hands. A gap is counted and accepted: the missing report was acknowledged by a control plane that has since lost its store,
//! nobody can send it again, and refusing what follows would only lose more.
//!
//! Forgetting. Pods come and go, so marks must end; but a report that comes back after its mark is gone would count twice. Hence a mark
//! leaves a floor behind, and an unknown epoch at or below it is refused ([`ReportStatus::Expired`]): it may have been counted. An epoch is
//! the calendar time at which its leader began, so whoever begins later stands above.
//!
//! - A mark of a node that has others leaves its epoch as the *node's* floor, the last mark of a node as its *workload's*. Floors of
//!   workloads without marks beyond [`FLOORS_MAX`] become the floor of all, the lowest first.
//! - Forgotten is what sent nothing for [`IDLE_MAX`] of time served (added up in the store, so neither a long downtime nor a wrong
//!   calendar ages a mark); a node's lowest epochs beyond [`NODE_MAX`]; and, when all places are taken, a sixteenth of the marks of the
//!   workload that has most of them, the longest silent first. So who invents epochs or nodes pushes out his own workload's.
//! - What reported within [`QUIET`], and what began in the future, goes only for the sake of another workload: a clock ahead lifts no floor
//!   above honest epochs. An unknown epoch more than [`AHEAD_MAX`] ahead of this calendar is refused ([`ReportStatus::Ahead`]).
//! - Since those do not go for their own node or workload, they do not get all its places: at most half of a node's ([`AHEAD_AT_NODE_MAX`]),
//!   and none of the last sixteenth of all. So no invented epoch keeps the next honest one out.
//! - Where nothing may go, new epochs are refused for now ([`ReportStatus::Full`]).
//!
//! The price: a leader whose mark went because it was silent is refused afterwards, and counted, until it is replaced.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::id::WorkloadName;
use emac_core::units::Micros;

/// Thirty days without a report: far beyond any retry of a report that was counted but not acknowledged.
pub const IDLE_MAX: Micros = Micros(30 * 24 * 3_600 * 1_000_000);
/// Sequences that may be missing at once, and one more in each [`GAP_EVERY`] since the last report. A sidecar numbers without gaps, so what is
/// missing was counted in a store now gone; a forged number far ahead would have every later report of its sidecar taken for a duplicate.
pub const GAP_MAX: u64 = 16;
/// No sidecar sends more reports than one in this time.
pub const GAP_EVERY: Micros = Micros(100_000);
/// Marks of one node: its leaders of the last restarts, some of them at once.
pub const NODE_MAX: usize = 16;
/// Marks of one node whose epochs are ahead of this calendar.
pub const AHEAD_AT_NODE_MAX: usize = NODE_MAX / 2;
/// A leader that reported within this time is at work.
pub const QUIET: Micros = Micros(60 * 1_000_000);
/// How far a leader's calendar may be ahead: a host that takes local time for UTC is 14 hours ahead.
pub const AHEAD_MAX: Micros = Micros(24 * 3_600 * 1_000_000);
/// Floors of workloads that have no marks.
pub const FLOORS_MAX: usize = 65_536;
/// Marks kept unless the configuration says otherwise: 100 000 pods a month, and as many again. About 45 MB when full.
pub const LIVES_MAX: usize = 262_144;

/// A leader's life: its sidecar ([`life`]), and the epoch.
pub type Life = (String, u64);

/// The life of a node of a workload. The workload is part of it, so that nobody who must report for its own can move the mark of another's
/// node.
pub fn life(workload: &WorkloadName, node: &str, epoch: u64) -> Life {
    (format!("{workload} {node}"), epoch)
}

/// Whose a life is, and of which node. Stores of before have lives without a workload.
pub(crate) fn parts(sidecar: &str) -> (&str, &str) {
    sidecar.split_once(' ').unwrap_or(("", sidecar))
}

/// What is known of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Everything up to here is counted.
    pub sequence: u64,
    /// When the last report came, in time served.
    pub seen: Micros,
}

/// What to do with a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportStatus {
    /// Count it. `missing` sequences before it will never come.
    Count {
        /// Usually zero.
        missing: u64,
    },
    /// It has been counted: acknowledge up to `sequence`.
    Duplicate {
        /// The last sequence counted.
        sequence: u64,
    },
    /// Its sequence is further ahead than reports can come.
    Implausible,
    /// Its epoch is further ahead of this calendar than clocks are.
    Ahead,
    /// Its epoch was forgotten: it may have been counted.
    Expired,
    /// No room for another epoch.
    Full,
}

/// Two times: how long has been served, and the calendar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Over all lives of the store.
    pub served: Micros,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
}

impl Served {
    /// The epoch of a leader that begins so much later.
    fn epoch_in(self, later: Micros) -> u64 {
        self.unix_ms.saturating_mul(1_000_000).saturating_add(later.0.saturating_mul(1_000))
    }

    /// Whether this epoch begins later than now.
    fn is_ahead(self, epoch: u64) -> bool {
        epoch > self.epoch_in(Micros(0))
    }

    /// The highest number that a leader of this epoch can have come to, also one whose calendar is as far ahead as is allowed.
    fn sequence_max(self, epoch: u64) -> u64 {
        let age_us = self.epoch_in(AHEAD_MAX).saturating_sub(epoch) / 1_000;
        GAP_MAX.saturating_add(age_us / GAP_EVERY.0)
    }

    fn is_quiet(self, mark: Mark) -> bool {
        self.served.since(mark.seen) >= QUIET
    }
}

/// Changes of marks that belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarkChanges {
    /// New or moved marks.
    pub marks: BTreeMap<Life, Mark>,
    /// Marks to forget; the floors that come with it are below.
    pub forgotten: BTreeSet<Life>,
    /// New floors by workload, or by workload and node; zero: the floor is no longer needed.
    pub floors: BTreeMap<String, u64>,
    /// The floor of all, if it rises.
    pub floor: Option<u64>,
    /// Lives among the marks that were not known before.
    new: usize,
    /// Workloads that asked for room in vain.
    full: BTreeSet<String>,
}

/// All marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    lives: BTreeMap<Life, Mark>,
    floor: u64,
    floors: BTreeMap<String, u64>,
    /// Marks of each workload, and the same by number.
    of: BTreeMap<String, usize>,
    by_number: BTreeSet<(usize, String)>,
    most: usize,
}

impl Default for Marks {
    fn default() -> Self {
        Self::from_parts(BTreeMap::new(), BTreeMap::new(), 0)
    }
}

impl Marks {
    /// From stored parts.
    pub fn from_parts(lives: BTreeMap<Life, Mark>, floors: BTreeMap<String, u64>, floor: u64) -> Self {
        let mut of: BTreeMap<String, usize> = BTreeMap::new();
        for (sidecar, _) in lives.keys() {
            match of.get_mut(parts(sidecar).0) {
                Some(number) => *number += 1,
                None => drop(of.insert(parts(sidecar).0.to_owned(), 1)),
            }
        }
        let by_number = of.iter().map(|(workload, number)| (*number, workload.clone())).collect();
        Self { lives, floor, floors, of, by_number, most: LIVES_MAX }
    }

    /// With room for so many, at least one.
    #[must_use]
    pub fn with_room(self, most: usize) -> Self {
        Self { most: most.max(1), ..self }
    }

    /// Lives known.
    pub fn len(&self) -> usize {
        self.lives.len()
    }

    /// Whether no life is known.
    pub fn is_empty(&self) -> bool {
        self.lives.is_empty()
    }

    /// Most lives.
    pub fn room(&self) -> usize {
        self.most
    }

    /// Unknown epochs of whomsoever up to here are refused.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Unknown epochs of a workload, or of a workload's node, up to here are refused.
    pub fn floors(&self) -> &BTreeMap<String, u64> {
        &self.floors
    }

    /// Every life with its mark.
    pub fn lives(&self) -> &BTreeMap<Life, Mark> {
        &self.lives
    }

    /// The mark of a life.
    pub fn get(&self, life: &Life) -> Option<Mark> {
        self.lives.get(life).copied()
    }

    /// Judges a report against these marks with `staged` (a transaction under way) laid over them. An unknown life still needs room
    /// ([`Marks::make_room`]).
    pub fn judge(&self, staged: &MarkChanges, life: &Life, sequence: u64, now: Served) -> ReportStatus {
        match staged.marks.get(life).or_else(|| self.lives.get(life)) {
            Some(mark) if sequence <= mark.sequence => ReportStatus::Duplicate { sequence: mark.sequence },
            Some(mark) => {
                let missing = sequence - mark.sequence - 1;
                let plausible = GAP_MAX.saturating_add(now.served.since(mark.seen).0 / GAP_EVERY.0);
                if missing <= plausible { ReportStatus::Count { missing } } else { ReportStatus::Implausible }
            }
            None if life.1 <= self.floor_of(staged, &life.0) => ReportStatus::Expired,
            None if life.1 > now.epoch_in(AHEAD_MAX) => ReportStatus::Ahead,
            None if sequence > now.sequence_max(life.1) => ReportStatus::Implausible,
            // The first of an unknown life is not a gap when it is not 1: what came before was counted in a store now gone.
            None => ReportStatus::Count { missing: 0 },
        }
    }

    /// Moves the mark of a life that has a place.
    pub fn stage(&self, staged: &mut MarkChanges, life: Life, mark: Mark) {
        // A life forgotten by this very transaction is alive after all.
        staged.forgotten.remove(&life);
        staged.new += usize::from(!self.lives.contains_key(&life) && !staged.marks.contains_key(&life));
        staged.marks.insert(life, mark);
    }

    /// Whether an unknown life has a place, for which others may have to go: they are then in `staged`, with their floors.
    pub fn make_room(&self, staged: &mut MarkChanges, life: &Life, now: Served) -> bool {
        self.room_at_node(staged, life, now) && self.room_at_all(staged, life, now)
    }

    /// Forgets in `staged` what was silent for [`IDLE_MAX`], and floors of which there are too many. Costs a look at every mark.
    pub fn tidy(&self, staged: &mut MarkChanges, now: Served) {
        let newest = now.epoch_in(Micros(0)).saturating_sub(IDLE_MAX.0.saturating_mul(1_000));
        let idle = self
            .lives
            .iter()
            .filter(|((_, epoch), mark)| now.served.since(mark.seen) >= IDLE_MAX && *epoch <= newest);
        for (life, _) in idle {
            self.forget_in(staged, life);
        }
        let mut bare: Vec<_> =
            self.floors.iter().filter(|(of, _)| !of.contains(' ') && !self.of.contains_key(*of)).collect();
        if bare.len() > FLOORS_MAX {
            bare.sort_unstable_by_key(|(_, floor)| **floor);
            for (of, floor) in bare.drain(..bare.len() - FLOORS_MAX) {
                staged.floors.insert(of.clone(), 0);
                staged.floor = Some(staged.floor.unwrap_or(self.floor).max(*floor));
            }
        }
    }

    /// Takes over a transaction's changes.
    pub fn apply(&mut self, changes: MarkChanges) {
        for (life, mark) in changes.marks {
            let workload = parts(&life.0).0.to_owned();
            if self.lives.insert(life, mark).is_none() {
                self.count(workload, |number| number + 1);
            }
        }
        for life in &changes.forgotten {
            if self.lives.remove(life).is_some() {
                self.count(parts(&life.0).0.to_owned(), |number| number.saturating_sub(1));
            }
        }
        for (of, floor) in changes.floors {
            match floor {
                0 => drop(self.floors.remove(&of)),
                floor => drop(self.floors.insert(of, floor)),
            }
        }
        self.floor = changes.floor.unwrap_or(self.floor).max(self.floor);
    }

    fn count(&mut self, workload: String, change: impl Fn(usize) -> usize) {
        let before = self.of.remove(&workload).unwrap_or(0);
        self.by_number.remove(&(before, workload.clone()));
        let after = change(before);
        if after > 0 {
            self.by_number.insert((after, workload.clone()));
            self.of.insert(workload, after);
        }
    }

    fn floor_of(&self, staged: &MarkChanges, sidecar: &str) -> u64 {
        let floor = |of: &str| staged.floors.get(of).or_else(|| self.floors.get(of)).copied().unwrap_or(0);
        let all = staged.floor.unwrap_or(self.floor).max(self.floor);
        all.max(floor(sidecar)).max(floor(parts(sidecar).0))
    }

    // === making room ===

    fn room_at_node(&self, staged: &mut MarkChanges, life: &Life, now: Served) -> bool {
        let new = staged.marks.range(node(&life.0)).filter(|(life, _)| !self.lives.contains_key(*life));
        let held = self.lives.range(node(&life.0)).filter(|(life, _)| !staged.forgotten.contains(*life));
        let epochs: Vec<_> = held.chain(new).map(|((_, epoch), _)| *epoch).collect();
        let ahead = epochs.iter().filter(|epoch| now.is_ahead(**epoch)).count();
        if now.is_ahead(life.1) && ahead >= AHEAD_AT_NODE_MAX {
            return false;
        }
        if epochs.len() < NODE_MAX {
            return true;
        }
        let may_go = |(life, mark): &(&Life, &Mark)| may_go(staged, life, **mark, now);
        let Some((lowest, _)) = self.lives.range(node(&life.0)).find(may_go) else { return false };
        self.forget_in(staged, lowest);
        true
    }

    fn room_at_all(&self, staged: &mut MarkChanges, life: &Life, now: Served) -> bool {
        let reserved = if now.is_ahead(life.1) { self.most / 16 } else { 0 };
        if self.lives.len() + staged.new < self.most - reserved + staged.forgotten.len() {
            return true;
        }
        let own = parts(&life.0).0;
        let Some((number, workload)) = self.by_number.last().filter(|_| !staged.full.contains(own)) else {
            return false;
        };
        let is_own = own == workload;
        let mut all: Vec<_> = self.lives_of(workload).filter(|(life, _)| !is_taken(staged, life)).collect();
        // For the sake of its own workload nothing at work goes.
        if is_own || all.iter().any(|(life, mark)| may_go(staged, life, **mark, now)) {
            all.retain(|(life, mark)| may_go(staged, life, **mark, now));
        }
        all.sort_unstable_by_key(|(life, mark)| (mark.seen, life.1));
        all.truncate(number.div_ceil(16));
        all.iter().for_each(|(life, _)| self.forget_in(staged, life));
        if all.is_empty() {
            staged.full.insert(own.to_owned());
        }
        !all.is_empty()
    }

    fn lives_of(&self, workload: &str) -> impl Iterator<Item = (&Life, &Mark)> {
        let first = if workload.is_empty() { String::new() } else { format!("{workload} ") };
        let is_of = move |sidecar: &str| parts(sidecar).0 == workload;
        // Lives without a workload stand among the others, and are rare.
        let all = workload.is_empty();
        let range = self.lives.range((first, 0)..);
        range
            .take_while(move |((sidecar, _), _)| all || is_of(sidecar))
            .filter(move |((sidecar, _), _)| is_of(sidecar))
    }

    /// Forgets a life in `staged` and leaves the floor that keeps its reports from counting again.
    fn forget_in(&self, staged: &mut MarkChanges, life: &Life) {
        if is_taken(staged, life) {
            return;
        }
        let (sidecar, epoch) = (&life.0, life.1);
        staged.forgotten.insert(life.clone());
        let is_left = |other: &Life| !staged.forgotten.contains(other);
        let others = self.lives.range(node(sidecar)).map(|(life, _)| life);
        let any_left = others.chain(staged.marks.range(node(sidecar)).map(|(life, _)| life)).any(is_left);
        let floor = |staged: &MarkChanges, of: &str| {
            staged.floors.get(of).or_else(|| self.floors.get(of)).copied().unwrap_or(0)
        };
        let of_node = floor(staged, sidecar).max(epoch);
        if any_left {
            staged.floors.insert(sidecar.clone(), of_node);
            return;
        }
        if floor(staged, sidecar) > 0 {
            staged.floors.insert(sidecar.clone(), 0);
        }
        match parts(sidecar).0 {
            // Its reports come again in the name of some workload.
            "" => staged.floor = Some(staged.floor.unwrap_or(self.floor).max(of_node)),
            workload => {
                let of_workload = floor(staged, workload).max(of_node);
                staged.floors.insert(workload.to_owned(), of_workload);
            }
        }
    }
}

/// All lives of a sidecar.
fn node(sidecar: &str) -> std::ops::RangeInclusive<Life> {
    (sidecar.to_owned(), 0)..=(sidecar.to_owned(), u64::MAX)
}

/// What this transaction moves or forgets does not go.
fn is_taken(staged: &MarkChanges, life: &Life) -> bool {
    staged.marks.contains_key(life) || staged.forgotten.contains(life)
}

/// A life that is not at work and did not begin in the future.
fn may_go(staged: &MarkChanges, life: &Life, mark: Mark, now: Served) -> bool {
    !is_taken(staged, life) && now.is_quiet(mark) && !now.is_ahead(life.1)
}

#[cfg(test)]
mod tests;
