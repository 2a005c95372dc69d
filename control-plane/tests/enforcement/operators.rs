//! Who may ask and change over HTTP, and by which name: attacks, each with the answer that ends it.

use std::time::Duration;

use emac_control_plane::identity::token::{Keys, Operator, Scope};
use emac_core::id::WorkloadName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::authority::{Authority, HOUR};
use crate::raw::{Raw, get, order, send};
use crate::support::process::{Serving, run};
use crate::support::{Sidecar, api, report, scrape};
use crate::{folder, serve, until};

const KEY: &str = "the-only-key-of-thirty-two-letters";
const STOP: &str = r#"{"action":"stop","why":"INC-42","who":"mallory"}"#;

async fn refused(serving: &Serving, reason: &str) -> f64 {
    scrape(serving.http).await[&format!("emac_api_refused_total{{reason=\"{reason}\"}}")]
}

/// How many orders changed something.
async fn revision(serving: &Serving) -> u64 {
    api(serving.http, "enforcement").await["revision"].as_u64().unwrap()
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

fn token(name: &str, scope: Scope, until: u64) -> String {
    let operator = Operator::new(name, scope, until).unwrap();
    Keys::read(KEY).unwrap().mint_operator(&operator)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_sites_page_changes_nothing_and_a_foreign_name_leads_nowhere() {
    let folder = folder("identity: none\napi: {hosts: [emac.ops]}\n");
    let serving = serve(folder.path()).await;
    let http = serving.http;
    // On this machine a browser is as near as its user: what its pages send must not count.
    for (headers, status, says) in [
        (&["Origin: https://evil.example"][..], 403, "another origin"),
        (&["Origin: null"], 403, "another origin"),
        (&["Origin: http://localhost:3000"], 403, "another origin"),
        (&["Sec-Fetch-Site: cross-site"], 403, "another site"),
        (&["Sec-Fetch-Site: same-site"], 403, "another site"),
        (&["Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"], 403, "another site"),
        (&["Content-Type: text/plain"], 415, "application/json"),
        (&["Content-Type: application/json", "Content-Type: text/plain"], 415, "application/json"),
        (&["Content-Type: application/x-www-form-urlencoded"], 415, "application/json"),
        (&["Host: evil.example"], 421, "`evil.example` is no name of this control plane"),
        (&["Host: evil.example:8080", "Origin: http://evil.example:8080"], 421, "no name"),
        (&["X-Forwarded-For: 10.0.0.7"], 403, "own machine only"),
    ] {
        let answer = order(http, STOP, headers).await;
        assert!(
            answer.status == status && answer.body.contains(says),
            "{headers:?}: {} {}",
            answer.status,
            answer.body
        );
    }
    let preflight = send(
        http,
        &format!("OPTIONS /api/v1/enforcement HTTP/1.1\r\nHost: {http}\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\nConnection: close\r\n\r\n"),
    )
    .await;
    assert!(
        preflight.status == 405 && !preflight.head.to_lowercase().contains("access-control-allow"),
        "{}",
        preflight.head
    );
    for path in ["/api/v1/plan", "/metrics", "/api/v1/enforcement"] {
        let rebound = get(http, path, &["Host: evil.example:8080"]).await;
        assert!(rebound.status == 421 && rebound.body.contains("api.hosts"), "{path}: {}", rebound.body);
    }
    assert_eq!(get(http, "/healthz", &["Host: evil.example"]).await.status, 200);
    assert_eq!(get(http, "/api/v1/plan", &[]).await.status, 400);
    assert_eq!(get(http, "/api/v1/plan", &["Host: emac.ops", "Host: evil.example"]).await.status, 400);
    assert_eq!(revision(&serving).await, 0);
    // What is no browser, and our own names.
    for host in [format!("{http}"), "localhost:1".to_owned(), "EMAC.ops".to_owned(), "[::1]:8080".to_owned()]
    {
        let answer = get(http, "/api/v1/plan", &[&format!("Host: {host}")]).await;
        assert_eq!(answer.status, 200, "{host}");
    }
    let own = format!("Origin: http://{http}");
    assert_eq!(order(http, STOP, &[&own, "Sec-Fetch-Site: same-origin"]).await.status, 200);
    assert_eq!(revision(&serving).await, 1);
    // Six by page, three by form, five by name.
    assert_eq!((refused(&serving, "origin").await, refused(&serving, "content_type").await), (6.0, 3.0));
    assert!(refused(&serving, "host").await >= 6.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_needs_a_token_of_an_operator_that_may_and_is_its_own() {
    let folder = folder("identity: {tokenKeys: keys}\n");
    std::fs::write(folder.path().join("keys"), KEY).unwrap();
    let serving = serve(folder.path()).await;
    let far = 4_000_000_000;
    let workload = Keys::read(KEY).unwrap().mint(&WorkloadName::new("shop/front").unwrap(), far);
    let jane = token("jane", Scope::Change, far);
    let other = Keys::read("another-key-of-thirty-two-letters!").unwrap();
    let forged = other.mint_operator(&Operator::new("jane", Scope::Change, far).unwrap());
    for (token, status, says) in [
        (None, 401, "no identity; expected `authorization: Bearer`"),
        (Some(token("jane", Scope::Change, 1)), 401, "the token of jane has expired"),
        (Some(token("eve", Scope::Read, far)), 403, "the token of eve may read only"),
        (Some(workload), 403, "the token is a workload's"),
        (Some(forged), 401, "not signed by a key"),
        (Some(jane.replace("jane", "root")), 401, "not signed by a key"),
        (Some("nonsense".to_owned()), 401, "cannot be read"),
    ] {
        let headers: Vec<String> = token.iter().map(|token| bearer(token)).collect();
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let answer = order(serving.http, STOP, &headers).await;
        assert!(answer.status == status && answer.body.contains(says), "{} {}", answer.status, answer.body);
        assert_eq!(answer.head.to_lowercase().contains("www-authenticate: bearer"), status == 401);
    }
    assert_eq!(revision(&serving).await, 0);
    for (reason, count) in
        [("no_identity", 1.0), ("expired", 1.0), ("scope", 2.0), ("signature", 2.0), ("malformed", 1.0)]
    {
        assert_eq!(refused(&serving, reason).await, count, "{reason}");
    }
    // Of two tokens nobody knows which somebody before us looked at.
    let both = order(serving.http, STOP, &[&bearer(&jane), &bearer("nonsense")]).await;
    assert!(both.status == 401 && both.body.contains("several `authorization` headers"), "{}", both.body);
    assert_eq!(revision(&serving).await, 0);
    // Who changed it is who the token says, whatever the body says.
    let answer = order(serving.http, STOP, &[&bearer(&jane)]).await;
    let by = &answer.json()["stopped"]["all"];
    assert_eq!((answer.status, &by["by"], &by["proven"]), (200, &"jane".into(), &true.into()));
    // A request that somebody overheard does nothing a second time, once another order came.
    let resume = r#"{"action":"resume","why":"over","revision":1}"#;
    assert_eq!(order(serving.http, resume, &[&bearer(&jane)]).await.status, 200);
    assert_eq!(order(serving.http, STOP, &[&bearer(&jane)]).await.status, 200);
    let replayed = order(serving.http, resume, &[&bearer(&jane)]).await;
    assert!(replayed.status == 409 && replayed.body.contains("the revision is 3"), "{}", replayed.body);
    assert_eq!(api(serving.http, "enforcement").await["stopped"]["all"]["by"], "jane");

    // The other way round: an operator is no workload.
    let channel = tonic::transport::Channel::from_shared(format!("http://{}", serving.grpc)).unwrap();
    let mut client =
        emac_proto::v1::evidence_service_client::EvidenceServiceClient::new(channel.connect().await.unwrap());
    let mut request = tonic::Request::new(tokio_stream::iter([report("front-1", 7, 1, 10)]));
    request.metadata_mut().insert("authorization", format!("Bearer {jane}").parse().unwrap());
    let status = client.report(request).await.unwrap_err();
    assert!(
        status.code() == tonic::Code::PermissionDenied && status.message().contains("an operator's"),
        "{status}"
    );
    assert_eq!(scrape(serving.http).await["emac_refused_total{reason=\"scope\"}"], 1.0);
    assert!(Sidecar::connect(serving.grpc).await.is_err(), "without a token nobody reports either");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_may_have_to_prove_who_they_are_too() {
    let folder = folder("identity: none\napi: {read: proven, metrics: anyone, tokenKeys: op.keys}\n");
    let path = folder.path();
    std::fs::write(path.join("op.keys"), KEY).unwrap();
    let serving = serve(path).await;
    let host = format!("Host: {}", serving.http);
    assert_eq!(get(serving.http, "/api/v1/plan", &[&host]).await.status, 401);
    assert_eq!(get(serving.http, "/metrics", &[&host]).await.status, 200);
    assert_eq!(get(serving.http, "/healthz", &[&host]).await.status, 200);
    let eve = run(path, &["token", "--keys", "op.keys", "--operator", "eve", "--allow", "read"]).1;
    let answer = get(serving.http, "/api/v1/plan", &[&host, &bearer(eve.trim())]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    // The command line sends what its file holds.
    std::fs::write(path.join("eve.token"), &eve).unwrap();
    let server = format!("http://{}", serving.http);
    let status = |more: &[&str]| {
        let args = [&["status", "--server", &server], more].concat();
        let (code, _, stderr) = run(path, &args);
        (code, stderr)
    };
    let (code, stderr) = status(&[]);
    assert!(code == 1 && stderr.contains("401 Unauthorized: no identity"), "{stderr}");
    assert_eq!(status(&["--token-file", "eve.token"]), (0, String::new()));
    let stop = ["stop-enforcing", "--why", "x", "--server", &server, "--token-file", "eve.token"];
    let (code, _, stderr) = run(path, &stop);
    assert!(code == 1 && stderr.contains("403 Forbidden: the token of eve may read only"), "{stderr}");
    let (code, _, stderr) =
        run(path, &["token", "--keys", "op.keys", "--operator", "a b", "--allow", "read"]);
    assert!(code == 65 && stderr.contains("[A-Za-z0-9._@+-]"), "{stderr}");
}

/// Over TLS of its own, by the certificate of an account that is listed, through the command line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_listed_may_change_by_its_certificate() {
    let folder = folder(
        "identity: {tls: {certificate: own.pem, key: own.key, authorities: ca.pem}}\napi: {operators: [ops/jane]}\n",
    );
    let path = folder.path();
    let authority = Authority::new("first");
    authority.write(path);
    authority.server(HOUR).write(path, "own");
    authority.client("spiffe://cluster.local/ns/ops/sa/jane", HOUR).write(path, "jane");
    authority.client("spiffe://cluster.local/ns/shop/sa/front", HOUR).write(path, "front");
    authority.client("spiffe://other.org/ns/ops/sa/jane", HOUR).write(path, "stranger");
    let serving = serve(path).await;
    let server = format!("https://localhost:{}", serving.http.port());
    let stop = |more: &[&str]| {
        let args = [&["stop-enforcing", "--why", "x", "--server", &server, "--ca", "ca.pem"], more].concat();
        run(path, &args)
    };
    let with = |name: &str| {
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        stop(&["--cert", &certificate, "--key", &key])
    };
    let (code, _, stderr) = stop(&[]);
    assert!(
        code == 1 && stderr.contains("401 Unauthorized: no identity; expected the client certificate"),
        "{stderr}"
    );
    let (code, _, stderr) = with("front");
    assert!(
        code == 1 && stderr.contains("403 Forbidden: account shop/front is not among `api.operators`"),
        "{stderr}"
    );
    let (code, _, stderr) = with("stranger");
    assert!(code == 1 && stderr.contains("401 Unauthorized: trust domain"), "{stderr}");
    let (code, stdout, stderr) = with("jane");
    assert!(code == 0 && stdout.contains("STOPPED for all journeys by ops/jane,"), "{stdout}{stderr}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_long_too_slow_or_nonsense_is_refused_and_holds_up_nobody() {
    let folder = folder("identity: none\n");
    let serving = serve(folder.path()).await;
    let http = serving.http;
    let head = format!(
        "POST /api/v1/enforcement HTTP/1.1\r\nHost: {http}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    );
    let mut slow = TcpStream::connect(http).await.unwrap();
    slow.write_all(format!("{head}Content-Length: 60\r\n\r\n{{").as_bytes()).await.unwrap();

    let long = order(http, &format!("{{\"why\":\"{}\"}}", "x".repeat(100_000)), &[]).await;
    assert!(long.status == 413 && long.body.contains("65536 bytes"), "{} {}", long.status, long.body);
    let chunk = "8000\r\n".to_owned() + &"x".repeat(0x8000) + "\r\n";
    let chunked = send(http, &format!("{head}Transfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(3))).await;
    assert_eq!(chunked.status, 413);
    for (body, status, says) in [
        ("", 400, "the body"),
        ("{}", 400, "missing field `action`"),
        (r#"{"action":"destroy","why":"x"}"#, 400, "unknown variant"),
        (r#"{"action":"stop"}"#, 400, "missing field `why`"),
        (r#"{"action":"stop","why":"  "}"#, 400, "why: 1 to 500 characters"),
        (r#"{"action":"stop","why":"\u001b[2J"}"#, 400, "none of which controls a terminal"),
        (r#"{"action":"stop","why":"x","who":"a\nb"}"#, 400, "who: 1 to 500"),
        (r#"{"action":"stop","why":"x","journeys":[]}"#, 400, "none is named"),
        (r#"{"action":"stop","why":"x","jurneys":["checkout"]}"#, 400, "unknown field"),
        (
            r#"{"action":"stop","why":"x","journeys":["\u001b[2J"]}"#,
            400,
            "no journey can be called `\\u{1b}[2J`",
        ),
    ] {
        let answer: Raw = order(http, body, &[]).await;
        assert!(
            answer.status == status && answer.body.contains(says),
            "{body}: {} {}",
            answer.status,
            answer.body
        );
    }
    assert_eq!(revision(&serving).await, 0);
    // It had five seconds.
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(30), slow.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("within 5 s"), "{answer}");
    until("not counted", async || {
        (refused(&serving, "too_large").await, refused(&serving, "too_slow").await) == (2.0, 1.0)
    })
    .await;
}

/// What could not work, or would let everybody change everything, does not start.
#[test]
fn what_would_protect_nothing_does_not_start() {
    for (more, says) in [
        ("identity: none\napi: {read: proven}\n", "`proven` without a way to prove anything"),
        ("identity: none\napi: {change: proven}\n", "`proven` without a way to prove anything"),
        (
            "identity: {sidecar: true}\napi: {change: loopback}\n",
            "whoever the sidecar lets through comes from loopback",
        ),
        ("identity: none\napi: {operators: [ops/jane]}\n", "accounts are proven by certificates"),
        ("identity: none\napi: {tokenKeys: missing}\n", "missing: No such file"),
        ("identity: none\napi: {hosts: [\"http://emac\"]}\n", "without scheme and port"),
    ] {
        let folder = folder(more);
        let args = ["serve", "--config", "emac.yaml", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        let (code, stdout, stderr) = run(folder.path(), &args);
        assert!(code == 65 && stdout.is_empty() && stderr.contains(says), "{more}: {code} {stderr}");
    }
}
