//! What istiod sent to one Envoy, changed as little as another machine needs, as files that an Envoy reads.
//!
//! Other than captured: addresses and ports, where the module lies, subscriptions from files instead of from istiod, endpoints inside their
//! clusters, and one socket a listener, so that two Envoys never share a port.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use emac_tests::envoy::{Direction, NATIVE_TYPE, emac_filter};
use emac_tests::shell::Shell;
use serde_json::{Value, json};

/// The dynamic configuration of one Envoy.
#[derive(Clone)]
pub(super) struct Capture {
    listeners: Vec<Value>,
    clusters: Vec<Value>,
    routes: Vec<Value>,
    /// ECDS: the filters that chains only name.
    extensions: Vec<Value>,
    module: PathBuf,
}

/// Where what was captured at an address is now on 127.0.0.1.
pub(super) type Ports = BTreeMap<(&'static str, u16), u16>;

impl Capture {
    /// Reads a configuration dump.
    pub(super) fn read(folder: &Path, name: &str) -> Self {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let dump: Value = serde_json::from_str(&text).unwrap();
        let all = |kind: &str, list: &str, of: &str| -> Vec<Value> {
            let entries = dump[kind][list].as_array().into_iter().flatten();
            entries.map(|entry| entry.pointer(of).unwrap().clone()).collect()
        };
        let endpoints = all("EndpointsConfigDump", "dynamic_endpoint_configs", "/endpoint_config");
        let mut clusters = all("ClustersConfigDump", "dynamic_active_clusters", "/cluster");
        for cluster in clusters.iter_mut().filter(|cluster| cluster["type"] == "EDS") {
            let own = endpoints.iter().find(|endpoint| endpoint["cluster_name"] == cluster["name"]);
            cluster["load_assignment"] =
                own.cloned().unwrap_or_else(|| json!({"cluster_name": cluster["name"]}));
            cluster["type"] = json!("STATIC");
            cluster.as_object_mut().unwrap().remove("eds_cluster_config");
        }
        Self {
            listeners: all("ListenersConfigDump", "dynamic_listeners", "/active_state/listener"),
            clusters,
            routes: all("RoutesConfigDump", "dynamic_route_configs", "/route_config"),
            extensions: all("EcdsConfigDump", "ecds_filters", "/ecds_filter"),
            module: PathBuf::new(),
        }
    }

    /// The listeners of one direction as another capture has them.
    pub(super) fn with_listeners_of(mut self, other: &Self, direction: Direction) -> Self {
        let direction = match direction {
            Direction::Inbound => "INBOUND",
            Direction::Outbound => "OUTBOUND",
        };
        let is = |listener: &&Value| listener["traffic_direction"] == direction;
        self.listeners.retain(|listener| !is(&listener));
        self.listeners.extend(other.listeners.iter().filter(is).cloned());
        self
    }

    /// Changes the plugin configuration of every filter.
    pub(super) fn configured(mut self, change: impl Fn(&mut Value)) -> Self {
        for extension in &mut self.extensions {
            let text = &mut extension["typed_config"]["config"]["configuration"]["value"];
            let mut configuration = serde_json::from_str(text.as_str().unwrap()).unwrap();
            change(&mut configuration);
            *text = configuration.to_string().into();
        }
        self
    }

    /// The same with this module, which must not fail requests.
    pub(super) fn with_module(mut self, module: &Path) -> Self {
        self.module = module.to_owned();
        for extension in &mut self.extensions {
            let plugin = &mut extension["typed_config"]["config"];
            plugin["vm_config"]["code"]["local"]["filename"] = json!(module);
            plugin["failure_policy"] = json!("FAIL_OPEN");
        }
        self
    }

    /// Writes everything for a machine where addresses are these; what is there already is replaced at once, listeners last.
    pub(super) fn write(mut self, folder: &Path, ports: &Ports, workers: u32) -> io::Result<()> {
        if Shell::of(&self.module) == Shell::Native {
            self.extensions.iter_mut().for_each(|extension| as_native(extension, &self.module));
            self.listeners.iter_mut().for_each(of_any_type);
        }
        for listener in &mut self.listeners {
            listener["enable_reuse_port"] = json!(false);
            if workers > 1 {
                listener["connection_balance_config"] = json!({"exact_balance": {}});
            }
            let address = &listener["address"]["socket_address"];
            let place = ports.get(&key(address, ports).unwrap_or_default());
            let place = *place.unwrap_or_else(|| panic!("no port for {address}"));
            for chain in listener["filter_chains"].as_array_mut().unwrap() {
                if let Some(port) = chain.pointer_mut("/filter_chain_match/destination_port") {
                    *port = json!(place);
                }
            }
        }
        let lists = [&mut self.listeners, &mut self.clusters, &mut self.routes, &mut self.extensions];
        lists.into_iter().flatten().for_each(|resource| relocate(resource, ports, folder));
        for resource in self.routes.iter().chain(&self.extensions) {
            respond(&subscribed(folder, resource["name"].as_str().unwrap()), std::slice::from_ref(resource))?;
        }
        respond(&folder.join("clusters.json"), &self.clusters)?;
        respond(&folder.join("listeners.json"), &self.listeners)
    }
}

/// The same filter in its native shell, as an EnvoyFilter would have put it there.
fn as_native(extension: &mut Value, module: &Path) {
    let text = &extension["typed_config"]["config"]["configuration"]["value"];
    let configuration: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    extension["typed_config"] = emac_filter(module, &configuration)["typed_config"].clone();
}

/// Filters that are discovered may be of the native shell.
fn of_any_type(value: &mut Value) {
    if let Some(types) = value.pointer_mut("/config_discovery/type_urls") {
        types.as_array_mut().unwrap().push(NATIVE_TYPE.into());
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(of_any_type),
        Value::Object(fields) => fields.values_mut().for_each(of_any_type),
        _ => {}
    }
}

/// Adds the subscriptions to a bootstrap.
pub(super) fn subscribe(bootstrap: &mut Value, folder: &Path) {
    bootstrap["dynamic_resources"] = json!({
        "lds_config": source(&folder.join("listeners.json")),
        "cds_config": source(&folder.join("clusters.json")),
    });
}

fn source(path: &Path) -> Value {
    json!({"path_config_source": {"path": path}, "resource_api_version": "V3"})
}

/// A discovery response, which Envoy reads when it appears under its name.
fn respond(path: &Path, resources: &[Value]) -> io::Result<()> {
    let aside = path.with_extension("new");
    std::fs::write(&aside, json!({"resources": resources}).to_string())?;
    std::fs::rename(aside, path)
}

/// Routes and extensions: one file each, as a subscription takes one resource.
fn subscribed(folder: &Path, name: &str) -> PathBuf {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    folder.join(plain).with_extension("json")
}

fn key(address: &Value, ports: &Ports) -> Option<(&'static str, u16)> {
    let of =
        |(host, port): &&(&'static str, u16)| address["address"] == **host && address["port_value"] == *port;
    ports.keys().find(of).copied()
}

/// Addresses that have a place, and subscriptions of routes and extensions; everything else stays.
fn relocate(value: &mut Value, ports: &Ports, folder: &Path) {
    if let Some(address) = value.get_mut("socket_address")
        && let Some(key) = key(address, ports)
    {
        *address = json!({"address": "127.0.0.1", "port_value": ports[&key]});
    }
    let route =
        value.get("route_config_name").or_else(|| value.pointer("/config_discovery").and(value.get("name")));
    if let Some(name) = route.and_then(Value::as_str).map(str::to_owned) {
        let holder = if value.get("config_discovery").is_some() {
            &mut value["config_discovery"]
        } else {
            &mut *value
        };
        holder["config_source"] = source(&subscribed(folder, &name));
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| relocate(item, ports, folder)),
        Value::Object(fields) => fields.values_mut().for_each(|field| relocate(field, ports, folder)),
        _ => {}
    }
}
