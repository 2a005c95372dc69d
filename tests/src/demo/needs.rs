//! What the demo needs and the machine may lack, looked for before anything starts: all of it at once, with what to do.

use std::path::PathBuf;

use crate::testbed::product;
use crate::{ROOT_VARIABLE, checkout, envoy, is_checkout};

/// What is missing, a line each. The filter is built here where it is older than its sources.
pub(super) fn missing() -> Vec<String> {
    let found = match checkout() {
        Some(root) if is_checkout(&root) => [no_envoy(), no_filter(), no_control_plane()],
        root => [Some(no_checkout(root)), no_envoy(), no_control_plane()],
    };
    found.into_iter().flatten().collect()
}

fn no_checkout(named: Option<PathBuf>) -> String {
    let place = named.map_or_else(
        || format!("at or above {} or this program", place(std::env::current_dir())),
        |named| format!("at {} ({ROOT_VARIABLE})", named.display()),
    );
    format!(
        "  checkout of EmaC: none {place}, so no .tools and no dist/emac-filter.wasm: start the demo in one (`make demo`), or name it by {ROOT_VARIABLE}"
    )
}

fn no_envoy() -> Option<String> {
    let advice = "`make tools` fetches it, or name one by ENVOY_BIN";
    match envoy() {
        Some(file) if file.is_file() => None,
        Some(file) => Some(format!("  Envoy: no file {}: {advice}", file.display())),
        None => Some(format!("  Envoy: neither .tools/envoy/bin/envoy nor `envoy` on the PATH: {advice}")),
    }
}

fn no_filter() -> Option<String> {
    let advice = "`make wasm` builds it, or name one by EMAC_FILTER_WASM";
    match product::wasm() {
        Ok(file) if file.is_file() => None,
        Ok(file) => Some(format!("  filter: no file {}: {advice}", file.display())),
        Err(why) => Some(format!("  filter: no dist/emac-filter.wasm ({why}): {advice}")),
    }
}

fn no_control_plane() -> Option<String> {
    let why = product::emac().err()?;
    Some(format!("  control plane: {why}"))
}

fn place(found: std::io::Result<PathBuf>) -> String {
    found.map_or_else(|error| error.to_string(), |path| path.display().to_string())
}
