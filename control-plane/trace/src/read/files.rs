//! Which files there are.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{FileProblem, ReadError};

/// A file to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// Somebody named it; others were found in a folder, where things lie about that are no traces.
    pub(super) named: bool,
}

/// Files as named, and those in folders and below in the order of their names. Hidden ones in folders are passed over, and a folder
/// reached twice is read once.
pub(super) fn list(paths: &[PathBuf], problems: &mut Vec<FileProblem>) -> Vec<Entry> {
    let mut listing = Listing { entries: Vec::new(), seen: BTreeSet::new(), problems };
    paths.iter().for_each(|path| listing.add(path, true));
    listing.entries
}

struct Listing<'p> {
    entries: Vec<Entry>,
    seen: BTreeSet<PathBuf>,
    problems: &'p mut Vec<FileProblem>,
}

impl Listing<'_> {
    fn add(&mut self, path: &Path, named: bool) {
        match fs::metadata(path) {
            Ok(data) if data.is_dir() => self.add_folder(path),
            Ok(data) => self.entries.push(Entry { path: path.to_owned(), bytes: data.len(), named }),
            Err(error) => self.problem(path, error),
        }
    }

    fn add_folder(&mut self, folder: &Path) {
        let real = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        if !self.seen.insert(real) {
            return;
        }
        match paths_in(folder) {
            Ok(paths) => paths.iter().filter(|path| !is_hidden(path)).for_each(|path| self.add(path, false)),
            Err(error) => self.problem(folder, error),
        }
    }

    fn problem(&mut self, path: &Path, error: io::Error) {
        self.problems.push(FileProblem { path: path.to_owned(), problem: ReadError::Open(error) });
    }
}

fn paths_in(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}
