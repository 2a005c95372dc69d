//! `api`: who may change something over HTTP, who may read, and by which names this control plane is called.

use std::path::PathBuf;

use emac_core::id::WorkloadName;

/// `api`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Api {
    /// `change`: who may change something. Left out, it follows from what there is, see [`Api::changers`].
    pub change: Option<Changers>,
    /// `read`: who may ask for `/api/v1`.
    pub read: Readers,
    /// `metrics`: who may scrape `/metrics`.
    pub metrics: Readers,
    /// `tokenKeys`: file of the keys that tokens of operators are signed with; without it those of `identity.tokenKeys` are.
    pub token_keys: Option<PathBuf>,
    /// `operators`: `<namespace>/<account>` whose certificate may change something and read.
    pub operators: Vec<WorkloadName>,
    /// `hosts`: names, without a port, by which clients call this control plane.
    pub hosts: Vec<String>,
}

/// Who may change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changers {
    /// Who proves to be an operator: by a token, or by the certificate of one of `api.operators`.
    Proven,
    /// Whoever connects from this machine.
    Loopback,
    /// Nobody.
    Nobody,
}

/// Who may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readers {
    /// Whoever reaches the port.
    #[default]
    Anyone,
    /// Who proves to be an operator.
    Proven,
}

impl Api {
    /// Who may change something: what is written; else operators where they could prove it; else, with `identity: none`, this machine; else nobody.
    pub fn changers(&self, keys: bool, identity_none: bool) -> Changers {
        let provable = keys || !self.operators.is_empty();
        let unsaid = match (provable, identity_none) {
            (true, _) => Changers::Proven,
            (false, true) => Changers::Loopback,
            (false, false) => Changers::Nobody,
        };
        self.change.unwrap_or(unsaid)
    }
}
