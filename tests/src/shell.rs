//! Which of the filter's two shells the real Envoys of a test run: the wasm module, or the native shared object.
//!
//! Scenarios do not know: they pass on the file, and [`crate::envoy::emac_filter`] says by its name how Envoy is to load it. `EMAC_SHELL`
//! chooses for a whole run: `wasm` (also when unset) or `native`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::envoy::NotRun;
use crate::wasm_host::{filter_wasm, is_newer_than_sources};

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// `emac-filter.wasm`.
    Wasm,
    /// `libemac_filter.so`.
    Native,
}

/// Where `make native` leaves the shared object.
const DIST: &str = "dist/libemac_filter.so";

impl Shell {
    /// That of this run.
    ///
    /// # Panics
    /// With another word in `EMAC_SHELL`: a run that tests something else than was asked for is worse than none.
    pub fn of_run() -> Self {
        match std::env::var("EMAC_SHELL").as_deref() {
            Err(_) | Ok("" | "wasm") => Self::Wasm,
            Ok("native") => Self::Native,
            Ok(other) => panic!("EMAC_SHELL={other}: `wasm` or `native`"),
        }
    }

    /// That of a file.
    pub fn of(module: &Path) -> Self {
        if module.extension().is_some_and(|extension| extension == "so") { Self::Native } else { Self::Wasm }
    }

    /// The file as the sources have it now, or why there is none.
    ///
    /// # Errors
    /// [`NotRun`] when it can be neither found nor built.
    pub fn module(self) -> Result<PathBuf, NotRun> {
        match self {
            Self::Wasm => filter_wasm().map_err(|why| NotRun(why.to_string())),
            Self::Native => filter_native(),
        }
    }
}

/// The file of this run's shell, or why there is none.
///
/// # Errors
/// As [`Shell::module`].
pub fn module() -> Result<PathBuf, NotRun> {
    Shell::of_run().module()
}

/// `EMAC_FILTER_NATIVE`, else `dist/libemac_filter.so` when it is newer than the sources, else built here; once per process.
fn filter_native() -> Result<PathBuf, NotRun> {
    static PATH: OnceLock<Result<PathBuf, NotRun>> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(path) = std::env::var_os("EMAC_FILTER_NATIVE") {
            return Ok(path.into());
        }
        let root = &crate::repo_root();
        let dist = root.join(DIST);
        if is_newer_than_sources(root, &dist) { Ok(dist) } else { build(root) }
    })
    .clone()
}

/// As `make native` does, by the same script.
fn build(root: &Path) -> Result<PathBuf, NotRun> {
    let script = root.join("filter/native/build.sh");
    let output = Command::new("sh").arg(&script).env("CARGO_TARGET_DIR", crate::target_dir()).output();
    let output = output.map_err(|error| NotRun(format!("sh {}: {error}", script.display())))?;
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the native shell does not build:\n{why}");
    Ok(root.join(DIST))
}
