//! The filter's module: built once per test run, or taken from where the caller says.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

use wasmi::{Config, Engine, Module};

/// Why there is no module to test.
#[derive(Clone, Debug, thiserror::Error)]
#[error("not run: {0}")]
pub struct NotRun(String);

/// The module, compiled for the interpreter, and its file.
#[derive(Clone)]
pub struct FilterModule {
    pub(super) engine: Engine,
    pub(super) module: Module,
    bytes: usize,
}

/// Where `make wasm` leaves the filter.
const DIST: &str = "dist/emac-filter.wasm";

impl FilterModule {
    /// The real filter: `EMAC_FILTER_WASM`, else `dist/emac-filter.wasm` when it is newer than the sources, else built here.
    ///
    /// # Errors
    /// [`NotRun`] when it can be neither found nor built.
    pub fn filter() -> Result<Self, NotRun> {
        static MODULE: OnceLock<Result<FilterModule, NotRun>> = OnceLock::new();
        MODULE.get_or_init(|| Self::load(&filter_wasm()?)).clone()
    }

    /// Any module, for tests of the host itself; text format is accepted.
    ///
    /// # Errors
    /// [`NotRun`] when it does not validate.
    pub fn of(wasm: &[u8]) -> Result<Self, NotRun> {
        let mut config = Config::default();
        // Fuel bounds every callback, as nothing does in Envoy: a loop without end is a trap here.
        config.consume_fuel(true);
        let engine = Engine::new(&config);
        let module =
            Module::new(&engine, wasm).map_err(|error| NotRun(format!("invalid module: {error}")))?;
        Ok(Self { engine, module, bytes: wasm.len() })
    }

    fn load(path: &Path) -> Result<Self, NotRun> {
        let bytes = std::fs::read(path).map_err(|error| NotRun(format!("{}: {error}", path.display())))?;
        Self::of(&bytes)
    }

    /// Size of the file.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Names of its exports, functions and memory.
    pub fn exports(&self) -> Vec<String> {
        self.module.exports().map(|export| export.name().to_owned()).collect()
    }

    /// `module.name` of every import.
    pub fn imports(&self) -> Vec<String> {
        self.module.imports().map(|import| format!("{}.{}", import.module(), import.name())).collect()
    }
}

/// Path of the real filter, found or built once per process: for real Envoys.
///
/// # Errors
/// [`NotRun`] when it can be neither found nor built.
pub fn filter_wasm() -> Result<PathBuf, NotRun> {
    static PATH: OnceLock<Result<PathBuf, NotRun>> = OnceLock::new();
    PATH.get_or_init(locate).clone()
}

fn locate() -> Result<PathBuf, NotRun> {
    if let Some(path) = std::env::var_os("EMAC_FILTER_WASM") {
        return Ok(path.into());
    }
    let root = &crate::repo_root();
    let dist = root.join(DIST);
    if is_newer_than_sources(root, &dist) { Ok(dist) } else { build(root) }
}

/// Whether a build of the filter is there and newer than everything it is made of.
pub(crate) fn is_newer_than_sources(root: &Path, built: &Path) -> bool {
    let sources = ["core/src", "proto/src", "filter", "Cargo.lock"].map(|part| newest(&root.join(part)));
    modified(built).is_some_and(|built| sources.into_iter().flatten().all(|source| source < built))
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// Latest change below a path.
fn newest(path: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter_map(|entry| newest(&entry.path())).chain(modified(path).filter(|_| path.is_file())).max()
}

/// As `make wasm` does, by the same script.
fn build(root: &Path) -> Result<PathBuf, NotRun> {
    let script = root.join("filter/build.sh");
    let output = Command::new("sh").arg(&script).env("CARGO_TARGET_DIR", crate::target_dir()).output();
    let output = output.map_err(|error| NotRun(format!("sh {}: {error}", script.display())))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(NotRun(match why.contains("can't find crate for") {
            true => "target missing: rustup target add wasm32-wasip1".into(),
            false => panic!("the filter does not build:\n{why}"),
        }));
    }
    Ok(root.join(DIST))
}
