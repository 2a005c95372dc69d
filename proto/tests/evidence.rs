//! Evidence survives the wire exactly, and each broken field is named.

use emac_core::evidence::{DecisionCounts, Delta, FilterHealth, HopDelta, HopRecord, JourneyDelta, Report};
use emac_core::id::{HopKey, JourneyName, WorkloadName};
use emac_core::outcome::{EndedBy, Outcome, OutcomeCounts};
use emac_core::sketch::Sketch;
use emac_core::units::{Micros, Millis};
use emac_proto::convert::NodeReport;
use emac_proto::v1;

fn latencies(values: impl IntoIterator<Item = u64>) -> Sketch {
    let mut sketch = Sketch::new();
    values.into_iter().for_each(|v| sketch.record(Micros(v)));
    sketch
}

fn key() -> HopKey {
    HopKey {
        journey: "checkout".into(),
        source: "shop/front".into(),
        destination: "paya".into(),
        operation: "POST /payA".into(),
    }
}

/// A report with every field set to a value of its own.
fn report() -> Report {
    let journey = JourneyDelta {
        outcomes: OutcomeCounts::from_array([1, 2, 3, 4, 5, 6, 7, 8]),
        latency: latencies([80_000, 91_000]),
        within_deadline: 8,
        degraded: 9,
    };
    let hop = HopDelta {
        outcomes: OutcomeCounts::from_array([11, 12, 13, 14, 15, 16, 17, 18]),
        latency: latencies([40_000]),
        retries: 18,
        decisions: DecisionCounts::from_array([21, 22, 23, 24, 25, 26, 27]),
        alternate_latency: latencies([60_000]),
    };
    let record = HopRecord {
        trace_id: [1; 16],
        parent_span_id: [2; 8],
        hop: key(),
        start_unix_us: 3,
        duration: Micros(4),
        outcome: Outcome::Cancelled,
        attempts: 2,
        status: 503,
        inbound: true,
        request_id: [3; 16],
        ended_by: EndedBy::Mesh,
    };
    let health = FilterHealth {
        context_missing: 31,
        context_invalid: 32,
        overflow: 33,
        dropped: 34,
        clock_backwards: 35,
        internal_errors: 36,
        generation: 37,
        stale: true,
    };
    let delta = Delta {
        journeys: [(JourneyName::new("checkout").unwrap(), journey)].into(),
        hops: [(key(), hop)].into(),
        records: vec![record],
        health,
    };
    Report { epoch: 5, sequence: 6, start_unix: Millis(7), end_unix: Millis(8), delta }
}

fn wire() -> v1::ReportRequest {
    NodeReport::to_wire("front-1", &WorkloadName::new("shop/front").unwrap(), &report())
}

#[test]
fn a_report_survives_both_ways() {
    let back = NodeReport::try_from(wire()).unwrap();
    assert_eq!(back.report, report());
    assert_eq!((back.node.as_str(), back.workload.as_str()), ("front-1", "shop/front"));
}

#[test]
fn every_outcome_has_its_number() {
    for outcome in Outcome::ALL {
        let mut report = report();
        report.delta.records[0].outcome = outcome;
        let wire = v1::ReportRequest::from(&report.delta);
        let named = v1::Outcome::try_from(wire.records[0].outcome).unwrap();
        assert_eq!(named.as_str_name(), format!("OUTCOME_{}", outcome.label().to_uppercase()));
        assert_eq!(Delta::try_from(wire).unwrap(), report.delta);
    }
}

#[test]
fn whoever_ended_a_call_has_a_number_and_a_number_from_later_says_nothing() {
    for by in EndedBy::ALL {
        let mut report = report();
        report.delta.records[0].ended_by = by;
        let wire = v1::ReportRequest::from(&report.delta);
        let named = v1::EndedBy::try_from(wire.records[0].ended_by).unwrap();
        let said =
            if by == EndedBy::Unknown { "UNSPECIFIED".to_owned() } else { format!("{by:?}").to_uppercase() };
        assert_eq!(named.as_str_name(), format!("ENDED_BY_{said}"));
        assert_eq!(Delta::try_from(wire).unwrap(), report.delta);
    }
    for later in [5, -1, i32::MAX] {
        let mut wire = wire();
        wire.records[0].ended_by = later;
        assert_eq!(Delta::try_from(wire).unwrap().records[0].ended_by, EndedBy::Unknown);
    }
}

#[test]
fn a_record_of_an_older_sender_has_neither_request_id_nor_who_ended_it() {
    let mut wire = wire();
    (wire.records[0].request_id, wire.records[0].ended_by) = (Vec::new(), 0);
    let record = Delta::try_from(wire.clone()).unwrap().records.remove(0);
    assert_eq!((record.request_id, record.ended_by), ([0; 16], EndedBy::Unknown));
    let mut delta = report().delta;
    delta.records = vec![record];
    assert_eq!(v1::ReportRequest::from(&delta).records, wire.records);
}

fn refused(change: impl FnOnce(&mut v1::ReportRequest)) -> String {
    let mut wire = wire();
    change(&mut wire);
    NodeReport::try_from(wire).expect_err("must be refused").field
}

#[test]
fn each_broken_field_is_named() {
    assert_eq!(refused(|r| r.node.clear()), "node");
    assert_eq!(refused(|r| r.workload = "front".into()), "workload");
    assert_eq!(refused(|r| r.epoch = 0), "epoch");
    assert_eq!(refused(|r| r.sequence = 0), "sequence");
    assert_eq!(refused(|r| r.end_unix_ms = 0), "end_unix_ms");
    assert_eq!(refused(|r| r.journeys[0].journey = "A".into()), "journeys[0].journey");
    assert_eq!(refused(|r| r.journeys[0].latency = vec![0xff; 9]), "journeys[0].latency");
    assert_eq!(refused(|r| r.journeys.push(r.journeys[0].clone())), "journeys[1]");
    assert_eq!(refused(|r| r.hops.push(r.hops[0].clone())), "hops[1]");
    assert_eq!(refused(|r| r.hops[0].hop = None), "hops[0].hop");
    assert_eq!(refused(|r| r.hops[0].hop.as_mut().unwrap().source.clear()), "hops[0].hop.source");
    assert_eq!(
        refused(|r| r.hops[0].hop.as_mut().unwrap().operation = "x".repeat(513)),
        "hops[0].hop.operation"
    );
    assert_eq!(refused(|r| r.records[0].trace_id.truncate(15)), "records[0].trace_id");
    assert_eq!(refused(|r| r.records[0].request_id.truncate(15)), "records[0].request_id");
    assert_eq!(refused(|r| r.records[0].outcome = 0), "records[0].outcome");
    assert_eq!(refused(|r| r.records[0].outcome = 9), "records[0].outcome");
    assert_eq!(refused(|r| r.records[0].status = 70_000), "records[0].status");
    assert_eq!(refused(|r| r.records = vec![r.records[0].clone(); 1_025]), "records");
}
