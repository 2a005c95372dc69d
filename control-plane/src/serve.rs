//! The running control plane: sockets, tasks, and how they end. No logic of its own: it wires the stages.
//!
//! In reading order: [`Server`] starts everything and ends it in order; `state` is what tasks share; `intents` and `reload` keep the
//! intents in force, `plan_loop` turns them and the evidence into budgets, `discovery` single calls into candidates, `records` keeps the last of them; `http` answers people and scrapers; `api` and `metrics`
//! shape the answers, `standing` says who is there and who is missing; [`exposition`] writes metric formats.
//!
//! Ending: no new streams, those open end after the report they are at, the committer answers what is queued and stores it, and
//! then the process may go. What is not acknowledged stays with the sidecars.

mod api;
mod discovery;
pub mod exposition;
mod http;
mod intents;
mod metrics;
mod plan_loop;
pub(crate) mod records;
mod reload;
mod standing;
mod state;
mod traces;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::{Config, Identity};
use crate::identity::{Credentials, CredentialsError, Gate, Incoming, Protocol};
use crate::ingest::otlp::Batches;
use crate::ingest::{Committer, CommitterSettings, EvidenceReceiver, Queue, RecordsReceiver, records};
use crate::store::{OpenError, Store, Stored};
use emac_document::{ReplaceError, replace_file};
use emac_push::Now;
use emac_push::service::{Admission, PushService};
use intents::Fingerprint;
pub use intents::Intents;
pub(crate) use standing::age_of as age;
use state::Shared;
use traces::Traces;

/// How long open connections may take to end; then they are cut.
const GRACE: Duration = Duration::from_secs(5);
/// Sidecars keep streams for days; a dead peer is noticed by its silence on these pings.
const KEEPALIVE: Duration = Duration::from_secs(15);

const UNSAID: &str = "nobody said how sidecars prove who they are. Write one of these into the configuration:
  identity: {sidecar: true}        # behind an Istio sidecar, listen.grpc on loopback
  identity: {tls: {certificate: cert.pem, key: key.pem, authorities: ca.pem}}
  identity: {tokenKeys: token.keys}
  identity: none                   # or --identity none: whoever reaches the port may report and ask for everything";
const OPEN_SIDECAR: &str = "identity.sidecar: listen.grpc is not on loopback, so others than the sidecar could reach it and write \
     `x-forwarded-client-cert` themselves. Listen on 127.0.0.1, or prove identities by identity.tls";

/// Why a control plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nobody said how sidecars prove who they are, or in a way that anybody could pretend.
    #[error("{0}")]
    Identity(&'static str),
    /// A certificate or a key cannot be used.
    #[error("identity: {0}")]
    Credentials(#[from] CredentialsError),
    /// The ports file cannot be written.
    #[error("cannot write {0}")]
    PortsFile(#[source] ReplaceError),
    /// The system refuses a thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
    /// The system refuses a signal handler.
    #[error("cannot listen for signals: {0}")]
    Signal(#[source] std::io::Error),
}

/// A control plane that runs; ends by [`Server::shutdown`].
#[derive(Debug)]
pub struct Server {
    grpc: SocketAddr,
    http: SocketAddr,
    shared: Arc<Shared>,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
    committer: JoinHandle<()>,
    discovery: Option<JoinHandle<()>>,
}

impl Server {
    /// Opens the store, listens, and starts every task. Returns when both sockets take connections. `intents` are those of
    /// `config.intents`, read by the caller, who can tell people what is wrong with them.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub async fn start(config: &Config, intents: Intents) -> Result<Self, StartError> {
        let identity = checked_identity(config)?;
        let (clock, read) = (Clock::start(), Fingerprint::take(&config.intents).with_models(&intents));
        let credentials = match identity {
            Identity::Nobody => None,
            Identity::Proven(proof) => Some(Arc::new(Credentials::load(proof)?)),
        };
        let gate = Arc::new(Gate::new(identity, credentials.clone(), clock));
        let (store, stored) = open_store(config.state.as_deref())?;
        let grpc = listen(config.listen.grpc).await?;
        let http = listen(config.listen.http).await?;
        let shared =
            Arc::new(Shared::new(clock, stored, &config.evidence, store.is_durable(), intents, gate));
        let settings = CommitterSettings {
            queue: config.evidence.queue,
            delay: Duration::from_millis(config.evidence.commit_delay.0),
        };
        let generation = {
            let shared = Arc::clone(&shared);
            move || shared.plan.load().generation
        };
        let (aggregate, stats) = (Arc::clone(&shared.aggregate), Arc::clone(&shared.stats));
        let (recorded, receiver) = config
            .discovery
            .enabled
            .then(|| records(config.discovery.queue, Arc::clone(&shared.stats)))
            .unzip();
        let (queue, committer) =
            Committer::spawn(settings, store, aggregate, stats, clock, generation, recorded)
                .map_err(StartError::Thread)?;
        let (traces, batches) = Traces::listen(config, &shared).await?;
        let discovery =
            receiver.map(|receiver| start_discovery(config, receiver, batches, &shared)).transpose()?;
        let mut server = Self {
            grpc: grpc.local_addr().unwrap_or(config.listen.grpc),
            http: http.local_addr().unwrap_or(config.listen.http),
            shared,
            shutdown: CancellationToken::new(),
            tasks: JoinSet::new(),
            committer,
            discovery,
        };
        server.write_ports(config.ports_file.as_deref(), &traces)?;
        traces.spawn(&mut server.tasks, &server.shutdown);
        server.spawn_servers(grpc, http, queue);
        server.spawn_loops(config, read);
        if let Some(credentials) = credentials {
            server.tasks.spawn(credentials.watch(server.shutdown.clone()));
        }
        Ok(server)
    }

    /// Where evidence and budgets are served.
    pub fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// Where the API is served.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Reads the intents again, changed or not.
    pub fn reload(&self) {
        self.shared.reload.notify_one();
    }

    /// Ends every task, then stores what is queued. Takes at most a few seconds.
    pub async fn shutdown(mut self) {
        self.shared.stop();
        self.shutdown.cancel();
        let ended = tokio::time::timeout(GRACE, async { while self.tasks.join_next().await.is_some() {} });
        if ended.await.is_err() {
            warn!("connections did not end within {GRACE:?} and were closed");
            self.tasks.shutdown().await;
        }
        // The last queue is gone with its server, so the committer is at its last batch.
        let committer = self.committer;
        if tokio::task::spawn_blocking(move || committer.join()).await.is_err() {
            warn!("the committer did not shut down cleanly");
        }
        // Its queue is gone with the committer.
        if let Some(discovery) = self.discovery
            && tokio::task::spawn_blocking(move || discovery.join()).await.is_err()
        {
            warn!("discovery did not shut down cleanly");
        }
    }

    fn spawn_servers(&mut self, grpc: TcpListener, http: TcpListener, queue: Queue) {
        let (shared, shutdown) = (&self.shared, &self.shutdown);
        let gate = &shared.gate;
        let evidence = EvidenceReceiver::new(queue, Arc::clone(&shared.stats), shutdown.clone());
        let (snapshots, proxies) = (shared.publisher.subscribe(), Arc::clone(&shared.proxies));
        let push = PushService::new(snapshots, proxies, now(shared), shutdown.clone())
            .with_admission(Arc::clone(gate) as Arc<dyn Admission>);
        let identify = {
            let gate = Arc::clone(gate);
            move |request| gate.identify(request)
        };
        let incoming =
            |listener, protocol| Incoming::listen(listener, protocol, Arc::clone(gate), shutdown.clone());
        let grpc_server = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE))
            .add_service(InterceptedService::new(evidence.into_server(), identify.clone()))
            .add_service(InterceptedService::new(push.into_server(), identify))
            .serve_with_incoming_shutdown(
                ReceiverStream::new(incoming(grpc, Protocol::Grpc)),
                shutdown.clone().cancelled_owned(),
            );
        let http_server = axum::serve(
            http::Connections::new(incoming(http, Protocol::Http), self.http),
            http::router(Arc::clone(shared)),
        )
        .with_graceful_shutdown(shutdown.clone().cancelled_owned());
        self.tasks.spawn(async move { log_end("grpc", grpc_server.await) });
        self.tasks.spawn(async move { log_end("http", http_server.await) });
        info!(grpc = %self.grpc, http = %self.http, "listening");
    }

    fn spawn_loops(&mut self, config: &Config, read: Fingerprint) {
        let (shared, stop) = (Arc::clone(&self.shared), self.shutdown.clone());
        self.tasks.spawn(plan_loop::run(Arc::clone(&shared), config.plan_period, stop.clone()));
        self.tasks.spawn(reload::run(Arc::clone(&shared), config.intents.clone(), read, stop.clone()));
        self.tasks.spawn(async move { shared.publisher.keep_leases(now(&shared), stop).await });
    }

    /// Written whole or not at all: whoever waits for the file must not read half of it.
    fn write_ports(&self, path: Option<&Path>, traces: &Traces) -> Result<(), StartError> {
        let Some(path) = path else { return Ok(()) };
        let mut ports = serde_json::json!({"grpc": self.grpc.to_string(), "http": self.http.to_string()});
        for (name, address) in traces.addresses() {
            ports[name] = serde_json::json!(address.to_string());
        }
        replace_file(path, format!("{ports}\n").as_bytes()).map_err(StartError::PortsFile)
    }
}

fn start_discovery(
    config: &Config,
    records: RecordsReceiver,
    spans: Option<Batches>,
    shared: &Arc<Shared>,
) -> Result<JoinHandle<()>, StartError> {
    let (state, config, shared) = (config.state.clone(), config.discovery.clone(), Arc::clone(shared));
    let work = move || discovery::run(&config, state.as_deref(), &records, spans, &shared);
    std::thread::Builder::new().name("discovery".into()).spawn(work).map_err(StartError::Thread)
}

fn now(shared: &Arc<Shared>) -> Now {
    let shared = Arc::clone(shared);
    Arc::new(move || shared.moment())
}

fn log_end(server: &str, result: Result<(), impl std::error::Error>) {
    if let Err(problem) = result {
        warn!(server, %problem, "server ended");
    }
}

fn open_store(state: Option<&Path>) -> Result<(Store, Stored), StartError> {
    match state {
        Some(directory) => Ok(Store::open(directory)?),
        None => Ok((Store::in_memory(), Stored::default())),
    }
}

/// How sidecars prove who they are, said in so many words, and in a way that not everybody could pretend.
fn checked_identity(config: &Config) -> Result<&Identity, StartError> {
    let Some(identity) = &config.identity else { return Err(StartError::Identity(UNSAID)) };
    match identity {
        Identity::Nobody => {
            warn!(
                "identity: none: whoever reaches {} may report for every workload and ask for every budget",
                config.listen.grpc
            );
        }
        Identity::Proven(proof) if proof.sidecar && !config.listen.grpc.ip().is_loopback() => {
            return Err(StartError::Identity(OPEN_SIDECAR));
        }
        Identity::Proven(proof) => {
            if proof.token_keys.is_some() && proof.tls.is_none() && !config.listen.grpc.ip().is_loopback() {
                warn!("identity.tokenKeys without identity.tls: tokens cross the network in the clear");
            }
        }
    }
    Ok(identity)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}
