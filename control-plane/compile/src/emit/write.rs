//! Artifacts onto the disk: all or nothing, and never over somebody's work.
//!
//! A manifest (`MANIFEST.sha256`, as `sha256sum --check` reads) says what was generated last time. A file that differs from it was edited by
//! hand, and is only overwritten when told so. Every file is written beside its place first and renamed afterwards, when all are there
//! ([`replace_files`]); files that are no longer generated are removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use similar::TextDiff;

use super::Artifact;
use emac_document::{ReplaceError, create_folders, replace_files, sha256_hex};

/// Name of the manifest.
pub const MANIFEST: &str = "MANIFEST.sha256";

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Files that differ from what was generated last time.
    #[error("{} edited by hand: {}", if edited.len() == 1 { "a file was" } else { "files were" }, edited.iter().map(|edit| edit.path.as_str()).collect::<Vec<_>>().join(", "))]
    Edited {
        /// Each with what overwriting would change.
        edited: Vec<Edit>,
    },
    /// The disk says no.
    #[error("{path}: {source}")]
    Io {
        /// About which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Replace(#[from] ReplaceError),
}

/// A file that was edited by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Path below the output directory.
    pub path: String,
    /// From what stands there to what would be written, as a unified diff.
    pub diff: String,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Files that are new or changed.
    pub changed: Vec<String>,
    /// Files that were already so.
    pub unchanged: Vec<String>,
    /// Files that are no longer generated.
    pub removed: Vec<String>,
}

/// Writes artifacts and their manifest below `folder`.
///
/// # Errors
/// [`WriteError`]; then nothing was changed, unless renaming itself failed halfway.
pub fn write(folder: &Path, artifacts: &[Artifact], force: bool) -> Result<Written, WriteError> {
    let manifest = read_manifest(folder);
    let edited = edited(folder, artifacts, &manifest)?;
    if !edited.is_empty() && !force {
        return Err(WriteError::Edited { edited });
    }
    let mut written = Written::default();
    let mut changed = Vec::new();
    let manifest_now = Artifact { path: MANIFEST.to_owned(), text: manifest_text(artifacts) };
    for artifact in artifacts.iter().chain([&manifest_now]) {
        let target = folder.join(&artifact.path);
        if read(&target)?.as_deref() == Some(artifact.text.as_str()) {
            written.unchanged.push(artifact.path.clone());
            continue;
        }
        changed.push((target, artifact.text.as_str()));
        written.changed.push(artifact.path.clone());
    }
    put(&changed)?;
    written.removed = remove_stale(folder, artifacts, &manifest)?;
    Ok(written)
}

/// Writes every file beside its place first, and renames them when all are there.
///
/// # Errors
/// [`WriteError::Io`] and [`WriteError::Replace`]; then nothing was changed, unless renaming itself failed halfway.
pub fn put(files: &[(PathBuf, &str)]) -> Result<(), WriteError> {
    let folders: BTreeSet<&Path> = files.iter().filter_map(|(target, _)| target.parent()).collect();
    for folder in folders {
        create_folders(folder).map_err(|source| WriteError::Io { path: folder.to_owned(), source })?;
    }
    let files: Vec<_> = files.iter().map(|(target, text)| (target.clone(), text.as_bytes())).collect();
    Ok(replace_files(&files)?)
}

fn read(path: &Path) -> Result<Option<String>, WriteError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(WriteError::Io { path: path.to_owned(), source }),
    }
}

/// Files that stand in the way and are not what was generated last time.
fn edited(
    folder: &Path,
    artifacts: &[Artifact],
    manifest: &BTreeMap<String, String>,
) -> Result<Vec<Edit>, WriteError> {
    let mut edited = Vec::new();
    let stale = manifest.keys().filter(|path| !artifacts.iter().any(|artifact| artifact.path == **path));
    let wanted = artifacts.iter().map(|artifact| (artifact.path.as_str(), artifact.text.as_str()));
    for (path, text) in wanted.chain(stale.map(|path| (path.as_str(), ""))) {
        let Some(found) = read(&folder.join(path))? else { continue };
        let generated = manifest.get(path) == Some(&sha256_hex(&found));
        if !generated && found != text {
            let diff = TextDiff::from_lines(found.as_str(), text);
            let diff = diff.unified_diff().context_radius(2).header(path, "generated").to_string();
            edited.push(Edit { path: path.to_owned(), diff });
        }
    }
    Ok(edited)
}

fn remove_stale(
    folder: &Path,
    artifacts: &[Artifact],
    manifest: &BTreeMap<String, String>,
) -> Result<Vec<String>, WriteError> {
    let mut removed = Vec::new();
    for path in manifest.keys().filter(|path| !artifacts.iter().any(|artifact| artifact.path == **path)) {
        let file = folder.join(path);
        match fs::remove_file(&file) {
            Ok(()) => removed.push(path.clone()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(WriteError::Io { path: file, source }),
        }
    }
    Ok(removed)
}

fn manifest_text(artifacts: &[Artifact]) -> String {
    let sorted: BTreeMap<_, _> =
        artifacts.iter().map(|artifact| (&artifact.path, sha256_hex(&artifact.text))).collect();
    sorted.into_iter().map(|(path, digest)| format!("{digest}  {path}\n")).collect()
}

/// Digests by path; what is no line of a manifest, or points outside, is passed over.
fn read_manifest(folder: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(folder.join(MANIFEST)).unwrap_or_default();
    let line = |line: &str| {
        let (digest, path) = line.split_once("  ")?;
        let inside = Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        inside.then(|| (path.to_owned(), digest.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(path: &str, text: &str) -> Artifact {
        Artifact { path: path.to_owned(), text: text.to_owned() }
    }

    fn files(folder: &Path) -> Vec<String> {
        let mut found: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        found
    }

    #[test]
    fn what_was_generated_is_replaced_and_what_is_no_longer_goes() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("compiled");
        let first = write(&out, &[artifact("a/rules.yaml", "1\n"), artifact("b", "2\n")], false).unwrap();
        assert_eq!(first.changed, ["a/rules.yaml", "b", MANIFEST]);
        let same = write(&out, &[artifact("a/rules.yaml", "1\n"), artifact("b", "2\n")], false).unwrap();
        assert!(same.changed.is_empty());
        let next = write(&out, &[artifact("a/rules.yaml", "3\n")], false).unwrap();
        assert_eq!(
            (next.changed, next.removed),
            (vec!["a/rules.yaml".to_owned(), MANIFEST.to_owned()], vec!["b".to_owned()])
        );
        assert_eq!(files(&out), [MANIFEST, "a"]);
        assert_eq!(fs::read_to_string(out.join("a/rules.yaml")).unwrap(), "3\n");
    }

    #[test]
    fn what_was_edited_is_kept_and_shown() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[artifact("a", "one\ntwo\n"), artifact("b", "x\n")], false).unwrap();
        fs::write(folder.path().join("a"), "one\nmine\n").unwrap();
        fs::write(folder.path().join("c"), "foreign\n").unwrap();
        let next = [artifact("a", "one\n2\n"), artifact("b", "y\n"), artifact("c", "z\n")];
        let Err(WriteError::Edited { edited }) = write(folder.path(), &next, false) else {
            panic!("refused")
        };
        assert_eq!(edited.iter().map(|edit| edit.path.as_str()).collect::<Vec<_>>(), ["a", "c"]);
        assert!(edited[0].diff.contains("-mine\n+2\n"), "{}", edited[0].diff);
        assert_eq!(fs::read_to_string(folder.path().join("b")).unwrap(), "x\n", "nothing half-written");
        write(folder.path(), &next, true).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("a")).unwrap(), "one\n2\n");
        assert_eq!(files(folder.path()), [MANIFEST, "a", "b", "c"]);
    }

    #[test]
    fn a_failure_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("blocked"), "a file, not a directory").unwrap();
        let result = write(folder.path(), &[artifact("a", "1"), artifact("blocked/b", "2")], false);
        assert!(matches!(result, Err(WriteError::Io { .. })));
        assert_eq!(files(folder.path()), ["blocked"]);
    }

    #[test]
    fn a_manifest_cannot_point_outside() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        fs::create_dir(&out).unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "x").unwrap();
        fs::write(out.join(MANIFEST), format!("{}  ../victim\n", sha256_hex("x"))).unwrap();
        write(&out, &[artifact("a", "1")], false).unwrap();
        assert!(victim.exists());
    }
}
