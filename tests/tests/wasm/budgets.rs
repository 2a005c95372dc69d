//! Budgets as they arrive: newer, older, wrong, expired.

use emac_proto::v1::{OnExpiry, WorkloadBudgets};
use prost::Message;
use serde_json::json;

use crate::support::{Sidecar, WORKLOAD, budgets, hop, module_or_return, with_hops};

fn of_generation(generation: u64, timeout_ms: u32) -> WorkloadBudgets {
    WorkloadBudgets { generation, ..with_hops([hop("cart", timeout_ms)]) }
}

fn timeout(sidecar: &Sidecar) -> Option<u64> {
    sidecar.call("cart", 900).send().cut_after_ms()
}

#[test]
fn a_newer_generation_wins_and_an_older_one_is_refused() {
    let sidecar = Sidecar::holding(module_or_return!(), &of_generation(7, 100));
    assert_eq!(timeout(&sidecar), Some(100));
    sidecar.push(&of_generation(8, 200));
    assert_eq!(timeout(&sidecar), Some(200));
    sidecar.push(&of_generation(6, 300));
    assert_eq!(timeout(&sidecar), Some(200), "generation 6 is older than 8");
    let held =
        sidecar.sum(|report| report.health.as_ref().map_or(0, |health| u64::from(health.generation > 8)));
    assert_eq!(held, 0);
}

#[test]
fn what_is_accepted_is_acknowledged() {
    let sidecar = Sidecar::holding(module_or_return!(), &budgets());
    let control_plane = sidecar.host.control_plane();
    assert!(control_plane.nacks.is_empty());
    assert_eq!(control_plane.acks.len(), 1);
    let first = &control_plane.xds_requests[0];
    assert_eq!(first.resource_names_subscribe, [WORKLOAD]);
    assert!(first.node.is_some(), "the first request says who asks");
}

/// Where a sidecar has no certificate, its token goes with both streams.
#[test]
fn a_token_is_shown_to_the_control_plane_and_to_nobody_without_one() {
    for (token, header) in [("emac1~shop/front~100~x", Some("Bearer emac1~shop/front~100~x")), ("", None)] {
        let more = json!({"control_plane": {"cluster": "emac-control-plane", "token": token}});
        let sidecar = Sidecar::with(module_or_return!(), 1, more);
        sidecar.push(&budgets());
        let control_plane = sidecar.host.control_plane();
        let told: Vec<_> =
            control_plane.metadata.iter().map(|headers| headers.get("authorization")).collect();
        assert_eq!(told, [header; 2]);
    }
}

#[test]
fn an_invalid_resource_is_refused_by_field_and_the_last_good_one_stays() {
    let sidecar = Sidecar::holding(module_or_return!(), &of_generation(1, 100));
    let mut too_long = of_generation(2, 200);
    too_long.hops[0].timeout_ms = 120_001;
    let mut unlisted = of_generation(3, 200);
    unlisted.hops[0].journey = "unlisted".to_string();
    let mut nobody = of_generation(4, 200);
    nobody.valid_for_ms = 1;
    for (wrong, field) in
        [(too_long, "hops[0].timeout_ms"), (unlisted, "hops[0].journey"), (nobody, "valid_for_ms")]
    {
        sidecar.push(&wrong);
        let message = sidecar.host.control_plane().nacks.last().map(|nack| nack.message.clone());
        assert!(message.as_deref().is_some_and(|text| text.contains(field)), "{field} in {message:?}");
        assert_eq!(timeout(&sidecar), Some(100));
    }
    sidecar.push(&of_generation(5, 250));
    assert_eq!(timeout(&sidecar), Some(250), "a good one after bad ones is taken");
}

#[test]
fn bytes_that_are_no_budgets_are_refused() {
    let sidecar = Sidecar::holding(module_or_return!(), &of_generation(1, 100));
    let cut = of_generation(2, 200).encode_to_vec();
    for bytes in [vec![0xff; 64], cut[..cut.len() - 3].to_vec()] {
        let before = sidecar.host.control_plane().nacks.len();
        sidecar.host.control_plane().push_bytes(WORKLOAD, bytes);
        sidecar.settle();
        assert_eq!(sidecar.host.control_plane().nacks.len(), before + 1);
        assert_eq!(timeout(&sidecar), Some(100));
    }
}

#[test]
fn budgets_of_somebody_else_are_refused() {
    let sidecar = Sidecar::holding(module_or_return!(), &of_generation(1, 100));
    let other = WorkloadBudgets { workload: "shop/cart".to_string(), ..of_generation(2, 200) };
    sidecar.host.control_plane().push_bytes(WORKLOAD, other.encode_to_vec());
    sidecar.settle();
    assert_eq!(timeout(&sidecar), Some(100));
    assert_eq!(sidecar.host.control_plane().nacks.len(), 1);
}

#[test]
fn an_expired_lease_holds_or_releases_as_it_was_told() {
    let module = module_or_return!();
    for (on_expiry, after) in [(OnExpiry::Hold, Some(100)), (OnExpiry::Release, None)] {
        let lease =
            WorkloadBudgets { valid_for_ms: 20_000, on_expiry: on_expiry.into(), ..of_generation(1, 100) };
        let sidecar = Sidecar::holding(module.clone(), &lease);
        sidecar.host.kill_control_plane();
        sidecar.host.run_for(5_000);
        assert_eq!(timeout(&sidecar), Some(100), "the lease holds without its issuer");
        sidecar.host.run_for(30_000);
        assert_eq!(timeout(&sidecar), after, "{on_expiry:?}");
        sidecar.host.control_plane().restart();
        // The control plane renews leases by publishing the same plan again.
        sidecar.host.control_plane().push(&lease);
        sidecar.host.run_for(15_000);
        assert_eq!(timeout(&sidecar), Some(100), "served again, it holds again ({on_expiry:?})");
    }
}

#[test]
fn a_lease_that_is_served_does_not_expire() {
    let lease = WorkloadBudgets {
        valid_for_ms: 20_000,
        on_expiry: OnExpiry::Release.into(),
        ..of_generation(1, 100)
    };
    let sidecar = Sidecar::holding(module_or_return!(), &lease);
    for _ in 0..8 {
        sidecar.host.run_for(10_000);
        // The control plane renews: the same plan again.
        sidecar.host.control_plane().push(&lease);
        sidecar.settle();
        assert_eq!(timeout(&sidecar), Some(100));
    }
}
