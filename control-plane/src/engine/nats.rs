//! Several control planes on one NATS JetStream: any takes a report in, one counts it, one plans, all serve.
//!
//! ```text
//! sidecar -> door: PREFIX.evidence.<partition>, acknowledged once JetStream has it          (any replica)
//!         -> share: judged, merged by workload -> PREFIX.counted.<partition>, the log       (the partition's holder)
//!         -> view: totals, marks, the last seconds                                         (every replica, the same)
//!         -> plan loop -> `plan` in the bucket, by compare-and-swap                         (the planner)
//!         -> publisher -> sidecars                                                         (every replica)
//! ```
//!
//! Nothing is believed because of a clock, and nothing because a replica thinks it is alive: what must be one at a time is a compare-and-swap in NATS.
//! Where NATS is away, reports are not acknowledged (sidecars keep them), the plan in force stays and its leases are renewed from it.

mod blob;
mod connect;
mod crew;
mod door;
mod fill;
mod kept;
mod layout;
mod members;
mod merge;
mod message;
mod models;
mod orders;
mod plan_message;
mod planner;
mod presence;
mod reader;
mod share;
mod snapshot;
mod status;
mod view;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_nats::jetstream::context::ContextBuilder;
use emac_push::proxies::Proxies;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::aggregate::Aggregate;
use crate::clock::Clock;
use crate::config;
use crate::ingest::{Records, Stats, Waiting};
use crate::plan::PlanSnapshot;
use crew::Crew;
use door::Door;
use fill::Fill;
use layout::{Layout, LayoutError};
pub(crate) use members::DEAD;
use members::Members;
pub use message::Present;
use models::Models;
pub use models::{ModelsStanding, Texts};
use orders::Orders;
pub use orders::{Behind, Changes, SharedOrders};
pub use planner::AgreedPlan;
use planner::Plans;
use presence::Elsewhere;
use status::{Part, Status};
use view::Position;

/// Before something that failed is tried again.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest that giving up shares may take at the end.
const FAREWELL: Duration = Duration::from_secs(3);
/// JetStream's answers to what is not a report.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the engine shares with the process around it.
#[derive(Clone, Debug)]
pub struct Around {
    /// Written by the engine alone.
    pub aggregate: Arc<RwLock<Aggregate>>,
    /// Counters.
    pub stats: Arc<Stats>,
    /// The process's clock.
    pub clock: Clock,
    /// Where single calls go, if anybody looks at them.
    pub records: Option<Records>,
    /// Who is connected to this process.
    pub proxies: Arc<Proxies>,
}

/// How a replica stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// NATS is there.
    pub connected: bool,
    /// Replicas that may take partitions, this one included.
    pub ready: usize,
    /// Partitions that this replica holds.
    pub mine: usize,
    /// Partitions that nobody holds.
    pub unheld: usize,
    /// This replica makes the plans.
    pub plans: bool,
}

/// This replica's part in the cluster. Everything runs until [`Cluster::leave`].
#[derive(Debug)]
pub struct Cluster {
    me: String,
    status: Arc<Status>,
    members: Arc<Members>,
    position: watch::Receiver<Position>,
    agreed: watch::Receiver<Option<AgreedPlan>>,
    plans: Arc<OnceLock<Arc<Plans>>>,
    orders: Arc<OnceLock<Orders>>,
    models: Arc<OnceLock<Arc<Models>>>,
    /// Ticks when a model came or went.
    models_changed: Arc<watch::Sender<u64>>,
    /// How far this replica follows the shared orders.
    obeys: watch::Sender<u64>,
    elsewhere: Arc<Elsewhere>,
    fill: Arc<Fill>,
    runtime: Handle,
    stop: CancellationToken,
    main: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

/// The ends of the channels that the tasks write.
struct Ends {
    layout: watch::Sender<Option<Layout>>,
    position: watch::Sender<Position>,
    agreed: watch::Sender<Option<AgreedPlan>>,
}

impl Cluster {
    /// Starts connecting, and a thread that takes reports in; returns at once, whether or not NATS is there. The thread ends when every queue of `reports` is
    /// gone.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(
        config: &config::Nats,
        http: SocketAddr,
        around: Around,
        reports: Receiver<Waiting>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let me = name(config);
        let (status, members) = (Arc::new(Status::default()), Arc::new(Members::new(&me)));
        let (layout, layouts) = watch::channel(None);
        let (position, positions) = watch::channel(Position::default());
        let (agreed, agreements) = watch::channel(None);
        let door = Door {
            status: Arc::clone(&status),
            layout: layouts,
            position: positions.clone(),
            aggregate: Arc::clone(&around.aggregate),
            stats: Arc::clone(&around.stats),
            clock: around.clock,
        };
        let thread = door.spawn(reports, Handle::current())?;
        let cluster = Self {
            me,
            status,
            members,
            position: positions,
            agreed: agreements,
            plans: Arc::default(),
            orders: Arc::default(),
            models: Arc::default(),
            models_changed: Arc::new(watch::Sender::new(0)),
            obeys: watch::Sender::new(0),
            elsewhere: Arc::default(),
            fill: Arc::default(),
            runtime: Handle::current(),
            stop: CancellationToken::new(),
            main: Mutex::default(),
        };
        let task = cluster.main(config.clone(), http, around, Ends { layout, position, agreed });
        *cluster.main.lock().unwrap_or_else(PoisonError::into_inner) = Some(tokio::spawn(task));
        Ok((cluster, thread))
    }

    /// Connects, opens the streams, and runs every task until the end.
    fn main(
        &self,
        config: config::Nats,
        http: SocketAddr,
        around: Around,
        ends: Ends,
    ) -> impl Future<Output = ()> + use<> {
        let (status, members, stop) =
            (Arc::clone(&self.status), Arc::clone(&self.members), self.stop.clone());
        let (place, elsewhere) = (Arc::clone(&self.plans), Arc::clone(&self.elsewhere));
        let fill = Arc::clone(&self.fill);
        let (orders, obeys) = (Arc::clone(&self.orders), self.obeys.subscribe());
        let (models, models_changed) = (Arc::clone(&self.models), Arc::clone(&self.models_changed));
        async move {
            let opening = open(&config, members.me(), &status);
            let Some(Some(layout)) = stop.run_until_cancelled(opening).await else { return };
            ends.layout.send_replace(Some(layout.clone()));
            let position = ends.position.subscribe();
            let (kept, fitness) = <(Arc<kept::Kept>, Arc<planner::fitness::Fitness>)>::default();
            let texts =
                Models::new(layout.clone(), Arc::clone(&status), config.cluster.clone(), models_changed);
            let texts = Arc::clone(models.get_or_init(|| Arc::new(texts)));
            let crew = Crew {
                layout,
                status,
                members,
                around,
                position,
                http,
                stop,
                kept,
                obeys,
                fitness,
                models: texts,
            };
            let plans = crew.plans(ends.agreed);
            let _ = orders.set(crew.orders());
            let _ = place.set(Arc::clone(&plans));
            let mut tasks = JoinSet::new();
            tasks.spawn(fill.watch(crew.layout.clone()));
            crew.meet(&mut tasks, elsewhere);
            crew.agree(&mut tasks, &plans);
            let mut shares = crew.count(&mut tasks, ends.position);
            crew.stop.cancelled().await;
            let farewell = async {
                plans.resign().await;
                while shares.join_next().await.is_some() {}
            };
            let _ = tokio::time::timeout(FAREWELL, farewell).await;
        }
    }

    /// Why this replica should get no traffic, if so.
    pub fn problem(&self) -> Option<String> {
        let catching_up =
            || (!self.position.borrow().is_live()).then(|| "catching up with what is counted".to_owned());
        self.status.problem().or_else(catching_up)
    }

    /// Comes with the reason when this process must not go on.
    pub fn fatal(&self) -> watch::Receiver<Option<String>> {
        self.status.fatal()
    }

    /// The plan that all replicas agree on; `None` before there is one, or before it is known.
    pub fn agreed(&self) -> watch::Receiver<Option<AgreedPlan>> {
        self.agreed.clone()
    }

    /// What it says; nothing, of the lowest generation, before there is one.
    pub fn plan(&self) -> Arc<PlanSnapshot> {
        self.agreed.borrow().as_ref().map(|agreed| Arc::clone(&agreed.plan)).unwrap_or_default()
    }

    /// Whether this replica is to make a plan now. One that has just begun first watches for as long as a plan looks back, unless there is no plan at all.
    pub fn may_plan(&self, window: Duration) -> bool {
        let plans = self.plans.get().filter(|plans| plans.is_planner());
        if plans.is_none() {
            return false;
        }
        let knows = |position: &Position| position.since.is_some_and(|since| since.elapsed() >= window);
        self.agreed.borrow().is_none() || knows(&self.position.borrow())
    }

    /// Puts `next`, made from `previous`, in force for all replicas, and before it what it was made from, of which `texts` has what NATS may lack. Whether
    /// it is in force; blocks until it is written, so call it from a thread that may.
    pub fn propose(&self, previous: &PlanSnapshot, next: &Arc<PlanSnapshot>, texts: Texts<'_>) -> bool {
        match self.plans.get() {
            Some(plans) => self.runtime.block_on(plans.propose(previous, next, texts)),
            None => false,
        }
    }

    /// Whether NATS is there.
    pub fn is_connected(&self) -> bool {
        self.status.is_connected()
    }

    /// Proxies that are connected to other replicas, with the replica's name.
    pub fn elsewhere(&self) -> Vec<(String, Present)> {
        self.elsewhere.all()
    }

    /// How this replica stands, for metrics.
    pub fn standing(&self) -> Standing {
        let position = self.position.borrow();
        let held =
            |by: &str| position.partitions.iter().filter(|it| it.holder.as_deref() == Some(by)).count();
        Standing {
            connected: self.status.is_connected(),
            ready: self.members.ready(Instant::now()).len(),
            mine: held(&self.me),
            unheld: position.partitions.iter().filter(|it| it.holder.is_none()).count(),
            plans: self.plans.get().is_some_and(|plans| plans.is_planner()),
        }
    }

    /// Share of its bytes that each stream with a limit holds, 0 to 1, by its name; empty before NATS was asked.
    pub fn fill(&self) -> BTreeMap<&'static str, f64> {
        self.fill.shares()
    }

    /// Who is there and who does what, for the API.
    pub fn describe(&self) -> serde_json::Value {
        let (now, position) = (Instant::now(), self.position.borrow().clone());
        let held =
            |id: &str| position.partitions.iter().filter(|it| it.holder.as_deref() == Some(id)).count();
        let replicas = self.members.all(now).into_iter().map(|(silent, beat)| {
            serde_json::json!({
                "replica": beat.id,
                "http": beat.http,
                "ready": beat.ready && self.members.is_live(&beat.id, now),
                "silent_ms": u64::try_from(silent.as_millis()).unwrap_or(u64::MAX),
                "partitions": held(&beat.id),
            })
        });
        let held = position.partitions.iter().filter(|it| it.holder.is_some()).count();
        serde_json::json!({
            "engine": "nats",
            "replica": self.me,
            "problem": self.problem(),
            "planner": self.plans.get().map(|plans| plans.planner()),
            "sequence": position.sequence,
            "partitions": position.partitions.len(),
            "partitions_held": held,
            "replicas": replicas.collect::<Vec<_>>(),
        })
    }

    /// Gives up everything this replica holds, so that others take it at once, and ends every task.
    pub async fn leave(&self) {
        self.stop.cancel();
        let main = self.main.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(main) = main {
            let _ = main.await;
        }
    }
}

/// Opens streams and bucket, however long it takes; `None` when they are another control plane's.
async fn open(config: &config::Nats, me: &str, status: &Arc<Status>) -> Option<Layout> {
    let client = connect::connect(config, me, status).await;
    let context = ContextBuilder::new().timeout(PATIENCE).ack_timeout(PATIENCE).build(client);
    loop {
        let opened = async {
            let layout = Layout::open(context.clone(), config).await?;
            layout.probe().await?;
            Ok(layout)
        };
        match opened.await {
            Ok(layout) => {
                status.well(Part::Layout);
                info!(replica = me, cluster = config.cluster, partitions = layout.partitions, "joined");
                return Some(layout);
            }
            Err(LayoutError::Foreign(problem)) => {
                status.fail(problem);
                return None;
            }
            Err(error @ LayoutError::Later(_)) => status.trouble(Part::Layout, status.explain(error)),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Another one for every life of a process, because what a life held ends with it.
fn name(config: &config::Nats) -> String {
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = config.replica.clone().or_else(host).unwrap_or_default();
    format!("{}-{:08x}", name.trim(), (random() * f64::from(u32::MAX)) as u32)
}

/// From 0 to 1, for what two replicas should not do at the same moment.
fn random() -> f64 {
    let drawn = std::collections::hash_map::RandomState::new().build_hasher().finish();
    (drawn >> 11) as f64 / (1_u64 << 53) as f64
}
