//! Stores of schema 1, which held whole totals without checksums, rewritten with each commit.

use std::collections::BTreeMap;

use emac_core::id::{HopKey, JourneyName};
use emac_core::units::{Generation, Micros};
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use super::Stored;
use super::read::ReadResult;
use super::row::{decode_hop, decode_journey};
use crate::marks::Mark;

/// The schema of these tables.
pub(super) const SCHEMA: u64 = 1;

/// Numbers by name: schema, floor, generation, served (microseconds). Later schemas keep the first.
pub(super) const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
/// (node, epoch) to (sequence, last seen in time served).
pub(super) const MARKS: TableDefinition<(&str, u64), (u64, u64)> = TableDefinition::new("marks");
pub(super) const JOURNEYS: TableDefinition<&str, &[u8]> = TableDefinition::new("journeys");
/// (journey, source, destination, operation).
pub(super) const HOPS: TableDefinition<(&str, &str, &str, &str), &[u8]> = TableDefinition::new("hops");

/// Everything.
pub(super) fn read(transaction: &ReadTransaction) -> ReadResult<Stored> {
    let numbers = transaction.open_table(NUMBERS)?;
    let number = |name| -> ReadResult<u64> { Ok(numbers.get(name)?.map_or(0, |number| number.value())) };
    let mut stored = Stored {
        floor: number("floor")?,
        generation: Generation(number("generation")?),
        served: Micros(number("served")?),
        floors: BTreeMap::new(),
        ..Stored::default()
    };
    for entry in transaction.open_table(MARKS)?.iter()? {
        let (life, mark) = entry?;
        let ((node, epoch), (sequence, seen)) = (life.value(), mark.value());
        stored.marks.insert((node.to_string(), epoch), Mark { sequence, seen: Micros(seen) });
    }
    for entry in transaction.open_table(JOURNEYS)?.iter()? {
        let (name, row) = entry?;
        stored.journeys.insert(JourneyName::new(name.value())?, decode_journey(row.value())?.0);
    }
    for entry in transaction.open_table(HOPS)?.iter()? {
        let (key, row) = entry?;
        let (journey, source, destination, operation) = key.value();
        let [journey, source, destination, operation] =
            [journey, source, destination, operation].map(str::to_string);
        let key = HopKey { journey, source, destination, operation };
        stored.hops.insert(key, decode_hop(row.value())?.0);
    }
    Ok(stored)
}

/// Removes the tables, and of the numbers all but the schema.
pub(super) fn remove(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.delete_table(MARKS)?;
    transaction.delete_table(JOURNEYS)?;
    transaction.delete_table(HOPS)?;
    let mut numbers = transaction.open_table(NUMBERS)?;
    for name in ["floor", "generation", "served"] {
        numbers.remove(name)?;
    }
    Ok(())
}
