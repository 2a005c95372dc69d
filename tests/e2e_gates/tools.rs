//! The real parts: what `tests/setup/gates.sh` left in `.tools`.

use std::path::PathBuf;

use emac_tests::kube::Kube;
use emac_tests::{repo_root, testbed::product};

/// Paths of everything that is started or read.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    /// `bin` and `crds`.
    root: PathBuf,
    /// Folder of the API server's programs.
    pub(crate) kubernetes: PathBuf,
    /// Prometheus.
    pub(crate) prometheus: PathBuf,
    /// The command line.
    pub(crate) emac: PathBuf,
}

impl Tools {
    /// All of them, or which is missing and why.
    pub(crate) fn find() -> Result<Self, String> {
        let root = repo_root().join(".tools/gates");
        if let Ok(why) = std::fs::read_to_string(root.join("not-run.txt")) {
            return Err(why.trim().to_owned());
        }
        for part in ["rollouts-controller", "flagger"] {
            if !root.join("bin").join(part).is_file() {
                return Err(format!("no {part}: run `make e2e-gates`, which builds it"));
            }
        }
        let kubernetes = Kube::find()?;
        let prometheus = emac_tests::prometheus().ok_or("no Prometheus: run `make tools`")?;
        let emac = product::emac().map_err(|why| why.to_string())?;
        Ok(Self { root, kubernetes, prometheus, emac })
    }

    /// One of the programs built from Go modules.
    pub(crate) fn bin(&self, name: &str) -> PathBuf {
        self.root.join("bin").join(name)
    }

    /// Folder of resource definitions.
    pub(crate) fn definitions(&self) -> PathBuf {
        self.root.join("crds")
    }
}
