use super::*;

fn order(by: &str) -> Order {
    Order { by: by.to_owned(), proven: true, why: "INC-1".to_owned(), at_unix_ms: 1 }
}

fn names(of: &[&str]) -> Option<Vec<String>> {
    Some(of.iter().map(|&name| name.to_owned()).collect())
}

/// As [`super::super::Enforcement`] takes an order.
fn give(own: &mut Switch, action: Action, journeys: Option<Vec<String>>, seen: Option<u64>, by: &str) {
    let changed = own.take(action, journeys.clone(), order(by));
    own.several.raised += u64::from(changed);
    own.several.wait(action, journeys, seen, order(by));
}

#[test]
fn what_waits_is_bounded_by_journeys() {
    let mut own = Switch::default();
    for n in 0..1_000 {
        let action = if n % 3 == 0 { Action::Stop } else { Action::Resume };
        give(&mut own, action, names(&[["a", "b", "c"][n % 3], ["d", "e"][n % 2]]), None, "ann");
        assert!(own.several.waiting.len() <= 5, "{:?}", own.several.waiting);
    }
    give(&mut own, Action::Stop, None, None, "ann");
    assert_eq!(own.several.waiting.len(), 1);
}

#[test]
fn a_stop_is_given_again_and_a_resume_that_did_not_see_a_stop_is_not() {
    let (mut shared, mut own) = (Switch::default(), Switch::default());
    give(&mut own, Action::Stop, None, Some(0), "ann");
    let (next, overtaken) = merged(&shared, &own);
    assert!(next.all.is_some() && overtaken.is_empty() && next.several.raised == 1);
    // Told, and resumed here by who has seen it, while somebody else stops one journey elsewhere.
    own = next;
    own.told(&own.clone());
    assert!(!own.several.is_untold());
    shared = own.to_share();
    let (revision, mut other) = (own.revision, shared.clone());
    give(&mut own, Action::Resume, None, Some(revision), "ann");
    give(&mut other, Action::Resume, None, None, "bob");
    give(&mut other, Action::Stop, names(&["checkout"]), None, "bob");
    let (next, overtaken) = merged(&other.to_share(), &own);
    assert_eq!((overtaken.len(), overtaken[0].order.by.as_str()), (1, "ann"));
    assert!(next.journeys.contains_key("checkout") && next.all.is_none());
    assert!(next.several.raised > own.several.raised);
    // Who minds nothing resumes whatever there is.
    give(&mut own, Action::Resume, None, None, "ann");
    let (next, overtaken) = merged(&other.to_share(), &own);
    assert!(overtaken.is_empty() && next.journeys.is_empty() && next.all.is_none());
}

#[test]
fn what_was_never_shared_waits_and_what_was_shared_counts() {
    let mut old = Switch::default();
    old.take(Action::Stop, None, order("ann"));
    old.take(Action::Resume, names(&["search"]), order("bob"));
    let own = unshared(old.clone());
    let (next, _) = merged(&Switch::default(), &own);
    assert!(next.stops_like(&old) && next.several.is_untold());
    // The next start of the same replica: now the shared value counts.
    let mut kept = next;
    kept.told(&kept.clone());
    let (next, _) = merged(&Switch { revision: 9, ..Switch::default() }, &unshared(kept.clone()));
    assert!(next.all.is_none() && next.several.raised > kept.several.raised);
    // Nothing is there: what this one has is what all shall have.
    let alone = first(&kept);
    assert!(alone.stops_like(&kept) && alone.several.is_untold());
    assert!(!first(&Switch::default()).several.is_untold());
}

/// Three replicas that give orders whenever they like, and hear of each other whenever it happens.
#[test]
fn whoever_orders_what_and_hears_when_all_come_to_the_same_and_numbers_grow() {
    let mut rng = fastrand::Rng::with_seed(0x5e7e);
    for _ in 0..2_000 {
        let mut shared = Switch::default();
        let mut own = [(); 3].map(|()| Switch::default());
        let steps = rng.usize(1..40);
        for step in 0..steps + 6 {
            let place = if step < steps { rng.usize(0..3) } else { step % 3 };
            let before = own[place].clone();
            if step < steps && rng.bool() {
                let action = if rng.bool() { Action::Stop } else { Action::Resume };
                let which = rng.bool().then(|| vec![["a", "b"][rng.usize(0..2)].to_owned()]);
                let seen = rng.bool().then_some(before.revision);
                give(&mut own[place], action, which, seen, "ann");
            } else {
                let next = merged(&shared, &own[place]).0;
                own[place] = next;
                if own[place].several.is_untold() {
                    assert!(own[place].several.raised >= shared.several.raised);
                    let same = own[place].stops_like(&shared);
                    assert!(same || own[place].several.raised > shared.several.raised);
                    shared = own[place].to_share();
                    let told = own[place].clone();
                    own[place].told(&told);
                }
            }
            let (raised, was) = (own[place].several.raised, before.several.raised);
            assert!(raised >= was, "numbers went back");
            assert!(raised > was || own[place].stops_like(&before), "another content under the same number");
            assert!(own[place].revision >= before.revision);
        }
        for own in &own {
            assert!(own.stops_like(&shared) && !own.several.is_untold(), "{own:#?}\n{shared:#?}");
            assert_eq!(own.several.raised, shared.several.raised);
        }
    }
}
