//! The file of the accepted model: read, compared and replaced under one lock, so that of two people who accept at once the second is told.
//!
//! The lock is the operating system's, on the folder: it leaves no file behind and ends with the process. Who writes without it (an editor, Git)
//! is noticed by comparing the bytes again before the file is replaced, which [`StagedFile`] does.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::model::AcceptedModel;
use emac_document::{Limits, Problem, Problems, ReplaceError, Source, StagedFile, parse};

/// Why the file was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else was quicker.
    #[error("{path}: conflict: the acceptance is based on {expected}, the file now has {found}")]
    MovedOn {
        /// The file.
        path: PathBuf,
        /// The version that was looked at.
        expected: String,
        /// The version that is there.
        found: String,
    },
    /// It changed while it was locked.
    #[error("{path}: conflict: the file was changed during the acceptance")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The disk says no.
    #[error("{path}: {source}")]
    Io {
        /// About which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Replace(#[from] ReplaceError),
}

/// A model file, locked until dropped.
#[derive(Debug)]
pub struct ModelFile {
    path: PathBuf,
    bytes: Option<Vec<u8>>,
    _lock: File,
}

impl ModelFile {
    /// Locks the folder of a model file, waiting for whoever holds it, and reads the file; a file that is not there is none.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn lock(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Io { path: path.to_owned(), source };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let lock = File::open(folder).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let bytes = read(path).map_err(failed)?;
        Ok(Self { path: path.to_owned(), bytes, _lock: lock })
    }

    /// The accepted model in it: `Some(None)` when there is no file, `None` when it is none, which is then among the problems.
    pub fn model(&self, problems: &Problems) -> Option<Option<AcceptedModel>> {
        let Some(bytes) = &self.bytes else { return Some(None) };
        let name = self.path.display().to_string();
        let source = Source::from_bytes(&name, bytes.clone(), problems)?;
        let before = problems.errors();
        let documents = parse(&source, &Limits::default(), problems);
        let Some(document) = documents.first() else {
            if problems.errors() == before {
                problems.push(Problem::error("there is no model in this file").in_file(name));
            }
            return None;
        };
        AcceptedModel::read(document, problems).map(Some)
    }

    /// Whether the file holds the version that somebody looked at; `None`: no file.
    ///
    /// # Errors
    /// [`StoreError::MovedOn`]. A beginning of `expected` of 8 digits or more will do.
    pub fn check(&self, expected: Option<&str>, found: Option<&str>) -> Result<(), StoreError> {
        let same = match (expected, found) {
            (Some(expected), Some(found)) => expected.len() >= 8 && found.starts_with(expected),
            (expected, found) => expected.is_none() && found.is_none(),
        };
        if same {
            return Ok(());
        }
        let said = |version: Option<&str>| {
            version.map_or("no model".to_owned(), |version| format!("version {version}"))
        };
        Err(StoreError::MovedOn { path: self.path.clone(), expected: said(expected), found: said(found) })
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it is no longer what was read, [`StoreError::Io`] and [`StoreError::Replace`]; then nothing was changed.
    pub fn replace(self, model: &AcceptedModel) -> Result<(), StoreError> {
        let path = &self.path;
        let failed = |source| StoreError::Io { path: path.clone(), source };
        let staged = StagedFile::write(path, model.to_text().as_bytes())?;
        if read(path).map_err(failed)? != self.bytes {
            return Err(StoreError::Changed { path: path.clone() });
        }
        Ok(staged.replace()?)
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Ok(file) if file.len() > Limits::default().bytes_max as u64 => {
            Err(io::Error::other("the file exceeds the size limit of a model"))
        }
        Ok(_) => fs::read(path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
