//! A request arriving at the workload.

use emac_core::context::{Absolute, Context, TraceParent, baggage};
use emac_core::evidence::HopRecord;
use emac_core::id::HopKey;
use emac_core::units::Micros;

use super::finish::Finished;
use super::headers::All;
use super::{count_invalid, notice_unknown};
use crate::config::{Config, Join};
use crate::host::Host;
use crate::vm::marks::{self, Marks};
use crate::vm::{Vm, slots};
use emac_core::entry::Request;

/// What must be known when the answer comes.
#[derive(Debug)]
pub(super) struct Arrival {
    /// Under which outbound sides mark degraded answers.
    key: u128,
    /// When calls are recorded one by one: whose, and on which journey.
    record: Option<Box<(TraceParent, String)>>,
}

/// Takes the context into the pod: absolute, and where the outbound side will find it.
pub(super) fn arrive(vm: &mut Vm, host: &dyn Host, config: &Config, now: Micros) -> Option<Arrival> {
    let header = host.request_header("baggage")?;
    let context = match baggage::find_remaining(&header) {
        Ok(context) => context?.arrive(now, vm.next_id()),
        Err(_) => {
            count_invalid(vm);
            return None;
        }
    };
    notice_unknown(vm, Some(&context));
    host.set_request_header("baggage", &baggage::replace(&header, Some(&context)));
    let trace = || host.request_header("traceparent");
    Some(keep(host, config, &context, trace))
}

/// The same for a context made here, at the edge.
pub(super) fn start(
    host: &dyn Host,
    config: &Config,
    headers: &All,
    context: Option<Context<'_, Absolute>>,
) -> Option<Arrival> {
    let trace = || headers.header("traceparent").map(<[u8]>::to_vec);
    context.map(|context| keep(host, config, &context, trace))
}

fn keep(
    host: &dyn Host,
    config: &Config,
    context: &Context<'_, Absolute>,
    trace: impl FnOnce() -> Option<Vec<u8>>,
) -> Arrival {
    let wanted = config.join == Join::TraceParent || context.flags.is_sampled();
    let trace = if wanted { trace().and_then(|header| TraceParent::parse(&header).ok()) } else { None };
    if let (Join::TraceParent, Some(trace)) = (config.join, trace) {
        slots::put_context(host, trace.trace_id, context);
    }
    let record = trace.filter(|_| context.flags.is_sampled());
    Arrival {
        key: marks::key_of(context),
        record: record.map(|trace| Box::new((trace, context.journey.to_owned()))),
    }
}

/// Outbound: the context that waits under the call's trace id.
pub(super) fn waiting_context(host: &dyn Host, config: &Config) -> Option<Vec<u8>> {
    if config.join != Join::TraceParent {
        return None;
    }
    let header = host.request_header("traceparent")?;
    slots::get_context(host, TraceParent::parse(&header).ok()?.trace_id)
}

impl Arrival {
    /// Whether a call made for this request was answered in a degraded way.
    pub(super) fn is_degraded(&self, vm: &mut Vm, host: &dyn Host, start: Micros) -> bool {
        vm.marks.any_since(host, start, || host.now()) && Marks::is_marked(host, self.key)
    }

    pub(super) const fn is_recorded(&self) -> bool {
        self.record.is_some()
    }

    pub(super) fn finish(self, vm: &mut Vm, start: Micros, latency: Micros, finished: &Finished) {
        let Some((trace, journey)) = self.record.map(|record| *record) else { return };
        let destination = vm.settings.source.to_string();
        vm.recorder.keep(HopRecord {
            trace_id: trace.trace_id,
            parent_span_id: trace.parent_span_id,
            hop: HopKey { journey, destination, ..HopKey::default() },
            start_unix_us: start.0,
            duration: latency,
            outcome: finished.outcome,
            attempts: 1,
            status: finished.status,
            inbound: true,
        });
    }
}
