//! `emac stop-enforcing` and `emac resume-enforcing`: the kill switch of a running control plane.

use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde_json::{Value, json};

use super::enforcing::{Told, all_obey, is_unknown, switched};
use super::exit::Exit;
use super::fetch::{FetchError, Server, ServerArgs, said};
use super::output::{Format, complain, print_json, print_line, print_text};
use emac_document::parse_duration;

/// How long one answer may take; a disk that is slow to keep the order is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often sidecars are asked after.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Stop enforcement: every sidecar observes, until somebody resumes
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  emac stop-enforcing --why 'INC-42: checkouts fail'
  emac stop-enforcing --journey checkout --why INC-42 --server https://emac.emac-system.svc:8080 --ca ca.pem --token-file jane.token

Exit codes: 0 every connected sidecar has acknowledged, at every replica; 3 ordered, but a sidecar has not acknowledged within --wait or is not reached, a
replica does not obey yet, no journey of a name is planned (it is stopped if one appears), or the order would not survive a restart; 1 the control plane did not answer or refuses who asks; 65 it refuses what is asked; 64 usage.")]
pub(super) struct StopArgs {
    #[command(flatten)]
    order: OrderArgs,
}

/// Resume enforcement: sidecars do again what intents say
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  emac resume-enforcing --why 'INC-42 is over'
  emac resume-enforcing --journey checkout --why 'one first'

What the configuration stops is resumed there. Exit codes: as those of emac stop-enforcing; 65 also if somebody else gave an order meanwhile.")]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    order: OrderArgs,
}

#[derive(Debug, clap::Args)]
struct OrderArgs {
    /// Journey; repeatable; default: all
    #[arg(long = "journey", value_name = "NAME")]
    journeys: Vec<String>,
    /// Why; shown wherever the mode is shown
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Who, where no token says so; default: the user's name
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// How long to wait for the sidecars' acknowledgement
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = wait)]
    wait: Duration,
    #[command(flatten)]
    server: ServerArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn wait(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    parse_duration(text).map(|duration| Duration::from_micros(duration.0)).map_err(|error| error.to_string())
}

pub(super) fn stop(args: &StopArgs) -> Exit {
    run("stop", &args.order)
}

pub(super) fn resume(args: &ResumeArgs) -> Exit {
    run("resume", &args.order)
}

fn run(action: &str, args: &OrderArgs) -> Exit {
    args.server.ask(async |server| order(action, args, &server).await)
}

async fn order(action: &str, args: &OrderArgs, server: &Server) -> Exit {
    let failed = |problem: FetchError| {
        complain(format!("{}: {problem}", args.server.server));
        Exit::Runtime
    };
    let mut body = json!({"action": action, "why": args.why, "who": who(args)});
    if !args.journeys.is_empty() {
        body["journeys"] = json!(args.journeys);
    }
    if action == "resume" {
        // What nobody has seen must not be lifted: a stop that comes meanwhile stays.
        match state(server).await {
            Ok(before) => body["revision"] = before["revision"].clone(),
            Err(problem) => return failed(problem),
        }
    }
    let began = Instant::now();
    let answer = match server.change("enforcement", &body, PATIENCE).await {
        Ok(answer) => answer,
        Err(problem) => return failed(problem),
    };
    if answer.status != StatusCode::OK {
        complain(format!("{}: {}{}", args.server.server, answer.status, said(&answer.body)));
        return match answer.status {
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::CONFLICT => Exit::InvalidInput,
            _ => Exit::Runtime,
        };
    }
    match serde_json::from_slice(&answer.body) {
        Ok(taken) => follow(args, server, taken, began).await,
        Err(error) => failed(error.into()),
    }
}

/// Waits until everybody who is connected knows, and tells who does not.
async fn follow(args: &OrderArgs, server: &Server, taken: Value, began: Instant) -> Exit {
    let mut now = taken.clone();
    let mut took = began.elapsed();
    while !all_know(&now) && began.elapsed() < args.wait {
        tokio::time::sleep(LOOK_EVERY).await;
        took = began.elapsed();
        match state(server).await {
            Ok(state) => now = state,
            Err(problem) => {
                complain(format!("{}: {problem}", args.server.server));
                break;
            }
        }
    }
    now["changed"] = taken["changed"].clone();
    now["took_ms"] = json!(took.as_millis());
    match args.format {
        Format::Json => print_json(&now),
        Format::Text => {
            if now["changed"] == false {
                print_line("nothing changed: it was so before, by the order below");
            }
            print_text(&switched(&now, Told::Asked));
            print_line(format!("{} ms after the order", took.as_millis()));
        }
    }
    let reached = now["sidecars"]["unreachable"].as_array().is_none_or(Vec::is_empty);
    let named = !is_unknown(&now, &args.journeys);
    if all_know(&now) && reached && named && now["not_kept"].is_null() { Exit::Ok } else { Exit::Review }
}

fn all_know(state: &Value) -> bool {
    all_obey(state) && state["sidecars"]["acknowledged"] == state["sidecars"]["connected"]
}

async fn state(server: &Server) -> Result<Value, FetchError> {
    Ok(serde_json::from_slice(&server.fetch("enforcement", PATIENCE).await?)?)
}

fn who(args: &OrderArgs) -> String {
    let user = || std::env::var("USER").ok().filter(|user| !user.is_empty());
    args.who.clone().or_else(user).unwrap_or_else(|| "somebody".to_owned())
}
