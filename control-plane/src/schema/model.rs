//! `DiscoveredJourneyModel` and `AcceptedJourneyModel`.
//!
//! Models carry much for people's eyes, so their mappings are open: here stands what is read, because it bears on a bound or a decision.

use super::provenance::{
    ACCEPTANCE, ANCESTOR, CONFIDENCE_OF_IT, DISAGREEMENT, EVIDENCE, FINDING, OBSERVATIONS, PROVENANCE_OF_IT,
    RUNTIME, STATUS,
};
use super::scalar::{ANY_NAME, COMPONENTS, SHARE, TEXT, WORD, WORDS, scalars};
use emac_document::shape::{Form, Mapping, Shape, optional, required};
use emac_journey::intent::OPERATOR;

pub(super) static ROOT: Mapping = Mapping::open(&[
    required("metadata", Shape::Mapping(&METADATA), "identity of the model"),
    required("spec", Shape::Mapping(&SPEC), "specification"),
    optional(
        "seal",
        Shape::Map(ANY_NAME, &TEXT),
        "tags of every value, by which manual changes are detected; written by `emac`",
    ),
]);

static METADATA: Mapping = Mapping::open(&[
    required("name", WORD, "the journey's name, unless a label gives it"),
    optional(
        "version",
        DIGEST,
        "SHA-256 of everything else; a document with a version or a seal is refused after a change",
    ),
    optional("labels", Shape::Mapping(&LABELS_), "free text for people and tools, except `journey`"),
]);

static LABELS_: Mapping =
    Mapping::open(&[optional("journey", WORD, "the journey's name, if the document has another name")]);

static SPEC: Mapping = Mapping::open(&[
    optional("expression", EXPRESSION, "the operators in canonical text; default: those of the intent"),
    optional("operator", Shape::Named(&OPERATOR), "the operators as a tree; must agree with `expression`"),
    optional("operatorGraph", Shape::Mapping(&GRAPH), "the same in the format of the paper's replay"),
    optional("topology", Shape::Mapping(&TOPOLOGY), "services and calls"),
    optional("redundancy", Shape::List(&Shape::Mapping(&REDUNDANCY)), "redundant components"),
    optional("failureDomains", Shape::Mapping(&DOMAINS), "failure domains"),
    optional("confidence", Shape::Mapping(&CONFIDENCE), "confidence"),
    optional(
        "runtime",
        Shape::List(&Shape::Mapping(&RUNTIME)),
        "timeouts, retries and circuit breakers of calls, configured or observed",
    ),
    optional(
        "fields",
        Shape::List(&FINDING),
        "confidence and provenance of each part of the model; only identified parts may act",
    ),
    optional(
        "disagreements",
        Shape::List(&DISAGREEMENT),
        "differences between intent and evidence; a person decides",
    ),
    optional("evidence", Shape::List(&Shape::Mapping(&EVIDENCE)), "evidence used"),
    optional("base", WORD, "version of the accepted model that a candidate was compared with"),
    optional("acceptance", Shape::Mapping(&ACCEPTANCE), "who accepted which changes, and when"),
    optional("lineage", Shape::List(&Shape::Mapping(&ANCESTOR)), "earlier versions, oldest first"),
]);

static GRAPH: Mapping = Mapping::open(&[
    optional("expression", EXPRESSION, "the operators in canonical text"),
    optional("root", Shape::Named(&OPERATOR), "the operators as a tree"),
]);

static TOPOLOGY: Mapping = Mapping::open(&[
    optional("nodes", Shape::List(&Shape::Mapping(&NODE)), "services"),
    optional("edges", Shape::List(&Shape::Mapping(&EDGE)), "calls"),
    optional("edgeDiagnostics", Shape::Mapping(&DIAGNOSTICS), "coverage of the expected edges"),
]);

static NODE: Mapping = Mapping::open(&[required("id", WORD, "service name")]);

static EDGE: Mapping = Mapping::open(&[
    required("from", WORD, "caller"),
    required("to", WORD, "callee"),
    optional("callType", WORD, "`sync` or `async`"),
    optional("probability", SHARE, "probability that a request of the journey makes the call"),
    optional("attempts", ATTEMPTS, "largest number of tries of one call"),
    CONFIDENCE_OF_IT,
    OBSERVATIONS,
    PROVENANCE_OF_IT,
]);

static DIAGNOSTICS: Mapping =
    Mapping::open(&[optional("coverage", SHARE, "share of the expected edges that were observed")]);

static REDUNDANCY: Mapping = Mapping::open(&[
    required("pattern", WORD, "pattern, such as `race`"),
    required("group", COMPONENTS, "members"),
]);

static DOMAINS: Mapping = Mapping::open(&[
    optional("inferred", Shape::List(&Shape::Mapping(&GROUP)), "domains inferred from evidence"),
    optional("declared", Shape::List(&Shape::Mapping(&GROUP)), "domains declared by people"),
    optional("effective", Shape::Map(ANY_NAME, &WORDS), "domains in effect, by component"),
    optional(
        "details",
        Shape::Map(ANY_NAME, &Shape::Mapping(&DETAIL)),
        "status of the domains, by component",
    ),
]);

static GROUP: Mapping = Mapping::open(&[
    required("name", WORD, "name of the domain"),
    required("members", COMPONENTS, "components of the domain"),
]);

static DETAIL: Mapping = Mapping::open(&[
    required(
        "status",
        STATUS,
        "evidence agrees (consistent, identified), is missing (missing, unresolved) or disagrees (conflicting, contradictory)",
    ),
    CONFIDENCE_OF_IT,
    OBSERVATIONS,
    PROVENANCE_OF_IT,
]);

static CONFIDENCE: Mapping = Mapping::open(&[
    optional(
        "overall",
        SHARE,
        "overall confidence; below `governance.autoAcceptConfidence` the decision is REVIEW",
    ),
    optional("fields", Shape::Map(ANY_NAME, &SHARE), "confidence by part"),
    optional("evidenceFlags", WORDS, "flags of incomplete or conflicting evidence"),
]);

scalars! {
    DIGEST = "digest", [Form::Text("^[0-9a-f]{64}$")], "'0000000000000000000000000000000000000000000000000000000000000000'";
    ATTEMPTS = "count", [Form::Integer(1, 1_000)], "2";
    EXPRESSION = "expression", [Form::Text(r"\S")], "'Series(front, Race(paya, payb))'";
}
