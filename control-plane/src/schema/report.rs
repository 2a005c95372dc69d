//! `DerivationReport`: written by `emac compile`, read by nobody here.
//!
//! Its mappings are open, so that whoever reads reports is not broken by one that says more; that this table has every field of the reports
//! written is tested with those of the examples.

use super::scalar::{ANY_NAME, COMPONENT_PATTERN, FLAG, SHARE, TEXT, WORD, WORDS, scalars};
use super::shape::{Field, Form, Mapping, Shape, optional, required};

pub(super) static ROOT: Mapping = Mapping::open(&[
    required("metadata", Shape::Mapping(&METADATA), "which journey"),
    required("spec", Shape::Mapping(&SPEC), "the derivation"),
]);

static METADATA: Mapping = Mapping::open(&[required("name", WORD, "the journey")]);

static SPEC: Mapping = Mapping::open(&[
    optional("preview", WORD, "there when the model is a candidate"),
    required("intent", Shape::Mapping(&INTENT), "the intent it was made from"),
    required("model", Shape::Mapping(&MODEL), "the model it was made from"),
    required("expression", WORD, "the structure in its canonical text"),
    required(
        "leaves",
        Shape::Map(COMPONENT_PATTERN, &Shape::Mapping(&LEAF)),
        "what is known of each component",
    ),
    required("objectives", Shape::Mapping(&OBJECTIVES), "what is promised"),
    optional("results", Shape::Mapping(&RESULTS), "the journey's bounds; not there when it is UNASSESSABLE"),
    optional(
        "derivation",
        Shape::List(&Shape::Mapping(&NODE)),
        "the bounds of every operator, outermost first",
    ),
    optional("budget", Shape::Mapping(&BUDGET), "the error budget"),
    optional("contributors", Shape::List(&Shape::Mapping(&CONTRIBUTOR)), "what the journey loses, by cause"),
    required("confidence", Shape::Mapping(&CONFIDENCE), "how sure the model is"),
    required("decision", Shape::Mapping(&DECISION), "what follows"),
    optional("guards", Shape::List(&Shape::Mapping(&GUARD)), "the guard of every action, evaluated"),
]);

const DIGEST: Field = required("digest", SHA256, "SHA-256 of its canonical JSON");

static INTENT: Mapping = Mapping::open(&[DIGEST]);
static MODEL: Mapping = Mapping::open(&[required("source", SOURCE, "who agreed to it"), DIGEST]);

static LEAF: Mapping = Mapping::open(&[
    optional("availability", VALUE, "a number, or an interval; not there when nothing is known"),
    required("source", TEXT, "where it comes from"),
    required("failureDomains", WORDS, "what it fails together with"),
    required("domainStatus", STATUS, "how sure that is"),
]);

static OBJECTIVES: Mapping = Mapping::open(&[
    required("availability", Shape::Mapping(&TARGET), "the share of requests that succeed"),
    optional("latency", Shape::Mapping(&QUANTILE), "the quantile of latency"),
]);

static TARGET: Mapping =
    Mapping::open(&[required("target", SHARE, "the share"), required("window", WORD, "over this time")]);

static QUANTILE: Mapping = Mapping::open(&[
    required("metric", WORD, "which quantile"),
    required("threshold", WORD, "what it stays below"),
]);

static RESULTS: Mapping = Mapping::open(&[
    required("availability", Shape::Mapping(&AVAILABILITY), "the share of requests that succeed"),
    optional(
        "latency",
        Shape::Mapping(&LATENCY),
        "at the objective; not there when it is not known of every component",
    ),
]);

static AVAILABILITY: Mapping = Mapping::open(&[
    required("A_plus", SHARE, "if components fail independently, upper end"),
    required("A_minus", SHARE, "the domain envelope's lower end"),
    required("width", SHARE, "between the two"),
    required("independent", INTERVAL, "if components fail independently"),
    required("domain_envelope", INTERVAL, "if those that share a domain may fail together"),
    required("any_dependence", INTERVAL, "whatever the dependence"),
    optional("common_cause", COMMON_CAUSE, "with the stated betas, or why there is none"),
    optional(
        "break_even_beta",
        Shape::Map(ANY_NAME, &BETA),
        "by domain: from this beta on it breaks the objective",
    ),
    optional("eventual", Shape::Mapping(&EVENTUAL), "once asynchronous parts are done"),
]);

const COMMON_CAUSE: Shape = Shape::Either(&[INTERVAL, Shape::Mapping(&NOT_COMPUTED)]);
static NOT_COMPUTED: Mapping = Mapping::open(&[required("notComputed", WORD, "why")]);

static EVENTUAL: Mapping = Mapping::open(&[
    required("independent", INTERVAL, "if components fail independently"),
    required("domain_envelope", INTERVAL, "if those that share a domain may fail together"),
]);

static LATENCY: Mapping = Mapping::open(&[
    required(
        "any_dependence",
        AT_OBJECTIVE,
        "`withinThreshold`: share answered in time; `p99`: the quantile in seconds",
    ),
    required("independent", AT_OBJECTIVE, "the same when calls are independent"),
    required("comonotone", AT_OBJECTIVE, "the same when all are slow together"),
]);

const AT_OBJECTIVE: Shape = Shape::Map(r"^(withinThreshold|p[0-9]+(\.[0-9]+)?)$", &Shape::Mapping(&ENDS));

static ENDS: Mapping = Mapping::open(&[required("lo", END, "at least"), required("hi", END, "at most")]);

static NODE: Mapping = Mapping::open(&[
    required("path", Shape::List(&PLACE), "which operand, from the root"),
    required("expression", WORD, "the operator in its canonical text"),
    required("independent", INTERVAL, "if components fail independently"),
    required("domain_envelope", INTERVAL, "if those that share a domain may fail together"),
    required("any_dependence", INTERVAL, "whatever the dependence"),
]);

static BUDGET: Mapping = Mapping::open(&[
    required("total", SHARE, "what may fail"),
    required("spent", Shape::Mapping(&SPENT), "by the bounds, as shares of the total"),
    optional("measured", Shape::Mapping(&MEASURED), "by evidence, as shares of the total"),
    required("unavailability", SPLIT, "what each component may fail so that A- meets the objective"),
    optional("smallestRestoringChange", Shape::Mapping(&CHANGE), "the least that one component must improve"),
]);

static SPENT: Mapping =
    Mapping::open(&[required("A_plus", NUMBER, "at A+"), required("A_minus", NUMBER, "at A-")]);

static MEASURED: Mapping = Mapping::open(&[
    required("spent", NUMBER, "above 1 when the budget is gone"),
    required("left", NUMBER, "below 0 when the budget is gone"),
]);

const SPLIT: Shape = Shape::Either(&[WORD, Shape::Map(COMPONENT_PATTERN, &SHARE)]);

static CHANGE: Mapping = Mapping::open(&[
    required("component", WORD, "which"),
    required("from", SHARE, "its availability"),
    required("to", SHARE, "and what it must become"),
]);

static CONTRIBUTOR: Mapping = Mapping::open(&[
    required(
        "kind",
        CONTRIBUTION,
        "shared fate at a redundant operator, the shortfall of A-, or a component",
    ),
    required("of", WORD, "which operator, journey or component"),
    required("value", SHARE, "what it costs"),
    optional("birnbaum", SHARE, "importance of a component"),
]);

static CONFIDENCE: Mapping = Mapping::open(&[
    optional("overall", SHARE, "of the model as a whole"),
    required("autoAccept", SHARE, "what is asked for"),
    required("fields", Shape::Map(ANY_NAME, &SHARE), "of its parts"),
    required("flags", WORDS, "what is incomplete or in conflict"),
]);

static DECISION: Mapping = Mapping::open(&[
    required("verdict", VERDICT, "the decision"),
    required("mode", MODE, "how bounds become one"),
    required("reasons", WORDS, "the most important first"),
    required("notes", WORDS, "what to know besides"),
]);

static GUARD: Mapping = Mapping::open(&[
    required("action", WORD, "`kind` of the action"),
    required("guard", WORD, "the expression"),
    required("answer", ANSWER, "unknown allows nothing"),
    required("inputs", Shape::Map(ANY_NAME, &INPUT), "what it was evaluated with"),
    optional("why", WORD, "what is not known"),
]);

const INTERVAL: Shape = Shape::Mapping(&BOUNDS);
static BOUNDS: Mapping =
    Mapping::open(&[required("lo", SHARE, "lower end"), required("hi", SHARE, "upper end")]);

const VALUE: Shape = Shape::Either(&[SHARE, INTERVAL]);
const INPUT: Shape = Shape::Either(&[NUMBER, FLAG, TEXT, NOTHING]);

scalars! {
    SHA256 = "digest", [Form::Text("^[0-9a-f]{64}$")], "''";
    SOURCE = "word", [Form::Words(&["declared", "candidate", "accepted"])], "declared";
    STATUS = "word", [Form::Words(&["identified", "unresolved", "contradictory"])], "identified";
    BETA = "share, or text when it never does", [Form::Within(0.0, 1.0), Form::Text(r"\S")], "0.5";
    END = "number, or text when there is none", [Form::Number, Form::Text(r"\S")], "0.99";
    PLACE = "count", [Form::Integer(0, 10_000)], "0";
    NUMBER = "number", [Form::Number], "0.5";
    NOTHING = "null", [Form::Null], "null";
    CONTRIBUTION = "word", [Form::Words(&["shared_fate_loss", "shortfall", "component"])], "component";
    VERDICT = "word", [Form::Words(&["PASS", "FAIL", "REVIEW", "UNASSESSABLE"])], "PASS";
    MODE = "word", [Form::Words(&["conservative", "selective"])], "conservative";
    ANSWER = "word", [Form::Words(&["allowed", "denied", "unknown"])], "allowed";
}
