//! Numbers of plans that are durable before anybody gets one.
//!
//! A sidecar refuses a plan with a lower number than the one it holds, so a number once pushed must not come again, also when this
//! process is killed right after and the calendar was far ahead once. Not each number is written: a whole stretch is reserved
//! ahead, and a restart goes on above it.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, PoisonError, Weak};

use emac_core::units::Generation;

use super::{CommitError, Shared, tables};

/// How many numbers are reserved at once: numbers are milliseconds, so one flush is enough for a minute of plans.
const AHEAD: u64 = 60_000;

/// Why a number must not be issued.
#[derive(Debug, thiserror::Error)]
pub enum NotReserved {
    /// The disk failed.
    #[error("the plan's number could not be stored ({0}); the plan in force stays")]
    Disk(#[from] CommitError),
    /// The store is closed: this process is ending.
    #[error("the store is closed; the plan in force stays")]
    Closed,
}

/// Reserves the numbers of plans in the store. Cheap when the number is reserved already.
#[derive(Debug)]
pub struct GenerationGate {
    /// `None`: nothing is durable, so nothing can go back to what is stored.
    disk: Option<Weak<Shared>>,
}

impl GenerationGate {
    pub(super) fn new(disk: Option<&Arc<Shared>>) -> Self {
        Self { disk: disk.map(Arc::downgrade) }
    }

    /// Returns once no restart can issue `next` or a lower number again: call it before the plan is pushed. Waits for a commit under way and a
    /// flush about once a minute; at once otherwise, and without a state directory.
    ///
    /// # Errors
    /// [`NotReserved`]: the number must not be issued now.
    pub fn reserve(&self, next: Generation) -> Result<(), NotReserved> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let disk = disk.upgrade().ok_or(NotReserved::Closed)?;
        if next.0 <= disk.generation.load(SeqCst) {
            return Ok(());
        }
        let known = &disk.generation;
        let mut disk = disk.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let bound = Generation(next.0.saturating_add(AHEAD)).max(disk.generation);
        disk.write(|database| tables::write_generation(database, bound))?;
        disk.note(None, bound)?;
        disk.generation = bound;
        known.store(bound.0, SeqCst);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::flaky::{Fault, Flaky};
    use std::sync::RwLock;

    use emac_core::units::Millis;

    use super::super::{Changes, Store, Stored};
    use super::*;
    use crate::aggregate::Aggregate;

    #[test]
    fn a_number_is_on_the_disk_before_it_may_be_issued_and_never_goes_back() {
        let disk = Flaky::default();
        let mut store = disk.store();
        let gate = store.generations();
        gate.reserve(Generation(5)).unwrap();
        assert!(disk.stored().generation >= Generation(5), "a kill right now");
        let reserved = disk.stored().generation;
        // A commit of evidence that knows only the number in force.
        let aggregate = RwLock::new(Aggregate::new(Stored::default(), Millis(5_000)));
        store
            .commit(&Changes { commit: 1, generation: Generation(5), ..Changes::default() }, &aggregate)
            .unwrap();
        assert_eq!(disk.stored().generation, reserved);
        // Most numbers cost nothing.
        disk.fail(Fault::Before);
        gate.reserve(reserved).unwrap();
        assert!(matches!(gate.reserve(Generation(reserved.0 + 1)), Err(NotReserved::Disk(_))));
        disk.fail(Fault::None);
        gate.reserve(Generation(reserved.0 + 1)).unwrap();
        assert!(disk.stored().generation > reserved);
        drop(store);
        assert!(matches!(gate.reserve(Generation(u64::MAX)), Err(NotReserved::Closed)));
    }

    #[test]
    fn without_a_disk_every_number_may_be_issued() {
        Store::in_memory().generations().reserve(Generation(u64::MAX)).unwrap();
    }
}
