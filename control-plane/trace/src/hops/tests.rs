use emac_core::evidence::HopRecord;
use emac_core::id::HopKey;
use emac_core::outcome::Outcome;
use emac_core::units::Micros;

use super::START_US_MIN;
use crate::testing::show;
use crate::{Assembler, SignalQuality, Symbols, Trace, TraceLimits};

/// `in|out span workload [destination operation] start duration [outcome]`, times milliseconds.
fn hop(text: &str) -> HopRecord {
    let words: Vec<&str> = text.split_whitespace().collect();
    let inbound = words[0] == "in";
    let (place, rest) = if inbound { ("", &words[3..]) } else { (words[2], &words[5..]) };
    let key = HopKey {
        journey: "checkout".into(),
        source: place.into(),
        destination: words[if inbound { 2 } else { 3 }].into(),
        operation: if inbound { String::new() } else { words[4].into() },
    };
    let outcome = match rest.get(2).copied() {
        Some("error") => Outcome::Error,
        Some("timeout") => Outcome::Timeout,
        Some("alternate") => Outcome::Alternate,
        Some("fallback") => Outcome::Fallback,
        _ => Outcome::Success,
    };
    HopRecord {
        trace_id: 5_u128.to_be_bytes(),
        parent_span_id: words[1].parse::<u64>().unwrap().to_be_bytes(),
        hop: key,
        start_unix_us: START_US_MIN + 1_000 * rest[0].parse::<u64>().unwrap(),
        duration: Micros(1_000 * rest[1].parse::<u64>().unwrap()),
        outcome,
        attempts: 1,
        status: 200,
        inbound,
        request_id: [0; 16],
        ended_by: emac_core::outcome::EndedBy::Unknown,
    }
}

fn assemble(text: &str) -> (String, SignalQuality) {
    let mut shown = String::new();
    let mut assembler = Assembler::new(TraceLimits::default(), |trace: &Trace, symbols: &Symbols| {
        assert_eq!(symbols.text(trace.journey), "checkout");
        let mut trace = trace.clone();
        trace.calls.iter_mut().for_each(|call| {
            call.start_ns -= START_US_MIN as i64 * 1_000;
            call.end_ns -= START_US_MIN as i64 * 1_000;
        });
        shown.push_str(&show(&trace, symbols));
    });
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let record = hop(line);
        let workload = if record.inbound { &record.hop.destination } else { &record.hop.source };
        assembler.hop(&format!("{workload}-1"), &record);
    }
    let quality = assembler.finish().quality;
    (shown, quality)
}

#[test]
fn the_checkout_is_one_trace() {
    let (calls, quality) = assemble(
        "in 13 shop/paya 1055 90
         out 1 shop/edge front / 1000 200
         in 1 shop/front 1001 198
         out 11 shop/front cart shop.Cart/Get 1005 40
         out 12 shop/front pricing.shop.svc.cluster.local GET_/price 1005 30
         in 12 shop/pricing 1006 28
         in 11 shop/cart 1006 35
         out 13 shop/front paya GET_/pay 1050 100",
    );
    insta::assert_snapshot!(calls, @r"
    shop/edge / 1000..1200
      shop/front / 1000..1200
        shop/pricing GET_/price 1005..1035
        shop/cart shop.Cart/Get 1005..1045
        shop/paya GET_/pay 1050..1150
    ");
    assert_eq!((quality.hops, quality.complete, quality.orphans), (8, 1, 0));
}

#[test]
fn an_alternate_is_a_call_beside_the_one_that_failed() {
    let (calls, _) = assemble(
        "in 1 shop/front 1001 198
         out 13 shop/front paya GET_/pay 1050 140 alternate
         in 13 shop/paya 1052 60 error
         in 13 shop/payb 1120 60",
    );
    insta::assert_snapshot!(calls, @r"
    shop/front  1001..1199
      shop/paya GET_/pay 1050..1120 Alternate
      shop/payb GET_/pay 1120..1180
    ");
}

#[test]
fn an_alternate_that_failed_too_is_seen() {
    let (calls, _) = assemble(
        "in 1 shop/front 1001 198
         out 13 shop/front paya GET_/pay 1050 140 timeout
         in 13 shop/paya 1052 60
         in 13 shop/payb 91120 60 error",
    );
    insta::assert_snapshot!(calls, @r"
    shop/front  1001..1199
      shop/paya GET_/pay 1050..1130 Timeout
      shop/payb GET_/pay 1130..1190 Error
    ");
}

#[test]
fn applications_that_hand_on_one_span_id_are_told_apart_by_name_and_time() {
    let (calls, quality) = assemble(
        "out 1 shop/edge front / 1000 200
         in 1 shop/front 1001 198
         out 1 shop/front cart get 1010 20
         out 1 shop/front cart get 1040 20
         in 1 shop/cart 1041 10
         in 1 shop/cart 1011 10
         in 1 shop/cart 1023 5
         out 1 shop/cart db find 1012 5",
    );
    insta::assert_snapshot!(calls, @r"
    shop/edge / 1000..1200
      shop/front / 1000..1200
        shop/cart get 1010..1030 x2
          db find 1012..1017
        shop/cart get 1040..1060
    ");
    assert_eq!(quality.complete, 1);
}

#[test]
fn a_tracer_between_the_sidecars_changes_span_ids() {
    let (calls, _) = assemble(
        "out 1 shop/edge front / 1000 200
         in 2 shop/front 1001 198
         out 3 shop/front cart get 1010 20
         in 4 shop/cart 1011 10",
    );
    insta::assert_snapshot!(calls, @r"
    shop/edge / 1000..1200
      shop/front / 1000..1200
        shop/cart get 1010..1030
    ");
}

#[test]
fn clocks_of_sidecars_are_corrected() {
    let (calls, quality) = assemble(
        "out 1 shop/edge front / 1000 200
         in 1 shop/front 5001 198
         out 3 shop/front cart get 5010 20
         in 3 shop/cart 11 10",
    );
    insta::assert_snapshot!(calls, @r"
    shop/edge / 1000..1200
      shop/front / 1000..1200
        shop/cart get 1010..1030
    ");
    assert_eq!(quality.skews.len(), 2);
}

#[test]
fn records_that_lost_their_callers_are_orphans() {
    let (calls, quality) = assemble(
        "in 1 shop/front 1001 198
         out 3 shop/front cart get 1010 20
         in 9 shop/mail 1011 10",
    );
    insta::assert_snapshot!(calls, @r"
    incomplete
    shop/front  1001..1199
      cart get 1010..1030
    incomplete
    shop/mail  1011..1021
    ");
    assert_eq!(quality.orphans, 1);
}
