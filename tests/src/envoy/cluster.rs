//! Upstream clusters: always one endpoint on loopback.

use serde_json::{Value, json};

use super::bootstrap::address;

/// How a cluster is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// As the request came: HTTP/1.1 stays, gRPC stays HTTP/2. What sidecars do between each other.
    Downstream,
    /// HTTP/2 whatever came: control planes.
    Http2,
}

/// A destination of requests, under the name that hops are called by.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// What routes and hops call it.
    pub name: String,
    /// Its endpoint's port on loopback.
    pub port: u16,
    /// How it is spoken to.
    pub protocol: Protocol,
}

impl Cluster {
    /// `127.0.0.1:port` under `name`.
    pub fn new(name: impl Into<String>, port: u16, protocol: Protocol) -> Self {
        Self { name: name.into(), port, protocol }
    }

    pub(super) fn to_json(&self) -> Value {
        let options = match self.protocol {
            Protocol::Downstream => {
                json!({"use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}}})
            }
            // Pings find a frozen or vanished control plane, which TCP alone would not for minutes.
            Protocol::Http2 => json!({"explicit_http_config": {"http2_protocol_options":
                {"connection_keepalive": {"interval": "2s", "timeout": "2s"}}}}),
        };
        let http = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        let mut typed = options;
        typed["@type"] = json!(format!("type.googleapis.com/{http}"));
        json!({
            "name": self.name,
            "type": "STATIC",
            "connect_timeout": "1s",
            "typed_extension_protocol_options": {http: typed},
            "circuit_breakers": {"thresholds": [{"max_connections": 4096, "max_pending_requests": 4096,
                "max_requests": 4096, "max_retries": 4096}]},
            "load_assignment": {"cluster_name": self.name,
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(self.port)}}]}]},
        })
    }
}
