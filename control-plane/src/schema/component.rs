//! `spec.components` of an intent.

use super::governance::FALLBACK_BUDGET;
use super::operator::OPERATOR;
use super::scalar::{FLAG, HEADER_PATTERN, HEADERS, MILLIS, TARGET, TEXT, WORD, WORDS, WORKLOAD, scalars};
use emac_document::shape::{Form, Mapping, Rule, Shape, default, optional, required};

/// A component, or a named part of the operator.
pub(super) const DECLARED: Shape = Shape::Either(&[Shape::Mapping(&COMPONENT), Shape::Mapping(&COMPOSITE)]);

static COMPOSITE: Mapping = Mapping::of(&[
    required(
        "operator",
        Shape::Named(&OPERATOR),
        "a named part of the expression, used by `ref`; instead of the other fields",
    ),
    optional("description", WORD, "for people"),
]);

static COMPONENT: Mapping = Mapping::of(&[
    optional(
        "kind",
        KIND,
        "kind of component; default: `static_response` if there is a `response`, else `service`",
    ),
    optional("description", WORD, "for people"),
    optional(
        "atomicSLORef",
        SLO_REFS,
        "OpenSLO documents with the component's objectives; `#` and a name or number selects one objective",
    ),
    optional("availability", TARGET, "promised share of good answers, if there is no SLO document"),
    optional("failureDomains", WORDS, "failure domains of the component; an empty list means unknown"),
    optional("telemetry", Shape::Mapping(&TELEMETRY), "names of the component in telemetry"),
    optional("hop", Shape::Mapping(&HOP), "the call through the mesh that reaches it"),
    optional(
        "response",
        Shape::Mapping(&RESPONSE),
        "static response kept in the sidecar; only as an alternate of a fallback",
    ),
    optional("latency", Shape::Mapping(&EXPECTED), "expected latency, used until measurements exist"),
    optional(
        "success",
        Shape::Mapping(&SUCCESS),
        "what counts as a good answer; default: HTTP status below 500 and gRPC OK",
    ),
    optional(
        "fallbackBudget",
        Shape::Mapping(&FALLBACK_BUDGET),
        "limit on degraded answers in its place; default: the journey's",
    ),
])
.with(&[Rule::NotBoth("atomicSLORef", "availability"), Rule::NotBoth("hop", "response")]);

const SLO_REFS: Shape = Shape::Either(&[SLO_REF, Shape::List(&SLO_REF)]);

static TELEMETRY: Mapping = Mapping::of(&[
    optional("span", Shape::Mapping(&SPAN), "spans that are calls of the component"),
    optional("metrics", Shape::Mapping(&METRICS), "PromQL selectors"),
]);

static SPAN: Mapping = Mapping::of(&[
    required("service", WORD, "`service.name` of the span"),
    optional("operation", WORD, "name of the span"),
]);

static METRICS: Mapping = Mapping::of(&[
    optional("availabilityGood", WORD, "good answers"),
    optional("availabilityTotal", WORD, "all answers"),
    optional("latencyHistogram", WORD, "buckets of latency"),
]);

static HOP: Mapping = Mapping::of(&[
    optional("source", WORKLOAD, "calling workload; default: the edge"),
    required("destination", WORD, "Istio service host or Envoy cluster"),
    optional(
        "operation",
        WORD,
        "`METHOD /path/template` or `package.Service/Method`; default: any operation",
    ),
    optional(
        "workload",
        WORKLOAD,
        "answering workload; if it calls other hops of the journey, this hop encloses them",
    ),
    default(
        "withoutContext",
        FLAG,
        "false",
        "apply this hop's budget to calls without journey context too; only one journey may set it for the same hop",
    ),
    default(
        "stream",
        FLAG,
        "false",
        "its calls are streams (server-sent events, gRPC streams, watches, long polls): they are not bounded and have an outcome of their own",
    ),
    optional("callout", Shape::Mapping(&CALLOUT), "how it is called as an alternate"),
]);

static CALLOUT: Mapping = Mapping::of(&[
    optional(
        "cluster",
        TEXT,
        "Envoy cluster called after a failure; default: the destination; empty: no call",
    ),
    optional("authority", WORD, "default: that of the request"),
    optional("path", PATH, "default: that of the request"),
    optional(
        "routeHeader",
        Shape::Mapping(&ROUTE_HEADER),
        "header by which the route table selects it before the call",
    ),
    default("allowNonIdempotent", FLAG, "false", "also repeat POST and PATCH"),
    default(
        "maxBody",
        BODY_BYTES,
        "16384",
        "largest request body in bytes that is kept for repeating the call",
    ),
]);

static ROUTE_HEADER: Mapping =
    Mapping::of(&[required("name", HEADER_NAME, "header name"), required("value", WORD, "header value")]);

static RESPONSE: Mapping = Mapping::of(&[
    default("status", STATUS, "200", "HTTP status"),
    optional("headers", HEADERS, "response headers, at most 8"),
    optional("body", TEXT, "response body, at most 65536 bytes"),
]);

static EXPECTED: Mapping = Mapping::of(&[
    required("p50", MILLIS, "median latency"),
    required("p99", MILLIS, "99th percentile of latency; at least `p50`"),
]);

static SUCCESS: Mapping = Mapping::of(&[
    optional("http", Shape::List(&HTTP), "statuses (`404`), classes (`2xx`) and ranges (`200-404`)"),
    optional("grpc", Shape::List(&GRPC_CODE), "codes by number or name"),
]);

scalars! {
    KIND = "word", [Form::Words(&["service", "external_dependency", "data_store", "queue", "static_response"])], "service";
    SLO_REF = "reference", [Form::Text("^openslo:.")], "'openslo:slo.cart.availability'";
    PATH = "path", [Form::Text("^/")], "/pay";
    BODY_BYTES = "bytes", [Form::Integer(0, 65_536)], "16384";
    HEADER_NAME = "header", [Form::Text(HEADER_PATTERN)], "x-provider";
    STATUS = "status", [Form::Integer(200, 599)], "200";
    HTTP = "statuses", [Form::Integer(100, 599), Form::Text("^([1-5]xx|[1-5][0-9]{2}-[1-5][0-9]{2})$")], "2xx";
    GRPC_CODE = "code", [Form::Integer(0, 16), Form::Words(&GRPC_CODES)], "NOT_FOUND";
}

const GRPC_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
