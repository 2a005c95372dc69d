use super::*;
use emac_document::{Limits, Problems, Source, parse};

fn read_text(spec: &str) -> (Option<MeasuredEvidence>, Vec<String>) {
    let problems = Problems::new();
    let text = format!(
        "apiVersion: emac.dev/v1alpha1\nkind: JourneyEvidence\nmetadata: {{name: checkout}}\nspec: {spec}\n"
    );
    let documents = parse(&Source::new("evidence.yaml", text), &Limits::default(), &problems);
    let evidence = read(&documents[0], &problems);
    (evidence, problems.list().into_iter().map(|problem| problem.message).collect())
}

fn name(text: &str) -> ComponentName {
    ComponentName::new(text).unwrap()
}

/// base64 of a sketch with two values.
fn sketch() -> String {
    use base64::Engine;
    let mut sketch = Sketch::new();
    sketch.record(Micros(50_000));
    sketch.record(Micros(80_000));
    base64::engine::general_purpose::STANDARD.encode(sketch.encode())
}

#[test]
fn evidence_is_read_and_added_up() {
    let spec = format!(
        "{{observedAt: 2026-01-31T12:00:00Z, window: 30d, journey: {{requests: 10, good: 9}}, components: {{a: {{requests: 5, good: 4, latencySketch: \
         '{}'}}, b: {{requests: 3, good: 3, latency: [{{within: 10ms, count: 1}}, {{within: 1s, count: 3}}]}}}}}}",
        sketch()
    );
    let (evidence, messages) = read_text(&spec);
    assert_eq!(messages, Vec::<String>::new());
    let mut twice = evidence.clone().unwrap();
    twice.add(evidence.unwrap());
    assert_eq!(twice.whole, Some(Counts { requests: 20, good: 18 }));
    let Latency::Sketch(sketch) = &twice.components[&name("a")].latency else { panic!("a sketch") };
    assert_eq!(sketch.count(), 4);
    let both = Latency::Cumulative(vec![(Micros(10_000), 2), (Micros(1_000_000), 6)]);
    assert_eq!(twice.components[&name("b")].latency, both);
}

#[test]
fn broken_evidence_says_why() {
    for (spec, told) in [
        ("{journey: {requests: 1, good: 2}}", "2 good answers to 1 requests"),
        ("{journey: {requests: -1, good: 0}}", "-1 is not within 0 to 4503599627370496"),
        ("{observedAt: yesterday}", "`yesterday` is not a time such as 2026-01-31T12:00:00Z"),
        ("{components: {a: {requests: 1, good: 1, latencySketch: '!'}}}", "not base64"),
        (
            "{components: {a: {requests: 1, good: 1, latency: [{within: 2s, count: 1}, {within: 1s, count: 1}]}}}",
            "bounds and their cumulative counts ascend",
        ),
        (
            "{components: {a: {requests: 1, good: 1, latency: [], latencySketch: 'AA=='}}}",
            "give `latency` or `latencySketch`, not both",
        ),
        (
            "{components: {'a b': {requests: 1, good: 1}}}",
            "' ' is not allowed in a name; use [A-Za-z0-9._/-]",
        ),
        ("{componentz: {}}", "unknown field `componentz`"),
    ] {
        let (evidence, messages) = read_text(spec);
        assert!(evidence.is_none(), "{spec}");
        assert!(messages.contains(&told.to_owned()), "{spec}: {messages:?}");
    }
}
