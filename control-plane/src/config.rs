//! `emac.yaml`: how a control plane runs.
//!
//! ```yaml
//! apiVersion: emac.dev/v1alpha1
//! kind: ControlPlaneConfig
//! listen: {grpc: "127.0.0.1:18000", http: "127.0.0.1:8080"}   # port 0: any free one
//! identity: {tls: {certificate: cert.pem, key: key.pem, authorities: ca.pem}}   # or `none`, in so many letters
//! portsFile: ports.json            # the bound addresses, for programs that start this one
//! state: state                     # a directory; left out: nothing survives a restart
//! intents: [journeys]              # files, directories, globs
//! connections: {open: 65536, streams: 65536, idle: 2m}
//! evidence: {window: 5s, queue: 1024, commitDelay: 5ms, capacity: {hops: 131072}}
//! plan: {period: 500ms}
//! engine: {nats: {url: ["nats://nats:4222"], cluster: prod}}   # several replicas; left out: embedded, one
//! discovery: {enabled: true, window: 5m, mesh: [k8s]}
//! api: {hosts: [emac.emac-system.svc], tokenKeys: operator.keys}
//! enforcement: running             # or `stopped`: no sidecar acts; read again when the file changes
//! log: {format: text, level: info}
//! ```
//!
//! Every field but `apiVersion`, `kind` and `identity` may be left out. Paths are relative to the file. All problems of a file are reported at
//! once; flags of `emac serve` are laid over the result by [`Overrides`]. Left out: anything a journey decides for itself (leases,
//! modes, bounds), which its intent states.

mod address;
mod api;
mod capacity;
mod connections;
mod discovery;
mod enforcement;
mod engine;
mod identity;
mod read;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use emac_core::units::Millis;

pub use address::{Address, InvalidAddress};
pub use api::{Api, Changers, Readers};
pub use capacity::Capacity;
pub use connections::ConnectionLimits;
pub use discovery::{Discovery, Otlp};
pub use enforcement::Stopped;
pub use engine::{Engine, Nats, NatsTls};
pub use identity::{Allowed, Identity, Proof, TlsFiles};
pub(crate) use read::{BYTES_MAX, enforcement_of, of_text, salvaged, table};
pub use read::{KIND, load, read};

/// How a control plane runs, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen.
    pub listen: Listen,
    /// How sidecars prove who they are. Nothing starts without: `none` must be written.
    pub identity: Option<Identity>,
    /// How much peers may take.
    pub connections: ConnectionLimits,
    /// Written with the bound addresses once both sockets listen.
    pub ports_file: Option<PathBuf>,
    /// Directory of the store; `None`: in memory.
    pub state: Option<PathBuf>,
    /// Files, directories and globs of intents.
    pub intents: Vec<String>,
    /// Taking in evidence.
    pub evidence: EvidenceConfig,
    /// How often a plan is made, 50 ms ..= 1 h.
    pub plan_period: Millis,
    /// Where evidence and plans are kept.
    pub engine: Engine,
    /// Discovering models.
    pub discovery: Discovery,
    /// Who may ask and change what over HTTP.
    pub api: Api,
    /// What the configuration stops.
    pub enforcement: Option<Stopped>,
    /// The file it was read from.
    pub file: Option<PathBuf>,
    /// What is logged.
    pub log: Log,
}

/// Addresses; loopback unless somebody decides otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Evidence and budgets.
    pub grpc: Address,
    /// API, health and metrics.
    pub http: SocketAddr,
}

/// Taking in evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvidenceConfig {
    /// How far back the planner looks, 1 s ..= 5 min.
    pub window: Millis,
    /// Reports waiting for the store, 1 ..= 65 536; beyond it sidecars are asked to come again.
    pub queue: usize,
    /// How long a commit waits for company, 1 ms ..= 1 s: longer means fewer disk flushes and later acknowledgements.
    pub commit_delay: Millis,
    /// How much is kept apart.
    pub capacity: Capacity,
}

/// What is logged, to standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// For people or for machines.
    pub format: LogFormat,
    /// A `tracing` filter, as `info` or `emac_control_plane::ingest=debug`.
    pub level: String,
}

/// For people or for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// A line of text.
    Text,
    /// A JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            identity: None,
            connections: ConnectionLimits::default(),
            ports_file: None,
            state: None,
            intents: Vec::new(),
            evidence: EvidenceConfig::default(),
            plan_period: Millis(500),
            engine: Engine::default(),
            discovery: Discovery::default(),
            api: Api::default(),
            enforcement: None,
            file: None,
            log: Log::default(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { grpc: local(18_000).into(), http: local(8_080) }
    }
}

impl Default for EvidenceConfig {
    /// Five seconds hold the calls for a p99 at a hundred a second and let a fault show within one (a slow dependency of the checkout
    /// example changes its timeout after 1.0 s, with ten seconds after 2.1 s); 1 024 reports are one from each of a
    /// thousand sidecars; 5 ms are unnoticed by a sidecar that reports every few hundred and halve the flushes under load.
    fn default() -> Self {
        Self { window: Millis(5_000), queue: 1_024, commit_delay: Millis(5), capacity: Capacity::default() }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_string() }
    }
}

/// What the command line says over the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Replaces `listen.grpc`.
    pub grpc: Option<Address>,
    /// Replaces `listen.http`.
    pub http: Option<SocketAddr>,
    /// Says `identity: none`.
    pub no_identity: bool,
    /// Replaces `portsFile`.
    pub ports_file: Option<PathBuf>,
    /// Replaces `state`.
    pub state: Option<PathBuf>,
    /// Replaces `intents` when not empty.
    pub intents: Vec<String>,
    /// Replaces `log.format`.
    pub log_format: Option<LogFormat>,
    /// Replaces `log.level`.
    pub log_level: Option<String>,
}

impl Overrides {
    /// Lays itself over a configuration.
    pub fn apply(self, config: &mut Config) {
        replace(&mut config.listen.grpc, self.grpc);
        replace(&mut config.listen.http, self.http);
        if self.no_identity {
            config.identity = Some(Identity::Nobody);
        }
        replace(&mut config.log.format, self.log_format);
        replace(&mut config.log.level, self.log_level);
        config.ports_file = self.ports_file.or_else(|| config.ports_file.take());
        config.state = self.state.or_else(|| config.state.take());
        if !self.intents.is_empty() {
            config.intents = self.intents;
        }
    }
}

/// Refuses what `tracing` would take for the name of a module: `inof` would silence everything.
pub(crate) fn check_log_level(text: &str) -> Result<(), String> {
    // Nothing at all would be taken for `error`.
    let is_level =
        |part: &str| !part.is_empty() && part.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    match text.split(',').find(|part| !is_level(part.rsplit('=').next().unwrap_or(part))) {
        Some(part) => Err(format!("`{part}` is not a log level")),
        None => Ok(()),
    }
}

fn replace<T>(place: &mut T, with: Option<T>) {
    if let Some(with) = with {
        *place = with;
    }
}
