//! Who is at the door: connections, streams, refusals, and whether anybody should come.

use super::super::exposition::{MetricFamily, MetricType};
use super::super::ready;
use super::super::state::Shared;
use super::{counter, gauge, histogram};
use crate::totals::LatencyTotals;

pub(super) fn families(shared: &Shared) -> Vec<MetricFamily> {
    let mut refused =
        counter("emac_refused_total", "Connections, streams, reports and requests refused, by reason.");
    for (reason, count) in shared.gate.refusals() {
        refused.counter(&[("reason", reason)], count);
    }
    let mut connections = gauge("emac_connections", "Open connections by port.");
    for (port, open) in shared.gate.connections() {
        connections.gauge(&[("port", port)], open as f64);
    }
    let mut streams = gauge("emac_streams", "Open streams by kind.");
    for (kind, open) in shared.gate.streams() {
        streams.gauge(&[("kind", kind)], open as f64);
    }
    let limits = shared.gate.limits();
    let mut most = gauge("emac_connections_max", "Most connections of a port (`connections.open`).");
    most.gauge(&[], limits.open as f64);
    let mut most_streams = gauge("emac_streams_max", "Most streams of a kind (`connections.streams`).");
    most_streams.gauge(&[], limits.streams as f64);
    let help = "Memory for messages under way that are longer than 16 KiB.";
    let mut memory = gauge("emac_message_memory_bytes", help);
    memory.gauge(&[], shared.gate.memory_taken() as f64);
    let mut most_memory =
        gauge("emac_message_memory_max_bytes", "The most of it (`connections.messagesMiB`).");
    most_memory.gauge(&[], (limits.messages_mib << 20) as f64);
    let help =
        "When the control plane's own certificate ends, as Unix time; only where `identity.tls` is set.";
    let mut expires = gauge("emac_identity_certificate_expiry_seconds", help);
    if let Some(until) = shared.gate.own_certificate_until_unix_s() {
        expires.gauge(&[], until as f64);
    }
    let mut ready = gauge("emac_ready", "1 if `/readyz` says so, else 0.");
    ready.gauge(&[], f64::from(u8::from(ready::reasons(shared).is_empty())));
    let mut families =
        vec![refused, connections, most, streams, most_streams, memory, most_memory, expires, ready];
    families.extend(latencies(shared));
    families
}

/// How long budgets take to the sidecars.
fn latencies(shared: &Shared) -> [MetricFamily; 2] {
    let latencies = shared.proxies.latencies();
    let family = |name: &str, help: &str, sketch| {
        let mut totals = LatencyTotals::default();
        totals.add(sketch);
        let mut family = MetricFamily::new(name, MetricType::Histogram, help);
        family.histogram(&[], histogram(&totals));
        family
    };
    let help = "Time from publishing budgets to handing them to a stream that was open.";
    let push = family("emac_push_seconds", help, &latencies.push);
    let help = "Time from handing budgets to a stream to their acceptance by the sidecar.";
    [push, family("emac_acknowledgement_seconds", help, &latencies.acknowledgement)]
}
