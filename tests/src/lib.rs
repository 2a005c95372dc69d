//! Testbed, demo, benches and every test that crosses a crate.
//!
//! The binaries `demo` and `bench` and the tests under `tests/` are built from the modules here: [`testbed`] builds a world of
//! real Envoys around small real services; [`load`] asks questions of it and counts every answer; [`envoy`](mod@envoy) writes
//! Envoy's configuration; [`supervise`] owns the processes; [`stats`] reads what they say of themselves; [`demo`] is `make demo`.
//! [`wasm_host`] needs no Envoy at all: it runs the filter's module under a fake clock. [`synthetic`] makes traces whose truth is known, and
//! scores what discovery finds in them. [`mod@bench`] measures. [`kube`] is a Kubernetes API and [`rooms`] namespaces for scenarios with other people's programs.

pub mod bench;
pub mod demo;
pub mod envoy;
pub mod kube;
pub mod load;
pub mod rooms;
pub mod shell;
pub mod stats;
pub mod supervise;
pub mod synthetic;
pub mod testbed;
pub mod wasm_host;

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Names the checkout where neither the current folder nor the program lies in it.
pub const ROOT_VARIABLE: &str = "EMAC_ROOT";

/// Root of the checkout this runs in: `EMAC_ROOT`, else the first folder at or above the current one, else above the program, that has
/// what every checkout has. Never the place where the program was compiled, which need not exist any more.
pub fn checkout() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(ROOT_VARIABLE) {
        return Some(named.into());
    }
    let starts = [std::env::current_dir(), std::env::current_exe()].into_iter().flatten();
    starts.into_iter().find_map(|start| start.ancestors().find(|dir| is_checkout(dir)).map(Path::to_path_buf))
}

/// Whether a folder is the root of a checkout.
pub fn is_checkout(folder: &Path) -> bool {
    ["Cargo.lock", "filter/Cargo.toml", "tests/setup/tools.sh"].iter().all(|part| folder.join(part).is_file())
}

/// Root of the checkout, see [`checkout`]; the current folder where there is none.
pub fn repo_root() -> PathBuf {
    checkout().unwrap_or_default()
}

/// Where cargo builds: `CARGO_TARGET_DIR` (as make has it: below the checkout where it is relative), or `target` of the checkout.
pub fn target_dir() -> PathBuf {
    repo_root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Says that a test could not run here, and why: on standard error past the test runner's capture, and in
/// `not-run.txt` of [`target_dir`], which `make test` prints at its end. Never call it for a test that failed.
pub fn not_run(test: &str, why: &str) {
    let line = format!("not run: {test}: {why}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    let target = target_dir();
    let _ = std::fs::create_dir_all(&target);
    if let Ok(mut file) =
        std::fs::OpenOptions::new().create(true).append(true).open(target.join("not-run.txt"))
    {
        let _ = file.write_all(line.as_bytes());
    }
}

/// Folder of third-party data for the optional tests: `EMAC_SHARED_DATA`, or `../shared/data` beside the checkout. `None` when it
/// is not there; the test then reports [`not_run`].
pub fn shared_data(dataset: &str) -> Option<PathBuf> {
    let root = std::env::var_os("EMAC_SHARED_DATA")
        .map_or_else(|| repo_root().join("../shared/data"), PathBuf::from);
    Some(root.join(dataset)).filter(|path| path.exists())
}

/// A tool by environment variable, then under `.tools`, then on the PATH.
pub fn tool(variable: &str, under_tools: &str, name: &str) -> Option<PathBuf> {
    let from_env = std::env::var_os(variable).map(PathBuf::from);
    let ours = repo_root().join(".tools").join(under_tools);
    let on_path =
        || std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(name)).find(|p| p.is_file());
    from_env.or_else(|| Some(ours).filter(|p| p.is_file())).or_else(on_path)
}

/// The pinned Envoy (`ENVOY_BIN` overrides).
pub fn envoy() -> Option<PathBuf> {
    tool("ENVOY_BIN", "envoy/bin/envoy", "envoy")
}

/// The pinned nats-server (`NATS_SERVER_BIN` overrides).
pub fn nats_server() -> Option<PathBuf> {
    tool("NATS_SERVER_BIN", "nats/bin/nats-server", "nats-server")
}

/// Prometheus of the distribution (`PROMETHEUS_BIN` overrides).
pub fn prometheus() -> Option<PathBuf> {
    tool("PROMETHEUS_BIN", "prometheus/usr/bin/prometheus", "prometheus")
}

/// promtool of the distribution (`PROMTOOL_BIN` overrides).
pub fn promtool() -> Option<PathBuf> {
    tool("PROMTOOL_BIN", "prometheus/usr/bin/promtool", "promtool")
}
