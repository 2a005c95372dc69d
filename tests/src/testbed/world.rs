//! The world: built, started, ready, asked, and gone when dropped.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::control::{ControlPlane, ControlSetup};
use super::envoys::Envoy;
use super::service::{Propagate, Service};
use super::sidecar::{Common, Filter, FilterSetup, Ports};
use super::topology::Topology;
use crate::envoy::{Bootstrap, HeaderRoute, HttpFilter, NotRun, RoutePolicy};
use crate::load::Load;
use crate::stats::Samples;
use crate::supervise::{Process, Reserved, Spec, reserve};

/// A port lost between choosing and binding is chosen again, this often.
const ATTEMPTS: usize = 3;
/// How long a control plane may take to be ready.
const CONTROL_PATIENCE: Duration = Duration::from_secs(30);

/// Why a world did not come to be.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// Something of the machine is missing: a test says so and returns.
    #[error("not run: {0}")]
    NotRun(#[from] NotRun),
    /// Ports, files or processes.
    #[error("starting the testbed")]
    Io(#[from] io::Error),
    /// A process ended or did not get ready; `log` is the end of its output.
    #[error("{name} did not get ready; the end of its log:\n{log}")]
    NotReady {
        /// The process.
        name: String,
        /// At most 2 000 bytes.
        log: String,
    },
}

/// What to build; see [`World::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    topology: Topology,
    seed: u64,
    propagate: Propagate,
    common: Common,
    /// Programs that stand for services, by the services' names.
    applications: BTreeMap<String, Spec>,
    control: Option<ControlSetup>,
    start_control: bool,
    dir: Option<PathBuf>,
}

/// Services, their Envoys, and maybe a control plane; all of it ends when this is dropped.
#[derive(Debug)]
pub struct World {
    // Dropped in this order: Envoys before what they talk to, the directory last.
    envoys: BTreeMap<String, Envoy>,
    control: Option<ControlPlane>,
    services: BTreeMap<String, Service>,
    /// Held only to end with the world.
    _applications: Vec<Process>,
    entry: SocketAddr,
    topology: Topology,
    seed: u64,
    dir: Directory,
}

/// A program in place of a service, and where it has to listen.
struct Application {
    spec: Spec,
    address: SocketAddr,
}

#[derive(Debug)]
enum Directory {
    Temporary(tempfile::TempDir),
    Given(PathBuf),
}

impl Builder {
    /// Who is there; the checkout unless said otherwise.
    #[must_use]
    pub fn topology(mut self, topology: Topology) -> Self {
        self.topology = topology;
        self
    }

    /// Seeds every service's latencies and the load.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Which context headers services hand on.
    #[must_use]
    pub fn propagate(mut self, propagate: Propagate) -> Self {
        self.propagate = propagate;
        self
    }

    /// A program in place of a service. It is told by environment where to listen on loopback (`PORT`) and where its sidecar takes its
    /// calls (`OUTBOUND_PORT`); it does what it wants, not what the topology says.
    #[must_use]
    pub fn application(mut self, service: &str, program: Spec) -> Self {
        self.applications.insert(service.to_owned(), program);
        self
    }

    /// The same plain filter in every listener (for benches).
    #[must_use]
    pub fn plain_filter(mut self, filter: HttpFilter) -> Self {
        self.common.filter = Filter::Plain(filter);
        self
    }

    /// Our filter in every listener.
    #[must_use]
    pub fn filter(mut self, setup: FilterSetup) -> Self {
        self.common.filter = Filter::Emac(setup);
        self
    }

    /// Static timeout and retries of outbound routes.
    #[must_use]
    pub fn policy(mut self, policy: RoutePolicy) -> Self {
        self.common.policy = policy;
        self
    }

    /// Static timeout and retries of the routes to one destination.
    #[must_use]
    pub fn policy_of(mut self, destination: &str, policy: RoutePolicy) -> Self {
        self.common.policies.insert(destination.to_owned(), policy);
        self
    }

    /// Requests to `destination` with this header go to `cluster` instead.
    #[must_use]
    pub fn alternate_route(mut self, destination: &str, header: &str, value: &str, cluster: &str) -> Self {
        let route =
            HeaderRoute { header: header.to_owned(), value: value.to_owned(), cluster: cluster.to_owned() };
        self.common.alternates.entry(destination.to_owned()).or_default().push(route);
        self
    }

    /// In the environment of each Envoy.
    #[must_use]
    pub fn envoy_env(mut self, name: &str, value: &str) -> Self {
        self.common.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Worker threads of each Envoy.
    #[must_use]
    pub fn concurrency(mut self, workers: u32) -> Self {
        self.common.concurrency = workers;
        self
    }

    /// A control plane, started before the Envoys.
    #[must_use]
    pub fn control_plane(mut self, setup: ControlSetup) -> Self {
        self.control = Some(setup);
        self
    }

    /// A control plane that somebody else runs on this port of loopback.
    #[must_use]
    pub fn control_plane_at(mut self, port: u16) -> Self {
        self.common.control_plane = Some(port);
        self
    }

    /// The control plane has its ports, but is started by the scenario.
    #[must_use]
    pub fn control_plane_later(mut self) -> Self {
        self.start_control = false;
        self
    }

    /// Keeps configurations and logs in this directory, which is created. Otherwise they go with the world, unless `EMAC_KEEP` is
    /// set.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Starts everything and waits until it is ready.
    ///
    /// # Errors
    /// [`WorldError::NotRun`] without an Envoy binary; otherwise what did not start, with the end of its log.
    pub async fn start(self) -> Result<World, WorldError> {
        let binary =
            crate::envoy().ok_or_else(|| NotRun("no Envoy: set ENVOY_BIN or run `make tools`".to_owned()))?;
        let mut attempt = 1;
        loop {
            match self.attempt(&binary).await {
                Err(WorldError::NotReady { log, .. }) if attempt < ATTEMPTS && lost_a_port(&log) => {
                    attempt += 1
                }
                result => return result,
            }
        }
    }

    async fn attempt(&self, binary: &Path) -> Result<World, WorldError> {
        let dir = self.directory()?;
        let mut control = None;
        let mut common = self.common.clone();
        if let Some(setup) = &self.control {
            let (grpc, http) = (reserve()?, reserve()?);
            control = Some(ControlPlane::prepare(setup, &grpc, &http, dir.path())?);
            common.control_plane = Some(grpc.port());
        }
        if let Some(control) = control.as_mut().filter(|_| self.start_control) {
            start_control(control).await?;
        }
        let (services, applications, bootstraps, entry) = self.lay_out(&common)?;
        let mut running = Vec::new();
        for application in applications {
            let mut process = Spec { log_dir: dir.path().to_owned(), ..application.spec }.start()?;
            listens(&mut process, application.address).await?;
            running.push(process);
        }
        let mut envoys = BTreeMap::new();
        for bootstrap in bootstraps {
            envoys.insert(
                bootstrap.node.cluster.clone(),
                Envoy::start(binary, bootstrap, &common.env, dir.path())?,
            );
        }
        for envoy in envoys.values_mut() {
            ready(envoy).await?;
        }
        let (topology, seed) = (self.topology.clone(), self.seed);
        Ok(World { envoys, control, services, _applications: running, entry, topology, seed, dir })
    }

    /// Starts the services and chooses every port; the reservations end with this call, just before Envoys bind.
    #[allow(clippy::type_complexity)]
    fn lay_out(
        &self,
        common: &Common,
    ) -> Result<(BTreeMap<String, Service>, Vec<Application>, Vec<Bootstrap>, SocketAddr), WorldError> {
        let mut held: BTreeMap<&str, [Reserved; 3]> = BTreeMap::new();
        for spec in &self.topology.services {
            held.insert(&spec.name, [reserve()?, reserve()?, reserve()?]);
        }
        let inbound: BTreeMap<String, u16> =
            held.iter().map(|(name, [_, inbound, _])| ((*name).to_owned(), inbound.port())).collect();
        let (mut services, mut applications, mut bootstraps) = (BTreeMap::new(), Vec::new(), Vec::new());
        for spec in &self.topology.services {
            let [admin, into, out] = &held[spec.name.as_str()];
            let app = reserve()?;
            let (admin, inbound_port, outbound) = (admin.port(), into.port(), out.port());
            let ports = Ports { admin, inbound: inbound_port, outbound, app: app.port() };
            bootstraps.push(common.sidecar(spec, ports, &inbound));
            if let Some(program) = self.applications.get(&spec.name) {
                let program = program.clone().env("PORT", app.port().to_string());
                let spec = program.env("OUTBOUND_PORT", outbound.to_string());
                applications.push(Application { spec, address: app.address() });
                continue;
            }
            let to = (!spec.destinations().is_empty()).then(|| out.address());
            let service = Service::start(spec.clone(), app, to, self.propagate, self.seed)?;
            services.insert(spec.name.clone(), service);
        }
        let first =
            &self.topology.services.first().ok_or(io::Error::other("a topology needs a service"))?.name;
        let (admin, entry) = (reserve()?, reserve()?);
        bootstraps.push(common.edge(first, admin.port(), entry.port(), inbound[first]));
        Ok((services, applications, bootstraps, entry.address()))
    }

    fn directory(&self) -> io::Result<Directory> {
        if let Some(dir) = &self.dir {
            std::fs::create_dir_all(dir)?;
            return Ok(Directory::Given(dir.clone()));
        }
        let mut temporary = tempfile::Builder::new().prefix("emac-world-").tempdir()?;
        if std::env::var_os("EMAC_KEEP").is_some() {
            temporary.disable_cleanup(true);
            eprintln!("kept: {}", temporary.path().display());
        }
        Ok(Directory::Temporary(temporary))
    }
}

impl Directory {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Given(dir) => dir,
        }
    }
}

impl World {
    /// The checkout on bare Envoys with one worker each, without control plane.
    pub fn builder() -> Builder {
        Builder {
            topology: Topology::checkout(),
            seed: 1,
            propagate: Propagate::default(),
            common: Common {
                filter: Filter::Plain(HttpFilter::None),
                policy: RoutePolicy::default(),
                policies: BTreeMap::new(),
                alternates: BTreeMap::new(),
                control_plane: None,
                concurrency: 1,
                env: Vec::new(),
            },
            applications: BTreeMap::new(),
            control: None,
            start_control: true,
            dir: None,
        }
    }

    /// Where users send requests: the edge's listener.
    pub fn entry(&self) -> SocketAddr {
        self.entry
    }

    /// A load on the entry: `GET /checkout` of `shop.example`, seeded like the world; shape it further.
    pub fn load(&self) -> Load {
        let mut load = Load::get(self.entry, "shop.example", "/checkout").seed(self.seed);
        load.alternates.clone_from(&self.topology.alternates);
        load
    }

    /// A service by name.
    ///
    /// # Panics
    /// When the topology has none of that name, or a program stands for it.
    pub fn service(&self, name: &str) -> &Service {
        self.services.get(name).unwrap_or_else(|| panic!("no service {name}"))
    }

    /// Starts every service's sequence of service times again, so that two runs meet the same luck.
    pub fn reseed(&self) {
        self.services.values().for_each(|s| s.reseed(self.seed));
    }

    /// An Envoy by its service's name, or `edge`.
    ///
    /// # Panics
    /// When there is none of that name.
    pub fn envoy(&self, name: &str) -> &Envoy {
        self.envoys.get(name).unwrap_or_else(|| panic!("no Envoy {name}"))
    }

    /// An Envoy by name, to kill or restart it.
    ///
    /// # Panics
    /// When there is none of that name.
    pub fn envoy_mut(&mut self, name: &str) -> &mut Envoy {
        self.envoys.get_mut(name).unwrap_or_else(|| panic!("no Envoy {name}"))
    }

    /// All Envoys by name.
    pub fn envoys(&self) -> impl Iterator<Item = (&str, &Envoy)> {
        self.envoys.iter().map(|(name, envoy)| (name.as_str(), envoy))
    }

    /// The control plane.
    ///
    /// # Panics
    /// When the world was built without one.
    pub fn control(&self) -> &ControlPlane {
        self.control.as_ref().expect("a world with a control plane")
    }

    /// The control plane, to stop, kill or start it.
    ///
    /// # Panics
    /// When the world was built without one.
    pub fn control_mut(&mut self) -> &mut ControlPlane {
        self.control.as_mut().expect("a world with a control plane")
    }

    /// Statistics of all Envoys together, each sample with the label `envoy`.
    ///
    /// # Errors
    /// When an admin interface does not answer.
    pub async fn stats(&self) -> io::Result<Samples> {
        let mut all = Samples::default();
        for (name, envoy) in &self.envoys {
            let mut samples = envoy.stats().await?;
            for sample in &mut samples.0 {
                sample.labels.insert("envoy".to_owned(), name.clone());
            }
            all.0.append(&mut samples.0);
        }
        Ok(all)
    }

    /// Retries all Envoys have made so far, by their own account.
    ///
    /// # Errors
    /// When an admin interface does not answer.
    pub async fn retries(&self) -> io::Result<u64> {
        let retries = self.stats().await?.sum("envoy_cluster_upstream_rq_retry", &[]);
        // A sum of counters: whole and not negative.
        Ok(retries as u64)
    }

    /// CPU time of all Envoys so far.
    pub fn envoy_cpu(&self) -> Duration {
        self.envoys.values().filter_map(|e| e.process().cpu_time()).sum()
    }

    /// Where configurations and logs are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// Waits until an Envoy serves; gives up at once when it has ended.
async fn ready(envoy: &mut Envoy) -> Result<(), WorldError> {
    let until = std::time::Instant::now() + Envoy::PATIENCE;
    while !envoy.is_ready().await {
        if envoy.process_mut().exited().is_some() || std::time::Instant::now() > until {
            let process = envoy.process();
            return Err(WorldError::NotReady { name: process.name().to_owned(), log: process.log_tail() });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Waits until a program takes connections; gives up at once when it has ended.
async fn listens(process: &mut Process, address: SocketAddr) -> Result<(), WorldError> {
    let until = std::time::Instant::now() + Envoy::PATIENCE;
    while tokio::net::TcpStream::connect(address).await.is_err() {
        if process.exited().is_some() || std::time::Instant::now() > until {
            return Err(WorldError::NotReady { name: process.name().to_owned(), log: process.log_tail() });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn start_control(control: &mut ControlPlane) -> Result<(), WorldError> {
    control.start()?;
    if control.ready_within(CONTROL_PATIENCE).await {
        return Ok(());
    }
    let log = control.process_mut().map(|p| p.log_tail()).unwrap_or_default();
    Err(WorldError::NotReady { name: "control plane".to_owned(), log })
}

fn lost_a_port(log: &str) -> bool {
    ["Address already in use", "EADDRINUSE", "cannot bind", "address in use"].iter().any(|s| log.contains(s))
}
