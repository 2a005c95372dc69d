//! How many VMs of this process see requests: they share what each budget allows.
//!
//! A VM that saw requests renews a lease in one value that all threads share; whose lease has run out is not counted. So the number follows
//! the VMs that are alive and busy: a module upgrade, a reload or a configuration push leaves nothing behind, and a worker without traffic
//! takes no part of a budget. The lease is as long as a retry budget saves up for. A tick costs one read, and now and then one write.

use emac_core::units::{Micros, Millis};

use crate::host::Host;

const LEASES: &str = "emac.workers";
const LEASE: Micros = Micros(10_000_000);
/// A tick may be longer than the lease.
const MISSED_TICKS: u64 = 3;
/// More VMs than that are counted as so many: 3 KiB.
const WORKERS_MAX: usize = 128;
const TRIES_MAX: u32 = 4;

/// This VM among the others.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    /// A request came, and the lease does not say so yet.
    busy: bool,
    others: u32,
}

impl Workers {
    /// A request was seen by this VM.
    pub(crate) const fn see_request(&mut self) {
        self.busy = true;
    }

    /// Renews this VM's lease if it is busy, and counts those of the others.
    pub(crate) fn tick(&mut self, host: &dyn Host, name: [u8; 16], now: Micros, tick: Millis) {
        let long = LEASE.0.max(tick.to_micros().0.saturating_mul(MISSED_TICKS));
        for _ in 0..TRIES_MAX {
            let (bytes, version) = host.shared(LEASES).unwrap_or_default();
            let mut leases = read(&bytes);
            leases.retain(|lease| lease.is_within(Micros(long), now));
            let own = leases.iter().position(|lease| lease.name == name).map(|at| leases.swap_remove(at));
            self.others = u32::try_from(leases.len()).unwrap_or(u32::MAX);
            // Half a lease early, so that few VMs write at once.
            if !self.busy || own.is_some_and(|own| own.is_within(Micros(long / 2), now)) {
                return;
            }
            leases.sort_unstable_by_key(|lease| core::cmp::Reverse(lease.renewed));
            leases.truncate(WORKERS_MAX - 1);
            leases.push(WorkerLease { name, renewed: now });
            let version = Some(version).filter(|&version| version != 0);
            if host.set_shared(LEASES, &write(&leases), version).is_ok() {
                self.busy = false;
                return;
            }
        }
    }

    /// This VM and every other that is busy.
    pub(crate) const fn count(&self) -> u32 {
        self.others.saturating_add(1)
    }
}

#[derive(Clone, Copy)]
struct WorkerLease {
    name: [u8; 16],
    renewed: Micros,
}

impl WorkerLease {
    /// A renewal far in the future is one from before the clock went backwards.
    fn is_within(&self, time: Micros, now: Micros) -> bool {
        now.since(self.renewed) <= time && self.renewed.since(now) <= time
    }
}

fn read(bytes: &[u8]) -> Vec<WorkerLease> {
    let lease = |bytes: &[u8]| {
        let (name, renewed) = bytes.split_first_chunk()?;
        Some(WorkerLease { name: *name, renewed: Micros(u64::from_le_bytes(renewed.try_into().ok()?)) })
    };
    bytes.chunks(24).take(WORKERS_MAX).filter_map(lease).collect()
}

fn write(leases: &[WorkerLease]) -> Vec<u8> {
    leases.iter().flat_map(|lease| lease.name.into_iter().chain(lease.renewed.0.to_le_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fake;

    const TICK: Millis = Millis(1_000);

    /// A VM with requests or without, on one of the process's threads.
    struct Thread {
        host: Fake,
        name: [u8; 16],
        workers: Workers,
    }

    impl Thread {
        fn tick(&mut self, second: u64, busy: bool) -> u32 {
            if busy {
                self.workers.see_request();
            }
            self.workers.tick(&self.host, self.name, Micros(second * 1_000_000), TICK);
            self.workers.count()
        }
    }

    fn threads(host: &Fake, names: core::ops::Range<u8>) -> Vec<Thread> {
        let thread = |name| Thread { host: host.sibling(), name: [name; 16], workers: Workers::default() };
        names.map(thread).collect()
    }

    fn tick_all(threads: &mut [Thread], second: u64) -> Vec<u32> {
        threads.iter_mut().map(|thread| thread.tick(second, true)).collect()
    }

    #[test]
    fn those_who_see_requests_are_counted() {
        let host = Fake::default();
        let mut busy = threads(&host, 0..4);
        let mut quiet = threads(&host, 4..6);
        tick_all(&mut busy, 1);
        assert_eq!(tick_all(&mut busy, 2), [4; 4]);
        assert_eq!(quiet.iter_mut().map(|thread| thread.tick(2, false)).collect::<Vec<_>>(), [5; 2]);
        // Once their traffic has gone to one of them, all of the budget is there too.
        for second in 3..12 {
            busy[0].tick(second, true);
        }
        assert_eq!(busy[0].tick(12, true), 1);
        assert_eq!(quiet[0].tick(13, true), 2);
    }

    #[test]
    fn upgrades_of_the_module_shrink_no_budget() {
        let host = Fake::default();
        for upgrade in 0..6 {
            let mut generation = threads(&host, 4 * upgrade..4 * upgrade + 4);
            let start = 1 + 20 * u64::from(upgrade);
            (start..start + 20).for_each(|second| drop(tick_all(&mut generation, second)));
            assert_eq!(tick_all(&mut generation, start + 20), [4; 4], "upgrade {upgrade}");
        }
    }

    #[test]
    fn a_steady_vm_stays_counted_and_writes_seldom() {
        let host = Fake::default();
        let mut busy = threads(&host, 0..2);
        tick_all(&mut busy, 1);
        for second in 2..200 {
            assert_eq!(tick_all(&mut busy, second), [2; 2], "{second}");
        }
        let written = host.shared(LEASES).map(|(_, version)| version);
        assert!(written <= Some(2 * 200 / 5), "{written:?}");
    }

    #[test]
    fn what_is_shared_is_bounded_and_garbage_is_not_believed() {
        let host = Fake::default();
        let mut many = threads(&host, 0..200);
        assert!(tick_all(&mut many, 1).into_iter().all(|count| count as usize <= WORKERS_MAX + 1));
        assert_eq!(host.shared(LEASES).map(|(bytes, _)| bytes.len()), Some(24 * WORKERS_MAX));
        host.set_shared(LEASES, &[7; 24 * 300 + 5], None).unwrap();
        assert_eq!(many[0].tick(1, true), 1, "renewed in a future that is far away");
    }

    #[test]
    fn a_clock_that_jumps_leaves_no_lease_behind() {
        let host = Fake::default();
        let mut busy = threads(&host, 0..4);
        for second in [100_000, 100_001, 5, 6] {
            tick_all(&mut busy, second);
        }
        assert_eq!(tick_all(&mut busy, 7), [4; 4]);
        assert_eq!(busy[0].tick(100, true), 1);
    }
}
