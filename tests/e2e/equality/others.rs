//! The same comparison by clients that nobody of this project wrote: curl, Python's `http.client`, Node's `http2`.
//!
//! What our own raw ends could both have wrong, these would see. Each prints what it got; that and what the upstream saw is compared.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;

use tokio::process::Command;
use tokio::task::JoinSet;

use super::case::{Case, Cases, PATIENCE};
use super::envoy::Proxy;
use super::kind::{Bounds, Kind};
use super::seen::{Seen, diff};
use super::{ENFORCING, ONE_AT_A_TIME, Outcome, RUNS, table};
use crate::common::module;

/// Status, headers, length and digest of the body, trailers.
const PYTHON: &str = r"
import http.client, json, sys
host, port, headers = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
connection = http.client.HTTPConnection(host, port, timeout=20)
connection.request('GET', '/shop', headers=headers)
answer = connection.getresponse()
print('HTTP/%d %d %s' % (answer.version, answer.status, answer.reason), end='\r\n')
for name, value in answer.getheaders():
    print('%s: %s' % (name, value), end='\r\n')
print(end='\r\n', flush=True)
sys.stdout.buffer.write(answer.read())
";

/// The same for HTTP/2, the trailers behind the body.
const NODE: &str = r"
const [host, port, headers] = process.argv.slice(1);
const session = require('http2').connect(`http://${host}:${port}`);
const request = session.request({':path': '/shop', ...JSON.parse(headers)});
const print = (fields) => { for (const name in fields) process.stdout.write(`${name}: ${fields[name]}\r\n`); };
request.on('response', (fields) => { print(fields); process.stdout.write('\r\n'); });
request.on('data', (piece) => process.stdout.write(piece));
request.on('trailers', (fields) => { process.stdout.write('trailers\r\n'); print(fields); });
request.on('error', (error) => process.stdout.write(`broken: ${error.code}`));
request.on('close', () => session.close());
request.end();
";

/// A client of other origin.
#[derive(Debug, Clone, Copy)]
enum Program {
    Curl1,
    Curl2,
    Python,
    Node,
}

impl Program {
    /// Kinds that it can ask for: a GET of `/shop` without body.
    const fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Curl1 | Self::Python => &[
                "http11",
                "status-204",
                "status-304",
                "status-503",
                "chunked-down",
                "ten-mb-down",
                "slow-download",
                "h1-to-h2",
            ],
            Self::Curl2 | Self::Node => {
                &["h2-get", "h2-204", "h2-trailers-only", "h2-slow-download", "h2-goaway"]
            }
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Curl1 | Self::Curl2 => "curl",
            Self::Python => "python3",
            Self::Node => "node",
        }
    }

    fn arguments(self, address: SocketAddr, case: &Case) -> Vec<String> {
        let headers = case.headers();
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let json = serde_json::json!(headers.iter().cloned().collect::<std::collections::BTreeMap<_, _>>());
        match self {
            Self::Curl1 | Self::Curl2 => {
                let version =
                    if matches!(self, Self::Curl1) { "--http1.1" } else { "--http2-prior-knowledge" };
                let fixed = ["-sS", "-i", "-m", "20", version, "-A", "curl", "-H", "host: shop"];
                let named =
                    headers.iter().flat_map(|(name, value)| ["-H".to_owned(), format!("{name}: {value}")]);
                let url = format!("http://{host}:{port}/shop");
                fixed.map(str::to_owned).into_iter().chain(named).chain([url]).collect()
            }
            Self::Python => ["-c".to_owned(), PYTHON.to_owned(), host, port, with_host(json)].into(),
            Self::Node => ["-e".to_owned(), NODE.to_owned(), host, port, with_authority(json)].into(),
        }
    }

    async fn run(self, address: SocketAddr, case: &Case) -> Seen {
        let mut seen = Seen::default();
        let mut command = Command::new(self.name());
        command.args(self.arguments(address, case)).stdin(Stdio::null()).stderr(Stdio::null());
        let output = tokio::time::timeout(4 * PATIENCE, command.kill_on_drop(true).output()).await;
        let Ok(Ok(output)) = output else {
            seen.say("no end of the program");
            return seen;
        };
        let text = output.stdout;
        let at = text.windows(4).position(|part| part == b"\r\n\r\n").unwrap_or(text.len());
        let (head, body) = text.split_at(at);
        for line in head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii) {
            match line.windows(2).position(|part| part == b": ") {
                Some(at) => seen.header(&line[..at], &line[at + 2..]),
                None => seen.raw(line),
            }
        }
        seen.body(body.strip_prefix(b"\r\n\r\n").unwrap_or_default());
        seen.say(format!("exit code {:?}", output.status.code()));
        seen
    }
}

fn with_host(mut headers: serde_json::Value) -> String {
    headers["host"] = "shop".into();
    headers.to_string()
}

fn with_authority(mut headers: serde_json::Value) -> String {
    headers[":authority"] = "shop".into();
    headers.to_string()
}

/// Whether it can be started at all.
async fn is_here(program: Program) -> bool {
    let mut command = Command::new(program.name());
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().await.is_ok_and(|status| status.success())
}

async fn differences_of(program: Program, proxy: &Proxy, cases: &Cases, kind: &'static Kind) -> Vec<String> {
    let mut programs = JoinSet::new();
    for (number, (side, talk)) in RUNS.into_iter().enumerate() {
        let (address, case) = (proxy.address(side), cases.open(kind, side, talk));
        programs.spawn(async move {
            let client = program.run(address, &case).await;
            let requests = case.requests().await;
            (number, Outcome { case, client, requests, span: (0, 0) })
        });
    }
    let mut outcomes = programs.join_all().await;
    outcomes.sort_by_key(|(number, _)| *number);
    let outcomes: Vec<Outcome> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    let Some((plain, filtered)) = outcomes.split_first() else { return Vec::new() };
    let expected = plain.lines();
    let mut problems = Vec::new();
    if plain.requests.len() != kind.reached {
        problems.push(format!(
            "{program:?} {}: did not reach the upstream\n{}",
            kind.name,
            expected.join("\n")
        ));
    }
    for outcome in filtered {
        let lines = outcome.lines();
        if lines != expected {
            let Case { side, talk, .. } = &*outcome.case;
            let lines = diff(&expected, &lines);
            problems.push(format!("{program:?} {} [{side:?} {talk:?}]: differs\n{lines}", kind.name));
        }
    }
    problems
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_other_origin_see_no_difference() {
    let test = "equality::others::clients_of_other_origin_see_no_difference";
    let Some(wasm) = module(test) else { return };
    let Some(envoy) = emac_tests::envoy() else {
        return emac_tests::not_run(test, "no Envoy: run `make tools`, or set ENVOY_BIN");
    };
    let _turn = ONE_AT_A_TIME.lock().await;
    // Those of one Envoy, and no more hops than it can tell apart.
    let wanted = [Program::Curl1, Program::Curl2].map(Program::kinds).concat();
    static KINDS: std::sync::OnceLock<Vec<Kind>> = std::sync::OnceLock::new();
    let kinds = KINDS
        .get_or_init(|| table().iter().filter(|kind| wanted.contains(&kind.name)).cloned().collect())
        .as_slice();
    let cases = Arc::new(Cases::new(false));
    let proxy = match Proxy::start(envoy, &wasm, ENFORCING, kinds, &cases).await {
        Ok(proxy) => proxy,
        Err(error) => panic!("{error}"),
    };
    let of = |program| problems_of(test, program, &proxy, &cases, kinds);
    // Two that ask for the same kinds must not do so at the same time.
    let (curl, node) = tokio::join!(of(Program::Curl1), of(Program::Node));
    let (python, curl2) = tokio::join!(of(Program::Python), of(Program::Curl2));
    let problems = [curl, node, python, curl2].concat();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

async fn problems_of(
    test: &str,
    program: Program,
    proxy: &Proxy,
    cases: &Cases,
    kinds: &'static [Kind],
) -> Vec<String> {
    if !is_here(program).await {
        emac_tests::not_run(test, &format!("no {}", program.name()));
        return Vec::new();
    }
    let mut problems = Vec::new();
    for kind in kinds.iter().filter(|kind| program.kinds().contains(&kind.name)) {
        let mut differences = differences_of(program, proxy, cases, kind).await;
        if !differences.is_empty() && kind.bounds == Bounds::Tight {
            // Interpreters that start side by side can starve an upstream beyond a tight bound, and then it is right to cut. What the
            // filter tears it tears each time.
            differences = differences_of(program, proxy, cases, kind).await;
        }
        problems.extend(differences);
    }
    problems
}
