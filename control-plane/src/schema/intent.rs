//! `JourneyIntent`, `spec.governance` aside.

use super::governance::{FALLBACK_BUDGET, GOVERNANCE};
use super::operator::OPERATOR;
use super::scalar::{
    COMPONENT_PATTERN, DURATION, FLAG, HEADERS, LABELS, MILLIS, SECONDS, SHARE, TARGET, TEXT, WORD, WORDS,
    WORKLOAD, scalars,
};
use super::shape::{Form, Mapping, Rule, Shape, default, optional, required};

pub(super) static ROOT: Mapping = Mapping::of(&[
    required("metadata", Shape::Mapping(&METADATA), "who it is"),
    required("spec", Shape::Mapping(&SPEC), "what it says"),
]);

static METADATA: Mapping = Mapping::of(&[
    required("name", JOURNEY, "the journey's name: it stands in labels, file names and headers"),
    optional("labels", LABELS, "for people and their tools"),
    optional("annotations", LABELS, "for people and their tools"),
]);

static SPEC: Mapping = Mapping::of(&[
    required("objectives", Shape::Mapping(&OBJECTIVES), "what is promised"),
    optional(
        "entry",
        Shape::List(&Shape::Mapping(&ENTRY)),
        "how the edge recognises a request of the journey, at most 16 rules of which any will do; without one the journey is computed, not enforced",
    ),
    required("operator", Shape::Named(&OPERATOR), "how components combine"),
    required(
        "components",
        Shape::Map(COMPONENT_PATTERN, &DECLARED),
        "what the leaves of the operator are, by name",
    ),
    optional("evidence", Shape::Mapping(&EVIDENCE), "where the structure is learnt"),
    optional(
        "failureDomains",
        Shape::Mapping(&DOMAINS),
        "what fails together; with rules, components may name no other domains",
    ),
    optional("governance", Shape::Mapping(&GOVERNANCE), "what automation may decide, and by which numbers"),
]);

static OBJECTIVES: Mapping = Mapping::of(&[
    required("availability", Shape::Mapping(&AVAILABILITY), "the share of requests that succeed"),
    optional(
        "latency",
        Shape::Mapping(&LATENCY),
        "a quantile of latency; its threshold is the deadline unless `governance.runtime.deadline` says otherwise",
    ),
]);

static AVAILABILITY: Mapping = Mapping::of(&[
    required("window", DURATION, "over which the share is taken"),
    required("target", TARGET, "the share promised, above 0 and below 1"),
    optional(
        "sli",
        Shape::Mapping(&SLI),
        "how the share is measured; without it the sidecars' metrics are asked",
    ),
]);

static SLI: Mapping = Mapping::of(&[
    required("goodEventQuery", WORD, "PromQL of good events, `{{ .window }}` where the window goes"),
    required("totalEventQuery", WORD, "PromQL of all events"),
]);

static LATENCY: Mapping = Mapping::of(&[
    required("window", DURATION, "over which the quantile is taken"),
    required("objective", Shape::Mapping(&LATENCY_OBJECTIVE), "the promise"),
    optional("evidence", Shape::Mapping(&PROMQL), "how the quantile is measured"),
]);

static LATENCY_OBJECTIVE: Mapping = Mapping::of(&[
    required("metric", QUANTILE, "`p50` to `p99.9`"),
    required("threshold", SECONDS, "what the quantile stays below; a bare number is seconds"),
]);

static PROMQL: Mapping = Mapping::of(&[required("promql", WORD, "PromQL of the quantile")]);

static ENTRY: Mapping = Mapping::of(&[
    optional("host", HOST, "exact host, without port"),
    optional("method", METHOD, "upper case"),
    optional("path", WORD, "path template: `{name}` stands for one segment, a last `**` for any rest"),
    optional(
        "headers",
        HEADERS,
        "name to exact value, at most 8; an empty value means that the header is there",
    ),
    optional("grpc", GRPC, "`package.Service` or `package.Service/Method`"),
])
.with(&[Rule::Something]);

/// A component, or a named part of the operator.
const DECLARED: Shape = Shape::Either(&[Shape::Mapping(&COMPONENT), Shape::Mapping(&COMPOSITE)]);

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

static EVIDENCE: Mapping =
    Mapping::of(&[required("modelDiscovery", Shape::Mapping(&DISCOVERY), "how the model is learnt")]);

static DISCOVERY: Mapping = Mapping::of(&[
    default("enabled", FLAG, "false", "whether it is"),
    optional("discoveredModelRef", WORD, "the model file, relative to the intent"),
    optional("inputs", Shape::List(&Shape::Mapping(&INPUT)), "what is looked at"),
    optional("evidenceWindow", DURATION, "how far back evidence counts"),
    optional("freshness", Shape::Mapping(&FRESHNESS), "how old evidence may be"),
    optional("coveragePolicy", Shape::Mapping(&COVERAGE), "how much must have been seen"),
]);

static INPUT: Mapping = Mapping::of(&[
    required("type", WORD, "such as `opentelemetry-traces`"),
    optional("notes", WORD, "for people"),
]);

static FRESHNESS: Mapping =
    Mapping::of(&[required("maxAge", DURATION, "older evidence makes a decision REVIEW")]);

static COVERAGE: Mapping = Mapping::of(&[
    optional("minTraceEdgeCoverage", SHARE, "a smaller share of expected edges seen makes a decision REVIEW"),
    default("requireBranchCoverage", FLAG, "false", "every branch of a race must have been seen"),
    default("requirePaymentBranchCoverage", FLAG, "false", "the same, by the paper's name"),
]);

static DOMAINS: Mapping =
    Mapping::of(&[optional("rules", Shape::List(&Shape::Mapping(&DOMAIN)), "the domains there are")]);

static DOMAIN: Mapping = Mapping::of(&[
    required("name", WORD, "as `components.<leaf>.failureDomains` says it"),
    required("kind", DOMAIN_KIND, "said by a person, or read from evidence"),
    optional("source", WORD, "of an inferred domain, which needs it, such as `kubernetes`"),
    optional("key", WORD, "of an inferred domain, which needs it, such as a label"),
    optional("description", WORD, "for people"),
    optional(
        "beta",
        SHARE,
        "share of a member's unavailability that the domain causes; given, the journey's value under common cause is exact",
    ),
]);

scalars! {
    JOURNEY = "name", [Form::Text("^[a-z0-9-]{1,63}$")], "checkout";
    QUANTILE = "quantile", [Form::Text(r"^p[0-9]+(\.[0-9]+)?$")], "p99";
    HOST = "host", [Form::Text(r"^[^/:]*[^/:\s][^/:]*$")], "shop.example";
    METHOD = "method", [Form::Text("^[A-Z]+$")], "POST";
    GRPC = "text", [Form::Text(r"^[^/\s]")], "shop.v1.Checkout/Place";
    KIND = "word", [Form::Words(&["service", "external_dependency", "data_store", "queue", "static_response"])], "service";
    SLO_REF = "reference", [Form::Text("^openslo:.")], "'openslo:slo.cart.availability'";
    PATH = "path", [Form::Text("^/")], "/pay";
    BODY_BYTES = "bytes", [Form::Integer(0, 65_536)], "16384";
    HEADER_NAME = "header", [Form::Text(super::scalar::HEADER_PATTERN)], "x-provider";
    STATUS = "status", [Form::Integer(200, 599)], "200";
    HTTP = "statuses", [Form::Integer(100, 599), Form::Text("^([1-5]xx|[1-5][0-9]{2}-[1-5][0-9]{2})$")], "2xx";
    GRPC_CODE = "code", [Form::Integer(0, 16), Form::Words(&GRPC_CODES)], "NOT_FOUND";
    DOMAIN_KIND = "word", [Form::Words(&["declared", "inferred"])], "declared";
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
