//! One leader per sidecar: a lease in shared data, renewed each tick, taken over after three ticks without renewal.
//!
//! Shared data knows no create-if-absent: a first writer may be overwritten by another. So nobody leads in the tick in which it wrote
//! the lease for the first time; the one whose name is read in the next tick does, and renews by compare-and-swap.

use emac_core::units::{Micros, Millis};

use crate::host::Host;

const LEASE: &str = "emac.leader";
const MISSED_TICKS: u64 = 3;

/// This VM's part in the election.
#[derive(Debug, Default)]
pub(crate) struct Leader {
    leads: bool,
    /// Somebody led when last looked.
    led: bool,
}

impl Leader {
    /// Renews, claims or waits; whether this VM leads.
    pub(crate) fn tick(&mut self, host: &dyn Host, name: [u8; 16], now: Micros, tick: Millis) -> bool {
        let held =
            host.shared(LEASE).and_then(|(value, version)| Some((LeaderLease::parse(&value)?, version)));
        let claim = LeaderLease { name, renewed: now }.to_bytes();
        self.led = true;
        self.leads = match held {
            Some((lease, version)) if lease.name == name => {
                host.set_shared(LEASE, &claim, Some(version)).is_ok()
            }
            Some((lease, version)) if lease.is_missed(now, tick) => {
                // Whoever wins is read next time.
                let _ = host.set_shared(LEASE, &claim, Some(version));
                self.led = false;
                false
            }
            Some(_) => false,
            None => {
                let _ = host.set_shared(LEASE, &claim, None);
                self.led = false;
                false
            }
        };
        self.leads
    }

    /// Gives the lease up, so that nobody waits for it to run out.
    pub(crate) fn resign(&mut self, host: &dyn Host, name: [u8; 16]) {
        let held =
            host.shared(LEASE).and_then(|(value, version)| Some((LeaderLease::parse(&value)?, version)));
        if let Some((_, version)) = held.filter(|(lease, _)| lease.name == name) {
            let nobody = LeaderLease { name: [0; 16], renewed: Micros(0) };
            let _ = host.set_shared(LEASE, &nobody.to_bytes(), Some(version));
        }
        self.leads = false;
    }

    /// Whether this VM leads.
    pub(crate) const fn leads(&self) -> bool {
        self.leads
    }

    /// Whether anybody led when last looked: then the queue is being emptied.
    pub(crate) const fn is_led(&self) -> bool {
        self.led
    }
}

#[derive(Clone, Copy)]
struct LeaderLease {
    name: [u8; 16],
    renewed: Micros,
}

impl LeaderLease {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (name, renewed) = bytes.split_first_chunk()?;
        Some(Self { name: *name, renewed: Micros(u64::from_le_bytes(renewed.try_into().ok()?)) })
    }

    fn to_bytes(self) -> Vec<u8> {
        [self.name.as_slice(), &self.renewed.0.to_le_bytes()].concat()
    }

    /// A renewal far in the future is one from before the clock went backwards.
    fn is_missed(self, now: Micros, tick: Millis) -> bool {
        let patience = tick.to_micros().0.saturating_mul(MISSED_TICKS);
        now.since(self.renewed).0 > patience || self.renewed.since(now).0 > patience
    }
}

#[cfg(test)]
mod tests;
