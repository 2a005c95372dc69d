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
        shop/cart get 1010..1030 +1 by the mesh
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

/// Hops of a request whose applications hand on `x-request-id` 9 and nothing else: only the first two still know trace 5.
fn with_ids(text: &str, ids: &[(u128, u128)]) -> (String, SignalQuality) {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let records = lines.zip(ids).map(|(line, &(trace, request))| {
        let mut record = hop(line);
        (record.trace_id, record.request_id) = (trace.to_be_bytes(), request.to_be_bytes());
        record
    });
    assemble_all(records)
}

fn assemble_all(records: impl IntoIterator<Item = HopRecord>) -> (String, SignalQuality) {
    let mut shown = String::new();
    let mut assembler = Assembler::new(TraceLimits::default(), |trace: &Trace, symbols: &Symbols| {
        let mut trace = trace.clone();
        trace.calls.iter_mut().for_each(|call| {
            call.start_ns -= START_US_MIN as i64 * 1_000;
            call.end_ns -= START_US_MIN as i64 * 1_000;
        });
        shown.push_str(&format!("{} {:?}\n", trace.id, symbols.text(trace.journey)));
        shown.push_str(&show(&trace, symbols));
    });
    for record in records {
        let workload = if record.inbound { &record.hop.destination } else { &record.hop.source };
        assembler.hop(&format!("{workload}-1"), &record);
    }
    let quality = assembler.finish().quality;
    (shown, quality)
}

const CHAIN: &str = "out 1 shop/edge front / 1000 200
     in 1 shop/front 1001 198
     out 0 shop/front cart get 1010 20
     in 0 shop/cart 1011 10";

#[test]
fn records_meet_by_request_id_where_traceparent_is_not_handed_on() {
    let ids = [(5, 9), (5, 9), (9, 0), (9, 0)];
    let (expected, quality) = with_ids(CHAIN, &ids);
    insta::assert_snapshot!(expected, @r#"
    00000000000000000000000000000005 "checkout"
    shop/edge / 1000..1200
      shop/front / 1000..1200
        shop/cart get 1010..1030
    "#);
    assert_eq!((quality.hops, quality.complete, quality.orphans), (4, 1, 0));
    // In whatever order sidecars report.
    let lines: Vec<&str> = CHAIN.lines().collect();
    for order in [[3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]] {
        let text = order.map(|at| lines[at]).join("\n");
        assert_eq!(with_ids(&text, &order.map(|at| ids[at])).0, expected, "{order:?}");
    }
}

#[test]
fn an_application_that_begins_a_trace_of_its_own_is_still_in_the_request() {
    // front's tracer knows nothing of trace 5 and hands on the request id.
    let (shown, _) = with_ids(CHAIN, &[(5, 9), (5, 9), (77, 9), (77, 9)]);
    assert!(shown.contains("\n    shop/cart get"), "{shown}");
}

#[test]
fn requests_of_a_client_with_a_constant_request_id_are_not_one() {
    let requests = (100..200_u128).map(|trace| {
        let mut record = hop("out 1 shop/edge front / 1000 200");
        (record.trace_id, record.request_id) = (trace.to_be_bytes(), 9_u128.to_be_bytes());
        record
    });
    let (_, quality) = assemble_all(requests);
    assert!(quality.traces > 80, "{}", quality.traces);
    assert!(quality.odd[&crate::Oddity::ConstantRequestId].count > 80);
}

#[test]
fn a_call_that_the_filter_cut_is_no_timeout_and_one_of_the_route_is() {
    let of = |ended_by| {
        let mut call = hop("out 11 shop/front cart get 1010 20 timeout");
        call.ended_by = ended_by;
        assemble_all([hop("in 1 shop/front 1001 198"), call]).0
    };
    use emac_core::outcome::EndedBy;
    assert!(of(EndedBy::Filter).contains("cart get 1010..1030 Error cut"), "{}", of(EndedBy::Filter));
    for by in [EndedBy::Mesh, EndedBy::Unknown, EndedBy::Callee] {
        assert!(of(by).contains("cart get 1010..1030 Timeout\n"), "{}", of(by));
    }
}

#[test]
fn tries_of_the_mesh_are_not_the_applications() {
    let mut call = hop("out 11 shop/front cart get 1010 20");
    call.attempts = 3;
    let (shown, _) =
        assemble_all([hop("in 1 shop/front 1001 198"), call, hop("out 11 shop/front cart get 1040 20")]);
    // Once more by the application: a call of its own.
    assert_eq!(shown.matches("cart get").count(), 2, "{shown}");
    assert!(!shown.contains(" x"), "{shown}");
}

#[test]
fn a_request_that_nobody_declared_has_no_journey_and_the_edge_says_where_it_entered() {
    let records = CHAIN.lines().map(|line| {
        let mut record = hop(line.trim());
        record.hop.journey = emac_core::context::UNDECLARED.into();
        record
    });
    let (shown, _) = assemble_all(records);
    assert!(shown.starts_with("00000000000000000000000000000005 \"\"\nshop/edge / 1000"), "{shown}");
}
