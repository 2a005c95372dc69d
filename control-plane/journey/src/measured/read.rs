//! Evidence documents to checked values.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use emac_core::sketch::Sketch;
use emac_core::units::Micros;

use super::{Counts, Latency, MeasuredEvidence, Seen};
use crate::by_component;
use emac_document::shape::{Mapping, Rule};
use emac_document::types::{Type, checked, duration, integer, list, mapping, text_like, timestamp, word};
use emac_document::{API_VERSION, Document, Fields, Problems, describe};

/// Kind of the document.
pub const KIND: &str = "JourneyEvidence";

/// Reads one document. `None` when there was an error.
pub fn read(document: &Document, problems: &Problems) -> Option<MeasuredEvidence> {
    let before = problems.errors();
    let evidence = document.reader(problems).fields(|fields| {
        fields.required("apiVersion", |version| version.choice(&[(API_VERSION, ())]));
        fields.required("kind", |kind| kind.choice(&[(KIND, ())]));
        evidence(fields)
    });
    evidence.filter(|_| problems.errors() == before)
}

/// The table of evidence.
pub fn table() -> &'static Mapping {
    describe(evidence)
}

fn evidence(fields: &mut Fields<'_>) -> Option<MeasuredEvidence> {
    let journey = fields.field("metadata", mapping(metadata), "identity of the journey").required();
    let spec = fields.field("spec", mapping(spec), "measurements").required();
    Some(MeasuredEvidence { journey: journey?, ..spec? })
}

fn metadata(fields: &mut Fields<'_>) -> Option<String> {
    fields.accept_rest();
    fields.field("name", word(), "name of the journey").required().map(str::to_owned)
}

fn spec(fields: &mut Fields<'_>) -> Option<MeasuredEvidence> {
    let says = "end of the window in RFC 3339; decides whether evidence is fresh";
    let observed_at_unix_ms = fields.field("observedAt", timestamp(), says).optional();
    let window = fields.field("window", duration(), "length of the window").optional();
    let whole = fields.field("journey", mapping(counts), "counts at the journey's edge").optional();
    let seen = by_component(mapping(seen));
    let components = fields.field("components", seen, "counts by component").optional();
    let components = components.unwrap_or_default().into_iter().collect();
    Some(MeasuredEvidence { journey: String::new(), observed_at_unix_ms, window, whole, components })
}

/// More requests than this is a mistake, and arithmetic in doubles would no longer be exact.
const REQUESTS_MAX: u64 = 1 << 52;

fn requests<'a>() -> impl Type<'a, Value = u64> {
    integer("count", 0..=REQUESTS_MAX)
}

fn counts(fields: &mut Fields<'_>) -> Option<Counts> {
    let all = fields.field("requests", requests(), "all intended requests").required();
    let good = fields.field("good", requests(), "good answers; at most `requests`").required();
    let counts = Counts { requests: all?, good: good? };
    if counts.good <= counts.requests {
        return Some(counts);
    }
    fields.reader().refuse(format!("{} good answers to {} requests", counts.good, counts.requests))
}

fn seen(fields: &mut Fields<'_>) -> Option<Seen> {
    let counts = counts(fields);
    let says = "cumulative counts of good answers, as in classic histograms; ascending";
    let cumulative = fields.field("latency", cumulative(), says).optional();
    let sketch = fields.field("latencySketch", sketch(), "base64 of the sidecars' sketch").optional();
    fields.rule(Rule::NotBoth("latency", "latencySketch"));
    if fields.has("latencySketch") && fields.has("latency") {
        return fields.reader().refuse("give `latency` or `latencySketch`, not both");
    }
    let latency = match (sketch, cumulative) {
        (Some(sketch), _) => Latency::Sketch(sketch),
        (None, Some(bounds)) => Latency::Cumulative(bounds),
        (None, None) => Latency::Unknown,
    };
    Some(Seen { counts: counts?, latency })
}

fn sketch<'a>() -> impl Type<'a, Value = Sketch> {
    text_like("base64", r"^\s*[A-Za-z0-9+/]+=*\s*$", "AAEC", |reader, text| {
        let Ok(bytes) = STANDARD.decode(text.trim()) else { return reader.refuse("not base64") };
        match Sketch::decode(&bytes) {
            Ok(sketch) => Some(sketch),
            Err(error) => reader.refuse(format!("not a sketch: {error}")),
        }
    })
}

fn cumulative<'a>() -> impl Type<'a, Value = Vec<(Micros, u64)>> {
    checked(list(mapping(bound)), |it, bounds| {
        let ascending = bounds.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        if ascending { Some(bounds) } else { it.refuse("bounds and their cumulative counts ascend") }
    })
}

fn bound(fields: &mut Fields<'_>) -> Option<(Micros, u64)> {
    let within = fields.field("within", duration(), "upper bound of the bucket").required();
    let count = fields.field("count", requests(), "good answers within the bound").required();
    Some((within?, count?))
}
