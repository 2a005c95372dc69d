//! Compiling whole journeys: from what was read to bounds, latency bands, attribution, budgets and the decision, as one figure; and
//! what reading the files before it and making the artifacts after it cost.
//!
//! Journeys are checkouts one after the other. Every leaf has an SLO, one of three failure domains and two thousand or more measured
//! calls of its own, so that no leaf's limits are another's.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;

use emac_compile::compile::{Compiled, Given, Promises, compile};
use emac_compile::emit::all;
use emac_compile::emit::prometheus::Dialect;
use emac_compile::model::AcceptedModel;
use emac_core::journey::ComponentName;
use emac_core::sketch::Sketch;
use emac_core::units::Micros;
use emac_document::{Limits, Problems, Source, parse};
use emac_journey::intent::{self, Intent};
use emac_journey::measured::{Counts, Latency, MeasuredEvidence, Seen};
use emac_journey::slo::Slos;

use super::Section;
use super::algebra::{checkouts, sizes_table, sketch};
use super::table::{Better, Row};
use super::timing::{Work, side_by_side};

/// The most a thousand leaves may take.
const TARGET_MS: f64 = 100.0;

/// The section of the report; some seconds.
pub fn section() -> Section {
    let sizes: Vec<Size> = [5, 100, 1_000].into_iter().map(Size::new).collect();
    let rows = WORKS.map(|(name, target, work)| {
        let times = side_by_side(sizes.iter().map(|size| Some(work(size))).collect());
        let mut millis = times.into_iter().rev().map(|time| time.map(|nanos| nanos / 1e6));
        let ours = millis.next().flatten();
        Row { name: name.into(), unit: "ms", better: Better::Lower, target, ours, others: millis.collect() }
    });
    let mut body = sizes_table(&rows);
    let growth = rows[0].ours.zip(rows[0].others[0]).map(|(large, middle)| large / middle);
    let _ = writeln!(
        body,
        "\nTen times the leaves, from 100 to 1 000, take {:.1} times the compile.",
        growth.unwrap_or(f64::NAN)
    );
    Section { title: "Compile: a journey end to end, one core", body }
}

type Measured = for<'a> fn(&'a Size) -> Work<'a>;

const WORKS: [(&str, Option<f64>, Measured); 4] = [
    (
        "compile with latency bands: leaves' limits, bounds, bands, budgets, decision",
        Some(TARGET_MS),
        |size| {
            Box::new(|| {
                black_box(&size.compiled(Some(&size.evidence)));
                1
            })
        },
    ),
    ("the same from promises alone, without latency", None, |size| {
        Box::new(|| {
            black_box(&size.compiled(None));
            1
        })
    }),
    ("before it: reading the intent", None, |size| {
        Box::new(|| {
            black_box(read(&size.text));
            1
        })
    }),
    ("after it: making every artifact", None, |size| {
        let compiled = size.compiled(Some(&size.evidence));
        Box::new(move || {
            let _ = black_box(all(&compiled, Dialect::Emac));
            1
        })
    }),
];

/// A journey of some leaves, with all that is known of it.
struct Size {
    text: String,
    intent: Intent,
    model: AcceptedModel,
    promises: Promises,
    evidence: MeasuredEvidence,
}

impl Size {
    fn new(leaves: usize) -> Self {
        let text = text(leaves);
        let (intent, promises) = read(&text);
        let seen = |(place, name): (usize, &ComponentName)| (name.clone(), seen(place as u64));
        let components: BTreeMap<_, _> = intent.components.keys().enumerate().map(seen).collect();
        let evidence =
            MeasuredEvidence { journey: intent.name.to_string(), components, ..MeasuredEvidence::default() };
        Self { model: AcceptedModel::declared(&intent), text, intent, promises, evidence }
    }

    fn compiled<'a>(&'a self, evidence: Option<&'a MeasuredEvidence>) -> Compiled<'a> {
        let compiled =
            compile(&self.intent, &self.model, Given { promises: &self.promises, evidence, now_unix_ms: 0 });
        assert!(compiled.bounds.is_some() && compiled.latency.is_some() == evidence.is_some());
        compiled
    }
}

/// Calls of a leaf, a number of its own; one of them failed.
fn seen(place: u64) -> Seen {
    let mut sketch: Sketch = sketch(place);
    sketch.record_n(Micros(1_000), (place % 997) as u32);
    let good = sketch.count();
    Seen { counts: Counts { requests: good + 1, good }, latency: Latency::Sketch(sketch) }
}

fn text(leaves: usize) -> String {
    let names: Vec<String> = (0..leaves).map(|place| format!("c{place}")).collect();
    let mut text = format!(
        "apiVersion: emac.dev/v1alpha1\nkind: JourneyIntent\nmetadata: {{name: large}}\nspec:\n  objectives:\n    availability: {{window: 30d, \
         target: 0.001}}\n    latency: {{window: 30d, objective: {{metric: p99, threshold: 400ms}}}}\n  operator: {}\n  governance: {{evaluationMode: \
         selective}}\n  components:\n",
        checkouts(&names)
    );
    for (place, name) in names.iter().enumerate() {
        let _ = writeln!(text, "    {name}: {{availability: 0.9999, failureDomains: [zone-{}]}}", place % 3);
    }
    text
}

fn read(text: &str) -> (Intent, Promises) {
    let problems = Problems::new();
    let documents = parse(&Source::new("intent.yaml", text), &Limits::default(), &problems);
    let mut intents = intent::of(&documents, &problems);
    let Some(intent) = intents.pop() else { unreachable!("{:?}", problems.list()) };
    let promises = Slos::read(&documents, &problems).resolve(&intent, &problems);
    (intent, promises)
}
