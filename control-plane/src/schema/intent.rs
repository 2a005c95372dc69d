//! `JourneyIntent`, `spec.governance` aside.

use super::component::DECLARED;
use super::governance::GOVERNANCE;
use super::operator::OPERATOR;
use super::scalar::{
    COMPONENT_PATTERN, DURATION, FLAG, HEADERS, LABELS, SECONDS, SHARE, TARGET, WORD, scalars,
};
use emac_document::shape::{Form, Mapping, Rule, Shape, default, optional, required};

pub(super) static ROOT: Mapping = Mapping::of(&[
    required("metadata", Shape::Mapping(&METADATA), "identity of the journey"),
    required("spec", Shape::Mapping(&SPEC), "specification"),
]);

static METADATA: Mapping = Mapping::of(&[
    required("name", JOURNEY, "the journey's name, used in labels, file names and headers"),
    optional("labels", LABELS, "free text for people and tools"),
    optional("annotations", LABELS, "free text for people and tools"),
]);

static SPEC: Mapping = Mapping::of(&[
    required("objectives", Shape::Mapping(&OBJECTIVES), "objectives"),
    optional(
        "entry",
        Shape::List(&Shape::Mapping(&ENTRY)),
        "rules by which the edge recognises requests of the journey, at most 16; one match is enough; without rules the journey is computed, not enforced. CORS preflights, probes and scrapes, and calls of `grpc.health.v1.Health` enter only by a rule whose method is OPTIONS, that names `user-agent`, or that names that service",
    ),
    required("operator", Shape::Named(&OPERATOR), "how the components combine"),
    required(
        "components",
        Shape::Map(COMPONENT_PATTERN, &DECLARED),
        "the components that the operator names",
    ),
    optional("evidence", Shape::Mapping(&EVIDENCE), "where the structure is discovered"),
    optional(
        "failureDomains",
        Shape::Mapping(&DOMAINS),
        "failure domains; if rules are given, components may name no other domains",
    ),
    optional("governance", Shape::Mapping(&GOVERNANCE), "what automation may decide, and on which bounds"),
]);

static OBJECTIVES: Mapping = Mapping::of(&[
    required(
        "availability",
        Shape::Mapping(&AVAILABILITY),
        "availability: the share of requests that succeed",
    ),
    optional(
        "latency",
        Shape::Mapping(&LATENCY),
        "latency quantile; its threshold is the deadline unless `governance.runtime.deadline` is set",
    ),
]);

static AVAILABILITY: Mapping = Mapping::of(&[
    required("window", DURATION, "time window of the share"),
    required("target", TARGET, "target share, above 0 and below 1"),
    optional("sli", Shape::Mapping(&SLI), "how the share is measured; default: the sidecars' metrics"),
]);

static SLI: Mapping = Mapping::of(&[
    required("goodEventQuery", WORD, "PromQL of good events; `{{ .window }}` is replaced by the window"),
    required("totalEventQuery", WORD, "PromQL of all events"),
]);

static LATENCY: Mapping = Mapping::of(&[
    required("window", DURATION, "time window of the quantile"),
    required("objective", Shape::Mapping(&LATENCY_OBJECTIVE), "the latency objective"),
    optional("evidence", Shape::Mapping(&PROMQL), "how the quantile is measured"),
]);

static LATENCY_OBJECTIVE: Mapping = Mapping::of(&[
    required("metric", QUANTILE, "`p50` to `p99.9`"),
    required("threshold", SECONDS, "upper limit of the quantile; a bare number is seconds"),
]);

static PROMQL: Mapping = Mapping::of(&[required("promql", WORD, "PromQL of the quantile")]);

static ENTRY: Mapping = Mapping::of(&[
    optional("host", HOST, "exact host, without port; case and a final dot are ignored"),
    optional("method", METHOD, "HTTP method in upper case; GET also matches HEAD"),
    optional("path", WORD, "path template: `{name}` matches one segment, a final `**` any rest; empty segments are ignored, so `/a//b/` equals `/a/b`"),
    optional(
        "headers",
        HEADERS,
        "header names with exact values, at most 8; an empty value matches any value of a present header",
    ),
    optional("grpc", GRPC, "`package.Service` or `package.Service/Method`"),
])
.with(&[Rule::Something]);

static EVIDENCE: Mapping =
    Mapping::of(&[required("modelDiscovery", Shape::Mapping(&DISCOVERY), "how the model is discovered")]);

static DISCOVERY: Mapping = Mapping::of(&[
    default("enabled", FLAG, "false", "whether discovery is enabled"),
    optional("discoveredModelRef", WORD, "path of the model file, relative to the intent"),
    optional("inputs", Shape::List(&Shape::Mapping(&INPUT)), "evidence sources"),
    optional("evidenceWindow", DURATION, "length of the evidence window"),
    optional("freshness", Shape::Mapping(&FRESHNESS), "maximum age of evidence"),
    optional("coveragePolicy", Shape::Mapping(&COVERAGE), "required coverage"),
]);

static INPUT: Mapping = Mapping::of(&[
    required("type", WORD, "such as `opentelemetry-traces`"),
    optional("notes", WORD, "for people"),
]);

static FRESHNESS: Mapping =
    Mapping::of(&[required("maxAge", DURATION, "with older evidence the decision is REVIEW")]);

static COVERAGE: Mapping = Mapping::of(&[
    optional(
        "minTraceEdgeCoverage",
        SHARE,
        "if a smaller share of the expected edges was observed, the decision is REVIEW",
    ),
    default("requireBranchCoverage", FLAG, "false", "every branch of a race must have been observed"),
    default("requirePaymentBranchCoverage", FLAG, "false", "the same under the paper's name"),
]);

static DOMAINS: Mapping =
    Mapping::of(&[optional("rules", Shape::List(&Shape::Mapping(&DOMAIN)), "the failure domains")]);

static DOMAIN: Mapping = Mapping::of(&[
    required("name", WORD, "name used in `components.<leaf>.failureDomains`"),
    required("kind", DOMAIN_KIND, "declared by a person, or inferred from evidence"),
    optional("source", WORD, "evidence source, such as `kubernetes`; required for inferred domains"),
    optional("key", WORD, "key to look up, such as a label; required for inferred domains"),
    optional("description", WORD, "for people"),
    optional(
        "beta",
        SHARE,
        "share of a member's unavailability that the domain causes; if given, the journey's availability under common cause is computed exactly",
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
