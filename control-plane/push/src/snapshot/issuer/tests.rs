//! Leases: what is issued, what stays, what is renewed and when.

use super::*;
use emac_core::budget::OnExpiry;
use emac_core::units::Millis;

const VALID: Millis = Millis(60_000);

fn name(workload: &str) -> WorkloadName {
    WorkloadName::new(workload).unwrap()
}

fn plan(generation: u64, workloads: &[(&str, &str)]) -> BTreeMap<WorkloadName, Arc<WorkloadBudgets>> {
    let budgets = |(workload, digest): &(&str, &str)| {
        let budgets = WorkloadBudgets {
            workload: name(workload),
            generation: Generation(generation),
            model_digest: digest.to_string(),
            issued_at_unix_ms: 0,
            valid_for: VALID,
            on_expiry: OnExpiry::Hold,
            journeys: Vec::new(),
            hops: Vec::new(),
        };
        (name(workload), Arc::new(budgets))
    };
    workloads.iter().map(budgets).collect()
}

fn at(ms: u64) -> Moment {
    Moment { at: Millis(ms).to_micros(), unix_ms: 1_700_000_000_000 + ms }
}

fn versions(issuer: &Issuer) -> BTreeMap<String, String> {
    let set = issuer.set();
    set.resources.iter().map(|(name, r)| (name.to_string(), r.version.to_string())).collect()
}

#[test]
fn only_what_changed_gets_a_new_version() {
    let mut issuer = Issuer::default();
    issuer.publish(&plan(1, &[("shop/cart", "x"), ("shop/front", "x"), ("shop/old", "x")]), at(0));
    let before = versions(&issuer);
    let published = issuer.publish(&plan(2, &[("shop/cart", "y"), ("shop/front", "x")]), at(10));
    assert_eq!(published.issued, [name("shop/cart")]);
    assert_eq!((published.unchanged, published.removed), (1, vec![name("shop/old")]));
    let after = versions(&issuer);
    assert_eq!(before["shop/front"], after["shop/front"]);
    assert_ne!(before["shop/cart"], after["shop/cart"]);
    assert!(after["shop/cart"].starts_with("g2."));
    assert_eq!(issuer.generation(&name("shop/front")), Some(Generation(1)));
}

#[test]
fn what_a_plan_shares_with_the_one_before_is_renewed_under_the_newer_number() {
    let mut issuer = Issuer::default();
    let first = plan(1, &[("shop/cart", "x"), ("shop/front", "x")]);
    issuer.publish(&first, at(0));
    let mut second = first.clone();
    second.extend(plan(2, &[("shop/cart", "y")]));
    let published = issuer.publish(&second, at(10));
    assert_eq!((published.issued, published.unchanged), (vec![name("shop/cart")], 1));
    issuer.renew(at(VALID.0 / 3));
    assert_eq!(issuer.generation(&name("shop/front")), Some(Generation(2)));
}

#[test]
fn one_of_several_issuers_renews_under_the_number_that_all_have() {
    let (mut early, mut late) = (Issuer::default(), Issuer::default());
    early.renew_under_own();
    late.renew_under_own();
    let first = plan(1, &[("shop/cart", "x"), ("shop/front", "x")]);
    let mut second = first.clone();
    second.extend(plan(2, &[("shop/cart", "y")]));
    early.publish(&first, at(0));
    early.publish(&second, at(10));
    // The other has just begun, and renews nothing for a while.
    late.publish(&second, at(VALID.0 / 3));
    early.renew(at(VALID.0 / 3));
    for (workload, number) in [("shop/front", 1), ("shop/cart", 2)] {
        let number = Some(Generation(number));
        assert_eq!((early.generation(&name(workload)), late.generation(&name(workload))), (number, number));
    }
}

#[test]
fn one_of_several_issuers_issues_at_once_what_was_raised() {
    let mut issuer = Issuer::default();
    issuer.renew_under_own();
    issuer.publish(&plan(1, &[("shop/cart", "x")]), at(0));
    let published = issuer.publish(&plan(2, &[("shop/cart", "x")]), at(10));
    assert_eq!((published.issued, published.unchanged), (vec![name("shop/cart")], 0));
    assert_eq!(issuer.generation(&name("shop/cart")), Some(Generation(2)));
}

#[test]
fn a_new_generation_of_the_same_budgets_rides_with_the_renewal() {
    let mut issuer = Issuer::default();
    issuer.publish(&plan(1, &[("shop/cart", "x")]), at(0));
    issuer.publish(&plan(2, &[("shop/cart", "x")]), at(10));
    issuer.renew(at(VALID.0 / 3));
    assert_eq!(issuer.generation(&name("shop/cart")), Some(Generation(2)));
    let set = issuer.set();
    let resource = set.resources.values().next().unwrap();
    let message = v1::WorkloadBudgets::decode(&*resource.body).unwrap();
    assert_eq!((message.generation, message.workload.as_str()), (2, "shop/cart"));
    assert_eq!(message.issued_at_unix_ms, at(VALID.0 / 3).unix_ms);
}

#[test]
fn an_older_generation_does_not_undo_a_newer_one() {
    let mut issuer = Issuer::default();
    issuer.publish(&plan(7, &[("shop/cart", "x")]), at(0));
    let before = versions(&issuer);
    let published = issuer.publish(&plan(6, &[("shop/cart", "y")]), at(10));
    assert_eq!(published.refused, [name("shop/cart")]);
    assert_eq!(versions(&issuer), before);
}

#[test]
fn renewals_come_between_a_quarter_and_a_third_and_are_spread() {
    let mut issuer = Issuer::default();
    let names: Vec<String> = (0..100).map(|i| format!("shop/w{i}")).collect();
    let workloads: Vec<_> = names.iter().map(|name| (name.as_str(), "x")).collect();
    issuer.publish(&plan(1, &workloads), at(0));
    let (earliest, latest) = (VALID.0 / 4, VALID.0 / 3);
    assert!(issuer.next_renewal().unwrap() >= at(earliest).at);
    let mut renewed: Vec<usize> =
        (earliest..=latest).step_by(500).map(|ms| issuer.renew(at(ms)).len()).collect();
    assert_eq!(renewed.iter().sum::<usize>(), 100);
    renewed.sort_unstable();
    assert!(renewed.last().is_some_and(|most| *most <= 30), "spread: {renewed:?}");
    assert_eq!(issuer.renew(at(latest)), [], "no lease is renewed twice in a third of its life");
}

#[test]
fn a_renewal_changes_the_version_and_not_the_generation() {
    let mut issuer = Issuer::default();
    issuer.publish(&plan(5, &[("shop/cart", "x")]), at(0));
    let before = (versions(&issuer), issuer.set().version);
    assert_eq!(issuer.renew(at(VALID.0)).len(), 1);
    let after = (versions(&issuer), issuer.set().version);
    assert!(before.0 != after.0 && before.1 != after.1);
    let both = [&before.0["shop/cart"], &after.0["shop/cart"]];
    assert!(both.iter().all(|version| generation_of(version) == Some(Generation(5))), "{both:?}");
}

#[test]
fn the_same_history_gives_the_same_bytes() {
    let run = || {
        let mut issuer = Issuer::default();
        issuer.publish(&plan(1, &[("shop/cart", "x"), ("shop/front", "x")]), at(0));
        issuer.renew(at(VALID.0 / 3));
        issuer.set()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_version_of_another_making_names_no_generation() {
    for version in ["", "v1", "g", "gx.1", "7"] {
        assert_eq!(generation_of(version), None, "{version:?}");
    }
}
