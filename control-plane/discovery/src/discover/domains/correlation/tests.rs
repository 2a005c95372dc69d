use super::*;

mod world;

use world::{Kind, World};

fn name(text: &str) -> ComponentName {
    ComponentName::new(text).unwrap()
}

fn found(world: &World) -> Correlation {
    correlated(&world.series, &world.calls, &Options::default())
}

/// Members of the groups, `a+b`.
fn members(found: &Correlation) -> Vec<String> {
    found.groups.iter().map(|group| group.name().replace("inferred:", "")).collect()
}

/// Worlds per measurement; the optimised build measures, the other one watches.
const WORLDS: u64 = if cfg!(debug_assertions) { 40 } else { 2_000 };

/// Share of worlds in which something holds, and its standard error.
fn share(kind: Kind, holds: impl Fn(&Correlation) -> bool) -> (f64, f64) {
    let hits = (0..WORLDS).filter(|&seed| holds(&found(&World::new(kind, seed)))).count() as f64;
    let share = hits / WORLDS as f64;
    (share, (share.max(0.05) * (1.0 - share.min(0.95)) / WORLDS as f64).sqrt())
}

#[test]
fn independent_outages_make_false_groups_at_most_at_the_stated_rate() {
    for kind in [Kind::Independent, Kind::LongOutages, Kind::Overload] {
        let (rate, error) = share(kind, |found| !found.groups.is_empty());
        println!("{kind:?}: worlds with any false pair {rate:.4} +- {error:.4} (stated 0.05)");
        assert!(rate <= 0.05 + 3.0 * error, "{kind:?}: {rate}");
    }
}

#[test]
fn shared_outages_are_found() {
    for (shared, least) in [(4, 0.60), (6, 0.90), (10, 0.95)] {
        let (power, error) = share(Kind::Shared { outages: shared }, |found| members(found) == ["c0+c1"]);
        println!("{shared} shared outages among own ones: found exactly {power:.4} +- {error:.4}");
        assert!(power >= least - 3.0 * error, "{shared} shared: {power}");
    }
}

#[test]
fn claims_at_a_confidence_are_right_as_often() {
    let (mut sum, mut right, mut claims) = (0.0, 0.0, 0.0);
    for seed in 0..WORLDS {
        let kind = if seed % 2 == 0 { Kind::Independent } else { Kind::Shared { outages: 4 } };
        for group in found(&World::new(kind, seed)).groups {
            claims += 1.0;
            sum += group.confidence.get();
            right += f64::from(u8::from(group.name() == "inferred:c0+c1" && seed % 2 == 1));
        }
    }
    let (stated, is) = (sum / claims, right / claims);
    println!("{claims} groups claimed with confidence {stated:.4} on average, right {is:.4}");
    assert!(is >= stated - 3.0 * (0.05_f64 / claims).sqrt(), "{stated} {is}");
}

#[test]
fn what_the_call_graph_explains_is_no_domain() {
    let caller = World::new(Kind::CallerAndCallee, 1);
    let with = found(&caller);
    assert_eq!((members(&with).len(), with.related), (0, 1), "a caller fails with its callee");
    let without = correlated(&caller.series, &[], &Options::default());
    assert_eq!(members(&without), ["c0+c1"], "the same series are kin when nobody calls");
    let siblings = World::new(Kind::CommonCallee, 1);
    assert_eq!(members(&found(&siblings)), [""; 0], "two callers fail with their common callee");
    assert!(!correlated(&siblings.series, &[], &Options::default()).groups.is_empty());
}

#[test]
fn three_that_fail_together_are_one_group_and_a_chain_is_two() {
    let three = World::new(Kind::Three, 3);
    let groups = found(&three).groups;
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].name(), "inferred:c0+c1+c2");
    assert!(groups[0].shares.values().all(|share| share.get() > 0.4), "{:?}", groups[0].shares);
    assert!(groups[0].support >= 3 && groups[0].corrected <= 0.05 && groups[0].confidence.get() > 0.9);
    assert!(groups[0].outages.len() <= CorrelatedGroup::OUTAGES_MAX);
    assert!(groups[0].provenance().says.starts_with("c0 and c1 and c2 had simultaneous outages"));
    assert_eq!(members(&found(&World::new(Kind::Chain, 3))), ["c0+c1", "c1+c2"]);
}

#[test]
fn little_evidence_is_no_evidence() {
    let slot = |slot| Slot { slot, requests: 100, failures: if slot == 5 { 90 } else { 0 } };
    let once: Vec<Slot> = (0..500).map(slot).collect();
    let series = SlotSeries::from([(name("a"), once.clone()), (name("b"), once)]);
    let found = correlated(&series, &[], &Options::default());
    assert_eq!((found.groups.len(), found.tested, found.sparse), (0, 0, 1));
    assert_eq!(correlated(&SlotSeries::new(), &[], &Options::default()), Correlation::default());
}

#[test]
fn holm_is_the_step_down_procedure() {
    let (a, b) = (name("a"), name("b"));
    let pair = |p| {
        let meeting = Meeting { p, met: 5, expected: 0.1, share: 1.0 };
        CorrelatedPair { a: &a, b: &b, meeting, corrected: 1.0 }
    };
    let mut pairs: Vec<_> = [0.04, 0.01, 0.03, 0.005].map(pair).into();
    holm(&mut pairs);
    let corrected: Vec<_> = pairs.iter().map(|pair| (pair.corrected * 1000.0).round() / 1000.0).collect();
    assert_eq!(corrected, [0.02, 0.03, 0.06, 0.06]);
}

#[test]
fn confidence_falls_with_the_corrected_p() {
    let of = |p: f64| confidence(p).get();
    assert_eq!((of(0.0), of(0.5), of(1.0)), (1.0, 0.5, 0.5));
    assert!((of(0.05) - 0.710_635).abs() < 1e-3, "{}", of(0.05));
    assert!(of(0.001) > 0.98 && of(0.01) > of(0.02));
}
