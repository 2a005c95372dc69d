//! `identity`: how the control plane knows who a sidecar is.

use std::path::PathBuf;

use emac_core::id::WorkloadName;

/// `identity`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// `none`: whoever reaches the port may report for every workload and ask for every budget.
    Nobody,
    /// A peer proves who it is.
    Proven(Proof),
}

/// What counts as a proof; at least one way is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// `trustDomains`: those whose identities are believed. Default: `cluster.local`.
    pub trust_domains: Vec<String>,
    /// `tls`: certificates, when `emac serve` ends TLS itself.
    pub tls: Option<TlsFiles>,
    /// `sidecar`: a sidecar in front ends TLS, and its `x-forwarded-client-cert` is believed.
    pub sidecar: bool,
    /// `tokenKeys`: file of the keys that tokens are signed with.
    pub token_keys: Option<PathBuf>,
    /// `accounts`: `<namespace>/<account>` and the workloads it may speak for besides the one that has its name.
    pub accounts: Vec<(WorkloadName, Vec<Allowed>)>,
}

/// `tls`: PEM files, read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// `certificate`: of the control plane, the chain included.
    pub certificate: PathBuf,
    /// `key`: that certificate's.
    pub key: PathBuf,
    /// `authorities`: who may have signed the certificates of sidecars.
    pub authorities: PathBuf,
}

/// A workload, or every one of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// `<namespace>/<workload>`.
    One(WorkloadName),
    /// `<namespace>/*`.
    Namespace(String),
}

impl Allowed {
    /// Whether it is, or covers, a workload.
    pub fn covers(&self, workload: &WorkloadName) -> bool {
        match self {
            Self::One(one) => one == workload,
            Self::Namespace(namespace) => {
                workload.as_str().split_once('/').is_some_and(|(of, _)| of == namespace)
            }
        }
    }
}
