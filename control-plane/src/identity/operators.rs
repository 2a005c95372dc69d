//! Who calls the HTTP API, and whether it may read or change.
//!
//! Apart from who a sidecar is (`gate`): a workload's proof is none here, and an operator's is none there. Two ways lead to an operator's
//! name: a token that carries it (`token`), and the certificate of an account that `api.operators` lists, its own or, with
//! `identity.sidecar` and on loopback, the one that the sidecar forwards.

use std::sync::Arc;

use emac_core::id::WorkloadName;

use super::keep::Credentials;
use super::token::Scope;
use super::transport::Transport;
use super::{forwarded, spiffe};
use crate::clock::Clock;
use crate::config::{Changers, Config, Identity, Proof, Readers};
use crate::refusal::Refusal;

/// Who may do what over HTTP.
#[derive(Debug)]
pub struct Operators {
    changers: Changers,
    /// Of `/api/v1`.
    pub readers: Readers,
    /// Of `/metrics`.
    pub scrapers: Readers,
    keys: Option<Arc<Credentials>>,
    accounts: Vec<WorkloadName>,
    proof: Option<Proof>,
    clock: Clock,
}

/// Who changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changer {
    /// Proven: the subject of a token, or an account.
    Operator(String),
    /// Somebody on this machine, who may say who it is.
    Loopback,
}

/// What a request shows of its sender besides what the transport knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown<'a> {
    /// `authorization`.
    pub authorization: Option<&'a str>,
    /// The last `x-forwarded-client-cert`.
    pub forwarded: Option<&'a str>,
    /// A proxy says that it passes the request on for somebody else.
    pub passed_on: bool,
}

impl Operators {
    /// As configured; `keys` are those of `api.tokenKeys`, else of `identity.tokenKeys`.
    pub fn new(config: &Config, keys: Option<Arc<Credentials>>, clock: Clock) -> Self {
        let none = config.identity.as_ref() == Some(&Identity::Nobody);
        let proof = match &config.identity {
            Some(Identity::Proven(proof)) => Some(proof.clone()),
            _ => None,
        };
        Self {
            changers: config.api.changers(keys.is_some(), none),
            readers: config.api.read,
            scrapers: config.api.metrics,
            keys,
            accounts: config.api.operators.clone(),
            proof,
            clock,
        }
    }

    /// Who may change something, in a word.
    pub const fn changers(&self) -> Changers {
        self.changers
    }

    /// Who it is that wants to change something.
    ///
    /// # Errors
    /// Why it may not, and in words for it.
    pub fn may_change(&self, from: &Transport, shown: Shown<'_>) -> Result<Changer, (Refusal, String)> {
        match self.changers {
            Changers::Proven => self.proven(from, shown, Scope::Change).map(Changer::Operator),
            Changers::Loopback if !shown.passed_on && from.is_local() => Ok(Changer::Loopback),
            Changers::Loopback => {
                let why = "changes are taken from the control plane's own machine only; from elsewhere they need a token: set `api.tokenKeys`";
                Err((Refusal::Scope, why.to_owned()))
            }
            Changers::Nobody => {
                let why = "nobody may change anything: set `api.tokenKeys` or `api.operators`";
                Err((Refusal::Scope, why.to_owned()))
            }
        }
    }

    /// Whether it may read.
    ///
    /// # Errors
    /// Why it may not, and in words for it.
    pub fn may_read(
        &self,
        readers: Readers,
        from: &Transport,
        shown: Shown<'_>,
    ) -> Result<(), (Refusal, String)> {
        match readers {
            Readers::Anyone => Ok(()),
            Readers::Proven => self.proven(from, shown, Scope::Read).map(|_| ()),
        }
    }

    /// The name of an operator who may do so much.
    fn proven(&self, from: &Transport, shown: Shown<'_>, wants: Scope) -> Result<String, (Refusal, String)> {
        let now = self.clock.unix_ms() / 1_000;
        let keys = self.keys.as_ref().and_then(|keys| keys.keys());
        let bearer = shown.authorization.and_then(|value| value.strip_prefix("Bearer "));
        if let Some((keys, token)) = keys.as_ref().zip(bearer) {
            let operator = keys.verify_operator(token.trim(), now)?;
            if operator.scope < wants {
                let why = format!(
                    "the token of {} may read only; `--allow change` makes one that may change",
                    operator.name
                );
                return Err((Refusal::Scope, why));
            }
            return Ok(operator.name);
        }
        match self.account(from, shown)? {
            Some(account) if self.accounts.contains(&account) => Ok(account.to_string()),
            Some(account) => Err((Refusal::Scope, format!("account {account} is not among `api.operators`"))),
            None => Err((Refusal::Missing, self.ways())),
        }
    }

    /// The account that a certificate names, where accounts count.
    fn account(&self, from: &Transport, shown: Shown<'_>) -> Result<Option<WorkloadName>, (Refusal, String)> {
        let Some(proof) = self.proof.as_ref().filter(|_| !self.accounts.is_empty()) else { return Ok(None) };
        let unnamed = || (Refusal::Malformed, "the certificate does not name exactly one URI".to_owned());
        if let Some(certificate) = from.certificate.as_deref() {
            let uri = certificate.uri.as_deref().ok_or_else(unnamed)?;
            return spiffe::account(uri, &proof.trust_domains).map(Some);
        }
        match shown.forwarded.filter(|_| proof.sidecar && from.is_local()) {
            Some(header) => {
                let uri = forwarded::last_uri(header).ok_or_else(unnamed)?;
                spiffe::account(&uri, &proof.trust_domains).map(Some)
            }
            None => Ok(None),
        }
    }

    /// What a caller lacks.
    fn ways(&self) -> String {
        let ways = [
            (self.keys.is_some(), "`authorization: Bearer` with a token of `emac token --operator`"),
            (!self.accounts.is_empty(), "the client certificate of an account of `api.operators`"),
        ];
        let ways: Vec<_> = ways.into_iter().filter_map(|(is, way)| is.then_some(way)).collect();
        format!("no identity; expected {}", ways.join(", or "))
    }
}
