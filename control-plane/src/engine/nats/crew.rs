//! The tasks of a replica that has found its NATS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use prost::Message as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::kept::Kept;
use super::layout::Layout;
use super::members::{BEAT, Members};
use super::message::Beat;
use super::models::Models;
use super::orders::Orders;
use super::planner::fitness::Fitness;
use super::planner::{AgreedPlan, Plans};
use super::presence::{self, Elsewhere};
use super::share::Shares;
use super::snapshot;
use super::status::{Part, Status};
use super::view::{Position, View};
use super::{Around, PAUSE};

/// What they share.
pub(super) struct Crew {
    pub(super) layout: Layout,
    pub(super) status: Arc<Status>,
    pub(super) members: Arc<Members>,
    pub(super) kept: Arc<Kept>,
    pub(super) around: Around,
    pub(super) position: watch::Receiver<Position>,
    pub(super) http: SocketAddr,
    pub(super) stop: CancellationToken,
    /// How far this replica follows the shared orders.
    pub(super) obeys: watch::Receiver<u64>,
    pub(super) fitness: Arc<Fitness>,
    pub(super) models: Arc<Models>,
}

impl Crew {
    pub(super) fn orders(&self) -> Orders {
        Orders { layout: self.layout.clone(), kept: Arc::clone(&self.kept) }
    }

    pub(super) fn plans(&self, agreed: watch::Sender<Option<AgreedPlan>>) -> Arc<Plans> {
        Arc::new(Plans {
            layout: self.layout.clone(),
            kept: Arc::clone(&self.kept),
            members: Arc::clone(&self.members),
            status: Arc::clone(&self.status),
            position: self.position.clone(),
            stop: self.stop.clone(),
            agreed,
            parts: Arc::default(),
            written: std::sync::Mutex::default(),
            fitness: Arc::clone(&self.fitness),
            models: Arc::clone(&self.models),
        })
    }

    /// Saying and hearing who is there, and who is connected to whom.
    pub(super) fn meet(&self, tasks: &mut JoinSet<()>, elsewhere: Arc<Elsewhere>) {
        let (layout, members) = (|| self.layout.clone(), || Arc::clone(&self.members));
        tasks.spawn(listen(layout(), members()));
        let beats = Beats {
            layout: layout(),
            members: members(),
            position: self.position.clone(),
            http: self.http,
            stop: self.stop.clone(),
            obeys: self.obeys.clone(),
            fitness: Arc::clone(&self.fitness),
        };
        tasks.spawn(beats.run());
        tasks.spawn(elsewhere.listen(layout(), members()));
        tasks.spawn(presence::tell(layout(), members(), Arc::clone(&self.around.proxies), self.around.clock));
    }

    /// Plans, and the snapshots that the planner makes.
    pub(super) fn agree(&self, tasks: &mut JoinSet<()>, plans: &Arc<Plans>) {
        tasks.spawn(Arc::clone(&self.kept).run(self.layout.clone(), Arc::clone(&self.status)));
        let (standing, following, leading) = (Arc::clone(plans), Arc::clone(plans), Arc::clone(plans));
        let (models, hearing) = (Arc::clone(&self.models), Arc::clone(&self.models));
        let (read, looking) = (Arc::clone(plans), Arc::clone(plans));
        tasks.spawn(async move { hearing.follow().await });
        tasks.spawn(async move { models.tend(|| read.agreed_plan(), || looking.is_planner()).await });
        tasks.spawn(async move { standing.stand().await });
        tasks.spawn(async move { following.follow().await });
        tasks.spawn(snapshot::keep(
            self.layout.clone(),
            Arc::clone(&self.kept),
            Arc::clone(&self.around.aggregate),
            self.around.clock,
            self.position.clone(),
            move || leading.is_planner(),
        ));
    }

    /// The log, and this replica's shares of it; the shares end by themselves when the replica does.
    pub(super) fn count(&self, tasks: &mut JoinSet<()>, position: watch::Sender<Position>) -> JoinSet<()> {
        let Around { aggregate, stats, clock, records, .. } = self.around.clone();
        let view = View {
            layout: self.layout.clone(),
            status: Arc::clone(&self.status),
            aggregate: Arc::clone(&aggregate),
            clock,
            records,
            position,
        };
        tasks.spawn(view.run());
        tasks.spawn(probe(self.layout.clone(), Arc::clone(&self.status)));
        let shares = Shares {
            layout: self.layout.clone(),
            status: Arc::clone(&self.status),
            members: Arc::clone(&self.members),
            aggregate,
            stats,
            clock,
            position: self.position.clone(),
            stop: self.stop.clone(),
        };
        let mut working = JoinSet::new();
        shares.spawn(&mut working);
        working
    }
}

/// What a replica says of itself.
struct Beats {
    layout: Layout,
    members: Arc<Members>,
    position: watch::Receiver<Position>,
    http: SocketAddr,
    stop: CancellationToken,
    obeys: watch::Receiver<u64>,
    fitness: Arc<Fitness>,
}

impl Beats {
    /// For ever: every now and then, and at once when an order was obeyed.
    async fn run(mut self) {
        let (client, mut ticks) = (self.layout.context.client(), tokio::time::interval(BEAT));
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Ok(()) = self.obeys.changed() => {}
            }
            let beat = self.beat();
            // What cannot be sent is silence, which says what it should.
            let _ = client.publish(self.layout.names.replicas(), beat.encode_to_vec().into()).await;
        }
    }

    fn beat(&mut self) -> Beat {
        let leaving = self.stop.is_cancelled();
        Beat {
            id: self.members.me().to_owned(),
            http: self.http.to_string(),
            ready: self.position.borrow().is_live() && !leaving,
            leaving,
            obeys: *self.obeys.borrow_and_update(),
            unfit: self.fitness.is_unfit(Instant::now()),
            differs: self.members.differs(),
        }
    }
}

async fn listen(layout: Layout, members: Arc<Members>) {
    let client = layout.context.client();
    loop {
        if let Ok(mut beats) = client.subscribe(layout.names.replicas()).await {
            while let Some(message) = beats.next().await {
                if let Ok(beat) = Beat::decode(message.payload) {
                    members.hear(beat, Instant::now());
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Tries again for the sidecars what failed, for they do not come to a replica that is not ready.
async fn probe(layout: Layout, status: Arc<Status>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        if status.is_connected() && !status.is_well(Part::Evidence) && layout.probe().await.is_ok() {
            status.well(Part::Evidence);
        }
    }
}
