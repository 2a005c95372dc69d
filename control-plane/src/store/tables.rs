//! Tables, and how a commit is written to them; `read` is the other pass.
//!
//! A commit is one row of the log (`log`). Totals and marks have a row of their own as well, which is rewritten now and then (`sweep`) and
//! says up to which commit it counts; what has been written by it all leaves the log. So a commit costs what it adds, and a start
//! reads the rows and the rest of the log.

use std::collections::BTreeMap;

use emac_core::id::HopKey;
use emac_core::units::{Generation, Micros};
use redb::{Database, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};

use super::log::Left;
use super::old::{self, NUMBERS};
use super::row;
use super::sweep::Folds;
use super::{Changes, SCHEMA, Stored, log};
use crate::packed::write_varint;

pub(super) type Rows<K> = TableDefinition<'static, K, &'static [u8]>;

/// One row, [`Header`], and one with the highest generation that may be issued.
pub(super) const STATE: Rows<&str> = TableDefinition::new("state.2");
pub(super) const LOG: Rows<u64> = TableDefinition::new("log.2");
/// (sidecar, epoch) to (sequence, last seen in time served).
pub(super) const MARKS: Rows<(&str, u64)> = TableDefinition::new("marks.2");
/// Workload, or workload and node, to the epoch up to which unknown ones are refused.
pub(super) const FLOORS: Rows<&str> = TableDefinition::new("floors.2");
pub(super) const JOURNEYS: Rows<&str> = TableDefinition::new("journeys.2");
/// (journey, source, destination, operation).
pub(super) const HOPS: Rows<(&str, &str, &str, &str)> = TableDefinition::new("hops.2");

pub(super) const HEADER: &str = "header";
pub(super) const GENERATION: &str = "generation";
/// Most rows that leave the log with one commit: each has to be read to be freed.
const DROPPED_MAX: u64 = 16;

/// What is one number for the whole store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) floor: u64,
    pub(super) served: Micros,
    /// The last commit, whose row is the last of the log.
    pub(super) commit: u64,
    /// The first commit whose row is in the log.
    pub(super) log_from: u64,
    /// Rows of the tables of marks, floors, journeys and hops.
    pub(super) rows: [u64; 4],
}

/// One durable transaction. Returns the bytes of its row in the log.
pub(super) fn write(
    database: &Database,
    changes: &Changes,
    folds: &Folds,
    generation: Option<Generation>,
) -> Result<usize, redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(NUMBERS)?.insert("schema", SCHEMA)?;
    let log_row = row::seal("log.2", &[&changes.commit.to_be_bytes()], &log::encode(changes));
    let log_from = write_log(&transaction, changes.commit, &log_row, folds.dropped)?;
    if let Some(generation) = generation {
        insert_generation(&transaction, generation)?;
    }
    write_floors(&transaction, &changes.marks.floors)?;
    remove(&transaction, &folds.left)?;
    write_rows(&transaction, folds)?;
    write_header(&transaction, changes, log_from)?;
    transaction.commit()?;
    Ok(log_row.len())
}

/// One durable transaction of nothing but the highest generation that may be issued.
pub(super) fn write_generation(database: &Database, generation: Generation) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(NUMBERS)?.insert("schema", SCHEMA)?;
    insert_generation(&transaction, generation)?;
    Ok(transaction.commit()?)
}

/// One durable transaction that makes a store of schema 1 one of this.
pub(super) fn migrate(database: &Database, stored: &Stored) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    old::remove(&transaction)?;
    transaction.open_table(NUMBERS)?.insert("schema", SCHEMA)?;
    let changes = Changes { served: stored.served, ..Changes::default() };
    let mut folds = Folds::default();
    folds.marks.extend(stored.marks.iter().map(|(life, mark)| (life.clone(), *mark)));
    folds
        .journeys
        .extend(stored.journeys.iter().map(|(name, of)| (name.clone(), row::encode_journey(of, 0))));
    let hops = stored.hops.iter().map(|(key, of)| (key.clone().into(), row::encode_hop(of, 0)));
    folds.hops.extend(hops);
    write_rows(&transaction, &folds)?;
    write_log(&transaction, 0, &row::seal("log.2", &[&0_u64.to_be_bytes()], &log::encode(&changes)), 0)?;
    let mut raised = changes;
    raised.floor = stored.floor;
    write_header(&transaction, &raised, 0)?;
    insert_generation(&transaction, stored.generation)?;
    Ok(transaction.commit()?)
}

fn insert_generation(transaction: &WriteTransaction, generation: Generation) -> Result<(), redb::Error> {
    let mut row = Vec::new();
    write_varint(&mut row, generation.0);
    let sealed = row::seal("state.2", &[GENERATION.as_bytes()], &row);
    transaction.open_table(STATE)?.insert(GENERATION, sealed.as_slice())?;
    Ok(())
}

/// Adds the row of a commit, in place of what a failed transaction of the same number may have left; drops those up to `dropped`. Returns
/// the first that stays.
fn write_log(
    transaction: &WriteTransaction,
    commit: u64,
    row: &[u8],
    dropped: u64,
) -> Result<u64, redb::Error> {
    let mut log = transaction.open_table(LOG)?;
    log.insert(commit, row)?;
    for _ in 0..DROPPED_MAX {
        let first = log.first()?.map(|(commit, _)| commit.value());
        match first.filter(|first| *first <= dropped && *first < commit) {
            Some(first) => drop(log.remove(first)?),
            None => break,
        }
    }
    let first = log.first()?.map(|(commit, _)| commit.value());
    Ok(first.unwrap_or(commit))
}

fn write_header(transaction: &WriteTransaction, changes: &Changes, log_from: u64) -> Result<(), redb::Error> {
    let mut row = Vec::new();
    let floor = changes.marks.floor.unwrap_or(0).max(changes.floor);
    let rows = [
        transaction.open_table(MARKS)?.len()?,
        transaction.open_table(FLOORS)?.len()?,
        transaction.open_table(JOURNEYS)?.len()?,
        transaction.open_table(HOPS)?.len()?,
    ];
    for number in [floor, changes.served.0, changes.commit, log_from].into_iter().chain(rows) {
        write_varint(&mut row, number);
    }
    let sealed = row::seal("state.2", &[HEADER.as_bytes()], &row);
    transaction.open_table(STATE)?.insert(HEADER, sealed.as_slice())?;
    Ok(())
}

fn write_floors(transaction: &WriteTransaction, floors: &BTreeMap<String, u64>) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(FLOORS)?;
    for (of, floor) in floors {
        if *floor == 0 {
            table.remove(of.as_str())?;
            continue;
        }
        let mut row = Vec::new();
        write_varint(&mut row, *floor);
        table.insert(of.as_str(), row::seal("floors.2", &[of.as_bytes()], &row).as_slice())?;
    }
    Ok(())
}

fn remove(transaction: &WriteTransaction, left: &Left) -> Result<(), redb::Error> {
    let mut marks = transaction.open_table(MARKS)?;
    for (sidecar, epoch) in &left.lives {
        marks.remove((sidecar.as_str(), *epoch))?;
    }
    let mut journeys = transaction.open_table(JOURNEYS)?;
    for name in &left.journeys {
        journeys.remove(name.as_str())?;
    }
    let mut hops = transaction.open_table(HOPS)?;
    for key in &left.hops {
        hops.remove(tuple(key))?;
    }
    Ok(())
}

fn write_rows(transaction: &WriteTransaction, folds: &Folds) -> Result<(), redb::Error> {
    let mut marks = transaction.open_table(MARKS)?;
    for ((sidecar, epoch), mark) in &folds.marks {
        let mut row = Vec::new();
        write_varint(&mut row, mark.sequence);
        write_varint(&mut row, mark.seen.0);
        let sealed = row::seal("marks.2", &[sidecar.as_bytes(), &epoch.to_be_bytes()], &row);
        marks.insert((sidecar.as_str(), *epoch), sealed.as_slice())?;
    }
    let mut journeys = transaction.open_table(JOURNEYS)?;
    for (name, row) in &folds.journeys {
        let sealed = row::seal("journeys.2", &[name.as_str().as_bytes()], row);
        journeys.insert(name.as_str(), sealed.as_slice())?;
    }
    let mut hops = transaction.open_table(HOPS)?;
    for (key, row) in &folds.hops {
        hops.insert(tuple(key), row::seal("hops.2", &key_of(key), row).as_slice())?;
    }
    Ok(())
}

fn tuple(key: &HopKey) -> (&str, &str, &str, &str) {
    (&key.journey, &key.source, &key.destination, &key.operation)
}

pub(super) fn key_of(key: &HopKey) -> [&[u8]; 4] {
    [&key.journey, &key.source, &key.destination, &key.operation].map(|part| part.as_bytes())
}
