//! Random requests, answers and budgets: seeded, so that a failure repeats; a trap anywhere fails.

use emac_proto::v1::{HopBudget, ReportRequest};
use emac_tests::wasm_host::{Direction, Exchange, Headers, RequestBuilder};
use prost::Message;
use serde_json::json;

use crate::support::{
    Sidecar, WORKLOAD, alternate, equal, hop, module_or_return, static_fallback, total, with_hops,
};

/// A state of [`emac_core::mix`].
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        emac_core::mix::next(&mut self.0)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Any bytes that a header value may have: no line ends, no zero.
    fn value(&mut self, max: u64) -> Vec<u8> {
        let len = self.below(max);
        (0..len).map(|_| self.next() as u8).filter(|byte| !matches!(byte, 0 | b'\r' | b'\n')).collect()
    }

    /// Valid text with some bytes changed, dropped or doubled.
    fn mangled(&mut self, text: &str) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len().max(1) as u64) as usize;
            match self.below(3) {
                0 if at < bytes.len() => bytes[at] = self.next() as u8 | 1,
                1 if at < bytes.len() => drop(bytes.remove(at)),
                _ => bytes.insert(at.min(bytes.len()), b"0:;=,%"[self.below(6) as usize]),
            }
        }
        bytes.retain(|byte| !matches!(byte, 0 | b'\r' | b'\n'));
        bytes
    }
}

const METHODS: [&str; 8] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "geT"];
const NAMES: [&str; 14] = [
    "baggage",
    "traceparent",
    "tracestate",
    "content-type",
    "content-length",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-max-retries",
    "emac-decision",
    "grpc-timeout",
    "x-request-id",
    "host",
    "te",
    "x-envoy-expected-rq-timeout-ms",
    "x",
];
const TEXTS: [&str; 8] = [
    "emac=v1:checkout:1700000000900:0100",
    "emac=v1:checkout:900:0000",
    "a=1,emac=v1:checkout:1700000000900:01ff,b=2",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "application/grpc+proto",
    "18446744073709551616",
    "100m",
    "",
];

fn request(sidecar: &Sidecar, random: &mut Random, direction: Direction) -> RequestBuilder {
    let long = "c".repeat(2_000);
    let mut request = sidecar.host.request(direction).cluster(match random.below(24) {
        0 => "",
        // As Istio names them.
        1 if direction == Direction::Outbound => "outbound|80||x.y",
        1 => "inbound|80||",
        2 => &long,
        _ => random.of(&["paya", "pricing", "cart"]),
    });
    request = request.method(random.of(&METHODS));
    if random.one_in(8) {
        request = request.grpc("shop.Cart/Add");
    }
    if random.one_in(3) {
        let repeated = "/carts/7".repeat(random.of(&[1, 1, 1, 200]));
        let path = String::from_utf8_lossy(&random.mangled(&format!("{repeated}/pay?x=%20&y"))).into_owned();
        request = request.path(&path);
    }
    for name in [":path", ":method", ":authority", ":scheme"] {
        if random.one_in(40) {
            request = request.without(name);
        }
    }
    for _ in 0..random.below(8) {
        let name = random.of(&NAMES);
        let value = if random.one_in(4) {
            random.value(40)
        } else {
            let text = random.of(&TEXTS);
            random.mangled(text)
        };
        request = request.header(name, value);
    }
    if random.one_in(30) {
        request = request.header("baggage", random.value(20_000));
    }
    for _ in 0..random.below(3) {
        request = request.chunk(random.value(80));
    }
    if random.one_in(10) { request.trailers(Headers::of([("x-end", "1")])) } else { request }
}

/// Plays one request to its end; whether it was a call.
fn play(sidecar: &Sidecar, random: &mut Random) -> bool {
    let direction = if random.one_in(3) { Direction::Inbound } else { Direction::Outbound };
    let mut call = request(sidecar, random, direction).send();
    sidecar.host.advance(random.below(200));
    if random.one_in(12) {
        call.cancel();
        return direction == Direction::Outbound;
    }
    if call.forwarded() {
        answer(&mut call, random);
    }
    match (call.callout(), random.below(4)) {
        (Some(_), 0) => call.break_callout(),
        (Some(_), 1) => {
            call.cancel();
            sidecar.host.answer_every_http_call();
            return direction == Direction::Outbound;
        }
        (Some(_), _) => {
            let status = random.of(&[200, 404, 503]);
            call.answer_callout(status, &[("x-a", "b"), ("connection", "close")], random.value(50));
        }
        (None, _) => {}
    }
    assert!(!call.paused(), "nothing may hang");
    call.finish();
    direction == Direction::Outbound
}

fn answer(call: &mut Exchange, random: &mut Random) {
    match random.below(5) {
        0 => call.upstream_times_out(),
        1 => call.upstream_refuses(),
        2 => call.respond_grpc(random.below(20) as u32, b"x"),
        _ => {
            let kind = String::from_utf8_lossy(&random.mangled("application/json")).into_owned();
            let status = random.of(&[100, 200, 204, 302, 404, 429, 500, 503, 599]);
            call.respond(status, &[("content-type", &kind), ("grpc-status", "x")], random.value(50));
        }
    }
}

#[test]
fn random_requests_and_answers_never_trap_and_are_all_counted() {
    let paya = HopBudget { fallback: Some(equal(alternate())), ..hop("paya", 100) };
    let pricing = HopBudget { fallback: Some(static_fallback()), ..hop("pricing", 100) };
    let module = module_or_return!();
    for seed in 0..8 {
        let sidecar = Sidecar::with(module.clone(), 1, json!({"operations": seed % 2 == 1, "max_hops": 32}));
        sidecar.push(&with_hops([paya.clone(), pricing.clone(), hop("cart", 100)]));
        let mut random = Random(seed);
        let mut calls = 0;
        for _ in 0..400 {
            calls += u64::from(play(&sidecar, &mut random));
            if random.one_in(20) {
                sidecar.host.run_for(300);
            }
        }
        assert_eq!(sidecar.host.vm(1).open_streams(), 0, "seed {seed}");
        assert_eq!(sidecar.outcomes().values().map(total).sum::<u64>(), calls, "seed {seed}");
        let failed =
            |report: &ReportRequest| report.health.as_ref().map_or(0, |h| h.internal_errors + h.dropped);
        assert_eq!(sidecar.sum(failed), 0, "seed {seed}");
    }
}

#[test]
fn random_budgets_never_trap_and_never_end_a_request() {
    let sidecar = Sidecar::start(module_or_return!());
    let hop = HopBudget { fallback: Some(equal(alternate())), ..hop("cart", 100) };
    let good = with_hops([hop]).encode_to_vec();
    let mut random = Random(99);
    for _ in 0..300 {
        let mut bytes = good.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(3) {
                0 => bytes[at] = random.next() as u8,
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, random.next() as u8),
            }
        }
        sidecar.host.control_plane().push_bytes(WORKLOAD, bytes);
        sidecar.host.run_for(400);
        let mut call = sidecar.call("cart", 900).send();
        if call.forwarded() {
            call.respond(200, &[], b"ok");
        }
        assert!(call.finish().status() >= 200);
    }
}
