//! Who may say what: the real binary, with certificates, forwarded certificates and tokens of peers that are who they say, and of others.

#![allow(missing_docs, unreachable_pub)]

mod authority;
mod peer;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;

use authority::Authority;
use emac_proto::v1::ReportRequest;
use peer::{Peer, Proof};
use support::process::{PATIENCE, Serving, run};
use support::{report, scrape};
use tonic::Code;

const FRONT: &str = "spiffe://cluster.local/ns/shop/sa/front";
const HEAD: &str = "apiVersion: emac.dev/v1alpha1\nkind: ControlPlaneConfig\n";

/// The nth report of `shop/front`.
fn nth(sequence: u64) -> ReportRequest {
    report("front-1", 7, sequence, 10)
}

fn of_another() -> ReportRequest {
    ReportRequest { workload: "shop/pay".to_owned(), ..nth(1) }
}

async fn serve(folder: &Path, identity: &str) -> Serving {
    std::fs::write(folder.join("emac.yaml"), format!("{HEAD}identity: {identity}\n")).unwrap();
    Serving::start_proving(folder, &["--config", "emac.yaml"]).await
}

async fn refused(serving: &Serving, reason: &str) -> f64 {
    scrape(serving.http).await[&refusals(reason)]
}

fn refusals(reason: &str) -> String {
    format!("emac_refused_total{{reason=\"{reason}\"}}")
}

/// A sample of `/metrics`, over HTTPS.
async fn metric(serving: &Serving, authority: &Authority, name: &str) -> f64 {
    let (status, text) = peer::get(serving.http, authority, "/metrics").await;
    assert_eq!(status, 200);
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

const TLS: &str = "{tls: {certificate: own.pem, key: own.key, authorities: ca.pem}, accounts: {shop/gateway: [shop/edge, \"web/*\"]}}";

/// A folder with the control plane's own certificate, and who signs.
fn tls_folder() -> (tempfile::TempDir, Authority) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("first");
    authority.write(folder.path());
    authority.server(authority::HOUR).write(folder.path(), "own");
    (folder, authority)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_lets_a_peer_speak_for_its_own_workload_and_for_no_other() {
    let (folder, authority) = tls_folder();
    let serving = serve(folder.path(), TLS).await;
    let front = Proof::Certificate(authority.client(FRONT, authority::HOUR));
    let connect = async |proof: &Proof| Peer::connect(serving.grpc, Some(&authority), proof).await.unwrap();
    let peer = connect(&front).await;
    assert_eq!(peer.report(nth(1)).await.unwrap().acknowledged_sequence, 1);
    let status = peer.report(of_another()).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::PermissionDenied, "account shop/front reports for shop/pay")
    );
    // Its own report, with calls that another made.
    let mut calls = nth(2);
    calls.hops[0].hop.as_mut().unwrap().source = "shop/pay".to_owned();
    let status = peer.report(calls).await.unwrap_err();
    let says = "account shop/front reports calls of `shop/pay` as shop/front";
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, says));
    assert_eq!(metric(&serving, &authority, &refusals("workload")).await, 2.0);

    peer.ask(&["shop/front"]).await.unwrap();
    for (names, says) in [
        (&["shop/pay"][..], "account shop/front asks for the budgets of shop/pay"),
        (&["shop/front", "shop/pay"], "account shop/front asks for the budgets of shop/pay"),
        (&["*"], "account shop/front asks for the budgets of all workloads"),
        (&[], "account shop/front asks for the budgets of all workloads"),
    ] {
        let status = peer.ask(names).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::PermissionDenied, says), "{names:?}");
    }
    assert_eq!(metric(&serving, &authority, &refusals("resource")).await, 4.0);

    // The rule besides an account's own name.
    let gateway =
        Proof::Certificate(authority.client("spiffe://cluster.local/ns/shop/sa/gateway", authority::HOUR));
    let gateway = connect(&gateway).await;
    for name in ["shop/gateway", "shop/edge", "web/anything"] {
        gateway.ask(&[name]).await.unwrap();
    }
    assert_eq!(gateway.ask(&["shop/front"]).await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_proves_nothing_lets_nobody_in() {
    let (folder, authority) = tls_folder();
    let serving = serve(folder.path(), TLS).await;
    let report = async |proof: Proof| match Peer::connect(serving.grpc, Some(&authority), &proof).await {
        Ok(peer) => peer.report(nth(1)).await.map(|_| ()),
        Err(status) => Err(status),
    };
    // What TLS itself refuses: no certificate, one of a stranger, one that has expired, no TLS at all.
    let stranger = Authority::new("stranger");
    for proof in [
        Proof::None,
        Proof::Certificate(stranger.client(FRONT, authority::HOUR)),
        Proof::Certificate(authority.client(FRONT, -authority::HOUR)),
    ] {
        assert!(report(proof).await.is_err());
    }
    let plain = Peer::connect(serving.grpc, None, &Proof::None).await;
    assert!(plain.is_err() || plain.unwrap().report(nth(1)).await.is_err());
    assert!(metric(&serving, &authority, &refusals("handshake")).await >= 3.0);
    // What it cannot know: whose it is.
    for (uri, says) in [
        (
            "spiffe://other.org/ns/shop/sa/front",
            "trust domain of `spiffe://other.org/ns/shop/sa/front` is not among cluster.local",
        ),
        ("spiffe://cluster.local/front", "is not of the form spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT"),
        ("https://cluster.local/ns/shop/sa/front", "is not of the form"),
    ] {
        let status = report(Proof::Certificate(authority.client(uri, authority::HOUR))).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
        assert!(status.message().contains(says), "{status}");
    }
    assert_eq!(
        (
            metric(&serving, &authority, &refusals("trust_domain")).await,
            metric(&serving, &authority, &refusals("malformed")).await
        ),
        (1.0, 2.0)
    );
    // A forwarded certificate is a sidecar's word, and there is none.
    let forwarded = Proof::Forwarded(format!("URI={FRONT}"));
    assert!(report(forwarded).await.is_err());
    report(Proof::Certificate(authority.client(FRONT, authority::HOUR))).await.unwrap();
}

/// Waits for a condition of the running server.
async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let begun = std::time::Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Certificates and authorities are replaced while it runs, half a replacement changes nothing, and no connection is lost over it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_replaced_while_it_runs() {
    let (folder, first) = tls_folder();
    let serving = serve(folder.path(), TLS).await;
    let old = Proof::Certificate(first.client(FRONT, authority::HOUR));
    let before = Peer::connect(serving.grpc, Some(&first), &old).await.unwrap();
    let (reports, mut answers, _) = before.reporting(nth(1)).await.unwrap();
    let expiry = async |authority: &Authority| {
        metric(&serving, authority, "emac_identity_certificate_expiry_seconds").await
    };
    let ends = expiry(&first).await;

    // Half a replacement: a certificate without its key.
    let second = Authority::new("second");
    let next = second.server(2 * authority::HOUR);
    std::fs::write(folder.path().join("own.pem"), &next.certificate).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    assert_eq!(expiry(&first).await, ends);

    second.write(folder.path());
    next.write(folder.path(), "own");
    let new = Proof::Certificate(second.client(FRONT, authority::HOUR));
    until("the new certificate is not served", async || {
        matches!(Peer::connect(serving.grpc, Some(&second), &new).await, Ok(peer) if peer.report(nth(2)).await.is_ok())
    })
    .await;
    assert!(expiry(&second).await > ends);
    assert!(
        Peer::connect(serving.grpc, Some(&first), &old).await.is_err(),
        "the old authority signs no more"
    );
    // What was open goes on.
    reports.send(nth(2)).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().acknowledged_sequence, 2);
}

/// A peer whose certificate ends is cut off then, however long its streams have been open, and comes again with its next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_ends_with_its_certificate() {
    let (folder, authority) = tls_folder();
    let serving = serve(folder.path(), TLS).await;
    let short = Proof::Certificate(authority.client(FRONT, 3));
    let peer = Peer::connect(serving.grpc, Some(&authority), &short).await.unwrap();
    let (_reports, mut answers, _) = peer.reporting(nth(1)).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, answers.message()).await.expect("the connection stays");
    assert!(!matches!(ended, Ok(Some(_))));
    let again = Proof::Certificate(authority.client(FRONT, authority::HOUR));
    let peer = Peer::connect(serving.grpc, Some(&authority), &again).await.unwrap();
    assert_eq!(peer.report(nth(2)).await.unwrap().acknowledged_sequence, 2);
}

/// A folder to serve behind a sidecar from.
const SIDECAR: &str = "{sidecar: true}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_sidecar_its_own_word_counts_and_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let serving = serve(folder.path(), SIDECAR).await;
    let peer = async |header: &str| {
        Peer::connect(serving.grpc, None, &Proof::Forwarded(header.to_owned())).await.unwrap()
    };
    let own = format!("By=spiffe://cluster.local/ns/emac-system/sa/emac;Hash=ab;Subject=\"\";URI={FRONT}");
    assert_eq!(peer(&own).await.report(nth(1)).await.unwrap().acknowledged_sequence, 1);
    assert_eq!(peer(&own).await.report(of_another()).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(peer(&own).await.ask(&["shop/pay"]).await.unwrap_err().code(), Code::PermissionDenied);
    // What the peer itself sent stands before the sidecar's element.
    let forged = format!("URI=spiffe://cluster.local/ns/shop/sa/pay,{own}");
    assert_eq!(peer(&forged).await.report(of_another()).await.unwrap_err().code(), Code::PermissionDenied);
    for (header, says) in [
        ("URI=spiffe://other.org/ns/shop/sa/front", "trust domain"),
        ("By=spiffe://cluster.local/ns/emac-system/sa/emac;Hash=ab", "does not name exactly one URI"),
        ("URI=\"x", "does not name exactly one URI"),
    ] {
        let status = peer(header).await.report(nth(2)).await.unwrap_err();
        assert!(status.code() == Code::Unauthenticated && status.message().contains(says), "{status}");
    }
    let nobody = Peer::connect(serving.grpc, None, &Proof::None).await.unwrap();
    let status = nobody.report(nth(2)).await.unwrap_err();
    assert!(status.code() == Code::Unauthenticated && status.message().contains("no identity"), "{status}");
    assert_eq!(nobody.ask(&["shop/front"]).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!((refused(&serving, "no_identity").await, refused(&serving, "workload").await), (2.0, 2.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_speaks_for_its_workload_until_it_expires_or_its_key_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let keys = |text: &str| std::fs::write(folder.path().join("token.keys"), text).unwrap();
    let (old, new) = ("the-first-key-of-thirty-two-chars", "the-second-key-of-thirty-two-chars");
    keys(old);
    let serving = serve(folder.path(), "{tokenKeys: token.keys}").await;
    let mint = |workload: &str| {
        let args = ["token", "--keys", "token.keys", "--workload", workload, "--days", "1"];
        let (code, stdout, stderr) = run(folder.path(), &args);
        assert_eq!((code, stderr.as_str()), (0, ""));
        stdout.trim().to_owned()
    };
    let report = async |token: &str, report: ReportRequest| {
        let peer = Peer::connect(serving.grpc, None, &Proof::Token(token.to_owned())).await.unwrap();
        peer.report(report).await.map(|_| ()).map_err(|status| status.code())
    };
    let token = mint("shop/front");
    assert_eq!(report(&token, nth(1)).await, Ok(()));
    assert_eq!(report(&token, of_another()).await, Err(Code::PermissionDenied));
    assert_eq!(report(&token.replace("front", "pay"), of_another()).await, Err(Code::Unauthenticated));
    let expired = emac_control_plane::identity::token::Keys::read(old).unwrap();
    let expired = expired.mint(&emac_core::id::WorkloadName::new("shop/front").unwrap(), 1);
    assert_eq!(report(&expired, nth(2)).await, Err(Code::Unauthenticated));
    assert_eq!((refused(&serving, "signature").await, refused(&serving, "expired").await), (1.0, 1.0));
    // Of two nobody knows which is whose.
    let both = Proof::Tokens(vec![token.clone(), "nonsense".to_owned()]);
    let both = Peer::connect(serving.grpc, None, &both).await.unwrap().report(nth(2)).await.unwrap_err();
    assert!(both.message().starts_with("several `authorization` headers"), "{both}");
    assert_eq!((both.code(), refused(&serving, "malformed").await), (Code::Unauthenticated, 1.0));

    // Both keys while tokens are replaced, then the new one alone.
    keys(&format!("{new}\n{old}\n"));
    let next = mint("shop/front");
    until("the new key is not read", async || report(&next, nth(2)).await == Ok(())).await;
    assert_eq!(report(&token, nth(3)).await, Ok(()));
    keys(new);
    until("the old key is still good", async || report(&token, nth(4)).await == Err(Code::Unauthenticated))
        .await;
    assert_eq!(report(&next, nth(5)).await, Ok(()));
}

/// Streams that are open when a token expires end then, and say why; nobody waits for the next report.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_with_the_token_they_were_opened_by() {
    let folder = tempfile::tempdir().unwrap();
    let key = "the-first-key-of-thirty-two-chars";
    std::fs::write(folder.path().join("token.keys"), key).unwrap();
    let serving = serve(folder.path(), "{tokenKeys: token.keys}").await;
    let keys = emac_control_plane::identity::token::Keys::read(key).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let token = keys.mint(&emac_core::id::WorkloadName::new("shop/front").unwrap(), now + 3);
    let peer = Peer::connect(serving.grpc, None, &Proof::Token(token)).await.unwrap();
    let (_reports, mut answers, _) = peer.reporting(nth(1)).await.unwrap();
    let (_names, mut budgets) = peer.asking(&["shop/front"]).await.unwrap();
    let until_expired = async |ended: &mut dyn AsyncEnd| {
        let status = tokio::time::timeout(PATIENCE, ended.end()).await.expect("the stream stays");
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unauthenticated, "token of shop/front comes with a proof that has expired")
        );
    };
    until_expired(&mut answers).await;
    until_expired(&mut budgets).await;
    assert_eq!(refused(&serving, "expired").await, 2.0);
}

/// A stream of answers, read to its end.
trait AsyncEnd {
    fn end(&mut self) -> std::pin::Pin<Box<dyn Future<Output = tonic::Status> + Send + '_>>;
}

impl<T: Send + 'static> AsyncEnd for tonic::Streaming<T> {
    fn end(&mut self) -> std::pin::Pin<Box<dyn Future<Output = tonic::Status> + Send + '_>> {
        Box::pin(async {
            loop {
                match self.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return tonic::Status::ok("ended well"),
                    Err(status) => return status,
                }
            }
        })
    }
}

/// People's own tool reads a control plane that speaks HTTPS, by the authority's word about a host's name or about an id of the mesh.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_speaks_https() {
    let (folder, authority) = tls_folder();
    let serving = serve(folder.path(), TLS).await;
    let server = format!("https://{}", serving.http);
    let status = |more: &[&str]| run(folder.path(), &[&["status", "--server", &server], more].concat());
    let (code, stdout, stderr) = status(&["--ca", "ca.pem"]);
    assert!(code == 0 && stdout.starts_with("plan generation "), "{stderr}");
    Authority::new("stranger").client(FRONT, authority::HOUR).write(folder.path(), "stranger");
    std::fs::write(folder.path().join("other.pem"), &Authority::new("other").pem).unwrap();
    for (more, says) in [
        (&[][..], "https needs --ca"),
        (&["--ca", "other.pem"], "invalid peer certificate: UnknownIssuer"),
        (&["--ca", "none.pem"], "none.pem: "),
        (&["--ca", "ca.pem", "--server-id", FRONT], "its certificate is for none, not spiffe://"),
        (&["--ca", "ca.pem", "--cert", "stranger.pem", "--key", "stranger.key"], "alert"),
    ] {
        let (code, _, stderr) = status(more);
        assert!(code != 0 && stderr.contains(says), "{more:?}: {stderr}");
    }
    // A certificate of a mesh has an id and no host's name.
    let id = "spiffe://cluster.local/ns/emac-system/sa/emac";
    authority.client(id, authority::HOUR).write(folder.path(), "own");
    authority.client(FRONT, authority::HOUR).write(folder.path(), "front");
    until("the new certificate is not served", async || status(&["--ca", "ca.pem"]).0 != 0).await;
    let (code, _, stderr) = status(&["--ca", "ca.pem"]);
    assert!(code != 0 && stderr.contains("not valid for name"), "{stderr}");
    let (code, _, stderr) =
        status(&["--ca", "ca.pem", "--server-id", id, "--cert", "front.pem", "--key", "front.key"]);
    assert_eq!(code, 0, "{stderr}");
    let (code, _, stderr) = status(&["--ca", "ca.pem", "--server-id", FRONT]);
    assert!(code != 0 && stderr.contains(&format!("its certificate is for {id}")), "{stderr}");
}

/// Ports of traces end TLS as the others do, and ask for a certificate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traces_come_from_who_proves_an_identity() {
    let (folder, authority) = tls_folder();
    let more = "discovery: {enabled: true, otlp: {grpc: \"127.0.0.1:0\", http: \"127.0.0.1:0\"}}";
    std::fs::write(folder.path().join("emac.yaml"), format!("{HEAD}identity: {TLS}\n{more}\n")).unwrap();
    let serving = Serving::start_proving(folder.path(), &["--config", "emac.yaml"]).await;
    let ports = std::fs::read(folder.path().join("ports.json")).unwrap();
    let ports: serde_json::Value = serde_json::from_slice(&ports).unwrap();
    let port = |name: &str| ports[name].as_str().unwrap().parse().unwrap();
    let front = Proof::Certificate(authority.client(FRONT, authority::HOUR));
    // Over HTTP a handshake without a certificate is possible, since people read there; traces are not taken.
    let post =
        async |proof: &Proof| peer::post(port("otlp_http"), &authority, proof, "/v1/traces", b"{}").await;
    assert_eq!(post(&front).await, 200);
    assert_eq!(post(&Proof::None).await, 401);
    let grpc = async |proof: &Proof| match Peer::connect(port("otlp_grpc"), Some(&authority), proof).await {
        Ok(peer) => peer.export().await,
        Err(status) => Err(status),
    };
    grpc(&front).await.unwrap();
    assert!(grpc(&Proof::None).await.is_err());
    let stranger =
        Proof::Certificate(authority.client("spiffe://other.org/ns/shop/sa/front", authority::HOUR));
    assert_eq!(grpc(&stranger).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(metric(&serving, &authority, &refusals("no_identity")).await, 1.0);
}

/// A peer may call its node what it likes, and number its reports: the marks of another workload's sidecar are not its to move.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_silences_anothers_sidecar() {
    let folder = tempfile::tempdir().unwrap();
    let serving = serve(folder.path(), SIDECAR).await;
    let forwarded =
        |account: &str| Proof::Forwarded(format!("URI=spiffe://cluster.local/ns/shop/sa/{account}"));
    let front = Peer::connect(serving.grpc, None, &forwarded("front")).await.unwrap();
    let pay = Peer::connect(serving.grpc, None, &forwarded("pay")).await.unwrap();
    front.report(nth(1)).await.unwrap();
    let mut forged = ReportRequest { hops: Vec::new(), ..nth(12) };
    forged.workload = "shop/pay".to_owned();
    assert_eq!(pay.report(forged).await.unwrap().acknowledged_sequence, 12);
    assert_eq!(front.report(nth(2)).await.unwrap().acknowledged_sequence, 2);
    let samples = scrape(serving.http).await;
    assert_eq!(samples["emac_reports_total{result=\"counted\"}"], 3.0, "{samples:?}");
    assert_eq!(samples["emac_reports_total{result=\"duplicate\"}"], 0.0);
}

/// Without a word about it nothing starts, and the refusal says what to write.
#[test]
fn what_is_unsaid_or_unsafe_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let start = |text: &str, more: &[&str]| {
        std::fs::write(folder.path().join("emac.yaml"), format!("{HEAD}{text}")).unwrap();
        let args = [&["serve", "--config", "emac.yaml", "--http", "127.0.0.1:0"], more].concat();
        let (code, stdout, stderr) = run(folder.path(), &args);
        assert_eq!((code, stdout.as_str()), (65, ""), "{stderr}");
        stderr
    };
    let unsaid = start("", &["--grpc", "127.0.0.1:0"]);
    assert!(
        unsaid.contains("\n  identity: none ") && unsaid.contains("\n  identity: {sidecar: true} "),
        "{unsaid}"
    );
    for address in ["0.0.0.0:0", "[::]:0"] {
        let open = start("identity: {sidecar: true}\n", &["--grpc", address]);
        assert!(open.contains("identity.sidecar: listen.grpc is not on loopback"), "{open}");
    }
    let missing = start("identity: {tls: {certificate: no.pem, key: no.key, authorities: no.pem}}\n", &[]);
    assert!(missing.contains("no.pem: No such file"), "{missing}");
    std::fs::write(folder.path().join("x.pem"), "nonsense").unwrap();
    let nonsense = start("identity: {tls: {certificate: x.pem, key: x.pem, authorities: x.pem}}\n", &[]);
    assert!(nonsense.contains("certificate: no certificate in it"), "{nonsense}");
    std::fs::write(folder.path().join("short"), "secret\n").unwrap();
    let short = start("identity: {tokenKeys: short}\n", &[]);
    assert!(short.contains("line 1: a key has at least 32 characters"), "{short}");
}
