//! The running control plane: sockets, tasks, and how they end. No logic of its own: it wires the stages.
//!
//! In reading order: [`Server`] starts everything and ends it in order; `state` is what tasks share; `intents` and `reload` keep the
//! intents in force, `plan_loop` turns them and the evidence into budgets, `replicas` shares those with other processes, `models` knows what their plan was made from, `enforcement` publishes them less what is stopped, `discovery` single calls into candidates, `records` keeps the last of them; `http` answers people and scrapers, before whom `guard` stands; `orders` takes what they change; `api` and `metrics`
//! shape the answers, `standing` says who is there and who is missing; [`exposition`] writes metric formats.
//!
//! Ending: no new streams, those open end after the report they are at, the committer answers what is queued and stores it, and
//! then the process may go. What is not acknowledged stays with the sidecars.

mod api;
mod discovery;
mod enforcement;
pub mod exposition;
mod folders;
mod guard;
mod http;
mod intents;
mod metrics;
mod models;
mod orders;
mod plan_loop;
mod ready;
pub(crate) mod records;
mod reload;
mod replicas;
mod standing;
mod state;
mod traces;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::{self, Address, Changers, Config, Engine, Identity, Proof, Readers};
use crate::connections::{BindError, Door, Listener, allow_descriptors};
pub(crate) use crate::engine::nats::DEAD as SILENT;
use crate::engine::nats::{Around, Cluster};
use crate::identity::{Credentials, CredentialsError, Gate, Operators, Port};
use crate::ingest::otlp::Batches;
use crate::ingest::{
    Committer, CommitterSettings, EvidenceReceiver, Queue, Records, RecordsReceiver, records,
};
use crate::store::{GenerationGate, OpenError, Store, Stored};
use emac_document::{ReplaceError, remove_leftovers, replace_file};
use emac_push::Now;
use emac_push::service::{Admission, PushService, ServiceLimits};
use enforcement::Keep;
pub(crate) use enforcement::names::sentence as unknown_journey;
use guard::Guard;
pub use intents::Intents;
pub(crate) use standing::age_of as age;
use state::Shared;
use traces::Traces;

/// How long open connections may take to end; then they are cut.
const GRACE: Duration = Duration::from_secs(5);
/// Over which the streams of one replica of several end.
const DRAIN: Duration = Duration::from_secs(3);

const UNSAID: &str = "nobody said how sidecars prove who they are. Write one of these into the configuration:
  identity: {sidecar: true}        # behind an Istio sidecar, listen.grpc on loopback or unix:PATH
  identity: {tls: {certificate: cert.pem, key: key.pem, authorities: ca.pem}}
  identity: {tokenKeys: token.keys}
  identity: none                   # or --identity none: whoever reaches the port may report and ask for everything";
const OPEN_SIDECAR: &str = "identity.sidecar: listen.grpc is not on loopback, so others than the sidecar could reach it and write \
     `x-forwarded-client-cert` themselves. Listen on 127.0.0.1 or unix:PATH, or prove identities by identity.tls";

const UNPROVABLE: &str = "api: `proven` without a way to prove anything: set `api.tokenKeys`, or `api.operators` with identity.tls or identity.sidecar";
const SIDECAR_IS_LOOPBACK: &str = "api.change: loopback: with identity.sidecar whoever the sidecar lets through comes from loopback; \
     write `proven` and set `api.tokenKeys` or `api.operators`";
const NO_CERTIFICATES: &str = "api.operators: accounts are proven by certificates: set identity.tls or identity.sidecar, or use `api.tokenKeys`";

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
        address: Address,
        /// What stands in the way.
        source: BindError,
    },
    /// Nobody said how sidecars prove who they are, or in a way that anybody could pretend.
    #[error("{0}")]
    Identity(&'static str),
    /// A certificate or a key cannot be used.
    #[error("identity: {0}")]
    Credentials(#[from] CredentialsError),
    /// What other replicas share is not what the configuration says.
    #[error("engine: {0}")]
    Engine(String),
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
    grpc: Address,
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
        let clock = Clock::start();
        let credentials = match identity {
            Identity::Nobody => None,
            Identity::Proven(proof) => Some(Arc::new(Credentials::load(proof)?)),
        };
        let gate = Arc::new(Gate::new(identity, credentials.clone(), config.connections, clock));
        let operator_keys = operator_keys(config, credentials.as_ref())?;
        let operators = Operators::new(config, operator_keys.clone(), clock);
        let guard = Guard::new(config, operators);
        // What the state directory holds is looked at before anything is made in it.
        let orders = Keep::of(config.state.as_deref());
        let (store, stored) = open_store(config)?;
        // With a store in it the folder is this process's alone from here on.
        config.state.as_deref().into_iter().for_each(tidy);
        allow_descriptors(config.connections.open);
        let (grpc_address, http_address) = (&config.listen.grpc, Address::Tcp(config.listen.http));
        let (grpc, http) = (listen(grpc_address, config)?, listen(&http_address, config)?);
        let switch = (orders, config.enforcement.clone());
        let (evidence, durable) = (&config.evidence, durability(store.as_ref()));
        let mut shared = Shared::new(clock, stored, evidence, durable, intents, (gate, guard), switch);
        let (recorded, receiver) = config
            .discovery
            .enabled
            .then(|| records(config.discovery.queue, Arc::clone(&shared.stats)))
            .unzip();
        let joined = match &config.engine {
            Engine::Embedded => None,
            Engine::Nats(nats) => Some(join(config, nats, &http, &mut shared, recorded.clone())?),
        };
        let shared = Arc::new(shared);
        let (queue, committer) = match (joined, store) {
            (Some(joined), _) => joined,
            (None, store) => keep(config, store.unwrap_or_else(Store::in_memory), &shared, recorded)?,
        };
        let (traces, batches) = Traces::listen(config, &shared)?;
        let discovery =
            receiver.map(|receiver| start_discovery(config, receiver, batches, &shared)).transpose()?;
        let mut server = Self {
            grpc: grpc.address(grpc_address),
            http: address_of(&http, config),
            shared,
            shutdown: CancellationToken::new(),
            tasks: JoinSet::new(),
            committer,
            discovery,
        };
        server.write_ports(config.ports_file.as_deref(), &traces)?;
        traces.spawn(&mut server.tasks, &server.shared.gate, &server.shutdown);
        server.spawn_servers(grpc, http, queue);
        server.spawn_loops(config);
        let operator_keys = operator_keys.filter(|_| config.api.token_keys.is_some());
        for credentials in [credentials, operator_keys].into_iter().flatten() {
            server.tasks.spawn(credentials.watch(server.shutdown.clone()));
        }
        Ok(server)
    }

    /// Where evidence and budgets are served.
    pub fn grpc(&self) -> &Address {
        &self.grpc
    }

    /// Where the API is served.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Reads the intents again, changed or not.
    pub fn reload(&self) {
        self.shared.reload.notify_one();
    }

    /// Comes with the reason when this process cannot go on as it is configured; never, where it is alone.
    pub async fn failed(&self) -> String {
        let Some(cluster) = &self.shared.cluster else { return std::future::pending().await };
        let mut fatal = cluster.fatal();
        let reason = fatal.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        match reason {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }

    /// Ends every task, then stores what is queued. Takes at most a few seconds.
    pub async fn shutdown(mut self) {
        self.shared.stop();
        // Others take over what this one held before its sidecars come to them.
        if let Some(cluster) = &self.shared.cluster {
            cluster.leave().await;
        }
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

    fn spawn_servers(&mut self, grpc: Listener, http: Listener, queue: Queue) {
        let (shared, shutdown) = (&self.shared, &self.shutdown);
        let gate = &shared.gate;
        let limits = *gate.limits();
        // Alone, there is nobody to go to while this process still answers.
        let drain = if shared.cluster.is_some() { DRAIN } else { Duration::ZERO };
        let evidence = EvidenceReceiver::new(queue, Arc::clone(&shared.stats), limits, shutdown.clone())
            .with_drain(drain);
        let (feed, proxies) = (shared.publisher.feed(), Arc::clone(&shared.proxies));
        let push_limits = ServiceLimits {
            streams_max: limits.streams,
            first_request_within: Duration::from_millis(limits.first_message.0),
            read_within: Duration::from_millis(limits.stalled.0),
            drain,
            ..ServiceLimits::default()
        };
        let push = PushService::new(feed, proxies, now(shared), shutdown.clone())
            .with_limits(push_limits)
            .with_admission(Arc::clone(gate) as Arc<dyn Admission>);
        let identify = {
            let gate = Arc::clone(gate);
            move |request| gate.identify(request)
        };
        let services = Routes::new(InterceptedService::new(evidence.into_server(), identify.clone()))
            .add_service(InterceptedService::new(push.into_server(), identify));
        let api = http::router(Arc::clone(shared));
        for (port, listener, router) in
            [(Port::Grpc, grpc, services.prepare().into_axum_router()), (Port::Http, http, api)]
        {
            let door = Door::new(port, Arc::clone(gate));
            self.tasks.spawn(door.serve(listener, router, shutdown.clone()));
        }
        info!(grpc = %self.grpc, http = %self.http, "listening");
    }

    fn spawn_loops(&mut self, config: &Config) {
        let (shared, stop) = (Arc::clone(&self.shared), self.shutdown.clone());
        self.tasks.spawn(plan_loop::run(Arc::clone(&shared), config.plan_period, stop.clone()));
        self.tasks.spawn(reload::run(Arc::clone(&shared), config.intents.clone(), stop.clone()));
        if let Some(cluster) = shared.cluster.clone() {
            self.tasks.spawn(replicas::follow(Arc::clone(&shared), cluster, stop.clone()));
        }
        self.tasks.spawn(enforcement::tend(Arc::clone(&shared), stop.clone()));
        if let Some(file) = &config.file {
            self.tasks.spawn(enforcement::watch::run(Arc::clone(&shared), file.clone(), stop.clone()));
        }
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

/// Removes from the state directory what a process that was killed while it wrote has left.
fn tidy(state: &Path) {
    let found = remove_leftovers(state);
    if let Some(example) = found.example {
        let (removed, example) = (found.removed, example.display().to_string());
        info!(removed, example, "removed temporary files of a process that was killed while it wrote");
    }
}

/// Where HTTP listens.
fn address_of(http: &Listener, config: &Config) -> SocketAddr {
    match http.address(&Address::Tcp(config.listen.http)) {
        Address::Tcp(address) => address,
        Address::Unix(_) => config.listen.http,
    }
}

/// Whether evidence survives a restart, and what makes the numbers of plans durable. With others it does, and the plan that all agree on has them.
fn durability(store: Option<&Store>) -> (bool, GenerationGate) {
    match store {
        Some(store) => (store.is_durable(), store.generations()),
        None => (true, Store::in_memory().generations()),
    }
}

/// None where everything is kept elsewhere.
fn open_store(config: &Config) -> Result<(Option<Store>, Stored), StartError> {
    match (&config.engine, &config.state) {
        (Engine::Nats(_), _) => Ok((None, Stored::default())),
        (Engine::Embedded, None) => Ok((Some(Store::in_memory()), Stored::default())),
        (Engine::Embedded, Some(directory)) => {
            let (store, stored) = Store::open(directory)?;
            Ok((Some(store), stored))
        }
    }
}

/// The way in for reports, and the thread at its end.
type Intake = (Queue, JoinHandle<()>);

/// Alone: evidence goes into the store.
fn keep(
    config: &Config,
    store: Store,
    shared: &Arc<Shared>,
    recorded: Option<Records>,
) -> Result<Intake, StartError> {
    let settings = CommitterSettings {
        queue: config.evidence.queue,
        delay: Duration::from_millis(config.evidence.commit_delay.0),
    };
    let generation = {
        let shared = Arc::clone(shared);
        move || shared.plan.load().generation.max(shared.enforcement.generation())
    };
    let (aggregate, stats) = (Arc::clone(&shared.aggregate), Arc::clone(&shared.stats));
    Committer::spawn(settings, store, aggregate, stats, shared.clock, generation, recorded)
        .map_err(StartError::Thread)
}

/// One of several: evidence goes into NATS.
fn join(
    config: &Config,
    nats: &config::Nats,
    http: &Listener,
    shared: &mut Shared,
    records: Option<Records>,
) -> Result<Intake, StartError> {
    shared.be_one_of_several();
    let (aggregate, stats) = (Arc::clone(&shared.aggregate), Arc::clone(&shared.stats));
    let (queue, reports) = Queue::new(config.evidence.queue, Arc::clone(&stats));
    let proxies = Arc::clone(&shared.proxies);
    let around = Around { aggregate, stats, clock: shared.clock, records, proxies };
    let address = address_of(http, config);
    let (cluster, thread) = Cluster::start(nats, address, around, reports).map_err(StartError::Thread)?;
    shared.cluster = Some(Arc::new(cluster));
    Ok((queue, thread))
}

/// Keys of operators' tokens, if there are any.
fn operator_keys(
    config: &Config,
    sidecars: Option<&Arc<Credentials>>,
) -> Result<Option<Arc<Credentials>>, StartError> {
    let own = config.api.token_keys.clone();
    let keys = match own {
        Some(file) => {
            Some(Arc::new(Credentials::load(&Proof { token_keys: Some(file), ..Proof::default() })?))
        }
        None => sidecars.filter(|credentials| credentials.has_token_keys()).cloned(),
    };
    checked_api(config, keys.is_some())?;
    Ok(keys)
}

/// Whoever must prove something can, and loopback means this machine.
fn checked_api(config: &Config, keys: bool) -> Result<(), StartError> {
    let api = &config.api;
    let sidecar = matches!(&config.identity, Some(Identity::Proven(proof)) if proof.sidecar);
    let proves = api.change == Some(Changers::Proven) || [api.read, api.metrics].contains(&Readers::Proven);
    if proves && !keys && api.operators.is_empty() {
        return Err(StartError::Identity(UNPROVABLE));
    }
    if api.change == Some(Changers::Loopback) && sidecar {
        return Err(StartError::Identity(SIDECAR_IS_LOOPBACK));
    }
    let accounts =
        matches!(&config.identity, Some(Identity::Proven(proof)) if proof.tls.is_some() || proof.sidecar);
    if !api.operators.is_empty() && !accounts {
        return Err(StartError::Identity(NO_CERTIFICATES));
    }
    if api.changers(keys, config.identity == Some(Identity::Nobody)) == Changers::Nobody {
        warn!(
            "api: nobody may change anything, so `emac stop-enforcing` is refused: set `api.tokenKeys` or `api.operators`; \
             `enforcement: stopped` in the configuration works"
        );
    }
    let tls = matches!(&config.identity, Some(Identity::Proven(proof)) if proof.tls.is_some());
    if keys && !tls && !config.listen.http.ip().is_loopback() {
        warn!(
            "api: operators' tokens cross the network to {} in the clear: set identity.tls",
            config.listen.http
        );
    }
    Ok(())
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
        Identity::Proven(proof) if proof.sidecar && !config.listen.grpc.is_local() => {
            return Err(StartError::Identity(OPEN_SIDECAR));
        }
        Identity::Proven(proof) => {
            if proof.token_keys.is_some() && proof.tls.is_none() && !config.listen.grpc.is_local() {
                warn!("identity.tokenKeys without identity.tls: tokens cross the network in the clear");
            }
        }
    }
    Ok(identity)
}

fn listen(address: &Address, config: &Config) -> Result<Listener, StartError> {
    let keepalive = Duration::from_millis(config.connections.keepalive.0);
    Listener::bind(address, keepalive)
        .map_err(|source| StartError::Listen { address: address.clone(), source })
}
