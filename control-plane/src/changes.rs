//! What a store holds, and what a transaction adds to it: the words between [`crate::aggregate`], which puts them together, and
//! [`crate::store`], which keeps them.

use std::collections::BTreeMap;
use std::sync::Arc;

use emac_core::evidence::{HopDelta, JourneyDelta};
use emac_core::id::{HopKey, JourneyName};
use emac_core::units::{Generation, Micros};

use crate::marks::{Life, Mark, MarkChanges};
use crate::totals::{HopTotals, JourneyTotals};

/// Everything that is durable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    /// Which reports are counted.
    pub marks: BTreeMap<Life, Mark>,
    /// Unknown epochs of a workload, or of a workload's node, up to here are refused.
    pub floors: BTreeMap<String, u64>,
    /// Unknown epochs of whomsoever up to here are refused.
    pub floor: u64,
    /// Totals by journey.
    pub journeys: BTreeMap<JourneyName, JourneyTotals>,
    /// Totals by hop.
    pub hops: BTreeMap<HopKey, HopTotals>,
    /// Highest generation that may have been issued.
    pub generation: Generation,
    /// Time served so far, over all lives of this process.
    pub served: Micros,
    /// The last commit.
    pub commit: u64,
}

/// One transaction: what is added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Its number: one more than that of the last that was stored.
    pub commit: u64,
    /// Marks that move, and those that are forgotten.
    pub marks: MarkChanges,
    /// Unknown epochs of whomsoever up to here were refused before it.
    pub floor: u64,
    /// What was reported of journeys.
    pub journeys: BTreeMap<JourneyName, JourneyDelta>,
    /// What was reported of hops.
    pub hops: BTreeMap<Arc<HopKey>, HopDelta>,
    /// Journeys that go; their totals move to the overflow journey.
    pub evicted_journeys: BTreeMap<JourneyName, JourneyTotals>,
    /// Hops that go; their totals move to the overflow hop.
    pub evicted_hops: BTreeMap<Arc<HopKey>, HopTotals>,
    /// Highest generation issued.
    pub generation: Generation,
    /// Time served so far.
    pub served: Micros,
}
