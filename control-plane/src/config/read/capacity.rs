//! `evidence.capacity`.

use emac_document::Fields;
use emac_document::types::integer;

use crate::config::Capacity;

pub(super) fn capacity(fields: &mut Fields<'_>) -> Option<Capacity> {
    let default = Capacity::default();
    Some(Capacity {
        hops: number(
            fields,
            "hops",
            16..=10_000_000,
            "hops kept apart; beyond it the one longest silent and least travelled is counted under the overflow entry",
            default.hops,
        ),
        hops_per_workload: number(
            fields,
            "hopsPerWorkload",
            1..=1_000_000,
            "hops of one workload kept apart",
            default.hops_per_workload,
        ),
        hops_memory_mib: number(
            fields,
            "hopsMemoryMiB",
            16..=1_048_576,
            "memory for hops in MiB; beyond it a new hop replaces others",
            default.hops_memory_mib,
        ),
        journeys: number(
            fields,
            "journeys",
            1..=1_000_000,
            "undeclared journeys kept apart; declared ones always have a place",
            default.journeys,
        ),
        journeys_per_workload: number(
            fields,
            "journeysPerWorkload",
            1..=1_000_000,
            "undeclared journeys that one workload may name",
            default.journeys_per_workload,
        ),
        epochs: number(
            fields,
            "epochs",
            16..=100_000_000,
            "lives of sidecars kept to detect repeated reports",
            default.epochs,
        ),
    })
}

fn number(
    fields: &mut Fields<'_>,
    name: &'static str,
    range: std::ops::RangeInclusive<u64>,
    help: &'static str,
    default: usize,
) -> usize {
    fields.field(name, integer("count", range), help).or(default)
}
