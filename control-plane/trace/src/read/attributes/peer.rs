//! Whom a caller says it calls.

use std::borrow::Cow;
use std::net::IpAddr;

use super::Attributes;

/// In the order of how well the name fits what the callee calls itself: the mesh's cluster, the topic, the stated peer, the database,
/// the host. Empty when nothing is said, and where all that is said is an address within the caller's network: whose it is changes.
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
    let host = host(attributes);
    if !attributes.db_system.is_empty() {
        let database = within(&attributes.db_system, &attributes.db_name);
        return if host.is_empty() { database } else { Cow::Owned(format!("{database}@{host}")) };
    }
    Cow::Borrowed(host)
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
    let dots = host.bytes().enumerate().filter(|(_, byte)| *byte == b'.');
    let domain = dots.map(|(at, _)| at).find(|&at| host.as_bytes().get(at + 1..at + 4) == Some(b"svc"));
    match domain {
        Some(at) if matches!(host.as_bytes().get(at + 4), None | Some(b'.')) => {
            host.get(..at).unwrap_or(host)
        }
        _ => host,
    }
}

/// The host by name where there is one (its own, the URL's, the connection's), else by an address that the whole internet knows.
fn host<'n>(attributes: &'n Attributes<'_>) -> &'n str {
    let said = [&*attributes.address, of_url(&attributes.url), &*attributes.socket].map(without_port);
    let is_address = |host: &&str| host.trim_matches(['[', ']']).parse::<IpAddr>();
    let named = said.iter().find(|host| !host.is_empty() && is_address(host).is_err());
    if let Some(name) = named {
        return if name.eq_ignore_ascii_case("localhost") { "" } else { without_domain(name) };
    }
    let public = said.iter().find(|host| is_address(host).is_ok_and(is_public));
    public.map_or("", |address| address.trim_matches(['[', ']']))
}

/// `api.example.com:443` of `https://user:word@api.example.com:443/v1?key=1` and of `jdbc:mysql://api.example.com:443,other/db`; empty for what
/// names no host.
fn of_url(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("://") else { return "" };
    let authority = rest.split(['/', '?', '#', ',', ';']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// An IPv6 address keeps its colons.
fn without_port(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((host, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!host.contains(':') || host.ends_with(']')) =>
        {
            host
        }
        _ => text,
    }
}

/// Outside of the private, shared and local ranges (RFC 1918, 6598, 3927, 4193, 4291): such an address means the same to everybody.
const fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && b & 0xc0 == 64;
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || shared)
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local())
        }
    }
}
