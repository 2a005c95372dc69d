//! Places in a table that many share: who has how many, and who goes when all are taken.
//!
//! An entry belongs to an owner (a hop to its source, an undeclared journey to the workload that named it first). A newcomer whose owner
//! has all the places one owner may have pushes out an entry of that owner; one that finds the table full, an entry of anybody. Only
//! what was silent for [`QUIET`] goes, the longest silent first (by the minute) and of those the least travelled: pushing out what
//! reports again in a moment would only move the loss. One exception keeps the table from being held by a few: a newcomer whose owner
//! has less than an equal share may push out what others have beyond theirs, silent or not. Where nothing may go, the newcomer is counted under the
//! overflow entry.
//!
//! Who is next is found by a look at the whole table, at most every [`LOOK_EVERY`]; a batch costs what it brings.

use std::collections::BTreeMap;
use std::sync::Arc;

use emac_core::units::Micros;

/// What was reported within this time keeps its place.
pub(super) const QUIET: Micros = Micros(60 * 1_000_000);
/// The whole table is not looked at more often.
const LOOK_EVERY: Micros = Micros(5 * 1_000_000);
/// What one look finds: a share of the table, and at least so many.
const LOOK_SHARE: usize = 32;
const LOOK_MIN: usize = 64;

/// How dear an entry is; the lowest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// The minute it was last reported in; the first for what this process knows from the store.
    minute: u64,
    /// Calls since ever.
    travelled: u64,
}

impl Rank {
    pub(super) fn new(seen: Option<Micros>, travelled: u64) -> Self {
        Self { minute: seen.map_or(0, |seen| seen.0 / QUIET.0), travelled }
    }

    fn is_quiet(self, now: Micros) -> bool {
        self.minute.saturating_add(1) < now.0 / QUIET.0
    }
}

/// How many places there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) all: usize,
    pub(super) each: usize,
    /// Bytes taken and to be had; zero to be had: not counted.
    pub(super) bytes: (usize, usize),
    /// Whether entries make room for others.
    pub(super) lets_go: bool,
}

/// Owners with their entries.
#[derive(Debug)]
pub(super) struct Room<K> {
    owners: BTreeMap<String, Vec<K>>,
    number: usize,
    pub(super) found: Found<K>,
}

/// What the last look at the table found.
#[derive(Clone, Debug)]
pub(super) struct Found<K> {
    at: Option<Micros>,
    /// Silent entries, the first to go first.
    quiet: Arc<Vec<K>>,
    next_quiet: usize,
    /// Entries beyond an equal share.
    beyond: Arc<Vec<K>>,
    next_beyond: usize,
}

impl<K> Default for Found<K> {
    fn default() -> Self {
        Self { at: None, quiet: Arc::default(), next_quiet: 0, beyond: Arc::default(), next_beyond: 0 }
    }
}

impl<K> Default for Room<K> {
    fn default() -> Self {
        Self { owners: BTreeMap::new(), number: 0, found: Found::default() }
    }
}

impl<K: Clone + Ord> Room<K> {
    pub(super) fn add(&mut self, owner: &str, key: K) {
        match self.owners.get_mut(owner) {
            Some(keys) => keys.push(key),
            None => drop(self.owners.insert(owner.to_owned(), vec![key])),
        }
        self.number += 1;
    }

    pub(super) fn remove(&mut self, owner: &str, key: &K) {
        let Some(keys) = self.owners.get_mut(owner) else { return };
        if let Some(place) = keys.iter().position(|mine| mine == key) {
            keys.swap_remove(place);
            self.number -= 1;
        }
        if keys.is_empty() {
            self.owners.remove(owner);
        }
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    fn of(&self, owner: &str) -> &[K] {
        self.owners.get(owner).map_or(&[], Vec::as_slice)
    }

    fn share(&self, limits: &Limits) -> usize {
        // The newcomer's owner is one more, or one of them.
        limits.all / (self.owners.len() + 1)
    }

    /// Looks at everything.
    fn look<'k>(&self, limits: &Limits, now: Micros, all: impl Iterator<Item = Entry<'k, K>>) -> Found<K>
    where
        K: 'k,
    {
        let share = self.share(limits);
        let above = self.owners.iter().filter(|(_, keys)| keys.len() > share);
        let mut above: BTreeMap<&str, Vec<_>> =
            above.map(|(owner, _)| (owner.as_str(), Vec::new())).collect();
        let mut quiet = Vec::new();
        for Entry { key, owner, rank } in all {
            if rank.is_quiet(now) {
                quiet.push((rank, key));
            }
            if let Some(ranked) = above.get_mut(owner) {
                ranked.push((rank, key));
            }
        }
        let beyond = above.into_values().flat_map(|ranked| {
            let number = ranked.len().saturating_sub(share);
            lowest(ranked, number)
        });
        let number = limits.all.div_ceil(LOOK_SHARE).max(LOOK_MIN);
        let keys =
            |ranked: Vec<(Rank, &K)>| Arc::new(ranked.into_iter().map(|(_, key)| key.clone()).collect());
        Found {
            at: Some(now),
            beyond: keys(lowest(beyond.collect(), number)),
            next_beyond: 0,
            quiet: keys(lowest(quiet, number)),
            next_quiet: 0,
        }
    }
}

/// So many of the lowest, in order.
fn lowest<T: Ord>(mut of: Vec<T>, number: usize) -> Vec<T> {
    if number < of.len() {
        of.select_nth_unstable(number);
        of.truncate(number);
    }
    of.sort_unstable();
    of
}

/// An entry as a look sees it.
pub(super) struct Entry<'k, K> {
    pub(super) key: &'k K,
    pub(super) owner: &'k str,
    pub(super) rank: Rank,
}

/// What a batch takes and gives of a table.
#[derive(Debug)]
pub(super) struct Claims<K> {
    new: BTreeMap<String, usize>,
    number: usize,
    /// Entries that go, by owner.
    gone: BTreeMap<K, String>,
    gone_of: BTreeMap<String, usize>,
    gone_bytes: usize,
    /// Silent entries of owners that have all they may have, the first to go last.
    own: BTreeMap<String, Vec<K>>,
    pub(super) found: Found<K>,
}

/// How a table judges its entries.
pub(super) trait Judge<K: 'static> {
    /// `None`: no longer there, or part of the batch.
    fn rank(&self, key: &K) -> Option<Rank>;
    fn owner(&self, key: &K) -> String;
    fn bytes(&self, key: &K) -> usize;
    /// Every entry that may have to go.
    fn all<'k>(&'k self) -> impl Iterator<Item = Entry<'k, K>>;
}

impl<K: Clone + Ord + 'static> Claims<K> {
    pub(super) fn new(room: &Room<K>) -> Self {
        let (new, gone, gone_of, own) = Default::default();
        Self { new, number: 0, gone, gone_of, gone_bytes: 0, own, found: room.found.clone() }
    }

    /// Entries that go.
    pub(super) fn gone(&self) -> impl Iterator<Item = &K> {
        self.gone.keys()
    }

    /// An entry chosen to go is reported after all, and stays; whether it was.
    pub(super) fn stays(&mut self, key: &K) -> bool {
        let Some(owner) = self.gone.remove(key) else { return false };
        self.gone_of.entry(owner).and_modify(|number| *number -= 1);
        true
    }

    /// Whether a newcomer has a place, for which others may have to go.
    pub(super) fn claim(
        &mut self,
        room: &Room<K>,
        limits: &Limits,
        owner: &str,
        now: Micros,
        judge: &impl Judge<K>,
    ) -> bool {
        let number = |of: &BTreeMap<String, usize>| of.get(owner).copied().unwrap_or(0);
        let mine = room.of(owner).len() + number(&self.new) - number(&self.gone_of);
        let has_room = if mine >= limits.each {
            limits.lets_go && self.push_out_own(room, owner, now, judge)
        } else {
            let is_full = |it: &Self| {
                room.number + it.number >= limits.all + it.gone.len()
                    || (limits.bytes.1 > 0 && limits.bytes.0 >= limits.bytes.1 + it.gone_bytes)
            };
            // For memory more than one may have to go.
            let below_share = mine < room.share(limits);
            (0..4).all(|_| {
                !is_full(self) || limits.lets_go && self.push_out_any(room, limits, below_share, now, judge)
            })
        };
        if has_room {
            *self.new.entry(owner.to_owned()).or_default() += 1;
            self.number += 1;
        }
        has_room
    }

    fn push_out_own(&mut self, room: &Room<K>, owner: &str, now: Micros, judge: &impl Judge<K>) -> bool {
        if !self.own.contains_key(owner) {
            let ranked = room.of(owner).iter().filter_map(|key| Some((judge.rank(key)?, key)));
            let mut quiet: Vec<_> = ranked.filter(|(rank, _)| rank.is_quiet(now)).collect();
            quiet.sort_unstable_by(|a, b| b.cmp(a));
            let quiet = quiet.into_iter().map(|(_, key)| key.clone()).collect();
            self.own.insert(owner.to_owned(), quiet);
        }
        while let Some(key) = self.own.get_mut(owner).and_then(Vec::pop) {
            if judge.rank(&key).is_some() && !self.gone.contains_key(&key) {
                self.push_out(key, judge);
                return true;
            }
        }
        false
    }

    fn push_out_any(
        &mut self,
        room: &Room<K>,
        limits: &Limits,
        below_share: bool,
        now: Micros,
        judge: &impl Judge<K>,
    ) -> bool {
        if let Some(key) = self.next(below_share, now, judge) {
            self.push_out(key, judge);
            return true;
        }
        if self.found.at.is_some_and(|at| now.since(at) < LOOK_EVERY) {
            return false;
        }
        self.found = room.look(limits, now, judge.all());
        match self.next(below_share, now, judge) {
            Some(key) => {
                self.push_out(key, judge);
                true
            }
            None => false,
        }
    }

    fn next(&mut self, below_share: bool, now: Micros, judge: &impl Judge<K>) -> Option<K> {
        let rank = |key: &K| judge.rank(key).filter(|_| !self.gone.contains_key(key));
        let still_quiet = |key: &&K| rank(key).is_some_and(|rank| rank.is_quiet(now));
        let rest = self.found.quiet.get(self.found.next_quiet..).unwrap_or_default();
        let quiet = rest.iter().enumerate().find(|(_, key)| still_quiet(key));
        if let Some((passed, key)) = quiet.map(|(passed, key)| (passed, key.clone())) {
            self.found.next_quiet += passed + 1;
            return Some(key);
        }
        self.found.next_quiet = self.found.quiet.len();
        if !below_share {
            return None;
        }
        let rest = self.found.beyond.get(self.found.next_beyond..).unwrap_or_default();
        let beyond = rest.iter().enumerate().find(|(_, key)| rank(key).is_some());
        let (passed, key) = beyond.map(|(passed, key)| (passed, key.clone()))?;
        self.found.next_beyond += passed + 1;
        Some(key)
    }

    fn push_out(&mut self, key: K, judge: &impl Judge<K>) {
        let owner = judge.owner(&key);
        *self.gone_of.entry(owner.clone()).or_default() += 1;
        self.gone_bytes += judge.bytes(&key);
        self.gone.insert(key, owner);
    }
}
