//! `emac status`: what a running control plane knows.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::enforcing::{Told, switched};
use super::exit::Exit;
use super::fetch::{FetchError, Server, ServerArgs};
use super::output::{Format, complain, print_json, print_text};
use emac_document::shown;

/// How often `--watch` shows it again.
const PERIOD: Duration = Duration::from_secs(1);
/// Most characters of a cell: a workload's name at its longest.
const CELL_CHARS_MAX: usize = 512;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Show journeys, proxies, plan and proposed changes of a running control plane
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  emac status
  emac status --server http://127.0.0.1:8080 --watch
  emac status --server https://emac.example:8080 --ca ca.pem
  emac status --format json | jq .journeys")]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Refresh every second until interrupted
    #[arg(long)]
    watch: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Exit {
    args.server.ask(async |server| show(args, &server).await)
}

async fn show(args: &Args, server: &Server) -> Exit {
    loop {
        let exit = match fetch(server).await {
            Ok(status) if args.format == Format::Json => {
                print_json(&status);
                Exit::Ok
            }
            Ok(status) => {
                print_text(&render(&status));
                Exit::Ok
            }
            Err(problem) => {
                complain(format!("{}: {problem}", args.server.server));
                Exit::Runtime
            }
        };
        if !args.watch {
            return exit;
        }
        tokio::time::sleep(PERIOD).await;
        // Between two pages; and the place where a reader that has gone away (`| head`) ends the watch. A control plane that does not
        // answer does not end it: its restart is what somebody may be waiting for.
        if writeln!(io::stdout()).is_err() {
            return Exit::Ok;
        }
    }
}

async fn fetch(server: &Server) -> Result<Value, FetchError> {
    let mut status = json!({});
    for part in ["enforcement", "journeys", "hops", "proxies", "plan", "discovery"] {
        status[part] = serde_json::from_slice(&server.fetch(part, PATIENCE).await?)?;
    }
    Ok(status)
}

fn render(status: &Value) -> String {
    let mut text = format!("plan generation {}\n", status["plan"]["generation"]);
    text += &switched(&status["enforcement"], Told::ByTheWay);
    if status["journeys"]["intents_refused"].is_string() {
        let why = word(&status["journeys"]["intents_refused"]);
        text += &format!("the intents' files are refused, and the last valid intents stay in use: {why}\n");
    }
    text += &spans(&status["journeys"]);
    let list = |part: &str, name: &str| status[part][name].as_array().cloned().unwrap_or_default();
    let header = ["JOURNEY", "MODE", "REQUESTS", "IN DEADLINE", "DEGRADED", "P50 MS", "P99 MS", "TOTAL"];
    text += &table(
        header,
        list("journeys", "journeys").iter().map(|journey| {
            let recent = &journey["recent"];
            [
                word(&journey["journey"]),
                mode(journey),
                word(&recent["requests"]),
                percent(&recent["success_within_deadline"]),
                percent(&recent["degraded_share"]),
                word(&recent["p50_ms"]),
                word(&recent["p99_ms"]),
                word(&journey["total"]["requests"]),
            ]
        }),
    );
    for one in list("journeys", "edges").iter().chain(&list("hops", "bypassed")) {
        if let Some(message) = one["message"].as_str() {
            text += &format!("{}\n", shown(message, CELL_CHARS_MAX));
        }
    }
    text.push('\n');
    text += &table(
        ["PROXY", "WORKLOAD", "STATE", "STREAM", "GENERATION", "LAST REPORT"],
        list("proxies", "proxies").iter().map(|proxy| {
            [
                word(&proxy["node"]),
                word(&proxy["workload"]),
                word(&proxy["state"]),
                stream(proxy),
                generation(proxy),
                ago(&proxy["last_report_age_ms"]).unwrap_or_else(|| "never".to_owned()),
            ]
        }),
    );
    text += &forgotten(&status["proxies"]["forgotten"]);
    if status["discovery"]["enabled"] == true {
        text += &discovery(&status["discovery"]);
    }
    text
}

/// How far decisions go, and that they would go further.
fn mode(journey: &Value) -> String {
    let mode = word(&journey["mode"]);
    if journey["stopped"].is_null() { mode } else { format!("{mode} (stopped)") }
}

/// From when the numbers are.
fn spans(journeys: &Value) -> String {
    let window = &journeys["window"];
    let (start, end) = (clock(&window["start_unix_ms"]), clock(&window["end_unix_ms"]));
    let length = window["length_ms"].as_u64().unwrap_or_default();
    let totals = match journeys["totals_since"].as_str() {
        Some("store") => "the store was created".to_owned(),
        _ => format!("the control plane started, {}", clock(&journeys["began_unix_ms"])),
    };
    let seconds = format!("{}.{}", length / 1_000, length % 1_000 / 100);
    format!("window: {start} to {end} UTC ({seconds} s); totals since {totals}\n\n")
}

/// How its stream is, in words with ages.
fn stream(proxy: &Value) -> String {
    let refused = proxy["refused"].as_str().map(|error| format!(", refused: {}", brief(error)));
    let unanswered = age(&proxy["unanswered_age_ms"]).map(|age| format!(", unacknowledged for {age}"));
    let notes = refused.or(unanswered).unwrap_or_default();
    match (age(&proxy["connected_age_ms"]), ago(&proxy["ended_age_ms"])) {
        (Some(open), _) => format!("open for {open}{notes}"),
        (None, Some(ended)) => format!("{} {ended}", word(&proxy["ended"])),
        (None, None) => "none".to_owned(),
    }
}

/// What it holds, and what it should hold where that differs.
fn generation(proxy: &Value) -> String {
    let (acknowledged, offered) = (&proxy["generation_acknowledged"], &proxy["generation_offered"]);
    let held = if acknowledged.is_null() { &proxy["generation"] } else { acknowledged };
    if offered.is_null() || held == offered { word(held) } else { format!("{} of {offered}", word(held)) }
}

fn forgotten(forgotten: &Value) -> String {
    let count = |name: &str| forgotten[name].as_u64().unwrap_or_default();
    let (by_time, by_number) = (count("by_time"), count("by_number"));
    if by_time + by_number == 0 {
        return String::new();
    }
    let kept = age(&forgotten["after_ms"]).unwrap_or_default();
    format!(
        "not listed: {by_time} whose stream ended more than {kept} ago, {by_number} beyond the limit of {}\n",
        forgotten["most"]
    )
}

/// The first line of what a proxy said, at most so long that the table stays one.
fn brief(error: &str) -> String {
    let first: String = error.lines().next().unwrap_or_default().chars().take(60).collect();
    shown(&first, 60).into_owned()
}

/// Time of day, UTC.
pub(super) fn clock(unix_ms: &Value) -> String {
    let second = unix_ms.as_u64().unwrap_or_default() / 1_000 % 86_400;
    format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

pub(super) fn ago(age_ms: &Value) -> Option<String> {
    age(age_ms).map(|age| format!("{age} ago"))
}

fn age(age_ms: &Value) -> Option<String> {
    let age_ms = age_ms.as_u64()?;
    Some(crate::serve::age(emac_core::units::Millis(age_ms)))
}

/// What is proposed, change by change.
fn discovery(discovery: &Value) -> String {
    let mut text = format!("\n{} windows, {} traces\n\n", discovery["windows"], discovery["traces"]);
    let journeys = || discovery["journeys"].as_object().into_iter().flatten();
    text += &table(
        ["JOURNEY", "DISCOVERY", "CANDIDATE", "PROPOSED"],
        journeys().map(|(name, journey)| {
            let candidate = journey["candidate"].as_str().unwrap_or("-").chars().take(12).collect();
            let proposed = journey["deltas"].as_array().map_or(0, Vec::len).to_string();
            [name.clone(), word(&journey["said"]), candidate, proposed]
        }),
    );
    let deltas: Vec<_> = journeys()
        .flat_map(|(name, journey)| {
            journey["deltas"].as_array().into_iter().flatten().map(move |delta| (name, delta))
        })
        .collect();
    if !deltas.is_empty() {
        text.push('\n');
        text += &table(
            ["JOURNEY", "DELTA", "STATUS", "IMPACT", "CHANGE"],
            deltas.into_iter().map(|(name, delta)| {
                let (id, status) = (word(&delta["id"]), word(&delta["status"]));
                [name.clone(), id, status, word(&delta["impact"]["class"]), word(&delta["change"])]
            }),
        );
    }
    text += &undeclared(discovery);
    let problems = discovery["problems"].as_array().into_iter().flatten();
    problems.for_each(|problem| text += &format!("problem: {}\n", word(problem)));
    text
}

/// Journeys that nobody declared, and whose messages journeys take.
fn undeclared(discovery: &Value) -> String {
    let all = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut text = String::new();
    let journeys = all(&discovery["undeclared"]);
    if !journeys.is_empty() {
        text.push('\n');
        text += &table(
            ["UNDECLARED", "TRACES", "PROPOSED", "STRUCTURE"],
            journeys
                .iter()
                .map(|one| [&one["name"], &one["traces"], &one["proposed"], &one["expression"]].map(word)),
        );
    }
    let sources = discovery["signal"].as_object().into_iter().flatten();
    for link in sources.flat_map(|(_, signal)| all(&signal["traces"]["linked"])) {
        let [from, to, count] = [&link["from"], &link["to"], &link["count"]].map(word);
        text += &format!("{to} is linked to {from}: {count} traces\n");
    }
    text
}

pub(super) fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".to_string(),
        // A cell is one line.
        Value::String(text) => shown(text, CELL_CHARS_MAX).into_owned(),
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
            "enforcement": {"stopped": {"all": null, "but": {}, "configuration": null, "journeys": {
                "checkout": {"by": "jane", "proven": true, "why": "INC-42", "at_unix_ms": 3_600_000},
            }}, "sidecars": {"connected": 3, "acknowledged": 2, "waiting": [
                {"node": "sidecar~2", "workload": "shop/cart", "state": "silent", "lease": {"ends_unix_ms": 3_700_000, "then": "release"}},
            ], "unreachable": [
                {"node": "sidecar~3", "workload": "shop/pay", "state": "cut off", "ended_age_ms": 4_000, "lease": {"ends_unix_ms": 3_700_000, "then": "hold"}},
            ]}},
            "journeys": {
                "began_unix_ms": 3_600_000, "totals_since": "process",
                "window": {"start_unix_ms": 3_661_500, "end_unix_ms": 3_667_000, "length_ms": 5_500},
                "journeys": [{"journey": "checkout", "mode": "observe", "stopped": {"by": "jane"}, "total": {"requests": 90_000}, "recent": {
                    "requests": 1200, "success_within_deadline": 0.9958, "degraded_share": null, "p50_ms": 41.5, "p99_ms": null,
                }}],
                "edges": [{"message": null}, {"message": "no edge has reported for search"}],
            },
            "hops": {"bypassed": [{"message": "pay answered 1 calls in the window"}]},
            "proxies": {"proxies": [
                {
                    "node": "sidecar~1", "workload": "shop/front", "state": "live", "connected_age_ms": 130_000,
                    "generation_acknowledged": 7, "generation_offered": 7, "last_report_age_ms": 412,
                },
                {
                    "node": "sidecar~2", "workload": "shop/cart", "state": "silent", "connected_age_ms": 61_000,
                    "unanswered_age_ms": 14_000, "generation_acknowledged": 6, "generation_offered": 7,
                },
                {
                    "node": "sidecar~3", "workload": "shop/pay", "state": "cut off", "ended_age_ms": 4_000, "ended": "broken",
                    "generation_acknowledged": 7, "generation_offered": 7, "last_report_age_ms": 4_700,
                },
            ], "forgotten": {"after_ms": 3_600_000, "by_time": 3, "most": 1000, "by_number": 0}},
            "discovery": {"enabled": true, "windows": 3, "traces": 900, "problems": [], "journeys": {"checkout": {
                "said": "300 traces processed, 1 changes proposed", "candidate": "0123456789abcdef", "deltas": [{
                    "id": "3d3fd0d60e", "status": "identified", "impact": {"class": "high"}, "change": "failure domains of payb: b -> a",
                }],
            }}},
        });
        insta::assert_snapshot!(render(&status), @"
        plan generation 7
        enforcement is STOPPED for checkout by jane, 01:00:00 UTC: INC-42
        2 of 3 connected sidecars have acknowledged it
        not acknowledged: sidecar~2 (shop/cart, silent); does as before until 01:01:40 UTC, then releases its budgets
        not reached: sidecar~3 (shop/pay, cut off), connected until 4 s ago; does as before until it is reached (lease.onExpiry: hold)
        window: 01:01:01 to 01:01:07 UTC (5.5 s); totals since the control plane started, 01:00:00

        JOURNEY   MODE               REQUESTS  IN DEADLINE  DEGRADED  P50 MS  P99 MS  TOTAL
        checkout  observe (stopped)  1200      99.58 %      -         41.5    -       90000
        no edge has reported for search
        pay answered 1 calls in the window

        PROXY      WORKLOAD    STATE    STREAM                                  GENERATION  LAST REPORT
        sidecar~1  shop/front  live     open for 2 min                          7           412 ms ago
        sidecar~2  shop/cart   silent   open for 61 s, unacknowledged for 14 s  6 of 7      never
        sidecar~3  shop/pay    cut off  broken 4 s ago                          7           4 s ago
        not listed: 3 whose stream ended more than 60 min ago, 0 beyond the limit of 1000

        3 windows, 900 traces

        JOURNEY   DISCOVERY                                 CANDIDATE     PROPOSED
        checkout  300 traces processed, 1 changes proposed  0123456789ab  1

        JOURNEY   DELTA       STATUS      IMPACT  CHANGE
        checkout  3d3fd0d60e  identified  high    failure domains of payb: b -> a
        ");
    }
}
