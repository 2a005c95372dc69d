//! The whole static configuration of one Envoy.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::filter::{runtime, stats_tags};
use super::listener::Listener;

/// Who this Envoy is, as xDS and `xds.node.*` see it.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// Names this process; sidecars report under it.
    pub id: String,
    /// The workload.
    pub cluster: String,
    /// `xds.node.metadata.*`; Istio puts NAMESPACE and WORKLOAD_NAME here.
    pub metadata: Value,
}

/// One Envoy: everything it is told.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    /// Who it is.
    pub node: Node,
    /// Port of the admin interface on loopback.
    pub admin: u16,
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// Whom it can reach.
    pub clusters: Vec<Cluster>,
    /// Worker threads; listeners balance connections evenly when there are several.
    pub concurrency: u32,
}

impl Bootstrap {
    /// Envoy's bootstrap (`envoy.config.bootstrap.v3.Bootstrap`) as JSON.
    pub fn to_json(&self) -> Value {
        json!({
            "node": {
                "id": self.node.id,
                "cluster": self.node.cluster,
                "metadata": if self.node.metadata.is_null() { json!({}) } else { self.node.metadata.clone() },
            },
            "admin": {"address": address(self.admin)},
            "static_resources": {
                "listeners": self.listeners.iter().map(|l| l.to_json(self.concurrency)).collect::<Vec<_>>(),
                "clusters": self.clusters.iter().map(Cluster::to_json).collect::<Vec<_>>(),
            },
            "stats_config": {"stats_tags": stats_tags()},
            "layered_runtime": runtime(),
        })
    }

    /// Command line beside the configuration file. Hot restart is off: it would share memory between Envoys of one machine.
    pub fn arguments(&self, config: &std::path::Path) -> Vec<String> {
        let concurrency = self.concurrency.to_string();
        ["-c", &config.display().to_string(), "--concurrency", &concurrency, "--disable-hot-restart"]
            .into_iter()
            .chain(["--log-level", "warning", "--drain-time-s", "1", "--parent-shutdown-time-s", "2"])
            .map(str::to_owned)
            .collect()
    }
}

/// A socket address of loopback.
pub(super) fn address(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}
