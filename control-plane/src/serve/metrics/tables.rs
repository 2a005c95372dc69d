//! How full the tables of evidence are, and what left them.

use super::super::exposition::MetricFamily;
use super::{counter, gauge};
use crate::aggregate::Aggregate;

pub(super) fn families(evidence: &Aggregate) -> Vec<MetricFamily> {
    let fill = evidence.fill();
    let mut entries = gauge("emac_table_entries", "Entries of the tables of evidence.");
    let mut capacity = gauge("emac_table_capacity", "Places in the tables of evidence (evidence.capacity).");
    for (table, taken, places) in [
        ("epochs", fill.lives, fill.lives_max),
        ("hops", fill.hops, fill.hops_max),
        ("journeys", fill.journeys, fill.journeys_max),
    ] {
        entries.gauge(&[("table", table)], taken as f64);
        capacity.gauge(&[("table", table)], places as f64);
    }
    let mut memory = gauge("emac_table_memory_bytes", "Approximate memory of the table of hops.");
    memory.gauge(&[("table", "hops")], fill.hop_bytes as f64);
    let mut memory_capacity =
        gauge("emac_table_memory_capacity_bytes", "Memory beyond which new hops replace others.");
    memory_capacity.gauge(&[("table", "hops")], fill.hop_bytes_max as f64);
    let help = "Entries that left a table since process start, by age or for want of room; the totals of hops and journeys move to the overflow entry.";
    let mut evicted = counter("emac_table_evictions_total", help);
    for (table, number) in
        [("epochs", fill.evicted.marks), ("hops", fill.evicted.hops), ("journeys", fill.evicted.journeys)]
    {
        evicted.counter(&[("table", table)], number);
    }
    let help = "Calls and requests counted under an overflow entry since process start, because their hop or journey found no place.";
    let mut overflow = counter("emac_table_overflow_calls_total", help);
    overflow.counter(&[], fill.evicted.calls);
    vec![entries, capacity, memory, memory_capacity, evicted, overflow]
}
