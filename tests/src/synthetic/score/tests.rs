use super::calibration::{Claim, reliability};
use super::*;
use crate::synthetic::{Settings, World};

fn journey(text: &str) -> journey::Journey {
    journey::Journey::new(journey::parse(text).unwrap()).unwrap()
}

fn form(text: &str) -> Form {
    Form::of(journey(text).root())
}

/// Every pair of leaves counts as siblings.
fn scored(found: &str, truth: &str) -> Score {
    let truth = journey(truth);
    let names: BTreeSet<String> = truth.leaves().into_iter().map(ToString::to_string).collect();
    let pairs = names.iter().flat_map(|a| names.iter().map(move |b| (a.clone(), b.clone())));
    let siblings = pairs.filter(|(a, b)| a < b).collect();
    Score::structure(&journey(found), &truth, &siblings)
}

#[test]
fn one_meaning_is_one_form() {
    for (one, other) in [
        ("Series(a, Branch(0.3*b, 0.7*a), c)", "Series(Branch(0.3*Series(a, b), 0.7*a), c)"),
        ("Parallel(atLeast=1, a, b)", "Race(b, a)"),
        ("Series(a, Timeout(after=5ms, b))", "Series(a, b)"),
        ("Branch(0.3*Series(a, b, c), 0.7*Series(a, b, d))", "Series(a, b, Branch(0.3*c, 0.7*d))"),
    ] {
        assert_eq!(form(one), form(other), "{one} {other}");
    }
    assert_ne!(form("Series(a, b)"), form("Series(b, a)"));
    assert_ne!(form("Fallback(a, b)"), form("Fallback(b, a)"));
    assert_ne!(form("Branch(0.3*Series(a, b), 0.7*b)"), form("Series(a, b)"));
}

#[test]
fn the_truth_scores_all() {
    for seed in 0..50 {
        let world = World::new(Settings::small(seed));
        let found: Vec<Found> = world
            .journeys
            .iter()
            .map(|journey| Found {
                name: "x".into(),
                structure: journey.truth.clone(),
                edges: edges_of(&world, &journey.entry),
            })
            .collect();
        let score = score(&world, &found, Against::Truth);
        for count in [score.operators(), score.pairs, score.edges, score.journeys] {
            assert!(count.f1() == 1.0 && count.truth > 0, "{score}");
        }
        assert_eq!(score.probabilities.0, score.probabilities.1, "{score}");
        assert!(score.invented.is_empty() && score.differences.is_empty(), "{score}");
    }
}

#[test]
fn a_mistake_costs_what_it_touches() {
    let truth = "Series(front, Parallel(cart, pricing), Race(paya, payb))";
    let wrong = scored("Series(front, cart, pricing, Race(paya, payb))", truth);
    assert_eq!(wrong.operators(), Count { right: 2, found: 2, truth: 3 });
    assert_eq!(wrong.pairs, Count { right: 9, found: 10, truth: 10 });
    assert_eq!(wrong.differences, ["missed Parallel{\"cart\", \"pricing\"}"]);
    assert!(wrong.invented.is_empty());
    let turned = scored("Series(front, Race(paya, payb), Parallel(cart, pricing))", truth);
    assert_eq!((turned.operators().f1(), turned.pairs.right), (1.0, 6), "order is for the pairs to tell");
}

#[test]
fn redundancy_that_is_not_there_is_invented() {
    let invented = |found, truth| scored(found, truth).invented.len();
    assert_eq!(invented("Series(a, Race(b, c))", "Series(a, Parallel(b, c))"), 1);
    assert_eq!(invented("Series(a, Fallback(b, c))", "Series(a, b, c)"), 1);
    assert_eq!(invented("Series(a, Retry(attempts=2, b))", "Series(a, Repeat(count=2, b))"), 1);
    assert_eq!(invented("Parallel(atLeast=2, a, b, c)", "Parallel(a, b, c)"), 1);
    assert_eq!(invented("Race(a, b, c)", "Series(Race(a, b), c)"), 1, "a third racer");
    // Another kind of redundancy is a mistake, but not an invention.
    assert_eq!(invented("Series(a, Fallback(b, c))", "Series(a, Race(b, c))"), 0);
    assert_eq!(invented("Series(a, b, c)", "Series(a, Race(b, c))"), 0);
    assert_eq!(invented("Retry(attempts=2, b)", "Retry(attempts=2, Series(b, c))"), 0);
}

#[test]
fn probabilities_are_judged_by_their_intervals() {
    let truth = "Series(a, Branch(0.3*b, 0.7*a))";
    let inside = |found| scored(found, truth).probabilities;
    // Of two choices one is what the other leaves.
    assert_eq!(inside("Series(a, Branch([0.25,0.35]*b, [0.65,0.75]*a))"), (1, 1));
    assert_eq!(inside("Branch([0.31,0.35]*Series(a, b), [0.65,0.75]*a)"), (0, 1));
    assert_eq!(inside("Series(a, b)"), (0, 0));
}

#[test]
fn journeys_find_their_partners() {
    let world = World::new(Settings { journeys_per_root: 3, ..Settings::large(9, 40) });
    let mut found: Vec<Found> = world
        .journeys
        .iter()
        .rev()
        .map(|journey| Found { name: String::new(), structure: journey.truth.clone(), edges: Edges::new() })
        .collect();
    let all = found.len() as u64;
    assert!(all >= 3);
    let lost = found.pop().unwrap();
    let score = score(&world, &found, Against::Truth);
    assert_eq!(score.journeys, Count { right: all - 1, found: all - 1, truth: all });
    let missed = Form::of(lost.structure.root()).nodes().len() as u64;
    let operators = score.operators();
    assert_eq!((operators.right, operators.truth), (operators.found, operators.found + missed));
}

#[test]
fn reliability_tells_honest_claims_from_boasts() {
    let claims = |confidence, right: u64| -> Vec<Claim> {
        (0..100).map(|i| Claim { field: "edges", confidence, right: i < right }).collect()
    };
    let (honest, boast) = (claims(0.92, 92), claims(0.97, 80));
    let bins = reliability(honest.iter().chain(&boast));
    assert_eq!(bins.len(), 2);
    assert!((bins[0].claimed - 0.92).abs() < 1e-9 && !bins[0].overclaims() && bins[1].overclaims());
    let sure = reliability(claims(1.0, 100).iter());
    assert!(sure.len() == 1 && sure[0].from == 0.99 && !sure[0].overclaims());
}
