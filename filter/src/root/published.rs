//! Budgets for every thread: the leader writes what it received, the others look at its version once a tick.
//!
//! Two values, so that looking is cheap: the resource, and a small one that changes with each receipt and says when that was.

use emac_core::units::Micros;

use crate::host::Host;

const BUDGETS: &str = "emac.budgets";
const RECEIPT: &str = "emac.budgets.receipt";

/// What this VM has read.
#[derive(Debug, Default)]
pub(super) struct Published {
    read: Option<u32>,
}

/// A resource and when it was received.
pub(super) struct Received {
    pub(super) at: Micros,
    /// An encoded `WorkloadBudgets`.
    pub(super) resource: Vec<u8>,
}

impl Published {
    /// What was published since the last look.
    pub(super) fn poll(&mut self, host: &dyn Host) -> Option<Received> {
        let (receipt, version) = host.shared(RECEIPT)?;
        if self.read == Some(version) {
            return None;
        }
        self.read = Some(version);
        let at = Micros(u64::from_le_bytes(receipt.try_into().ok()?));
        Some(Received { at, resource: host.shared(BUDGETS)?.0 })
    }

    /// Gives budgets to the other threads.
    pub(super) fn publish(&mut self, host: &dyn Host, at: Micros, resource: &[u8]) {
        // Only the leader writes; should two VMs both believe they lead for a tick, generations settle it at every reader.
        let _ = host.set_shared(BUDGETS, resource, None);
        let _ = host.set_shared(RECEIPT, &at.0.to_le_bytes(), None);
    }

    /// The next look finds what is published, old or new.
    pub(super) fn read_again(&mut self) {
        self.read = None;
    }
}
