//! The stages behind the readers, on spans in memory, one core: putting traces together, keeping what inference needs, inferring.
//!
//! Beside them the least that anybody who looks at traces must do: sort spans into a hash map by trace.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

use emac_compile::model::EvidenceSource;
use emac_discovery::discover::observe::Observations;
use emac_discovery::discover::{DiscoveryContext, discover};
use emac_trace::{Assembled, Assembler, Sink as _, Span, Symbols, Trace, TraceId, TraceLimits};

use super::super::table::{Better, Row, markdown};
use super::ROUNDS;
use crate::synthetic::World;

/// The stages as a table.
pub(super) fn table(world: &World) -> String {
    let mut symbols = Symbols::default();
    let spans: Vec<Span> = world.spans(&mut symbols).collect();
    let count = spans.len() as f64;
    let grouped = seconds(|| drop(black_box(group(&spans))));
    let row = |name: &str, seconds: f64| Row {
        name: name.into(),
        unit: "spans/s",
        better: Better::Higher,
        target: None,
        ours: Some(count / seconds),
        others: vec![Some(count / grouped)],
    };
    let assembled = seconds(|| drop(black_box(assemble(&symbols, &spans, |_: &Trace, _: &Symbols| {}))));
    let observed = seconds(|| drop(black_box(assemble(&symbols, &spans, Observations::default()))));
    let done = assemble(&symbols, &spans, Observations::default());
    let inferred = seconds(|| {
        black_box(infer(&done));
    });
    let rows = [
        row("assemble", assembled),
        row("assemble and observe", observed),
        row("assemble, observe and infer", observed + inferred),
    ];
    let journeys = infer(&done);
    let table = markdown(&["only grouped by trace"], &rows);
    format!(
        "{table}\n{} spans of {} journeys in memory; inference takes {:.0} ms whatever the number of traces.\n\n",
        spans.len(),
        journeys,
        inferred * 1e3
    )
}

/// The quickest of some rounds.
fn seconds(mut work: impl FnMut()) -> f64 {
    let round = |_| {
        let begin = Instant::now();
        work();
        begin.elapsed().as_secs_f64()
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

fn group(spans: &[Span]) -> HashMap<TraceId, Vec<Span>> {
    let mut by_trace: HashMap<TraceId, Vec<Span>> = HashMap::new();
    spans.iter().for_each(|span| by_trace.entry(span.trace).or_default().push(*span));
    by_trace
}

fn assemble<C: emac_trace::Consumer>(symbols: &Symbols, spans: &[Span], consumer: C) -> Assembled<C> {
    let mut assembler = Assembler::new(TraceLimits::default(), consumer);
    *assembler.symbols() = symbols.clone();
    spans.iter().for_each(|span| assembler.span(*span));
    assembler.finish()
}

fn infer(assembled: &Assembled<Observations>) -> usize {
    let given = DiscoveryContext { intents: &[], source: EvidenceSource::Traces, evidence: &[] };
    discover(&assembled.consumer, &assembled.symbols, &given).len()
}
