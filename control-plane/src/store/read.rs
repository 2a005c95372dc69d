//! Reading a whole store: the rows, and over them the log. Whatever is not as it was written ends the reading with its place.

use std::collections::BTreeMap;
use std::path::Path;

use emac_core::id::{HopKey, JourneyName};
use emac_core::units::{Generation, Micros};
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableError,
    TableHandle,
};

use super::log::{Left, Replay};
use super::old::{self, NUMBERS};
use super::row::{self, InvalidRow, decode_hop, decode_journey};
use super::tables::{
    FLOORS, GENERATION, HEADER, HOPS, Header, JOURNEYS, LOG, MARKS, Rows, STATE, key_of, migrate,
};
use super::{OpenError, SCHEMA, Stored, corrupted};
use crate::marks::{Life, Mark, Marks};
use crate::packed::Reader;
use crate::totals::{HopTotals, JourneyTotals};

pub(super) type ReadResult<T> = Result<T, Box<dyn std::error::Error>>;

/// What was found in a file.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) stored: Stored,
    /// Bytes of the log.
    pub(super) log_bytes: usize,
    /// Rows to be removed with the next commit.
    pub(super) left: Left,
}

/// Everything; nothing when the file is new. A store of schema 1 is rewritten first.
pub(super) fn read(database: &Database, path: &Path) -> Result<Found, OpenError> {
    let bad = |error: Box<dyn std::error::Error>| match error.downcast::<OpenError>() {
        Ok(error) => *error,
        Err(error) => corrupted(path, error),
    };
    let transaction = database.begin_read().map_err(|error| corrupted(path, error))?;
    match schema(&transaction).map_err(bad)? {
        None => Ok(Found::default()),
        Some(SCHEMA) => Reading { transaction: &transaction, path }.all().map_err(bad),
        Some(old::SCHEMA) => {
            let stored = old::read(&transaction).map_err(bad)?;
            drop(transaction);
            migrate(database, &stored).map_err(|error| corrupted(path, error))?;
            Ok(Found { stored, ..Found::default() })
        }
        Some(found) => Err(OpenError::Schema { path: path.to_path_buf(), found }),
    }
}

/// `None` for a new file: one without tables.
fn schema(transaction: &ReadTransaction) -> ReadResult<Option<u64>> {
    let tables: Vec<_> = transaction.list_tables()?.map(|table| table.name().to_owned()).collect();
    if tables.is_empty() {
        return Ok(None);
    }
    let numbers = transaction.open_table(NUMBERS)?;
    let schema = numbers.get("schema")?.map(|schema| schema.value());
    Ok(Some(schema.ok_or("it has tables and no schema")?))
}

struct Reading<'a> {
    transaction: &'a ReadTransaction,
    path: &'a Path,
}

impl Reading<'_> {
    fn all(&self) -> ReadResult<Found> {
        let (header, generation) = self.state()?;
        let Some(header) = header else {
            return Ok(Found { stored: Stored { generation, ..Stored::default() }, ..Found::default() });
        };
        let (marks, floors) = (self.marks()?, self.floors()?);
        let (journeys, hops) = (self.journeys()?, self.hops()?);
        let found = [marks.len(), floors.len(), journeys.len(), hops.len()].map(|rows| rows as u64);
        if found != header.rows {
            let (found, expected) = (found, header.rows);
            return Err(format!(
                "the tables of marks, floors, journeys and hops have {found:?} rows of {expected:?}"
            )
            .into());
        }
        let marks = Marks::from_parts(marks, floors, header.floor);
        let mut replay = Replay { marks, journeys, hops, left: Left::default() };
        let log_bytes = self.log(&header, &mut replay)?;
        let left = std::mem::take(&mut replay.left);
        let stored = Stored { generation, served: header.served, commit: header.commit, ..replay.stored() };
        Ok(Found { stored, log_bytes, left })
    }

    fn state(&self) -> ReadResult<(Option<Header>, Generation)> {
        let (mut header, mut generation) = (None, Generation(0));
        self.each(STATE, |key, row| {
            let mut number = Reader::new(self.row("state.2", &[key.as_bytes()], row)?);
            let mut number =
                || number.varint().map_err(|bad| self.bad("state.2", &[key.as_bytes()], &bad.into()));
            match key {
                GENERATION => generation = Generation(number()?),
                HEADER => {
                    let (floor, served) = (number()?, Micros(number()?));
                    let (commit, log_from) = (number()?, number()?);
                    let rows = [number()?, number()?, number()?, number()?];
                    header = Some(Header { floor, served, commit, log_from, rows });
                }
                _ => return Err(format!("a row {key:?} in the table state.2").into()),
            }
            Ok(())
        })?;
        let any_rows = match self.transaction.open_table(LOG) {
            Err(TableError::TableDoesNotExist(_)) => false,
            log => log?.len()? > 0,
        };
        if header.is_none() && any_rows {
            return Err("its header is gone".into());
        }
        Ok((header, generation))
    }

    fn marks(&self) -> ReadResult<BTreeMap<Life, Mark>> {
        let mut marks = BTreeMap::new();
        self.each(MARKS, |(sidecar, epoch), row| {
            let (table, key) = ("marks.2", [sidecar.as_bytes(), &epoch.to_be_bytes()]);
            let mut numbers = Reader::new(self.row(table, &key, row)?);
            let mut number = || numbers.varint().map_err(|bad| self.bad(table, &key, &bad.into()));
            let mark = Mark { sequence: number()?, seen: Micros(number()?) };
            marks.insert((sidecar.to_owned(), epoch), mark);
            Ok(())
        })?;
        Ok(marks)
    }

    fn floors(&self) -> ReadResult<BTreeMap<String, u64>> {
        let mut floors = BTreeMap::new();
        self.each(FLOORS, |of, row| {
            let (table, key) = ("floors.2", [of.as_bytes()]);
            let floor = Reader::new(self.row(table, &key, row)?).varint();
            floors.insert(of.to_owned(), floor.map_err(|bad| self.bad(table, &key, &bad.into()))?);
            Ok(())
        })?;
        Ok(floors)
    }

    fn journeys(&self) -> ReadResult<BTreeMap<JourneyName, (JourneyTotals, u64)>> {
        let mut journeys = BTreeMap::new();
        self.each(JOURNEYS, |name, row| {
            let (table, key) = ("journeys.2", [name.as_bytes()]);
            let read =
                decode_journey(self.row(table, &key, row)?).map_err(|bad| self.bad(table, &key, &bad))?;
            journeys.insert(JourneyName::new(name)?, read);
            Ok(())
        })?;
        Ok(journeys)
    }

    fn hops(&self) -> ReadResult<BTreeMap<HopKey, (HopTotals, u64)>> {
        let mut hops = BTreeMap::new();
        self.each(HOPS, |(journey, source, destination, operation), row| {
            let [journey, source, destination, operation] =
                [journey, source, destination, operation].map(str::to_string);
            let key = HopKey { journey, source, destination, operation };
            let read = decode_hop(self.row("hops.2", &key_of(&key), row)?)
                .map_err(|bad| self.bad("hops.2", &key_of(&key), &bad))?;
            hops.insert(key, read);
            Ok(())
        })?;
        Ok(hops)
    }

    /// Rows follow one another without a gap, from the first to the last that the header names.
    fn log(&self, header: &Header, replay: &mut Replay) -> ReadResult<usize> {
        let (mut next, mut bytes) = (header.log_from, 0);
        self.each(LOG, |commit, sealed| {
            let key = [&commit.to_be_bytes()[..]];
            if commit != next {
                return Err(format!(
                    "rows {next} to {} of the table log.2 are gone",
                    commit.saturating_sub(1)
                )
                .into());
            }
            let row = self.row("log.2", &key, sealed)?;
            replay.add(commit, row).map_err(|bad| self.bad("log.2", &key, &bad))?;
            (next, bytes) = (commit + 1, bytes + sealed.len());
            Ok(())
        })?;
        if next != header.commit + 1 {
            return Err(format!("rows {next} to {} of the table log.2 are gone", header.commit).into());
        }
        Ok(bytes)
    }

    /// Every row of a table; that there are as many as the table says is checked.
    fn each<K: redb::Key + 'static>(
        &self,
        table: Rows<K>,
        mut row: impl FnMut(K::SelfType<'_>, &[u8]) -> ReadResult<()>,
    ) -> ReadResult<()> {
        let name = table.name().to_owned();
        let table = match self.transaction.open_table(table) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            opened => opened?,
        };
        let mut found = 0;
        for entry in table.iter()? {
            let (key, value) = entry?;
            row(key.value(), value.value())?;
            found += 1;
        }
        let expected = table.len()?;
        if found == expected {
            Ok(())
        } else {
            Err(format!("the table {name} has {found} rows of {expected}").into())
        }
    }

    fn row<'r>(&self, table: &'static str, key: &[&[u8]], sealed: &'r [u8]) -> Result<&'r [u8], OpenError> {
        row::unseal(table, key, sealed).map_err(|bad| self.bad(table, key, &bad))
    }

    fn bad(&self, table: &'static str, key: &[&[u8]], problem: &InvalidRow) -> OpenError {
        let parts = key.iter().map(|part| match std::str::from_utf8(part) {
            Ok(text) if text.chars().all(|c| !c.is_control()) => text.to_owned(),
            _ => part.iter().map(|byte| format!("{byte:02x}")).collect(),
        });
        let key = parts.collect::<Vec<_>>().join(" ");
        OpenError::Row { path: self.path.to_path_buf(), table, key, problem: problem.to_string() }
    }
}
