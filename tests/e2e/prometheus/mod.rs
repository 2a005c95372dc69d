use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use emac_tests::supervise::{Process, Spec, reserve};
use emac_tests::testbed::client::get;
use emac_tests::testbed::product::{Serve, filter};
use emac_tests::testbed::{World, wait_until};
use serde_json::Value;

use crate::common::{PATIENCE, runs, start, tally};

const REQUESTS: u64 = 200;

/// A running Prometheus.
struct Prometheus {
    address: SocketAddr,
    _process: Process,
}

impl Prometheus {
    fn start(binary: &Path, world: &World, native: bool) -> Self {
        let port = reserve().unwrap();
        let dir = world.dir().join(format!("prometheus-{native}"));
        std::fs::create_dir_all(&dir).unwrap();
        let config = dir.join("prometheus.yml");
        std::fs::write(&config, configuration(world)).unwrap();
        let address = port.address();
        port.release();
        let mut args = vec![
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", dir.join("data").display()),
            format!("--web.listen-address={address}"),
        ];
        args.extend(native.then(|| "--enable-feature=native-histograms".to_owned()));
        let process = Spec::new(format!("prometheus-{native}"), binary, &dir).args(args).start().unwrap();
        Self { address, _process: process }
    }

    /// The one value of an instant query; `None` while there is none.
    async fn value(&self, query: &str) -> Option<f64> {
        let (_, body) = get(self.address, &format!("/api/v1/query?query={}", encoded(query))).await.ok()?;
        let answer: Value = serde_json::from_str(&body).ok()?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    async fn becomes(&self, query: &str, expected: f64) {
        let as_expected =
            wait_until(PATIENCE * 2, || async { self.value(query).await == Some(expected) }).await;
        assert!(as_expected, "{query} is {:?}, not {expected}", self.value(query).await);
    }
}

fn configuration(world: &World) -> String {
    let mut text = "global: {scrape_interval: 1s}\nscrape_configs:\n".to_owned();
    let envoys: Vec<String> = world.envoys().map(|(_, envoy)| format!("\"{}\"", envoy.admin())).collect();
    let _ = writeln!(
        text,
        "- job_name: envoy\n  metrics_path: /stats/prometheus\n  static_configs: [{{targets: [{}]}}]",
        envoys.join(", ")
    );
    let control = world.control().ports().http;
    let _ = writeln!(text, "- job_name: control-plane\n  static_configs: [{{targets: [\"{control}\"]}}]");
    text
}

/// Sends requests until the first one is known to be of the journey, which it is when the edge has its first budgets.
async fn recognised(world: &World) {
    let known = || async {
        assert!(world.load().count(1).run().await[0].ok());
        let seen = world.service("front").seen();
        let baggage = seen.last().and_then(|last| last.headers.get("baggage")?.to_str().ok());
        baggage.is_some_and(|baggage| baggage.contains("emac="))
    };
    assert!(wait_until(PATIENCE, known).await, "the edge never had budgets");
}

fn encoded(query: &str) -> String {
    query.bytes().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "%{byte:02X}");
        text
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labelled_counters_and_both_histograms_arrive() {
    let test = "prometheus::labelled_counters_and_both_histograms_arrive";
    let Some(binary) = emac_tests::prometheus() else {
        return emac_tests::not_run(test, "no Prometheus: run `make tools`");
    };
    let (Some(filter), Some(serve)) = (runs(test, filter()), runs(test, Serve::default().setup())) else {
        return;
    };
    let Some(world) = start(test, World::builder().filter(filter).control_plane(serve)).await else { return };
    recognised(&world).await;
    let answers = tally(&world.load().clients(4).count(REQUESTS - 1).run().await);
    assert_eq!(answers.ok, REQUESTS - 1, "{:?}", answers.statuses);

    let (native, classic) =
        (Prometheus::start(&binary, &world, true), Prometheus::start(&binary, &world, false));
    let all = REQUESTS as f64;
    for prometheus in [&native, &classic] {
        for job in ["envoy", "control-plane"] {
            let journey = format!(
                "sum(journey_requests_total{{job=\"{job}\",journey=\"checkout\",result=\"success\"}})"
            );
            prometheus.becomes(&journey, all).await;
            let labels =
                format!("job=\"{job}\",journey=\"checkout\",destination=\"paya\",outcome=\"success\"");
            prometheus.becomes(&format!("sum(emac_hop_requests_total{{{labels}}})"), all).await;
        }
    }
    native.becomes("histogram_count(journey_latency_seconds{journey=\"checkout\"})", all).await;
    classic.becomes("journey_latency_seconds_count{journey=\"checkout\"}", all).await;
    classic.becomes("journey_latency_seconds_bucket{journey=\"checkout\",le=\"+Inf\"}", all).await;
    // The filter's own histogram, in milliseconds and by its own tags.
    classic.becomes("sum(journey_latency_milliseconds_count{journey=\"checkout\"})", all).await;
    let p99 = native.value("histogram_quantile(0.99, journey_latency_seconds{journey=\"checkout\"})").await;
    assert!(p99.is_some_and(|seconds| seconds > 0.05 && seconds < 60.0), "{p99:?}");
}
