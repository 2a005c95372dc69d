//! `spec.components` of an intent.

use super::governance::FALLBACK_BUDGET;
use super::operator::OPERATOR;
use super::scalar::{FLAG, HEADER_PATTERN, HEADERS, MILLIS, TARGET, TEXT, WORD, WORDS, WORKLOAD, scalars};
use super::shape::{Form, Mapping, Rule, Shape, default, optional, required};

/// A component, or a named part of the operator.
pub(super) const DECLARED: Shape = Shape::Either(&[Shape::Mapping(&COMPONENT), Shape::Mapping(&COMPOSITE)]);

static COMPOSITE: Mapping = Mapping::of(&[
    required(
        "operator",
        Shape::Named(&OPERATOR),
        "instead of the other fields: a named part of the expression, for which a `ref` to it stands",
    ),
    optional("description", WORD, "for people"),
]);

static COMPONENT: Mapping = Mapping::of(&[
    optional(
        "kind",
        KIND,
        "what it is; without it `static_response` where there is a `response`, else `service`",
    ),
    optional("description", WORD, "for people"),
    optional(
        "atomicSLORef",
        SLO_REFS,
        "OpenSLO documents that say what it promises, `#` and a name or number choosing one objective",
    ),
    optional("availability", TARGET, "promised share of good answers where there is no SLO document"),
    optional("failureDomains", WORDS, "what it fails together with; none: not known"),
    optional("telemetry", Shape::Mapping(&TELEMETRY), "how evidence names it"),
    optional("hop", Shape::Mapping(&HOP), "the call through the mesh that asks it"),
    optional(
        "response",
        Shape::Mapping(&RESPONSE),
        "an answer kept in the sidecar; only as an alternate of a fallback",
    ),
    optional("latency", Shape::Mapping(&EXPECTED), "expected while nothing is measured"),
    optional(
        "success",
        Shape::Mapping(&SUCCESS),
        "what counts as a good answer; without it HTTP below 500 and gRPC OK",
    ),
    optional(
        "fallbackBudget",
        Shape::Mapping(&FALLBACK_BUDGET),
        "bound on degraded answers in its place; without it the journey's",
    ),
])
.with(&[Rule::NotBoth("atomicSLORef", "availability"), Rule::NotBoth("hop", "response")]);

const SLO_REFS: Shape = Shape::Either(&[SLO_REF, Shape::List(&SLO_REF)]);

static TELEMETRY: Mapping = Mapping::of(&[
    optional("span", Shape::Mapping(&SPAN), "which spans are calls of it"),
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
    optional("source", WORKLOAD, "who calls; without it the edge"),
    required("destination", WORD, "Istio service host or Envoy cluster"),
    optional("operation", WORD, "`METHOD /path/template` or `package.Service/Method`; without it any"),
    optional(
        "workload",
        WORKLOAD,
        "who answers; when it calls other hops of the journey, this hop encloses them",
    ),
    default(
        "withoutContext",
        FLAG,
        "false",
        "calls that carry no journey context have this hop's budget too; only where no other journey says so of the same hop",
    ),
    default(
        "stream",
        FLAG,
        "false",
        "its calls are streams (server-sent events, gRPC streams, watches, long polls): nothing bounds them, and they are counted as a class of their own",
    ),
    optional("callout", Shape::Mapping(&CALLOUT), "how it is asked when it stands in for another"),
]);

static CALLOUT: Mapping = Mapping::of(&[
    optional(
        "cluster",
        TEXT,
        "Envoy cluster asked after a failure; without it the destination, empty: none is asked",
    ),
    optional("authority", WORD, "without it the request's own"),
    optional("path", PATH, "without it the request's own"),
    optional("routeHeader", Shape::Mapping(&ROUTE_HEADER), "makes the route table choose it before the call"),
    default("allowNonIdempotent", FLAG, "false", "repeat POST and PATCH too"),
    default("maxBody", BODY_BYTES, "16384", "bytes of a request body that are kept for repeating it"),
]);

static ROUTE_HEADER: Mapping =
    Mapping::of(&[required("name", HEADER_NAME, "name of the header"), required("value", WORD, "its value")]);

static RESPONSE: Mapping = Mapping::of(&[
    default("status", STATUS, "200", "HTTP status"),
    optional("headers", HEADERS, "at most 8"),
    optional("body", TEXT, "at most 65536 bytes"),
]);

static EXPECTED: Mapping = Mapping::of(&[
    required("p50", MILLIS, "half of the answers are quicker"),
    required("p99", MILLIS, "99 % of the answers are quicker; at least `p50`"),
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
