//! A disk for tests that fails when told to: before a flush, or after it, when everything is stored and nobody knows.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use redb::{Database, DatabaseError, StorageBackend};

use super::sweep::Sweep;
use super::{Disk, OpenError, Store, Stored, read};

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None = 0,
    /// Nothing reaches the disk.
    Before = 1,
    /// Everything reaches the disk, and the answer is an error.
    After = 2,
}

/// The bytes, which survive every failure.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flaky {
    bytes: Arc<Mutex<Vec<u8>>>,
    fault: Arc<AtomicU8>,
}

impl Flaky {
    pub(crate) fn store(&self) -> Store {
        let (disk, database) = (self.clone(), self.open().ok());
        let found =
            database.as_ref().map(|it| read::read(it, Path::new("flaky")).unwrap()).unwrap_or_default();
        // A small store would not be swept otherwise.
        let sweep = Sweep::new(found.log_bytes, found.left).eager();
        let generation = found.stored.generation;
        Store::on(Disk { reopen: Box::new(move || disk.open()), database, generation, sweep, witness: None })
    }

    pub(crate) fn fail(&self, fault: Fault) {
        self.fault.store(fault as u8, SeqCst);
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }

    /// What a restart finds in these bytes.
    pub(super) fn read(bytes: Vec<u8>) -> Result<Stored, OpenError> {
        let path = Path::new("flaky");
        let disk = Self { bytes: Arc::new(Mutex::new(bytes)), fault: Arc::default() };
        let database = disk.open().map_err(|error| super::corrupted(path, error))?;
        Ok(read::read(&database, path)?.stored)
    }

    /// What a restart would find after a kill right now.
    pub(crate) fn stored(&self) -> Stored {
        // A copy: opening writes, and the store may be in use.
        Self::read(self.bytes()).unwrap()
    }

    fn open(&self) -> Result<Database, DatabaseError> {
        Database::builder().create_with_backend(self.clone())
    }

    fn failing(&self, fault: Fault) -> bool {
        self.fault.load(SeqCst) == fault as u8
    }
}

fn broken() -> io::Error {
    io::Error::other("the disk is full")
}

impl StorageBackend for Flaky {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes.lock().unwrap();
        let offset = offset as usize;
        out.copy_from_slice(bytes.get(offset..offset + out.len()).ok_or_else(broken)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes.lock().unwrap().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.failing(Fault::After) { Err(broken()) } else { Ok(()) }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.failing(Fault::Before) {
            return Err(broken());
        }
        let offset = offset as usize;
        self.bytes.lock().unwrap()[offset..offset + data.len()].copy_from_slice(data);
        Ok(())
    }
}
