//! `engine` from its text.

use std::path::Path;

use super::path;
use crate::config::{Engine, Nats, NatsTls};
use emac_document::types::{Shown, Type, checked, choice, either, integer, list, mapping, text_like};
use emac_document::{Fields, Reader};

pub(super) fn engine<'a>(folder: &Path) -> impl Type<'a, Value = Engine> {
    let embedded = checked(choice([("embedded", ())]), |_, ()| Some(Engine::Embedded));
    let nats = mapping(|fields: &mut Fields<'_>| {
        let says = "NATS JetStream, shared by every replica of the control plane";
        let nats = mapping(|fields: &mut Fields<'_>| nats(fields, folder));
        fields.field("nats", nats, says).required().map(|nats| Engine::Nats(Box::new(nats)))
    });
    either(|it: Reader<'a>| it.node().text().is_some(), embedded, nats)
}

fn nats(fields: &mut Fields<'_>, folder: &Path) -> Option<Nats> {
    let says = "servers of one NATS, as `nats://host:4222`, or `tls://`";
    let url = fields.field("url", list(url()), says).required();
    let says = "name of the control plane that these replicas are; streams of another name are refused";
    let cluster = fields.field("cluster", token("prod-eu"), says).required();
    let says = "prefix of every subject, stream and bucket";
    let prefix = fields.field("prefix", token("prod"), says).or(Nats::PREFIX.to_owned());
    let says = "copies of each message that NATS keeps: 1, or 3 in a NATS of three servers";
    let replicas = fields.field("replicas", integer("copies", 1..=5), says).or(1);
    let says = "name of this replica, for people; default: that of the host";
    let replica = fields.field("replica", token("emac-0"), says).optional();
    let says = "name of a NATS user with a password";
    let user = fields.field("user", token("emac"), says).optional();
    let says = "file with that password";
    let password = fields.field("passwordFile", path(folder), says).optional();
    let user = match (user, password) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        _ => return fields.reader().refuse("`user` and `passwordFile`: one of them without the other"),
    };
    let says = "file with the JWT and the key of a NATS user (`nsc generate creds`)";
    let credentials = fields.field("credentials", path(folder), says).optional();
    let says = "PEM files with which NATS and this replica know each other";
    let tls = fields.field("tls", mapping(|fields: &mut Fields<'_>| tls(fields, folder)), says).optional();
    let says = "most bytes of each of the two streams; beyond it sidecars are told to retry";
    let stream_bytes =
        fields.field("streamBytes", integer("bytes", 1 << 20..=1 << 50), says).or(Nats::STREAM_BYTES);
    Some(Nats {
        url: url?,
        cluster: cluster?,
        prefix,
        replicas,
        replica,
        user,
        credentials,
        tls,
        stream_bytes,
    })
}

fn tls(fields: &mut Fields<'_>, folder: &Path) -> Option<NatsTls> {
    let says = "certificates of the authorities that may have signed that of NATS";
    let authorities = fields.field("authorities", path(folder), says).required();
    let says = "certificate by which NATS knows this replica";
    let certificate = fields.field("certificate", path(folder), says).optional();
    let key = fields.field("key", path(folder), "key of that certificate").optional();
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return fields.reader().refuse("`certificate` and `key`: one of them without the other"),
    };
    Some(NatsTls { authorities: authorities?, client })
}

fn url<'a>() -> impl Shown<'a, Value = String> {
    text_like("NATS URL", "^(nats|tls)://.+$", "nats://nats:4222", |it, text| {
        match text.parse::<async_nats::ServerAddr>() {
            Ok(address) if address.has_user_pass() => it.refuse_with(
                "a password does not belong here",
                "say `user` and `passwordFile`, or `credentials`",
            ),
            Ok(address) if matches!(address.scheme(), "nats" | "tls") && text.contains("://") => {
                Some(text.to_owned())
            }
            _ => it.refuse_with("not a URL of a NATS server", "as `nats://nats.nats:4222`, or `tls://`"),
        }
    })
}

/// Part of a subject and of the name of a stream.
fn token<'a>(example: &'static str) -> impl Shown<'a, Value = String> {
    text_like("name", "^[A-Za-z0-9_-]{1,64}$", example, |it, text| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if (1..=64).contains(&text.len()) && text.chars().all(plain) {
            return Some(text.to_owned());
        }
        it.refuse("expected up to 64 letters, digits, `_` and `-`")
    })
}
