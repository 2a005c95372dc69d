//! The issuer behind a lock, and the feed that tells streams of a new snapshot.

use super::feed::{Change, Feed};
use super::issuer::{Issuer, Published};
use crate::Now;
use crate::protocol::Snapshot;
use emac_core::budget::WorkloadBudgets;
use emac_core::id::WorkloadName;
use emac_core::units::Moment;
use emac_core::units::{Generation, Micros};
use emac_proto::WORKLOAD_BUDGETS_TYPE_URL;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Renewals are gathered for this long, so that leases falling due one by one make a few snapshots a second, not one each. The
/// shortest lease (1 s, renewed after a third at the latest) is still renewed twice in its life.
const RENEWAL_TICK: Duration = Duration::from_millis(250);

/// Where plans go in and snapshots come out. Shared by reference: all methods take `&self`.
///
/// Nothing has been published at first, and clients wait; see [`Snapshot`].
#[derive(Debug, Default)]
pub struct Publisher {
    issuer: Mutex<Issuer>,
    feed: Arc<Feed>,
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.feed.close();
    }
}

impl Publisher {
    /// Takes over a plan; streams are told of the resources that changed. The first is told though it be empty: until then clients wait.
    pub fn publish(&self, plan: &BTreeMap<WorkloadName, Arc<WorkloadBudgets>>, now: Moment) -> Published {
        let mut issuer = self.issuer();
        let published = issuer.publish(plan, now);
        let first = self.snapshot().get(WORKLOAD_BUDGETS_TYPE_URL).is_none();
        let news = || published.issued.iter().chain(&published.removed).map(WorkloadName::as_str);
        if first || news().next().is_some() {
            let change = if first { Change::Everything } else { Change::Names(news()) };
            self.put(&issuer, now.at, change);
        }
        published
    }

    /// See [`Issuer::renew_under_own`].
    pub fn renew_under_own(&self) {
        self.issuer().renew_under_own();
    }

    /// Issues the leases anew that are due. Returns how many.
    pub fn renew(&self, now: Moment) -> usize {
        let mut issuer = self.issuer();
        let renewed = issuer.renew(now);
        if !renewed.is_empty() {
            self.put(&issuer, now.at, Change::Names(renewed.iter().map(|name| &**name)));
        }
        renewed.len()
    }

    /// When [`Publisher::renew`] has work next; `None` while there is no lease.
    pub fn next_renewal(&self) -> Option<Micros> {
        self.issuer().next_renewal()
    }

    /// Renews leases until told to stop.
    pub async fn keep_leases(&self, now: Now, stop: CancellationToken) {
        let renewals = async {
            loop {
                tokio::time::sleep(RENEWAL_TICK).await;
                self.renew(now());
            }
        };
        let _: Option<()> = stop.run_until_cancelled(renewals).await;
    }

    /// Generation a workload's sidecars should hold.
    pub fn generation(&self, workload: &WorkloadName) -> Option<Generation> {
        self.issuer().generation(workload)
    }

    /// What is current.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.feed.latest()
    }

    /// Where it is followed. The latest wins: who is late skips what lies between.
    pub fn feed(&self) -> Arc<Feed> {
        Arc::clone(&self.feed)
    }

    fn put<'n>(&self, issuer: &Issuer, published: Micros, change: Change<impl Iterator<Item = &'n str>>) {
        let snapshot = Snapshot::published_at(published);
        let snapshot = snapshot.with(WORKLOAD_BUDGETS_TYPE_URL, Arc::new(issuer.set()));
        self.feed.put(Arc::new(snapshot), change);
    }

    /// A panic while the lock was held leaves whole leases, each old or new: going on is safe.
    fn issuer(&self) -> MutexGuard<'_, Issuer> {
        self.issuer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
