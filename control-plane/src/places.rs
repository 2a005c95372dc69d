//! Places that peers share: bounded in all, and in a way that nobody can take them all.
//!
//! A peer may hold at most as many places as are free (the dynamic threshold by which switches share a buffer; Choudhury and Hahne, 1998).
//! So one greedy peer ends at half of all places, two at a third each, `n` at one of `n + 1` each, and whoever comes new always finds one.
//! Nobody has to guess how many a single peer needs: while there is room it gets what it asks for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Places, and who holds how many. `K` names a peer.
#[derive(Debug)]
pub struct Places<K: Ord> {
    most: usize,
    taken: Mutex<Taken<K>>,
}

#[derive(Debug)]
struct Taken<K: Ord> {
    all: usize,
    by_peer: BTreeMap<K, usize>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All are taken.
    All {
        /// How many there are.
        most: usize,
    },
    /// The peer has as many as are left for everybody else.
    Peer {
        /// How many it has.
        held: usize,
    },
}

/// A place, or some, given back when dropped.
#[derive(Debug)]
pub struct Place<K: Ord> {
    places: Arc<Places<K>>,
    peer: K,
    count: usize,
}

impl<K: Ord + Clone> Places<K> {
    /// `most` places, 1 ..
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::new(Taken { all: 0, by_peer: BTreeMap::new() }) })
    }

    /// A place for a peer.
    ///
    /// # Errors
    /// [`Full`].
    pub fn take(self: &Arc<Self>, peer: K) -> Result<Place<K>, Full> {
        let mut place = self.none(peer);
        place.grow(1)?;
        Ok(place)
    }

    /// No place yet, for a peer that will need some ([`Place::grow`]).
    pub fn none(self: &Arc<Self>, peer: K) -> Place<K> {
        Place { places: Arc::clone(self), peer, count: 0 }
    }

    /// Places taken now.
    pub fn taken(&self) -> usize {
        self.lock().all
    }
}

impl<K: Ord> Places<K> {
    /// Every change is a few assignments, so a poisoned lock holds nothing half done.
    fn lock(&self) -> MutexGuard<'_, Taken<K>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord + Clone> Place<K> {
    /// Places held.
    pub fn count(&self) -> usize {
        self.count
    }

    /// So many more, or none of them.
    ///
    /// # Errors
    /// [`Full`].
    pub fn grow(&mut self, more: usize) -> Result<(), Full> {
        if more == 0 {
            return Ok(());
        }
        let most = self.places.most;
        let mut taken = self.places.lock();
        let free = most.saturating_sub(taken.all);
        if free < more {
            return Err(Full::All { most });
        }
        let held = taken.by_peer.get(&self.peer).copied().unwrap_or_default();
        if free - more < held {
            return Err(Full::Peer { held });
        }
        taken.all += more;
        taken.by_peer.insert(self.peer.clone(), held + more);
        self.count += more;
        Ok(())
    }
}

impl<K: Ord> Drop for Place<K> {
    fn drop(&mut self) {
        if self.count == 0 {
            return;
        }
        let mut taken = self.places.lock();
        taken.all = taken.all.saturating_sub(self.count);
        if let Some(held) = taken.by_peer.get_mut(&self.peer) {
            *held = held.saturating_sub(self.count);
            if *held == 0 {
                taken.by_peer.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes until it is refused.
    fn greedy(places: &Arc<Places<u8>>, peer: u8) -> Vec<Place<u8>> {
        std::iter::from_fn(|| places.take(peer).ok()).collect()
    }

    #[test]
    fn one_peer_takes_half_and_whoever_comes_new_finds_a_place() {
        let places = Places::new(100);
        let first = greedy(&places, 1);
        assert_eq!((first.len(), places.take(1).unwrap_err()), (50, Full::Peer { held: 50 }));
        let more: Vec<_> = (2..8).map(|peer| greedy(&places, peer)).collect();
        assert_eq!(more.iter().map(Vec::len).collect::<Vec<_>>(), [25, 13, 6, 3, 2, 1]);
        drop(more);
        assert_eq!(greedy(&places, 9).len(), 25);
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let places = Places::new(3);
        let held: Vec<_> = (0..3).map(|peer| places.take(peer).unwrap()).collect();
        assert_eq!((places.take(9).unwrap_err(), places.taken()), (Full::All { most: 3 }, 3));
        drop(held);
        assert_eq!((places.taken(), places.lock().by_peer.len()), (0, 0));
        assert!(places.take(9).is_ok());
    }

    #[test]
    fn places_grow_all_or_none_and_go_together() {
        let places = Places::new(100);
        let mut first = places.none(1);
        assert_eq!(places.taken(), 0);
        first.grow(30).unwrap();
        assert_eq!(first.grow(71), Err(Full::All { most: 100 }));
        assert_eq!(first.grow(41), Err(Full::Peer { held: 30 }));
        first.grow(20).unwrap();
        let mut second = places.none(2);
        second.grow(25).unwrap();
        assert_eq!((second.grow(1), places.taken(), first.count()), (Err(Full::Peer { held: 25 }), 75, 50));
        drop(first);
        assert_eq!(places.taken(), 25);
        drop(second);
        assert_eq!((places.taken(), places.lock().by_peer.len()), (0, 0));
    }

    /// Two rollouts of ten thousand at once, all of one workload, or of as many workloads, fit into the default.
    #[test]
    fn the_default_holds_two_overlapping_rollouts_of_ten_thousand() {
        let most = crate::config::ConnectionLimits::default().streams;
        for peers in [1, 2, 10_000, 20_000] {
            let places = Places::new(most);
            let held: Vec<_> = (0..20_000_u32).map(|n| places.take(n % peers).unwrap()).collect();
            assert_eq!(held.len(), 20_000, "{peers}");
        }
    }
}
