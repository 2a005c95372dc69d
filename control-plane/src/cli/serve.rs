//! `emac serve`: the control plane as a process.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::exit::Exit;
use super::log_fields::fields;
use super::output::{Format, colors, complain, show_problems};
use crate::config::{self, Address, Config, Log, LogFormat, Overrides};
use crate::serve::{Intents, Server, StartError};
use emac_document::Problems;

/// Run the control plane: receives evidence, sends budgets
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  emac serve --config emac.yaml
  emac serve --grpc 127.0.0.1:0 --http 127.0.0.1:0 --identity none --intent journeys/")]
pub(super) struct Args {
    /// Configuration file; default: built-in defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen address for evidence and budgets (gRPC); port 0: any free port; or unix:PATH
    #[arg(long, value_name = "IP:PORT")]
    grpc: Option<Address>,
    /// Listen address for API and metrics (HTTP); port 0: any free port
    #[arg(long, value_name = "IP:PORT")]
    http: Option<SocketAddr>,
    /// `none`: sidecars prove nothing; whoever reaches the port may report and ask for everything
    #[arg(long, value_enum, value_name = "none")]
    identity: Option<NoIdentity>,
    /// Write the bound addresses to this file, as JSON
    #[arg(long, value_name = "FILE")]
    ports_file: Option<PathBuf>,
    /// Directory of the store; without it nothing survives a restart
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// File, directory or glob of intents; repeatable
    #[arg(long = "intent", value_name = "PATH")]
    intents: Vec<String>,
    /// Format of log lines
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
    /// Log filter, such as `info` or `info,emac_control_plane::ingest=debug`
    #[arg(long, value_name = "FILTER", value_parser = check_level)]
    log_level: Option<String>,
}

/// The only identity that needs no file.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum NoIdentity {
    /// Nobody proves anything.
    None,
}

pub(super) fn run(args: &Args) -> Exit {
    let problems = Problems::new();
    let configured = configure(args, &problems);
    let Some((config, intents)) = configured.and_then(|config| with_intents(config, &problems)) else {
        show_problems(&problems, Format::Text);
        return Exit::InvalidInput;
    };
    start_log(&config.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    match runtime.block_on(serve(&config, intents)) {
        Ok(()) => Exit::Ok,
        Err(error @ (StartError::Identity(_) | StartError::Credentials(_) | StartError::Engine(_))) => {
            complain(error);
            Exit::InvalidInput
        }
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(message: &str) -> Exit {
    complain(message);
    Exit::Runtime
}

fn configure(args: &Args, problems: &Problems) -> Option<Config> {
    let mut config = match &args.config {
        Some(path) => config::load(path, problems)?,
        None => Config::default(),
    };
    let overrides = Overrides {
        grpc: args.grpc.clone(),
        http: args.http,
        no_identity: args.identity.is_some(),
        ports_file: args.ports_file.clone(),
        state: args.state.clone(),
        intents: args.intents.clone(),
        log_format: args.log_format,
        log_level: args.log_level.clone(),
    };
    overrides.apply(&mut config);
    Some(config)
}

fn with_intents(config: Config, problems: &Problems) -> Option<(Config, Intents)> {
    let intents = Intents::load(&config.intents, problems)?;
    Some((config, intents))
}

/// Runs until a signal says otherwise.
async fn serve(config: &Config, intents: Intents) -> Result<(), StartError> {
    // Before anything runs, so that a signal during the start is not the end without order.
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signal)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(StartError::Signal)?;
    let server = Server::start(config, intents).await?;
    let reason = loop {
        tokio::select! {
            _ = terminate.recv() => break "SIGTERM",
            _ = interrupt.recv() => break "SIGINT",
            _ = hangup.recv() => server.reload(),
            problem = server.failed() => {
                server.shutdown().await;
                return Err(StartError::Engine(problem));
            }
        }
    };
    info!(reason, "shutting down");
    server.shutdown().await;
    info!("stopped");
    Ok(())
}

fn check_level(text: &str) -> Result<String, String> {
    config::check_log_level(text).map(|()| text.to_string())
}

/// Libraries that handle bytes of peers and log what is wrong with them, a line each time: what matters of it is counted and logged at a bounded
/// rate here. Whoever names one in the level hears it.
const OF_PEERS: [&str; 7] = ["h2", "hyper", "hyper_util", "rustls", "tokio_rustls", "tonic", "tower"];

fn quiet(filter: Targets, level: &str) -> Targets {
    let is_named = |target: &str| {
        level.split(',').any(|part| part.split_once('=').is_some_and(|(of, _)| of.trim() == target))
    };
    let quiet = OF_PEERS.into_iter().filter(|target| !is_named(target));
    filter.with_targets(quiet.map(|target| (target, LevelFilter::ERROR)))
}

fn start_log(log: &Log) {
    // Checked where it was read.
    let filter = log.level.parse::<Targets>().unwrap_or_default();
    let filter = quiet(filter, &log.level);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(colors(&io::stderr()));
    let registry = tracing_subscriber::registry().with(filter);
    match log.format {
        LogFormat::Text => registry.with(lines.fmt_fields(fields())).init(),
        LogFormat::Json => registry.with(lines.json()).init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn libraries_that_read_what_peers_send_warn_of_nothing_unless_named() {
        let filter = |level: &str| quiet(level.parse().unwrap(), level);
        for target in OF_PEERS {
            for level in ["info", "debug", "info,emac_control_plane=debug"] {
                assert!(!filter(level).would_enable(target, &Level::WARN), "{target} at {level}");
            }
            let named = format!("info,{target}=debug");
            assert!(filter(&named).would_enable(target, &Level::DEBUG), "{named}");
        }
        assert!(!filter("info").would_enable("h2::proto::streams", &Level::WARN));
        assert!(filter("info").would_enable("emac_control_plane::ingest", &Level::INFO));
    }
}
