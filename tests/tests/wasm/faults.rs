//! A host whose every call can fail: no failure stops a request or the VM.

use emac_tests::wasm_host::{Exchange, Fault, HostCall};

use crate::support::{Sidecar, alternate, equal, hop, module_or_return, static_fallback, with_hops};
use emac_proto::v1::HopBudget;

/// More calls of one kind than a request ever makes.
const CALLS_MAX: u64 = 8;

fn sidecar(module: emac_tests::wasm_host::FilterModule) -> Sidecar {
    let paya = HopBudget { fallback: Some(equal(alternate())), ..hop("paya", 100) };
    let pricing = HopBudget { fallback: Some(static_fallback()), ..hop("pricing", 100) };
    Sidecar::holding(module, &with_hops([paya, pricing, hop("cart", 100)]))
}

/// A life of a request: what upstream does, and what the client gets at least.
type Life = fn(&Sidecar) -> Exchange;

const LIVES: [(&str, Life); 6] = [
    ("good", |sidecar| {
        let mut call = sidecar.call("cart", 900).send();
        reply(&mut call);
        call
    }),
    ("arrival", |sidecar| {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut call = sidecar.arrival("a=b,emac=v1:checkout:900:0000").header("traceparent", trace).send();
        reply(&mut call);
        call
    }),
    ("with a body", |sidecar| {
        let mut call = sidecar.call("paya", 900).method("PUT").chunk("one").chunk("two").send();
        reply(&mut call);
        call
    }),
    ("static fallback", |sidecar| {
        let mut call = sidecar.call("pricing", 900).send();
        if call.forwarded() {
            call.upstream_refuses();
        }
        call
    }),
    ("alternate", |sidecar| {
        let mut call = sidecar.call("paya", 900).method("PUT").chunk("one").chunk("two").send();
        if call.forwarded() {
            call.upstream_times_out();
        }
        if call.callout().is_some() {
            call.answer_callout(200, &[("x-provider", "b")], b"paid");
        }
        call
    }),
    ("too late", |sidecar| {
        let mut call = sidecar.call("cart", 0).send();
        reply(&mut call);
        call
    }),
];

fn reply(call: &mut Exchange) {
    if call.forwarded() {
        call.respond(200, &[("content-type", "text/plain")], b"hello");
    }
}

#[test]
fn no_failing_host_call_stops_a_request_or_the_vm() {
    let sidecar = sidecar(module_or_return!());
    let mut struck = 0;
    for (call, status) in HostCall::FAILURES {
        for (life, live) in LIVES {
            for n in 1..=CALLS_MAX {
                sidecar.host.inject(Fault::nth(*call, n, *status));
                let exchange = live(&sidecar);
                let what = format!("{call:?} number {n} fails with {status:?} during {life}");
                assert!(!exchange.paused() && !exchange.was_reset(), "{what}");
                assert!(exchange.finish().status() >= 200, "{what}: no answer");
                let so_far = sidecar.host.clear_faults();
                if so_far == struck {
                    break;
                }
                struck = so_far;
            }
        }
    }
    assert!(struck > 20, "the sweep struck only {struck} times");
    sidecar.end_arrivals();
    assert_eq!(sidecar.host.vm(1).open_streams(), 0);
    sidecar.settle();
    assert_eq!(sidecar.call("cart", 900).send().cut_after_ms(), Some(100), "and afterwards all is well");
}

#[test]
fn no_failing_host_call_stops_the_clockwork_for_longer_than_it_lasts() {
    let module = module_or_return!();
    for (call, status) in HostCall::FAILURES {
        let sidecar = sidecar(module.clone());
        let mut sent = 0;
        let mut good = |sidecar: &Sidecar| {
            let mut call = sidecar.call("cart", 900).send();
            reply(&mut call);
            assert_eq!(call.finish().status(), 200);
            sent += 1;
        };
        good(&sidecar);
        sidecar.host.inject(Fault::always(*call, *status));
        sidecar.host.run_for(5_000);
        good(&sidecar);
        sidecar.host.kill_control_plane();
        sidecar.host.run_for(5_000);
        sidecar.host.control_plane().restart();
        sidecar.host.run_for(5_000);
        sidecar.host.clear_faults();
        good(&sidecar);
        sidecar.host.run_for(120_000);
        let what = format!("{call:?} answered {status:?} for a while");
        assert_eq!(sidecar.call("cart", 900).send().cut_after_ms(), Some(100), "{what}");
        let counted: u64 = sidecar.outcomes().values().map(crate::support::total).sum();
        assert!(counted <= sent, "{what}: {counted} counted of {sent}");
        if *call != HostCall::GetProperty && *call != HostCall::GetMapValue {
            assert_eq!(counted, sent, "{what}: evidence was lost");
        }
    }
}

#[test]
fn a_host_that_fails_from_the_start_is_survived() {
    let module = module_or_return!();
    for (call, status) in HostCall::FAILURES {
        let sidecar = Sidecar::start(module.clone());
        sidecar.host.inject(Fault::always(*call, *status));
        (0..=1).for_each(|vm| sidecar.host.reload(vm));
        sidecar.host.run_for(5_000);
        for (life, live) in LIVES {
            let exchange = live(&sidecar);
            assert!(exchange.finish().status() >= 200, "{call:?} always {status:?} during {life}");
        }
    }
}
