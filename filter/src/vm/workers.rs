//! How many VMs of this process see requests: they share each budget's burst.
//!
//! Each counts itself once, with its first request, in a metric all threads share; reading it costs one host call without bytes, and a
//! tick does that. A VM that was reloaded counts twice: then bursts are smaller than allowed, never larger.

use crate::host::{Host, MetricKind};

/// This VM among the others.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    counter: Option<u32>,
    counted: bool,
    count: u32,
}

impl Workers {
    pub(crate) fn configure(&mut self, host: &dyn Host) {
        self.counter = host.metric(MetricKind::Counter, "emac_workers_total");
    }

    /// A request was seen by this VM.
    pub(crate) fn see_request(&mut self, host: &dyn Host) {
        if self.counted {
            return;
        }
        self.counted = true;
        if let Some(counter) = self.counter {
            host.add_metric(counter, 1);
        }
    }

    /// Looks again.
    pub(crate) fn read(&mut self, host: &dyn Host) {
        let count = self.counter.map_or(0, |counter| host.read_metric(counter));
        self.count = u32::try_from(count).unwrap_or(u32::MAX);
    }

    /// At least 1.
    pub(crate) fn count(&self) -> u32 {
        self.count.max(1)
    }
}
