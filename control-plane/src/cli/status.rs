//! `emac status`: what a running control plane knows.

use std::io::{self, Write};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::exit::Exit;
use super::output::{Format, complain, print_json};

/// Bytes of an answer we are ready to read.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Show journeys, proxies and the plan of a running control plane
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  emac status
  emac status --server http://127.0.0.1:8080 --watch
  emac status --format json | jq .journeys")]
pub(super) struct Args {
    /// The control plane's HTTP address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    server: Uri,
    /// Show again every second, until interrupted
    #[arg(long)]
    watch: bool,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Exit {
    if args.server.scheme_str() != Some("http") || args.server.authority().is_none() {
        complain(format!("--server {} is not of the form http://HOST:PORT", args.server));
        return Exit::Usage;
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(error);
            return Exit::Runtime;
        }
    };
    runtime.block_on(show(args))
}

async fn show(args: &Args) -> Exit {
    loop {
        match fetch(&args.server).await {
            Ok(status) if args.format == Format::Json => print_json(&status),
            Ok(status) => {
                let _ = write!(io::stdout(), "{}", render(&status));
            }
            Err(problem) => {
                complain(format!("{}: {problem}", args.server));
                return Exit::Runtime;
            }
        }
        if !args.watch {
            return Exit::Ok;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let _ = writeln!(io::stdout());
    }
}

type FetchError = Box<dyn std::error::Error + Send + Sync>;

async fn fetch(server: &Uri) -> Result<Value, FetchError> {
    let mut status = json!({});
    for part in ["journeys", "hops", "proxies", "plan"] {
        status[part] = tokio::time::timeout(PATIENCE, fetch_part(server, part)).await??;
    }
    Ok(status)
}

async fn fetch_part(server: &Uri, part: &str) -> Result<Value, FetchError> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let mut parts = server.clone().into_parts();
    parts.path_and_query = Some(format!("/api/v1/{part}").parse()?);
    let answer = client.get(Uri::from_parts(parts)?).await?;
    if answer.status() != StatusCode::OK {
        return Err(format!("/api/v1/{part} answered {}", answer.status()).into());
    }
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes();
    Ok(serde_json::from_slice(&body)?)
}

fn render(status: &Value) -> String {
    let mut text = format!("plan generation {}\n\n", status["plan"]["generation"]);
    let list = |part: &str| status[part][part].as_array().cloned().unwrap_or_default();
    let header = ["JOURNEY", "REQUESTS", "IN DEADLINE", "DEGRADED", "P50 MS", "P99 MS"];
    text += &table(
        header,
        list("journeys").iter().map(|journey| {
            let recent = &journey["recent"];
            [
                word(&journey["journey"]),
                word(&recent["requests"]),
                percent(&recent["success_within_deadline"]),
                percent(&recent["degraded_share"]),
                word(&recent["p50_ms"]),
                word(&recent["p99_ms"]),
            ]
        }),
    );
    text.push('\n');
    text += &table(
        ["PROXY", "WORKLOAD", "GENERATION", "STALE", "LAST REPORT"],
        list("proxies").iter().map(|proxy| {
            let age = format!("{} ms ago", proxy["last_report_age_ms"]);
            [
                word(&proxy["node"]),
                word(&proxy["workload"]),
                word(&proxy["generation"]),
                word(&proxy["stale"]),
                age,
            ]
        }),
    );
    text
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn percent(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_string(), |share| format!("{:.2} %", share * 100.0))
}

/// Columns as wide as their widest cell, two blanks apart.
fn table<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(header.map(str::to_string)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_page_of_tables() {
        let status = json!({
            "plan": {"generation": 7},
            "journeys": {"journeys": [{"journey": "checkout", "recent": {
                "requests": 1200, "success_within_deadline": 0.9958, "degraded_share": null, "p50_ms": 41.5, "p99_ms": null,
            }}]},
            "proxies": {"proxies": [{
                "node": "sidecar~1", "workload": "shop/front", "generation": 7, "stale": false, "last_report_age_ms": 12,
            }]},
        });
        insta::assert_snapshot!(render(&status), @"
        plan generation 7

        JOURNEY   REQUESTS  IN DEADLINE  DEGRADED  P50 MS  P99 MS
        checkout  1200      99.58 %      -         41.5    -

        PROXY      WORKLOAD    GENERATION  STALE  LAST REPORT
        sidecar~1  shop/front  7           false  12 ms ago
        ");
    }
}
