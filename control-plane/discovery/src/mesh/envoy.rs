//! Envoy's `config_dump`, and what `istioctl proxy-config` prints of it: what a sidecar does, after every controller has had its say.
//!
//! The sections that may stand in one: bootstrap (whose sidecar it is, and its locality), clusters, listeners with routes in them, routes,
//! endpoints (only with `?include_eds`), each static and dynamic. Inbound clusters are the workload's own and are left out. Where a route names
//! no timeout Envoy's own default of 15 s holds, and is said to be that; a retry policy without a number repeats once.

mod dump;

use std::collections::BTreeMap;
use std::sync::Arc;

use emac_core::units::Ratio;

use self::dump::{
    Assignment, Cluster, Config, Dump, Fraction, Listener, MirrorPolicy, Printed, Route, RouteAction,
    RouteConfig, Threshold,
};
use super::at::millis;
use super::divided;
use super::label::{REGION, ZONE};
use super::name::{Address, Name};
use super::{Destination, Endpoint, MeshFacts, Mirror, Scope, Split, Statement};
use emac_compile::model::{EvidenceSource, Provenance, RuntimeParameters};
use emac_document::{Document, Source, Value as Yaml};

/// Envoy's timeout of a route that names none, milliseconds.
const TIMEOUT_MS: u64 = 15_000;
/// What is said of a proxy that nothing names holds for its calls, whoever's they are: never for everybody's.
const WHOSE: &str = "one proxy, its file does not say whose";
/// Thresholds at this value are none.
const UNLIMITED: u64 = u32::MAX as u64;

/// Reads a dump. O(length), and memory for what is asked for only.
///
/// # Errors
/// The text is no JSON, or one of the fields has another type, with line and column.
pub(super) fn read(source: &Arc<Source>, facts: &mut MeshFacts) -> Result<(), serde_json::Error> {
    let dump: Dump = serde_json::from_str(source.text().trim_start_matches('\u{feff}'))?;
    read_dump(source.name(), &dump, facts);
    Ok(())
}

fn read_dump(file: &str, dump: &Dump, facts: &mut MeshFacts) {
    let bootstrap = dump.configs.iter().find_map(|config| config.bootstrap.as_ref()?.node.as_ref());
    let named = bootstrap
        .and_then(|node| node.cluster.as_deref().filter(|cluster| !cluster.is_empty()))
        .map(Name::new);
    let caller = named.clone().or_else(|| own_workload(dump));
    let mut reading = Reading { file, caller, facts };
    if let (Some(node), Some(caller)) = (bootstrap, named) {
        let instance = node.id.clone().unwrap_or_else(|| reading.file.to_owned());
        reading.endpoint(&caller, instance, node.locality.as_ref(), "bootstrap.node");
    }
    dump.configs.iter().enumerate().for_each(|(i, config)| reading.config(config, i));
}

/// Whose sidecar it is where no bootstrap says it: the one service that its inbound clusters and routes are for.
fn own_workload(dump: &Dump) -> Option<Name> {
    let clusters =
        dump.configs.iter().flat_map(|config| config.clusters()).flat_map(|(it, _)| it.own_services());
    let routes = dump.configs.iter().flat_map(|config| config.routes()).flat_map(|(it, _)| it.own_services());
    let listeners = dump.configs.iter().flat_map(|config| config.listeners());
    let inline =
        listeners.flat_map(|(listener, _)| listener.route_configs()).flat_map(RouteConfig::own_services);
    let mut own: Vec<Name> = clusters.chain(routes).chain(inline).map(|host| Name::new(&host)).collect();
    own.sort();
    own.dedup();
    match own.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}

/// Reads a dump in YAML, or what `istioctl proxy-config` prints of one proxy, JSON or YAML: an array of clusters, routes or listeners. Whose
/// sidecar it is shows in what is inbound, or not at all. `None`: the document is neither.
///
/// # Errors
/// A field has another type.
pub(super) fn read_document(
    document: &Document,
    facts: &mut MeshFacts,
) -> Option<Result<(), serde_json::Error>> {
    let file = document.source.name();
    match &document.root.value {
        Yaml::Mapping(entries) if entries.iter().any(|entry| entry.key == "configs") => {
            let dump = serde_json::from_value::<Dump>(dump::in_snake_case(document.root.to_json()));
            Some(dump.map(|dump| read_dump(file, &dump, facts)))
        }
        Yaml::Sequence(items) => {
            let items: Vec<_> = items.iter().map(|item| dump::in_snake_case(item.to_json())).collect();
            let others = items.iter().filter(|item| Printed::of(item) == Printed::Other).count() as u64;
            if others == items.len() as u64 {
                return None;
            }
            if others > 0 {
                *facts.passed_over.entry("resource of a proxy".to_owned()).or_default() += others;
            }
            let config = Config::of_printed(&items);
            Some(config.map(|config| read_dump(file, &Dump { configs: vec![config] }, facts)))
        }
        _ => None,
    }
}

/// The threshold of requests that bear no priority.
fn usual_threshold(cluster: &Cluster) -> Option<&Threshold> {
    let mut thresholds = cluster.circuit_breakers.iter().flat_map(|breakers| &breakers.thresholds);
    thresholds.find(|one| one.priority.as_deref().is_none_or(|priority| priority == "DEFAULT"))
}

/// A number that limits anything.
fn limit(number: Option<u64>) -> Option<u32> {
    number.filter(|&number| number < UNLIMITED).and_then(|number| u32::try_from(number).ok())
}

/// What a cluster says besides the parameters of a model, by name.
fn more_of(cluster: &Cluster, threshold: Option<&Threshold>) -> BTreeMap<&'static str, String> {
    let mut more = BTreeMap::new();
    if let Some(outlier) = &cluster.outlier_detection {
        more.extend(outlier.interval.clone().map(|text| ("outlier.interval", text)));
        more.extend(outlier.base_ejection_time.clone().map(|text| ("outlier.ejection", text)));
        more.extend(outlier.max_ejection_percent.map(|most| ("outlier.most", format!("{most} %"))));
    }
    more.extend(cluster.lb_policy.clone().map(|policy| ("balancer", policy)));
    if let Some(threshold) = threshold {
        more.extend(limit(threshold.max_requests).map(|most| ("requests.most", most.to_string())));
        more.extend(limit(threshold.max_retries).map(|most| ("retries.most", most.to_string())));
    }
    more
}

struct Reading<'a> {
    file: &'a str,
    caller: Option<Name>,
    facts: &'a mut MeshFacts,
}

impl Reading<'_> {
    fn config(&mut self, config: &Config, i: usize) {
        for (cluster, path) in config.clusters() {
            self.cluster(cluster, &format!("configs[{i}].{path}"));
        }
        for (routes, path) in config.routes() {
            self.routes(routes, &format!("configs[{i}].{path}"));
        }
        for (listener, path) in config.listeners() {
            self.listener(listener, &format!("configs[{i}].{path}"));
        }
        for (assignment, path) in config.endpoints() {
            let name = assignment.cluster_name.as_deref().unwrap_or_default();
            self.endpoints(name, assignment, &format!("configs[{i}].{path}"));
        }
    }

    fn provenance(&self, says: String, path: &str) -> Provenance {
        let place = Some((self.file.to_owned(), path.to_owned()));
        Provenance { source: EvidenceSource::Mesh, says, traces: Vec::new(), place }
    }

    fn scope(&self, subset: Option<String>, condition: String) -> Scope {
        let unknown = self.caller.is_none().then(|| WHOSE.to_owned());
        let parts: Vec<String> =
            unknown.into_iter().chain([condition]).filter(|part| !part.is_empty()).collect();
        Scope { caller: self.caller.clone(), subset, condition: parts.join("; "), ..Scope::default() }
    }

    fn state(
        &mut self,
        to: &Name,
        scope: Scope,
        parameters: RuntimeParameters,
        more: BTreeMap<&'static str, String>,
        path: &str,
    ) {
        if parameters != RuntimeParameters::default() || !more.is_empty() {
            let provenance = self.provenance(super::conflict::says(&parameters, &more), path);
            self.facts.statements.push(Statement { to: to.clone(), scope, parameters, more, provenance });
        }
    }

    // === clusters ===

    fn cluster(&mut self, cluster: &Cluster, path: &str) {
        let Some(name) = cluster.name.as_deref() else { return };
        let Some(address) = Address::new(name) else { return };
        let (outlier, threshold) = (cluster.outlier_detection.as_ref(), usual_threshold(cluster));
        let parameters = RuntimeParameters {
            max_connections: threshold.and_then(|threshold| limit(threshold.max_connections)),
            max_pending: threshold.and_then(|threshold| limit(threshold.max_pending_requests)),
            consecutive_errors: outlier
                .and_then(|outlier| limit(outlier.consecutive_5xx.or(outlier.consecutive_gateway_failure)))
                .filter(|&errors| errors > 0),
            ..RuntimeParameters::default()
        };
        let more = more_of(cluster, threshold);
        let scope = self.scope(address.subset, String::new());
        self.state(&address.name, scope, parameters, more, path);
        if let Some(assignment) = &cluster.load_assignment {
            self.endpoints(name, assignment, &format!("{path}.load_assignment"));
        }
    }

    fn endpoints(&mut self, cluster: &str, assignment: &Assignment, path: &str) {
        let Some(address) = Address::new(cluster) else { return };
        for (i, group) in assignment.endpoints.iter().enumerate() {
            for one in &group.lb_endpoints {
                let Some(instance) = one.address() else { continue };
                self.endpoint(
                    &address.name,
                    instance,
                    group.locality.as_ref(),
                    &format!("{path}.endpoints[{i}]"),
                );
            }
        }
    }

    fn endpoint(&mut self, of: &Name, instance: String, locality: Option<&dump::Locality>, path: &str) {
        let mut labels = BTreeMap::new();
        if let Some(dump::Locality { region, zone }) = locality {
            let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
            labels.extend(some(region).map(|region| (REGION.to_owned(), region)));
            labels.extend(some(zone).map(|zone| (ZONE.to_owned(), zone)));
        }
        let provenance = self.provenance(format!("endpoint {instance} of {of}"), path);
        self.facts.endpoints.push(Endpoint { of: of.clone(), instance, labels, provenance });
    }

    // === routes ===

    fn listener(&mut self, listener: &Listener, path: &str) {
        for routes in listener.route_configs() {
            self.routes(routes, &format!("{path}.route_config"));
        }
    }

    fn routes(&mut self, config: &RouteConfig, path: &str) {
        for (h, host) in config.virtual_hosts.iter().enumerate() {
            for (r, route) in host.routes.iter().enumerate() {
                let path = format!("{path}.virtual_hosts[{h}].routes[{r}]");
                let Some(action) = &route.route else { continue };
                let mirrors =
                    action.request_mirror_policies.as_ref().or(host.request_mirror_policies.as_ref());
                let retry = action.retry_policy.as_ref().or(host.retry_policy.as_ref());
                self.route(route, action, retry, mirrors.map_or(&[], Vec::as_slice), &path);
            }
        }
    }

    fn route(
        &mut self,
        route: &Route,
        action: &RouteAction,
        retry: Option<&dump::RetryPolicy>,
        mirrors: &[MirrorPolicy],
        path: &str,
    ) {
        let condition = route.condition();
        let shares = shares(action);
        let Some(first) = shares.first().map(|(destination, _)| destination.clone()) else { return };
        let (parameters, mut more) = route_parameters(action, retry);
        more.extend(action.timeout.is_none().then(|| ("timeout", "15 s, Envoy's default".to_owned())));
        for (destination, _) in &shares {
            // The route says it, whichever subset it leads to.
            let scope = self.scope(None, condition.clone());
            self.state(&destination.to, scope, parameters.clone(), more.clone(), path);
        }
        if shares.len() > 1 {
            let provenance = self.provenance(format!("calls are divided: {}", divided(&shares)), path);
            let scope = self.scope(None, condition.clone());
            self.facts.splits.push(Split { host: first.to.clone(), scope, shares, provenance });
        }
        for mirror in mirrors {
            self.mirror(mirror, &first, &condition, path);
        }
    }

    fn mirror(&mut self, policy: &MirrorPolicy, original: &Destination, condition: &str, path: &str) {
        let Some(to) = policy.cluster.as_deref().and_then(destination) else { return };
        let fraction = policy.runtime_fraction.as_ref().and_then(|fraction| fraction.default_value.as_ref());
        let share = fraction.map_or(Some(Ratio::ONE), Fraction::share);
        let Some(share) = share else { return };
        let says = format!("{:.1} % of the calls are copied to {}", share.get() * 100.0, to.to);
        let provenance = self.provenance(says, path);
        let scope = self.scope(None, condition.to_owned());
        self.facts.mirrors.push(Mirror { host: original.to.clone(), scope, to, share, provenance });
    }
}

fn destination(cluster: &str) -> Option<Destination> {
    Address::new(cluster).map(|address| Destination { to: address.name, subset: address.subset })
}

/// Destinations of a route with their shares.
fn shares(action: &RouteAction) -> Vec<(Destination, Ratio)> {
    if let Some(cluster) = action.cluster.as_deref() {
        return destination(cluster).map(|to| (to, Ratio::ONE)).into_iter().collect();
    }
    let clusters = action.weighted_clusters.iter().flat_map(|weighted| &weighted.clusters);
    let sum: u64 = clusters.clone().map(|one| one.weight.unwrap_or(0)).sum();
    let share = |one: &dump::WeightedCluster| {
        let share = Ratio::new(one.weight.unwrap_or(0) as f64 / sum as f64).ok()?;
        Some((destination(one.name.as_deref()?)?, share))
    };
    clusters.filter_map(share).collect()
}

fn route_parameters(
    action: &RouteAction,
    retry: Option<&dump::RetryPolicy>,
) -> (RuntimeParameters, BTreeMap<&'static str, String>) {
    let limit = |text: &Option<String>| text.as_deref().and_then(|text| millis(text).ok().flatten());
    let retry = retry.filter(|retry| retry.retry_on.as_deref().is_some_and(|on| !on.is_empty()));
    let parameters = RuntimeParameters {
        timeout_ms: if action.timeout.is_none() { Some(TIMEOUT_MS) } else { limit(&action.timeout) },
        per_try_timeout_ms: retry.and_then(|retry| limit(&retry.per_try_timeout)),
        attempts: retry.map(|retry| retry.num_retries.unwrap_or(1).saturating_add(1)),
        retry_on: retry.and_then(dump::RetryPolicy::conditions),
        ..RuntimeParameters::default()
    };
    let hash: Vec<_> = action.hash_policy.iter().filter_map(dump::HashPolicy::text).collect();
    let more = (!hash.is_empty()).then(|| ("hash", hash.join(", ")));
    (parameters, more.into_iter().collect())
}
