//! `DiscoveredJourneyModel` and `AcceptedJourneyModel`.
//!
//! Models carry much for people's eyes, so their mappings are open: here stands what is read, because it bears on a bound or a decision.

use super::operator::OPERATOR;
use super::provenance::{
    ACCEPTANCE, ANCESTOR, CONFIDENCE_OF_IT, DISAGREEMENT, EVIDENCE, FINDING, OBSERVATIONS, PROVENANCE_OF_IT,
    RUNTIME, STATUS,
};
use super::scalar::{ANY_NAME, COMPONENTS, SHARE, TEXT, WORD, WORDS, scalars};
use super::shape::{Form, Mapping, Shape, optional, required};

pub(super) static ROOT: Mapping = Mapping::open(&[
    required("metadata", Shape::Mapping(&METADATA), "who it is"),
    required("spec", Shape::Mapping(&SPEC), "what it says"),
    optional(
        "seal",
        Shape::Map(ANY_NAME, &TEXT),
        "tags of every value, from which a change by hand is told; `emac` writes it",
    ),
]);

static METADATA: Mapping = Mapping::open(&[
    required("name", WORD, "the journey's name, unless a label says it"),
    optional(
        "version",
        DIGEST,
        "SHA-256 of everything else; a document with a version or a seal is refused once it has been changed",
    ),
    optional("labels", Shape::Mapping(&LABELS_), "for people and their tools, one aside"),
]);

static LABELS_: Mapping =
    Mapping::open(&[optional("journey", WORD, "the journey's name, where the document has one of its own")]);

static SPEC: Mapping = Mapping::open(&[
    optional(
        "expression",
        EXPRESSION,
        "the operators in their canonical text; without any the intent's stand",
    ),
    optional(
        "operator",
        Shape::Named(&OPERATOR),
        "the operators as a tree; agrees with `expression` where both are given",
    ),
    optional("operatorGraph", Shape::Mapping(&GRAPH), "the same as the paper's replay writes it"),
    optional("topology", Shape::Mapping(&TOPOLOGY), "who calls whom"),
    optional("redundancy", Shape::List(&Shape::Mapping(&REDUNDANCY)), "who stands in for whom"),
    optional("failureDomains", Shape::Mapping(&DOMAINS), "who fails together"),
    optional("confidence", Shape::Mapping(&CONFIDENCE), "how sure all this is"),
    optional(
        "runtime",
        Shape::List(&Shape::Mapping(&RUNTIME)),
        "timeouts, retries and breakers of a call, as configured or seen",
    ),
    optional(
        "fields",
        Shape::List(&FINDING),
        "for each part of the model how sure it is, and why; only what is identified may act",
    ),
    optional(
        "disagreements",
        Shape::List(&DISAGREEMENT),
        "where intent and evidence differ: a person decides",
    ),
    optional("evidence", Shape::List(&Shape::Mapping(&EVIDENCE)), "what it was made from"),
    optional("base", WORD, "the accepted model a candidate was compared with, by version"),
    optional("acceptance", Shape::Mapping(&ACCEPTANCE), "who agreed to it, when, and to which changes"),
    optional("lineage", Shape::List(&Shape::Mapping(&ANCESTOR)), "the versions before, oldest first"),
]);

static GRAPH: Mapping = Mapping::open(&[
    optional("expression", EXPRESSION, "the operators in their canonical text"),
    optional("root", Shape::Named(&OPERATOR), "the operators as a tree"),
]);

static TOPOLOGY: Mapping = Mapping::open(&[
    optional("nodes", Shape::List(&Shape::Mapping(&NODE)), "who there is"),
    optional("edges", Shape::List(&Shape::Mapping(&EDGE)), "the calls"),
    optional("edgeDiagnostics", Shape::Mapping(&DIAGNOSTICS), "how much of what was expected was seen"),
]);

static NODE: Mapping = Mapping::open(&[required("id", WORD, "its name")]);

static EDGE: Mapping = Mapping::open(&[
    required("from", WORD, "who calls"),
    required("to", WORD, "who is called"),
    optional("callType", WORD, "`sync` or `async`"),
    optional("probability", SHARE, "how often a request of the journey makes the call"),
    optional("attempts", ATTEMPTS, "most tries of one call"),
    CONFIDENCE_OF_IT,
    OBSERVATIONS,
    PROVENANCE_OF_IT,
]);

static DIAGNOSTICS: Mapping =
    Mapping::open(&[optional("coverage", SHARE, "share of the expected edges that were seen")]);

static REDUNDANCY: Mapping = Mapping::open(&[
    required("pattern", WORD, "such as `race`"),
    required("group", COMPONENTS, "its members"),
]);

static DOMAINS: Mapping = Mapping::open(&[
    optional("inferred", Shape::List(&Shape::Mapping(&GROUP)), "domains read from evidence"),
    optional("declared", Shape::List(&Shape::Mapping(&GROUP)), "domains that people said"),
    optional("effective", Shape::Map(ANY_NAME, &WORDS), "domains in effect, by component"),
    optional("details", Shape::Map(ANY_NAME, &Shape::Mapping(&DETAIL)), "how sure each is, by component"),
]);

static GROUP: Mapping =
    Mapping::open(&[required("name", WORD, "the domain"), required("members", COMPONENTS, "its components")]);

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
        "of the model as a whole; below `governance.autoAcceptConfidence` a decision is REVIEW",
    ),
    optional("fields", Shape::Map(ANY_NAME, &SHARE), "of its parts"),
    optional("evidenceFlags", WORDS, "what is incomplete or in conflict"),
]);

scalars! {
    DIGEST = "digest", [Form::Text("^[0-9a-f]{64}$")], "'0000000000000000000000000000000000000000000000000000000000000000'";
    ATTEMPTS = "count", [Form::Integer(1, 1_000)], "2";
    EXPRESSION = "expression", [Form::Text(r"\S")], "'Series(front, Race(paya, payb))'";
}
