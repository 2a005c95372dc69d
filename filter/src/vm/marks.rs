//! Telling callers that an answer is degraded.
//!
//! A degraded answer is given by an outbound filter; applications do not copy response headers, so the inbound filter of the same pod
//! must learn of it to set [`HEADER`] on the pod's own answer, whose caller's outbound filter does the same, up to the edge. The two may
//! run on different threads, so the mark lies in shared data, under the trace id where the call carries `traceparent`, else under journey
//! and deadline (then two requests of one journey that are due in the same millisecond cannot be told apart).
//!
//! The usual case costs one host call without bytes: a counter all threads share says whether any mark was made at all.

use emac_core::context::{Absolute, Context};
use emac_core::units::Micros;

use crate::host::{Host, MetricKind};
use crate::vm::slots;

/// On responses between sidecars; never on requests, and not passed to applications or beyond the edge.
pub(crate) const HEADER: &str = "x-emac-degraded";

const PLACES: u64 = 1_024;
const TABLE: &str = "emac.degraded";

/// When marks were made, as far as this VM has seen.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    counter: Option<u32>,
    seen: u64,
    changed: Micros,
}

impl Marks {
    pub(crate) fn configure(&mut self, host: &dyn Host) {
        self.counter = host.metric(MetricKind::Counter, "emac_degraded_marks_total");
    }

    /// Makes a mark for the inbound side of this pod.
    pub(crate) fn mark(&self, host: &dyn Host, key: u128) {
        slots::put(host, TABLE, PLACES, key, &key.to_le_bytes());
        if let Some(counter) = self.counter {
            host.add_metric(counter, 1);
        }
    }

    /// Whether any mark was made since `start`, as seen at `now`: only then is it worth looking for one.
    pub(crate) fn any_since(&mut self, host: &dyn Host, start: Micros, now: impl FnOnce() -> Micros) -> bool {
        let Some(counter) = self.counter else { return false };
        let count = host.read_metric(counter);
        if count != self.seen {
            self.seen = count;
            self.changed = now();
        }
        count > 0 && self.changed >= start
    }

    /// Whether this key was marked.
    pub(crate) fn is_marked(host: &dyn Host, key: u128) -> bool {
        slots::get(host, TABLE, PLACES, key).is_some_and(|value| value == key.to_le_bytes())
    }
}

/// The key of a request.
pub(crate) fn key_of(context: &Context<'_, Absolute>) -> u128 {
    if context.id != 0 {
        return u128::from(context.id);
    }
    // FNV-1a; never 0 in the upper half but by a chance of 2^-64.
    let hash = context.journey.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (u128::from(hash) << 64) | u128::from(context.deadline.0.0)
}
