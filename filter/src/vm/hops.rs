//! From what a request shows (journey, cluster, operation) to a hop's place in the recorder and its budget: one hash lookup.

use emac_core::enforce::{Enforcer, HopRef};
use emac_core::evidence::{HopIndex, HopKeyRef, Recorder};
use emac_core::outcome::Outcome;
use emac_core::units::Millis;
use hashbrown::HashMap;

use crate::host::{Host, taken};

/// Where a hop's calls are counted and what bounds them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop {
    pub(crate) record: HopIndex,
    pub(crate) budget: HopRef,
    /// `None` above the cap.
    watch: Option<u32>,
}

/// Asking how often a call was tried costs as much as any other question about it, so it is asked always only while retries happen:
/// for the first calls of a hop, for a while after each retry that was seen, and for every call that did not succeed. Otherwise one call
/// in [`Watch::PERIOD`] is looked at; a burst of retries behind successes is missed for so many calls at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    /// Calls that are still looked at.
    left: u16,
    unseen: u8,
    /// How long the route itself lets a try wait, as last read; `None`: not known.
    route: Option<Millis>,
    /// Calls until it is read again, since routes change.
    fresh: u8,
}

impl Watch {
    const FIRST: u16 = 256;
    const AFTER_RETRY: u16 = 1_024;
    const PERIOD: u8 = 8;
    const ROUTE_FRESH: u8 = 64;

    const fn new() -> Self {
        Self { left: Self::FIRST, unseen: 0, route: None, fresh: 0 }
    }

    /// Whether to look at this call.
    pub(crate) fn wants_a_look(&mut self, outcome: Outcome) -> bool {
        self.unseen += 1;
        let wanted = self.left > 0 || self.unseen >= Self::PERIOD || outcome != Outcome::Success;
        self.left = self.left.saturating_sub(1);
        if wanted {
            self.unseen = 0;
        }
        wanted
    }

    /// How long the route lets a try wait; `None`: leave it to the route for this call, and read it then.
    pub(crate) fn wait_of_route(&mut self) -> Option<Millis> {
        self.fresh = self.fresh.checked_sub(1)?;
        self.route
    }

    /// What the router said; nothing where it says nothing, or waits for ever.
    pub(crate) fn route_waits(&mut self, route: Option<Millis>) {
        self.route = route;
        self.fresh = Self::ROUTE_FRESH;
    }

    /// What was found.
    pub(crate) fn saw(&mut self, retries: u32) {
        if retries > 0 {
            self.left = Self::AFTER_RETRY;
        }
    }
}

/// Hops seen by this VM, at most as many as the recorder tells apart.
#[derive(Debug, Default)]
pub(crate) struct Hops {
    hops_max: usize,
    /// Place of a hop by what requests show.
    known: HashMap<Vec<u8>, u32>,
    hops: Vec<Hop>,
    watches: Vec<Watch>,
    key: Vec<u8>,
}

/// What a request shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight<'a> {
    /// Empty: none known.
    pub(crate) journey: &'a str,
    pub(crate) cluster: &'a [u8],
    /// Empty: not told apart.
    pub(crate) operation: &'a str,
}

impl Hops {
    pub(crate) fn new(hops_max: usize) -> Self {
        Self { hops_max, ..Self::default() }
    }

    /// Most hops kept.
    pub(crate) const fn cap(&self) -> usize {
        self.hops_max
    }

    /// The hop of a request. Resolves budgets again when they have changed.
    pub(crate) fn find(
        &mut self,
        host: &dyn Host,
        recorder: &mut Recorder,
        enforcer: &Enforcer,
        source: &str,
        sight: Sight<'_>,
    ) -> Hop {
        self.key.clear();
        for part in [sight.journey.as_bytes(), b"\0", sight.cluster, b"\0", sight.operation.as_bytes()] {
            self.key.extend_from_slice(part);
        }
        let place = self.known.get(&self.key).copied();
        let known = place.and_then(|place| self.hops.get(place as usize));
        match known {
            Some(hop) if enforcer.is_current(hop.budget) => *hop,
            _ => self.resolve(host, recorder, enforcer, source, sight),
        }
    }

    /// Whether and when to look for retries of the hop.
    pub(crate) fn watch(&mut self, hop: Hop) -> Option<&mut Watch> {
        self.watches.get_mut(hop.watch? as usize)
    }

    fn resolve(
        &mut self,
        host: &dyn Host,
        recorder: &mut Recorder,
        enforcer: &Enforcer,
        source: &str,
        sight: Sight<'_>,
    ) -> Hop {
        let destination = name_destination(host, sight.cluster);
        let Sight { journey, operation, .. } = sight;
        let budget = enforcer.resolve(journey, &destination, operation);
        let key = HopKeyRef { journey, source, destination: &destination, operation };
        let place = self.known.get(&self.key).copied().or_else(|| self.make_place());
        let hop = Hop { record: recorder.hop(key), budget, watch: place };
        if let Some(known) = place.and_then(|place| self.hops.get_mut(place as usize)) {
            *known = hop;
        } else if place.is_some() {
            self.hops.push(hop);
        }
        hop
    }

    /// A place for the key at hand, if there is room.
    fn make_place(&mut self) -> Option<u32> {
        if self.known.len() >= self.hops_max {
            return None;
        }
        let place = u32::try_from(self.watches.len()).ok()?;
        self.watches.push(Watch::new());
        self.known.insert(self.key.clone(), place);
        Some(place)
    }
}

/// The service's host where Istio says it, else the cluster's name.
fn name_destination(host: &dyn Host, cluster: &[u8]) -> String {
    if cluster.is_empty() {
        return "_unrouted".to_owned();
    }
    let name = String::from_utf8_lossy(cluster);
    let Some(rest) = name.strip_prefix("outbound|") else { return name.into_owned() };
    let path = ["xds", "cluster_metadata", "filter_metadata", "istio", "services", "0", "host"];
    let text = |bytes: &[u8]| core::str::from_utf8(bytes).map(str::to_owned).unwrap_or_default();
    let service = taken(|read| host.property(&path, read), text);
    let by_name = || rest.rsplit('|').next().unwrap_or(rest).to_owned();
    service.filter(|service| !service.is_empty()).unwrap_or_else(by_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_looked_for_while_there_are_any() {
        let mut watch = Watch::new();
        let mut looks = |calls: u32, outcome, retries| {
            (0..calls)
                .filter(|_| {
                    let look = watch.wants_a_look(outcome);
                    if look {
                        watch.saw(retries);
                    }
                    look
                })
                .count()
        };
        assert_eq!(looks(256, Outcome::Success, 0), 256);
        assert_eq!(looks(800, Outcome::Success, 0), 100);
        assert_eq!(looks(50, Outcome::Error, 0), 50);
        assert_eq!(looks(800, Outcome::Success, 0), 100);
        assert!(looks(100, Outcome::Success, 1) > 90);
        assert_eq!(looks(1_000, Outcome::Success, 0), 1_000);
    }
}
