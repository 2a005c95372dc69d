//! How full the tables are, and what had to go.

use std::sync::Arc;

use emac_core::id::HopKey;

use super::room::Limits;
use super::{Aggregate, Hop};

/// Places taken and places there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// Marks by which repeated reports are told.
    pub lives: usize,
    /// Most of them.
    pub lives_max: usize,
    /// Hops.
    pub hops: usize,
    /// Most of them.
    pub hops_max: usize,
    /// About what hops take in memory, in bytes.
    pub hop_bytes: usize,
    /// Above it new hops replace others.
    pub hop_bytes_max: usize,
    /// Journeys that no intent declares.
    pub journeys: usize,
    /// Most of them.
    pub journeys_max: usize,
    /// Sidecars listed.
    pub nodes: usize,
    /// Since this process began.
    pub evicted: Evicted,
}

/// What left the tables since this process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Marks, by age and for want of room; their floors stay.
    pub marks: u64,
    /// Hops; their totals are in the overflow hop.
    pub hops: u64,
    /// Journeys; their totals are in the overflow journey.
    pub journeys: u64,
    /// Calls and requests counted under an overflow entry, because their hop or journey found no place.
    pub calls: u64,
}

impl Fill {
    /// Tables that have no place left, by name: newcomers there replace others or are counted under an overflow entry.
    pub fn full(&self) -> impl Iterator<Item = &'static str> {
        let tables = [
            ("epochs", self.lives, self.lives_max),
            ("hops", self.hops, self.hops_max),
            ("hop memory", self.hop_bytes, self.hop_bytes_max),
            ("journeys", self.journeys, self.journeys_max),
        ];
        tables.into_iter().filter(|(_, taken, most)| *most > 0 && taken >= most).map(|(name, ..)| name)
    }
}

impl Aggregate {
    /// How full the tables are. Costs nothing.
    pub fn fill(&self) -> Fill {
        let limits = self.limits_of_hops();
        Fill {
            lives: self.marks.len(),
            lives_max: self.marks.room(),
            hops: self.hop_room.number(),
            hops_max: limits.all,
            hop_bytes: limits.bytes.0,
            hop_bytes_max: limits.bytes.1,
            journeys: self.journey_room.number(),
            journeys_max: self.limits_of_journeys().all,
            nodes: self.nodes.len(),
            evicted: self.evicted,
        }
    }

    pub(super) fn limits_of_hops(&self) -> Limits {
        let most = if self.lets_go { self.capacity.hops_memory_mib.saturating_mul(1 << 20) } else { 0 };
        let (all, each) = (self.capacity.hops, self.capacity.hops_per_workload);
        Limits { all, each, bytes: (self.hop_bytes, most), lets_go: self.lets_go }
    }

    pub(super) fn limits_of_journeys(&self) -> Limits {
        // Who named a journey first is known to whoever was there only.
        let each = if self.lets_go { self.capacity.journeys_per_workload } else { usize::MAX };
        Limits { all: self.capacity.journeys, each, bytes: (0, 0), lets_go: self.lets_go }
    }
}

/// About what a hop takes: itself and its key in a tree that is two thirds full, and what they point to.
pub(super) fn bytes_of(key: &HopKey, hop: &Hop) -> usize {
    let HopKey { journey, source, destination, operation } = key;
    let texts: usize = [journey, source, destination, operation].iter().map(|text| text.len() + 8).sum();
    let key_bytes = size_of::<HopKey>() + 16 + texts + 2 * size_of::<Arc<HopKey>>();
    key_bytes + (size_of::<Arc<HopKey>>() + size_of::<Hop>()) * 3 / 2 + heap_of(hop)
}

pub(super) fn heap_of(hop: &Hop) -> usize {
    hop.totals.heap_bytes() + hop.recent.heap_bytes()
}
