use emac_trace::{CallOutcome, Symbols};

use super::*;

/// A call of `service`, made in the call at `parent` under the name `via`.
fn call(parent: Option<u32>, service: Symbol, via: Symbol, nameless: bool) -> Call {
    let (from, to) = if parent.is_some() { (1, 2) } else { (0, 3) };
    Call {
        parent,
        service,
        operation: Symbol::NONE,
        via,
        kind: CallKind::Request,
        start_ns: from,
        end_ns: to,
        done_ns: to,
        outcome: CallOutcome::Good,
        served: CallOutcome::Good,
        nameless,
        attempts: 1,
        mesh_retries: 0,
        cut: false,
    }
}

fn trace(id: u128, journey: Symbol, calls: Vec<Call>) -> Trace {
    Trace { id: TraceId(id), calls, journey, complete: true, headless: false }
}

/// Names of journeys and numbers of sites are of two tables; where both were added up, these two requests were of one shape.
#[test]
fn shapes_of_two_journeys_are_two() {
    let mut symbols = Symbols::default();
    let names: Vec<Symbol> = (0..8).map(|n| symbols.of(&format!("name{n}"))).collect();
    let mut observations = Observations::default();
    let entries: Vec<Trace> = (0..5)
        .map(|n| trace(n as u128 + 1, Symbol::NONE, vec![call(None, names[n], Symbol::NONE, false)]))
        .collect();
    entries.iter().for_each(|entry| observations.observe(entry));
    let before = observations.shapes().len();
    for (id, site) in [(10, 3), (11, 4)] {
        let journey = names.iter().find(|name| name.index() == names[4].index() + 4 - site);
        let calls = vec![call(None, names[site], Symbol::NONE, false)];
        observations.observe(&trace(id, *journey.unwrap(), calls));
    }
    assert_eq!(observations.shapes().len(), before + 2);
}

/// Given up before it arrived, a call names nobody; others of the same name in the same place say who it was, before it or after.
#[test]
fn a_call_without_a_name_is_what_others_of_its_kind_are() {
    let mut symbols = Symbols::default();
    let [front, cart, price, unknown] = ["front", "cart", "price", "unknown"].map(|name| symbols.of(name));
    let [get, find] = ["get", "find"].map(|name| symbols.of(name));
    let mut observations = Observations::default();
    let mut id = 0;
    let mut observe = |callee: Symbol, via: Symbol, nameless: bool| {
        id += 1;
        let calls = vec![call(None, front, Symbol::NONE, false), call(Some(0), callee, via, nameless)];
        observations.observe(&trace(id, Symbol::NONE, calls));
    };
    observe(unknown, get, true);
    observe(cart, get, false);
    observe(unknown, get, true);
    // Two callees under one name: nobody knows which.
    observe(cart, find, false);
    observe(price, find, false);
    observe(unknown, find, true);
    let services: Vec<&str> =
        observations.sites().iter().map(|(_, site)| symbols.text(site.service)).collect();
    assert_eq!(services, ["front", "cart", "price", "unknown"]);
    assert_eq!(observations.shapes().iter().map(|shape| shape.traces).collect::<Vec<_>>(), [4, 1, 1]);
}

/// A call whose callee recorded nothing (refused, or its span was lost) is what the others of that service under the same name are.
#[test]
fn a_call_that_its_callee_did_not_record_is_what_others_of_it_are() {
    let mut symbols = Symbols::default();
    let [front, cart, price] = ["front", "cart", "price"].map(|name| symbols.of(name));
    let [get, of_cart, of_price] = ["GET", "GET /cart", "GET /price"].map(|name| symbols.of(name));
    let mut observations = Observations::default();
    let mut id = 0;
    let mut observe = |callee: Symbol, operation: Symbol| {
        id += 1;
        let asked = Call { operation, ..call(Some(0), callee, get, false) };
        observations.observe(&trace(id, Symbol::NONE, vec![call(None, front, Symbol::NONE, false), asked]));
    };
    observe(cart, get);
    observe(cart, of_cart);
    observe(price, of_price);
    observe(price, get);
    observe(cart, get);
    let sites: Vec<(&str, &str)> = observations
        .sites()
        .iter()
        .map(|(_, site)| (symbols.text(site.service), symbols.text(site.operation)))
        .collect();
    assert_eq!(sites, [("front", ""), ("cart", "GET /cart"), ("price", "GET /price")]);
}
