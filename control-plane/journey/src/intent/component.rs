//! `spec.components`: what the leaves of the expression are.
//!
//! A component with an `operator` is a named part of the expression and nothing else: a `ref` to it stands for that part.

use std::collections::BTreeMap;

use emac_core::budget::{FallbackBudget, StaticResponse, SuccessPredicate};
use emac_core::id::WorkloadName;
use emac_core::journey::ComponentName;
use emac_core::units::{Millis, Ratio};

use super::entry::headers;
use super::objectives::target;
use super::reach::{CalloutOptions, HopRef, LatencyDefault, Reach};
use super::runtime::fallback_budget;
use super::share::{named, owned, promql, refuse_duplicates, small, wire_millis};
use emac_document::{Fields, Located, Reader, Value};

mod success;

/// `components.<leaf>`.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// `kind`. Default service.
    pub kind: ComponentKind,
    /// `description`.
    pub description: Option<String>,
    /// `atomicSLORef`: one, or several (say one for good answers and one for latency).
    pub slos: Vec<Located<SloRef>>,
    /// `availability`: promised share of good answers where there is no SLO document.
    pub availability: Option<Ratio>,
    /// `failureDomains`, in the order written.
    pub failure_domains: Vec<String>,
    /// `telemetry`.
    pub telemetry: Telemetry,
    /// `hop` or `response`.
    pub reach: Reach,
    /// `latency {p50, p99}`: expected while nothing is measured.
    pub latency: Option<LatencyDefault>,
    /// `success {http, grpc}`.
    pub success: SuccessPredicate,
    /// `fallbackBudget {share, burst}`: bound on degraded answers in place of this component.
    pub fallback_budget: Option<FallbackBudget>,
}

/// What a component is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ComponentKind {
    /// A service of one's own.
    #[default]
    Service,
    /// Somebody else's.
    ExternalDependency,
    /// A database or cache.
    DataStore,
    /// A queue or stream.
    Queue,
    /// An answer kept in the sidecar (`response`).
    StaticResponse,
}

/// `atomicSLORef: openslo:<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SloRef {
    /// `metadata.name` of the OpenSLO document.
    pub name: String,
    /// Which of its objectives, behind a `#`: its `displayName`, or its number from 0. `None`: all of them.
    pub objective: Option<String>,
    /// Whose document, by the prefix `sloth:` or `pyrra:`; `None`, by `openslo:`: anybody's.
    pub origin: Option<SloOrigin>,
    /// `role`: what it is taken as. `None`: what its indicator says.
    pub role: Option<Role>,
}

/// Whose documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SloOrigin {
    /// OpenSLO.
    OpenSlo,
    /// Sloth.
    Sloth,
    /// Pyrra.
    Pyrra,
}

/// What an SLO is taken as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A share of good answers.
    Availability,
    /// A share of answers within a time.
    Latency,
    /// Nothing: it is named for people.
    Neither,
}

/// `telemetry`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Telemetry {
    /// `span`.
    pub span: Option<Span>,
    /// `metrics`.
    pub metrics: TelemetryMetrics,
}

/// `span`: which spans are calls of this component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// `service`.
    pub service: String,
    /// `operation`.
    pub operation: Option<String>,
}

/// `metrics`: PromQL selectors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelemetryMetrics {
    /// `availabilityGood`.
    pub good: Option<String>,
    /// `availabilityTotal`.
    pub total: Option<String>,
    /// `latencyHistogram`.
    pub latency: Option<String>,
}

/// All of `components`, with their places, until every section has been read.
#[derive(Debug, Default)]
pub(super) struct Declared<'a> {
    by_name: BTreeMap<&'a str, Declaration<'a>>,
}

/// One of `components`.
#[derive(Debug)]
pub(super) struct Declaration<'a> {
    pub(super) name: ComponentName,
    pub(super) reader: Reader<'a>,
    pub(super) meaning: Meaning<'a>,
}

/// What a name stands for.
#[derive(Debug)]
pub(super) enum Meaning<'a> {
    Component(Box<Component>),
    /// A part of the expression, read when it is referred to.
    Composite(Reader<'a>),
    /// It could not be read; problems were reported.
    Unreadable,
}

impl<'a> Declared<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&Declaration<'a>> {
        self.by_name.get(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.by_name.keys().copied()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Declaration<'a>> {
        self.by_name.values()
    }

    pub(super) fn into_components(self) -> BTreeMap<ComponentName, Component> {
        let component = |declaration: Declaration<'a>| match declaration.meaning {
            Meaning::Component(component) => Some((declaration.name, *component)),
            _ => None,
        };
        self.by_name.into_values().filter_map(component).collect()
    }
}

/// `components`: a mapping by name.
pub(super) fn read(reader: Reader<'_>) -> Option<Declared<'_>> {
    let mut declared = Declared::default();
    for entry in reader.entries()? {
        let value = reader.of(&entry.value);
        match ComponentName::new(&entry.key) {
            Ok(name) => {
                let meaning = meaning(value);
                declared.by_name.insert(&entry.key, Declaration { name, reader: value, meaning });
            }
            Err(error) => reader.refuse_at::<()>(entry.key_span, error.to_string()).unwrap_or_default(),
        }
    }
    Some(declared)
}

fn meaning(reader: Reader<'_>) -> Meaning<'_> {
    let composite =
        reader.node().entries().is_some_and(|all| all.iter().any(|entry| entry.key == "operator"));
    let meaning = if composite {
        reader.fields(|fields| {
            let _ = fields.optional("description", owned);
            fields.get("operator").map(Meaning::Composite)
        })
    } else {
        reader.fields(component).map(|component| Meaning::Component(Box::new(component)))
    };
    meaning.unwrap_or(Meaning::Unreadable)
}

fn component(fields: &mut Fields<'_>) -> Option<Component> {
    const KINDS: [(&str, ComponentKind); 5] = [
        ("service", ComponentKind::Service),
        ("external_dependency", ComponentKind::ExternalDependency),
        ("data_store", ComponentKind::DataStore),
        ("queue", ComponentKind::Queue),
        ("static_response", ComponentKind::StaticResponse),
    ];
    let kind = fields.optional("kind", |kind| kind.choice(&KINDS));
    let description = fields.optional("description", owned);
    let slos = fields.optional("atomicSLORef", slo_refs).unwrap_or_default();
    let availability = fields.optional("availability", target);
    let failure_domains = fields.optional("failureDomains", failure_domains).unwrap_or_default();
    let telemetry =
        fields.optional("telemetry", |telemetry| telemetry.fields(telemetry_)).unwrap_or_default();
    let reach = reach(fields);
    let latency = fields.optional("latency", |latency| latency.fields(latency_));
    let success = fields.optional("success", success::read).unwrap_or_default();
    let fallback_budget = fields.optional("fallbackBudget", fallback_budget);
    if !slos.is_empty() && availability.is_some() {
        fields.reader().refuse::<()>("give `atomicSLORef` or `availability`, not both");
    }
    let implied = if matches!(reach, Reach::Static(_)) {
        ComponentKind::StaticResponse
    } else {
        ComponentKind::Service
    };
    Some(Component {
        kind: kind.unwrap_or(implied),
        description,
        slos,
        availability,
        failure_domains,
        telemetry,
        reach,
        latency,
        success,
        fallback_budget,
    })
}

fn slo_refs(reader: Reader<'_>) -> Option<Vec<Located<SloRef>>> {
    let located = |one: Reader<'_>| slo_ref(one).map(|slo| Located::new(slo, one));
    match reader.node().value {
        Value::Sequence(_) => reader.list(located),
        _ => located(reader).map(|slo| vec![slo]),
    }
}

/// A reference as text, or `{ref, role}`.
fn slo_ref(reader: Reader<'_>) -> Option<SloRef> {
    const ROLES: [(&str, Role); 3] =
        [("availability", Role::Availability), ("latency", Role::Latency), ("neither", Role::Neither)];
    if !matches!(reader.node().value, Value::Mapping(_)) {
        return slo_name(reader);
    }
    reader.fields(|fields| {
        let slo = fields.required("ref", slo_name);
        let role = fields.optional("role", |role| role.choice(&ROLES));
        Some(SloRef { role, ..slo? })
    })
}

fn slo_name(reader: Reader<'_>) -> Option<SloRef> {
    const PREFIXES: [(&str, Option<SloOrigin>); 3] =
        [("openslo:", None), ("sloth:", Some(SloOrigin::Sloth)), ("pyrra:", Some(SloOrigin::Pyrra))];
    let text = reader.word()?;
    let found = PREFIXES.iter().find_map(|&(prefix, origin)| Some((text.strip_prefix(prefix)?, origin)));
    let Some((name, origin)) = found.filter(|(name, _)| !name.is_empty()) else {
        return reader
            .refuse_with("expected a reference to an SLO document", "such as openslo:slo.cart.availability");
    };
    let (name, objective) = match name.split_once('#') {
        Some((name, objective)) => (name, Some(objective.to_owned())),
        None => (name, None),
    };
    Some(SloRef { name: name.to_owned(), objective, origin, role: None })
}

fn failure_domains(reader: Reader<'_>) -> Option<Vec<String>> {
    let domains = reader.list(owned)?;
    refuse_duplicates(domains.iter().map(String::as_str).zip(reader.items()?), "failure domain");
    Some(domains)
}

fn telemetry_(fields: &mut Fields<'_>) -> Option<Telemetry> {
    let span = fields.optional("span", |span| {
        span.fields(|fields| {
            let service = fields.required("service", owned);
            let operation = fields.optional("operation", owned);
            Some(Span { service: service?, operation })
        })
    });
    let metrics = fields.optional("metrics", |metrics| {
        metrics.fields(|fields| {
            let good = fields.optional("availabilityGood", promql);
            let total = fields.optional("availabilityTotal", promql);
            let latency = fields.optional("latencyHistogram", promql);
            Some(TelemetryMetrics { good, total, latency })
        })
    });
    Some(Telemetry { span, metrics: metrics.unwrap_or_default() })
}

fn reach(fields: &mut Fields<'_>) -> Reach {
    let hop = fields.optional("hop", |hop| hop.fields(hop_));
    let response = fields.optional("response", |response| response.fields(response_));
    if fields.has("hop") && fields.has("response") {
        fields.reader().refuse::<()>("give `hop` or `response`, not both");
    }
    match (hop, response) {
        (Some(hop), _) => Reach::Hop(hop),
        (None, Some(response)) => Reach::Static(response),
        (None, None) => Reach::Unseen,
    }
}

fn hop_(fields: &mut Fields<'_>) -> Option<HopRef> {
    let source = fields.optional("source", |source| named(source, WorkloadName::new));
    let destination = fields.required("destination", |destination| bounded(destination, 253));
    let operation = fields.optional("operation", |operation| bounded(operation, 512)).unwrap_or_default();
    let workload = fields.optional("workload", |workload| named(workload, WorkloadName::new));
    let without_context = fields.optional("withoutContext", Reader::boolean).unwrap_or_default();
    let stream = fields.optional("stream", Reader::boolean).unwrap_or_default();
    let callout = fields.optional("callout", |callout| callout.fields(callout_)).unwrap_or_default();
    Some(HopRef { source, destination: destination?, operation, workload, without_context, stream, callout })
}

fn bounded(reader: Reader<'_>, bytes_max: usize) -> Option<String> {
    let text = owned(reader)?;
    if text.len() <= bytes_max { Some(text) } else { reader.refuse(format!("more than {bytes_max} bytes")) }
}

fn callout_(fields: &mut Fields<'_>) -> Option<CalloutOptions> {
    let default = CalloutOptions::default();
    let cluster = fields.optional("cluster", |cluster| cluster.text().map(str::to_owned));
    let authority = fields.optional("authority", owned).unwrap_or_default();
    let path = fields.optional("path", path).unwrap_or_default();
    let route_header = fields.optional("routeHeader", route_header);
    let allow_non_idempotent = fields.optional("allowNonIdempotent", Reader::boolean).unwrap_or_default();
    let body_bytes_max = fields.optional("maxBody", |body| small(body, 0..=65_536));
    let body_bytes_max = body_bytes_max.unwrap_or(default.body_bytes_max);
    Some(CalloutOptions { cluster, authority, path, route_header, allow_non_idempotent, body_bytes_max })
}

fn path(reader: Reader<'_>) -> Option<String> {
    let path = owned(reader)?;
    if path.starts_with('/') { Some(path) } else { reader.refuse("a path starts with /") }
}

fn route_header(reader: Reader<'_>) -> Option<(String, String)> {
    reader.fields(|fields| {
        let name = fields.required("name", owned);
        let value = fields.required("value", owned);
        let (name, value) = (name?, value?);
        if super::entry::is_header_name(&name) {
            Some((name.to_ascii_lowercase(), value))
        } else {
            fields.reader().refuse(format!("`{name}` is not the name of a header"))
        }
    })
}

fn response_(fields: &mut Fields<'_>) -> Option<StaticResponse> {
    let status = fields.optional("status", |status| small(status, 200..=599));
    let headers = fields.optional("headers", headers).unwrap_or_default();
    let body = fields.optional("body", |body| {
        let text = body.text()?;
        if text.len() <= 65_536 { Some(text) } else { body.refuse("more than 65536 bytes") }
    });
    let status = status.and_then(|status| u16::try_from(status).ok()).unwrap_or(200);
    Some(StaticResponse { status, headers, body: body.unwrap_or_default().into() })
}

fn latency_(fields: &mut Fields<'_>) -> Option<LatencyDefault> {
    let p50: Option<Millis> = fields.required("p50", wire_millis);
    let p99: Option<Millis> = fields.required("p99", wire_millis);
    let (p50, p99) = (p50?, p99?);
    if p50 <= p99 {
        Some(LatencyDefault { p50, p99 })
    } else {
        fields.reader().refuse(format!("p50 ({p50}) is above p99 ({p99})"))
    }
}
