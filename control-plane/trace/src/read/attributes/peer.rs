//! Whom a caller says it calls.

use std::borrow::Cow;

use super::Attributes;

/// In the order of how well the name fits what the callee calls itself: the mesh's cluster, the topic, the stated peer, the database,
/// the host. An address that is a number names nobody. Empty when nothing is said.
pub(super) fn peer<'n>(attributes: &'n Attributes<'_>) -> Cow<'n, str> {
    let cluster = host_of_cluster(&attributes.cluster);
    if !cluster.is_empty() {
        return Cow::Borrowed(cluster);
    }
    if !attributes.destination.is_empty() {
        return within(&attributes.messaging_system, &attributes.destination);
    }
    if !attributes.peer_service.is_empty() {
        return Cow::Borrowed(without_domain(&attributes.peer_service));
    }
    if !attributes.db_system.is_empty() {
        return within(&attributes.db_system, &attributes.db_name);
    }
    Cow::Borrowed(name_of_address(&attributes.address))
}

/// `postgresql:orders`.
fn within<'n>(system: &'n str, name: &'n str) -> Cow<'n, str> {
    match (system, name) {
        ("", name) | (name, "") => Cow::Borrowed(name),
        (system, name) => Cow::Owned(format!("{system}:{name}")),
    }
}

/// `reviews.bookinfo` of Istio's `outbound|9080|v1|reviews.bookinfo.svc.cluster.local`; other clusters of Envoy are names themselves. Empty
/// for a proxy's own workload (`inbound|...`) and for what the mesh does not know.
pub(in crate::read) fn host_of_cluster(cluster: &str) -> &str {
    match cluster {
        "-" | "PassthroughCluster" | "BlackHoleCluster" | "InboundPassthroughCluster" => "",
        _ if cluster.starts_with("inbound|") => "",
        _ if cluster.starts_with("outbound") => {
            without_domain(cluster.rsplit('|').next().unwrap_or_default())
        }
        _ => without_domain(cluster),
    }
}

/// `reviews.bookinfo` of `reviews.bookinfo.svc.cluster.local`.
fn without_domain(host: &str) -> &str {
    let host = host.trim_end_matches(';');
    match host.find(".svc") {
        Some(at) if matches!(host.as_bytes().get(at + 4), None | Some(b'.')) => {
            host.get(..at).unwrap_or(host)
        }
        _ => host,
    }
}

fn name_of_address(address: &str) -> &str {
    let (host, _port) = address
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .unwrap_or((address, ""));
    if host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok() { "" } else { without_domain(host) }
}
