//! Words of peers, where people read them: a log on a terminal, `emac status`, answers.

use std::process::Stdio;
use std::time::Instant;

use emac_document::is_plain;
use emac_proto::WORKLOAD_BUDGETS_TYPE_URL;
use emac_proto::xds::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use emac_proto::xds::{DeltaDiscoveryRequest, Node};
use tokio_stream::wrappers::ReceiverStream;

use crate::support::process::{PATIENCE, Serving, emac, run};
use crate::support::{Sidecar, report};
use crate::{SHORT_LEASE, raw};

/// Clears the screen, begins a line of its own, turns the text around, and does not end.
fn evil() -> String {
    let once = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\nWARN forged\u{9b}1A\u{202e}desrever\u{7f}";
    once.repeat(1_000_000 / once.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_of_peers_are_bounded_and_tell_a_terminal_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("intent.yaml"), SHORT_LEASE).unwrap();
    for format in ["text", "json"] {
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let ports = folder.path().join("ports.json");
        let _ = std::fs::remove_file(&ports);
        let args = [
            "serve",
            "--grpc",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
            "--ports-file",
            "ports.json",
            "--identity",
            "none",
            "--intent",
            "intent.yaml",
            "--log-level",
            "debug,h2=off",
            "--log-format",
            format,
        ];
        let child = emac(folder.path(), &args).stderr(Stdio::from(log)).spawn().unwrap();
        let serving = Serving::of(child, &ports).await;
        speak(&serving).await;
        let server = format!("http://{}", serving.http);
        let (code, stdout, _) = run(folder.path(), &["status", "--server", &server]);
        assert_eq!(code, 0);
        assert!(stdout.contains("refused: ") && stdout.contains("\\u{1b}[2J"), "{stdout}");
        is_harmless("status", &stdout, 8_000);
        let (code, stdout, _) = run(folder.path(), &["status", "--server", &server, "--format", "json"]);
        assert_eq!(code, 0);
        is_harmless("status as JSON", &stdout, 32_000);
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        is_harmless(format, &log, 256_000);
        for line in log.lines() {
            assert!(!line.starts_with("WARN forged"), "{line}");
        }
        // It did speak of it.
        assert!(log.contains("peer refused") && log.contains("refused"), "{log}");
    }
}

/// Says it in every place where a peer says something.
async fn speak(serving: &Serving) {
    let evil = evil();
    let mut wrong = report("node", 7, 1, 1);
    wrong.workload = format!("shop/{}", &evil);
    let mut name = report("node", 7, 1, 1);
    name.hops[0].hop.as_mut().unwrap().journey = evil.clone();
    for report in [wrong, name] {
        let status = Sidecar::connect(serving.grpc).await.unwrap().send(report).await.unwrap_err();
        assert!(status.message().len() < 4_000);
        is_harmless("status", status.message(), 4_000);
    }
    let mut node = report("node", 7, 1, 1);
    node.node = evil.chars().take(100).collect();
    Sidecar::connect(serving.grpc).await.unwrap().send(node).await.unwrap();
    nack(serving, &evil).await;
    let mut connection = raw::http2(serving.grpc, 65_535).await;
    let path = format!("/{}", "%1b".repeat(3_000));
    raw::call(&mut connection, &path, &[("content-type", "application/grpc")], hyper::body::Bytes::new())
        .await;
    raw::call(&mut connection, "/", &[("content-type", "\u{202e}\t[2J")], hyper::body::Bytes::new()).await;
}

/// Refuses the first budgets in these words, under a name of the same kind.
async fn nack(serving: &Serving, words: &str) {
    let grpc = format!("http://{}", serving.grpc);
    let mut client = AggregatedDiscoveryServiceClient::connect(grpc).await.unwrap();
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let ask = DeltaDiscoveryRequest {
        node: Some(Node { id: words.to_owned(), ..Node::default() }),
        type_url: WORKLOAD_BUDGETS_TYPE_URL.into(),
        resource_names_subscribe: vec!["shop/front".into()],
        ..DeltaDiscoveryRequest::default()
    };
    sender.send(ask.clone()).await.unwrap();
    let mut answers =
        client.delta_aggregated_resources(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    let begun = Instant::now();
    let answer = answers.message().await.unwrap().unwrap();
    let error = emac_proto::xds::Status { code: 3, message: words.to_owned() };
    let nack = DeltaDiscoveryRequest {
        response_nonce: answer.nonce,
        error_detail: Some(error),
        resource_names_subscribe: Vec::new(),
        ..ask.clone()
    };
    sender.send(nack).await.unwrap();
    // A kind that nobody serves, by a name of the same sort.
    sender.send(DeltaDiscoveryRequest { type_url: words.to_owned(), ..ask }).await.unwrap();
    // The next renewal comes after the refusal was heard.
    while begun.elapsed() < PATIENCE {
        let proxies = crate::support::api(serving.http, "proxies").await;
        if proxies.to_string().contains("refused\":\"") {
            // Held open for whoever looks at the status.
            std::mem::forget((sender, answers));
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the refusal is not heard");
}

fn is_harmless(what: &str, text: &str, bytes_max: usize) {
    let obeyed: Vec<char> = text.chars().filter(|c| *c != '\n' && !is_plain(*c)).take(9).collect();
    assert!(obeyed.is_empty(), "{what}: {obeyed:?}");
    assert!(text.len() < bytes_max, "{what}: {} bytes", text.len());
}
