//! The real parts: what `tests/setup/istio.sh` left in `.tools/istio`.

use std::path::PathBuf;

use emac_tests::{kube::Kube, repo_root, testbed::product};

/// Paths of everything that is started or read.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    /// `bin`, `crds`, `envoy_bootstrap.json`.
    root: PathBuf,
    /// Folder of the API server's programs.
    pub(crate) kubernetes: PathBuf,
    /// Stock Envoy.
    pub(crate) envoy: PathBuf,
    /// The control plane.
    pub(crate) emac: PathBuf,
    /// The module.
    pub(crate) wasm: PathBuf,
}

impl Tools {
    /// All of them, or which is missing and why.
    pub(crate) fn find() -> Result<Self, String> {
        let root = repo_root().join(".tools/istio");
        if let Ok(why) = std::fs::read_to_string(root.join("not-run.txt")) {
            return Err(why.trim().to_owned());
        }
        for part in ["pilot-discovery", "pilot-agent"] {
            if !root.join("bin").join(part).is_file() {
                return Err(format!("no {part}: run `make e2e-istio`, which builds it"));
            }
        }
        let kubernetes = Kube::find()?;
        let envoy = emac_tests::envoy().ok_or("no Envoy: set ENVOY_BIN or run `make tools`")?;
        let envoy = envoy.canonicalize().map_err(|error| format!("{}: {error}", envoy.display()))?;
        let emac = product::emac().map_err(|why| why.to_string())?;
        let wasm = product::wasm().map_err(|why| why.to_string())?;
        Ok(Self { root, kubernetes, envoy, emac, wasm })
    }

    /// One of the programs built from Go modules.
    pub(crate) fn bin(&self, name: &str) -> PathBuf {
        self.root.join("bin").join(name)
    }

    /// Folder of resource definitions.
    pub(crate) fn definitions(&self) -> PathBuf {
        self.root.join("crds")
    }

    /// Envoy's bootstrap template, of the agent's own version.
    pub(crate) fn bootstrap(&self) -> PathBuf {
        self.root.join("envoy_bootstrap.json")
    }
}
