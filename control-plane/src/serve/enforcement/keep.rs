//! Where people's orders are kept over restarts: one value, loaded once and saved whole, twice.
//!
//! There is always a record, from the first start on, and a copy of it beside it: one file that somebody removed, or that a disk lost, is
//! mended from the other, and where both are gone from a directory that was in use that can be told.

use std::io;
use std::path::{Path, PathBuf};

use emac_document::{replace_files, sha256_hex};
use serde_json::{Value, json};

use super::switch::Switch;

/// Its name in the state directory.
const FILE: &str = "enforcement.json";
/// The name of its copy.
const COPY: &str = "enforcement.copy.json";

/// Where they are kept.
#[derive(Clone, Debug)]
pub(in super::super) enum Keep {
    /// Nowhere: a restart forgets them.
    Nowhere,
    /// In two files of a folder, which are replaced whole and durable before [`Keep::save`] returns; the folder is made.
    Folder {
        state: PathBuf,
        /// Something was in it before this process began.
        used: bool,
    },
}

/// What was kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Loaded {
    pub(super) switch: Switch,
    /// What somebody should know about the record.
    pub(super) told: Option<String>,
}

impl Keep {
    /// In the state directory, if there is one. To be called before anything else uses that.
    pub(in super::super) fn of(state: Option<&Path>) -> Self {
        let used = |state: &Path| std::fs::read_dir(state).is_ok_and(|mut all| all.next().is_some());
        state.map_or(Self::Nowhere, |state| Self::Folder { used: used(state), state: state.to_owned() })
    }

    /// What is kept; the default where nothing is.
    ///
    /// # Errors
    /// Why what is there cannot be read, or is damaged. A copy does not stand in for a damaged record: it may be older.
    pub(super) fn load(&self) -> Result<Loaded, String> {
        let Self::Folder { state, used } = self else { return Ok(Loaded::default()) };
        if let Some(switch) = load(&state.join(FILE))? {
            return Ok(Loaded { switch, told: None });
        }
        let (found, told) = match load(&state.join(COPY))? {
            Some(switch) => (switch, Some(from_copy(state))),
            None => (Switch::default(), used.then(|| nothing_kept(state))),
        };
        Ok(Loaded { switch: found, told })
    }

    /// Whether the record or its copy is gone or was emptied. Costs a `stat` each.
    pub(super) fn is_lost(&self) -> bool {
        let Self::Folder { state, .. } = self else { return false };
        let lost = |name| match std::fs::metadata(state.join(name)) {
            Ok(found) => found.is_file() && found.len() == 0,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        lost(FILE) || lost(COPY)
    }

    /// Keeps a value.
    ///
    /// # Errors
    /// Why not; what was kept before is still there.
    pub(in super::super) fn save(&self, switch: &Switch) -> Result<(), String> {
        let Self::Folder { state, .. } = self else { return Ok(()) };
        let value = serde_json::to_value(switch).map_err(|error| error.to_string())?;
        let text = format!("{:#}\n", json!({"digest": digest(&value), "enforcement": value}));
        // The store makes it, where evidence is kept in one.
        std::fs::create_dir_all(state).map_err(|error| error.to_string())?;
        // The record first: whoever finds two that differ takes the newer one.
        let both = [FILE, COPY].map(|name| (state.join(name), text.as_bytes()));
        replace_files(&both).map_err(|error| error.to_string())
    }
}

fn from_copy(state: &Path) -> String {
    format!(
        "{FILE} was gone from {} and was written anew from {COPY}: what was stopped is still stopped; `emac resume-enforcing` resumes it",
        state.display()
    )
}

fn nothing_kept(state: &Path) -> String {
    format!(
        "{} was in use and holds neither {FILE} nor {COPY}: if somebody removed them, what was ordered by `emac stop-enforcing` is no longer \
         stopped; stop it again if it should be",
        state.display()
    )
}

/// `None`: there is no such file.
fn load(path: &Path) -> Result<Option<Switch>, String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    read(&text).map(Some).map_err(|why| format!("{}: {why}", path.display()))
}

fn read(text: &str) -> Result<Switch, String> {
    let mut value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let switch = value["enforcement"].take();
    if value["digest"] != digest(&switch) {
        return Err("its digest is not that of what it says: it was damaged, or edited by hand".to_owned());
    }
    serde_json::from_value(switch).map_err(|error| error.to_string())
}

fn digest(value: &Value) -> String {
    sha256_hex(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::switch::{Action, Order};
    use super::*;

    fn stopped(by: &str) -> Switch {
        let mut switch = Switch::default();
        let order = Order { by: by.to_owned(), proven: false, why: "x".to_owned(), at_unix_ms: 7 };
        switch.take(Action::Stop, Some(vec!["checkout".to_owned()]), order);
        switch
    }

    #[test]
    fn what_was_saved_is_loaded_and_every_flipped_byte_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let keep = Keep::of(Some(folder.path()));
        assert_eq!(keep.load(), Ok(Loaded::default()));
        let switch = stopped("ann");
        keep.save(&switch).unwrap();
        let kept = Loaded { switch, told: None };
        assert_eq!(keep.load().as_ref(), Ok(&kept));
        let path = folder.path().join(FILE);
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            // Blanks between words mean nothing, whichever they are.
            let loaded = keep.load();
            assert!(loaded.is_err() || loaded.as_ref() == Ok(&kept), "byte {at}");
        }
    }

    #[test]
    fn one_file_that_is_gone_loses_nothing_and_two_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let load = || Keep::of(Some(folder.path())).load();
        let keep = Keep::of(Some(folder.path()));
        assert!(keep.is_lost());
        keep.save(&stopped("ann")).unwrap();
        assert!(!keep.is_lost());
        std::fs::remove_file(at(COPY)).unwrap();
        assert!(keep.is_lost());
        assert_eq!(load(), Ok(Loaded { switch: stopped("ann"), told: None }));
        keep.save(&stopped("ann")).unwrap();
        std::fs::remove_file(at(FILE)).unwrap();
        assert!(keep.is_lost());
        let loaded = load().unwrap();
        assert_eq!(loaded.switch, stopped("ann"));
        assert!(loaded.told.unwrap().contains("still stopped"));
        // Emptied is damaged, be it the copy alone.
        std::fs::write(at(COPY), "").unwrap();
        assert!(load().unwrap_err().contains(COPY));
        std::fs::write(at(FILE), "").unwrap();
        assert!(keep.is_lost() && load().unwrap_err().contains(FILE));
        // Of a folder that was never used nobody expects anything.
        [FILE, COPY].iter().for_each(|name| std::fs::remove_file(at(name)).unwrap());
        assert_eq!(load(), Ok(Loaded::default()));
        std::fs::write(at("evidence.redb"), "").unwrap();
        let loaded = load().unwrap();
        assert_eq!(loaded.switch, Switch::default());
        assert!(loaded.told.unwrap().contains("neither enforcement.json nor enforcement.copy.json"));
    }
}
