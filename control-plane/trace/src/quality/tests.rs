use crate::testing::{assemble, span};
use crate::{Assembler, Refused, Sink, Symbols, Trace, TraceLimits};

#[test]
fn the_report_names_what_is_wrong_and_nothing_else() {
    let (_, quality) = assemble(
        "1 0 s front / 0 100 @a
         1 0 s front / 0 100 @a
         2 1 c front get 10 50 @a
         3 2 s cart Get 5 40 @b
         4 3 c cart find 20 10 @b >mongo
         5 1 s pricing Price 71 10
         6 6 s front / 0 1
         8 7 s mail send 3 1",
    );
    insta::assert_snapshot!(quality, @r"
    8 spans in 1 traces: 0 complete, 1 incomplete
      1 duplicate spans ignored
      1 spans with a missing parent
      1 spans name themselves as their parent, taken for roots, the first: span 0000000000000006 of trace 00000000000000000000000000000007
    sampling rate unknown: spans carry none
    clock of cart on b corrected by at least +5.000 ms
    recorded by their callers only: mongo
    recorded by themselves only: pricing
    ");
    let value = quality.to_value();
    assert_eq!(value["spans"]["odd"]["self_parent"]["count"], 1);
    assert_eq!(value["services"]["mongo"]["byCaller"], 1);
    assert_eq!(value["clocks"]["skewed"][0]["offsetNs"], 5_000_000);
    assert!(value["samplingRate"].is_null());
}

#[test]
fn a_sampling_rate_is_the_inverse_of_what_traces_stand_for() {
    let mut assembler = Assembler::new(TraceLimits::default(), |_: &Trace, _: &Symbols| {});
    let new = span("1 0 s front / 0 100", assembler.symbols());
    assembler.span(new);
    // One in ten and one in two: twelve traces, of which two are there.
    [0.1, 0.5, 0.0, -1.0, f64::NAN, 2.0].into_iter().for_each(|probability| assembler.sampled(probability));
    assembler.refuse(Refused::Time, format_args!("x"));
    let quality = assembler.quality();
    assert_eq!(quality.sampling_rate.map(|rate| (rate * 12.0).round()), Some(2.0));
    assert_eq!(quality.refused[&Refused::Time].count, 1);
}
