//! From what a request shows (journey, cluster, operation) to a hop's place in the recorder and its budget: one hash lookup.

use emac_core::enforce::{Enforcer, HopRef};
use emac_core::evidence::{HopIndex, HopKeyRef, Recorder};
use hashbrown::HashMap;

use crate::host::Host;

/// Where a hop's calls are counted and what bounds them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop {
    pub(crate) record: HopIndex,
    pub(crate) budget: HopRef,
}

/// Hops seen by this VM, at most as many as the recorder tells apart.
#[derive(Debug, Default)]
pub(crate) struct Hops {
    hops_max: usize,
    known: HashMap<Vec<u8>, Hop>,
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
        match self.known.get_mut(&self.key) {
            Some(hop) if enforcer.is_current(hop.budget) => *hop,
            _ => self.resolve(host, recorder, enforcer, source, sight),
        }
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
        let operation = sight.operation;
        let alone =
            if sight.journey.is_empty() { enforcer.resolve_alone(&destination, operation) } else { None };
        let (journey, budget) = match alone {
            Some((journey, budget)) => (journey.as_str(), budget),
            None => (sight.journey, enforcer.resolve(sight.journey, &destination, operation)),
        };
        let key = HopKeyRef { journey, source, destination: &destination, operation };
        let hop = Hop { record: recorder.hop(key), budget };
        if self.known.len() < self.hops_max || self.known.contains_key(&self.key) {
            self.known.insert(self.key.clone(), hop);
        }
        hop
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
    let service = host.property(&path).and_then(|bytes| String::from_utf8(bytes).ok());
    let by_name = || rest.rsplit('|').next().unwrap_or(rest).to_owned();
    service.filter(|service| !service.is_empty()).unwrap_or_else(by_name)
}
