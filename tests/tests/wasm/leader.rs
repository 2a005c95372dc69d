//! One leader a sidecar: elected, replaced, and never losing or repeating what workers counted.

use crate::support::{Sidecar, configuration, hop, module_or_return, total, with_hops};
use emac_tests::wasm_host::{Direction, FilterModule};
use serde_json::json;

const WORKERS: usize = 4;

fn sidecar(module: FilterModule) -> Sidecar {
    let sidecar = Sidecar::with(module, WORKERS, json!({}));
    sidecar.push(&with_hops([hop("cart", 100)]));
    sidecar
}

fn leader(sidecar: &Sidecar) -> usize {
    let vms = sidecar.host.control_plane().connected_vms();
    assert_eq!(vms.len(), 1, "exactly one VM holds the streams: {vms:?}");
    *vms.first().expect("one")
}

fn call(sidecar: &Sidecar, worker: usize) {
    let mut call = sidecar.call("cart", 900).worker(worker).send();
    call.respond(200, &[], b"ok");
    assert_eq!(call.finish().status(), 200);
}

#[test]
fn exactly_one_of_all_threads_holds_the_streams() {
    let sidecar = sidecar(module_or_return!());
    leader(&sidecar);
    assert_eq!(sidecar.host.control_plane().streams(), (1, 1));
    // Within the lease: a stale sidecar may open its stream again.
    sidecar.host.run_for(30_000);
    leader(&sidecar);
    assert_eq!(sidecar.host.control_plane().clusters.len(), 2, "two streams were opened, ever");
}

#[test]
fn every_worker_gets_the_budgets_the_leader_received() {
    let sidecar = sidecar(module_or_return!());
    for worker in 0..WORKERS {
        assert_eq!(
            sidecar.call("cart", 900).worker(worker).send().cut_after_ms(),
            Some(100),
            "worker {worker}"
        );
    }
}

#[test]
fn what_all_workers_counted_arrives_exactly_once() {
    let sidecar = sidecar(module_or_return!());
    let mut sent = 0;
    for round in 0..50 {
        for worker in 0..WORKERS {
            for _ in 0..(round + worker) % 4 {
                call(&sidecar, worker);
                sent += 1;
            }
        }
        sidecar.host.run_for(73);
    }
    assert_eq!(total(&sidecar.outcome("cart")), sent);
}

#[test]
fn a_leader_that_hangs_is_replaced_and_nothing_is_lost_or_repeated_when_it_wakes() {
    let sidecar = sidecar(module_or_return!());
    let mut sent = 0;
    for _ in 0..5 {
        (0..WORKERS).for_each(|worker| call(&sidecar, worker));
        sent += WORKERS as u64;
        let old = leader(&sidecar);
        sidecar.host.freeze(old);
        sidecar.host.run_for(10_000);
        let holders = sidecar.host.control_plane().connected_vms();
        assert!(holders.iter().any(|vm| *vm != old), "somebody else took over from {old}: {holders:?}");
        for worker in (0..WORKERS).filter(|worker| worker + 1 != old) {
            call(&sidecar, worker);
            sent += 1;
        }
        sidecar.host.thaw(old);
        sidecar.host.run_for(10_000);
        leader(&sidecar);
    }
    assert_eq!(total(&sidecar.outcome("cart")), sent);
}

#[test]
fn the_lease_is_taken_after_three_missed_ticks_not_before() {
    let sidecar = sidecar(module_or_return!());
    let old = leader(&sidecar);
    sidecar.host.freeze(old);
    sidecar.host.run_for(400);
    assert_eq!(sidecar.host.control_plane().connected_vms().len(), 1, "two ticks missed are no reason yet");
    sidecar.host.run_for(2_000);
    assert!(sidecar.host.control_plane().connected_vms().iter().any(|vm| *vm != old));
}

#[test]
fn a_leader_whose_vm_dies_is_replaced_and_budgets_go_on() {
    let sidecar = sidecar(module_or_return!());
    for _ in 0..6 {
        let old = leader(&sidecar);
        sidecar.host.reload(old);
        sidecar.host.run_for(30_000);
        leader(&sidecar);
        for worker in 0..WORKERS {
            assert_eq!(sidecar.call("cart", 900).worker(worker).send().cut_after_ms(), Some(100));
        }
    }
}

#[test]
fn only_what_a_dead_vm_held_can_be_lost_and_nothing_is_counted_twice() {
    let sidecar = sidecar(module_or_return!());
    let mut sent = 0;
    for round in 0..10 {
        (0..WORKERS).for_each(|worker| call(&sidecar, worker));
        sent += WORKERS as u64;
        // Everything is handed over and acknowledged, then a thread dies.
        sidecar.settle();
        sidecar.settle();
        sidecar.host.reload(round % (WORKERS + 1));
        sidecar.host.run_for(20_000);
    }
    assert_eq!(total(&sidecar.outcome("cart")), sent);
}

#[test]
fn a_new_configuration_of_either_listener_keeps_budgets_and_totals() {
    let sidecar = sidecar(module_or_return!());
    let mut sent = 0;
    for round in 0..6 {
        (0..WORKERS).for_each(|worker| call(&sidecar, worker));
        sent += WORKERS as u64;
        let direction = if round % 2 == 0 { Direction::Inbound } else { Direction::Outbound };
        // A request is under way while its listener changes.
        let mut open = sidecar.call("cart", 900).send();
        sidecar.host.reconfigure(direction, &configuration(json!({"tick_ms": 200 + round})));
        open.respond(200, &[], b"");
        open.finish();
        sent += 1;
        sidecar.host.run_for(5_000);
        leader(&sidecar);
        assert_eq!(sidecar.call("cart", 900).send().cut_after_ms(), Some(100), "round {round}");
    }
    assert_eq!(total(&sidecar.outcome("cart")), sent);
    for vm in 0..=WORKERS {
        assert!(sidecar.host.vm(vm).grpc_handles() <= 2);
    }
}

#[test]
fn the_clock_going_back_leaves_one_leader_and_exact_totals() {
    let sidecar = sidecar(module_or_return!());
    let mut sent = 0;
    for step in [3_600_000_000_000_u64, 5_000_000_000, 1_000_000] {
        (0..WORKERS).for_each(|worker| call(&sidecar, worker));
        sent += WORKERS as u64;
        sidecar.host.world().clock_ns -= step;
        sidecar.host.run_for(10_000);
        (0..WORKERS).for_each(|worker| call(&sidecar, worker));
        sent += WORKERS as u64;
    }
    sidecar.host.run_for(60_000);
    leader(&sidecar);
    assert_eq!(total(&sidecar.outcome("cart")), sent);
}
