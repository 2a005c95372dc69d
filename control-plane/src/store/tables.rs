//! Tables and the two passes over them: read everything, write what changed.

use std::collections::BTreeMap;
use std::path::Path;

use emac_core::id::{HopKey, JourneyName};
use emac_core::units::{Generation, Micros};
use redb::{Database, ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};

use super::row::{decode_hop, decode_journey, encode_hop, encode_journey};
use super::{Changes, OpenError, SCHEMA, Stored, corrupted};
use crate::marks::{Life, Mark};
use crate::totals::{HopTotals, JourneyTotals};

/// Numbers by name: schema, floor, generation, served (microseconds).
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
/// (node, epoch) to (sequence, last seen in time served).
const MARKS: TableDefinition<(&str, u64), (u64, u64)> = TableDefinition::new("marks");
const JOURNEYS: TableDefinition<&str, &[u8]> = TableDefinition::new("journeys");
/// (journey, source, destination, operation).
const HOPS: TableDefinition<(&str, &str, &str, &str), &[u8]> = TableDefinition::new("hops");

// === writing ===

/// One durable transaction.
pub(super) fn write(
    database: &Database,
    changes: &Changes,
    generation: Generation,
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    write_numbers(&transaction, changes, generation)?;
    write_marks(&transaction, changes)?;
    write_totals(&transaction, changes)?;
    Ok(transaction.commit()?)
}

/// One durable transaction of nothing but the highest generation that may be issued.
pub(super) fn write_generation(database: &Database, generation: Generation) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut numbers = transaction.open_table(NUMBERS)?;
        numbers.insert("schema", SCHEMA)?;
        numbers.insert("generation", generation.0)?;
    }
    write_marks(&transaction, &Changes::default())?;
    write_totals(&transaction, &Changes::default())?;
    Ok(transaction.commit()?)
}

fn write_numbers(
    transaction: &WriteTransaction,
    changes: &Changes,
    generation: Generation,
) -> Result<(), redb::Error> {
    let mut numbers = transaction.open_table(NUMBERS)?;
    numbers.insert("schema", SCHEMA)?;
    numbers.insert("floor", changes.floor)?;
    numbers.insert("generation", generation.0)?;
    numbers.insert("served", changes.served.0)?;
    Ok(())
}

fn write_marks(transaction: &WriteTransaction, changes: &Changes) -> Result<(), redb::Error> {
    let mut marks = transaction.open_table(MARKS)?;
    for (node, epoch) in changes.forgotten.iter().chain(&changes.withdrawn) {
        marks.remove((node.as_str(), *epoch))?;
    }
    for ((node, epoch), mark) in &changes.marks {
        marks.insert((node.as_str(), *epoch), (mark.sequence, mark.seen.0))?;
    }
    Ok(())
}

fn write_totals(transaction: &WriteTransaction, changes: &Changes) -> Result<(), redb::Error> {
    let mut journeys = transaction.open_table(JOURNEYS)?;
    for (name, totals) in &changes.journeys {
        journeys.insert(name.as_str(), encode_journey(totals).as_slice())?;
    }
    let mut hops = transaction.open_table(HOPS)?;
    for (HopKey { journey, source, destination, operation }, totals) in &changes.hops {
        let key = (journey.as_str(), source.as_str(), destination.as_str(), operation.as_str());
        hops.insert(key, encode_hop(totals).as_slice())?;
    }
    Ok(())
}

// === reading ===

/// Everything; nothing when the file is new.
pub(super) fn read(transaction: &ReadTransaction, path: &Path) -> Result<Stored, OpenError> {
    let numbers = read_numbers(transaction).map_err(|error| corrupted(path, error))?;
    match numbers.get("schema").copied() {
        None => Ok(Stored::default()),
        Some(SCHEMA) => read_all(transaction, &numbers).map_err(|error| corrupted(path, error)),
        Some(found) => Err(OpenError::Schema { path: path.to_path_buf(), found }),
    }
}

type ReadResult<T> = Result<T, Box<dyn std::error::Error>>;

fn read_all(transaction: &ReadTransaction, numbers: &BTreeMap<String, u64>) -> ReadResult<Stored> {
    let number = |name| numbers.get(name).copied().unwrap_or(0);
    Ok(Stored {
        marks: read_marks(transaction)?,
        floor: number("floor"),
        journeys: read_journeys(transaction)?,
        hops: read_hops(transaction)?,
        generation: Generation(number("generation")),
        served: Micros(number("served")),
    })
}

fn read_numbers(transaction: &ReadTransaction) -> ReadResult<BTreeMap<String, u64>> {
    let table = match transaction.open_table(NUMBERS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(BTreeMap::new()),
        opened => opened?,
    };
    let mut numbers = BTreeMap::new();
    for entry in table.iter()? {
        let (name, number) = entry?;
        numbers.insert(name.value().to_string(), number.value());
    }
    Ok(numbers)
}

fn read_marks(transaction: &ReadTransaction) -> ReadResult<BTreeMap<Life, Mark>> {
    let mut marks = BTreeMap::new();
    for entry in transaction.open_table(MARKS)?.iter()? {
        let (life, mark) = entry?;
        let ((node, epoch), (sequence, seen)) = (life.value(), mark.value());
        marks.insert((node.to_string(), epoch), Mark { sequence, seen: Micros(seen) });
    }
    Ok(marks)
}

fn read_journeys(transaction: &ReadTransaction) -> ReadResult<BTreeMap<JourneyName, JourneyTotals>> {
    let mut journeys = BTreeMap::new();
    for entry in transaction.open_table(JOURNEYS)?.iter()? {
        let (name, row) = entry?;
        journeys.insert(JourneyName::new(name.value())?, decode_journey(row.value())?);
    }
    Ok(journeys)
}

fn read_hops(transaction: &ReadTransaction) -> ReadResult<BTreeMap<HopKey, HopTotals>> {
    let mut hops = BTreeMap::new();
    for entry in transaction.open_table(HOPS)?.iter()? {
        let (key, row) = entry?;
        let (journey, source, destination, operation) = key.value();
        let [journey, source, destination, operation] =
            [journey, source, destination, operation].map(str::to_string);
        hops.insert(HopKey { journey, source, destination, operation }, decode_hop(row.value())?);
    }
    Ok(hops)
}
