//! Evidence documents to checked values.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use emac_core::journey::ComponentName;
use emac_core::sketch::Sketch;
use emac_core::units::Micros;

use super::{Counts, Evidence, Latency, Seen};
use emac_document::{API_VERSION, Document, Fields, Problems, Reader, parse_timestamp};

/// Kind of the document.
pub const KIND: &str = "JourneyEvidence";

/// Reads one document. `None` when there was an error.
pub fn read(document: &Document, problems: &Problems) -> Option<Evidence> {
    let before = problems.errors();
    let evidence = document.reader(problems).fields(|fields| {
        let version = fields.required("apiVersion", |version| version.choice(&[(API_VERSION, ())]));
        let kind = fields.required("kind", |kind| kind.choice(&[(KIND, ())]));
        let journey = fields.required("metadata", |metadata| {
            metadata.fields(|fields| {
                fields.accept_rest();
                fields.required("name", Reader::word)
            })
        });
        let spec = fields.required("spec", |spec| spec.fields(spec_));
        version.and(kind)?;
        Some(Evidence { journey: journey?.to_owned(), ..spec? })
    });
    evidence.filter(|_| problems.errors() == before)
}

fn spec_(fields: &mut Fields<'_>) -> Option<Evidence> {
    let observed_at_unix_ms = fields.optional("observedAt", |time| match parse_timestamp(time.text()?) {
        Ok(time) => Some(time),
        Err(error) => time.refuse(error.to_string()),
    });
    let window = fields.optional("window", Reader::duration);
    let whole = fields.optional("journey", |whole| whole.fields(counts));
    let components = fields.optional("components", |components| {
        components.map(|entry, seen| {
            let name = match ComponentName::new(&entry.key) {
                Ok(name) => Some(name),
                Err(error) => seen.refuse_at(entry.key_span, error.to_string()),
            };
            let seen = seen.fields(seen_);
            Some((name?, seen?))
        })
    });
    let components: BTreeMap<_, _> = components.unwrap_or_default().into_iter().collect();
    Some(Evidence { journey: String::new(), observed_at_unix_ms, window, whole, components })
}

/// More requests than this is a mistake, and arithmetic in doubles would no longer be exact.
const REQUESTS_MAX: u64 = 1 << 52;

fn counts(fields: &mut Fields<'_>) -> Option<Counts> {
    let requests = fields.required("requests", |requests| requests.integer(0..=REQUESTS_MAX));
    let good = fields.required("good", |good| good.integer(0..=REQUESTS_MAX));
    let counts = Counts { requests: requests?, good: good? };
    if counts.good <= counts.requests {
        Some(counts)
    } else {
        fields.reader().refuse(format!("{} good answers to {} requests", counts.good, counts.requests))
    }
}

fn seen_(fields: &mut Fields<'_>) -> Option<Seen> {
    let counts = counts(fields);
    let sketch = fields.optional("latencySketch", sketch);
    let cumulative = fields.optional("latency", cumulative);
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

fn sketch(reader: Reader<'_>) -> Option<Sketch> {
    let text = reader.word()?;
    let Ok(bytes) = STANDARD.decode(text.trim()) else { return reader.refuse("not base64") };
    match Sketch::decode(&bytes) {
        Ok(sketch) => Some(sketch),
        Err(error) => reader.refuse(format!("not a sketch: {error}")),
    }
}

fn cumulative(reader: Reader<'_>) -> Option<Vec<(Micros, u64)>> {
    let bounds = reader.list(|bound| {
        bound.fields(|fields| {
            let within = fields.required("within", Reader::duration);
            let count = fields.required("count", |count| count.integer(0..=REQUESTS_MAX));
            Some((within?, count?))
        })
    })?;
    let ascending = bounds.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
    if ascending { Some(bounds) } else { reader.refuse("bounds and their cumulative counts ascend") }
}
