//! Evidence through a real socket: what is counted, what is refused, and that /metrics says exactly what was sent.

mod support;

use emac_control_plane::config::Config;
use emac_control_plane::serve::exposition::{Histogram, MetricFamily};
use emac_control_plane::serve::{Intents, Server};
use emac_core::outcome::Outcome;
use emac_proto::v1::ReportRequest;
use prost::Message;
use support::{Sidecar, Truth, api, config, get, report, scrape};
use tonic::Code;

async fn start() -> Server {
    Server::start(&config(), Intents::default()).await.unwrap()
}

fn hop(series: &str, label: &str) -> String {
    let hop = r#"destination="cart",journey="checkout",operation="GET /cart""#;
    format!(r#"{series}{{{hop},{label}source="shop/front"}}"#)
}

#[tokio::test]
async fn what_was_sent_is_what_is_shown() {
    let server = start().await;
    let mut sidecar = Sidecar::connect(server.grpc()).await.unwrap();
    let mut truth = Truth::default();
    for sequence in 1..=20 {
        let report = report("node", 7, sequence, 13);
        truth.add(&report);
        let answer = sidecar.send(report).await.unwrap();
        assert_eq!((answer.epoch, answer.acknowledged_sequence), (7, sequence));
    }
    let samples = scrape(server.http()).await;
    // As sidecars have it: an answer by a fallback is an answer.
    for result in ["success", "error", "timeout", "shed", "cancelled", "stream"] {
        let ended = Outcome::ALL.into_iter().filter(|outcome| match outcome {
            Outcome::Fallback | Outcome::Alternate => result == "success",
            other => other.label() == result,
        });
        let count = ended.map(|outcome| truth.outcomes.get(outcome)).sum::<u64>() as f64;
        assert_eq!(
            samples[&format!(r#"journey_requests_total{{journey="checkout",result="{result}"}}"#)],
            count
        );
    }
    assert_eq!(samples[&hop("emac_hop_retries_total", "")], truth.retries as f64);
    assert_eq!(samples[r#"journey_latency_seconds_count{journey="checkout"}"#], 260.0);
    assert_eq!(samples[r#"journey_latency_seconds_bucket{journey="checkout",le="+Inf"}"#], 260.0);
    assert_eq!(samples[r#"emac_reports_total{result="counted"}"#], 20.0);
    assert_eq!(samples["emac_sidecars_reporting"], 1.0);
    let journeys = api(server.http(), "journeys").await;
    assert_eq!(journeys["journeys"][0]["total"]["requests"], 260);
    assert_eq!(journeys["journeys"][0]["recent"]["requests"], 260);
    let hops = api(server.http(), "hops").await;
    assert_eq!(hops["hops"][0]["total"]["retries"], truth.retries);
    assert_eq!(api(server.http(), "proxies").await["proxies"][0]["sequence"], 20);
    server.shutdown().await;
}

#[tokio::test]
async fn native_and_classic_histograms_agree() {
    let server = start().await;
    let mut sidecar = Sidecar::connect(server.grpc()).await.unwrap();
    let mut truth = Truth::default();
    let report = report("node", 7, 1, 1_000);
    truth.add(&report);
    sidecar.send(report).await.unwrap();
    let accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,*/*;q=0.1";
    let (status, kind, body) = get(server.http(), "/metrics", accept).await;
    assert_eq!(status, 200);
    assert!(kind.starts_with("application/vnd.google.protobuf"), "{kind}");
    let histogram = latency_of(&body);
    let mut count = 0;
    let native: Vec<u64> = histogram
        .positive_delta
        .iter()
        .map(|delta| {
            count += delta;
            count as u64
        })
        .collect();
    assert_eq!(native, truth.latency.values().copied().collect::<Vec<_>>());
    assert_eq!((histogram.schema(), histogram.sample_count()), (5, 1_000));
    let classic = histogram.bucket.last().unwrap();
    assert_eq!((classic.cumulative_count(), classic.upper_bound()), (1_000, 134.217728));
    server.shutdown().await;
}

fn latency_of(mut body: &[u8]) -> Histogram {
    while !body.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut body).unwrap();
        if family.name() == "journey_latency_seconds" {
            return family.metric[0].histogram.as_deref().unwrap().clone();
        }
    }
    panic!("no journey_latency_seconds");
}

#[tokio::test]
async fn openmetrics_is_spoken_when_asked_for() {
    let server = start().await;
    let (_, kind, body) = get(server.http(), "/metrics", "application/openmetrics-text; version=1.0.0").await;
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(body.ends_with(b"# EOF\n"));
    server.shutdown().await;
}

#[tokio::test]
async fn duplicates_are_acknowledged_and_not_counted() {
    let server = start().await;
    let mut truth = Truth::default();
    let (first, second) = (report("node", 7, 1, 5), report("node", 7, 2, 5));
    truth.add(&first);
    truth.add(&second);
    let mut sidecar = Sidecar::connect(server.grpc()).await.unwrap();
    for report in [&first, &first, &second] {
        sidecar.send(report.clone()).await.unwrap();
    }
    // A new stream begins where it likes: an old report is answered with what is counted.
    let mut again = Sidecar::connect(server.grpc()).await.unwrap();
    assert_eq!(again.send(first).await.unwrap().acknowledged_sequence, 2);
    let samples = scrape(server.http()).await;
    assert_eq!(samples[r#"emac_reports_total{result="duplicate"}"#], 2.0);
    assert_eq!(
        samples[&hop("emac_hop_requests_total", r#"outcome="success","#)],
        truth.outcomes.get(Outcome::Success) as f64
    );
    assert_eq!(samples[r#"journey_latency_seconds_count{journey="checkout"}"#], 10.0);
    server.shutdown().await;
}

#[tokio::test]
async fn two_epochs_of_a_node_live_side_by_side() {
    let server = start().await;
    let mut old = Sidecar::connect(server.grpc()).await.unwrap();
    let mut new = Sidecar::connect(server.grpc()).await.unwrap();
    for sequence in 1..=3 {
        old.send(report("node", 7, sequence, 1)).await.unwrap();
        new.send(report("node", 8, sequence, 1)).await.unwrap();
    }
    assert_eq!(scrape(server.http()).await[r#"journey_latency_seconds_count{journey="checkout"}"#], 6.0);
    server.shutdown().await;
}

#[tokio::test]
async fn a_gap_between_streams_is_counted_and_accepted() {
    let server = start().await;
    Sidecar::connect(server.grpc()).await.unwrap().send(report("node", 7, 1, 1)).await.unwrap();
    Sidecar::connect(server.grpc()).await.unwrap().send(report("node", 7, 5, 1)).await.unwrap();
    assert_eq!(scrape(server.http()).await["emac_reports_missing_total"], 3.0);
    server.shutdown().await;
}

/// The message and code of the refusal of the last of these reports on one stream.
async fn refusal(reports: Vec<ReportRequest>) -> (Code, String, f64) {
    let server = start().await;
    let mut sidecar = Sidecar::connect(server.grpc()).await.unwrap();
    let mut last = None;
    for report in reports {
        assert!(last.is_none(), "refused too early: {last:?}");
        last = sidecar.send(report).await.err();
    }
    let status = last.expect("the last report is refused");
    let invalid = scrape(server.http()).await[r#"emac_reports_total{result="invalid"}"#];
    server.shutdown().await;
    (status.code(), status.message().to_string(), invalid)
}

#[tokio::test]
async fn what_breaks_the_specification_is_refused_by_field() {
    let mut garbage = report("node", 7, 1, 1);
    garbage.hops[0].latency = vec![0xff; 40];
    let mut twice = report("node", 7, 1, 1);
    twice.journeys.push(twice.journeys[0].clone());
    let cases = [
        (vec![ReportRequest::default()], "node: "),
        (vec![ReportRequest { workload: "cart".into(), ..report("node", 7, 1, 1) }], "workload: "),
        (vec![report("node", 0, 1, 1)], "epoch: "),
        (vec![report("node", 7, 0, 1)], "sequence: "),
        (vec![garbage], "hops[0].latency: "),
        (vec![twice], "journeys[1]: "),
        (vec![report("node", 7, 2, 1), report("node", 7, 1, 1)], "sequence: 1 after 2; expected 3"),
        (vec![report("node", 7, 2, 1), report("node", 7, 4, 1)], "sequence: 4 after 2; expected 3"),
        (vec![report("node", 7, 2, 1), report("other", 7, 3, 1)], "node: a stream belongs to one node"),
    ];
    for (reports, field) in cases {
        let (code, message, invalid) = refusal(reports).await;
        assert_eq!((code, invalid), (Code::InvalidArgument, 1.0), "{message}");
        assert!(message.starts_with(field), "{message} should begin with {field}");
    }
}

#[tokio::test]
async fn shutdown_ends_open_streams_and_refuses_readiness_no_more_than_needed() {
    let server = start().await;
    let (status, _, _) = get(server.http(), "/readyz", "*/*").await;
    assert_eq!(status, 200);
    let mut sidecar = Sidecar::connect(server.grpc()).await.unwrap();
    sidecar.send(report("node", 7, 1, 1)).await.unwrap();
    server.shutdown().await;
    assert!(sidecar.send(report("node", 7, 2, 1)).await.is_err());
}

#[tokio::test]
async fn a_state_directory_survives_a_restart_and_memory_does_not() {
    let folder = tempfile::tempdir().unwrap();
    for (state, after) in [(Some(folder.path().join("state")), 5.0), (None, 0.0)] {
        let config = Config { state, ..config() };
        let server = Server::start(&config, Intents::default()).await.unwrap();
        Sidecar::connect(server.grpc()).await.unwrap().send(report("node", 7, 1, 5)).await.unwrap();
        server.shutdown().await;
        let server = Server::start(&config, Intents::default()).await.unwrap();
        let samples = scrape(server.http()).await;
        let count =
            samples.get(r#"journey_latency_seconds_count{journey="checkout"}"#).copied().unwrap_or(0.0);
        assert_eq!(count, after);
        server.shutdown().await;
    }
}

/// What a port scanner, a wrong protocol or a broken client sends.
#[tokio::test]
async fn garbage_on_the_wire_ends_its_connection_and_nothing_else() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = start().await;
    let mut sidecar = Sidecar::connect(server.grpc()).await.unwrap();
    let noise: Vec<u8> = (0..4_096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &noise].concat();
    for bytes in [noise.as_slice(), b"GET / HTTP/1.1\r\n\r\n", &preface, b""] {
        for address in [server.grpc().to_string(), server.http().to_string()] {
            let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
            // The server may close before all is written or read; that is an answer too.
            let _ = connection.write_all(bytes).await;
            let _ = connection.shutdown().await;
            let _ = connection.read_to_end(&mut Vec::new()).await;
        }
    }
    assert_eq!(sidecar.send(report("node", 7, 1, 1)).await.unwrap().acknowledged_sequence, 1);
    assert_eq!(get(server.http(), "/healthz", "*/*").await.0, 200);
    server.shutdown().await;
}

/// Numbers that no sidecar can have are refused with what was wrong, and neither stay in a total nor silence who comes after.
#[tokio::test]
async fn what_cannot_be_is_refused_and_what_follows_counts() {
    let server = start().await;
    let send = async |report| Sidecar::connect(server.grpc()).await.unwrap().send(report).await;
    send(report("node", 7, 1, 5)).await.unwrap();
    for forged in [40, u64::MAX] {
        let status = send(ReportRequest { sequence: forged, ..report("node", 7, 2, 5) }).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
        assert!(status.message().starts_with("sequence: further ahead"), "{status}");
    }
    let mut full = report("node", 7, 2, 5);
    full.hops[0].outcomes.as_mut().unwrap().success = u64::MAX;
    let status = send(full).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(
        status.message().starts_with("hop to cart: a count of 18446744073709551615 is not plausible"),
        "{status}"
    );
    send(report("node", 7, 2, 5)).await.unwrap();
    let samples = scrape(server.http()).await;
    let total: f64 =
        samples.iter().filter(|(key, _)| key.starts_with("emac_hop_requests_total")).map(|(_, n)| n).sum();
    assert_eq!(total, 10.0);
    assert_eq!(samples["emac_reports_total{result=\"implausible_sequence\"}"], 2.0);
    assert!(!api(server.http(), "proxies").await.to_string().contains("epoch"));
    server.shutdown().await;
}
