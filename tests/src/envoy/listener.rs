//! Listeners with one HTTP connection manager: routes, static timeouts and retries, the filter in front of the router.

use std::time::Duration;

use serde_json::{Value, json};

use super::bootstrap::address;
use super::filter::HttpFilter;

/// `traffic_direction`, which filters read as `xds.listener_direction`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the sidecar's own application.
    Inbound,
    /// From the application (or, at the edge, from users) to others.
    Outbound,
}

/// A static retry policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Envoy's `retry_on` list.
    pub on: String,
    /// Tries after the first.
    pub retries: u32,
    /// Longest one try may take; none: as long as the route's timeout.
    pub per_try_timeout: Option<Duration>,
}

/// What a route does when nobody budgets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePolicy {
    /// Envoy's own default is 15 s.
    pub timeout: Duration,
    /// None: one try.
    pub retry: Option<RetryPolicy>,
}

/// Requests with this exact header go to another cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRoute {
    /// Name of the header.
    pub header: String,
    /// Its exact value.
    pub value: String,
    /// Where they go.
    pub cluster: String,
}

/// Host names, and the cluster their requests go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualHost {
    /// Names the host in statistics.
    pub name: String,
    /// Authorities, `*` for any.
    pub domains: Vec<String>,
    /// Where requests go.
    pub cluster: String,
    /// Looked at before the plain route, in order.
    pub alternates: Vec<HeaderRoute>,
    /// For all its routes.
    pub policy: RoutePolicy,
}

/// One listening socket of an Envoy.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Names it in statistics.
    pub name: String,
    /// Port on loopback.
    pub port: u16,
    /// Which side of the sidecar.
    pub direction: Direction,
    /// Whether callers are outside the mesh: then Envoy cleans their `x-envoy-*` headers.
    pub edge: bool,
    /// Routes.
    pub hosts: Vec<VirtualHost>,
    /// What stands in front of the router.
    pub filter: HttpFilter,
}

impl RetryPolicy {
    /// What Istio gives every route that says nothing: two retries of calls that failed to arrive or found nobody ready.
    pub fn mesh_default() -> Self {
        let on = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
        Self { on: on.to_owned(), retries: 2, per_try_timeout: None }
    }

    fn to_json(&self) -> Value {
        let mut policy = json!({
            "retry_on": self.on,
            "num_retries": self.retries,
            "retriable_status_codes": [503],
        });
        if let Some(timeout) = self.per_try_timeout {
            policy["per_try_timeout"] = json!(seconds(timeout));
        }
        policy
    }
}

impl Default for RoutePolicy {
    /// Envoy's timeout of 15 s and the retries of a mesh.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(15), retry: Some(RetryPolicy::mesh_default()) }
    }
}

impl RoutePolicy {
    /// A long timeout and no retries: for routes whose caller decides.
    pub fn pass() -> Self {
        Self { timeout: Duration::from_secs(60), retry: None }
    }
}

impl VirtualHost {
    /// All of one domain to the cluster of the same name.
    pub fn to(cluster: impl Into<String>, policy: RoutePolicy) -> Self {
        let cluster = cluster.into();
        let domains = vec![cluster.clone(), format!("{cluster}:*")];
        Self { name: cluster.clone(), domains, cluster, alternates: Vec::new(), policy }
    }

    /// Every domain to one cluster.
    pub fn any(cluster: impl Into<String>, policy: RoutePolicy) -> Self {
        Self { domains: vec!["*".to_owned()], ..Self::to(cluster, policy) }
    }

    fn to_json(&self) -> Value {
        let plain = self.route(&self.cluster, json!({"prefix": "/"}));
        let alternates = self.alternates.iter().map(|a| self.route(&a.cluster, a.matcher()));
        let routes: Vec<Value> = alternates.chain([plain]).collect();
        json!({"name": self.name, "domains": self.domains, "routes": routes})
    }

    fn route(&self, cluster: &str, matcher: Value) -> Value {
        let mut action = json!({"cluster": cluster, "timeout": seconds(self.policy.timeout)});
        if let Some(retry) = &self.policy.retry {
            action["retry_policy"] = retry.to_json();
        }
        json!({"name": cluster, "match": matcher, "route": action})
    }
}

impl HeaderRoute {
    fn matcher(&self) -> Value {
        let header = json!({"name": self.header, "string_match": {"exact": self.value}});
        json!({"prefix": "/", "headers": [header]})
    }
}

impl Listener {
    pub(super) fn to_json(&self, concurrency: u32) -> Value {
        let direction = match self.direction {
            Direction::Inbound => "INBOUND",
            Direction::Outbound => "OUTBOUND",
        };
        let mut listener = json!({
            "name": self.name,
            "address": address(self.port),
            "traffic_direction": direction,
            // Two Envoys that lost a race for a port must fail, not share it.
            "enable_reuse_port": false,
            "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": self.manager(),
            }]}],
        });
        if concurrency > 1 {
            // Without reuse_port one worker could take every connection; scenarios want all of them to work.
            listener["connection_balance_config"] = json!({"exact_balance": {}});
        }
        listener
    }

    fn manager(&self) -> Value {
        let router = json!({"name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}});
        let filters: Vec<Value> = self.filter.to_json().into_iter().chain([router]).collect();
        json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": self.name,
            "codec_type": "AUTO",
            "use_remote_address": self.edge,
            "route_config": {
                "name": self.name,
                "virtual_hosts": self.hosts.iter().map(VirtualHost::to_json).collect::<Vec<_>>(),
            },
            "http_filters": filters,
        })
    }
}

/// A protobuf duration in JSON.
fn seconds(duration: Duration) -> String {
    format!("{}.{:03}s", duration.as_secs(), duration.subsec_millis())
}
