//! Where people's orders are kept over restarts: one value, loaded once and saved whole.

use std::io;
use std::path::{Path, PathBuf};

use emac_document::{replace_file, sha256_hex};
use serde_json::{Value, json};

use super::switch::Switch;

/// Its name in the state directory.
const FILE: &str = "enforcement.json";

/// Where they are kept.
#[derive(Clone, Debug)]
pub(in super::super) enum Keep {
    /// Nowhere: a restart forgets them.
    Nowhere,
    /// In a file, which is replaced whole and durable before [`Keep::save`] returns; its folder is made.
    File(PathBuf),
}

impl Keep {
    /// In the state directory, if there is one.
    pub(in super::super) fn of(state: Option<&Path>) -> Self {
        state.map_or(Self::Nowhere, |state| Self::File(state.join(FILE)))
    }

    /// What is kept; the default where nothing is.
    ///
    /// # Errors
    /// Why what is there cannot be read, or is damaged.
    pub(in super::super) fn load(&self) -> Result<Switch, String> {
        let Self::File(path) = self else { return Ok(Switch::default()) };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Switch::default()),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        read(&text).map_err(|why| format!("{}: {why}", path.display()))
    }

    /// Keeps a value.
    ///
    /// # Errors
    /// Why not; what was kept before is still there.
    pub(in super::super) fn save(&self, switch: &Switch) -> Result<(), String> {
        match self {
            Self::Nowhere => Ok(()),
            Self::File(path) => {
                let value = serde_json::to_value(switch).map_err(|error| error.to_string())?;
                let text = format!("{:#}\n", json!({"digest": digest(&value), "enforcement": value}));
                // The store makes it, where evidence is kept in one.
                path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(|error| error.to_string())?;
                replace_file(path, text.as_bytes()).map_err(|error| error.to_string())
            }
        }
    }
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

    #[test]
    fn what_was_saved_is_loaded_and_every_flipped_byte_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let keep = Keep::of(Some(folder.path()));
        assert_eq!(keep.load(), Ok(Switch::default()));
        let mut switch = Switch::default();
        let order = Order { by: "ann".to_owned(), proven: false, why: "x".to_owned(), at_unix_ms: 7 };
        switch.take(Action::Stop, Some(vec!["checkout".to_owned()]), order);
        keep.save(&switch).unwrap();
        assert_eq!(keep.load(), Ok(switch.clone()));
        let path = folder.path().join(FILE);
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            // Blanks between words mean nothing, whichever they are.
            let loaded = keep.load();
            assert!(loaded.is_err() || loaded == Ok(switch.clone()), "byte {at}");
        }
    }
}
