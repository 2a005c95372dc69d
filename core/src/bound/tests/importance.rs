//! Importance measures against enumeration: every state of every component, weighted.

use super::random::{Random, Shape, expression};
use super::twin::Twin;
use super::*;
use crate::bound::{Importance, importance};

fn measured(text: &str, facts: &Facts) -> Vec<Importance> {
    let journey = journey(text);
    importance(&journey, facts, journey.leaves().into_iter().collect::<std::collections::BTreeSet<_>>())
        .unwrap()
}

fn close(found: Option<f64>, expected: f64) {
    assert!(
        found.is_some_and(|found| (found - expected).abs() < 1e-9 * expected.abs().max(1.0)),
        "{found:?} is not {expected}"
    );
}

#[test]
fn a_series_and_a_race_as_textbooks_have_them() {
    let facts = facts(&[("a", 0.9, &[]), ("b", 0.8, &[])]);
    let series = &measured("Series(a, b)", &facts)[0];
    close(Some(series.birnbaum), 0.8);
    close(series.criticality, 0.08 / 0.28);
    close(series.fussell_vesely, 0.1 / 0.28);
    close(series.achievement_worth, 1.0 / 0.28);
    close(series.reduction_worth, 0.28 / 0.2);
    let race = &measured("Race(a, b)", &facts)[0];
    close(Some(race.birnbaum), 0.2);
    close(race.criticality, 1.0);
    close(race.fussell_vesely, 1.0);
    close(race.achievement_worth, 10.0);
    assert_eq!(race.reduction_worth, None, "without a's failures there are none");
}

#[test]
fn of_a_component_that_is_tried_again_they_are_shares_of_failures_too() {
    let facts = facts(&[("a", 0.9, &[]), ("b", 0.9, &[])]);
    let tried = &measured("Series(b, Retry(attempts=2, a))", &facts)[0];
    // 1 - 0.9 x 0.99, of which b alone fails 0.1; with the first try down 0.1 (1 - 0.9 x 0.9).
    let all = 0.109;
    close(Some(tried.birnbaum), 0.9);
    close(tried.criticality, 0.009 / all);
    close(tried.fussell_vesely, 0.019 / all);
    close(tried.achievement_worth, 1.0 / all);
    close(tried.reduction_worth, all / 0.1);
}

#[test]
fn what_never_fails_and_what_is_not_known() {
    let sure = facts(&[("a", 1.0, &[]), ("b", 1.0, &[])]);
    let never = &measured("Series(a, b)", &sure)[0];
    assert_eq!(
        (never.criticality, never.fussell_vesely, never.achievement_worth, never.reduction_worth),
        (None, None, None, None)
    );
    assert_eq!(never.birnbaum, 1.0);
    let unknown = name("c");
    assert_eq!(importance(&journey("Series(a, b)"), &sure, [&unknown]), Err(Unbound(unknown.clone())));
}

/// States of up to this many components: 2^6 for each of them twice.
const NAMES: usize = 6;

#[test]
fn measures_are_what_enumeration_says() {
    let mut random = Random(0x1d0_97ac);
    let mut compared = 0;
    while compared < 1_000 {
        let shape = Shape { leaves: 2 + random.below(6), names: NAMES, repeated_tries: false };
        let journey = expression(&mut random, shape);
        // Tries, times and draws are events besides the components'.
        let text = journey.to_string();
        if ["Retry", "Repeat", "Timeout", "Branch"].iter().any(|event| text.contains(event)) {
            continue;
        }
        compared += 1;
        let names: Vec<ComponentName> = journey
            .leaves()
            .into_iter()
            .cloned()
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        let a: Vec<f64> = names.iter().map(|_| 0.05 + 0.9 * random.unit()).collect();
        let facts =
            Facts::new(names.iter().zip(&a).map(|(name, a)| (name.clone(), component(*a, &[]))).collect());
        let failure = |state: u32| {
            let mut up = |(of, _): super::twin::Call<'_>| {
                let place = names.iter().position(|name| name == of).unwrap();
                f64::from(state >> place & 1)
            };
            1.0 - Twin { up: &mut up, lean: 0.0, within: 1.0, view: View::Immediate }
                .value(journey.root(), &[])
        };
        let failures: Vec<f64> = (0..1_u32 << names.len()).map(failure).collect();
        let weight = |state: usize, without: usize| -> f64 {
            let of = |(place, a): (usize, &f64)| match (place == without, state >> place & 1) {
                (true, _) => 1.0,
                (_, 1) => *a,
                _ => 1.0 - a,
            };
            a.iter().enumerate().map(of).product()
        };
        let total: f64 =
            failures.iter().enumerate().map(|(state, fails)| weight(state, usize::MAX) * fails).sum();
        let found = importance(&journey, &facts, &names).unwrap();
        for (place, found) in found.iter().enumerate() {
            let with = |up: usize| -> f64 {
                let states = (0..failures.len()).filter(|state| state >> place & 1 == up);
                states.map(|state| weight(state, place) * failures[state]).sum()
            };
            let (down, up) = (with(0), with(1));
            // Both down and failed, and failed only for want of it.
            let both: f64 = (0..failures.len())
                .filter(|state| state >> place & 1 == 0)
                .map(|state| weight(state, usize::MAX) * failures[state])
                .sum();
            let only: f64 = (0..failures.len())
                .filter(|state| state >> place & 1 == 0)
                .map(|state| weight(state, usize::MAX) * (failures[state] - failures[state | 1 << place]))
                .sum();
            close(Some(found.birnbaum), down - up);
            if total > 1e-9 {
                close(found.fussell_vesely, both / total);
                close(found.criticality, only / total);
                close(found.achievement_worth, down / total);
            }
            if up > 1e-9 {
                close(found.reduction_worth, total / up);
            }
        }
    }
}
