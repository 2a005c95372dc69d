//! How much evidence is kept apart.

/// Places in the tables of evidence. What finds none is counted under an overflow entry, so that totals stay exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Hops, 16 ..= 10 000 000.
    pub hops: usize,
    /// Hops of one source, 1 ..= 1 000 000.
    pub hops_per_workload: usize,
    /// Memory for hops in MiB, 16 ..= 1 048 576: beyond it a new hop has a place only when others go.
    pub hops_memory_mib: usize,
    /// Journeys that no intent declares, 1 ..= 1 000 000; those declared always have a place.
    pub journeys: usize,
    /// Undeclared journeys first named by one workload, 1 ..= 1 000 000.
    pub journeys_per_workload: usize,
    /// Leaders' lives whose reports are told from repetitions, 16 ..= 100 000 000.
    pub epochs: usize,
}

impl Default for Capacity {
    /// Ten thousand workloads with thirteen hops each take about 200 MB with five seconds of calls; a hundred thousand pods in a
    /// month, and as many again, about 45 MB.
    fn default() -> Self {
        Self {
            hops: 131_072,
            hops_per_workload: 1_024,
            hops_memory_mib: 512,
            journeys: 1_024,
            journeys_per_workload: 32,
            epochs: crate::marks::LIVES_MAX,
        }
    }
}
