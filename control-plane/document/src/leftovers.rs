//! New files that never took their place, because their writer was killed.

use std::fs::{self, DirEntry, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::replace::{PREFIX, RANDOM, SUFFIX};

/// A writer that lives has renamed its file, or removed it, long before.
const OLDER_THAN: Duration = Duration::from_secs(60);
/// Folders within one another that are looked into.
const DEPTH_MAX: usize = 3;
/// Entries looked at in one call.
const ENTRIES_MAX: usize = 100_000;

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// How many files.
    pub removed: usize,
    /// One of them.
    pub example: Option<PathBuf>,
}

/// Removes what [`replace_file`](crate::replace_file) of a process that was killed left in a folder and up to three folders below: plain files
/// with the names of its new files, changed last more than a minute ago. Nothing else is touched, links are not followed, and what cannot be
/// looked at or removed stays.
///
/// For folders in which only one process writes. Cost: a listing of each folder, and a `stat` of each such name; 100 000 entries at most.
pub fn remove_leftovers(folder: &Path) -> Leftovers {
    let (mut found, mut left) = (Leftovers::default(), ENTRIES_MAX);
    look(folder, 0, &mut left, &mut found);
    found
}

fn look(folder: &Path, depth: usize, left: &mut usize, found: &mut Leftovers) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        if *left == 0 {
            return;
        }
        *left -= 1;
        // Of the entry itself, not of what a link points to.
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && depth < DEPTH_MAX {
            look(&entry.path(), depth + 1, left, found);
        } else if kind.is_file() && is_leftover(&entry) && fs::remove_file(entry.path()).is_ok() {
            found.removed += 1;
            found.example.get_or_insert_with(|| entry.path());
        }
    }
}

fn is_leftover(entry: &DirEntry) -> bool {
    entry.file_name().to_str().is_some_and(is_temporary) && entry.metadata().is_ok_and(|found| is_old(&found))
}

fn is_temporary(name: &str) -> bool {
    let random = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    random.is_some_and(|random| random.len() == RANDOM && random.bytes().all(|it| it.is_ascii_alphanumeric()))
}

/// A clock that went back makes nothing old.
fn is_old(found: &Metadata) -> bool {
    let age = found.modified().ok().and_then(|changed| SystemTime::now().duration_since(changed).ok());
    age.is_some_and(|age| age > OLDER_THAN)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::StagedFile;

    fn age(path: &Path, seconds: u64) {
        let at = SystemTime::now() - Duration::from_secs(seconds);
        File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    }

    #[test]
    fn what_a_killed_writer_left_goes_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("a/b/c/d")).unwrap();
        fs::create_dir(at(".emac-folder.new")).unwrap();
        // As it is made, by a writer that never ends it.
        std::mem::forget(StagedFile::write(&at("a/b/file"), b"new").unwrap());
        let made = fs::read_dir(at("a/b")).unwrap().map(|entry| entry.unwrap().path());
        let made: Vec<_> = made.filter(|path| path.is_file()).collect();
        age(&made[0], 61);
        let stay = [
            ".emac-abc12.new",
            ".emac-abc1234.new",
            ".emac-abc_12.new",
            ".emac-abc123.old",
            "emac-abc123.new",
        ];
        for name in
            stay.iter().chain(&[".emac-Abc123.new", ".emac-young1.new", "target", "a/b/c/d/.emac-abc123.new"])
        {
            fs::write(at(name), "x").unwrap();
            age(&at(name), if name.contains("young") { 1 } else { 3_600 });
        }
        symlink(at("target"), at(".emac-link00.new")).unwrap();
        symlink(folder.path(), at("a/round")).unwrap();
        let found = remove_leftovers(folder.path());
        assert_eq!(found.removed, 2, "{found:?}");
        assert!(!made[0].exists() && !at(".emac-Abc123.new").exists());
        for name in stay.iter().chain(&[".emac-young1.new", ".emac-link00.new", ".emac-folder.new", "target"])
        {
            assert!(at(name).symlink_metadata().is_ok(), "{name}");
        }
        assert!(at("a/b/c/d/.emac-abc123.new").exists(), "deeper than anything of ours");
        assert_eq!(remove_leftovers(folder.path()), Leftovers::default());
        assert_eq!(remove_leftovers(&at("absent")), Leftovers::default());
    }
}
