//! `DerivationReport`: written by `emac compile`, read by nobody here.
//!
//! Its mappings are open, so that whoever reads reports is not broken by one that says more; that this table has every field of the reports
//! written is tested with those of the examples.

use emac_document::shape::{Field, Form, Mapping, Scalar, Shape, optional, required};
use emac_document::types::PERCENT;
use emac_journey::COMPONENT_PATTERN;

/// Any key.
const ANY_NAME: &str = "";
const WORDS: Shape = Shape::List(&WORD);

pub(super) static ROOT: Mapping = Mapping::open(&[
    required("metadata", Shape::Mapping(&METADATA), "identity of the journey"),
    required("spec", Shape::Mapping(&SPEC), "the derivation"),
]);

static METADATA: Mapping = Mapping::open(&[required("name", WORD, "name of the journey")]);

static SPEC: Mapping = Mapping::open(&[
    optional("preview", WORD, "present when the model is a candidate"),
    required("intent", Shape::Mapping(&INTENT), "the intent it was compiled from"),
    required("model", Shape::Mapping(&MODEL), "the model it was compiled from"),
    required("expression", WORD, "the structure in its canonical text"),
    required(
        "leaves",
        Shape::Map(COMPONENT_PATTERN, &Shape::Mapping(&LEAF)),
        "input values of each component",
    ),
    required("objectives", Shape::Mapping(&OBJECTIVES), "objectives"),
    optional("results", Shape::Mapping(&RESULTS), "bounds of the journey; absent when it is UNASSESSABLE"),
    optional(
        "derivation",
        Shape::List(&Shape::Mapping(&NODE)),
        "the bounds of every operator, outermost first",
    ),
    optional("budget", Shape::Mapping(&BUDGET), "the error budget"),
    optional("contributors", Shape::List(&Shape::Mapping(&CONTRIBUTOR)), "causes of unavailability"),
    required("confidence", Shape::Mapping(&CONFIDENCE), "confidence of the model"),
    required("decision", Shape::Mapping(&DECISION), "decision"),
    optional("guards", Shape::List(&Shape::Mapping(&GUARD)), "the guard of every action, evaluated"),
]);

const DIGEST: Field = required("digest", SHA256, "SHA-256 of its canonical JSON");

static INTENT: Mapping = Mapping::open(&[DIGEST]);
static MODEL: Mapping = Mapping::open(&[required("source", SOURCE, "who accepted it"), DIGEST]);

static LEAF: Mapping = Mapping::open(&[
    optional("availability", VALUE, "a number or an interval; absent when unknown"),
    required("source", TEXT, "source of the value"),
    optional("promises", WORDS, "what each objective of its SLOs was taken as"),
    required("failureDomains", WORDS, "failure domains"),
    required("domainStatus", STATUS, "status of the failure domains"),
]);

static OBJECTIVES: Mapping = Mapping::open(&[
    required("availability", Shape::Mapping(&TARGET), "availability: the share of requests that succeed"),
    optional("latency", Shape::Mapping(&QUANTILE), "latency quantile"),
]);

static TARGET: Mapping =
    Mapping::open(&[required("target", SHARE, "target share"), required("window", WORD, "time window")]);

static QUANTILE: Mapping = Mapping::open(&[
    required("metric", WORD, "quantile"),
    required("threshold", WORD, "upper limit of the quantile"),
]);

static RESULTS: Mapping = Mapping::open(&[
    required(
        "availability",
        Shape::Mapping(&AVAILABILITY),
        "availability: the share of requests that succeed",
    ),
    optional(
        "latency",
        Shape::Mapping(&LATENCY),
        "latency at the objective; absent when it is unknown for some component",
    ),
]);

static AVAILABILITY: Mapping = Mapping::open(&[
    required("A_plus", SHARE, "A+: availability if components fail independently"),
    required("A_minus", SHARE, "A-: lower end if components that share a failure domain may fail together"),
    required("width", SHARE, "A+ minus A-"),
    required("independent", INTERVAL, "if components fail independently"),
    required("domain_envelope", INTERVAL, "if components that share a failure domain may fail together"),
    required("any_dependence", INTERVAL, "under any dependence"),
    optional("common_cause", COMMON_CAUSE, "exact value with the stated betas, or why there is none"),
    optional(
        "break_even_beta",
        Shape::Map(ANY_NAME, &BETA),
        "by domain: the beta from which the objective is missed",
    ),
    optional("loose", WORDS, "which bounds hold and may be wider than they need be, and why"),
    optional("eventual", Shape::Mapping(&EVENTUAL), "eventual outcome: with asynchronous parts"),
]);

const COMMON_CAUSE: Shape = Shape::Either(&[INTERVAL, Shape::Mapping(&NOT_COMPUTED)]);
static NOT_COMPUTED: Mapping = Mapping::open(&[required("notComputed", WORD, "reason")]);

static EVENTUAL: Mapping = Mapping::open(&[
    required("independent", INTERVAL, "if components fail independently"),
    required("domain_envelope", INTERVAL, "if components that share a failure domain may fail together"),
]);

static LATENCY: Mapping = Mapping::open(&[
    required(
        "any_dependence",
        AT_OBJECTIVE,
        "`withinThreshold`: share answered within the threshold; `p99`: the quantile in seconds",
    ),
    required("independent", AT_OBJECTIVE, "the same if latencies are independent"),
    required("comonotone", AT_OBJECTIVE, "the same if all calls are slow together"),
]);

const AT_OBJECTIVE: Shape = Shape::Map(r"^(withinThreshold|p[0-9]+(\.[0-9]+)?)$", &Shape::Mapping(&ENDS));

static ENDS: Mapping = Mapping::open(&[required("lo", END, "at least"), required("hi", END, "at most")]);

static NODE: Mapping = Mapping::open(&[
    required("path", Shape::List(&PLACE), "operand indices from the root"),
    required("expression", WORD, "the operator in its canonical text"),
    required("independent", INTERVAL, "if components fail independently"),
    required("domain_envelope", INTERVAL, "if components that share a failure domain may fail together"),
    required("any_dependence", INTERVAL, "under any dependence"),
]);

static BUDGET: Mapping = Mapping::open(&[
    required("total", SHARE, "total error budget"),
    required("spent", Shape::Mapping(&SPENT), "spent according to the bounds, as a share of the total"),
    optional("measured", Shape::Mapping(&MEASURED), "spent according to evidence, as a share of the total"),
    required(
        "unavailability",
        SPLIT,
        "unavailability allowed per component so that A- meets the objective; rounded down",
    ),
    optional(
        "smallestRestoringChange",
        Shape::Mapping(&CHANGE),
        "smallest improvement of one component that restores the objective",
    ),
]);

static SPENT: Mapping =
    Mapping::open(&[required("A_plus", NUMBER, "at A+"), required("A_minus", NUMBER, "at A-")]);

static MEASURED: Mapping = Mapping::open(&[
    required("spent", NUMBER, "spent share; above 1 when the budget is exhausted"),
    required("left", NUMBER, "remaining share; below 0 when the budget is exhausted"),
]);

const SPLIT: Shape = Shape::Either(&[WORD, Shape::Map(COMPONENT_PATTERN, &SHARE)]);

static CHANGE: Mapping = Mapping::open(&[
    required("component", WORD, "component"),
    required("from", SHARE, "its availability now"),
    required("to", SHARE, "availability required"),
]);

static CONTRIBUTOR: Mapping = Mapping::open(&[
    required(
        "kind",
        CONTRIBUTION,
        "shared fate at a redundant operator, the shortfall of A-, or a component",
    ),
    required("of", WORD, "operator, journey or component"),
    required("value", SHARE, "availability lost"),
    optional("birnbaum", SHARE, "Birnbaum importance of the component, on A-"),
    optional(
        "importance",
        Shape::Mapping(&IMPORTANCE),
        "importance as fault-tree tools print it, if components fail independently; of the 20 components that gain most",
    ),
]);

static IMPORTANCE: Mapping = Mapping::open(&[
    required("birnbaum", SHARE, "`Q(1) - Q(0)`: how much hangs on the component"),
    optional(
        "criticality",
        SHARE,
        "`q (Q(1) - Q(0)) / Q`: share of failures that would not be without its own",
    ),
    optional("fussellVesely", SHARE, "`q Q(1) / Q`: share of failures during which it is down"),
    optional("riskAchievementWorth", NUMBER, "`Q(1) / Q`: times as many failures while it is down"),
    optional(
        "riskReductionWorth",
        NUMBER,
        "`Q / Q(0)`: times as few if it never failed; absent when there were none then",
    ),
]);

static CONFIDENCE: Mapping = Mapping::open(&[
    optional("overall", SHARE, "overall confidence"),
    required("autoAccept", SHARE, "required confidence"),
    required("fields", Shape::Map(ANY_NAME, &SHARE), "confidence by part"),
    required("flags", WORDS, "flags of incomplete or conflicting evidence"),
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

/// Constants for scalars: how people call it, its forms, an example.
macro_rules! scalars {
    ($($(#[$doc:meta])* $name:ident = $label:expr, $forms:expr, $example:expr;)*) => {
        $($(#[$doc])* const $name: Shape =
            Shape::Scalar(&Scalar { label: $label, forms: &$forms, example: $example });)*
    };
}

scalars! {
    /// Not blank.
    WORD = "text", [Form::Text(r"\S")], "word";
    /// Possibly empty.
    TEXT = "text", [Form::Text("")], "text";
    FLAG = "boolean", [Form::Boolean], "true";
    SHARE = "share", [Form::Within(0.0, 1.0), PERCENT], "0.995";
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
