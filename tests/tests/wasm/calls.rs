//! What a request costs: entries into the module and calls out of it, each a budget that no change exceeds unseen.
//!
//! A call that hands bytes over costs an Envoy five times what another does, as the module is called back for room (see `bench/results.md`,
//! "Filter, cost a request").

use std::collections::BTreeMap;

use emac_proto::v1::HopBudget;
use emac_tests::wasm_host::{Direction, HostCall, RequestBuilder};
use serde_json::json;

use crate::support::{Sidecar, hop, module_or_return, scarce_retries, static_fallback, with_hops};

/// Requests until what is looked at in the beginning, and now and then, is not looked at.
const SETTLED: u64 = 1_500;
const MEASURED: u64 = 400;

/// On average: entries into the module, calls out of it, and how many of those hand bytes over.
#[derive(Clone, Copy, Debug)]
struct Cost {
    entries: f64,
    calls: f64,
    bytes: f64,
}

/// A kind of request: (listener, configuration, mode, on a journey) and the most it may cost.
struct Row {
    role: &'static str,
    mode: &'static str,
    journey: bool,
    most: Cost,
}

const fn row(
    role: &'static str,
    mode: &'static str,
    journey: bool,
    (entries, calls, bytes): (f64, f64, f64),
) -> Row {
    Row { role, mode, journey, most: Cost { entries, calls, bytes } }
}

/// One row a kind of request.
const BUDGETS: [Row; 12] = [
    row("outbound", "observe", true, (8.0, 10.0, 5.0)),
    row("outbound", "observe", false, (8.0, 10.0, 5.0)),
    row("outbound", "enforce", true, (8.0, 14.0, 5.0)),
    row("outbound", "enforce", false, (8.0, 14.0, 5.0)),
    row("inbound", "observe", true, (8.0, 14.0, 5.0)),
    row("inbound", "observe", false, (8.0, 14.0, 5.0)),
    row("inbound", "enforce", true, (8.0, 14.0, 5.0)),
    row("inbound", "enforce", false, (8.0, 14.0, 5.0)),
    row("edge", "observe", true, (8.0, 14.0, 5.0)),
    row("edge", "observe", false, (8.0, 14.0, 5.0)),
    row("edge", "enforce", true, (8.0, 14.0, 5.0)),
    row("edge", "enforce", false, (8.0, 14.0, 5.0)),
];

/// A hop with everything that a budget can hold.
fn pricing() -> HopBudget {
    HopBudget {
        reserve_ms: 20,
        useful_min_ms: 5,
        retry: Some(scarce_retries()),
        fallback: Some(static_fallback()),
        ..hop("pricing", 150)
    }
}

fn sidecar(module: emac_tests::wasm_host::FilterModule, role: &str, mode: &str) -> Sidecar {
    let sidecar = Sidecar::with(module, 1, json!({"role": role, "mode": mode}));
    sidecar.push(&with_hops([pricing()]));
    sidecar
}

fn request(sidecar: &Sidecar, row: &Row) -> RequestBuilder {
    let direction = if row.role == "inbound" { Direction::Inbound } else { Direction::Outbound };
    let request = sidecar.host.request(direction).cluster("pricing").authority("pricing");
    let request = request.header("accept", "application/json").header("user-agent", "test/1");
    match (row.role, row.journey) {
        ("edge", true) => request.path("/checkout"),
        (_, true) => request.header("baggage", "tenant=blue,emac=v2.checkout.r900.0000"),
        _ => request,
    }
}

fn serve(sidecar: &Sidecar, row: &Row) {
    let mut call = request(sidecar, row).send();
    assert!(call.forwarded());
    sidecar.host.advance(3);
    call.respond(200, &[("content-type", "application/json")], b"{}");
    assert_eq!(call.finish().status(), 200);
}

fn measure(sidecar: &Sidecar, row: &Row) -> (Cost, BTreeMap<HostCall, f64>) {
    (0..SETTLED).for_each(|_| serve(sidecar, row));
    let state = || {
        let host = &sidecar.host;
        let entries = host.vm(1).entries();
        (entries, host.calls_total(), host.calls_with_bytes(), host.calls_by_kind())
    };
    let before = state();
    (0..MEASURED).for_each(|_| serve(sidecar, row));
    let after = state();
    let mean = |before: u64, after: u64| (after - before) as f64 / MEASURED as f64;
    let by_kind =
        after.3.iter().map(|(kind, count)| (*kind, mean(before.3.get(kind).copied().unwrap_or(0), *count)));
    let by_kind = by_kind.filter(|(_, mean)| *mean > 0.0).collect();
    let cost = Cost {
        entries: mean(before.0, after.0),
        calls: mean(before.1, after.1),
        bytes: mean(before.2, after.2),
    };
    (cost, by_kind)
}

#[test]
fn a_request_costs_no_more_than_its_budget() {
    let module = module_or_return!();
    let mut over = Vec::new();
    for row in &BUDGETS {
        let sidecar = sidecar(module.clone(), row.role, row.mode);
        let (cost, by_kind) = measure(&sidecar, row);
        let journey = if row.journey { "on a journey" } else { "on none" };
        let name = format!("{}, {}, {journey}", row.role, row.mode);
        println!("{name}: {cost:.2?} {by_kind:.2?}");
        let (Cost { entries, calls, bytes }, most) = (cost, row.most);
        if entries > most.entries || calls > most.calls || bytes > most.bytes {
            over.push(format!("{name}: {cost:.2?}, at most {most:.2?}: {by_kind:.2?}"));
        }
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}
