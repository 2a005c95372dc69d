//! A file replaced whole or not at all: written beside its place, made durable, renamed.
//!
//! After a crash at any moment the old text or the new one stands there, never a part, and once [`StagedFile::replace`] has returned it is the new
//! one: the file is synced before it is renamed, its folder afterwards. The new file has a name of its own until then (`.emac-….new`, in the same
//! folder, because renaming is only atomic within a file system), so that two writers never write into one another's; it is removed when anything
//! fails, and by [`remove_leftovers`](crate::remove_leftovers) where a process was killed. It gets the permissions of the file it replaces; a file that is new gets what the process's umask leaves.
//!
//! Where the name is a symbolic link, the file that it points to is replaced and the link stays: whoever links a model into a checkout wants the
//! checkout's file changed.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempPath};

/// Symbolic links that are followed, as Linux does.
const LINKS_MAX: usize = 40;
/// Of the names that new files have until they are renamed; between them are [`RANDOM`] letters and digits.
pub(crate) const PREFIX: &str = ".emac-";
pub(crate) const SUFFIX: &str = ".new";
pub(crate) const RANDOM: usize = 6;
/// Permissions of a new file, before the umask.
const NEW_FILE_MODE: u32 = 0o666;

/// Why a file was not replaced.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}{}", help(source))]
pub struct ReplaceError {
    /// Which file, as it was named.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// A new text, durable beside its place; removed again when dropped.
#[derive(Debug)]
pub struct StagedFile {
    path: PathBuf,
    target: PathBuf,
    temporary: TempPath,
}

impl StagedFile {
    /// Writes the bytes beside `path`, whose folder must be there. Nothing that stands there is touched.
    ///
    /// # Errors
    /// [`ReplaceError`] when the folder cannot be written, or when something stands at `path` that is no file; nothing is left behind.
    pub fn write(path: &Path, bytes: &[u8]) -> Result<Self, ReplaceError> {
        let staged = Self::written(path, bytes)?;
        let synced = File::open(&staged.temporary).and_then(|file| file.sync_all());
        synced.map(|()| staged).map_err(|source| ReplaceError { path: path.to_owned(), source })
    }

    /// Written, and not durable yet.
    fn written(path: &Path, bytes: &[u8]) -> Result<Self, ReplaceError> {
        let staged = target_of(path).and_then(|target| Ok((write_beside(&target, bytes)?, target)));
        match staged {
            Ok((temporary, target)) => Ok(Self { path: path.to_owned(), target, temporary }),
            Err(source) => Err(ReplaceError { path: path.to_owned(), source }),
        }
    }

    fn opened(&self, path: &Path) -> Result<File, ReplaceError> {
        File::open(path).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> ReplaceError {
        ReplaceError { path: self.path.clone(), source }
    }

    /// Puts it in its place. Between writing and this a caller may look whether what it is about to replace is still what it had read.
    ///
    /// # Errors
    /// [`ReplaceError`]; then the old file still stands there, unless only syncing the folder failed.
    pub fn replace(self) -> Result<(), ReplaceError> {
        let Self { path, target, temporary } = self;
        // Opened first: a folder that cannot be opened could not be synced either.
        let replaced = File::open(folder_of(&target)).and_then(|folder| {
            temporary.persist(&target).map_err(|failed| failed.error)?;
            sync(&folder)
        });
        replaced.map_err(|source| ReplaceError { path, source })
    }
}

/// Files beyond which a file system is synced once rather than each file: a sync costs a write to the disk each.
const SYNCED_ALONE_MAX: usize = 16;

/// Replaces files, or makes them; their folders must be there. All are durable beside their places before the first is renamed, and each folder is
/// synced once, when all are.
///
/// # Errors
/// As [`StagedFile::write`] and [`StagedFile::replace`]; then nothing was replaced, unless renaming itself failed halfway.
pub fn replace_files(files: &[(PathBuf, &[u8])]) -> Result<(), ReplaceError> {
    let many = files.len() > SYNCED_ALONE_MAX;
    let stage = if many { StagedFile::written } else { StagedFile::write };
    let staged = files.iter().map(|(path, bytes)| stage(path, bytes)).collect::<Result<Vec<_>, _>>()?;
    let mut folders = BTreeMap::new();
    for file in &staged {
        let folder = folder_of(&file.target);
        if !folders.contains_key(folder) {
            folders.insert(folder.to_owned(), file.opened(folder)?);
        }
    }
    if many && !folders.values().all(|folder| rustix::fs::syncfs(folder).is_ok()) {
        // What cannot be synced at once is synced one by one.
        for file in &staged {
            file.opened(&file.temporary)?.sync_all().map_err(|source| file.failed(source))?;
        }
    }
    let mut named = None;
    for StagedFile { path, target, temporary } in staged {
        let renamed = temporary.persist(&target).map_err(|failed| failed.error);
        renamed.map_err(|source| ReplaceError { path: path.clone(), source })?;
        named = Some(path);
    }
    let synced = folders.values().try_for_each(sync);
    synced.map_err(|source| ReplaceError { path: named.unwrap_or_default(), source })
}

/// Replaces a file, or makes it; its folder must be there.
///
/// # Errors
/// As [`StagedFile::write`] and [`StagedFile::replace`].
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), ReplaceError> {
    StagedFile::write(path, bytes)?.replace()
}

/// Makes what was created, renamed or removed in the folder of `path` durable: until then a crash may undo it.
///
/// # Errors
/// The folder cannot be opened or written.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    sync(&File::open(folder_of(path))?)
}

/// Makes a folder and those above it where they are not there yet, each durable in the folder that holds it: a file that was synced into a folder is
/// lost with it when a crash undoes the folder.
///
/// # Errors
/// One of them cannot be made (something else stands there, the disk is full), or the folder that holds it cannot be synced.
pub fn create_folders(folder: &Path) -> io::Result<()> {
    let absent = absent_folders(folder);
    fs::create_dir_all(folder)?;
    // Outermost first: until a folder is durable, what is in it is not.
    absent.iter().rev().try_for_each(|made| sync_folder_of(made))
}

/// Those that are not there, innermost first. One that another process makes meanwhile is synced by both.
fn absent_folders(folder: &Path) -> Vec<&Path> {
    let named = folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty());
    named.take_while(|folder| !folder.is_dir()).collect()
}

fn sync(folder: &File) -> io::Result<()> {
    match folder.sync_all() {
        // Some network file systems cannot sync folders and keep their own order.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file itself, behind symbolic links; it need not exist.
fn target_of(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&target) {
            // Relative to the link's folder; an absolute path replaces it.
            Ok(to) => target = folder_of(&target).join(to),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

fn write_beside(target: &Path, bytes: &[u8]) -> io::Result<TempPath> {
    if target.file_name().is_none() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "is not the name of a file"));
    }
    let old = permissions_of(target)?;
    let mut file = new_file(folder_of(target))?;
    file.write_all(bytes)?;
    if let Some(old) = old {
        file.as_file().set_permissions(old)?;
    }
    Ok(file.into_temp_path())
}

fn new_file(folder: &Path) -> io::Result<NamedTempFile> {
    let mode = Permissions::from_mode(NEW_FILE_MODE);
    Builder::new().prefix(PREFIX).suffix(SUFFIX).rand_bytes(RANDOM).permissions(mode).tempfile_in(folder)
}

/// Permissions of the file that stands there; `None`: there is none.
fn permissions_of(target: &Path) -> io::Result<Option<Permissions>> {
    match fs::metadata(target) {
        Ok(found) if found.is_file() => Ok(Some(found.permissions())),
        Ok(found) if found.is_dir() => Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder")),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "is neither a file nor a folder")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What to do about it, where that is known.
fn help(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::IsADirectory => "; name a file",
        io::ErrorKind::NotFound => "; make its folder first",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; its folder must be writable, because a new file is written beside the old one"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room on the disk",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_file_is_made_and_replaced_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        for text in ["one", "", "three and longer"] {
            replace_file(&file, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
            assert_eq!(names(folder.path()), ["a.yaml"]);
        }
    }

    #[test]
    fn many_files_are_replaced_like_one() {
        let folder = tempfile::tempdir().unwrap();
        for count in [1, SYNCED_ALONE_MAX, 3 * SYNCED_ALONE_MAX] {
            let text = format!("of {count}");
            let files: Vec<_> =
                (0..count).map(|i| (folder.path().join(format!("{i:03}")), text.as_bytes())).collect();
            replace_files(&files).unwrap();
            assert!(files.iter().all(|(file, _)| fs::read_to_string(file).unwrap() == text));
            assert_eq!(names(folder.path()).len(), count);
        }
        let missing = [(folder.path().join("000"), &b"x"[..]), (folder.path().join("none/a"), b"x")];
        assert_eq!(replace_files(&missing).unwrap_err().source.kind(), io::ErrorKind::NotFound);
        assert_eq!(fs::read_to_string(folder.path().join("000")).unwrap(), "of 48", "nothing was replaced");
        assert_eq!(names(folder.path()).len(), 3 * SYNCED_ALONE_MAX);
    }

    #[test]
    fn a_reader_sees_the_old_text_until_the_new_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        replace_file(&file, b"old").unwrap();
        let mut open = File::open(&file).unwrap();
        let staged = StagedFile::write(&file, b"new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        staged.replace().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(io::read_to_string(&mut open).unwrap(), "old", "another file took its name");
    }

    #[test]
    fn what_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        replace_file(&file, b"old").unwrap();
        drop(StagedFile::write(&file, b"new").unwrap());
        assert_eq!((names(folder.path()), fs::read(&file).unwrap()), (vec!["a".to_owned()], b"old".to_vec()));
    }

    #[test]
    fn two_writers_and_leftovers_are_not_in_the_way_of_one_another() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        // What a process that was killed left, under the name that was fixed once.
        fs::create_dir(folder.path().join(".a.new")).unwrap();
        let (first, second) =
            (StagedFile::write(&file, b"first").unwrap(), StagedFile::write(&file, b"second").unwrap());
        second.replace().unwrap();
        first.replace().unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"first");
        assert_eq!(names(folder.path()), [".a.new", "a"]);
    }

    #[test]
    fn permissions_are_those_of_the_file_before_or_as_of_any_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let (file, plain) = (folder.path().join("a"), folder.path().join("plain"));
        fs::write(&plain, "").unwrap();
        replace_file(&file, b"1").unwrap();
        assert_eq!(mode(&file), mode(&plain), "the umask decides");
        for kept in [0o600, 0o640, 0o755, 0o444] {
            fs::set_permissions(&file, Permissions::from_mode(kept)).unwrap();
            replace_file(&file, b"2").unwrap();
            assert_eq!(mode(&file), kept);
        }
    }

    #[test]
    fn a_link_stays_and_what_it_points_to_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("checkout")).unwrap();
        fs::write(at("checkout/model"), "old").unwrap();
        symlink("checkout/model", at("model")).unwrap();
        symlink(at("model"), at("twice")).unwrap();
        replace_file(&at("twice"), b"new").unwrap();
        assert_eq!(fs::read(at("checkout/model")).unwrap(), b"new");
        assert_eq!(fs::read_link(at("model")).unwrap(), Path::new("checkout/model"));
        assert_eq!(names(&at("checkout")), ["model"]);
        symlink("checkout/absent", at("dangling")).unwrap();
        replace_file(&at("dangling"), b"made").unwrap();
        assert_eq!(fs::read(at("checkout/absent")).unwrap(), b"made");
        symlink("round", at("round")).unwrap();
        let error = replace_file(&at("round"), b"x").unwrap_err();
        assert!(error.to_string().ends_with("round: too many symbolic links"), "{error}");
    }

    #[test]
    fn what_cannot_be_replaced_is_said_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("folder")).unwrap();
        fs::write(at("file"), "x").unwrap();
        let said = |path: PathBuf| replace_file(&path, b"new").unwrap_err().to_string();
        assert_eq!(said(at("folder")), format!("{}: is a folder; name a file", at("folder").display()));
        assert!(said(at("absent/a")).contains("; make its folder first"), "{}", said(at("absent/a")));
        assert!(said(at("file/a")).contains("file/a: "));
        assert!(said(PathBuf::from("/")).contains("name a file"));
        assert_eq!(names(folder.path()), ["file", "folder"]);
        assert_eq!(fs::read(at("file")).unwrap(), b"x");
    }

    #[test]
    fn a_folder_made_in_the_way_afterwards_stays_and_so_does_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let staged = StagedFile::write(&file, b"new").unwrap();
        fs::create_dir(&file).unwrap();
        staged.replace().unwrap_err();
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn a_folder_that_may_not_be_written_is_told_how_to_be_mended() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, file) = (folder.path().join("closed"), folder.path().join("closed/a"));
        fs::create_dir(&inside).unwrap();
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&inside, Permissions::from_mode(0o555)).unwrap();
        let result = replace_file(&file, b"new");
        fs::set_permissions(&inside, Permissions::from_mode(0o755)).unwrap();
        // Permissions do not bind the superuser, as whom containers run tests.
        if let Err(error) = result {
            assert!(error.to_string().contains("; its folder must be writable"), "{error}");
            assert_eq!(fs::read(&file).unwrap(), b"old");
        }
        assert_eq!(names(&inside), ["a"]);
        let denied = ReplaceError {
            path: "m.yaml".into(),
            source: io::Error::new(io::ErrorKind::PermissionDenied, "Permission denied"),
        };
        assert!(denied.to_string().starts_with("m.yaml: Permission denied; its folder must be writable"));
    }

    #[test]
    fn folders_are_made_with_those_above_them() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let deep = at("a/b/c");
        assert_eq!(absent_folders(&deep), [deep.as_path(), &at("a/b"), &at("a")]);
        create_folders(&deep).unwrap();
        assert!(deep.is_dir() && absent_folders(&deep).is_empty());
        replace_file(&deep.join("file"), b"x").unwrap();
        // Nothing to do, also where a path names no folder of its own.
        for there in [deep.as_path(), Path::new("."), Path::new("/")] {
            assert_eq!(absent_folders(there), [] as [&Path; 0], "{}", there.display());
            create_folders(there).unwrap();
        }
        assert_eq!(absent_folders(Path::new("x/y")), [Path::new("x/y"), Path::new("x")]);
        create_folders(&deep.join("file/below")).unwrap_err();
        assert_eq!(fs::read(deep.join("file")).unwrap(), b"x");
    }

    #[test]
    fn several_may_make_the_same_folder_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c/d/e/f");
        std::thread::scope(|threads| {
            let all: Vec<_> = (0..8).map(|_| threads.spawn(|| create_folders(&deep))).collect();
            all.into_iter().for_each(|one| one.join().unwrap().unwrap());
        });
        assert!(deep.is_dir());
    }

    #[test]
    fn a_name_without_a_folder_is_in_the_current_one() {
        assert_eq!(folder_of(Path::new("a")), Path::new("."));
        assert_eq!(folder_of(Path::new("b/a")), Path::new("b"));
        sync_folder_of(Path::new("a")).unwrap();
    }
}
