//! The control plane: absent at the start, killed, restarted, silent, nonsensical. Requests flow, and nothing is counted twice.

use emac_tests::wasm_host::Behaviour;
use prost::Message;
use serde_json::json;

use crate::support::{Sidecar, hop, module_or_return, total, with_hops};

/// One good call, counted; then one that nobody answers, for which no control plane has a count: after how long it is cut.
fn call(sidecar: &Sidecar) -> Option<u64> {
    let mut good = sidecar.call("cart", 900).send();
    assert!(good.forwarded());
    good.respond(200, &[], b"ok");
    assert_eq!(good.finish().status(), 200);
    let mut unanswered = sidecar.call("cart", 900).send();
    assert!(unanswered.forwarded());
    let cut = unanswered.cut_after_ms();
    unanswered.cancel();
    sidecar.end_arrivals();
    cut
}

#[test]
fn a_control_plane_that_comes_late_is_found() {
    let sidecar = Sidecar::start(module_or_return!());
    sidecar.host.control_plane().behaviour = Behaviour::Refuse;
    assert_eq!(call(&sidecar), None);
    sidecar.host.run_for(120_000);
    assert_eq!(call(&sidecar), None);
    sidecar.host.control_plane().restart();
    sidecar.host.control_plane().push(&with_hops([hop("cart", 100)]));
    sidecar.host.run_for(60_000);
    assert_eq!(call(&sidecar), Some(100));
    assert_eq!(sidecar.outcome("cart").success, 3, "what was seen before it came is not lost");
}

#[test]
fn a_cluster_that_does_not_exist_breaks_nothing() {
    let sidecar = Sidecar::start(module_or_return!());
    sidecar.host.world().missing_clusters.insert("emac-control-plane".to_string());
    sidecar.host.kill_control_plane();
    sidecar.host.run_for(60_000);
    assert_eq!(call(&sidecar), None);
    sidecar.host.world().missing_clusters.clear();
    sidecar.host.control_plane().restart();
    sidecar.push(&with_hops([hop("cart", 100)]));
    sidecar.host.run_for(60_000);
    assert_eq!(call(&sidecar), Some(100));
}

#[test]
fn without_a_control_plane_in_its_configuration_it_asks_nobody() {
    let sidecar = Sidecar::with(module_or_return!(), 1, json!({"control_plane": null}));
    sidecar.host.run_for(60_000);
    assert_eq!(call(&sidecar), None);
    assert!(sidecar.host.control_plane().clusters.is_empty());
}

#[test]
fn killed_and_restarted_again_and_again_every_request_is_counted_once() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 100)]));
    let mut sent = 0;
    for round in 0..10 {
        for _ in 0..7 {
            call(&sidecar);
            sent += 1;
            sidecar.host.run_for(37 * (round + 1));
        }
        sidecar.host.kill_control_plane();
        call(&sidecar);
        sent += 1;
        sidecar.host.run_for(1_000 * round);
        sidecar.host.control_plane().restart();
    }
    sidecar.host.run_for(120_000);
    let counted = sidecar.outcome("cart");
    assert_eq!((counted.success, total(&counted)), (sent, 2 * sent));
    assert_eq!(call(&sidecar), Some(100));
}

#[test]
fn closed_streams_are_forgotten_by_the_host_too() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 100)]));
    for _ in 0..20 {
        sidecar.host.kill_control_plane();
        sidecar.host.run_for(30_000);
        sidecar.host.control_plane().restart();
        sidecar.host.run_for(60_000);
    }
    for vm in 0..=1 {
        assert!(
            sidecar.host.vm(vm).grpc_handles() <= 2,
            "vm {vm} keeps {}",
            sidecar.host.vm(vm).grpc_handles()
        );
    }
    assert_eq!(sidecar.host.control_plane().streams(), (1, 1));
}

#[test]
fn a_dead_control_plane_is_not_asked_all_the_time() {
    let sidecar = Sidecar::start(module_or_return!());
    sidecar.host.kill_control_plane();
    let before = sidecar.host.control_plane().clusters.len();
    sidecar.host.run_for(600_000);
    let attempts = sidecar.host.control_plane().clusters.len() - before;
    assert!((4..=600).contains(&attempts), "{attempts} attempts in ten minutes");
}

#[test]
fn nonsense_is_survived_and_the_last_good_budgets_stay() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 100)]));
    sidecar.host.kill_control_plane();
    sidecar.host.control_plane().behaviour = Behaviour::Garbage;
    for _ in 0..20 {
        assert_eq!(call(&sidecar), Some(100));
        sidecar.host.run_for(2_000);
    }
    sidecar.host.kill_control_plane();
    sidecar.host.control_plane().restart();
    sidecar.host.run_for(120_000);
    assert_eq!(sidecar.outcome("cart").success, 20);
}

#[test]
fn silence_is_survived_and_nothing_piles_up() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 100)]));
    sidecar.host.kill_control_plane();
    sidecar.host.control_plane().behaviour = Behaviour::Silent;
    call(&sidecar);
    sidecar.host.run_for(60_000);
    let memory = sidecar.host.vm(1).memory_bytes();
    for _ in 0..200 {
        call(&sidecar);
        sidecar.host.run_for(1_000);
    }
    assert_eq!(sidecar.host.vm(1).memory_bytes(), memory, "no memory grows while nobody answers");
    assert!(sidecar.host.queued() < 100, "{} messages wait", sidecar.host.queued());
    sidecar.host.kill_control_plane();
    sidecar.host.control_plane().restart();
    sidecar.host.run_for(120_000);
    assert_eq!(sidecar.outcome("cart").success, 201);
}

#[test]
fn a_report_is_sent_again_unchanged_until_it_is_acknowledged() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 100)]));
    call(&sidecar);
    sidecar.host.control_plane().behaviour = Behaviour::Unacknowledged;
    call(&sidecar);
    sidecar.settle();
    call(&sidecar);
    sidecar.host.kill_control_plane();
    sidecar.host.control_plane().behaviour = Behaviour::Unacknowledged;
    sidecar.host.run_for(60_000);
    sidecar.host.kill_control_plane();
    let unacknowledged = sidecar.host.control_plane().reports.clone();
    sidecar.host.control_plane().restart();
    sidecar.host.run_for(60_000);
    let control_plane = sidecar.host.control_plane();
    for report in &unacknowledged {
        let name = |report: &emac_proto::v1::ReportRequest| (report.epoch, report.sequence);
        for again in control_plane.reports.iter().filter(|again| name(again) == name(report)) {
            assert_eq!(again.encode_to_vec(), report.encode_to_vec(), "the same name, the same bytes");
        }
    }
    drop(control_plane);
    assert_eq!(sidecar.outcome("cart").success, 3);
}

#[test]
fn a_control_plane_that_is_full_is_tried_again_later() {
    let sidecar = Sidecar::holding(module_or_return!(), &with_hops([hop("cart", 100)]));
    sidecar.host.control_plane().behaviour = Behaviour::Exhausted;
    call(&sidecar);
    sidecar.host.run_for(30_000);
    assert_eq!(call(&sidecar), Some(100), "budgets rule meanwhile");
    sidecar.host.control_plane().restart();
    sidecar.host.run_for(60_000);
    assert_eq!(sidecar.outcome("cart").success, 2);
}

#[test]
fn a_configuration_that_cannot_be_read_passes_everything() {
    use emac_tests::wasm_host::{Direction, Setup};
    let module = module_or_return!();
    for text in ["{", "7", r#"{"mode":"everything"}"#, "\u{fffd}"] {
        let host = Setup::new(module.clone()).listener(Direction::Outbound, text).start();
        host.run_for(5_000);
        let mut call = host.request(Direction::Outbound).header("baggage", "emac=v1:checkout:1:0000").send();
        assert!(call.forwarded(), "{text}");
        call.respond(200, &[], b"ok");
        assert_eq!(call.finish().status(), 200);
        assert!(host.logged(3, "") > 0, "it says why: {text}");
    }
}

#[test]
fn budgets_in_the_configuration_rule_until_the_control_planes_come() {
    let mine = json!({
        "budgets": {
            "journeys": [{"journey": "checkout", "deadline_ms": 1000, "mode": "enforce"}],
            "hops": [{"journey": "checkout", "destination": "cart", "mode": "enforce", "timeout_ms": 77}],
        }
    });
    let sidecar = Sidecar::with(module_or_return!(), 1, mine);
    assert_eq!(call(&sidecar), Some(77), "from the first request on");
    sidecar.push(&with_hops([hop("cart", 100)]));
    assert_eq!(call(&sidecar), Some(100));
}
