//! `spec.operator`: one mapping a type. `docs/reference.md` gives formula and example of each.

use super::scalar::{MILLIS, SHARE, SHARE_ABOVE_0, WORD, scalars};
use emac_document::shape::{Field, Form, Mapping, Named, Rule, Shape, default, optional, required};

/// `spec.operator`.
pub(super) static OPERATOR: Named = Named { name: "operator", shape: operator };

/// Text, a component, or one of the types.
fn operator() -> Shape {
    const ALL: &[Shape] = &[
        EXPRESSION,
        Shape::Mapping(&REFERENCE),
        Shape::Mapping(&SERIES),
        Shape::Mapping(&PARALLEL),
        Shape::Mapping(&RACE),
        Shape::Mapping(&FALLBACK),
        Shape::Mapping(&BRANCH),
        Shape::Mapping(&RETRY),
        Shape::Mapping(&TIMEOUT),
        Shape::Mapping(&REPEAT),
        Shape::Mapping(&ASYNC),
    ];
    Shape::Either(ALL)
}

const ANY: Shape = Shape::Named(&OPERATOR);
const SEVERAL: Shape = Shape::List(&ANY);

const ID: Field = optional("id", WORD, "name used in reports");
const DESCRIPTION: Field = optional("description", WORD, "free text");
const REF: Field = optional("ref", WORD, "a component, instead of `operator`");
const BODY: Field = optional("operator", ANY, "an operator, instead of `ref`");
const OPERAND: [Rule; 1] = [Rule::OneOf("ref", "operator")];

static REFERENCE: Mapping =
    Mapping::of(&[required("ref", WORD, "name of the component under `components`"), ID, DESCRIPTION]);

static SERIES: Mapping = Mapping::of(&[
    required("type", TYPE_SERIES, "operands one after the other; all must succeed"),
    required("steps", SEVERAL, "the operands, in order"),
    ID,
    DESCRIPTION,
]);

static PARALLEL: Mapping = Mapping::of(&[
    required("type", TYPE_PARALLEL, "operands at the same time"),
    default("join", JOIN, "all", "how many branches must succeed"),
    required("branches", SEVERAL, "the operands"),
    ID,
    DESCRIPTION,
]);

const JOIN: Shape = Shape::Either(&[ALL, Shape::Mapping(&AT_LEAST)]);

static AT_LEAST: Mapping = Mapping::of(&[required(
    "atLeast",
    COUNT,
    "this many branches must succeed; at most the number of branches",
)]);

static RACE: Mapping = Mapping::of(&[
    required("type", TYPE_RACE, "operands at the same time; the first success wins"),
    default("semantics", HEDGED, "hedged", "the only value"),
    optional("delay", MILLIS, "delay before the later branches start (hedging)"),
    required("branches", SEVERAL, "the operands"),
    ID,
    DESCRIPTION,
]);

static FALLBACK: Mapping = Mapping::of(&[
    required("type", TYPE_FALLBACK, "the alternates in order, after the primary failed"),
    required("primary", ANY, "the first operand"),
    required("alternates", Shape::List(&Shape::Mapping(&ALTERNATE)), "the alternates, in order"),
    ID,
    DESCRIPTION,
]);

static ALTERNATE: Mapping = Mapping::of(&[
    default(
        "weight",
        SHARE_ABOVE_0,
        "1",
        "worth of its answer relative to the primary's; below 1 the answer is degraded and has a budget",
    ),
    REF,
    BODY,
])
.with(&OPERAND);

static BRANCH: Mapping = Mapping::of(&[
    required("type", TYPE_BRANCH, "exactly one operand, with its probability"),
    required(
        "choices",
        Shape::List(&Shape::Mapping(&CHOICE)),
        "the operands; their probabilities add up to 1",
    ),
    ID,
    DESCRIPTION,
]);

static CHOICE: Mapping = Mapping::of(&[
    required("probability", PROBABILITY, "a probability, or an interval `[low, high]`"),
    REF,
    BODY,
    DESCRIPTION,
])
.with(&OPERAND);

const PROBABILITY: Shape = Shape::Either(&[SHARE, Shape::List(&SHARE)]);

static RETRY: Mapping = Mapping::of(&[
    required("type", TYPE_RETRY, "the operand again after a failure"),
    required("attempts", ATTEMPTS, "total tries, including the first"),
    optional("perTryTimeout", MILLIS, "timeout of one try"),
    REF,
    BODY,
    ID,
    DESCRIPTION,
])
.with(&OPERAND);

static TIMEOUT: Mapping = Mapping::of(&[
    required("type", TYPE_TIMEOUT, "the operand with a time limit; a later answer is a failure"),
    required("after", MILLIS, "the time limit"),
    REF,
    BODY,
    ID,
    DESCRIPTION,
])
.with(&OPERAND);

static REPEAT: Mapping = Mapping::of(&[
    required("type", TYPE_REPEAT, "the operand several times in sequence; all must succeed"),
    required("count", TIMES, "number of times"),
    REF,
    BODY,
    ID,
    DESCRIPTION,
])
.with(&OPERAND);

static ASYNC: Mapping = Mapping::of(&[
    required("type", TYPE_ASYNC, "not awaited: it cannot fail the answer, only the eventual outcome"),
    REF,
    BODY,
    ID,
    DESCRIPTION,
])
.with(&OPERAND);

scalars! {
    EXPRESSION = "expression", [Form::Text(r"\S")], "'Series(front, Parallel(cart, pricing))'";
    TYPE_SERIES = "`series`", [Form::Words(&["series"])], "series";
    TYPE_PARALLEL = "`parallel`", [Form::Words(&["parallel"])], "parallel";
    TYPE_RACE = "`race`", [Form::Words(&["race"])], "race";
    TYPE_FALLBACK = "`fallback`", [Form::Words(&["fallback"])], "fallback";
    TYPE_BRANCH = "`branch`", [Form::Words(&["branch"])], "branch";
    TYPE_RETRY = "`retry`", [Form::Words(&["retry"])], "retry";
    TYPE_TIMEOUT = "`timeout`", [Form::Words(&["timeout"])], "timeout";
    TYPE_REPEAT = "`repeat`", [Form::Words(&["repeat"])], "repeat";
    TYPE_ASYNC = "`async`", [Form::Words(&["async"])], "async";
    ALL = "word", [Form::Words(&["all"])], "all";
    HEDGED = "word", [Form::Words(&["hedged"])], "hedged";
    COUNT = "count", [Form::Integer(1, 4_294_967_295)], "2";
    TIMES = "count", [Form::Integer(1, 1_000)], "2";
    ATTEMPTS = "count", [Form::Integer(1, 16)], "3";
}
