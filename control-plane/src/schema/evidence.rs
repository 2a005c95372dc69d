//! `JourneyEvidence`.

use super::scalar::{COMPONENT_PATTERN, DURATION, REQUESTS, WORD, scalars};
use super::shape::{Field, Form, Mapping, Rule, Shape, optional, required};

pub(super) static ROOT: Mapping = Mapping::of(&[
    required("metadata", Shape::Mapping(&METADATA), "identity of the journey"),
    required("spec", Shape::Mapping(&SPEC), "measurements"),
]);

static METADATA: Mapping = Mapping::open(&[required("name", WORD, "name of the journey")]);

static SPEC: Mapping = Mapping::of(&[
    optional("observedAt", TIME, "end of the window in RFC 3339; decides whether evidence is fresh"),
    optional("window", DURATION, "length of the window"),
    optional("journey", Shape::Mapping(&COUNTS), "counts at the journey's edge"),
    optional("components", Shape::Map(COMPONENT_PATTERN, &Shape::Mapping(&SEEN)), "counts by component"),
]);

const ALL: Field = required("requests", REQUESTS, "all intended requests");
const GOOD: Field = required("good", REQUESTS, "good answers; at most `requests`");

static COUNTS: Mapping = Mapping::of(&[ALL, GOOD]);

static SEEN: Mapping = Mapping::of(&[
    ALL,
    GOOD,
    optional(
        "latency",
        Shape::List(&Shape::Mapping(&BOUND)),
        "cumulative counts of good answers, as in classic histograms; ascending",
    ),
    optional("latencySketch", SKETCH, "base64 of the sidecars' sketch"),
])
.with(&[Rule::NotBoth("latency", "latencySketch")]);

static BOUND: Mapping = Mapping::of(&[
    required("within", DURATION, "upper bound of the bucket"),
    required("count", REQUESTS, "good answers within the bound"),
]);

scalars! {
    TIME = "time", [Form::Text("^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")], "'2026-01-31T12:00:00Z'";
    SKETCH = "base64", [Form::Text(r"^\s*[A-Za-z0-9+/]+=*\s*$")], "AAEC";
}
