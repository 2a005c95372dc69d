//! Kubernetes manifests and listings: what runs, how often, where, and which service picks it.
//!
//! A pod belongs to the workload of its namespace whose selector picks it; one that nobody picks is a workload of its own, named after its owner
//! where it has one. A ReplicaSet that a Deployment owns is not a workload beside it. An object without a namespace goes wherever it is applied, so
//! that its namespace is not known.

use std::collections::{BTreeMap, BTreeSet};

use super::at::At;
use super::label::{HOST, ZONE, canonical_key};
use super::{Demands, Endpoint, MeshFacts, Name, Node, Pod, Scope, Service, Workload, contains, unread};

/// Reads one object; false for a kind that is not understood.
pub(super) fn object(group: &str, kind: &str, at: &At<'_>, facts: &mut MeshFacts) -> bool {
    match (group, kind) {
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") => workload(kind, at, facts),
        ("argoproj.io", "Rollout") => rollout(at, facts),
        ("", "Pod") => pod(at, facts),
        ("", "Service") => {
            unread::annotations(kind, at, facts);
            service(at, facts);
        }
        ("", "Node") => node(at, facts),
        ("discovery.k8s.io", "EndpointSlice") => endpoints(at, facts),
        _ => return false,
    }
    true
}

/// Name, and namespace where it is written; a problem without a name.
fn named(at: &At<'_>) -> Option<(String, Option<String>)> {
    let metadata = at.get("metadata");
    let text = |key| metadata.as_ref().and_then(|metadata| metadata.text(key));
    let namespace = text("namespace").map(str::to_owned);
    match text("name").or_else(|| text("generateName")) {
        Some(name) => Some((name.to_owned(), namespace)),
        None => at.refuse("an object without `metadata.name`"),
    }
}

/// What tells a pod from all others.
fn full(name: &str, namespace: Option<&str>) -> String {
    namespace.map_or_else(|| name.to_owned(), |namespace| format!("{name}.{namespace}"))
}

fn workload(kind: &str, at: &At<'_>, facts: &mut MeshFacts) {
    let (Some((name, namespace)), Some(spec)) = (named(at), at.get("spec")) else { return };
    if kind == "ReplicaSet" && owner(at).is_some_and(|(owner, _)| owner == "Deployment") {
        return;
    }
    let template = spec.get("template");
    let pod_labels = template.as_ref().and_then(|template| template.get("metadata"));
    let pod_labels = pod_labels.map(|metadata| metadata.texts("labels")).unwrap_or_default();
    let mut labels = at.labels();
    for (key, values) in template.as_ref().map(At::labels).unwrap_or_default() {
        labels.entry(key).or_default().extend(values);
    }
    let replicas = spec.count("replicas").unwrap_or(1);
    let selector = spec.get("selector").map(|selector| selector.texts("matchLabels")).unwrap_or_default();
    let pod_spec = template.and_then(|template| template.get("spec"));
    facts.workloads.push(Workload {
        name: Name::object(&name, namespace.as_deref()),
        kind: kind.to_owned(),
        replicas: (kind != "DaemonSet").then_some(replicas),
        labels,
        selector: if selector.is_empty() { pod_labels.clone() } else { selector },
        pod_labels,
        demands: pod_spec.as_ref().map(demands).unwrap_or_default(),
        pods: Vec::new(),
        provenance: at.kubernetes(format!("{kind} of {replicas} replicas")),
    });
}

/// Argo's Rollout is a Deployment with another way of replacing pods. Steps of a canary say what will be, not what is: the shares of now stand in
/// the routes that its controller writes, so that steps are counted as passed over.
fn rollout(at: &At<'_>, facts: &mut MeshFacts) {
    let steps = at.find(&["spec", "strategy", "canary"]).map_or(0, |canary| canary.items("steps").len());
    if steps > 0 {
        let what = "Rollout with canary steps (the shares of now are those of its routes)";
        *facts.passed_over.entry(what.to_owned()).or_default() += 1;
    }
    // With a workloadRef its pods are those of another object.
    if at.find(&["spec", "template"]).is_some() {
        workload("Rollout", at, facts);
    }
}

/// The controller: kind and name.
fn owner(at: &At<'_>) -> Option<(String, String)> {
    let owners = at.get("metadata")?.items("ownerReferences");
    owners.iter().find_map(|owner| Some((owner.text("kind")?.to_owned(), owner.text("name")?.to_owned())))
}

/// What a pod specification asks of nodes.
fn demands(spec: &At<'_>) -> Demands {
    let mut demands = Demands::default();
    for (key, value) in spec.texts("nodeSelector") {
        demands.allowed.insert(canonical_key(&key).to_owned(), BTreeSet::from([value]));
    }
    affinity(spec, &mut demands);
    let hard = |at: &At<'_>| at.text("whenUnsatisfiable").is_none_or(|what| what == "DoNotSchedule");
    let spread = spec.items("topologySpreadConstraints");
    let spread = spread.iter().filter(|at| hard(at)).filter_map(|at| at.text("topologyKey"));
    demands.spread.extend(spread.map(|key| canonical_key(key).to_owned()));
    demands
}

/// Required terms only; several node selector terms are alternatives, so that only a single one restricts.
fn affinity(spec: &At<'_>, demands: &mut Demands) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    let terms = spec.find(&["affinity", "nodeAffinity", REQUIRED]).map(|at| at.items("nodeSelectorTerms"));
    if let Some([term]) = terms.as_deref() {
        for expression in term.items("matchExpressions") {
            let values = expression.items("values");
            let values = values.iter().filter_map(At::own_text).map(str::to_owned).collect();
            if let (Some(key), Some("In")) = (expression.text("key"), expression.text("operator")) {
                demands.allowed.insert(canonical_key(key).to_owned(), values);
            }
        }
    }
    let apart = spec.find(&["affinity", "podAntiAffinity"]).map(|at| at.items(REQUIRED)).unwrap_or_default();
    let apart = apart.iter().filter_map(|term| term.text("topologyKey"));
    demands.spread.extend(apart.map(|key| canonical_key(key).to_owned()));
}

/// A pod waits as a workload of its own until [`settle`] knows all workloads.
fn pod(at: &At<'_>, facts: &mut MeshFacts) {
    let Some((name, namespace)) = named(at) else { return };
    let labels = at.get("metadata").map(|metadata| metadata.texts("labels")).unwrap_or_default();
    let spec = at.get("spec");
    let node = spec.as_ref().and_then(|spec| spec.text("nodeName")).map(str::to_owned);
    let pod =
        Pod { name: full(&name, namespace.as_deref()), node, labels: labels.clone(), place: at.place() };
    let workload =
        owner(at).map_or_else(|| name.clone(), |(kind, owner)| without_hash(&kind, &owner, &labels));
    facts.workloads.push(Workload {
        name: Name::object(&workload, namespace.as_deref()),
        kind: POD.to_owned(),
        replicas: Some(1),
        labels: at.labels(),
        pod_labels: labels,
        selector: BTreeMap::new(),
        demands: spec.as_ref().map(demands).unwrap_or_default(),
        pods: vec![pod],
        provenance: at.kubernetes("a pod"),
    });
}

const POD: &str = "Pod";

/// A Deployment's ReplicaSet is called `<deployment>-<pod-template-hash>`.
fn without_hash(kind: &str, owner: &str, labels: &BTreeMap<String, String>) -> String {
    let hash = labels.get("pod-template-hash").filter(|_| kind == "ReplicaSet");
    let cut = hash.and_then(|hash| owner.strip_suffix(hash.as_str())?.strip_suffix('-'));
    cut.unwrap_or(owner).to_owned()
}

fn service(at: &At<'_>, facts: &mut MeshFacts) {
    let Some((name, namespace)) = named(at) else { return };
    let spec = at.get("spec");
    let selector = spec.as_ref().map(|spec| spec.texts("selector")).unwrap_or_default();
    let external = spec.as_ref().and_then(|spec| spec.text("externalName")).map(Name::new);
    let ports =
        spec.iter().flat_map(|spec| spec.items("ports")).filter_map(|port| port.count("port")).collect();
    let name = Name::object(&name, namespace.as_deref());
    let says =
        external.as_ref().map_or_else(|| "a service".to_owned(), |host| format!("another name of {host}"));
    let provenance = at.kubernetes(says);
    facts.services.push(Service { name, labels: at.labels(), selector, ports, external, provenance });
}

fn node(at: &At<'_>, facts: &mut MeshFacts) {
    let Some((name, _)) = named(at) else { return };
    let labels = at.get("metadata").map(|metadata| metadata.texts("labels")).unwrap_or_default();
    let labels = labels.into_iter().map(|(key, value)| (canonical_key(&key).to_owned(), value)).collect();
    let provenance = at.kubernetes(format!("node {name}"));
    facts.nodes.insert(name, Node { labels, provenance });
}

fn endpoints(at: &At<'_>, facts: &mut MeshFacts) {
    let Some((_, namespace)) = named(at) else { return };
    let labels = at.get("metadata").map(|metadata| metadata.texts("labels")).unwrap_or_default();
    let Some(service) = labels.get("kubernetes.io/service-name") else { return };
    let of = Name::object(service, namespace.as_deref());
    for endpoint in at.items("endpoints") {
        let mut labels = BTreeMap::new();
        labels.extend(endpoint.text("zone").map(|zone| (ZONE.to_owned(), zone.to_owned())));
        labels.extend(endpoint.text("nodeName").map(|node| (HOST.to_owned(), node.to_owned())));
        let pod = endpoint.get("targetRef").and_then(|target| target.text("name"));
        let address = endpoint.items("addresses").first().and_then(At::own_text);
        let instance = match (pod, address) {
            (Some(pod), _) => full(pod, namespace.as_deref()),
            (None, Some(address)) => address.to_owned(),
            (None, None) => continue,
        };
        let provenance = endpoint.kubernetes(format!("endpoint {instance} of {of}"));
        facts.endpoints.push(Endpoint { of: of.clone(), instance, labels, provenance });
    }
}

/// Once all files are read: gives every pod to its workload, and makes what is said of a service's only port hold for all of its calls.
/// O(pods · workloads + statements · services).
pub(super) fn settle(facts: &mut MeshFacts) {
    only_ports(facts);
    place_pods(facts);
}

fn only_ports(facts: &mut MeshFacts) {
    let MeshFacts { statements, splits, mirrors, services, .. } = facts;
    let settle = |to: &Name, scope: &mut Scope| {
        let named: Vec<&Service> = services.iter().filter(|service| service.name.meets(to)).collect();
        let ports = |service: &&Service| service.ports.iter().copied().eq(scope.port);
        if !named.is_empty() && named.iter().all(ports) {
            scope.port = None;
        }
    };
    statements.iter_mut().for_each(|statement| settle(&statement.to, &mut statement.scope));
    splits.iter_mut().for_each(|split| settle(&split.host, &mut split.scope));
    mirrors.iter_mut().for_each(|mirror| settle(&mirror.host, &mut mirror.scope));
}

fn place_pods(facts: &mut MeshFacts) {
    let (pods, mut workloads): (Vec<_>, Vec<_>) =
        std::mem::take(&mut facts.workloads).into_iter().partition(|workload| workload.kind == POD);
    for pod in pods {
        let picks = |workload: &&mut Workload| {
            let picked = !workload.selector.is_empty() && contains(&pod.pod_labels, &workload.selector);
            let same = workload.kind == POD && workload.name == pod.name;
            workload.name.namespace() == pod.name.namespace() && (picked || same)
        };
        match workloads.iter_mut().find(picks) {
            Some(workload) => {
                if workload.kind == POD {
                    workload.replicas = workload.replicas.map(|replicas| replicas.saturating_add(1));
                }
                workload.pods.extend(pod.pods);
            }
            None => workloads.push(pod),
        }
    }
    facts.workloads = workloads;
}
