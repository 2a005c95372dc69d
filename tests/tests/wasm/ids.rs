//! Under what records of one request meet, who ended a call, and requests that nobody declared: as the real module writes them.

use std::collections::{BTreeMap, BTreeSet};

use emac_proto::convert::NodeReport;
use emac_proto::v1::{EndedBy, HopRecord, Outcome, WorkloadBudgets};
use emac_tests::wasm_host::{Direction, FilterModule, RequestBuilder};
use emac_trace::{Assembler, Symbols, Trace, TraceLimits};
use serde_json::{Value, json};

use crate::support::{Sidecar, budgets, hop, module_or_return, static_fallback, with_hops};

const UUID: &str = "0af76519-16cd-93dd-8448-eb211c80319c";
/// The same id, whose version's digit says nothing.
const FROM_UUID: &str = "0af7651916cd43dd8448eb211c80319c";

fn recorded(share: u32) -> WorkloadBudgets {
    let mut budgets = budgets();
    budgets.journeys[0].record_ppm = share;
    budgets
}

fn gateway(module: FilterModule, more: Value, budgets: &WorkloadBudgets) -> Sidecar {
    let mut base = json!({"role": "edge", "workload": "shop/gateway", "node": "gateway-1"});
    base.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let sidecar = Sidecar::with(module, 1, base);
    sidecar.push(&WorkloadBudgets { workload: "shop/gateway".into(), ..budgets.clone() });
    sidecar
}

fn visit(sidecar: &Sidecar, path: &str) -> RequestBuilder {
    sidecar.host.request(Direction::Outbound).cluster("front").path(path)
}

fn records(sidecar: &Sidecar) -> Vec<HopRecord> {
    sidecar.settle();
    sidecar.settle();
    sidecar.host.control_plane().counted().into_iter().flat_map(|report| report.records.clone()).collect()
}

/// Sends it, answers it, and the `traceparent` that went on.
fn answered(request: RequestBuilder) -> Option<String> {
    let mut exchange = request.send();
    let traceparent = exchange.request_header("traceparent");
    exchange.respond(200, &[], b"");
    exchange.finish();
    traceparent
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_request_without_a_trace_gets_one_of_its_request_id() {
    let edge = gateway(module_or_return!(), json!({}), &recorded(1_000_000));
    let given = answered(visit(&edge, "/checkout").header("x-request-id", UUID)).expect("a traceparent");
    assert!(given.starts_with(&format!("00-{FROM_UUID}-")) && given.ends_with("-01"), "{given}");
    let parsed = emac_core::context::TraceParent::parse(given.as_bytes()).expect("valid");
    let record = records(&edge).remove(0);
    assert_eq!(hex(&record.trace_id), FROM_UUID);
    assert_eq!(record.parent_span_id, parsed.parent_span_id);
    assert!(record.request_id.is_empty(), "it is the trace id");
}

#[test]
fn without_a_request_id_the_trace_id_is_drawn_and_no_two_are_alike() {
    let more = json!({"role": "edge", "workload": "shop/gateway", "node": "gateway-1"});
    let edge = Sidecar::with(module_or_return!(), 3, more);
    edge.push(&WorkloadBudgets { workload: "shop/gateway".into(), ..recorded(1_000_000) });
    let mut seen = BTreeSet::new();
    for id in ["", "42", "not-a-uuid", "00000000-0000-0000-0000-000000000000", "x-x-x-x-x"] {
        for request in 0..60 {
            let visit = visit(&edge, "/checkout").worker(request % 3);
            let visit = if id.is_empty() { visit } else { visit.header("x-request-id", id) };
            let given = answered(visit).expect("a traceparent");
            let parsed = emac_core::context::TraceParent::parse(given.as_bytes()).expect("valid");
            assert!(seen.insert(parsed.trace_id), "{given} again");
        }
    }
}

#[test]
fn what_somebody_wrote_is_never_replaced_usable_or_not() {
    let edge = gateway(module_or_return!(), json!({}), &recorded(1_000_000));
    let theirs = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-00";
    let unusable = [
        "00-00000000000000000000000000000000-bbbbbbbbbbbbbbbb-01",
        "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-0000000000000000-01",
        "00-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-BBBBBBBBBBBBBBBB-01",
        "ff-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-01",
        "nonsense",
        "",
    ];
    for header in unusable.into_iter().chain([theirs]) {
        let request = visit(&edge, "/checkout").header("x-request-id", UUID).header("traceparent", header);
        assert_eq!(answered(request).as_deref(), Some(header));
    }
    // One with neither is recorded under nothing.
    answered(visit(&edge, "/checkout").header("traceparent", "nonsense"));
    let mut seen = BTreeMap::new();
    for record in records(&edge) {
        *seen.entry((hex(&record.trace_id), hex(&record.request_id))).or_insert(0) += 1;
    }
    let expected = [
        ((FROM_UUID.to_owned(), String::new()), unusable.len()),
        (("a".repeat(32), FROM_UUID.to_owned()), 1),
    ];
    assert_eq!(seen, BTreeMap::from(expected));
    assert_eq!(edge.host.metric("emac_traceparent_invalid_total"), unusable.len() as u64 + 1);
}

#[test]
fn a_request_whose_hops_are_not_recorded_gets_nothing_and_costs_nothing() {
    let module = module_or_return!();
    let calls = |share: u32, more: Value, request: &dyn Fn(&Sidecar) -> RequestBuilder| {
        let edge = gateway(module.clone(), more, &recorded(share));
        for _ in 0..3 {
            answered(request(&edge));
        }
        let before = edge.host.calls_total();
        let given = answered(request(&edge));
        (edge.host.calls_total() - before, given)
    };
    let bare = |edge: &Sidecar| visit(edge, "/checkout").header("x-request-id", UUID);
    let traced =
        |edge: &Sidecar| bare(edge).header("traceparent", format!("00-{FROM_UUID}-00000000000000aa-01"));
    let (without, given) = calls(0, json!({}), &bare);
    assert_eq!(given, None);
    assert_eq!(without, calls(0, json!({}), &traced).0, "as one that somebody traces");
    let (recorded_bare, _) = calls(1_000_000, json!({}), &bare);
    let (recorded_traced, _) = calls(1_000_000, json!({}), &traced);
    assert_eq!(recorded_bare, recorded_traced + 1, "the header");
    println!(
        "host calls at the edge: {without} unrecorded, {recorded_traced} recorded, {recorded_bare} recorded and minted"
    );
    let (_, kept) = calls(1_000_000, json!({"mint_traceparent": false}), &bare);
    assert_eq!(kept, None);
}

/// Name and value.
type Header = (&'static str, String);

/// A pod whose application hands on these of the headers it is given.
fn through(
    sidecar: &Sidecar,
    next: &str,
    given: &[(&str, String)],
    forwards: &[&str],
) -> Vec<(&'static str, String)> {
    let of = |request: RequestBuilder, headers: &[(&str, String)]| {
        headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    };
    let arrival = of(sidecar.host.request(Direction::Inbound).cluster("inbound"), given).send();
    let headers = ["baggage", "traceparent", "x-request-id"];
    let inside: Vec<(&str, String)> = headers
        .into_iter()
        .filter_map(|name| Some((name, arrival.request_header(name)?)))
        .filter(|(name, _)| forwards.contains(name))
        .collect();
    sidecar.host.advance(2);
    let mut call = of(sidecar.plain_call(next), &inside).send();
    let outside = headers.into_iter().filter_map(|name| Some((name, call.request_header(name)?))).collect();
    sidecar.host.advance(5);
    call.respond(200, &[], b"");
    call.finish();
    let mut arrival = arrival;
    arrival.respond(200, &[], b"");
    arrival.finish();
    outside
}

fn chain(
    module: &FilterModule,
    client: &[(&'static str, String)],
    forwards: &[&str],
    join: &str,
) -> (u64, Vec<usize>) {
    let edge = gateway(module.clone(), json!({}), &recorded(1_000_000));
    let pods = ["shop/front", "shop/cart"].map(|workload| {
        let sidecar =
            Sidecar::with(module.clone(), 1, json!({"workload": workload, "node": workload, "join": join}));
        sidecar.push(&WorkloadBudgets { workload: workload.to_owned(), ..recorded(1_000_000) });
        sidecar
    });
    let entering =
        client.iter().fold(visit(&edge, "/checkout"), |request, (name, value)| request.header(name, value));
    let mut entered = entering.send();
    let headers = ["baggage", "traceparent", "x-request-id"];
    let mut carried: Vec<_> =
        headers.into_iter().filter_map(|name| Some((name, entered.request_header(name)?))).collect();
    for (pod, next) in pods.iter().zip(["cart", "stock"]) {
        pod.host.advance(1);
        carried = through(pod, next, &carried, forwards);
    }
    edge.host.advance(20);
    entered.respond(200, &[], b"");
    entered.finish();
    let mut sizes = Vec::new();
    let mut assembler =
        Assembler::new(TraceLimits::default(), |trace: &Trace, _: &Symbols| sizes.push(trace.calls.len()));
    for sidecar in [&edge].into_iter().chain(&pods) {
        sidecar.settle();
        sidecar.settle();
        for report in sidecar.host.control_plane().counted() {
            let report = NodeReport::try_from(report.clone()).expect("valid");
            report.report.delta.records.iter().for_each(|record| assembler.hop(&report.node, record));
        }
    }
    let traces = assembler.finish().quality.traces;
    (traces, sizes)
}

/// Edge, two pods and the calls between them are one request, whichever of the headers the applications hand on.
#[test]
fn records_join_without_any_tracing_whatever_applications_hand_on() {
    let module = module_or_return!();
    let id = ("x-request-id", UUID.to_owned());
    let theirs = ("traceparent", format!("00-{}-00000000000000aa-01", "a".repeat(32)));
    let zero = ("traceparent", format!("00-{}-00000000000000aa-01", "0".repeat(32)));
    let cases: [(&str, Vec<Header>, &[&str], &str); 7] = [
        ("Istio's applications", vec![id.clone()], &["x-request-id"], "traceparent"),
        ("traced client", vec![id.clone(), theirs.clone()], &["x-request-id"], "traceparent"),
        ("unusable trace", vec![id.clone(), zero], &["x-request-id", "traceparent"], "traceparent"),
        ("no request id", vec![], &["traceparent"], "traceparent"),
        ("an SDK", vec![id.clone()], &["baggage", "traceparent"], "baggage"),
        ("baggage and request id", vec![id.clone(), theirs], &["baggage", "x-request-id"], "baggage"),
        ("everything", vec![id], &["baggage", "traceparent", "x-request-id"], "baggage"),
    ];
    for (name, client, forwards, join) in cases {
        let (traces, sizes) = chain(&module, &client, forwards, join);
        assert_eq!((traces, sizes), (1, vec![4]), "{name}");
    }
}

#[test]
fn a_record_says_who_ended_the_call_and_how_often_the_mesh_tried() {
    let cached = emac_proto::v1::HopBudget { fallback: Some(static_fallback()), ..hop("cached", 500) };
    let hops = [hop("cart", 500), hop("slow", 100), cached];
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops(hops));
    let sampled = || {
        let inside = sidecar
            .arrival("emac=v2.checkout.r900.0100")
            .header("traceparent", format!("00-{FROM_UUID}-00000000000000aa-01"));
        inside.send().request_header("baggage").expect("our context")
    };
    let call = |cluster: &str| {
        let call = sidecar.plain_call(cluster).header("baggage", sampled());
        call.header("traceparent", format!("00-{FROM_UUID}-00000000000000ab-01")).send()
    };
    let mut good = call("cart");
    good.respond(200, &[], b"");
    good.finish();
    let mut theirs = call("cart");
    theirs.respond(504, &[], b"the callee's own timeout");
    theirs.finish();
    let mut route = call("cart");
    route.upstream_times_out();
    route.finish();
    let mut refused = call("cart");
    refused.upstream_refuses();
    refused.finish();
    call("cart").cancel();
    let mut cut = call("slow");
    assert_eq!(cut.cut_after_ms(), Some(100));
    cut.finish();
    let mut kept = call("cached");
    kept.respond(503, &[], b"");
    kept.finish();
    let seen: Vec<(EndedBy, u32)> = records(&sidecar)
        .iter()
        .filter(|record| !record.inbound)
        .map(|record| (EndedBy::try_from(record.ended_by).expect("known"), record.status))
        .collect();
    let expected = [
        (EndedBy::Callee, 200),
        (EndedBy::Callee, 504),
        (EndedBy::Mesh, 504),
        (EndedBy::Mesh, 503),
        (EndedBy::Caller, 0),
        (EndedBy::Filter, 504),
        (EndedBy::Filter, 200),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn requests_on_no_declared_journey_are_followed_where_that_is_asked_for_and_bound_by_nothing() {
    let module = module_or_return!();
    let off = gateway(module.clone(), json!({}), &recorded(1_000_000));
    let passing = visit(&off, "/orders/7").header("x-request-id", UUID).send();
    assert_eq!((passing.request_header("baggage"), passing.request_header("traceparent")), (None, None));
    passing.finish();

    let edge = gateway(module.clone(), json!({"undeclared_ppm": 1_000_000}), &recorded(0));
    let mut entered = visit(&edge, "/orders/7?x=1").header("x-request-id", UUID).send();
    let baggage = entered.request_header("baggage").expect("a context");
    assert!(baggage.starts_with("emac=v2.-.r"), "{baggage}");
    let front = Sidecar::with(module, 1, json!({}));
    let mut every = hop("cart", 100);
    every.journey = String::new();
    front.push(&with_hops([hop("cart", 50), every]));
    let traceparent = entered.request_header("traceparent").expect("minted");
    let arrival = front.arrival(&baggage).header("traceparent", &traceparent).send();
    let inside = arrival.request_header("baggage").expect("our context");
    let mut call =
        front.plain_call("cart").header("baggage", &inside).header("traceparent", &traceparent).send();
    front.host.advance(60_000);
    assert!(call.local_reply().is_none(), "nothing bounds it");
    call.respond(200, &[], b"");
    call.finish();
    arrival.finish();
    entered.respond(200, &[], b"");
    entered.finish();
    let of = |record: &HopRecord| {
        let hop = record.hop.clone().unwrap_or_default();
        (hop.journey, hop.operation, record.inbound)
    };
    assert_eq!(
        records(&edge).iter().map(of).collect::<Vec<_>>(),
        [("-".into(), "GET /orders/{id}".into(), false)]
    );
    let behind: BTreeSet<_> = records(&front).iter().map(of).collect();
    assert_eq!(
        behind,
        BTreeSet::from([("-".into(), String::new(), true), ("-".into(), String::new(), false)])
    );
    // As traffic of no journey in every count.
    let control_plane = front.host.control_plane();
    let hops = control_plane.counted().into_iter().flat_map(|report| &report.hops);
    assert!(hops.into_iter().all(|delta| delta.hop.as_ref().is_some_and(|hop| hop.journey != "-")));
    assert_eq!(front.host.metric("emac_journey_unknown_total"), 0);
}

#[test]
fn ten_thousand_paths_are_a_few_entries_and_the_rest_is_counted() {
    let edge = gateway(module_or_return!(), json!({"undeclared_ppm": 1_000_000}), &recorded(0));
    let word = |mut n: u32| {
        let mut word = String::new();
        for _ in 0..4 {
            word.push(char::from(b'a' + (n % 26) as u8));
            n /= 26;
        }
        word
    };
    for n in 0..10_000 {
        visit(&edge, &format!("/{}", word(n))).send().finish();
        visit(&edge, &format!("/items/{n}")).send().finish();
    }
    let probe = visit(&edge, "/healthz").header("user-agent", "kube-probe/1.30").send();
    assert_eq!(probe.request_header("baggage"), None, "nobody's request");
    probe.finish();
    let names: BTreeSet<String> =
        records(&edge).into_iter().filter_map(|record| Some(record.hop?.operation)).collect();
    assert!(names.len() <= 64 && names.contains("GET /items/{id}"), "{names:?}");
    assert!(edge.host.metric("emac_undeclared_dropped_total") >= 10_000 - 64);
}

#[test]
fn grpc_and_an_old_client_are_followed_too() {
    let edge = gateway(module_or_return!(), json!({"undeclared_ppm": 1_000_000}), &recorded(0));
    visit(&edge, "/").grpc("shop.Orders/List").header("x-request-id", UUID).send().finish();
    // HTTP/1.0: no host, no request id.
    visit(&edge, "/old").authority("").without(":authority").send().finish();
    let names: BTreeSet<String> =
        records(&edge).into_iter().filter_map(|record| Some(record.hop?.operation)).collect();
    assert_eq!(names, BTreeSet::from(["shop.Orders/List".to_owned(), "GET /old".to_owned()]));
}

/// `grpc-status` of an answer whose HTTP status is 200 says how it ended, also to the callee's side and to a workload at the edge.
#[test]
fn a_grpc_answer_that_failed_is_no_success_of_the_side_that_gave_it() {
    let module = module_or_return!();
    for edge in [true, false] {
        let sidecar = Sidecar::with(module.clone(), 1, json!({"edge": edge}));
        sidecar.push(&recorded(1_000_000));
        for status in [0, 14] {
            let arrival = sidecar.host.request(Direction::Inbound).cluster("inbound").path("/checkout");
            let arrival = arrival.header("te", "trailers").header("content-type", "application/grpc");
            let arrival =
                arrival.header("x-request-id", UUID).header("baggage", "emac=v2.checkout.r300.0100");
            let mut arrival = arrival.send();
            arrival.respond_grpc(status, b"\0\0\0\0\0");
            arrival.finish();
        }
        let ended: Vec<_> =
            records(&sidecar).iter().map(|record| (record.outcome(), record.status)).collect();
        assert_eq!(ended, [(Outcome::Success, 200), (Outcome::Error, 200)], "edge: {edge}");
    }
}

#[test]
fn a_workload_at_the_edge_gives_its_requests_what_a_gateway_gives() {
    let sidecar = Sidecar::with(module_or_return!(), 1, json!({"edge": true, "undeclared_ppm": 1_000_000}));
    sidecar.push(&recorded(1_000_000));
    let inbound = |path: &str| {
        let arrival = sidecar.host.request(Direction::Inbound).cluster("inbound").path(path);
        let mut arrival = arrival.header("x-request-id", UUID).send();
        let given = (arrival.request_header("traceparent"), arrival.request_header("baggage"));
        arrival.respond(200, &[], b"");
        arrival.finish();
        given
    };
    for (path, journey) in [("/checkout", "checkout"), ("/orders/7", "-")] {
        let (traceparent, baggage) = inbound(path);
        assert!(traceparent.is_some_and(|given| given.contains(FROM_UUID)), "{path}");
        assert!(baggage.is_some_and(|given| given.starts_with(&format!("emac=v2.{journey}.a"))), "{path}");
    }
    let of = |record: &HopRecord| {
        let hop = record.hop.clone().unwrap_or_default();
        (hop.journey, hop.operation, record.inbound, record.ended_by)
    };
    let seen: BTreeSet<_> = records(&sidecar).iter().map(of).collect();
    let callee = i32::from(EndedBy::Callee);
    let expected = [
        ("checkout".into(), String::new(), true, callee),
        ("-".into(), "GET /orders/{id}".into(), true, callee),
    ];
    assert_eq!(seen, BTreeSet::from(expected));
}
