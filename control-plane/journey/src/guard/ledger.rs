//! The ledger: every answer of a guard with the inputs it was told, one JSON line each, in a file that only grows.
//!
//! ```json
//! {"sequence":7,"previous":"5c0f…","at":"2026-01-31T12:00:00.000Z","journey":"checkout","intent":"9a…","model":"41…","preview":false,
//!  "verdict":"PASS","action":"promote","guard":"A_minus >= 0.995","inputs":{"A_minus":0.99747706},"answer":"allowed","digest":"e2…"}
//! ```
//!
//! `digest` is the SHA-256 of the line without it (everything before `,"digest"`, and the closing brace), and `previous` the digest of the
//! line before, 64 zeros in the first: who changes, removes or moves a line breaks the chain from there on. Lines cut off at the end do
//! not break it; whoever must notice that keeps the last digest elsewhere, which is why `emac gate` tells it.
//!
//! Appending is one write under a lock of the file, then on the disk before anything acts on it. A writer that dies half-way leaves a line
//! without an end: the next one moves it aside (`<file>.torn`) and goes on. A chain that is broken is not continued.

mod line;

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

pub use line::{Entry, Record};

use emac_document::sync_folder_of;
use line::{GENESIS, write_line};

/// Longest line that is read: guards and their inputs are far below.
const LINE_MAX: u64 = 1 << 20;

/// Why a ledger is not read or not written to.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The chain does not hold.
    #[error("{}:{line}: {why}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What does not fit.
        why: String,
    },
    /// The disk says no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Where a chain ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Lines so far.
    pub sequence: u64,
    /// Digest of the last one; 64 zeros before the first.
    pub digest: String,
}

/// A ledger as it stands in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    /// Every line, in order.
    pub entries: Vec<Entry>,
    /// Bytes of a last line that was never finished.
    pub torn: u64,
    /// Where the chain ends.
    pub head: Head,
}

/// Reads a ledger and checks its chain. O(size).
///
/// # Errors
/// [`LedgerError`]; a file that does not exist is an error, too.
pub fn read(path: &Path) -> Result<Contents, LedgerError> {
    let file = File::open(path).map_err(|source| LedgerError::Io { path: path.to_owned(), source })?;
    let mut entries = Vec::new();
    let chain = Chain::follow(path, &file, |entry| entries.push(entry))?;
    Ok(Contents { entries, torn: chain.torn, head: chain.head })
}

/// A ledger opened for appending, locked until dropped.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    head: Head,
    recovered: u64,
}

impl Ledger {
    /// Opens or creates a ledger, waits for other writers, checks its chain, and moves a line that was never finished aside. O(size).
    ///
    /// # Errors
    /// [`LedgerError`]; the file is then as it was.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let failed = |source| LedgerError::Io { path: path.to_owned(), source };
        let is_new = !path.exists();
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed)?;
        file.lock().map_err(failed)?;
        if is_new {
            sync_folder_of(path).map_err(failed)?;
        }
        let chain = Chain::follow(path, &file, drop)?;
        if chain.torn > 0 {
            set_aside(path, &file, chain.whole).map_err(failed)?;
        }
        Ok(Self { path: path.to_owned(), file, head: chain.head, recovered: chain.torn })
    }

    /// Bytes of a line that was never finished, moved aside when the ledger was opened.
    pub const fn recovered(&self) -> u64 {
        self.recovered
    }

    /// Where the chain ends.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// Appends records in one write; when this returns they are on the disk.
    ///
    /// # Errors
    /// [`LedgerError::Io`]. A part may have been written; opening the ledger again finds out.
    pub fn append(&mut self, records: &[Record]) -> Result<&Head, LedgerError> {
        let mut head = self.head.clone();
        let mut text = String::new();
        for record in records {
            head = write_line(&mut text, &head, record);
        }
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|source| LedgerError::Io { path: self.path.clone(), source })?;
        self.head = head;
        Ok(&self.head)
    }
}

/// A chain, followed to its end.
struct Chain {
    head: Head,
    /// Bytes of whole lines.
    whole: u64,
    /// Bytes behind them.
    torn: u64,
}

impl Chain {
    fn follow(path: &Path, file: &File, mut each: impl FnMut(Entry)) -> Result<Self, LedgerError> {
        let mut chain = Self { head: Head { sequence: 0, digest: GENESIS.to_owned() }, whole: 0, torn: 0 };
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line);
            let bytes = read.map_err(|source| LedgerError::Io { path: path.to_owned(), source })? as u64;
            let broken = |why: String| {
                Err(LedgerError::Broken { path: path.to_owned(), line: chain.head.sequence + 1, why })
            };
            let Some(text) = line.strip_suffix(b"\n") else {
                if bytes >= LINE_MAX {
                    return broken(format!("longer than {LINE_MAX} bytes"));
                }
                chain.torn = bytes;
                return Ok(chain);
            };
            match Entry::read(text, &chain.head) {
                Ok(entry) => {
                    chain.head = Head { sequence: entry.sequence, digest: entry.digest.clone() };
                    chain.whole += bytes;
                    each(entry);
                }
                Err(why) => return broken(why),
            }
        }
    }
}

/// Moves what stands behind the last whole line to `<file>.torn`, where earlier ones are kept, too.
fn set_aside(path: &Path, file: &File, whole: u64) -> io::Result<()> {
    let mut torn = Vec::new();
    let mut reader = file;
    reader.seek(SeekFrom::Start(whole))?;
    reader.read_to_end(&mut torn)?;
    torn.push(b'\n');
    let mut name = path.as_os_str().to_owned();
    name.push(".torn");
    let aside = PathBuf::from(name);
    let mut kept = OpenOptions::new().append(true).create(true).open(&aside)?;
    kept.write_all(&torn)?;
    kept.sync_data()?;
    sync_folder_of(&aside)?;
    file.set_len(whole)?;
    file.sync_data()
}

#[cfg(test)]
mod tests;
