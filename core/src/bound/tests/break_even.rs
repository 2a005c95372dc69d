//! Break-even betas against a scan of all betas, and the flattened expression against the walk.

use std::collections::BTreeMap;
use std::prelude::v1::*;

use super::random::{Random, Shape, expression};
use super::*;
use crate::journey::Journey;

/// A random journey whose components stand in one of two domains, both, or none.
fn case(random: &mut Random) -> (Journey, Facts) {
    let shape = Shape { leaves: 2 + random.below(5), names: 2 + random.below(6), repeated_tries: true };
    let journey = expression(random, shape);
    let mut facts = Facts::default();
    for name in journey.leaves() {
        let domains: &[&str] = [&[][..], &["x"], &["x"], &["y"], &["x", "y"]][random.below(5)];
        facts.components.insert(name.clone(), component(0.5 + 0.5 * random.unit(), domains));
    }
    (journey, facts)
}

/// The value at every 1/256.
fn scan(value: impl Fn(f64) -> Result<f64, InvalidBeta>, objective: f64) -> Option<f64> {
    let steps = (0..=256).map(|step| f64::from(step) / 256.0);
    let defined = steps.map_while(|beta| value(beta).ok().map(|value| (beta, value)));
    defined.into_iter().find(|&(_, value)| value < objective).map(|(beta, _)| beta)
}

#[test]
fn the_search_finds_what_a_scan_finds() {
    let (mut found, mut never) = (0, 0);
    for seed in 0..300 {
        let mut random = Random(seed);
        let (journey, facts) = case(&mut random);
        let stated: BTreeMap<_, _> = [("y".to_owned(), 0.3 * random.unit())].into();
        let value = |beta| {
            let betas = stated.clone().into_iter().chain([("x".to_owned(), beta)]).collect();
            common_cause(&journey, &facts, &betas, View::Eventual).map(|bound| bound.interval.lo())
        };
        let Ok(start) = value(0.0) else { continue };
        let objective = start - 0.003 * random.unit();
        let ours = break_even_beta(&journey, &facts, &stated, "x", objective, View::Eventual).unwrap();
        match scan(value, objective) {
            Some(beta) => {
                found += 1;
                let ours = ours.unwrap();
                assert!((beta - 1.0 / 256.0..=beta).contains(&ours), "{journey}: {ours} {beta}");
                assert!(
                    value(ours).unwrap() < objective
                        && value((ours - 1e-9).max(0.0)).unwrap() > objective - 1e-9
                );
            }
            None => {
                never += 1;
                // Between two betas of the scan the search may see a dip that the scan does not.
                assert!(ours.is_none_or(|beta| value(beta).unwrap() < objective), "{journey}");
            }
        }
    }
    assert!(found > 20 && never > 20, "{found} {never}");
}

#[test]
fn without_betas_common_cause_is_independence() {
    for seed in 0..2_000 {
        let (journey, facts) = case(&mut Random(seed));
        for view in [View::Immediate, View::Eventual] {
            let cause = common_cause(&journey, &facts, &BTreeMap::new(), view).unwrap().interval;
            let independent = independent(&journey, &facts, view).unwrap().interval;
            let loose = journey.to_string().contains('[');
            assert!(
                (cause.lo() - independent.lo()).abs() < 1e-12 || loose,
                "{journey}: {cause} {independent}"
            );
        }
    }
}

#[test]
fn domains_are_considered_one_after_the_other() {
    let journey = journey("Series(Race(a, b), Race(c, d))");
    let facts = facts(&[("a", 0.9, &["x"]), ("b", 0.9, &["x"]), ("c", 0.8, &["y"]), ("d", 0.8, &["y"])]);
    let none = BTreeMap::new();
    let mut all = BreakEven::new(&journey, &facts, &none, View::Immediate).unwrap();
    for domain in ["x", "y", "x", "nowhere"] {
        let alone = break_even_beta(&journey, &facts, &none, domain, 0.93, View::Immediate);
        assert_eq!(all.of(domain, 0.93), alone, "{domain}");
    }
    assert_eq!(all.of("nowhere", 0.93), Ok(None));
    assert_eq!(all.of("nowhere", 0.96), Ok(Some(0.0)));
}

#[test]
fn what_meets_the_objective_exactly_is_not_below_it() {
    let facts = facts(&[("a", 0.5, &["x"]), ("b", 0.5, &["x"])]);
    let of = |text: &str, domain: &str, objective: f64| {
        let none = BTreeMap::new();
        break_even_beta(&journey(text), &facts, &none, domain, objective, View::Immediate).unwrap()
    };
    // A race falls to what one of them is worth, a series never below what it is worth alone.
    assert_eq!([of("Race(a, b)", "x", 0.5), of("Series(a, b)", "x", 0.25)], [None, None]);
    assert_eq!(of("Race(a, b)", "nowhere", 0.75), None);
    assert_eq!([of("Race(a, b)", "x", 0.8), of("Race(a, b)", "nowhere", 0.8)], [Some(0.0), Some(0.0)]);
}
