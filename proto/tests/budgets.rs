//! Budgets survive the wire, and each broken field is named.

use emac_core::budget::WorkloadBudgets;
use emac_proto::v1;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// The checkout's front: a deadline, an alternate for paya, a budgeted static price.
fn front() -> v1::WorkloadBudgets {
    let hop = |destination: &str, fallback| v1::HopBudget {
        journey: "checkout".into(),
        destination: destination.into(),
        mode: v1::Mode::Enforce as i32,
        timeout_ms: 150,
        reserve_ms: 20,
        useful_min_ms: 5,
        retry: Some(v1::RetryBudget {
            ratio_ppm: 200_000,
            floor_milli_per_s: 1_000,
            burst: 10,
            max_retries: 1,
        }),
        fallback: Some(fallback),
        without_context: true,
        timeout_alone_ms: 350,
        reserve_alone_ms: 5,
        ..Default::default()
    };
    let paya = v1::Fallback {
        kind: Some(v1::fallback::Kind::Alternate(v1::Alternate {
            cluster: "payb".into(),
            body_bytes_max: 4_096,
            allow_non_idempotent: true,
            timeout_ms: 200,
            route_header: Some(v1::Header { name: "x-provider".into(), value: "payb".into() }),
            ..Default::default()
        })),
        weight_ppm: 1_000_000,
        ..Default::default()
    };
    let pricing = v1::Fallback {
        kind: Some(v1::fallback::Kind::StaticResponse(v1::StaticResponse {
            status: 200,
            headers: vec![v1::Header { name: "content-type".into(), value: "application/json".into() }],
            body: b"{\"price\":1}".to_vec(),
        })),
        weight_ppm: 500_000,
        budget_ppm: 200_000,
        burst: 10,
    };
    v1::WorkloadBudgets {
        workload: "shop/front".into(),
        generation: 7,
        valid_for_ms: 30_000,
        journeys: vec![v1::JourneyBudget {
            journey: "checkout".into(),
            deadline_ms: 400,
            mode: v1::Mode::Enforce as i32,
            record_ppm: 10_000,
            entry: vec![v1::EntryRule {
                method: "POST".into(),
                path_template: "/checkout".into(),
                ..Default::default()
            }],
            ..Default::default()
        }],
        hops: vec![hop("paya", paya), hop("pricing", pricing)],
        ..Default::default()
    }
}

fn refused(change: impl FnOnce(&mut v1::WorkloadBudgets)) -> String {
    let mut wire = front();
    change(&mut wire);
    WorkloadBudgets::try_from(wire).expect_err("must be refused").field
}

#[test]
fn a_good_message_survives_both_ways() {
    let wire = front();
    let domain = WorkloadBudgets::try_from(wire.clone()).unwrap();
    assert_eq!(v1::WorkloadBudgets::from(&domain), wire);
}

#[test]
fn each_broken_field_is_named() {
    assert_eq!(refused(|b| b.workload = "front".into()), "workload");
    assert_eq!(refused(|b| b.generation = 0), "generation");
    assert_eq!(refused(|b| b.valid_for_ms = 999), "valid_for_ms");
    assert_eq!(refused(|b| b.on_expiry = 9), "on_expiry");
    assert_eq!(refused(|b| b.journeys[0].deadline_ms = 0), "journeys[0].deadline_ms");
    assert_eq!(refused(|b| b.journeys[0].journey = "Check out".into()), "journeys[0].journey");
    assert_eq!(refused(|b| b.journeys[0].entry[0] = v1::EntryRule::default()), "journeys[0].entry[0].host");
    assert_eq!(refused(|b| b.journeys.push(b.journeys[0].clone())), "journeys[1].journey");
    assert_eq!(refused(|b| b.hops[1].journey = "refund".into()), "hops[1].journey");
    assert_eq!(refused(|b| b.hops.push(b.hops[0].clone())), "hops[2]");
    assert_eq!(refused(|b| b.hops[0].per_try_timeout_ms = 151), "hops[0].per_try_timeout_ms");
    assert_eq!(refused(|b| b.hops[0].timeout_alone_ms = 149), "hops[0].timeout_alone_ms");
    assert_eq!(refused(|b| b.hops[0].timeout_alone_ms = 120_001), "hops[0].timeout_alone_ms");
    assert_eq!(refused(|b| b.hops[0].reserve_alone_ms = 21), "hops[0].reserve_alone_ms");
    assert_eq!(refused(|b| b.hops[0].retry.as_mut().unwrap().burst = 0), "hops[0].retry.burst");
    assert_eq!(
        refused(|b| b.hops[1].fallback.as_mut().unwrap().budget_ppm = 0),
        "hops[1].fallback.budget_ppm"
    );
    assert_eq!(refused(|b| b.hops[0].fallback.as_mut().unwrap().kind = None), "hops[0].fallback.kind");
    for template in ["checkout", "/a/{b", "/a/**/b", "/a?b"] {
        let field = refused(|b| b.journeys[0].entry[0].path_template = template.into());
        assert_eq!(field, "journeys[0].entry[0].path_template", "{template}");
    }
    let mut twice = front();
    let Some(v1::fallback::Kind::StaticResponse(response)) =
        &mut twice.hops[1].fallback.as_mut().unwrap().kind
    else {
        unreachable!()
    };
    response.headers[0].value = "a\r\nx: y".into();
    let error = WorkloadBudgets::try_from(twice).unwrap_err();
    assert_eq!(error.field, "hops[1].fallback.static_response.headers[0].value");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever decodes and converts goes back to a message that converts to the same.
    #[test]
    fn conversion_is_stable(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
        let mut bytes = prost::Message::encode_to_vec(&front());
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(wire) = <v1::WorkloadBudgets as prost::Message>::decode(&bytes[..])
            && let Ok(domain) = WorkloadBudgets::try_from(wire)
        {
            let again = WorkloadBudgets::try_from(v1::WorkloadBudgets::from(&domain));
            prop_assert_eq!(again, Ok(domain));
        }
    }
}
