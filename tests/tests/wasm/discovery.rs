//! What discovery sees of a journey through hop records alone, as the real module writes them.

use std::collections::BTreeMap;

use emac_proto::convert::NodeReport;
use emac_tests::wasm_host::{Direction, Exchange, FilterModule};
use emac_trace::{Assembler, CallOutcome, Symbols, Trace, TraceLimits};
use serde_json::json;

use crate::support::{Sidecar, alternate, budgets, equal, hop, module_or_return, with_hops};

/// Edge, applications and their sidecars, each with a clock of its own.
struct Mesh {
    sidecars: BTreeMap<&'static str, Sidecar>,
}

fn traceparent(span: u32) -> String {
    format!("00-{:032x}-{span:016x}-01", 0xabc_def_u32)
}

impl Mesh {
    fn new(module: &FilterModule) -> Self {
        let sidecar = |name: &'static str| {
            let role = if name == "edge" { "edge" } else { "auto" };
            let workload = format!("shop/{name}");
            let more = json!({"workload": workload, "node": format!("{name}-1"), "role": role});
            let sidecar = Sidecar::with(module.clone(), 1, more);
            let mut paya = hop("paya", 400);
            paya.fallback = Some(equal(alternate()));
            let mut budgets = if name == "front" { with_hops([paya]) } else { budgets() };
            budgets.workload = workload;
            budgets.journeys[0].record_ppm = 1_000_000;
            sidecar.push(&budgets);
            (name, sidecar)
        };
        Self { sidecars: ["edge", "front", "cart", "paya", "payb"].map(sidecar).into() }
    }

    fn advance(&self, ms: u64) {
        self.sidecars.values().for_each(|sidecar| sidecar.host.advance(ms));
    }

    fn arrive(&self, name: &str, baggage: &str, traceparent: &str) -> Exchange {
        self.sidecars[name].arrival(baggage).header("traceparent", traceparent).send()
    }

    fn call(&self, from: &str, to: &str, baggage: &str, span: u32) -> Exchange {
        let call = self.sidecars[from].plain_call(to).header("baggage", baggage);
        call.header("traceparent", traceparent(span)).send()
    }

    /// The request at the next workload, which answers after so long with this status.
    fn serve(&self, name: &str, baggage: &str, traceparent: &str, ms: u64, status: u16) {
        self.advance(1);
        let mut arrival = self.arrive(name, baggage, traceparent);
        self.advance(ms);
        arrival.respond(status, &[], b"");
        arrival.finish();
        self.advance(1);
    }

    fn checkout(&self) {
        let edge = self.sidecars["edge"].host.request(Direction::Outbound).cluster("front").path("/checkout");
        let mut edge = edge.header("traceparent", traceparent(1)).send();
        self.advance(1);
        let mut front = self.arrive("front", &baggage(&edge), &traceparent(1));
        self.advance(5);
        let inside = baggage(&front);
        let mut cart = self.call("front", "cart", &inside, 2);
        self.serve("cart", &baggage(&cart), &traceparent(2), 20, 200);
        cart.respond(200, &[], b"");
        cart.finish();
        let mut paya = self.call("front", "paya", &inside, 3);
        self.serve("paya", &baggage(&paya), &traceparent(3), 60, 500);
        paya.respond(500, &[], b"");
        let asked = paya.callout().expect("the alternate is asked");
        let said = |name| asked.headers.get(name).expect("handed on").to_owned();
        self.serve("payb", &said("baggage"), &said("traceparent"), 40, 200);
        paya.answer_callout(200, &[], b"paid");
        paya.finish();
        front.respond(200, &[], b"");
        front.finish();
        edge.respond(200, &[], b"");
        edge.finish();
    }

    fn assemble(&self) -> Vec<String> {
        let mut shown = Vec::new();
        let mut assembler = Assembler::new(TraceLimits::default(), |trace: &Trace, symbols: &Symbols| {
            assert!(trace.complete);
            assert_eq!(symbols.text(trace.journey), "checkout");
            shown.extend(show(trace, symbols));
        });
        for sidecar in self.sidecars.values() {
            sidecar.settle();
            sidecar.settle();
            for report in sidecar.host.control_plane().counted() {
                let report = NodeReport::try_from(report.clone()).expect("valid");
                report.report.delta.records.iter().for_each(|record| assembler.hop(&report.node, record));
            }
        }
        let quality = assembler.finish().quality;
        assert_eq!((quality.traces, quality.orphans), (1, 0), "{quality}");
        shown
    }
}

fn baggage(exchange: &Exchange) -> String {
    exchange.request_header("baggage").expect("our context")
}

/// `caller -> callee, milliseconds after the beginning, how long`, and how it ended if not well.
fn show(trace: &Trace, symbols: &Symbols) -> Vec<String> {
    let root = trace.calls[0];
    let show = |call: &emac_trace::Call| {
        let caller = call.parent.map_or("", |parent| symbols.text(trace.calls[parent as usize].service));
        let ms = |ns: i64| ns / 1_000_000;
        let (start, took) = (ms(call.start_ns - root.start_ns), ms(call.end_ns - call.start_ns));
        let ended =
            if call.outcome == CallOutcome::Good { String::new() } else { format!(" {:?}", call.outcome) };
        format!("{caller} -> {} {start}+{took}{ended}", symbols.text(call.service))
    };
    trace.calls.iter().map(show).collect()
}

#[test]
fn a_checkout_with_an_alternate_is_one_tree() {
    let mesh = Mesh::new(&module_or_return!());
    mesh.checkout();
    let expected = [
        " -> shop/edge 0+132",
        "shop/edge -> shop/front 0+132",
        "shop/front -> shop/cart 6+22",
        "shop/front -> shop/paya 28+63 Alternate",
        "shop/front -> shop/payb 91+40",
    ];
    assert_eq!(mesh.assemble(), expected);
}
