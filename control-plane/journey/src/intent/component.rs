//! `spec.components`: what the leaves of the expression are.
//!
//! A component with an `operator` is a named part of the expression and nothing else: a `ref` to it stands for that part.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use emac_core::budget::{FallbackBudget, StaticResponse, SuccessPredicate};
use emac_core::journey::ComponentName;
use emac_core::units::Ratio;

use super::entry::{HEADER_PATTERN, headers, is_header_name};
use super::operator::OPERATOR;
use super::reach::{CalloutOptions, HopRef, LatencyDefault, Reach};
use super::runtime::fallback_budget;
use super::share::{promql, refuse_duplicates, target, wire_millis, workload};
use crate::types::COMPONENT_PATTERN;
use emac_document::shape::{Form, Mapping, Rule, Shape};
use emac_document::types::{
    Type, checked, choice, either, flag, integer, kept, list, mapping, mapping_as, owned, scalar, text,
    typed, unread, word_as,
};
use emac_document::{Fields, Located, Reader, Value, describe};
use success::success;

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
    /// `latency {p50, p99}`: expected while nothing is measured. No planned timeout is below the median.
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
    pub role: Option<SloRole>,
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
pub enum SloRole {
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
pub(super) fn components<'a>() -> impl Type<'a, Value = Declared<'a>> {
    let composite = || Shape::Mapping(describe(|fields| composite(fields).map(drop)));
    let either = move || vec![mapping(component).shape(), composite()];
    let shape = move || Shape::Map(COMPONENT_PATTERN, kept(Shape::Either(either().leak())));
    typed(shape, read)
}

fn read(reader: Reader<'_>) -> Option<Declared<'_>> {
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
    let is_composite =
        reader.node().entries().is_some_and(|all| all.iter().any(|entry| entry.key == "operator"));
    let meaning = if is_composite {
        reader.fields(composite).map(Meaning::Composite)
    } else {
        reader.fields(component).map(|component| Meaning::Component(Box::new(component)))
    };
    meaning.unwrap_or(Meaning::Unreadable)
}

fn composite<'a>(fields: &mut Fields<'a>) -> Option<Reader<'a>> {
    let says = "a named part of the expression, used by `ref`; instead of the other fields";
    let operator = fields.field("operator", unread(|| Shape::Named(&OPERATOR)), says).required();
    fields.field("description", owned(), "for people").optional();
    operator
}

const KINDS: [(&str, ComponentKind); 5] = [
    ("service", ComponentKind::Service),
    ("external_dependency", ComponentKind::ExternalDependency),
    ("data_store", ComponentKind::DataStore),
    ("queue", ComponentKind::Queue),
    ("static_response", ComponentKind::StaticResponse),
];

fn component(fields: &mut Fields<'_>) -> Option<Component> {
    let says = "kind of component; default: `static_response` if there is a `response`, else `service`";
    let kind = fields.field("kind", choice(&KINDS), says).optional();
    let description = fields.field("description", owned(), "for people").optional();
    let says = "documents of OpenSLO, Sloth or Pyrra with the component's objectives; `#` and a name or number selects one objective";
    let slos = fields.field("atomicSLORef", slo_refs(), says).optional().unwrap_or_default();
    let says = "promised share of good answers, if there is no SLO document";
    let availability = fields.field("availability", target(), says).optional();
    let says = "failure domains of the component; an empty list means unknown";
    let failure_domains = fields.field("failureDomains", failure_domains(), says).optional();
    let says = "names of the component in telemetry";
    let telemetry = fields.field("telemetry", mapping(telemetry), says).optional();
    let says = "the call through the mesh that reaches it";
    let hop = fields.field("hop", mapping(hop), says).optional();
    let says = "static response kept in the sidecar; only as an alternate of a fallback";
    let response = fields.field("response", mapping(response), says).optional();
    let says = "expected latency, used until measurements exist; whatever is measured, no timeout is below its `p50`";
    let latency = fields.field("latency", mapping(latency), says).optional();
    let says = "what counts as a good answer; default: HTTP status below 500 and gRPC OK";
    let success = fields.field("success", mapping(success), says).optional().unwrap_or_default();
    let says = "limit on degraded answers in its place; default: the journey's";
    let fallback_budget = fields.field("fallbackBudget", mapping(fallback_budget), says).optional();
    fields.rule(Rule::NotBoth("atomicSLORef", "availability"));
    fields.rule(Rule::NotBoth("hop", "response"));
    if !slos.is_empty() && availability.is_some() {
        fields.reader().refuse::<()>("give `atomicSLORef` or `availability`, not both");
    }
    if fields.has("hop") && fields.has("response") {
        fields.reader().refuse::<()>("give `hop` or `response`, not both");
    }
    let (reach, implied) = match (hop, response) {
        (Some(hop), _) => (Reach::Hop(hop), ComponentKind::Service),
        (None, Some(response)) => (Reach::Static(response), ComponentKind::StaticResponse),
        (None, None) => (Reach::Unseen, ComponentKind::Service),
    };
    Some(Component {
        kind: kind.unwrap_or(implied),
        description,
        slos,
        availability,
        failure_domains: failure_domains.unwrap_or_default(),
        telemetry: telemetry.unwrap_or_default(),
        reach,
        latency,
        success,
        fallback_budget,
    })
}

/// One, or a list of them.
fn slo_refs<'a>() -> impl Type<'a, Value = Vec<Located<SloRef>>> {
    let is_one = |it: Reader<'a>| !matches!(it.node().value, Value::Sequence(_));
    either(is_one, checked(slo_ref(), |_, slo| Some(vec![slo])), list(slo_ref()))
}

/// By its name, or with a role.
fn slo_ref<'a>() -> impl Type<'a, Value = Located<SloRef>> {
    let is_name = |it: Reader<'a>| !matches!(it.node().value, Value::Mapping(_));
    // One table for one of them and for a list.
    static TABLE: LazyLock<&'static Mapping> = LazyLock::new(|| describe(slo_with_role));
    either(is_name, slo_name(), mapping_as(|| *TABLE, slo_with_role))
}

fn slo_with_role(fields: &mut Fields<'_>) -> Option<Located<SloRef>> {
    const ROLES: [(&str, SloRole); 3] = [
        ("availability", SloRole::Availability),
        ("latency", SloRole::Latency),
        ("neither", SloRole::Neither),
    ];
    let slo = fields.field("ref", slo_name(), "the SLO").required();
    let says = "what its targets are shares of; default: what its indicator says";
    let role = fields.field("role", choice(&ROLES), says).optional();
    let mut slo = slo?;
    slo.value.role = role;
    Some(slo)
}

fn slo_name<'a>() -> impl Type<'a, Value = Located<SloRef>> {
    const PREFIXES: [(&str, Option<SloOrigin>); 3] =
        [("openslo:", None), ("sloth:", Some(SloOrigin::Sloth)), ("pyrra:", Some(SloOrigin::Pyrra))];
    const FORMS: [Form; 1] = [Form::Text("^(openslo|sloth|pyrra):.")];
    scalar("reference", &FORMS, "'openslo:slo.cart.availability'", |it: Reader<'a>| {
        let text = it.word()?;
        let found = PREFIXES.iter().find_map(|&(prefix, origin)| Some((text.strip_prefix(prefix)?, origin)));
        let Some((name, origin)) = found.filter(|(name, _)| !name.is_empty()) else {
            let help = "such as openslo:slo.cart.availability";
            return it.refuse_with("expected a reference to an SLO document", help);
        };
        let (name, objective) = match name.split_once('#') {
            Some((name, objective)) => (name, Some(objective.to_owned())),
            None => (name, None),
        };
        Some(Located::new(SloRef { name: name.to_owned(), objective, origin, role: None }, it))
    })
}

fn failure_domains<'a>() -> impl Type<'a, Value = Vec<String>> {
    checked(list(owned()), |it, domains: Vec<String>| {
        refuse_duplicates(domains.iter().map(String::as_str).zip(it.items()?), "failure domain");
        Some(domains)
    })
}

fn telemetry(fields: &mut Fields<'_>) -> Option<Telemetry> {
    let span = fields.field("span", mapping(span), "spans that are calls of the component").optional();
    let metrics = fields.field("metrics", mapping(metrics), "PromQL selectors").optional();
    Some(Telemetry { span, metrics: metrics.unwrap_or_default() })
}

fn span(fields: &mut Fields<'_>) -> Option<Span> {
    let service = fields.field("service", owned(), "`service.name` of the span").required();
    let operation = fields.field("operation", owned(), "name of the span").optional();
    Some(Span { service: service?, operation })
}

fn metrics(fields: &mut Fields<'_>) -> Option<TelemetryMetrics> {
    let good = fields.field("availabilityGood", promql(), "good answers").optional();
    let total = fields.field("availabilityTotal", promql(), "all answers").optional();
    let latency = fields.field("latencyHistogram", promql(), "buckets of latency").optional();
    Some(TelemetryMetrics { good, total, latency })
}

fn hop(fields: &mut Fields<'_>) -> Option<HopRef> {
    let source = fields.field("source", workload(), "calling workload; default: the edge").optional();
    let says = "Istio service host or Envoy cluster";
    let destination = fields.field("destination", bounded(253), says).required();
    let says = "`METHOD /path/template` or `package.Service/Method`; default: any operation";
    let operation = fields.field("operation", bounded(512), says).optional().unwrap_or_default();
    let says = "answering workload; if it calls other hops of the journey, this hop encloses them";
    let workload = fields.field("workload", workload(), says).optional();
    let says = "apply this hop's budget to calls without journey context too; only one journey may set it for the same hop";
    let without_context = fields.field("withoutContext", flag(), says).or(false);
    let says = "its calls are streams (server-sent events, gRPC streams, watches, long polls): they are not bounded and have an outcome of their own";
    let stream = fields.field("stream", flag(), says).or(false);
    let says = "how it is called as an alternate";
    let callout = fields.field("callout", mapping(callout), says).optional().unwrap_or_default();
    Some(HopRef { source, destination: destination?, operation, workload, without_context, stream, callout })
}

fn bounded<'a>(bytes_max: usize) -> impl Type<'a, Value = String> {
    word_as(move |it, text| {
        let fits = text.len() <= bytes_max;
        if fits { Some(text.to_owned()) } else { it.refuse(format!("more than {bytes_max} bytes")) }
    })
}

fn callout(fields: &mut Fields<'_>) -> Option<CalloutOptions> {
    let default = CalloutOptions::default();
    let says = "Envoy cluster called after a failure; default: the destination; empty: no call";
    let cluster = fields.field("cluster", text(), says).optional().map(str::to_owned);
    let authority = fields.field("authority", owned(), "default: that of the request").optional();
    let path = fields.field("path", path(), "default: that of the request").optional();
    let says = "header by which the route table selects it before the call";
    let route_header = fields.field("routeHeader", mapping(route_header), says).optional();
    let says = "also repeat POST and PATCH";
    let allow_non_idempotent =
        fields.field("allowNonIdempotent", flag(), says).or(default.allow_non_idempotent);
    let says = "largest request body in bytes that is kept for repeating the call";
    let body_bytes_max =
        fields.field("maxBody", integer("bytes", 0..=65_536), says).or(default.body_bytes_max);
    Some(CalloutOptions {
        cluster,
        authority: authority.unwrap_or_default(),
        path: path.unwrap_or_default(),
        route_header,
        allow_non_idempotent,
        body_bytes_max,
    })
}

fn path<'a>() -> impl Type<'a, Value = String> {
    scalar("path", &[Form::Text("^/")], "/pay", |it: Reader<'a>| match it.word()? {
        path if path.starts_with('/') => Some(path.to_owned()),
        _ => it.refuse("a path starts with /"),
    })
}

fn route_header(fields: &mut Fields<'_>) -> Option<(String, String)> {
    let name = scalar("header", &[Form::Text(HEADER_PATTERN)], "x-provider", |it: Reader<'_>| {
        let name = it.word()?;
        if is_header_name(name) {
            return Some(name.to_ascii_lowercase());
        }
        it.refuse(format!("`{name}` is not the name of a header"))
    });
    let name = fields.field("name", name, "header name").required();
    let value = fields.field("value", owned(), "header value").required();
    Some((name?, value?))
}

fn response(fields: &mut Fields<'_>) -> Option<StaticResponse> {
    let status = fields.field("status", integer("status", 200..=599), "HTTP status").or(200_u32);
    let headers = fields.field("headers", headers(), "response headers, at most 8").optional();
    let body = fields.field("body", body(), "response body, at most 65536 bytes").optional();
    Some(StaticResponse {
        status: u16::try_from(status).unwrap_or(200),
        headers: headers.unwrap_or_default(),
        body: body.unwrap_or_default().into(),
    })
}

fn body<'a>() -> impl Type<'a, Value = &'a str> {
    checked(
        text(),
        |it: Reader<'a>, text: &'a str| {
            if text.len() <= 65_536 { Some(text) } else { it.refuse("more than 65536 bytes") }
        },
    )
}

fn latency(fields: &mut Fields<'_>) -> Option<LatencyDefault> {
    let p50 = fields.field("p50", wire_millis(), "median latency").required();
    let says = "99th percentile of latency; at least `p50`";
    let p99 = fields.field("p99", wire_millis(), says).required();
    let (p50, p99) = (p50?, p99?);
    if p50 <= p99 {
        return Some(LatencyDefault { p50, p99 });
    }
    fields.reader().refuse(format!("p50 ({p50}) is above p99 ({p99})"))
}
