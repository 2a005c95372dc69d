//! `JourneyEvidence`.

use super::scalar::{COMPONENT_PATTERN, DURATION, REQUESTS, WORD, scalars};
use super::shape::{Field, Form, Mapping, Rule, Shape, optional, required};

pub(super) static ROOT: Mapping = Mapping::of(&[
    required("metadata", Shape::Mapping(&METADATA), "whose"),
    required("spec", Shape::Mapping(&SPEC), "what was seen"),
]);

static METADATA: Mapping = Mapping::open(&[required("name", WORD, "the journey")]);

static SPEC: Mapping = Mapping::of(&[
    optional("observedAt", TIME, "when the window ended, as RFC 3339; decides whether evidence is fresh"),
    optional("window", DURATION, "how long was looked"),
    optional("journey", Shape::Mapping(&COUNTS), "at the journey's edge"),
    optional("components", Shape::Map(COMPONENT_PATTERN, &Shape::Mapping(&SEEN)), "by component"),
]);

const ALL: Field = required("requests", REQUESTS, "all intended ones");
const GOOD: Field = required("good", REQUESTS, "answered well; at most `requests`");

static COUNTS: Mapping = Mapping::of(&[ALL, GOOD]);

static SEEN: Mapping = Mapping::of(&[
    ALL,
    GOOD,
    optional(
        "latency",
        Shape::List(&Shape::Mapping(&BOUND)),
        "good answers, counted cumulatively as classic histograms do; ascending",
    ),
    optional("latencySketch", SKETCH, "base64 of the sidecars' sketch"),
])
.with(&[Rule::NotBoth("latency", "latencySketch")]);

static BOUND: Mapping = Mapping::of(&[
    required("within", DURATION, "the bound"),
    required("count", REQUESTS, "good answers at most so late"),
]);

scalars! {
    TIME = "time", [Form::Text("^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")], "'2026-01-31T12:00:00Z'";
    SKETCH = "base64", [Form::Text(r"^\s*[A-Za-z0-9+/]+=*\s*$")], "AAEC";
}
