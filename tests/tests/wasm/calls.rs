//! What a request costs: entries into the module and calls out of it, each a budget that no change exceeds unseen.
//!
//! A call that hands bytes over costs an Envoy five times what another does, as the module is called back for room (see `bench/results.md`,
//! "Filter, cost a request").

use std::collections::BTreeMap;

use emac_proto::v1::HopBudget;
use emac_tests::wasm_host::{Direction, FilterModule, HostCall, RequestBuilder};
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

/// A kind of request: listener, configuration, mode, whether it is on a journey; and the most it may cost.
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

/// One row a kind of request; `auto` are the sides of an Istio sidecar. Entries: context, request headers, response headers, its body, log,
/// delete. Fractions are what is looked at now and then.
const BUDGETS: [Row; 15] = [
    row("outbound", "observe", true, (6.0, 7.25, 3.15)),
    row("outbound", "observe", false, (6.0, 7.25, 2.15)),
    row("outbound", "enforce", true, (6.0, 8.25, 3.15)),
    row("outbound", "enforce", false, (6.0, 7.25, 2.15)),
    // Who says where it goes and how often its route retries saves a property and a header.
    row("told", "enforce", true, (6.0, 6.25, 2.15)),
    row("auto outbound", "enforce", true, (6.0, 8.25, 3.15)),
    row("auto inbound", "enforce", true, (6.0, 8.25, 3.0)),
    row("inbound", "observe", true, (6.0, 7.1, 2.0)),
    row("inbound", "observe", false, (6.0, 2.1, 0.0)),
    row("inbound", "enforce", true, (6.0, 7.1, 2.0)),
    row("inbound", "enforce", false, (6.0, 2.1, 0.0)),
    row("edge", "observe", true, (6.0, 8.25, 3.15)),
    row("edge", "observe", false, (6.0, 6.25, 3.15)),
    row("edge", "enforce", true, (6.0, 9.25, 3.15)),
    row("edge", "enforce", false, (6.0, 6.25, 3.15)),
];

/// A hop with everything that a budget can hold.
fn full(destination: &str) -> HopBudget {
    HopBudget {
        reserve_ms: 20,
        useful_min_ms: 5,
        retry: Some(scarce_retries()),
        fallback: Some(static_fallback()),
        ..hop(destination, 150)
    }
}

fn sidecar(module: FilterModule, row: &Row) -> Sidecar {
    let mut configuration = match row.role {
        "told" => json!({"role": "outbound", "destination": "pricing", "route_retries": 2}),
        role => json!({"role": role.split(' ').next()}),
    };
    configuration["mode"] = row.mode.into();
    let sidecar = Sidecar::with(module, 1, configuration);
    sidecar.push(&with_hops([full("pricing"), full("pricing.shop")]));
    sidecar
}

fn request(sidecar: &Sidecar, row: &Row) -> RequestBuilder {
    let inbound = row.role.ends_with("inbound");
    let direction = if inbound { Direction::Inbound } else { Direction::Outbound };
    let cluster = match row.role {
        "auto inbound" => "inbound|8080||",
        "auto outbound" => "outbound|8080||pricing.shop",
        _ => "pricing",
    };
    let request = sidecar.host.request(direction).cluster(cluster).authority("pricing");
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
        let sidecar = sidecar(module.clone(), row);
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
