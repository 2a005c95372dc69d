//! What the attributes of a resource or span say.

mod outcome;
mod peer;

use std::borrow::Cow;

use super::json::{Value, lossy};
use super::keys::AttributeKey;
use super::operation::only_method;
use crate::{SpanKind, SpanOutcome};

pub(super) use peer::host_of_cluster;

/// Attributes of one resource, process or span, as far as they matter.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes<'a> {
    pub(super) service: Cow<'a, str>,
    pub(super) canonical_service: Cow<'a, str>,
    pub(super) canonical_namespace: Cow<'a, str>,
    service_namespace: Cow<'a, str>,
    cluster_namespace: Cow<'a, str>,
    pub(super) instance_id: Cow<'a, str>,
    pub(super) host: Cow<'a, str>,
    pub(super) pod: Cow<'a, str>,
    pub(super) node_id: Cow<'a, str>,
    pub(super) ip: Cow<'a, str>,
    pub(super) kind: Option<SpanKind>,
    pub(super) method: Cow<'a, str>,
    pub(super) route: Cow<'a, str>,
    pub(super) cluster: Cow<'a, str>,
    pub(super) peer_service: Cow<'a, str>,
    pub(super) address: Cow<'a, str>,
    pub(super) socket: Cow<'a, str>,
    pub(super) url: Cow<'a, str>,
    pub(super) db_system: Cow<'a, str>,
    pub(super) db_name: Cow<'a, str>,
    pub(super) messaging_system: Cow<'a, str>,
    pub(super) destination: Cow<'a, str>,
    /// The `error` tag; its meaning depends on the format.
    pub(super) error: Value<'a>,
    error_type: Cow<'a, str>,
    response_flags: Cow<'a, str>,
    http_status: u16,
    grpc_status: u16,
    /// From 1; 0 when not said.
    pub(super) attempt: u16,
    /// What Jaeger's clients say of a root.
    sampler: Cow<'a, str>,
    sampler_param: Value<'a>,
    /// What may tell a failure domain.
    pub(super) labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Attributes<'a> {
    /// Those of a process, of which its service is known.
    pub(super) fn of_service(service: Cow<'a, str>) -> Self {
        Self { service, ..Self::default() }
    }

    /// Takes an attribute; of two names for one thing the later wins.
    pub(super) fn set(&mut self, key: AttributeKey, name: &[u8], value: Value<'a>) {
        match key {
            AttributeKey::Error => self.error = value,
            AttributeKey::Kind => self.kind = value.text().and_then(|text| kind(&text)),
            AttributeKey::HttpStatus => self.http_status = outcome::http_status(&value),
            AttributeKey::GrpcStatus => self.grpc_status = outcome::grpc_status(&value),
            AttributeKey::Resends => {
                self.attempt = small(&value).map_or(0, |resends| resends.saturating_add(1))
            }
            AttributeKey::SamplerParam => self.sampler_param = value,
            AttributeKey::Attempts => self.attempt = small(&value).unwrap_or(0),
            AttributeKey::Label => {
                self.labels.extend(text(value).map(|value| (Cow::Owned(lossy(name).into_owned()), value)))
            }
            _ => self.set_text(key, text(value)),
        }
    }

    fn set_text(&mut self, key: AttributeKey, value: Option<Cow<'a, str>>) {
        let Some(value) = value else { return };
        let label = match key {
            AttributeKey::Host => Some("host.name"),
            AttributeKey::ClusterNamespace => Some("k8s.namespace.name"),
            AttributeKey::ServiceNamespace => Some("service.namespace"),
            _ => None,
        };
        self.labels.extend(label.map(|label| (Cow::Borrowed(label), value.clone())));
        if let Some(place) = self.place(key) {
            *place = value;
        }
    }

    fn place(&mut self, key: AttributeKey) -> Option<&mut Cow<'a, str>> {
        Some(match key {
            AttributeKey::Service => &mut self.service,
            AttributeKey::CanonicalService => &mut self.canonical_service,
            AttributeKey::CanonicalNamespace => &mut self.canonical_namespace,
            AttributeKey::ServiceNamespace => &mut self.service_namespace,
            AttributeKey::ClusterNamespace => &mut self.cluster_namespace,
            AttributeKey::InstanceId => &mut self.instance_id,
            AttributeKey::Host => &mut self.host,
            AttributeKey::Pod => &mut self.pod,
            AttributeKey::NodeId => &mut self.node_id,
            AttributeKey::Ip => &mut self.ip,
            AttributeKey::Method => &mut self.method,
            AttributeKey::Route => &mut self.route,
            AttributeKey::ErrorType => &mut self.error_type,
            AttributeKey::ResponseFlags => &mut self.response_flags,
            AttributeKey::Cluster => &mut self.cluster,
            AttributeKey::PeerService => &mut self.peer_service,
            AttributeKey::Address => &mut self.address,
            AttributeKey::Socket => &mut self.socket,
            AttributeKey::Url => &mut self.url,
            AttributeKey::DbSystem => &mut self.db_system,
            AttributeKey::DbName => &mut self.db_name,
            AttributeKey::MessagingSystem => &mut self.messaging_system,
            AttributeKey::Destination => &mut self.destination,
            AttributeKey::SamplerType => &mut self.sampler,
            _ => return None,
        })
    }

    /// How likely the trace was recorded, if that is said: by a sampler of a probability, or one that takes all. Others (`ratelimiting`) say no probability.
    pub(super) fn probability(&self) -> Option<f64> {
        match (self.sampler.as_ref(), &self.sampler_param) {
            ("probabilistic", Value::Int(all)) => Some(*all as f64),
            ("probabilistic", Value::Double(probability)) => Some(*probability),
            ("probabilistic", Value::Text(text)) => text.trim().parse().ok(),
            ("const", Value::Bool(true) | Value::Int(1)) => Some(1.0),
            ("const", Value::Text(text)) if text.as_ref() == "true" => Some(1.0),
            _ => None,
        }
    }

    /// Who reports: `service.name` as it is, or else Istio's canonical name, or else whom an edge proxy stands for. Istio's own
    /// `<workload>.<namespace>` stays whole: two namespaces may have one workload each, and [`peer`](Self::peer) names callees alike.
    pub(super) fn service_name(&self) -> Option<Cow<'_, str>> {
        let said = Some(&self.service).filter(|name| !name.is_empty());
        let telling = said.filter(|name| !name.starts_with("unknown_service"));
        telling
            .map(|name| Cow::Borrowed(name.as_ref()))
            .or_else(|| self.canonical())
            .or(said.map(|name| Cow::Borrowed(name.as_ref())))
    }

    fn canonical(&self) -> Option<Cow<'_, str>> {
        let (name, namespace) = (self.canonical_service.as_ref(), self.canonical_namespace.as_ref());
        match (name, namespace) {
            ("", _) => None,
            (name, "") => Some(Cow::Borrowed(name)),
            (name, namespace) => Some(Cow::Owned(format!("{name}.{namespace}"))),
        }
    }

    /// In which namespace the service is: its own word, or else the cluster's. Empty when not said.
    pub(super) fn namespace(&self) -> &str {
        if self.service_namespace.is_empty() { &self.cluster_namespace } else { &self.service_namespace }
    }

    /// Whose clock stamps: the process, or else the host, the pod, the proxy's pod, the address. Empty when not said.
    pub(super) fn instance(&self) -> &str {
        let pod = self.node_id.split('~').nth(2).unwrap_or(&self.node_id);
        let said = [&*self.instance_id, &*self.host, &*self.pod, pod, &*self.ip];
        said.into_iter().find(|name| !name.is_empty()).unwrap_or_default()
    }

    /// Whom a caller says it calls.
    pub(super) fn peer(&self) -> Cow<'_, str> {
        peer::peer(self)
    }

    /// Whether whom it calls is a store or a broker: one thing whatever is asked of it.
    pub(super) fn peer_is_store(&self) -> bool {
        !self.db_system.is_empty() || !self.messaging_system.is_empty() || !self.destination.is_empty()
    }

    /// The span's name, or the route where the name is but a method.
    pub(super) fn name<'n>(&'n self, name: &'n str) -> Cow<'n, str> {
        if self.route.is_empty() {
            return Cow::Borrowed(name);
        }
        match only_method(name) {
            Some(method) => Cow::Owned(format!("{method} {}", self.route)),
            None => Cow::Borrowed(name),
        }
    }

    /// How it ended. `error`: the format says that it failed; `asks`: it is the caller's record.
    pub(super) fn outcome(&self, error: bool, asks: bool) -> SpanOutcome {
        outcome::outcome(&outcome::Signs {
            error,
            asks,
            error_type: &self.error_type,
            response_flags: &self.response_flags,
            http: self.http_status,
            grpc: self.grpc_status,
        })
    }

    /// gRPC's status when it is not OK, or else HTTP's.
    pub(super) const fn status(&self) -> u16 {
        if self.grpc_status == 0 { self.http_status } else { self.grpc_status }
    }

    /// Whether a proxy reported it: only those know clusters and nodes.
    pub(super) fn by_proxy(&self) -> bool {
        !self.cluster.is_empty() || !self.node_id.is_empty()
    }
}

/// `SPAN_KIND_SERVER`, `SpanKind.SERVER`, `server`, `SERVER`.
pub(super) fn kind(text: &str) -> Option<SpanKind> {
    let text =
        ["SPAN_KIND_", "SpanKind."].iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
    let named = [
        ("server", SpanKind::Server),
        ("client", SpanKind::Client),
        ("producer", SpanKind::Producer),
        ("consumer", SpanKind::Consumer),
        ("internal", SpanKind::Internal),
    ];
    named.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, kind)| kind)
}

fn text(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value {
        Value::Text(text) => Some(text),
        Value::Int(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(value) => Some(Cow::Borrowed(if value { "true" } else { "false" })),
        _ => None,
    }
}

fn small(value: &Value<'_>) -> Option<u16> {
    u16::try_from(value.integer()?).ok()
}

#[cfg(test)]
mod tests;
