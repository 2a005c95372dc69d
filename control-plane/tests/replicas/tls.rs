//! NATS behind TLS and with users who must prove who they are: what fits works, and what does not is named.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::authority::{Authority, HOUR};
use crate::nats::{Nats, not_run, program};
use crate::replica::Replica;
use crate::trouble::{deliver, says};

/// A server that shows a certificate, and with `verify` asks for one.
fn server(folder: &Path, verify: bool) -> Nats {
    let files = folder.display();
    let asks = if verify { format!(", ca_file: \"{files}/ca.pem\", verify: true") } else { String::new() };
    Nats::alone(
        folder,
        &format!("tls {{cert_file: \"{files}/server.pem\", key_file: \"{files}/server.key\"{asks}}}\n"),
    )
}

fn replica(folder: &Path, name: &str, nats: &Nats, more: &str) -> Replica {
    let url = format!("tls://localhost:{}", nats.port);
    Replica::start(folder, name, &[url], &format!("cluster: test, {more}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_is_known_by_its_certificate_and_a_replica_by_its_own() {
    if program().is_none() {
        return not_run("nats_is_known_by_its_certificate_and_a_replica_by_its_own");
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    ours.write(folder);
    std::fs::write(folder.join("theirs.pem"), &theirs.pem).unwrap();
    ours.server(HOUR).write(folder, "server");
    ours.client("spiffe://cluster.local/ns/emac-system/sa/emac", HOUR).write(folder, "client");
    let nats = server(folder, false);
    let good = replica(folder, "good", &nats, "tls: {authorities: ../ca.pem}");
    says(&good, 200, "ready").await;
    deliver(&good, 1).await;
    // Somebody else's server would look just like that.
    let wrong = replica(folder, "wrong", &nats, "tls: {authorities: ../theirs.pem}");
    says(&wrong, 503, "not ready: NATS is not connected").await;
    says(&wrong, 503, "UnknownIssuer").await;
    assert!(wrong.log().contains("UnknownIssuer"), "{}", wrong.log());
    drop((good, wrong, nats));

    // And who is not known by the server.
    std::fs::remove_dir_all(folder.join("nats")).unwrap();
    let nats = server(folder, true);
    let named = "tls: {authorities: ../ca.pem, certificate: ../client.pem, key: ../client.key}";
    let known = replica(folder, "known", &nats, named);
    says(&known, 200, "ready").await;
    deliver(&known, 1).await;
    let nobody = replica(folder, "nobody", &nats, "tls: {authorities: ../ca.pem}");
    says(&nobody, 503, "not ready: NATS is not connected: tls://localhost").await;
}

/// A key of NATS: an Ed25519 key, its public half written with a letter for what it is of.
struct Key {
    pair: Ed25519KeyPair,
    seed: [u8; 32],
    kind: u8,
}

const OPERATOR: u8 = 14 << 3;
const ACCOUNT: u8 = 0;
const USER: u8 = 20 << 3;
const SEED: u8 = 18 << 3;

impl Key {
    fn new(kind: u8, filled: u8) -> Self {
        let seed = [filled; 32];
        Self { pair: Ed25519KeyPair::from_seed_unchecked(&seed).unwrap(), seed, kind }
    }

    fn public(&self) -> String {
        written(&[&[self.kind], self.pair.public_key().as_ref()].concat())
    }

    fn seed(&self) -> String {
        let head = [SEED | (self.kind >> 5), (self.kind & 31) << 3];
        written(&[&head, &self.seed[..]].concat())
    }

    /// What this key says of another.
    fn says(&self, of: &Key, nats: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = json!({"typ": "JWT", "alg": "ed25519-nkey"});
        let claims = json!({"jti": "1", "iat": 1_700_000_000, "iss": self.public(), "name": "emac", "sub": of.public(), "nats": nats});
        let text = format!("{}.{}", part(&head), part(&claims));
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(self.pair.sign(text.as_bytes())))
    }
}

/// Bytes and their checksum (CRC-16/XMODEM), in base 32.
fn written(bytes: &[u8]) -> String {
    let crc = bytes.iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            (crc << 1) ^ if crc >> 15 == 1 { 0x1021 } else { 0 }
        })
    });
    let (mut text, mut held, mut bits) = (String::new(), 0_u32, 0);
    for byte in bytes.iter().copied().chain(crc.to_le_bytes()) {
        (held, bits) = ((held << 8) | u32::from(byte), bits + 8);
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[(held >> bits) as usize & 31]));
        }
    }
    if bits > 0 {
        text.push(char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[(held << (5 - bits)) as usize & 31]));
    }
    text
}

/// A file of credentials as `nsc` writes it.
fn credentials(jwt: &str, seed: &str) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_of_a_user_are_taken_and_wrong_ones_named() {
    if program().is_none() {
        return not_run("credentials_of_a_user_are_taken_and_wrong_ones_named");
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (operator, account) = (Key::new(OPERATOR, 1), Key::new(ACCOUNT, 2));
    let (user, stranger) = (Key::new(USER, 3), Key::new(ACCOUNT, 4));
    let limits = json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
        "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1});
    let of_operator = operator.says(&operator, &json!({"type": "operator", "version": 2}));
    let of_account = operator.says(&account, &json!({"type": "account", "version": 2, "limits": limits}));
    // JetStream wants an account of the server's own.
    let system = Key::new(ACCOUNT, 5);
    let of_system = operator.says(&system, &json!({"type": "account", "version": 2, "limits": {"subs": -1, "conn": -1, "payload": -1, "data": -1}}));
    let (named, own) = (account.public(), system.public());
    let nats = Nats::alone(
        folder,
        &format!(
            "operator: \"{of_operator}\"\nsystem_account: {own}\nresolver: MEMORY\n\
             resolver_preload: {{{named}: \"{of_account}\", {own}: \"{of_system}\"}}\n"
        ),
    );
    let of_user =
        json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}});
    let write = |name: &str, by: &Key| {
        std::fs::write(folder.join(name), credentials(&by.says(&user, &of_user), &user.seed())).unwrap();
    };
    write("good.creds", &account);
    write("wrong.creds", &stranger);
    std::fs::write(folder.join("broken.creds"), "no credentials\n").unwrap();
    let start = |name: &str| {
        let more = format!("cluster: test, credentials: ../{name}.creds");
        Replica::start(folder, name, &[nats.url()], &more)
    };
    let good = start("good");
    says(&good, 200, "ready").await;
    deliver(&good, 1).await;
    let wrong = start("wrong");
    says(&wrong, 503, "authorization violation").await;
    assert!(wrong.log().contains("authorization violation"), "{}", wrong.log());
    let broken = start("broken");
    says(&broken, 503, "broken.creds").await;
    // One that comes later is read with the next attempt.
    write("broken.creds", &account);
    says(&broken, 200, "ready").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_named_and_a_new_one_is_read() {
    if program().is_none() {
        return not_run("a_wrong_password_is_named_and_a_new_one_is_read");
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let nats = Nats::alone(folder, "authorization {users: [{user: emac, password: secret}]}\n");
    std::fs::write(folder.join("password"), "wrong\n").unwrap();
    let more = "cluster: test, user: emac, passwordFile: ../password";
    let replica = Replica::start(folder, "emac-0", &[nats.url()], more);
    says(&replica, 503, "authorization violation").await;
    assert!(!replica.log().contains("wrong\n"), "the password is in the log");
    std::fs::write(folder.join("password"), "secret\n").unwrap();
    says(&replica, 200, "ready").await;
    deliver(&replica, 1).await;
}
