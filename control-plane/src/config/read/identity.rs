//! `identity` from its text.

use std::path::Path;

use emac_core::id::WorkloadName;

use super::path;
use crate::config::{Allowed, Identity, Proof, TlsFiles};
use emac_document::types::{Type, by_name, checked, choice, either, flag, list, mapping, text_like};
use emac_document::{Fields, Reader};

pub(super) fn identity<'a>(folder: &Path) -> impl Type<'a, Value = Identity> {
    let none = checked(choice([("none", ())]), |_, ()| Some(Identity::Nobody));
    let proof =
        checked(mapping(|fields: &mut Fields<'_>| proof(fields, folder)), |it, proof: Proof| {
            match (proof.tls.is_some(), proof.sidecar, proof.token_keys.is_some()) {
                (false, false, false) => it.refuse_with(
                    "no way to prove an identity",
                    "say `tls`, `sidecar: true` or `tokenKeys`; or `identity: none`",
                ),
                (true, true, _) => it.refuse("`tls` and `sidecar`: one of them ends TLS, not both"),
                _ => Some(Identity::Proven(proof)),
            }
        });
    either(|it: Reader<'a>| it.node().text().is_some(), none, proof)
}

fn proof(fields: &mut Fields<'_>, folder: &Path) -> Option<Proof> {
    let says = "trust domains whose SPIFFE ids are believed";
    let domains = fields.field("trustDomains", list(trust_domain()), says).optional();
    let says = "PEM files with which gRPC and HTTP end TLS; read again when they change";
    let tls = fields.field("tls", mapping(|fields: &mut Fields<'_>| tls(fields, folder)), says).optional();
    let says = "a sidecar in front ends TLS: its `x-forwarded-client-cert` is believed; only with `listen.grpc` on loopback or a unix socket";
    let sidecar = fields.field("sidecar", flag(), says).or(false);
    let says =
        "file of the keys of tokens, one a line; the first signs, all verify; read again when it changes";
    let token_keys = fields.field("tokenKeys", path(folder), says).optional();
    let says = "workloads that a service account `<namespace>/<account>` may speak for besides the one of its own name";
    let accounts = fields.field("accounts", checked(by_name(list(allowed())), accounts), says).optional();
    Some(Proof {
        trust_domains: domains.unwrap_or_else(|| vec!["cluster.local".to_owned()]),
        tls,
        sidecar,
        token_keys,
        accounts: accounts.unwrap_or_default(),
    })
}

fn tls(fields: &mut Fields<'_>, folder: &Path) -> Option<TlsFiles> {
    let says = "certificate of the control plane, and the chain to its authority";
    let certificate = fields.field("certificate", path(folder), says).required();
    let key = fields.field("key", path(folder), "key of that certificate").required();
    let says = "certificates of the authorities that may have signed those of sidecars";
    let authorities = fields.field("authorities", path(folder), says).required();
    Some(TlsFiles { certificate: certificate?, key: key?, authorities: authorities? })
}

fn accounts(it: Reader<'_>, all: Vec<(String, Vec<Allowed>)>) -> Option<Vec<(WorkloadName, Vec<Allowed>)>> {
    let named = all.into_iter().map(|(account, allowed)| match WorkloadName::new(&account) {
        Ok(account) => Some((account, allowed)),
        Err(error) => it.refuse(format!("`{account}`: {error}; expected `<namespace>/<account>`")),
    });
    named.collect()
}

fn trust_domain<'a>() -> impl Type<'a, Value = String> {
    text_like("trust domain", "^[a-z0-9._-]+$", "cluster.local", |it, text| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        if !text.is_empty() && text.chars().all(plain) {
            return Some(text.to_owned());
        }
        it.refuse("a trust domain is of lower-case letters, digits, `.`, `_` and `-`, without `spiffe://`")
    })
}

fn allowed<'a>() -> impl Type<'a, Value = Allowed> {
    const PATTERN: &str = "^[a-z0-9.-]+/([a-z0-9.-]+|\\*)$";
    text_like("workload", PATTERN, "shop/front", |it, text| {
        let whole =
            text.strip_suffix("/*").filter(|namespace| WorkloadName::new(&format!("{namespace}/x")).is_ok());
        match (whole, WorkloadName::new(text)) {
            (Some(namespace), _) => Some(Allowed::Namespace(namespace.to_owned())),
            (None, Ok(workload)) => Some(Allowed::One(workload)),
            (None, Err(error)) => {
                it.refuse_with(error.to_string(), "expected `<namespace>/<workload>` or `<namespace>/*`")
            }
        }
    })
}
