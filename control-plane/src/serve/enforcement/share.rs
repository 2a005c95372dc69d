//! Giving orders to all replicas, and taking theirs.
//!
//! Nobody waits for this: an order is in force at the replica that took it before it comes here. What is here is a loop's turn: take what is newer than what
//! this replica has, then write what the others lack in its place.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use emac_core::units::Moment;
use tracing::{error, info, warn};

use super::super::state::Shared;
use super::several::{first, merged, unshared};
use super::switch::{Order, Stops, Switch};
use super::{Enforcement, unreadable};
use crate::engine::nats::{Cluster, SharedOrders};

/// A value that cannot be read is looked at so often before it is taken for damaged: its successor may be on its way.
const LOOKS_MAX: u32 = 5;
/// Orders that were overtaken and are remembered for who gave them and waits for an answer.
const OVERTAKEN_MAX: usize = 16;
/// How long an answer waits for the other replicas to get the order.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(10);

impl Enforcement {
    /// From now on orders are shared with other replicas.
    pub(in super::super) fn be_one_of_several(&self) {
        let mut inner = self.lock();
        let Stops { switch, configured } = (*inner.stops).clone();
        inner.several = true;
        inner.stops = Arc::new(Stops { switch: unshared(switch), configured });
        inner.show();
    }

    /// Whether NATS is away: then an order must reach sidecars that have newer plans than this replica.
    pub(in super::super) fn set_apart(&self, apart: bool) {
        self.apart.store(apart, std::sync::atomic::Ordering::Relaxed);
    }

    /// Takes the orders that all replicas share, with those on top that the others have not got yet. `None`: nothing was ever shared.
    ///
    /// Cost: a write to disk, where there is a state directory. Blocks.
    fn adopt(&self, shared: Option<&Switch>, now: Moment) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut inner = self.lock();
            let own = &inner.stops.switch;
            let (next, overtaken) =
                shared.map_or_else(|| (first(own), Vec::new()), |shared| merged(shared, own));
            let changed = next.several.raised > own.several.raised;
            for waiting in overtaken {
                self.overtake(waiting.order, next.revision);
            }
            inner.known = true;
            inner.obey(next, changed, (&self.publisher, &self.proxies), now);
        }
        self.keep_now();
    }

    /// What all share cannot be read, and may have said that everything is stopped: then it is, until somebody gives an order, which writes a new value.
    fn adopt_unreadable(&self, why: &str, now: Moment) {
        let own = self.stops().switch.clone();
        let mut switch = unreadable(why, now.unix_ms);
        switch.revision = own.revision + 1;
        switch.several.raised = own.several.raised + 1;
        switch.history.splice(0..0, own.history);
        self.adopt(Some(&switch), now);
    }

    fn overtake(&self, order: Order, revision: u64) {
        warn!(
            by = order.by,
            why = order.why,
            revision,
            "an order to resume is not obeyed: somebody else gave one that it had not seen"
        );
        let mut overtaken = self.overtaken.lock().unwrap_or_else(PoisonError::into_inner);
        overtaken.push(order);
        if overtaken.len() > OVERTAKEN_MAX {
            overtaken.remove(0);
        }
    }

    /// Whether an order was taken back because somebody else's came before it at another replica.
    pub(in super::super) fn was_overtaken(&self, order: &Order) -> bool {
        self.overtaken.lock().unwrap_or_else(PoisonError::into_inner).contains(order)
    }

    /// All have got what this replica had when it was told.
    fn was_told(&self, told: &Switch, now: Moment) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut inner = self.lock();
            let mut switch = inner.stops.switch.clone();
            switch.told(told);
            inner.obey(switch, false, (&self.publisher, &self.proxies), now);
        }
        self.keep_now();
    }
}

/// What a replica last read or wrote.
#[derive(Debug, Default)]
pub(in super::super) struct Sharing {
    before: Option<SharedOrders>,
    /// How often in a row a value could not be read.
    looks: u32,
}

impl Sharing {
    /// Takes what is newer. Whether this replica now does as the newest orders say of which it can know: nothing may be published before.
    pub(in super::super) async fn take(&mut self, shared: &Arc<Shared>, cluster: &Cluster) -> bool {
        let newer = match &self.before {
            None => cluster.orders().await.map(Some),
            Some(before) => cluster.orders_after(before.revision()).await,
        };
        match newer {
            Ok(None) => true,
            Ok(Some(value)) => self.adopt(shared, value).await,
            Err(_) => false,
        }
    }

    async fn adopt(&mut self, shared: &Arc<Shared>, value: SharedOrders) -> bool {
        let read = value.bytes.clone().and_then(|bytes| bytes.map(|bytes| decode(&bytes)).transpose());
        let adopt: Box<dyn FnOnce(&Shared) + Send> = match read {
            Ok(switch) => Box::new(move |shared| shared.enforcement.adopt(switch.as_ref(), shared.moment())),
            Err(why) if self.looks < LOOKS_MAX => {
                self.looks += 1;
                info!(why, "orders about enforcement cannot be read; tried again");
                return false;
            }
            Err(why) => Box::new(move |shared| shared.enforcement.adopt_unreadable(&why, shared.moment())),
        };
        self.looks = 0;
        self.before = Some(value);
        blocking(shared, adopt).await;
        shared.replan.notify_one();
        true
    }

    /// Gives the others what they lack. Whether they lack nothing any more.
    pub(in super::super) async fn tell(&mut self, shared: &Arc<Shared>, cluster: &Cluster) -> bool {
        let stops = shared.enforcement.stops();
        let Some(before) = self.before.as_ref().filter(|_| stops.switch.several.is_untold()) else {
            return !stops.switch.several.is_untold();
        };
        if !cluster.is_connected() {
            return false;
        }
        let Ok(bytes) = serde_json::to_vec(&stops.switch.to_share()) else { return false };
        match cluster.write_orders(before, bytes).await {
            Ok(written) => {
                self.before = Some(written);
                let told = stops.switch.clone();
                blocking(shared, move |shared| shared.enforcement.was_told(&told, shared.moment())).await;
                true
            }
            // Another replica was faster.
            Err(Some(found)) => {
                self.adopt(shared, found).await;
                false
            }
            Err(None) => false,
        }
    }
}

fn decode(bytes: &[u8]) -> Result<Switch, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

/// Publishing waits for who throws the kill switch, and the other way round.
async fn blocking(shared: &Arc<Shared>, work: impl FnOnce(&Shared) + Send + 'static) {
    let shared = Arc::clone(shared);
    if let Err(problem) = tokio::task::spawn_blocking(move || work(&shared)).await {
        error!(%problem, "orders about enforcement could not be taken over");
    }
}

/// Waits until the others have got every order, a while at most, and not at all while NATS is away.
pub(in super::super) async fn told(shared: &Shared) {
    let Some(cluster) = &shared.cluster else { return };
    let all = async {
        while shared.enforcement.stops().switch.several.is_untold() && cluster.is_connected() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let _ = tokio::time::timeout(TOLD_WITHIN, all).await;
}
