//! Whatever the evidence says, planned values are within what the intent allows. The bounds are worked out here once more, from the
//! intent alone.

use super::*;
use crate::plan::limits::Limits;

/// The least timeout of a component by its name, where all declared medians fit into the deadline.
fn least(intent: &JourneyInput, name: &str) -> u64 {
    let component = &intent.components[&ComponentName::new(name).unwrap()];
    component.latency.map_or(1, |latency| latency.p50.0).max(intent.runtime.timeout_min.0)
}

fn check(intent: &JourneyInput, snapshot: &PlanSnapshot) -> Result<(), TestCaseError> {
    let max = intent.runtime.timeout_max.unwrap_or(intent.deadline).min(intent.deadline).0;
    let hops = snapshot.workloads.values().flat_map(|resource| &resource.hops);
    for hop in hops {
        let allowed = least(intent, &hop.destination)..=max;
        let timeout = hop.timeout.unwrap().0;
        prop_assert!(allowed.contains(&timeout), "{allowed:?}: {hop:?}");
        prop_assert!(
            hop.per_try_timeout.is_none_or(|time| allowed.contains(&time.0)),
            "{allowed:?}: {hop:?}"
        );
        if let Some(alone) = hop.alone {
            prop_assert!(allowed.contains(&alone.timeout.0) && alone.reserve <= hop.reserve, "{hop:?}");
        }
        if let Some(FallbackKind::Alternate(other)) = hop.fallback.as_ref().map(|fallback| &fallback.kind) {
            let allowed = least(intent, &other.cluster)..=max;
            prop_assert!(allowed.contains(&other.timeout.0), "{allowed:?}: {hop:?}");
        }
        // A call that starts once everything before it took its median is made, and has its least timeout.
        let before = match hop.destination.as_str() {
            "front" => 0,
            "cart" | "pricing" => 5,
            _ => 5 + 20,
        };
        let left = (intent.deadline.0 - before).saturating_sub(hop.reserve.0);
        prop_assert!(left >= *allowed.start(), "{before} ms in, {left} ms are left: {hop:?}");
        prop_assert!(hop.useful_min.0 <= *allowed.start(), "{hop:?}");
    }
    Ok(())
}

fn nonsense() -> impl Strategy<Value = HopEvidence> {
    let times = prop::collection::vec((0_u64..2_000_000_000, 1_u32..2_000_000_000), 0..6);
    (prop::array::uniform8(any::<u64>()), times.clone(), times, any::<u64>()).prop_map(
        |(outcomes, own, other, alternate_asked)| {
            let sketch = |times: Vec<(u64, u32)>| {
                let mut sketch = Sketch::new();
                times.into_iter().for_each(|(us, n)| sketch.record_n(Micros(us), n));
                sketch
            };
            let outcomes = OutcomeCounts::from_array(outcomes);
            let (latency, alternate_latency) = (sketch(own), sketch(other));
            HopEvidence { outcomes, latency, alternate_latency, alternate_asked }
        },
    )
}

/// What looks like a service, of any speed, cut anywhere; or anything at all.
fn any_evidence() -> impl Strategy<Value = HopEvidence> {
    let like_a_service = (1_u64..400, 0.0..1.0, prop::option::of(1_u64..400));
    let like_a_service = like_a_service.prop_map(|(p50, slow, cut)| seen(p50, slow, cut));
    prop_oneof![3 => like_a_service, 1 => nonsense()]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0xB0D5),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_evidence_drives_a_planned_value_out_of_the_bounds_of_the_intent(
        rounds in prop::collection::vec(prop::collection::vec(any_evidence(), 5), 1..5),
        deadline in 140_u64..400,
        min in 1_u64..20,
        max in prop::option::of(60_u64..400),
        retried: bool,
    ) {
        let mut intent = checkout();
        // Room for all medians.
        intent.deadline = Millis(deadline + 60 * u64::from(retried));
        intent.runtime.timeout_min = Millis(min);
        intent.runtime.timeout_max = max.map(Millis);
        if retried {
            let text = "Series(front, Parallel(cart, Fallback(pricing, 0.8*cached)), Retry(attempts=2, Fallback(paya, payb)))";
            intent.structure = Journey::new(parse(text).unwrap()).unwrap();
        }
        let mut last = None;
        for (round, hops) in (0..).zip(rounds) {
            let seen: Vec<_> = ["front", "cart", "pricing", "paya", "payb"].into_iter().zip(hops).collect();
            let next = plan(std::slice::from_ref(&intent), &evidence(&seen), last.as_ref(), NOW + round * 60_000);
            check(&intent, &next)?;
            last = Some(next);
        }
    }
}

/// What an invented node did: it reported a payment of one millisecond until the timeout was seven.
#[test]
fn a_lie_often_repeated_cuts_no_service_that_is_as_declared() {
    let intents = [checkout()];
    let mut last = plan(&intents, &healthy(), None, NOW);
    for (round, lie) in (1..60).zip([seen(1, 0.0, None), dead(), seen(350, 0.0, None)].iter().cycle()) {
        let lies = ["cart", "pricing", "paya", "payb"].map(|name| (name, lie.clone()));
        last = plan(&intents, &evidence(&lies), Some(&last), NOW + round * 5_000);
        check(&intents[0], &last).unwrap();
    }
    // A primary that answers at once or never, an alternate that needs nearly all of the time: nothing is gained by waiting for the first.
    let lies = [("paya", seen(1, 0.5, Some(5))), ("payb", seen(150, 0.0, None))];
    for round in 60..80 {
        last = plan(&intents, &evidence(&lies), Some(&last), NOW + round * 5_000);
    }
    let paya = budget(&last, "shop/front", "paya");
    assert_eq!(paya.timeout, Some(Millis(30)), "{paya:?}");
}

#[test]
fn declared_medians_that_do_not_fit_are_scaled_down_alike() {
    let mut tight = checkout();
    tight.deadline = Millis(40);
    let lies: Vec<_> = ["cart", "pricing", "paya", "payb"].map(|name| (name, seen(1, 0.0, None))).into();
    let snapshot = first(&tight, &evidence(&lies));
    let leaves = tight.structure.leaves();
    let place = |name: &str| leaves.iter().position(|leaf| leaf.as_str() == name).unwrap();
    let least = |name| Limits::new(&tight).get(place(name)).least.0;
    // 5 + (20 + 1) + 30 + 30 into 38.
    assert_eq!(["front", "cart", "pricing", "paya", "payb"].map(least), [2, 8, 8, 13, 13]);
    assert!(budget(&snapshot, "shop/front", "paya").timeout >= Some(Millis(13)));
}

#[test]
fn a_claim_that_what_follows_needs_all_the_time_leaves_each_call_its_least() {
    let mut payb = dead();
    payb.outcomes = OutcomeCounts::from_array([1_000, 0, 0, 0, 0, 0, 0, 0]);
    payb.latency.record_n(Micros(315_000), 1_000);
    let lies = evidence(&[
        ("cart", seen(1, 0.0, None)),
        ("pricing", seen(1, 0.0, None)),
        ("paya", dead()),
        ("payb", payb),
    ]);
    let snapshot = first(&checkout(), &lies);
    check(&checkout(), &snapshot).unwrap();
    assert!(
        budget(&snapshot, "shop/front", "cart").reserve > Millis(300),
        "the lie is believed as far as it may be"
    );
}
