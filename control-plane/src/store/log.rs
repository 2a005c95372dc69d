//! One commit as one row of the log: what was added, and the marks that say so.
//!
//! Hops stand in the order of their keys, each with a note of which parts it shares with the one before: ten calls of a workload name it
//! once.

use std::collections::BTreeMap;
use std::sync::Arc;

use emac_core::evidence::{HopDelta, JourneyDelta};
use emac_core::id::{HopKey, JourneyName};
use emac_core::units::Micros;

use super::row::{InvalidRow, decode_hop, decode_journey, encode_hop, encode_journey};
use super::{Changes, Stored};
use crate::aggregate::{overflow_hop, overflow_journey};
use crate::marks::{Mark, MarkChanges, Marks};
use crate::packed::{Damaged, Packed, Reader, write_bytes, write_varint};
use crate::totals::{HopTotals, JourneyTotals};

/// The layout of these rows.
const VERSION: u64 = 1;
const SAME_JOURNEY: u64 = 1;
const SAME_SOURCE: u64 = 2;

// === writing ===

pub(super) fn encode(changes: &Changes) -> Vec<u8> {
    let mut row = Vec::with_capacity(64 + 80 * (changes.marks.marks.len() + changes.hops.len()));
    write_varint(&mut row, VERSION);
    write_marks(&mut row, &changes.marks);
    write_varint(&mut row, changes.evicted_journeys.len() as u64);
    for (name, totals) in &changes.evicted_journeys {
        write_bytes(&mut row, name.as_str().as_bytes());
        write_bytes(&mut row, &encode_journey(totals, 0));
    }
    write_varint(&mut row, changes.evicted_hops.len() as u64);
    let mut keys = KeyWriter::default();
    for (key, totals) in &changes.evicted_hops {
        keys.write(&mut row, key);
        write_bytes(&mut row, &encode_hop(totals, 0));
    }
    write_varint(&mut row, changes.journeys.len() as u64);
    for (name, delta) in &changes.journeys {
        write_bytes(&mut row, name.as_str().as_bytes());
        delta.pack(&mut row);
    }
    write_varint(&mut row, changes.hops.len() as u64);
    let mut keys = KeyWriter::default();
    for (key, delta) in &changes.hops {
        keys.write(&mut row, key);
        delta.pack(&mut row);
    }
    row
}

fn write_marks(row: &mut Vec<u8>, marks: &MarkChanges) {
    write_varint(row, marks.marks.len() as u64);
    for ((sidecar, epoch), mark) in &marks.marks {
        write_bytes(row, sidecar.as_bytes());
        [*epoch, mark.sequence, mark.seen.0].into_iter().for_each(|number| write_varint(row, number));
    }
    write_varint(row, marks.forgotten.len() as u64);
    for (sidecar, epoch) in &marks.forgotten {
        write_bytes(row, sidecar.as_bytes());
        write_varint(row, *epoch);
    }
    write_varint(row, marks.floors.len() as u64);
    for (of, floor) in &marks.floors {
        write_bytes(row, of.as_bytes());
        write_varint(row, *floor);
    }
    write_varint(row, marks.floor.unwrap_or(0));
}

#[derive(Default)]
struct KeyWriter<'a> {
    last: Option<&'a HopKey>,
}

impl<'a> KeyWriter<'a> {
    fn write(&mut self, row: &mut Vec<u8>, key: &'a HopKey) {
        let same = |part: fn(&HopKey) -> &String| self.last.is_some_and(|last| part(last) == part(key));
        let (journey, source) = (same(|key| &key.journey), same(|key| &key.source));
        write_varint(row, u64::from(journey) * SAME_JOURNEY + u64::from(source) * SAME_SOURCE);
        let parts = [(journey, &key.journey), (source, &key.source)];
        for (_, part) in parts.into_iter().filter(|(same, _)| !same) {
            write_bytes(row, part.as_bytes());
        }
        write_bytes(row, key.destination.as_bytes());
        write_bytes(row, key.operation.as_bytes());
        self.last = Some(key);
    }
}

// === reading ===

/// What is stored while the log is read over it: totals with the last commit in each.
pub(super) struct Replay {
    pub(super) marks: Marks,
    pub(super) journeys: BTreeMap<JourneyName, (JourneyTotals, u64)>,
    pub(super) hops: BTreeMap<HopKey, (HopTotals, u64)>,
    /// Rows of the last commit's evicted entries, which still stand in their tables.
    pub(super) left: Left,
}

/// Rows that are to be removed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Left {
    pub(super) lives: Vec<crate::marks::Life>,
    pub(super) journeys: Vec<JourneyName>,
    pub(super) hops: Vec<Arc<HopKey>>,
}

impl Left {
    pub(super) fn by(changes: &Changes) -> Self {
        Self {
            lives: changes.marks.forgotten.iter().cloned().collect(),
            journeys: changes.evicted_journeys.keys().cloned().collect(),
            hops: changes.evicted_hops.keys().cloned().collect(),
        }
    }
}

impl Replay {
    /// Adds a row of the log to everything that does not have it yet.
    pub(super) fn add(&mut self, commit: u64, row: &[u8]) -> Result<(), InvalidRow> {
        let mut row = Reader::new(row);
        if row.varint()? != VERSION {
            return Err(Damaged::Strange("the layout of the log").into());
        }
        let marks = read_marks(&mut row)?;
        self.left = Left { lives: marks.forgotten.iter().cloned().collect(), ..Left::default() };
        self.marks.apply(marks);
        for _ in 0..row.varint()? {
            let name = JourneyName::new(row.text()?)?;
            let (totals, _) = decode_journey(row.bytes()?)?;
            self.evict_journey(commit, name, &totals);
        }
        let mut keys = HopKey::default();
        for _ in 0..row.varint()? {
            read_key(&mut row, &mut keys)?;
            let (totals, _) = decode_hop(row.bytes()?)?;
            self.evict_hop(commit, &keys, &totals);
        }
        for _ in 0..row.varint()? {
            let (name, mut delta) = (JourneyName::new(row.text()?)?, JourneyDelta::default());
            delta.merge_packed(&mut row)?;
            add(self.journeys.entry(name).or_default(), commit, |totals| totals.add(&delta));
        }
        let mut keys = HopKey::default();
        for _ in 0..row.varint()? {
            read_key(&mut row, &mut keys)?;
            let mut delta = HopDelta::default();
            delta.merge_packed(&mut row)?;
            match self.hops.get_mut(&keys) {
                Some(hop) => add(hop, commit, |totals| totals.add(&delta)),
                None => add(self.hops.entry(keys.clone()).or_default(), commit, |totals| totals.add(&delta)),
            }
        }
        if row.is_empty() { Ok(()) } else { Err(Damaged::Strange("more at the end of a row").into()) }
    }

    /// What a row of its own says is later than the eviction stays: it has come again since.
    fn evict_journey(&mut self, commit: u64, name: JourneyName, totals: &JourneyTotals) {
        if self.journeys.get(&name).is_some_and(|(_, last)| *last < commit) {
            self.journeys.remove(&name);
        }
        if let Some(overflow) = overflow_journey() {
            add_totals(self.journeys.entry(overflow).or_default(), commit, |all| all.add_all(totals));
        }
        self.left.journeys.push(name);
    }

    fn evict_hop(&mut self, commit: u64, key: &HopKey, totals: &HopTotals) {
        if self.hops.get(key).is_some_and(|(_, last)| *last < commit) {
            self.hops.remove(key);
        }
        add_totals(self.hops.entry(overflow_hop()).or_default(), commit, |all| all.add_all(totals));
        self.left.hops.push(Arc::new(key.clone()));
    }

    /// Everything, as of the last commit.
    pub(super) fn stored(self) -> Stored {
        Stored {
            floor: self.marks.floor(),
            floors: self.marks.floors().clone(),
            marks: self.marks.lives().clone(),
            journeys: self.journeys.into_iter().map(|(name, (totals, _))| (name, totals)).collect(),
            hops: self.hops.into_iter().map(|(key, (totals, _))| (key, totals)).collect(),
            ..Stored::default()
        }
    }
}

/// Adds to totals whose row does not have the commit yet.
fn add<T>(place: &mut (T, u64), commit: u64, add: impl FnOnce(&mut T)) {
    if place.1 < commit {
        add(&mut place.0);
        place.1 = commit;
    }
}

/// As [`add`], for one of several additions of a commit: its number stays to be noted.
fn add_totals<T>(place: &mut (T, u64), commit: u64, add: impl FnOnce(&mut T)) {
    if place.1 < commit {
        add(&mut place.0);
    }
}

fn read_marks(row: &mut Reader<'_>) -> Result<MarkChanges, InvalidRow> {
    let mut marks = MarkChanges::default();
    for _ in 0..row.varint()? {
        let (sidecar, epoch) = (row.text()?.to_owned(), row.varint()?);
        let mark = Mark { sequence: row.varint()?, seen: Micros(row.varint()?) };
        marks.marks.insert((sidecar, epoch), mark);
    }
    for _ in 0..row.varint()? {
        marks.forgotten.insert((row.text()?.to_owned(), row.varint()?));
    }
    for _ in 0..row.varint()? {
        marks.floors.insert(row.text()?.to_owned(), row.varint()?);
    }
    marks.floor = Some(row.varint()?);
    Ok(marks)
}

/// Moves a key on to the next.
fn read_key(row: &mut Reader<'_>, key: &mut HopKey) -> Result<(), InvalidRow> {
    let same = row.varint()?;
    if same & SAME_JOURNEY == 0 {
        row.text()?.clone_into(&mut key.journey);
    }
    if same & SAME_SOURCE == 0 {
        row.text()?.clone_into(&mut key.source);
    }
    row.text()?.clone_into(&mut key.destination);
    row.text()?.clone_into(&mut key.operation);
    Ok(())
}
