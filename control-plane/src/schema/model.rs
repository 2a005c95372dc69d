//! `DiscoveredJourneyModel` and `AcceptedJourneyModel`.
//!
//! Models carry much for people's eyes, so their mappings are open: here stands what is read, because it bears on a bound or a decision.

use super::operator::OPERATOR;
use super::scalar::{ANY_NAME, COMPONENTS, SHARE, WORD, WORDS, scalars};
use super::shape::{Form, Mapping, Shape, optional, required};

pub(super) static ROOT: Mapping = Mapping::open(&[
    required("metadata", Shape::Mapping(&METADATA), "who it is"),
    required("spec", Shape::Mapping(&SPEC), "what it says"),
]);

static METADATA: Mapping = Mapping::open(&[
    required("name", WORD, "the journey's name, unless a label says it"),
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
]);

static GRAPH: Mapping = Mapping::open(&[
    optional("expression", EXPRESSION, "the operators in their canonical text"),
    optional("root", Shape::Named(&OPERATOR), "the operators as a tree"),
]);

static TOPOLOGY: Mapping = Mapping::open(&[
    optional("edges", Shape::List(&Shape::Mapping(&EDGE)), "the calls"),
    optional("edgeDiagnostics", Shape::Mapping(&DIAGNOSTICS), "how much of what was expected was seen"),
]);

static EDGE: Mapping = Mapping::open(&[
    required("from", WORD, "who calls"),
    required("to", WORD, "who is called"),
    optional("callType", WORD, "`sync` or `async`"),
    optional("probability", SHARE, "how often a request of the journey makes the call"),
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

static DETAIL: Mapping = Mapping::open(&[required(
    "status",
    STATUS,
    "evidence agrees (consistent, identified), is missing (missing, unresolved) or disagrees (conflicting, contradictory)",
)]);

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
    EXPRESSION = "expression", [Form::Text(r"\S")], "'Series(front, Race(paya, payb))'";
    STATUS = "word", [Form::Words(&["consistent", "identified", "missing", "unresolved", "conflicting", "contradictory"])], "identified";
}
