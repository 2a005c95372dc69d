//! `JourneyIntent`, `spec.governance` aside.

use super::component::DECLARED;
use super::governance::GOVERNANCE;
use super::operator::OPERATOR;
use super::scalar::{
    COMPONENT_PATTERN, DURATION, FLAG, HEADERS, LABELS, SECONDS, SHARE, TARGET, WORD, scalars,
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
        "how the edge recognises a request of the journey, at most 16 rules of which any will do; without one the journey is computed, not enforced. CORS preflights, probes and scrapes, and calls of `grpc.health.v1.Health` enter only by a rule whose method is OPTIONS, that names `user-agent`, or that names that service",
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
    optional("host", HOST, "exact host, without port; case and a final dot count for nothing"),
    optional("method", METHOD, "upper case; GET takes HEAD too"),
    optional("path", WORD, "path template: `{name}` stands for one segment, a last `**` for any rest; empty segments count for nothing, so `/a//b/` is `/a/b`"),
    optional(
        "headers",
        HEADERS,
        "name to exact value, at most 8; an empty value means that the header is there",
    ),
    optional("grpc", GRPC, "`package.Service` or `package.Service/Method`"),
])
.with(&[Rule::Something]);

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
    DOMAIN_KIND = "word", [Form::Words(&["declared", "inferred"])], "declared";
}
