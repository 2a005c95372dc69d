//! Which attributes are looked at, by the names that conventions old and new give them.
//!
//! OpenTelemetry's semantic conventions (1.0 to 1.37, and before them OpenTracing's), what Jaeger's, Zipkin's and Envoy's tracers write,
//! and Kubernetes' topology labels. Any other attribute is stepped over unread.

use hashbrown::HashMap;

/// What an attribute means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttributeKey {
    Service,
    CanonicalService,
    CanonicalNamespace,
    ServiceNamespace,
    ClusterNamespace,
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
    /// The other end of the connection, as the network has it.
    Socket,
    Url,
    DbSystem,
    DbName,
    MessagingSystem,
    Destination,
    Resends,
    Attempts,
    SamplerType,
    SamplerParam,
    /// May tell a failure domain.
    Label,
}

const KEYS: &[(&str, AttributeKey)] = &[
    ("service.name", AttributeKey::Service),
    ("istio.canonical_service", AttributeKey::CanonicalService),
    ("istio.namespace", AttributeKey::CanonicalNamespace),
    ("service.namespace", AttributeKey::ServiceNamespace),
    ("k8s.namespace.name", AttributeKey::ClusterNamespace),
    ("service.instance.id", AttributeKey::InstanceId),
    ("host.name", AttributeKey::Host),
    ("hostname", AttributeKey::Host),
    ("k8s.pod.name", AttributeKey::Pod),
    ("node_id", AttributeKey::NodeId),
    ("ip", AttributeKey::Ip),
    ("span.kind", AttributeKey::Kind),
    ("http.request.method", AttributeKey::Method),
    ("http.method", AttributeKey::Method),
    ("http.route", AttributeKey::Route),
    ("url.template", AttributeKey::Route),
    ("error", AttributeKey::Error),
    ("error.type", AttributeKey::ErrorType),
    ("http.response.status_code", AttributeKey::HttpStatus),
    ("http.status_code", AttributeKey::HttpStatus),
    ("rpc.grpc.status_code", AttributeKey::GrpcStatus),
    ("rpc.response.status_code", AttributeKey::GrpcStatus),
    ("grpc.status_code", AttributeKey::GrpcStatus),
    ("grpc.status", AttributeKey::GrpcStatus),
    ("response_flags", AttributeKey::ResponseFlags),
    ("upstream_cluster.name", AttributeKey::Cluster),
    ("upstream_cluster", AttributeKey::Cluster),
    ("peer.service", AttributeKey::PeerService),
    ("service.peer.name", AttributeKey::PeerService),
    ("server.address", AttributeKey::Address),
    ("net.peer.name", AttributeKey::Address),
    ("peer.hostname", AttributeKey::Address),
    ("net.sock.peer.name", AttributeKey::Socket),
    ("net.sock.peer.addr", AttributeKey::Socket),
    ("network.peer.address", AttributeKey::Socket),
    ("net.peer.ip", AttributeKey::Socket),
    ("peer.address", AttributeKey::Socket),
    ("peer.ipv4", AttributeKey::Socket),
    ("peer.ipv6", AttributeKey::Socket),
    ("url.full", AttributeKey::Url),
    ("http.url", AttributeKey::Url),
    ("db.connection_string", AttributeKey::Url),
    ("db.url", AttributeKey::Url),
    ("db.system.name", AttributeKey::DbSystem),
    ("db.system", AttributeKey::DbSystem),
    ("db.type", AttributeKey::DbSystem),
    ("db.namespace", AttributeKey::DbName),
    ("db.name", AttributeKey::DbName),
    ("db.instance", AttributeKey::DbName),
    ("messaging.system", AttributeKey::MessagingSystem),
    ("messaging.destination.name", AttributeKey::Destination),
    ("messaging.destination", AttributeKey::Destination),
    ("message_bus.destination", AttributeKey::Destination),
    ("kafka.topic", AttributeKey::Destination),
    ("http.request.resend_count", AttributeKey::Resends),
    ("http.resend_count", AttributeKey::Resends),
    ("x-envoy-attempt-count", AttributeKey::Attempts),
    ("http.request.header.x-envoy-attempt-count", AttributeKey::Attempts),
    ("sampler.type", AttributeKey::SamplerType),
    ("sampler.param", AttributeKey::SamplerParam),
    ("k8s.cluster.name", AttributeKey::Label),
    ("k8s.node.name", AttributeKey::Label),
    ("cloud.provider", AttributeKey::Label),
    ("cloud.region", AttributeKey::Label),
    ("cloud.availability_zone", AttributeKey::Label),
    ("topology.kubernetes.io/zone", AttributeKey::Label),
    ("topology.kubernetes.io/region", AttributeKey::Label),
    ("failure-domain.beta.kubernetes.io/zone", AttributeKey::Label),
    ("failure-domain.beta.kubernetes.io/region", AttributeKey::Label),
];

/// The attributes that are looked at.
pub(super) struct Keys {
    by_name: HashMap<Box<[u8]>, AttributeKey>,
}

impl Keys {
    /// The known ones, and `labels`, which the intent's rules for failure domains ask for.
    pub(super) fn new<'l>(labels: impl IntoIterator<Item = &'l str>) -> Self {
        let known = KEYS.iter().map(|&(name, key)| (Box::from(name.as_bytes()), key));
        let mut keys = Self { by_name: known.collect() };
        for label in labels {
            keys.by_name.entry(Box::from(label.as_bytes())).or_insert(AttributeKey::Label);
        }
        keys
    }

    /// What an attribute means; `None`: it is not looked at.
    pub(super) fn of(&self, name: &[u8]) -> Option<AttributeKey> {
        self.by_name.get(name).copied().or_else(|| names_domain(name).then_some(AttributeKey::Label))
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
        assert_eq!(keys.of(b"http.status_code"), Some(AttributeKey::HttpStatus));
        assert_eq!(keys.of(b"rack"), Some(AttributeKey::Label));
        assert_eq!(keys.of(b"emac.failure-domain"), Some(AttributeKey::Label));
        assert_eq!(keys.of(b"emac.journey"), None);
        assert_eq!(Keys::new([]).of(b"rack"), None);
    }
}
