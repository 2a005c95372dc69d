//! The only disk: totals, marks and the last generation, durable; or nothing at all.
//!
//! One redb file in the state directory. A commit is one transaction that carries both the new totals and the marks saying which
//! reports are in them, and returns once it is flushed, so a crash at any moment leaves either both or neither. Rows hold whole new
//! values, written only for what changed; the memory of the process is the working copy, read once at start.
//!
//! Windows are not stored: they are about the last seconds, which a restart has lost anyway.

mod generations;
mod row;
mod tables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use emac_core::id::{HopKey, JourneyName};
use emac_core::units::{Generation, Micros};
use emac_document::{create_folders, sync_folder_of};
use redb::{Database, DatabaseError, ReadableDatabase, StorageError};

use crate::marks::{Life, Mark};
use crate::totals::{HopTotals, JourneyTotals};

pub use generations::{GenerationGate, NotReserved};

/// What the store was built for; another number is another layout.
pub const SCHEMA: u64 = 1;
/// The file inside the state directory.
pub const FILE: &str = "evidence.redb";

/// Everything that is durable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    /// Which reports are counted.
    pub marks: BTreeMap<Life, Mark>,
    /// Unknown epochs up to here are refused.
    pub floor: u64,
    /// Totals by journey.
    pub journeys: BTreeMap<JourneyName, JourneyTotals>,
    /// Totals by hop.
    pub hops: BTreeMap<HopKey, HopTotals>,
    /// Highest generation issued.
    pub generation: Generation,
    /// Time served so far, over all lives of this process.
    pub served: Micros,
}

/// One transaction: new values of what changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// New or moved marks.
    pub marks: BTreeMap<Life, Mark>,
    /// Marks to remove for age; the new floor comes with them.
    pub forgotten: Vec<Life>,
    /// Marks to remove because their transaction was reported as failed, and may have been stored all the same.
    pub withdrawn: Vec<Life>,
    /// Unknown epochs up to here are refused.
    pub floor: u64,
    /// New totals.
    pub journeys: BTreeMap<JourneyName, JourneyTotals>,
    /// New totals.
    pub hops: BTreeMap<HopKey, HopTotals>,
    /// Highest generation issued.
    pub generation: Generation,
    /// Time served so far.
    pub served: Micros,
}

/// Why a store cannot be used. Each names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or file cannot be made or read.
    #[error("{path}: {source}")]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another control plane has it.
    #[error("{path} is in use by another process; give each control plane its own state directory")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Not a store, or a damaged one.
    #[error(
        "{path} is damaged or no store of this program ({problem}); restore it from a copy, or move it away to begin with empty totals"
    )]
    Corrupted {
        /// The file.
        path: PathBuf,
        /// What was noticed.
        problem: String,
    },
    /// Written by another version.
    #[error("{path} has schema {found}, this program reads schema {SCHEMA}; use the version that wrote it")]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u64,
    },
}

/// Why a transaction did not happen; nothing of it is stored.
#[derive(Debug, thiserror::Error)]
#[error("evidence could not be stored: {0}")]
pub struct CommitError(#[source] redb::Error);

/// The disk, or none.
pub struct Store {
    disk: Option<Arc<Mutex<Disk>>>,
}

/// A database library gives up on a file after the first error, so each failure is followed by opening the file anew.
struct Disk {
    reopen: Box<dyn Fn() -> Result<Database, DatabaseError> + Send>,
    database: Option<Database>,
    /// What is stored never goes back below.
    generation: Generation,
}

impl Disk {
    /// One durable transaction.
    fn write(&mut self, with: impl FnOnce(&Database) -> Result<(), redb::Error>) -> Result<(), CommitError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => (self.reopen)().map_err(|error| CommitError(error.into()))?,
        };
        with(&database).map_err(CommitError)?;
        self.database = Some(database);
        Ok(())
    }
}

impl Store {
    /// Forgets everything when the process ends.
    pub fn in_memory() -> Self {
        Self { disk: None }
    }

    fn on(disk: Disk) -> Self {
        Self { disk: Some(Arc::new(Mutex::new(disk))) }
    }

    /// Opens or creates the store of a state directory and reads all of it.
    ///
    /// # Errors
    /// [`OpenError`]; the file is then as it was.
    pub fn open(directory: &Path) -> Result<(Self, Stored), OpenError> {
        create_folders(directory)
            .map_err(|source| OpenError::Io { path: directory.to_path_buf(), source })?;
        let path = directory.join(FILE);
        // A damaged file can break an assertion inside the database library; that is an answer like any other error.
        let opened = std::panic::catch_unwind(|| open(&path));
        opened.unwrap_or_else(|_| Err(corrupted(&path, "the database library gave up on it")))
    }

    /// Stores all changes, or none. Returns when they are on the disk.
    ///
    /// # Errors
    /// [`CommitError`] when the disk fails: reports in it must not be acknowledged. They may be on the disk all the same (a flush can
    /// fail after the write); the next transaction has to set right whatever these changes touched.
    pub fn commit(&mut self, changes: &Changes) -> Result<(), CommitError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let mut disk = disk.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = disk.generation.max(changes.generation);
        disk.write(|database| tables::write(database, changes, generation))?;
        disk.generation = generation;
        Ok(())
    }

    /// Makes the numbers of plans durable before they are issued. It lives on, useless, when the store is gone.
    pub fn generations(&self) -> GenerationGate {
        GenerationGate::new(self.disk.as_ref())
    }

    /// Whether anything survives a restart.
    pub fn is_durable(&self) -> bool {
        self.disk.is_some()
    }
}

fn open(path: &Path) -> Result<(Store, Stored), OpenError> {
    let database = Database::create(path).map_err(|error| open_error(path, error))?;
    // What is committed is in the file; that the file has a name is its folder's to keep.
    sync_folder_of(path).map_err(|source| OpenError::Io { path: path.to_path_buf(), source })?;
    let transaction = database.begin_read().map_err(|error| corrupted(path, error))?;
    let stored = tables::read(&transaction, path)?;
    drop(transaction);
    let path = path.to_path_buf();
    let reopen = Box::new(move || Database::open(&path));
    let disk = Disk { reopen, database: Some(database), generation: stored.generation };
    Ok((Store::on(disk), stored))
}

fn corrupted(path: &Path, problem: impl ToString) -> OpenError {
    OpenError::Corrupted { path: path.to_path_buf(), problem: problem.to_string() }
}

fn open_error(path: &Path, error: DatabaseError) -> OpenError {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            OpenError::Locked { path: path.to_path_buf() }
        }
        DatabaseError::Storage(StorageError::Io(source))
            if !matches!(source.kind(), InvalidData | UnexpectedEof) =>
        {
            OpenError::Io { path: path.to_path_buf(), source }
        }
        other => corrupted(path, other),
    }
}

#[cfg(test)]
pub(crate) mod flaky;
#[cfg(test)]
mod tests;
