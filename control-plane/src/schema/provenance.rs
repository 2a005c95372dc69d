//! Why a model says what it says, and who agreed to it: `spec.fields`, `disagreements`, `evidence`, `runtime`, `acceptance` and `lineage`.

use super::scalar::{COMPONENT, SHARE, TEXT, WORD, scalars};
use emac_document::shape::{Field, Form, Mapping, Rule, Shape, optional, required};

const FROM: Field = required("from", TEXT, "caller");
const TO: Field = required("to", TEXT, "callee");

pub(super) static RUNTIME: Mapping = Mapping::open(&[
    required("from", WORD, "caller"),
    required("to", WORD, "callee"),
    optional("timeoutMs", MILLISECONDS, "timeout of the whole call"),
    optional("perTryTimeoutMs", MILLISECONDS, "timeout of one try"),
    optional("attempts", COUNT, "largest number of tries"),
    optional("retryOn", TEXT, "retry conditions"),
    optional("maxConnections", COUNT, "of the circuit breaker"),
    optional("maxPending", COUNT, "of the circuit breaker"),
    optional("consecutiveErrors", COUNT, "consecutive errors after which an endpoint is ejected"),
    optional("mirror", Shape::Mapping(&MIRROR), "mirror of the requests"),
]);

static MIRROR: Mapping = Mapping::of(&[
    required("to", TEXT, "receiver of the copies"),
    required("share", SHARE, "share of requests that are copied"),
]);

/// About a call, about what combines calls, or about a component.
pub(super) const FINDING: Shape = Shape::Either(&[
    Shape::Mapping(&FINDING_OF_CALL),
    Shape::Mapping(&FINDING_OF_OPERATOR),
    Shape::Mapping(&FINDING_OF_DOMAINS),
]);

const ABOUT_CALL: Field = required("about", CALL, "a call or its configuration");
const ABOUT_OPERATOR: Field = required("about", PART, "an operator or a probability");
const ABOUT_DOMAINS: Field = required("about", DOMAINS, "failure domains of a component");
const OF_OPERATOR: Field = required("of", TEXT, "expression in canonical text");
const OF_COMPONENT: Field = required("of", COMPONENT, "component");
const STATUS_OF_IT: Field = required("status", STATUS, "how sure it is");
const HOW_SURE: Field = required("confidence", SHARE, "posterior probability that the part is right");
const SAMPLES: Field = optional("samples", SAMPLE_COUNT, "number of observations");
const SOURCES: Shape = Shape::Mapping(&PROVENANCE);
const WHY: Field = required("provenance", Shape::List(&SOURCES), "sources; not empty");

static FINDING_OF_CALL: Mapping =
    Mapping::open(&[ABOUT_CALL, FROM, TO, STATUS_OF_IT, HOW_SURE, SAMPLES, WHY]);
static FINDING_OF_OPERATOR: Mapping =
    Mapping::open(&[ABOUT_OPERATOR, OF_OPERATOR, STATUS_OF_IT, HOW_SURE, SAMPLES, WHY]);
static FINDING_OF_DOMAINS: Mapping =
    Mapping::open(&[ABOUT_DOMAINS, OF_COMPONENT, STATUS_OF_IT, HOW_SURE, SAMPLES, WHY]);

static PROVENANCE: Mapping = Mapping::open(&[
    required("source", SOURCE, "kind of evidence"),
    required("says", TEXT, "statement of the source"),
    optional("traces", Shape::List(&TEXT), "ids of some of the traces"),
    optional("file", TEXT, "file"),
    optional("field", TEXT, "field in the file"),
]);

pub(super) const DISAGREEMENT: Shape = Shape::Either(&[
    Shape::Mapping(&DISAGREEMENT_OF_CALL),
    Shape::Mapping(&DISAGREEMENT_OF_OPERATOR),
    Shape::Mapping(&DISAGREEMENT_OF_DOMAINS),
]);

const DECLARED: Field = required("declared", TEXT, "value declared by the intent");
const OBSERVED: Field = required("observed", TEXT, "value shown by evidence");

static DISAGREEMENT_OF_CALL: Mapping = Mapping::open(&[ABOUT_CALL, FROM, TO, DECLARED, OBSERVED]);
static DISAGREEMENT_OF_OPERATOR: Mapping = Mapping::open(&[ABOUT_OPERATOR, OF_OPERATOR, DECLARED, OBSERVED]);
static DISAGREEMENT_OF_DOMAINS: Mapping = Mapping::open(&[ABOUT_DOMAINS, OF_COMPONENT, DECLARED, OBSERVED]);

pub(super) static EVIDENCE: Mapping = Mapping::open(&[
    required("name", TEXT, "name of the file or source"),
    required("source", SOURCE, "kind of evidence"),
    required("digest", TEXT, "SHA-256 of the input"),
]);

// What the paper's files write beside an edge or a component.
pub(super) const CONFIDENCE_OF_IT: Field = optional("confidence", SHARE, "how sure it is");
pub(super) const OBSERVATIONS: Field =
    optional("observations", Shape::List(&OBSERVATION), "provenance in the format of the paper's files");
pub(super) const PROVENANCE_OF_IT: Field =
    optional("provenance", Shape::List(&OBSERVATION), "provenance in the format of the paper's files");

const OBSERVATION: Shape = Shape::Either(&[Shape::Mapping(&SPAN), Shape::Mapping(&READ)]);

static SPAN: Mapping =
    Mapping::open(&[required("trace_id", WORD, "trace id"), optional("span_id", WORD, "span id")]);

static READ: Mapping = Mapping::open(&[
    required("value", WORD, "value"),
    optional("signal", WORD, "kind of evidence"),
    optional("file", WORD, "file"),
    optional("field", WORD, "field in the file"),
]);

const BY: Field = required("by", WORD, "who accepted: a person, or `policy`");
const AT: Field = required("at", WORD, "time in RFC 3339");
const PARENT: Field = optional("parent", WORD, "version of the previous model");
const CANDIDATE: Field = required("candidate", WORD, "version of the candidate");
const INTENT: Field = optional("intent", WORD, "digest of the intent used for the comparison");
const CHANGE: Shape = Shape::Mapping(&DELTA);
const DELTAS: Field = optional("deltas", Shape::List(&CHANGE), "accepted deltas");

pub(super) static ACCEPTANCE: Mapping = Mapping::open(&[BY, AT, PARENT, CANDIDATE, INTENT, DELTAS]);

pub(super) static ANCESTOR: Mapping = Mapping::open(&[
    required("version", WORD, "version"),
    optional("by", WORD, "who accepted it; absent for a file written by hand"),
    optional("at", WORD, "time in RFC 3339"),
    PARENT,
    optional("candidate", WORD, "version of the candidate"),
    INTENT,
    DELTAS,
])
.with(&[Rule::Needs("by", "at"), Rule::Needs("by", "candidate")]);

static DELTA: Mapping =
    Mapping::of(&[required("id", WORD, "id of the delta"), required("change", TEXT, "the change in words")]);

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
