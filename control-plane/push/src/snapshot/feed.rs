//! The snapshot that is current, and who is woken when a part of it changes.
//!
//! Ten thousand sidecars ask for one resource each, and leases are renewed some hundred at a time: a [`Follower`] is woken only for names it asked
//! for. What it reads then is the newest snapshot, whatever woke it.

use crate::protocol::{Name, Snapshot, WILDCARD};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Where snapshots are put and followers wait. Shared.
#[derive(Debug, Default)]
pub struct Feed {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    latest: Arc<Snapshot>,
    /// Whoever publishes has gone.
    closed: bool,
    /// How many followers there have been; each is known by its number.
    followers: u64,
    /// Of every follower, whatever it asked for.
    everybody: BTreeMap<u64, watch::Sender<()>>,
    /// By the name asked for, `*` standing for all. A name without followers has no entry.
    bells: BTreeMap<Name, BTreeMap<u64, watch::Sender<()>>>,
}

/// Nobody publishes any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// What of a snapshot is not as in the one before.
#[derive(Clone, Debug)]
pub enum Change<N> {
    /// Whatever it is, it is news for everybody.
    Everything,
    /// Resources of these names are new, others or gone.
    Names(N),
}

/// Who waits for news of some names; of none, until [`Follower::ask`]. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Follower {
    feed: Arc<Feed>,
    number: u64,
    names: BTreeSet<Name>,
    bell: watch::Sender<()>,
    heard: watch::Receiver<()>,
}

// === impl Feed ===

impl Feed {
    /// What is current.
    pub fn latest(&self) -> Arc<Snapshot> {
        Arc::clone(&self.lock().latest)
    }

    /// Puts a snapshot in the place of the one before and wakes whom it concerns. Cost: a look-up for each name, a wake-up for each of its
    /// followers.
    pub fn put<'n>(&self, snapshot: Arc<Snapshot>, change: Change<impl Iterator<Item = &'n str>>) {
        let mut inner = self.lock();
        inner.latest = snapshot;
        match change {
            Change::Everything => ring(&inner.everybody),
            Change::Names(names) => {
                let mut names = names.peekable();
                if names.peek().is_some() {
                    inner.bells.get(WILDCARD).into_iter().for_each(ring);
                }
                names.filter_map(|name| inner.bells.get(name)).for_each(ring);
            }
        }
    }

    /// Nothing will be put here any more; every follower is told.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        ring(&inner.everybody);
    }

    /// Somebody who waits for news.
    pub fn follow(self: &Arc<Self>) -> Follower {
        let mut inner = self.lock();
        inner.followers += 1;
        let number = inner.followers;
        let (bell, heard) = watch::channel(());
        inner.everybody.insert(number, bell.clone());
        drop(inner);
        Follower { feed: Arc::clone(self), number, names: BTreeSet::new(), bell, heard }
    }

    /// Every change under the lock leaves a whole snapshot and whole lists.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
    fn leave(&mut self, name: &str, number: u64) {
        if let Some(bells) = self.bells.get_mut(name) {
            bells.remove(&number);
            if bells.is_empty() {
                self.bells.remove(name);
            }
        }
    }
}

// === impl Follower ===

impl Follower {
    /// From now on it waits for news of these names, `*` standing for all. What was published before is not news: read [`Follower::latest`]
    /// after this.
    pub fn ask<'n>(&mut self, names: impl Iterator<Item = &'n str> + Clone) {
        if self.names.iter().map(|name| &**name).eq(names.clone()) {
            return;
        }
        let wanted: BTreeSet<Name> = names.map(Name::from).collect();
        let mut inner = self.feed.lock();
        for gone in self.names.difference(&wanted) {
            inner.leave(gone, self.number);
        }
        for new in wanted.difference(&self.names) {
            let bells = inner.bells.entry(Name::clone(new)).or_default();
            bells.insert(self.number, self.bell.clone());
        }
        drop(inner);
        self.names = wanted;
    }

    /// Comes with the next news that [`Follower::latest`] has not given yet. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Closed`], once and for all.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        if self.feed.lock().closed {
            return Err(Closed);
        }
        // The other end is held here too, so it cannot be gone.
        let _ = self.heard.changed().await;
        if self.feed.lock().closed { Err(Closed) } else { Ok(()) }
    }

    /// What is current; nothing is news after this.
    pub fn latest(&mut self) -> Arc<Snapshot> {
        // In this order: what comes between is read, and rings once for nothing.
        self.heard.borrow_and_update();
        self.feed.latest()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut inner = self.feed.lock();
        inner.everybody.remove(&self.number);
        self.names.iter().for_each(|name| inner.leave(name, self.number));
    }
}

fn ring(bells: &BTreeMap<u64, watch::Sender<()>>) {
    bells.values().for_each(|bell| {
        bell.send_replace(());
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn rung(follower: &mut Follower) -> bool {
        pin!(follower.changed()).poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(Ok(()))
    }

    fn put(feed: &Feed, names: &[&str]) {
        feed.put(Arc::default(), Change::Names(names.iter().copied()));
    }

    #[test]
    fn a_follower_is_woken_for_its_own_names_and_everybody_for_everything() {
        let feed = Arc::<Feed>::default();
        let [mut cart, mut both, mut all, mut nobody] = [(); 4].map(|()| feed.follow());
        cart.ask(["cart"].into_iter());
        both.ask(["cart", "stock"].into_iter());
        all.ask(["*"].into_iter());
        let mut heard = |names: &[&str]| {
            put(&feed, names);
            [rung(&mut cart), rung(&mut both), rung(&mut all), rung(&mut nobody)]
        };
        assert_eq!(heard(&["cart"]), [true, true, true, false]);
        assert_eq!(heard(&["stock"]), [false, true, true, false]);
        assert_eq!(heard(&["pay"]), [false, false, true, false]);
        assert_eq!(heard(&[]), [false; 4]);
        feed.put(Arc::default(), Change::<std::iter::Empty<&str>>::Everything);
        assert_eq!([rung(&mut cart), rung(&mut both), rung(&mut all)], [true; 3]);
    }

    #[test]
    fn what_is_read_is_no_news_and_what_is_asked_for_no_more_does_not_wake() {
        let feed = Arc::<Feed>::default();
        let mut follower = feed.follow();
        follower.ask(["cart", "stock"].into_iter());
        put(&feed, &["cart", "stock"]);
        follower.latest();
        assert!(!rung(&mut follower), "it was read");
        follower.ask(["stock"].into_iter());
        put(&feed, &["cart"]);
        assert!(!rung(&mut follower), "nobody asks for it any more");
        put(&feed, &["stock"]);
        assert!(rung(&mut follower));
        feed.close();
        assert!(!rung(&mut follower), "that is no news");
        drop(follower);
        let left = feed.lock();
        assert!(left.bells.is_empty() && left.everybody.is_empty(), "who is gone leaves nothing behind");
    }
}
