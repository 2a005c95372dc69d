//! Families of a process that is one of several: how it stands with NATS and with the others.

use super::super::exposition::MetricFamily;
use super::super::state::Shared;
use super::{counter, gauge};

/// None where this process is alone.
pub(super) fn families(shared: &Shared) -> Vec<MetricFamily> {
    let Some(cluster) = &shared.cluster else { return Vec::new() };
    let standing = cluster.standing();
    let stops = shared.enforcement.stops();
    let several = &stops.switch.several;
    let one = |name: &str, help: &str, value: usize| {
        let mut family = gauge(name, help);
        family.gauge(&[], value as f64);
        family
    };
    let models = cluster.models(&shared.plan.load());
    let help =
        "Models in NATS that this replica passed over, because no replica of this control plane writes such.";
    let mut ignored = counter("emac_engine_models_ignored_total", help);
    ignored.counter(&[], models.ignored);
    let help = "Share of its bytes that a stream of NATS holds, 0 to 1; full, it refuses what is new.";
    let mut fill = gauge("emac_engine_stream_fill", help);
    cluster.fill().into_iter().for_each(|(stream, share)| fill.gauge(&[("stream", stream)], share));
    vec![
        one("emac_engine_connected", "1 if NATS is connected, else 0.", usize::from(standing.connected)),
        one(
            "emac_engine_replicas_ready",
            "Replicas that may take partitions, this one included.",
            standing.ready,
        ),
        one("emac_engine_partitions_held", "Partitions whose evidence this replica counts.", standing.mine),
        one("emac_engine_partitions_unheld", "Partitions whose evidence nobody counts.", standing.unheld),
        one("emac_engine_planner", "1 if this replica makes the plans, else 0.", usize::from(standing.plans)),
        one(
            "emac_engine_differing_journeys",
            "Journeys whose files here are not those that the plan in force was made from.",
            shared.in_force.load().differing().count(),
        ),
        one(
            "emac_engine_models_missing",
            "Journeys of the plan in force of which NATS does not have the intent and the model that they were planned from.",
            models.missing.len(),
        ),
        ignored,
        fill,
        one(
            "emac_engine_orders_waiting",
            "1 while orders about enforcement act on this replica that the others have not got, else 0.",
            usize::from(several.is_untold()),
        ),
        one(
            "emac_engine_replicas_not_obeying",
            "Other replicas that do not do as the newest order about enforcement says, as far as they tell.",
            cluster.behind(several.raised).len(),
        ),
    ]
}
