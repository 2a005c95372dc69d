//! Labels of a component: everything that services, workloads, pods, nodes, endpoints and entries of its name say.
//!
//! A replica is placed by its pod's node, else by its endpoint. Where neither is listed, what the workload demands of nodes is used as far as it
//! leaves no choice: one allowed value, or several over which the pods must be spread.

use std::collections::{BTreeMap, BTreeSet};

use super::label::{LabelKind, Observation, canonical_key, label_kind};
use super::name::{Matched, Name, best};
use super::{MeshFacts, Workload};
use emac_compile::model::Provenance;

impl MeshFacts {
    /// Labels said of whoever has this name, sorted. A service stands for the workloads its selector picks. O(everything).
    pub fn observations(&self, name: &Name) -> Vec<Observation> {
        let mut seen = Vec::new();
        let mut picked: BTreeSet<usize> = BTreeSet::new();
        let service = self.closest(name, self.services.iter().map(|service| &service.name));
        if let Some(service) = service.and_then(|at| self.services.get(at)) {
            labels(&service.labels, &service.provenance, &mut seen);
            let all = self.workloads.iter().enumerate();
            picked.extend(all.filter(|(_, workload)| service.picks(workload)).map(|(at, _)| at));
        }
        picked.extend(self.closest(name, self.workloads.iter().map(|workload| &workload.name)));
        for workload in picked.iter().filter_map(|&at| self.workloads.get(at)) {
            of_workload(workload, &mut seen);
            self.placements(workload, &mut seen);
        }
        self.of_endpoints(name, &mut seen);
        for entry in self.dependencies.iter().filter(|entry| entry.hosts.iter().any(|host| host.meets(name)))
        {
            labels(&entry.labels, &entry.provenance, &mut seen);
        }
        seen.sort();
        seen.dedup();
        seen
    }

    /// The only closest one; of several equal ones none.
    fn closest<'a>(&self, name: &Name, all: impl Iterator<Item = &'a Name>) -> Option<usize> {
        match best(name, all) {
            Matched::One(at) => Some(at),
            Matched::Nobody | Matched::Several(_) => None,
        }
    }

    fn placements(&self, workload: &Workload, seen: &mut Vec<Observation>) {
        let placed = workload.pods.iter().filter_map(|pod| Some((pod, self.nodes.get(pod.node.as_ref()?)?)));
        let mut any = false;
        for (pod, node) in placed {
            any = true;
            for (key, value) in &node.labels {
                let says = format!("pod {} runs on {}", pod.name, node.provenance.says);
                let provenance =
                    Provenance { says, place: Some(pod.place.clone()), ..node.provenance.clone() };
                seen.push(observation(key, value, Some(pod.name.clone()), &provenance));
            }
        }
        if !any {
            demanded(workload, seen);
        }
    }

    /// Endpoints that are pods placed by their nodes already say the same twice; one replica counts once when values are counted.
    fn of_endpoints(&self, name: &Name, seen: &mut Vec<Observation>) {
        for endpoint in self.endpoints.iter().filter(|endpoint| endpoint.of.meets(name)) {
            for (key, value) in &endpoint.labels {
                seen.push(observation(key, value, Some(endpoint.instance.clone()), &endpoint.provenance));
            }
        }
    }
}

/// Where the pods of a workload must run, as far as its demands leave no choice.
fn demanded(workload: &Workload, seen: &mut Vec<Observation>) {
    let replicas = workload.replicas.unwrap_or(1);
    for (key, values) in &workload.demands.allowed {
        let spread = workload.demands.spread.contains(key) && replicas > 1;
        if values.len() == 1 || spread {
            for (i, value) in values.iter().enumerate().take(replicas.max(1) as usize) {
                let instance = spread.then(|| format!("{} demanded {i}", workload.name));
                seen.push(observation(key, value, instance, &workload.provenance));
            }
        }
    }
}

/// Labels of a workload, and of each of its pods what no node tells.
fn of_workload(workload: &Workload, seen: &mut Vec<Observation>) {
    let by_pods = |key: &str| label_kind(key) == LabelKind::Single;
    for (key, values) in &workload.labels {
        for value in values {
            let of_pods = workload.pod_labels.get(key) == Some(value);
            let field = match (of_pods, workload.kind.as_str()) {
                (true, "Pod") if by_pods(key) => continue,
                (true, "Pod") => format!("metadata.labels.{key}"),
                (true, _) => format!("spec.template.metadata.labels.{key}"),
                (false, _) => "metadata".to_owned(),
            };
            seen.push(observation(key, value, None, &within(&workload.provenance, &field)));
        }
    }
    for pod in &workload.pods {
        for (key, value) in pod.labels.iter().filter(|(key, _)| by_pods(key)) {
            let (says, place) = (format!("pod {}", pod.name), Some(pod.place.clone()));
            let provenance = Provenance { says, place, ..workload.provenance.clone() };
            let provenance = within(&provenance, &format!("metadata.labels.{key}"));
            seen.push(observation(key, value, Some(pod.name.clone()), &provenance));
        }
    }
}

/// The same statement, with the field within the object.
fn within(provenance: &Provenance, field: &str) -> Provenance {
    let inside =
        |object: &str| if object.is_empty() { field.to_owned() } else { format!("{object}.{field}") };
    let place = provenance.place.as_ref().map(|(file, object)| (file.clone(), inside(object)));
    Provenance { place, ..provenance.clone() }
}

fn labels(labels: &BTreeMap<String, BTreeSet<String>>, provenance: &Provenance, seen: &mut Vec<Observation>) {
    let provenance = within(provenance, "metadata");
    for (key, values) in labels {
        seen.extend(values.iter().map(|value| observation(key, value, None, &provenance)));
    }
}

/// Says the label and its value too, so that the provenance reads alone.
fn observation(key: &str, value: &str, instance: Option<String>, provenance: &Provenance) -> Observation {
    let key = canonical_key(key).to_owned();
    let says = format!("{}: {key} is {value}", provenance.says);
    let provenance = Provenance { says, ..provenance.clone() };
    Observation { key, value: value.to_owned(), instance, count: 1, provenance }
}
