//! The part of Envoy's admin and configuration messages that is read, in their JSON form (`envoy.admin.v3.ConfigDump`). Every field may be absent,
//! every other field is skipped without being built.

mod printed;

use emac_core::units::Ratio;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::mesh::conflict::in_order;
pub(super) use printed::{Printed, in_snake_case};

#[derive(Deserialize)]
pub(super) struct Dump {
    pub(super) configs: Vec<Config>,
}

/// One section; which one is told by the fields it has.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Config {
    pub(super) bootstrap: Option<Bootstrap>,
    static_clusters: Vec<Held<Cluster>>,
    dynamic_active_clusters: Vec<Held<Cluster>>,
    static_route_configs: Vec<Held<RouteConfig>>,
    dynamic_route_configs: Vec<Held<RouteConfig>>,
    static_listeners: Vec<Held<Listener>>,
    dynamic_listeners: Vec<Held<Listener>>,
    static_endpoint_configs: Vec<Held<Assignment>>,
    dynamic_endpoint_configs: Vec<Held<Assignment>>,
}

/// What holds a resource: under its own name, or in the active state of a dynamic listener.
#[derive(Deserialize)]
struct Held<T> {
    #[serde(alias = "cluster", alias = "route_config", alias = "listener", alias = "endpoint_config")]
    held: Option<T>,
    active_state: Option<Box<Held<T>>>,
}

impl<T> Held<T> {
    fn resource(&self) -> Option<&T> {
        self.held.as_ref().or_else(|| self.active_state.as_ref()?.held.as_ref())
    }
}

/// Resources of one list with their places.
fn all<'a, T>(list: &'a [Held<T>], name: &'static str) -> impl Iterator<Item = (&'a T, String)> {
    list.iter().enumerate().filter_map(move |(i, held)| Some((held.resource()?, format!("{name}[{i}]"))))
}

impl Config {
    pub(super) fn clusters(&self) -> impl Iterator<Item = (&Cluster, String)> {
        let dynamic = all(&self.dynamic_active_clusters, "dynamic_active_clusters");
        all(&self.static_clusters, "static_clusters").chain(dynamic)
    }

    pub(super) fn routes(&self) -> impl Iterator<Item = (&RouteConfig, String)> {
        let dynamic = all(&self.dynamic_route_configs, "dynamic_route_configs");
        all(&self.static_route_configs, "static_route_configs").chain(dynamic)
    }

    pub(super) fn listeners(&self) -> impl Iterator<Item = (&Listener, String)> {
        let dynamic = all(&self.dynamic_listeners, "dynamic_listeners");
        all(&self.static_listeners, "static_listeners").chain(dynamic)
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = (&Assignment, String)> {
        let dynamic = all(&self.dynamic_endpoint_configs, "dynamic_endpoint_configs");
        all(&self.static_endpoint_configs, "static_endpoint_configs").chain(dynamic)
    }
}

#[derive(Deserialize)]
pub(super) struct Bootstrap {
    pub(super) node: Option<Node>,
}

#[derive(Deserialize)]
pub(super) struct Node {
    pub(super) id: Option<String>,
    pub(super) cluster: Option<String>,
    pub(super) locality: Option<Locality>,
}

#[derive(Deserialize)]
pub(super) struct Locality {
    pub(super) region: Option<String>,
    pub(super) zone: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Cluster {
    pub(super) name: Option<String>,
    pub(super) lb_policy: Option<String>,
    pub(super) circuit_breakers: Option<CircuitBreakers>,
    pub(super) outlier_detection: Option<OutlierDetection>,
    pub(super) load_assignment: Option<Assignment>,
    metadata: Option<Metadata>,
}

impl Cluster {
    /// Services that an inbound cluster stands for, as Istio notes them: those of the proxy's own workload.
    pub(super) fn own_services(&self) -> impl Iterator<Item = String> {
        let inbound = self.name.as_deref().is_some_and(|name| name.starts_with("inbound|"));
        let noted = self
            .metadata
            .as_ref()
            .filter(|_| inbound)
            .and_then(|metadata| metadata.filter_metadata.istio.as_ref());
        noted.into_iter().flat_map(|istio| &istio.services).filter_map(|service| service.host.clone())
    }
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    filter_metadata: FilterMetadata,
}

#[derive(Deserialize, Default)]
struct FilterMetadata {
    istio: Option<IstioMetadata>,
}

#[derive(Deserialize)]
struct IstioMetadata {
    #[serde(default)]
    services: Vec<IstioService>,
}

#[derive(Deserialize)]
struct IstioService {
    host: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct CircuitBreakers {
    #[serde(default)]
    pub(super) thresholds: Vec<Threshold>,
}

#[derive(Deserialize)]
pub(super) struct Threshold {
    pub(super) priority: Option<String>,
    pub(super) max_connections: Option<u64>,
    pub(super) max_pending_requests: Option<u64>,
    pub(super) max_requests: Option<u64>,
    pub(super) max_retries: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct OutlierDetection {
    pub(super) consecutive_5xx: Option<u64>,
    pub(super) consecutive_gateway_failure: Option<u64>,
    pub(super) interval: Option<String>,
    pub(super) base_ejection_time: Option<String>,
    pub(super) max_ejection_percent: Option<u32>,
}

#[derive(Deserialize)]
pub(super) struct Assignment {
    pub(super) cluster_name: Option<String>,
    #[serde(default)]
    pub(super) endpoints: Vec<LocalityEndpoints>,
}

#[derive(Deserialize)]
pub(super) struct LocalityEndpoints {
    pub(super) locality: Option<Locality>,
    #[serde(default)]
    pub(super) lb_endpoints: Vec<LbEndpoint>,
}

#[derive(Deserialize)]
pub(super) struct LbEndpoint {
    endpoint: Option<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    address: Option<Address>,
}

#[derive(Deserialize)]
struct Address {
    socket_address: Option<SocketAddress>,
}

#[derive(Deserialize)]
struct SocketAddress {
    address: Option<String>,
}

impl LbEndpoint {
    pub(super) fn address(&self) -> Option<String> {
        self.endpoint.as_ref()?.address.as_ref()?.socket_address.as_ref()?.address.clone()
    }
}

#[derive(Deserialize)]
pub(super) struct Listener {
    #[serde(default)]
    pub(super) filter_chains: Vec<FilterChain>,
    pub(super) default_filter_chain: Option<FilterChain>,
}

impl Listener {
    /// Routes that stand in it.
    pub(super) fn route_configs(&self) -> impl Iterator<Item = &RouteConfig> {
        let chains = self.filter_chains.iter().chain(&self.default_filter_chain);
        let configs =
            chains.flat_map(|chain| &chain.filters).filter_map(|filter| filter.typed_config.as_ref());
        configs.filter_map(|config| config.route_config.as_ref())
    }
}

#[derive(Deserialize)]
pub(super) struct FilterChain {
    #[serde(default)]
    pub(super) filters: Vec<Filter>,
}

#[derive(Deserialize)]
pub(super) struct Filter {
    pub(super) typed_config: Option<FilterConfig>,
}

#[derive(Deserialize)]
pub(super) struct FilterConfig {
    pub(super) route_config: Option<RouteConfig>,
}

#[derive(Deserialize)]
pub(super) struct RouteConfig {
    name: Option<String>,
    #[serde(default)]
    pub(super) virtual_hosts: Vec<VirtualHost>,
}

impl RouteConfig {
    /// Services whose requests an inbound configuration takes, by what Istio decorates them with (`front.shop:8081/*`): those of the proxy's
    /// own workload.
    pub(super) fn own_services(&self) -> impl Iterator<Item = String> {
        let inbound = self.name.as_deref().is_some_and(|name| name.starts_with("inbound|"));
        let routes = self.virtual_hosts.iter().filter(move |_| inbound).flat_map(|host| &host.routes);
        routes.filter_map(|route| {
            let operation = route.decorator.as_ref()?.operation.as_deref()?;
            let host = operation.split_once('/').map_or(operation, |(host, _)| host);
            Some(host.to_owned()).filter(|host| !host.is_empty() && !host.starts_with('*'))
        })
    }
}

#[derive(Deserialize)]
struct Decorator {
    operation: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct VirtualHost {
    #[serde(default)]
    pub(super) routes: Vec<Route>,
    pub(super) retry_policy: Option<RetryPolicy>,
    pub(super) request_mirror_policies: Option<Vec<MirrorPolicy>>,
}

#[derive(Deserialize)]
pub(super) struct Route {
    #[serde(rename = "match")]
    matched: Option<RouteMatch>,
    pub(super) route: Option<RouteAction>,
    decorator: Option<Decorator>,
}

#[derive(Deserialize)]
struct RouteMatch {
    prefix: Option<String>,
    path: Option<String>,
    path_separated_prefix: Option<String>,
    safe_regex: Option<Regex>,
    #[serde(default)]
    headers: Vec<Header>,
    #[serde(default)]
    query_parameters: Vec<Header>,
    grpc: Option<IgnoredAny>,
    runtime_fraction: Option<IgnoredAny>,
    path_match_policy: Option<IgnoredAny>,
    connect_matcher: Option<IgnoredAny>,
    tls_context: Option<IgnoredAny>,
    dynamic_metadata: Option<IgnoredAny>,
    filter_state: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Regex {
    regex: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    name: Option<String>,
}

impl Route {
    /// In the words that Istio's routes are given; a prefix of everything is no condition.
    pub(super) fn condition(&self) -> String {
        let Some(matched) = &self.matched else { return String::new() };
        let prefix = matched.prefix.as_deref().or(matched.path_separated_prefix.as_deref());
        let mut parts = Vec::new();
        parts.extend(prefix.filter(|&prefix| prefix != "/").map(|prefix| format!("uri prefix {prefix}")));
        parts.extend(matched.path.as_ref().map(|path| format!("uri exact {path}")));
        let regex = matched.safe_regex.as_ref().and_then(|regex| regex.regex.as_ref());
        parts.extend(regex.map(|regex| format!("uri regex {regex}")));
        parts.extend(
            matched.headers.iter().filter_map(|header| Some(format!("headers {}", header.name.as_ref()?))),
        );
        let queries = matched.query_parameters.iter().filter_map(|query| query.name.as_ref());
        parts.extend(queries.map(|name| format!("queryParams {name}")));
        let others = [
            ("grpc", &matched.grpc),
            ("a share of the requests", &matched.runtime_fraction),
            ("uri template", &matched.path_match_policy),
            ("connect", &matched.connect_matcher),
            ("tls", &matched.tls_context),
            ("metadata", &matched.dynamic_metadata),
            ("filter state", &matched.filter_state),
        ];
        parts.extend(others.into_iter().filter(|(_, said)| said.is_some()).map(|(name, _)| name.to_owned()));
        parts.sort();
        parts.join(" and ")
    }
}

#[derive(Deserialize)]
pub(super) struct RouteAction {
    pub(super) cluster: Option<String>,
    pub(super) weighted_clusters: Option<WeightedClusters>,
    pub(super) timeout: Option<String>,
    pub(super) retry_policy: Option<RetryPolicy>,
    pub(super) request_mirror_policies: Option<Vec<MirrorPolicy>>,
    #[serde(default)]
    pub(super) hash_policy: Vec<HashPolicy>,
}

#[derive(Deserialize)]
pub(super) struct WeightedClusters {
    #[serde(default)]
    pub(super) clusters: Vec<WeightedCluster>,
}

#[derive(Deserialize)]
pub(super) struct WeightedCluster {
    pub(super) name: Option<String>,
    pub(super) weight: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct RetryPolicy {
    pub(super) retry_on: Option<String>,
    pub(super) num_retries: Option<u32>,
    pub(super) per_try_timeout: Option<String>,
    #[serde(default)]
    retriable_status_codes: Vec<u32>,
}

impl RetryPolicy {
    /// In Istio's words: status codes stand among the conditions.
    pub(super) fn conditions(&self) -> Option<String> {
        let mut words = self.retry_on.clone()?;
        if !self.retriable_status_codes.is_empty() {
            words = words.replace("retriable-status-codes", "");
        }
        self.retriable_status_codes.iter().for_each(|code| words.push_str(&format!(",{code}")));
        Some(in_order(&words))
    }
}

#[derive(Deserialize)]
pub(super) struct MirrorPolicy {
    pub(super) cluster: Option<String>,
    pub(super) runtime_fraction: Option<RuntimeFraction>,
}

#[derive(Deserialize)]
pub(super) struct RuntimeFraction {
    pub(super) default_value: Option<Fraction>,
}

#[derive(Deserialize)]
pub(super) struct Fraction {
    #[serde(default)]
    numerator: u64,
    denominator: Option<String>,
}

impl Fraction {
    /// `None` for more than the whole, or an unknown denominator.
    pub(super) fn share(&self) -> Option<Ratio> {
        let of = match self.denominator.as_deref() {
            None | Some("HUNDRED") => 100.0,
            Some("TEN_THOUSAND") => 10_000.0,
            Some("MILLION") => 1_000_000.0,
            Some(_) => return None,
        };
        Ratio::new(self.numerator as f64 / of).ok()
    }
}

#[derive(Deserialize)]
pub(super) struct HashPolicy {
    header: Option<HashHeader>,
    cookie: Option<Header>,
    connection_properties: Option<IgnoredAny>,
    query_parameter: Option<Header>,
}

#[derive(Deserialize)]
struct HashHeader {
    header_name: Option<String>,
}

impl HashPolicy {
    pub(super) fn text(&self) -> Option<String> {
        let header =
            self.header.as_ref().and_then(|header| Some(format!("header {}", header.header_name.as_ref()?)));
        let cookie = || Some(format!("cookie {}", self.cookie.as_ref()?.name.as_ref()?));
        let query = || Some(format!("query {}", self.query_parameter.as_ref()?.name.as_ref()?));
        let address = || self.connection_properties.as_ref().map(|_| "source address".to_owned());
        header.or_else(cookie).or_else(query).or_else(address)
    }
}
