//! Which attributes are looked at, by the names that conventions old and new give them.
//!
//! OpenTelemetry's semantic conventions (1.0 to 1.37, and before them OpenTracing's), what Jaeger's, Zipkin's and Envoy's tracers write,
//! and Kubernetes' topology labels. Any other attribute is stepped over unread.

use hashbrown::HashMap;

/// What an attribute means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Service,
    CanonicalService,
    CanonicalNamespace,
    InstanceId,
    Host,
    Pod,
    NodeId,
    Ip,
    Kind,
    Method,
    Route,
    Error,
    ErrorType,
    HttpStatus,
    GrpcStatus,
    ResponseFlags,
    Cluster,
    PeerService,
    Address,
    DbSystem,
    DbName,
    MessagingSystem,
    Destination,
    Resends,
    Attempts,
    /// May tell a failure domain.
    Label,
}

const KEYS: &[(&str, Key)] = &[
    ("service.name", Key::Service),
    ("istio.canonical_service", Key::CanonicalService),
    ("istio.namespace", Key::CanonicalNamespace),
    ("service.instance.id", Key::InstanceId),
    ("host.name", Key::Host),
    ("hostname", Key::Host),
    ("k8s.pod.name", Key::Pod),
    ("node_id", Key::NodeId),
    ("ip", Key::Ip),
    ("span.kind", Key::Kind),
    ("http.request.method", Key::Method),
    ("http.method", Key::Method),
    ("http.route", Key::Route),
    ("url.template", Key::Route),
    ("error", Key::Error),
    ("error.type", Key::ErrorType),
    ("http.response.status_code", Key::HttpStatus),
    ("http.status_code", Key::HttpStatus),
    ("rpc.grpc.status_code", Key::GrpcStatus),
    ("rpc.response.status_code", Key::GrpcStatus),
    ("grpc.status_code", Key::GrpcStatus),
    ("grpc.status", Key::GrpcStatus),
    ("response_flags", Key::ResponseFlags),
    ("upstream_cluster.name", Key::Cluster),
    ("upstream_cluster", Key::Cluster),
    ("peer.service", Key::PeerService),
    ("service.peer.name", Key::PeerService),
    ("server.address", Key::Address),
    ("net.peer.name", Key::Address),
    ("peer.hostname", Key::Address),
    ("db.system.name", Key::DbSystem),
    ("db.system", Key::DbSystem),
    ("db.type", Key::DbSystem),
    ("db.namespace", Key::DbName),
    ("db.name", Key::DbName),
    ("db.instance", Key::DbName),
    ("messaging.system", Key::MessagingSystem),
    ("messaging.destination.name", Key::Destination),
    ("messaging.destination", Key::Destination),
    ("message_bus.destination", Key::Destination),
    ("kafka.topic", Key::Destination),
    ("http.request.resend_count", Key::Resends),
    ("http.resend_count", Key::Resends),
    ("x-envoy-attempt-count", Key::Attempts),
    ("http.request.header.x-envoy-attempt-count", Key::Attempts),
    ("k8s.cluster.name", Key::Label),
    ("k8s.node.name", Key::Label),
    ("cloud.provider", Key::Label),
    ("cloud.region", Key::Label),
    ("cloud.availability_zone", Key::Label),
    ("topology.kubernetes.io/zone", Key::Label),
    ("topology.kubernetes.io/region", Key::Label),
    ("failure-domain.beta.kubernetes.io/zone", Key::Label),
    ("failure-domain.beta.kubernetes.io/region", Key::Label),
];

/// The attributes that are looked at.
pub(super) struct Keys {
    by_name: HashMap<Box<[u8]>, Key>,
}

impl Keys {
    /// The known ones, and `labels`, which the intent's rules for failure domains ask for.
    pub(super) fn new<'l>(labels: impl IntoIterator<Item = &'l str>) -> Self {
        let known = KEYS.iter().map(|&(name, key)| (Box::from(name.as_bytes()), key));
        let mut keys = Self { by_name: known.collect() };
        for label in labels {
            keys.by_name.entry(Box::from(label.as_bytes())).or_insert(Key::Label);
        }
        keys
    }

    /// What an attribute means; `None`: it is not looked at.
    pub(super) fn of(&self, name: &[u8]) -> Option<Key> {
        self.by_name.get(name).copied().or_else(|| names_domain(name).then_some(Key::Label))
    }
}

/// `emac.failure-domain`, `emac.network_domain`: what people state on purpose.
fn names_domain(name: &[u8]) -> bool {
    name.starts_with(b"emac.") && name.windows(6).any(|part| part == b"domain")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_asked_and_stated_keys() {
        let keys = Keys::new(["rack"]);
        assert_eq!(keys.of(b"http.status_code"), Some(Key::HttpStatus));
        assert_eq!(keys.of(b"rack"), Some(Key::Label));
        assert_eq!(keys.of(b"emac.failure-domain"), Some(Key::Label));
        assert_eq!(keys.of(b"emac.journey"), None);
        assert_eq!(Keys::new([]).of(b"rack"), None);
    }
}
