//! Outages over time: of one service, and of pairs that share a failure domain.

use std::collections::{BTreeMap, BTreeSet};

use super::draw::Draw;
use super::service::{Service, ServiceId};
use super::settings::Faults;

/// When which service is down: intervals of nanoseconds since the world's beginning.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outages {
    by_service: BTreeMap<ServiceId, Vec<(i64, i64)>>,
}

/// What is true about failure domains.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Domains {
    /// Groups that fail together.
    pub shared: Vec<BTreeSet<ServiceId>>,
    /// Services whose labels contradict each other.
    pub conflicting: BTreeSet<ServiceId>,
    /// Services that say nothing.
    pub unlabelled: BTreeSet<ServiceId>,
}

impl Outages {
    /// Whether a service is down.
    pub fn is_down(&self, service: ServiceId, at_ns: i64) -> bool {
        self.by_service
            .get(&service)
            .is_some_and(|all| all.iter().any(|(from, to)| (*from..*to).contains(&at_ns)))
    }

    /// Adds an outage.
    pub fn add(&mut self, service: ServiceId, from_ns: i64, to_ns: i64) {
        self.by_service.entry(service).or_default().push((from_ns, to_ns));
    }

    /// Share of `window_ns` that a service is down; overlapping outages count twice.
    pub fn share(&self, service: ServiceId, window_ns: i64) -> f64 {
        let down: i64 = self.by_service.get(&service).map_or(0, |all| all.iter().map(|(a, b)| b - a).sum());
        down as f64 / window_ns.max(1) as f64
    }
}

/// Draws outages and domains, and labels the services. Roots are spared: without an entry there is no trace.
pub(super) fn afflict(
    services: &mut [Service],
    spared: &BTreeSet<ServiceId>,
    faults: &Faults,
    window_ns: i64,
    seed: u64,
) -> (Outages, Domains) {
    let mut draw = Draw::new(seed, "faults", 0);
    let mut outages = Outages::default();
    let mut free: Vec<ServiceId> = (0..services.len()).filter(|id| !spared.contains(id)).collect();
    let mut take = |draw: &mut Draw| (!free.is_empty()).then(|| free.swap_remove(draw.below(free.len())));
    let mut outage = |draw: &mut Draw, members: &[ServiceId]| {
        let length = (faults.length_s * 1e9) as i64;
        let from = (draw.unit() * (window_ns - length).max(0) as f64) as i64;
        members.iter().for_each(|id| outages.add(*id, from, from + length));
    };
    let mut domains = Domains::default();
    for _ in 0..faults.shared_domains {
        let Some(pair) = take(&mut draw).zip(take(&mut draw)) else { break };
        (0..faults.shared_outages).for_each(|_| outage(&mut draw, &[pair.0, pair.1]));
        domains.shared.push([pair.0, pair.1].into());
    }
    for _ in 0..faults.outages {
        let Some(one) = take(&mut draw) else { break };
        outage(&mut draw, &[one]);
    }
    domains.conflicting.extend((0..faults.conflicting).map_while(|_| take(&mut draw)));
    domains.unlabelled.extend((0..faults.unlabelled).map_while(|_| take(&mut draw)));
    label(services, &domains, faults.labelled, &mut draw);
    (outages, domains)
}

const ZONE: &str = "cloud.availability_zone";
const CLUSTER: &str = "k8s.cluster.name";

fn label(services: &mut [Service], domains: &Domains, labelled: bool, draw: &mut Draw) {
    for (id, service) in services.iter_mut().enumerate() {
        let zone = format!("zone-{}", ["a", "b", "c"][draw.below(3)]);
        service.labels = vec![(ZONE, zone), (CLUSTER, format!("cluster-{id}"))];
        if domains.conflicting.contains(&id) {
            service.labels.push((CLUSTER, format!("cluster-{id}-too")));
        }
        if domains.unlabelled.contains(&id) {
            service.labels.clear();
        }
    }
    for (number, group) in domains.shared.iter().enumerate().filter(|_| labelled) {
        for id in group {
            services[*id].labels = vec![(ZONE, "zone-a".into()), (CLUSTER, format!("shared-{number}"))];
        }
    }
}
