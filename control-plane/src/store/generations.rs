//! Numbers of plans that are durable before anybody gets one.
//!
//! A sidecar refuses a plan with a lower number than the one it holds, so a number once pushed must not come again, also when this
//! process is killed right after and the calendar was far ahead once. Not each number is written: a whole stretch is reserved
//! ahead, and a restart goes on above it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use emac_core::units::Generation;

use super::{CommitError, Disk, tables};

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
    disk: Option<Weak<Mutex<Disk>>>,
}

impl GenerationGate {
    pub(super) fn new(disk: Option<&Arc<Mutex<Disk>>>) -> Self {
        Self { disk: disk.map(Arc::downgrade) }
    }

    /// Returns once no restart can issue `next` or a lower number again: call it before the plan is pushed. Waits for a flush about once
    /// a minute, and for a commit under way; at once without a state directory.
    ///
    /// # Errors
    /// [`NotReserved`]: the number must not be issued now.
    pub fn reserve(&self, next: Generation) -> Result<(), NotReserved> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let disk = disk.upgrade().ok_or(NotReserved::Closed)?;
        let mut disk = disk.lock().unwrap_or_else(PoisonError::into_inner);
        if next <= disk.generation {
            return Ok(());
        }
        let bound = Generation(next.0.saturating_add(AHEAD));
        disk.write(|database| tables::write_generation(database, bound))?;
        disk.generation = bound;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::flaky::{Fault, Flaky};
    use super::super::{Changes, Store};
    use super::*;

    #[test]
    fn a_number_is_on_the_disk_before_it_may_be_issued_and_never_goes_back() {
        let disk = Flaky::default();
        let mut store = disk.store();
        let gate = store.generations();
        gate.reserve(Generation(5)).unwrap();
        assert!(disk.stored().generation >= Generation(5), "a kill right now");
        let reserved = disk.stored().generation;
        // A commit of evidence that knows only the number in force.
        store.commit(&Changes { generation: Generation(5), ..Changes::default() }).unwrap();
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
