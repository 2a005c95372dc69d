//! What means harm is bounded, counted, and believed in nothing it does not show.

use emac_compile::model::{EvidenceSource, Status};
use emac_discovery::discover::observe::Observations;
use emac_discovery::discover::{DiscoveryContext, discover};
use emac_tests::synthetic::hostile;
use emac_trace::{Assembled, Assembler, Sink, TraceLimits};

fn assembled(feed: impl FnOnce(&mut dyn Sink)) -> Assembled<Observations> {
    let mut assembler = Assembler::new(TraceLimits::default(), Observations::default());
    feed(&mut assembler);
    assembler.finish()
}

/// Discovery of it ends; the fields of what is found that would act.
fn identified(assembled: &Assembled<Observations>) -> Vec<String> {
    let given = DiscoveryContext { intents: &[], source: EvidenceSource::Traces, evidence: &[] };
    let found = discover(&assembled.consumer, &assembled.symbols, &given);
    let findings = found.iter().flat_map(|one| &one.model.findings);
    let acting = findings.filter(|(_, finding)| finding.status == Status::Identified);
    acting.map(|(field, finding)| format!("{field}: {finding:?}")).collect()
}

#[test]
fn a_million_spans_in_one_trace_are_cut_and_counted() {
    let assembled = assembled(|sink| hostile::wide(sink, 1_000_000));
    assert_eq!((assembled.quality.spans, assembled.quality.traces), (1_000_000, 1));
    assert_eq!(assembled.quality.cut, 1_000_000 - u64::from(TraceLimits::default().spans_per_trace_max));
    assert_eq!(identified(&assembled), [""; 0], "a trace that was cut shows nothing for certain");
}

#[test]
fn a_chain_of_a_hundred_thousand_calls_is_followed_without_recursion() {
    for feed in [hostile::deep, hostile::deep_upside_down] {
        let assembled = assembled(|sink| feed(sink, 100_000));
        assert_eq!(assembled.quality.traces, 1);
        identified(&assembled);
        assert!(assembled.consumer.left().deep > 0, "what is deeper than anybody calls is counted");
    }
}

#[test]
fn circles_and_orphans_make_no_complete_trace() {
    // Of one span it is no circle but a root that names itself.
    for length in [2, 1_000] {
        let assembled = assembled(|sink| hostile::circle(sink, length));
        assert_eq!(assembled.quality.complete, 0, "{length}");
        assert_eq!(identified(&assembled), [""; 0], "{length}");
    }
    let assembled = assembled(|sink| hostile::orphans(sink, 1_000));
    assert_eq!((assembled.quality.orphans, assembled.quality.complete), (1_000, 0));
}

#[test]
fn doubles_count_once() {
    let assembled = assembled(|sink| hostile::doubled(sink, 100, 50));
    assert_eq!((assembled.quality.duplicates, assembled.quality.traces), (100 * 49, 1));
}

#[test]
fn no_time_is_too_strange() {
    let assembled = assembled(hostile::times);
    assert_eq!(assembled.quality.traces, 1);
    identified(&assembled);
}

#[test]
fn everything_at_once_ends() {
    let assembled = assembled(hostile::all);
    assert!(assembled.quality.traces > 0);
    identified(&assembled);
}
