//! One service, many names: `reviews`, `reviews.bookinfo`, `bookinfo/reviews`, `reviews.bookinfo.svc.cluster.local:9080`,
//! `outbound|9080|v1|reviews.bookinfo.svc.cluster.local`.
//!
//! Rules. A name with `.svc` behind its second label is a service and its namespace. One of two labels may be `service.namespace` or a host on
//! the internet: it is compared both ways. A name of three labels and more without `.svc` is a host. One label is a service whose namespace is
//! not known. Two names meet when their texts are equal, or their services are equal and no namespaces differ; `*.example.com` meets
//! the hosts under it. Case does not count; ports and a final dot are cut off. [`best`] prefers the closer match and never picks one of equals.

use std::fmt;

/// Whom a name means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// Service, or a whole host.
    service: String,
    namespace: Option<String>,
}

/// An Envoy cluster's name taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Who is called.
    pub name: Name,
    /// `v1` of `outbound|9080|v1|...`.
    pub subset: Option<String>,
}

/// Which of several candidates a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matched {
    /// None.
    Nobody,
    /// Position of the only one, or of the only closest one.
    One(usize),
    /// Several equally close: a person must say.
    Several(Vec<usize>),
}

impl Name {
    /// Reads a host, the name of a service in a trace, or of a component. O(length).
    pub fn new(text: &str) -> Self {
        Self::in_namespace(text, None)
    }

    /// The same for a text written in a namespace, which is the one of a single label.
    pub fn in_namespace(text: &str, namespace: Option<&str>) -> Self {
        let text = without_port(text.trim().trim_end_matches('.')).to_ascii_lowercase();
        let plain = |label: &str| !label.is_empty() && label != "*" && !label.contains(['.', '/']);
        if let Some((namespace, service)) = text.split_once('/').filter(|(n, s)| plain(n) && plain(s)) {
            return Self::of(service, Some(namespace));
        }
        let labels: Vec<&str> = text.split('.').collect();
        match labels.as_slice() {
            [service, namespace, "svc", ..] if plain(service) && plain(namespace) => {
                Self::of(service, Some(namespace))
            }
            [service, namespace] if plain(service) && plain(namespace) && !is_number(namespace) => {
                Self::of(service, Some(namespace))
            }
            [service] if plain(service) => Self::of(service, namespace),
            _ => Self::of(&text, None),
        }
    }

    /// The name of an object of a cluster as it stands: dots in it mean nothing.
    pub fn object(name: &str, namespace: Option<&str>) -> Self {
        Self::of(&name.to_ascii_lowercase(), namespace)
    }

    fn of(service: &str, namespace: Option<&str>) -> Self {
        let namespace = namespace.filter(|namespace| !namespace.is_empty());
        Self { service: service.to_owned(), namespace: namespace.map(str::to_ascii_lowercase) }
    }

    /// Service, or the whole host.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Namespace, where it is known.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Whether both may mean the same.
    pub fn meets(&self, other: &Self) -> bool {
        self.closeness(other).is_some()
    }

    /// How well two names meet; more is closer.
    fn closeness(&self, other: &Self) -> Option<u8> {
        if self == other {
            return Some(2);
        }
        let apart = matches!((&self.namespace, &other.namespace), (Some(a), Some(b)) if a != b);
        if self.service == other.service && !apart {
            return Some(1);
        }
        (covers(self, other) || covers(other, self)).then_some(0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{}.{namespace}", self.service),
            None => f.write_str(&self.service),
        }
    }
}

impl Address {
    /// Reads an Envoy cluster's name: `outbound|<port>|<subset>|<host>`, its form in SNI (`outbound_.<port>_.<subset>_.<host>`), or any other
    /// text as a host. `None` for `inbound|...`, the sidecar's own workload.
    pub fn new(cluster: &str) -> Option<Self> {
        let parts: Vec<&str> = if cluster.contains('|') {
            cluster.splitn(4, '|').collect()
        } else {
            cluster.splitn(4, "_.").collect()
        };
        match parts.as_slice() {
            ["inbound", ..] => None,
            [_, _, subset, host] if !host.is_empty() => {
                let subset = Some(*subset).filter(|subset| !subset.is_empty()).map(str::to_owned);
                Some(Self { name: Name::new(host), subset })
            }
            _ => Some(Self { name: Name::new(cluster), subset: None }),
        }
    }
}

/// The candidate that a name means. O(candidates).
pub fn best<'a>(name: &Name, candidates: impl IntoIterator<Item = &'a Name>) -> Matched {
    let close = candidates.into_iter().map(|candidate| name.closeness(candidate)).enumerate();
    let close: Vec<(usize, u8)> = close.filter_map(|(at, close)| Some((at, close?))).collect();
    let Some(most) = close.iter().map(|&(_, close)| close).max() else { return Matched::Nobody };
    let closest: Vec<usize> = close.iter().filter(|&&(_, close)| close == most).map(|&(at, _)| at).collect();
    match closest.as_slice() {
        [one] => Matched::One(*one),
        _ => Matched::Several(closest),
    }
}

/// `*.example.com` covers what ends in `.example.com`, `*.shop.svc.cluster.local` the services of a namespace however they are written, and `*`
/// everything.
fn covers(wildcard: &Name, other: &Name) -> bool {
    let pattern = wildcard.to_string();
    if pattern == "*" {
        return true;
    }
    let Some(end) = pattern.strip_prefix('*').filter(|end| end.starts_with('.')) else { return false };
    let within =
        other.namespace().map(|namespace| format!("{}.{namespace}.svc.cluster.local", other.service));
    let of_cluster = within.is_some_and(|host| host.ends_with(end));
    // `.shop` of `.shop.svc.corp.example`: domains of clusters have any name.
    let short = end.find(".svc.").and_then(|at| end.get(..at)).filter(|short| !short.is_empty());
    let text = other.to_string();
    of_cluster
        || text.ends_with(end)
        || short.is_some_and(|short| other.namespace().is_some() && text.ends_with(short))
}

/// Cuts `:9080` off. An IPv6 address in brackets keeps its colons; one without brackets has no port.
fn without_port(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((host, port)) if is_number(port) && (!host.contains(':') || host.ends_with(']')) => host,
        _ => text,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_service_meets_the_others() {
        let spellings = [
            "reviews",
            "reviews.bookinfo",
            "bookinfo/reviews",
            "Reviews.Bookinfo.svc",
            "reviews.bookinfo.svc.cluster.local",
            "reviews.bookinfo.svc.cluster.local.",
            "reviews.bookinfo.svc.cluster.local:9080",
            "reviews.bookinfo.svc.corp.example",
        ];
        for a in spellings {
            for b in spellings {
                assert!(Name::new(a).meets(&Name::new(b)), "{a} {b}");
            }
        }
        assert_eq!(Name::in_namespace("reviews", Some("bookinfo")), Name::new("reviews.bookinfo"));
    }

    #[test]
    fn other_services_and_hosts_do_not() {
        let meets = |a: &str, b: &str| Name::new(a).meets(&Name::new(b));
        assert!(!meets("reviews.bookinfo", "reviews.shop"));
        assert!(!meets("reviews", "reviews-v1"));
        assert!(!meets("api.pay.example.com", "api"));
        assert!(!meets("10.0.0.1", "10"));
        assert!(meets("api.pay.example.com:443", "api.pay.example.com"));
        assert!(meets("*.pay.example.com", "api.pay.example.com"));
        assert!(!meets("*.pay.example.com", "pay.example.com"));
        assert!(meets("*.shop.svc.cluster.local", "cart.shop"));
        assert!(meets("*.shop.svc.corp.example", "cart.shop.svc.corp.example"));
        assert!(meets("*.svc.cluster.local", "cart.shop"));
        assert!(meets("*.local", "cart.shop.svc.cluster.local"));
        assert!(!meets("*.shop.svc.cluster.local", "cart.bank"));
        assert!(!meets("*.shop.svc.cluster.local", "cart"));
        assert!(!meets("*.hop.svc.cluster.local", "cart.shop"));
        assert!(meets("example.com", "example.com"));
        assert!(!meets("[::1]:80", "[::2]:80"));
    }

    #[test]
    fn clusters_are_taken_apart() {
        let address = Address::new("outbound|9080|v1|reviews.bookinfo.svc.cluster.local").unwrap();
        assert_eq!((address.name, address.subset.as_deref()), (Name::new("reviews.bookinfo"), Some("v1")));
        let address = Address::new("outbound_.9080_._.reviews.bookinfo.svc.cluster.local").unwrap();
        assert_eq!((address.name, address.subset), (Name::new("reviews.bookinfo"), None));
        assert_eq!(Address::new("inbound|9080||"), None);
        assert_eq!(Address::new("payments").unwrap().name, Name::new("payments"));
    }

    #[test]
    fn the_closer_match_wins_and_equals_are_told() {
        let names = [Name::new("reviews.a"), Name::new("reviews.b"), Name::new("cart")];
        assert_eq!(best(&Name::new("reviews.b"), &names), Matched::One(1));
        assert_eq!(best(&Name::new("reviews"), &names), Matched::Several(vec![0, 1]));
        assert_eq!(best(&Name::new("nobody"), &names), Matched::Nobody);
        let names = [Name::new("reviews"), Name::new("reviews.a")];
        assert_eq!(best(&Name::new("reviews"), &names), Matched::One(0));
    }
}
