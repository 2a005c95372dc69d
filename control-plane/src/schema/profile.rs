//! `SimulationProfile`.

use super::scalar::{ANY_NAME, SHARE, WORD, WORDS, scalars};
use super::shape::{Form, Mapping, Rule, Shape, default, optional, required};

pub(super) static ROOT: Mapping = Mapping::of(&[
    optional("metadata", Shape::Mapping(&METADATA), "for people"),
    required("spec", Shape::Mapping(&SPEC), "the numbers"),
]);

static METADATA: Mapping = Mapping::open(&[optional("name", WORD, "for people")]);

static SPEC: Mapping = Mapping::of(&[
    optional("defaults", Shape::Mapping(&DEFAULTS), "what holds where nothing is said"),
    optional("nodes", Shape::Map(ANY_NAME, &Shape::Mapping(&NODE)), "by name; added to the model's"),
    optional("edges", Shape::List(&Shape::Mapping(&EDGE)), "calls; added to the model's"),
    optional("domains", Shape::List(&Shape::Mapping(&DOMAIN)), "what takes its members with it"),
    optional(
        "endpoints",
        Shape::List(&Shape::Mapping(&ENDPOINT)),
        "what is asked; without any the model's expression, both outcomes",
    ),
    optional("failStop", Shape::Mapping(&FAIL_STOP), "containers stopped, drawn without replacement"),
]);

static DEFAULTS: Mapping = Mapping::of(&[
    optional("replicas", REPLICAS, "of a node; without it 1"),
    optional("nodeAvailability", SHARE, "of a replica; without it 1"),
    optional("edgeAvailability", SHARE, "of a call; without it 1"),
]);

static NODE: Mapping = Mapping::of(&[
    optional("replicas", REPLICAS, "a node lives while one replica does"),
    optional("availability", SHARE, "of a replica"),
]);

static EDGE: Mapping = Mapping::of(&[
    required("from", WORD, "who calls"),
    required("to", WORD, "who is called"),
    optional("availability", SHARE, "of the call itself"),
    optional("callType", CALL, "`async` is not waited for; without it what the model says, else `sync`"),
]);

static DOMAIN: Mapping = Mapping::of(&[
    required("name", WORD, "its name"),
    required("members", WORDS, "nodes"),
    required("beta", SHARE, "share of a member's unavailability that the domain causes"),
]);

static ENDPOINT: Mapping = Mapping::of(&[
    required("name", WORD, "its name"),
    optional(
        "entry",
        WORD,
        "the node where requests enter; with `targets`. Without both the model's expression is asked",
    ),
    optional("targets", WORDS, "the nodes that must be reached"),
    default("predicate", PREDICATE, "all", "how many of them"),
    default("weight", SHARE, "1", "part in the weighted sum"),
    default(
        "semantics",
        SEMANTICS,
        "immediate",
        "immediate: asynchronous calls are not waited for; eventual: they count",
    ),
])
.with(&[
    Rule::Needs("entry", "targets"),
    Rule::Needs("targets", "entry"),
    Rule::Needs("predicate", "entry"),
]);

const PREDICATE: Shape = Shape::Either(&[HOW_MANY, Shape::Mapping(&AT_LEAST)]);

static AT_LEAST: Mapping = Mapping::of(&[required("atLeast", TARGETS, "so many")]);

static FAIL_STOP: Mapping = Mapping::of(&[required(
    "fractions",
    Shape::List(&SHARE),
    "shares of all containers, each a point of the sweep",
)]);

scalars! {
    REPLICAS = "count", [Form::Integer(1, 10_000)], "3";
    CALL = "word", [Form::Words(&["sync", "async"])], "sync";
    HOW_MANY = "word", [Form::Words(&["all", "any"])], "all";
    TARGETS = "count", [Form::Integer(1, 100_000)], "2";
    SEMANTICS = "word", [Form::Words(&["immediate", "eventual"])], "immediate";
}
