//! Rows, edges and callees from what was heard, with the time passed in.

use std::sync::Arc;

use emac_core::budget::EntryRule;
use emac_core::evidence::{Delta, FilterHealth, HopDelta, JourneyDelta, Report};
use emac_core::id::JourneyName;
use emac_core::journey::{ComponentName, Journey, parse};
use emac_core::units::Ratio;

use super::*;
use crate::aggregate::Batch;
use crate::ingest::NodeReport;
use crate::plan::ComponentInput;
use crate::store::Stored;
use emac_core::units::Moment;
use emac_journey::intent::{HopRef, RuntimePolicy};
use emac_push::protocol::{ErrorDetail, Receipt, Shipment};
use emac_push::proxies::{Connection, Proxies, Variant};

const fn s(seconds: u64) -> Micros {
    Micros(seconds * 1_000_000)
}

const fn at(seconds: u64) -> Moment {
    Moment { at: s(seconds), unix_ms: seconds * 1_000 }
}

fn workload(name: &str) -> WorkloadName {
    WorkloadName::new(name).unwrap()
}

/// Window 5 s.
fn evidence() -> Aggregate {
    Aggregate::new(Stored::default(), Millis(5_000))
}

/// Counts a report of `node`, beside `shop/front`, that came in this second: requests of the journey and calls to `pay`.
fn report(evidence: &mut Aggregate, node: &str, second: u64, requests: u64, calls: &[Outcome]) {
    let (mut journey, mut hop) = (JourneyDelta::default(), HopDelta::default());
    (0..requests).for_each(|_| journey.outcomes.add(Outcome::Success));
    calls.iter().for_each(|outcome| hop.outcomes.add(*outcome));
    let key = HopKey {
        journey: "checkout".into(),
        source: "shop/front".into(),
        destination: "pay.shop".into(),
        operation: String::new(),
    };
    let delta = Delta {
        journeys: (requests > 0)
            .then(|| (JourneyName::new("checkout").unwrap(), journey))
            .into_iter()
            .collect(),
        hops: (!calls.is_empty()).then_some((key, hop)).into_iter().collect(),
        ..Delta::default()
    };
    count(evidence, node, second, delta);
}

fn count(evidence: &mut Aggregate, node: &str, second: u64, delta: Delta) {
    let report = Report { epoch: 1, sequence: second, start_unix: Millis(0), end_unix: Millis(0), delta };
    let report = NodeReport { node: node.into(), workload: workload("shop/front"), report };
    let mut batch = Batch::new(evidence, s(second), 0, Generation(0));
    batch.add(evidence, report);
    evidence.apply(s(second), batch);
}

fn checkout() -> JourneyInput {
    let hop =
        HopRef { destination: "pay.shop".into(), workload: Some(workload("shop/pay")), ..HopRef::default() };
    let pay = ComponentInput { reach: Reach::Hop(hop), ..ComponentInput::default() };
    JourneyInput {
        name: JourneyName::new("checkout").unwrap(),
        model_digest: String::new(),
        declaration: String::new(),
        structure: Journey::new(parse("pay").unwrap()).unwrap(),
        deadline: Millis(400),
        objective: Ratio::new(0.99).unwrap(),
        entry: vec![EntryRule::default()],
        runtime: RuntimePolicy { edges: vec![workload("shop/gate")], ..RuntimePolicy::default() },
        components: [(ComponentName::new("pay").unwrap(), pay)].into(),
    }
}

fn connect(proxies: &Arc<Proxies>, node: &str, workload: &str, second: u64) -> Connection {
    let connection = proxies.connect(Variant::Delta, 99, at(second)).unwrap();
    connection.introduce(Some(node), Some(workload));
    connection
}

/// Lease 60 s, generation 7 offered to everybody's workload.
fn seen(proxies: &Proxies, evidence: &Aggregate, second: u64) -> Seen {
    let offered = |name| (workload(name), (Some(Generation(7)), Millis(60_000)));
    Seen {
        now: s(second),
        window: s(5),
        streams: proxies.list(),
        past: proxies.past(s(second)),
        elsewhere: BTreeMap::new(),
        nodes: evidence.nodes().clone(),
        offered: ["shop/front", "shop/gate", "shop/pay"].map(offered).into(),
    }
}

fn shipment(generation: u64) -> Shipment {
    Shipment { version: format!("g{generation}.1.x").into(), ..Shipment::default() }
}

#[test]
fn who_is_connected_to_another_replica_is_there() {
    let (proxies, mut evidence) = (Arc::<Proxies>::default(), evidence());
    let _here = connect(&proxies, "here", "shop/front", 99);
    connect(&proxies, "moved", "shop/front", 90).ended(End::Closed, s(95));
    for node in ["moved", "reporting"] {
        report(&mut evidence, node, 99, 1, &[]);
    }
    let mut seen = seen(&proxies, &evidence, 100);
    let present = |node: &str, owed_ms, refused, accepted| {
        let (node, workload) = (node.to_owned(), "shop/front".to_owned());
        (node.clone(), ("b".to_owned(), Present { node, workload, owed_ms, refused, accepted }))
    };
    seen.elsewhere = [
        present("here", None, false, 7),
        present("moved", None, false, 7),
        present("reporting", None, false, 7),
        present("idle", None, false, 0),
        present("silent", Some(20_000), false, 7),
        present("old", None, false, 6),
        present("refusing", None, true, 7),
    ]
    .into();
    let rows = seen.rows();
    let rows: Vec<_> =
        rows.iter().map(|row| (row.node.as_str(), row.standing, row.replica.as_deref())).collect();
    let there = Some("b");
    assert_eq!(
        rows,
        [
            ("here", Standing::Idle, None),
            ("idle", Standing::Idle, there),
            ("moved", Standing::Live, there),
            ("old", Standing::Stale, there),
            ("refusing", Standing::Stale, there),
            ("reporting", Standing::Live, there),
            ("silent", Standing::Silent, there),
        ]
    );
}

#[test]
fn every_proxy_is_listed_once_with_how_it_stands() {
    let (proxies, mut evidence) = (Arc::<Proxies>::default(), evidence());
    report(&mut evidence, "live", 99, 1, &[]);
    report(&mut evidence, "only-reports", 98, 1, &[]);
    let [live, idle, silent, old, refuses, cut, left] =
        ["live", "idle", "silent", "old", "refuses", "cut", "left"]
            .map(|node| connect(&proxies, node, "shop/front", 10));
    for connection in [&live, &idle, &silent, &refuses] {
        connection.received(&Receipt::Acked(shipment(7)), at(11));
    }
    silent.pushed(s(80), None);
    old.received(&Receipt::Acked(shipment(6)), at(11));
    let error = ErrorDetail { code: 3, message: "hops[0].timeout_ms".into() };
    refuses.received(&Receipt::Nacked { shipment: shipment(7), error }, at(12));
    cut.ended(End::Broken, s(90));
    left.ended(End::Closed, s(90));
    let rows = seen(&proxies, &evidence, 100).rows();
    let said: Vec<_> = rows.iter().map(|row| (row.node.as_str(), row.standing.label())).collect();
    assert_eq!(
        said,
        [
            ("cut", "cut off"),
            ("idle", "idle"),
            ("left", "gone"),
            ("live", "live"),
            ("old", "stale"),
            ("only-reports", "cut off"),
            ("refuses", "stale"),
            ("silent", "silent"),
        ]
    );
}

/// An idle filter says nothing more: what it said last must not stand against it once it took budgets.
#[test]
fn an_expired_lease_is_over_when_new_budgets_are_taken() {
    let (proxies, mut evidence) = (Arc::<Proxies>::default(), evidence());
    let front = connect(&proxies, "front", "shop/front", 10);
    let health = FilterHealth { stale: true, ..FilterHealth::default() };
    count(&mut evidence, "front", 20, Delta { health, ..Delta::default() });
    let stands = |evidence: &Aggregate, second| seen(&proxies, evidence, second).rows()[0].standing;
    assert_eq!(stands(&evidence, 30), Standing::Stale);
    front.received(&Receipt::Acked(shipment(7)), at(31));
    assert_eq!(stands(&evidence, 32), Standing::Idle);
    let health = FilterHealth { stale: true, ..FilterHealth::default() };
    count(&mut evidence, "front", 33, Delta { health, ..Delta::default() });
    assert_eq!(stands(&evidence, 34), Standing::Stale, "it expired again");
}

#[test]
fn two_streams_of_one_node_are_two_rows() {
    let (proxies, evidence) = (Arc::<Proxies>::default(), evidence());
    let _open = [1, 2].map(|second| connect(&proxies, "same", "shop/front", second));
    let rows = seen(&proxies, &evidence, 3).rows();
    assert_eq!(rows.iter().map(stream_of).collect::<Vec<_>>(), [Some(1), Some(2)]);
}

fn edge_at(proxies: &Proxies, evidence: &Aggregate, second: u64) -> (EdgeSeen, Option<String>) {
    let rows = seen(proxies, evidence, second).rows();
    let edge = edges(&[checkout()], evidence, &rows, s(second)).remove(0);
    (edge.seen, edge.message)
}

#[test]
fn a_journey_without_an_edge_is_told_from_one_without_requests() {
    let (proxies, mut evidence) = (Arc::<Proxies>::default(), evidence());
    let _front = connect(&proxies, "front", "shop/front", 1);
    let (state, message) = edge_at(&proxies, &evidence, 30);
    assert_eq!(state, EdgeSeen::NoEdge);
    insta::assert_snapshot!(message.unwrap(), @"no edge has reported for checkout since the control plane started, 30 s ago: check that the gateway shop/gate has the filter and reaches the control plane");
    let gate = connect(&proxies, "gate", "shop/gate", 31);
    let (state, message) = edge_at(&proxies, &evidence, 40);
    assert_eq!(state, EdgeSeen::NoRequest);
    insta::assert_snapshot!(message.unwrap(), @"an edge is connected for checkout, but no request entered since the control plane started");
    report(&mut evidence, "gate", 41, 1, &[]);
    assert_eq!(edge_at(&proxies, &evidence, 46), (EdgeSeen::Reporting, None));
    let (state, message) = edge_at(&proxies, &evidence, 60);
    assert_eq!(state, EdgeSeen::NoRequest);
    insta::assert_snapshot!(message.unwrap(), @"an edge is connected for checkout, but no request entered in the last window (the last one 19 s ago)");
    gate.ended(End::Closed, s(61));
    let (_, message) = edge_at(&proxies, &evidence, 62);
    insta::assert_snapshot!(message.unwrap(), @"an edge has reported for checkout, but no request entered in the last window (the last one 21 s ago); no filter of shop/gate is known");
}

#[test]
fn a_callee_without_a_filter_is_told_once_calls_reach_it() {
    let (proxies, mut evidence) = (Arc::<Proxies>::default(), evidence());
    let said = |evidence: &Aggregate, second| {
        let rows = seen(&proxies, evidence, second).rows();
        bypassed(&[checkout()], evidence, &rows, s(second))
    };
    report(&mut evidence, "front", 10, 0, &[Outcome::Success]);
    assert_eq!(said(&evidence, 11), [], "its filter may still be on its way back");
    assert_eq!(said(&evidence, 30), [], "nothing was called lately");
    report(
        &mut evidence,
        "front",
        31,
        0,
        &[Outcome::Shed, Outcome::Error, Outcome::Timeout, Outcome::Fallback],
    );
    assert_eq!(said(&evidence, 32), [], "a workload that is down is called in vain");
    report(&mut evidence, "front", 33, 0, &[Outcome::Success, Outcome::Error]);
    let found = said(&evidence, 34).remove(0);
    assert_eq!((found.destination.as_str(), found.calls), ("pay.shop", 1));
    insta::assert_snapshot!(found.message, @"pay.shop answered 1 calls in the window, but no filter of shop/pay is known: bypassed, or not in the mesh");
    let _pay = connect(&proxies, "pay", "shop/pay", 34);
    assert_eq!(said(&evidence, 35), []);
}

#[test]
fn ages_are_whole_units_rounded_down() {
    let ages = [0, 999, 1_000, 119_999, 120_000, 7_199_999, 7_200_000].map(|ms| age_of(Millis(ms)));
    assert_eq!(ages, ["0 ms", "999 ms", "1 s", "119 s", "2 min", "119 min", "2 h"]);
}
