//! Who this is, where the plugin configuration does not say: the environment. Envoy lets a dynamic module read neither the node's id nor
//! its metadata.

use std::env;

/// What wasm would have as `xds.node.<path>`.
pub(crate) fn of_node(path: &[&str]) -> Option<Vec<u8>> {
    let found = match path {
        ["id"] => node_id(),
        ["metadata", "NAMESPACE"] => first(&["POD_NAMESPACE", "ISTIO_META_NAMESPACE"]),
        ["metadata", "WORKLOAD_NAME"] => first(&["ISTIO_META_WORKLOAD_NAME", "SERVICE_ACCOUNT"]),
        _ => None,
    };
    found.map(String::into_bytes)
}

/// As Envoy was told on its command line, else the pod, whose name is unique in its namespace, else the host.
fn node_id() -> Option<String> {
    let told = env::args().skip_while(|argument| argument != "--service-node").nth(1);
    told.or_else(pod).or_else(host).filter(|id| !id.is_empty())
}

fn pod() -> Option<String> {
    let pod = first(&["POD_NAME"])?;
    Some(first(&["POD_NAMESPACE"]).map_or_else(|| pod.clone(), |namespace| format!("{pod}.{namespace}")))
}

fn host() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned())
}

fn first(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
}
