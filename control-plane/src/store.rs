//! The only disk: totals, marks and the last generation, durable; or nothing at all.
//!
//! One redb file in the state directory. A commit is one transaction that carries both what was added and the marks saying which
//! reports are in it, and returns once it is flushed, so a crash at any moment leaves either both or neither. It is one row of a log
//! (`log`), so that it costs what it adds; rows of totals are brought up to date a piece at a time (`sweep`). The memory of the process is
//! the working copy, read once at start. Every row carries a checksum (`row`).
//!
//! A commit that fails may have been stored all the same. The next one has the same number and takes its place in the log, so that memory
//! is the truth again.
//!
//! What was stored last is noted in a second file (`witness`), so that a file of which the newest part was lost is refused, not served.
//!
//! Windows are not stored: they are about the last seconds, which a restart has lost anyway.

mod generations;
mod log;
mod old;
mod read;
pub(crate) mod row;
mod sweep;
mod tables;
mod witness;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, Once, PoisonError, RwLock};

use emac_core::units::Generation;
use emac_document::{create_folders, sync_folder_of};
use redb::{Database, DatabaseError, StorageError};
use tracing::warn;

use crate::aggregate::Aggregate;

pub use crate::changes::{Changes, Stored};
pub use generations::{GenerationGate, NotReserved};
use log::Left;
use read::Found;
use sweep::Sweep;
use witness::{Last, Witness, WitnessError};

/// What the store was built for; another number is another layout.
pub const SCHEMA: u64 = 2;
/// The file inside the state directory.
pub const FILE: &str = "evidence.redb";
/// Pages of the file kept in memory: everything that is read again and again is in the aggregate.
const CACHE_BYTES: usize = 32 << 20;

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
    /// A row that is not what was written.
    #[error(
        "{path}: the row {key:?} of the table {table} is damaged: {problem}. Restore the file from a copy, or move it away to begin with empty totals"
    )]
    Row {
        /// The file.
        path: PathBuf,
        /// Its table.
        table: &'static str,
        /// Its key.
        key: String,
        /// What was noticed.
        problem: String,
    },
    /// It ends before what was acknowledged.
    #[error(
        "{path} ends with commit {found}, and {} says that commit {expected} was stored: bits have changed on the disk, or an older copy was put in its \
         place. Restore the newest copy; or remove {} to go on without what came after", last.display(), last.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// The file beside it that knows.
        last: PathBuf,
        /// Its last commit.
        found: u64,
        /// The last commit that was stored.
        expected: u64,
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
    disk: Option<Arc<Shared>>,
}

/// The disk, between the writer of evidence and the gate of generations.
struct Shared {
    disk: Mutex<Disk>,
    /// The disk's generation, to be read without waiting for a commit.
    generation: AtomicU64,
}

/// A database library gives up on a file after the first error, so each failure is followed by opening the file anew.
struct Disk {
    reopen: Box<dyn Fn() -> Result<Database, DatabaseError> + Send>,
    database: Option<Database>,
    /// What is stored never goes back below.
    generation: Generation,
    sweep: Sweep,
    /// `None`: nothing beside the database is kept.
    witness: Option<Witness>,
}

impl Disk {
    /// One durable transaction.
    fn write<T>(&mut self, with: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, CommitError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => (self.reopen)().map_err(|error| CommitError(error.into()))?,
        };
        let written = with(&database).map_err(CommitError)?;
        self.database = Some(database);
        Ok(written)
    }

    /// Notes beside the database what is now in it; `commit` where that is another.
    fn note(&mut self, commit: Option<u64>, generation: Generation) -> Result<(), CommitError> {
        let Some(witness) = &mut self.witness else { return Ok(()) };
        let commit = commit.unwrap_or(witness.last().commit);
        witness.note(Last { commit, generation }).map_err(|error| CommitError(redb::Error::Io(error)))
    }
}

impl Store {
    /// Forgets everything when the process ends.
    pub fn in_memory() -> Self {
        Self { disk: None }
    }

    fn on(disk: Disk) -> Self {
        let generation = AtomicU64::new(disk.generation.0);
        Self { disk: Some(Arc::new(Shared { disk: Mutex::new(disk), generation })) }
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
        let opened = without_a_backtrace(|| std::panic::catch_unwind(|| open(directory, &path)));
        opened.unwrap_or_else(|_| Err(corrupted(&path, "the database library gave up on it")))
    }

    /// Stores all changes, or none. Returns when they are on the disk. `aggregate` is as of the commit before.
    ///
    /// # Errors
    /// [`CommitError`] when the disk fails: reports in it must not be acknowledged. They may be on the disk all the same (a flush can
    /// fail after the write); the next commit has the same number and takes their place.
    pub fn commit(&mut self, changes: &Changes, aggregate: &RwLock<Aggregate>) -> Result<(), CommitError> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let mut disk = disk.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let folds = {
            let aggregate = aggregate.read().unwrap_or_else(PoisonError::into_inner);
            disk.sweep.next(&aggregate, changes.served)
        };
        let generation = disk.generation.max(changes.generation);
        let raised = Some(generation).filter(|generation| *generation > disk.generation);
        let bytes = disk.write(|database| tables::write(database, changes, &folds, raised))?;
        disk.note(Some(changes.commit), generation)?;
        disk.generation = generation;
        disk.sweep.committed(folds, Left::by(changes), bytes);
        Ok(())
    }

    /// Makes the numbers of plans durable before they are issued. It lives on, useless, when the store is gone.
    pub fn generations(&self) -> GenerationGate {
        GenerationGate::new(self.disk.as_ref())
    }

    /// As a store does whose log is long.
    #[cfg(test)]
    fn sweep_eagerly(&self) {
        let mut disk = self.disk.as_ref().unwrap().disk.lock().unwrap();
        disk.sweep = disk.sweep.clone().eager();
    }

    /// Whether anything survives a restart.
    pub fn is_durable(&self) -> bool {
        self.disk.is_some()
    }
}

thread_local! {
    /// This thread is at a file that may break the database library, and says so itself.
    static AT_FILE: Cell<bool> = const { Cell::new(false) };
}

/// Does something whose panics are caught, without the lines that a panic leaves on standard error: they would stand before the answer.
fn without_a_backtrace<T>(with: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !AT_FILE.get() {
                before(panic);
            }
        }));
    });
    AT_FILE.set(true);
    let result = with();
    AT_FILE.set(false);
    result
}

fn open(directory: &Path, path: &Path) -> Result<(Store, Stored), OpenError> {
    let is_new = std::fs::metadata(path).map_or(true, |file| file.len() == 0);
    let builder = || {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        builder
    };
    let database = builder().create(path).map_err(|error| open_error(path, error))?;
    // What is committed is in the file; that the file has a name is its folder's to keep.
    sync_folder_of(path).map_err(|source| OpenError::Io { path: path.to_path_buf(), source })?;
    let Found { mut stored, log_bytes, left } = read::read(&database, path)?;
    let witness = newest(directory, path, is_new, &mut stored)?;
    let path = path.to_path_buf();
    let reopen = Box::new(move || builder().open(&path));
    let sweep = Sweep::new(log_bytes, left);
    let disk = Disk {
        reopen,
        database: Some(database),
        generation: stored.generation,
        sweep,
        witness: Some(witness),
    };
    Ok((Store::on(disk), stored))
}

/// What knows which commit is the newest, once it is sure that this one is. Raises the generation to what it knows.
fn newest(directory: &Path, path: &Path, is_new: bool, stored: &mut Stored) -> Result<Witness, OpenError> {
    let last = directory.join(witness::FILE);
    let (mut witness, found, damaged) = Witness::open(directory).map_err(|error| match error {
        WitnessError::Io(source) => OpenError::Io { path: last.clone(), source },
        WitnessError::Damaged => OpenError::Corrupted { path: last.clone(), problem: error.to_string() },
    })?;
    if damaged {
        warn!(path = %last.display(), "one of its two entries is damaged: bits have changed on the disk; the other one counts");
    }
    let expected = found.unwrap_or_default();
    if is_new && expected.commit > 0 {
        warn!(
            path = %path.display(),
            commits = expected.commit,
            "begins with empty totals: the file is gone in which commits were stored before; generations go on"
        );
    } else if stored.commit < expected.commit {
        let (found, expected) = (stored.commit, expected.commit);
        return Err(OpenError::Older { path: path.to_path_buf(), last, found, expected });
    }
    stored.generation = stored.generation.max(expected.generation);
    let now = Last { commit: stored.commit, generation: stored.generation };
    if found != Some(now) {
        witness.note(now).map_err(|source| OpenError::Io { path: last, source })?;
    }
    Ok(witness)
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
