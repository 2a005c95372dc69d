//! What a filter costs an Envoy: CPU time per request and resident memory, of the same traffic through six Envoys that differ in
//! nothing but their filter.
//!
//! One outbound listener each, one worker, one upstream on loopback. The contenders take turns in short rounds, so that a noisy
//! moment hits all of them; only the Envoy's own CPU time counts (scheduler's account of all its threads, nanoseconds), so client and
//! upstream cost nothing here. Requests look like a service's calls: traced, with baggage that carries a journey context.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::Section;
use super::timing::median;
use crate::envoy::{
    Bootstrap, Cluster, Direction, EmacFilter, HttpFilter, Listener, Node, Protocol, RoutePolicy,
    VirtualHost, noop_wasm,
};
use crate::load::Load;
use crate::supervise::{Process, Spec, reserve};
use crate::testbed::client::get;
use crate::testbed::wait_until;

/// Heading of the section.
pub const TITLE: &str = "Filter: cost in a real Envoy";
/// Rounds of every contender; odd, so that the median is a measurement.
const ROUNDS: usize = 15;
const REQUESTS_PER_ROUND: u64 = 4_000;
const CLIENTS: usize = 4;
/// Workers of the Envoys whose memory is compared.
const MEMORY_WORKERS: u32 = 4;
/// Added CPU and memory we promise: at most the Lua filter's; at most 8 MB a worker more than a no-op.
const MEMORY_TARGET_MB: f64 = 8.0;

/// An Envoy with one kind of filter.
struct Contender {
    name: &'static str,
    process: Process,
    address: SocketAddr,
    admin: SocketAddr,
}

/// Runs the comparison. About two minutes.
///
/// # Errors
/// A sentence: what is missing, or what did not start.
pub async fn section(wasm: &Path) -> Result<Section, String> {
    let binary = crate::envoy().ok_or("no Envoy: set ENVOY_BIN or run `make tools`")?;
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let upstream = upstream().await.map_err(|e| e.to_string())?;
    let noop = dir.path().join("noop.wasm");
    std::fs::write(&noop, noop_wasm().map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
    let cpu = cpu(&binary, dir.path(), upstream, wasm, &noop).await?;
    let memory = memory(&binary, dir.path(), upstream, wasm, &noop).await?;
    Ok(Section { title: TITLE, body: format!("{cpu}\n{memory}") })
}

fn filters(wasm: &Path, noop: &Path) -> Vec<(&'static str, HttpFilter)> {
    let emac = |configuration: Value| HttpFilter::Emac(EmacFilter { module: wasm.to_owned(), configuration });
    let ours = |mode| emac(configuration(mode));
    // As for a listener with one upstream whose routes all retry once.
    let mut told = configuration("enforce");
    told["destination"] = "pricing".into();
    told["route_retries"] = 1.into();
    vec![
        ("no filter", HttpFilter::None),
        ("no-op wasm", HttpFilter::NoopWasm(noop.to_owned())),
        ("two-line Lua", HttpFilter::Lua),
        ("ours, observing", ours("observe")),
        ("ours, enforcing, told its destination and retries", emac(told)),
        ("ours, enforcing", ours("enforce")),
    ]
}

/// A hop with everything a budget can hold.
fn configuration(mode: &str) -> Value {
    json!({
        "role": "outbound",
        "workload": "shop/front",
        "budgets": {
            "journeys": [{"journey": "checkout", "deadline_ms": 400, "mode": mode, "entry": [{"path_template": "/checkout"}]}],
            "hops": [{"journey": "checkout", "destination": "pricing", "mode": mode, "timeout_ms": 150, "reserve_ms": 20,
                "useful_min_ms": 5, "retry": {"ratio_ppm": 200_000, "burst": 10, "max_retries": 1},
                "fallback": {"static_response": {"status": 200, "body": "{}"}, "weight_ppm": 500_000,
                    "budget_ppm": 200_000, "burst": 10}}],
        },
    })
}

async fn cpu(
    binary: &Path,
    dir: &Path,
    upstream: SocketAddr,
    wasm: &Path,
    noop: &Path,
) -> Result<String, String> {
    let mut contenders = Vec::new();
    for (name, filter) in filters(wasm, noop) {
        contenders.push(start(binary, dir, name, filter, upstream, 1).await?);
    }
    let mut rounds: Vec<Vec<f64>> = vec![Vec::new(); contenders.len()];
    for round in 0..=ROUNDS {
        for (contender, micros) in contenders.iter().zip(&mut rounds) {
            let spent = contender.round().await?;
            // The first round warms caches and connections.
            if round > 0 {
                micros.push(spent);
            }
        }
    }
    Ok(cpu_table(&contenders, &rounds))
}

/// Added cost is the median of the differences within a round, where the machine's mood is the same for both.
fn cpu_table(contenders: &[Contender], rounds: &[Vec<f64>]) -> String {
    let added: Vec<f64> = rounds.iter().map(|own| added_to(&rounds[0], own)).collect();
    let lua = added[2];
    let mut text = format!(
        "CPU of one Envoy per request, {ROUNDS} interleaved rounds of {REQUESTS_PER_ROUND} requests, {CLIENTS} connections.\n\n\
         | filter | us per request | added us | added, relative to Lua |\n|---|---|---|---|\n"
    );
    for ((contender, own), added) in contenders.iter().zip(rounds).zip(&added) {
        let total = median(own.clone()).unwrap_or(f64::NAN);
        let _ = writeln!(text, "| {} | {total:.1} | {added:.2} | {:.2} |", contender.name, added / lua);
    }
    let ours = added.last().copied().unwrap_or(f64::NAN);
    let verdict = if ours <= lua { "met" } else { "MISSED" };
    let _ = writeln!(
        text,
        "\nTarget: ours enforcing adds at most what Lua adds: {ours:.2} us against {lua:.2} us ({verdict})."
    );
    text
}

fn added_to(bare: &[f64], own: &[f64]) -> f64 {
    median(bare.iter().zip(own).map(|(bare, own)| own - bare).collect()).unwrap_or(f64::NAN)
}

async fn memory(
    binary: &Path,
    dir: &Path,
    upstream: SocketAddr,
    wasm: &Path,
    noop: &Path,
) -> Result<String, String> {
    let mut text = format!(
        "Resident memory with {MEMORY_WORKERS} workers after {REQUESTS_PER_ROUND} requests.\n\n\
         | filter | MB | MB per worker over no-op |\n|---|---|---|\n"
    );
    let (mut base, mut last) = (0.0, 0.0);
    for (name, filter) in filters(wasm, noop) {
        let contender = start(binary, dir, name, filter, upstream, MEMORY_WORKERS).await?;
        contender.round().await?;
        let megabytes = contender.process.rss_bytes().unwrap_or(0) as f64 / 1e6;
        if name == "no-op wasm" {
            base = megabytes;
        }
        last = (megabytes - base) / f64::from(MEMORY_WORKERS);
        let over = if base > 0.0 { format!("{last:.2}") } else { "-".to_owned() };
        let _ = writeln!(text, "| {name} | {megabytes:.1} | {over} |");
    }
    let verdict = if last <= MEMORY_TARGET_MB { "met" } else { "MISSED" };
    let _ = writeln!(
        text,
        "\nTarget: ours enforcing at most {MEMORY_TARGET_MB} MB a worker over a no-op: {last:.2} MB ({verdict})."
    );
    Ok(text)
}

async fn start(
    binary: &Path,
    dir: &Path,
    name: &'static str,
    filter: HttpFilter,
    upstream: SocketAddr,
    workers: u32,
) -> Result<Contender, String> {
    let (admin, listener) = (reserve().map_err(|e| e.to_string())?, reserve().map_err(|e| e.to_string())?);
    let contender_address = (listener.address(), admin.address());
    let bootstrap = Bootstrap {
        node: Node { id: "front-1".to_owned(), cluster: "front".to_owned(), metadata: Value::Null },
        admin: admin.port(),
        listeners: vec![Listener {
            name: "outbound".to_owned(),
            port: listener.port(),
            direction: Direction::Outbound,
            edge: false,
            hosts: vec![VirtualHost::to("pricing", RoutePolicy::default())],
            filter,
        }],
        clusters: vec![Cluster::new("pricing", upstream.port(), Protocol::Downstream)],
        concurrency: workers,
    };
    let config = dir.join(format!("{}-{workers}.json", name.replace([' ', ','], "-")));
    std::fs::write(&config, bootstrap.to_json().to_string()).map_err(|e| e.to_string())?;
    drop((admin, listener));
    let process = Spec::new(name.replace([' ', ','], "-"), binary, dir)
        .args(bootstrap.arguments(&config))
        .start()
        .map_err(|e| e.to_string())?;
    let contender = Contender { name, process, address: contender_address.0, admin: contender_address.1 };
    contender.ready().await.map(|()| contender)
}

impl Contender {
    async fn ready(&self) -> Result<(), String> {
        let ready = || async { matches!(get(self.admin, "/ready").await, Ok((200, _))) };
        if wait_until(Duration::from_secs(20), ready).await {
            Ok(())
        } else {
            Err(format!("{} did not become ready: {}", self.name, self.process.log_tail()))
        }
    }

    /// CPU microseconds per request over one round, each answered 200.
    async fn round(&self) -> Result<f64, String> {
        let load = Load::get(self.address, "pricing", "/price?item=1")
            .header("baggage", "emac=v2.checkout.r119000.0000,tenant=blue")
            .header("accept", "application/json")
            .header("user-agent", "bench/1")
            .clients(CLIENTS)
            .count(REQUESTS_PER_ROUND);
        let before = cpu_nanos(self.process.pid());
        let samples = load.run().await;
        let after = cpu_nanos(self.process.pid());
        let good = samples.iter().filter(|s| s.status == 200).count() as u64;
        if good != REQUESTS_PER_ROUND {
            return Err(format!(
                "{}: {good} of {REQUESTS_PER_ROUND} requests were answered with 200",
                self.name
            ));
        }
        Ok((after - before) as f64 / 1e3 / REQUESTS_PER_ROUND as f64)
    }
}

/// CPU time of all threads of a process, by the scheduler's account.
fn cpu_nanos(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let schedstat = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("schedstat")).ok();
    tasks.filter_map(schedstat).filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok()).sum()
}

/// An HTTP/1.1 server that answers every request at once.
async fn upstream() -> std::io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = hyper::service::service_fn(|_request| async {
                let body = http_body_util::Full::new(hyper::body::Bytes::from_static(b"{\"price\":1}"));
                Ok::<_, std::convert::Infallible>(http::Response::new(body))
            });
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, answer));
        }
    });
    Ok(address)
}
