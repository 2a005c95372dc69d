//! `SimulationProfile`.

use super::scalar::{ANY_NAME, SHARE, WORD, WORDS, scalars};
use emac_document::shape::{Form, Mapping, Rule, Shape, default, optional, required};

pub(super) static ROOT: Mapping = Mapping::of(&[
    optional("metadata", Shape::Mapping(&METADATA), "free text"),
    required("spec", Shape::Mapping(&SPEC), "numbers of the simulation"),
]);

static METADATA: Mapping = Mapping::open(&[optional("name", WORD, "free text")]);

static SPEC: Mapping = Mapping::of(&[
    optional("defaults", Shape::Mapping(&DEFAULTS), "default values"),
    optional(
        "nodes",
        Shape::Map(ANY_NAME, &Shape::Mapping(&NODE)),
        "nodes by name; added to those of the model",
    ),
    optional("edges", Shape::List(&Shape::Mapping(&EDGE)), "calls; added to those of the model"),
    optional("domains", Shape::List(&Shape::Mapping(&DOMAIN)), "failure domains"),
    optional(
        "endpoints",
        Shape::List(&Shape::Mapping(&ENDPOINT)),
        "endpoints to estimate; default: the model's expression, immediate and eventual",
    ),
    optional(
        "failStop",
        Shape::Mapping(&FAIL_STOP),
        "fail-stop sweep: containers stopped, drawn without replacement",
    ),
]);

static DEFAULTS: Mapping = Mapping::of(&[
    optional("replicas", REPLICAS, "replicas of a node; default: 1"),
    optional("nodeAvailability", SHARE, "availability of a replica; default: 1"),
    optional("edgeAvailability", SHARE, "availability of a call; default: 1"),
]);

static NODE: Mapping = Mapping::of(&[
    optional("replicas", REPLICAS, "replicas; a node is up while one replica is"),
    optional("availability", SHARE, "availability of a replica"),
]);

static EDGE: Mapping = Mapping::of(&[
    required("from", WORD, "caller"),
    required("to", WORD, "callee"),
    optional("availability", SHARE, "availability of the call itself"),
    optional("callType", CALL, "`async` calls are not awaited; default: that of the model, else `sync`"),
]);

static DOMAIN: Mapping = Mapping::of(&[
    required("name", WORD, "name"),
    required("members", WORDS, "member nodes"),
    required(
        "beta",
        SHARE,
        "how often a failure domain fails, as a share of the unavailability of its most available member; when it fails, all its members fail",
    ),
]);

static ENDPOINT: Mapping = Mapping::of(&[
    required("name", WORD, "name"),
    optional(
        "entry",
        WORD,
        "node where requests enter; needs `targets`; without both the model's expression is evaluated",
    ),
    optional("targets", WORDS, "nodes that must be reached"),
    default("predicate", PREDICATE, "all", "how many targets must be reached"),
    default("weight", SHARE, "1", "weight in the weighted sum"),
    default(
        "semantics",
        SEMANTICS,
        "immediate",
        "immediate: without asynchronous calls; eventual: with them",
    ),
])
.with(&[
    Rule::Needs("entry", "targets"),
    Rule::Needs("targets", "entry"),
    Rule::Needs("predicate", "entry"),
]);

const PREDICATE: Shape = Shape::Either(&[HOW_MANY, Shape::Mapping(&AT_LEAST)]);

static AT_LEAST: Mapping = Mapping::of(&[required("atLeast", TARGETS, "number of targets")]);

static FAIL_STOP: Mapping = Mapping::of(&[required(
    "fractions",
    Shape::List(&SHARE),
    "shares of all containers that are stopped, one point of the sweep each",
)]);

scalars! {
    REPLICAS = "count", [Form::Integer(1, 10_000)], "3";
    CALL = "word", [Form::Words(&["sync", "async"])], "sync";
    HOW_MANY = "word", [Form::Words(&["all", "any"])], "all";
    TARGETS = "count", [Form::Integer(1, 100_000)], "2";
    SEMANTICS = "word", [Form::Words(&["immediate", "eventual"])], "immediate";
}
