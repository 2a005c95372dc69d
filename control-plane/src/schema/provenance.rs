//! Why a model says what it says, and who agreed to it: `spec.fields`, `disagreements`, `evidence`, `runtime`, `acceptance` and `lineage`.

use super::scalar::{COMPONENT, SHARE, TEXT, WORD, scalars};
use super::shape::{Field, Form, Mapping, Rule, Shape, optional, required};

const FROM: Field = required("from", TEXT, "who calls");
const TO: Field = required("to", TEXT, "who is called");

pub(super) static RUNTIME: Mapping = Mapping::open(&[
    required("from", WORD, "who calls"),
    required("to", WORD, "who is called"),
    optional("timeoutMs", MILLISECONDS, "of the whole call"),
    optional("perTryTimeoutMs", MILLISECONDS, "of one try"),
    optional("attempts", COUNT, "most tries"),
    optional("retryOn", TEXT, "when it is tried again"),
    optional("maxConnections", COUNT, "of the circuit breaker"),
    optional("maxPending", COUNT, "of the circuit breaker"),
    optional("consecutiveErrors", COUNT, "after which an endpoint is left out"),
    optional("mirror", Shape::Mapping(&MIRROR), "who gets a copy"),
]);

static MIRROR: Mapping =
    Mapping::of(&[required("to", TEXT, "the copy's receiver"), required("share", SHARE, "of requests")]);

/// About a call, about what combines calls, or about a component.
pub(super) const FINDING: Shape = Shape::Either(&[
    Shape::Mapping(&FINDING_OF_CALL),
    Shape::Mapping(&FINDING_OF_OPERATOR),
    Shape::Mapping(&FINDING_OF_DOMAINS),
]);

const ABOUT_CALL: Field = required("about", CALL, "a call, or how it is configured");
const ABOUT_OPERATOR: Field = required("about", PART, "how calls combine, or how often one is made");
const ABOUT_DOMAINS: Field = required("about", DOMAINS, "what a component fails together with");
const OF_OPERATOR: Field = required("of", TEXT, "which, in canonical text");
const OF_COMPONENT: Field = required("of", COMPONENT, "which");
const STATUS_OF_IT: Field = required("status", STATUS, "how sure it is");
const HOW_SURE: Field = required("confidence", SHARE, "posterior probability that it is so");
const SAMPLES: Field = optional("samples", SAMPLE_COUNT, "how many observations bear on it");
const SOURCES: Shape = Shape::Mapping(&PROVENANCE);
const WHY: Field = required("provenance", Shape::List(&SOURCES), "where it comes from; not empty");

static FINDING_OF_CALL: Mapping =
    Mapping::open(&[ABOUT_CALL, FROM, TO, STATUS_OF_IT, HOW_SURE, SAMPLES, WHY]);
static FINDING_OF_OPERATOR: Mapping =
    Mapping::open(&[ABOUT_OPERATOR, OF_OPERATOR, STATUS_OF_IT, HOW_SURE, SAMPLES, WHY]);
static FINDING_OF_DOMAINS: Mapping =
    Mapping::open(&[ABOUT_DOMAINS, OF_COMPONENT, STATUS_OF_IT, HOW_SURE, SAMPLES, WHY]);

static PROVENANCE: Mapping = Mapping::open(&[
    required("source", SOURCE, "what kind of evidence"),
    required("says", TEXT, "what it says"),
    optional("traces", Shape::List(&TEXT), "some of the traces that say so"),
    optional("file", TEXT, "where it is written"),
    optional("field", TEXT, "and in which field"),
]);

pub(super) const DISAGREEMENT: Shape = Shape::Either(&[
    Shape::Mapping(&DISAGREEMENT_OF_CALL),
    Shape::Mapping(&DISAGREEMENT_OF_OPERATOR),
    Shape::Mapping(&DISAGREEMENT_OF_DOMAINS),
]);

const DECLARED: Field = required("declared", TEXT, "what the intent says");
const OBSERVED: Field = required("observed", TEXT, "what evidence says");

static DISAGREEMENT_OF_CALL: Mapping = Mapping::open(&[ABOUT_CALL, FROM, TO, DECLARED, OBSERVED]);
static DISAGREEMENT_OF_OPERATOR: Mapping = Mapping::open(&[ABOUT_OPERATOR, OF_OPERATOR, DECLARED, OBSERVED]);
static DISAGREEMENT_OF_DOMAINS: Mapping = Mapping::open(&[ABOUT_DOMAINS, OF_COMPONENT, DECLARED, OBSERVED]);

pub(super) static EVIDENCE: Mapping = Mapping::open(&[
    required("name", TEXT, "of the file or the source"),
    required("source", SOURCE, "what kind of evidence"),
    required("digest", TEXT, "SHA-256 of what was read"),
]);

// What the paper's files write beside an edge or a component.
pub(super) const CONFIDENCE_OF_IT: Field = optional("confidence", SHARE, "how sure it is");
pub(super) const OBSERVATIONS: Field =
    optional("observations", Shape::List(&OBSERVATION), "why, as the paper's files say it");
pub(super) const PROVENANCE_OF_IT: Field =
    optional("provenance", Shape::List(&OBSERVATION), "why, as the paper's files say it");

const OBSERVATION: Shape = Shape::Either(&[Shape::Mapping(&SPAN), Shape::Mapping(&READ)]);

static SPAN: Mapping =
    Mapping::open(&[required("trace_id", WORD, "a trace"), optional("span_id", WORD, "and its span")]);

static READ: Mapping = Mapping::open(&[
    required("value", WORD, "what was read"),
    optional("signal", WORD, "what kind of evidence it is"),
    optional("file", WORD, "where it was read"),
    optional("field", WORD, "and in which field"),
]);

const BY: Field = required("by", WORD, "who agreed: a person, or `policy`");
const AT: Field = required("at", WORD, "when, as RFC 3339");
const PARENT: Field = optional("parent", WORD, "version of the model before");
const CANDIDATE: Field = required("candidate", WORD, "version of the candidate");
const INTENT: Field = optional("intent", WORD, "digest of the intent that both were compared with");
const CHANGE: Shape = Shape::Mapping(&DELTA);
const DELTAS: Field = optional("deltas", Shape::List(&CHANGE), "the changes agreed to");

pub(super) static ACCEPTANCE: Mapping = Mapping::open(&[BY, AT, PARENT, CANDIDATE, INTENT, DELTAS]);

pub(super) static ANCESTOR: Mapping = Mapping::open(&[
    required("version", WORD, "its version"),
    optional("by", WORD, "who agreed to it; without it nobody did here, as for a file written by hand"),
    optional("at", WORD, "when, as RFC 3339"),
    PARENT,
    optional("candidate", WORD, "version of the candidate"),
    INTENT,
    DELTAS,
])
.with(&[Rule::Needs("by", "at"), Rule::Needs("by", "candidate")]);

static DELTA: Mapping =
    Mapping::of(&[required("id", WORD, "its id"), required("change", TEXT, "what it was")]);

scalars! {
    MILLISECONDS = "milliseconds", [Form::Integer(0, i64::MAX as u64)], "400";
    COUNT = "count", [Form::Integer(0, 4_294_967_295)], "2";
    SAMPLE_COUNT = "count", [Form::Integer(0, i64::MAX as u64)], "1000";
    CALL = "word", [Form::Words(&["edge", "runtime"])], "edge";
    PART = "word", [Form::Words(&["operator", "probability"])], "operator";
    DOMAINS = "word", [Form::Words(&["domains"])], "domains";
    SOURCE = "word", [Form::Words(&["traces", "hop-records", "mesh", "kubernetes", "correlation", "intent", "accepted-model"])], "traces";
    /// Of findings and of domains.
    STATUS = "word", [Form::Words(&["consistent", "identified", "missing", "unresolved", "conflicting", "contradictory"])], "identified";
}
