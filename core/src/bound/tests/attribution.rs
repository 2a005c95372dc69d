//! Parts in the unreliability, and what would restore an objective, by hand.

use std::prelude::v1::*;
use std::vec;

use super::*;

#[test]
fn each_component_has_its_part_in_the_unreliability() {
    // 1/2 (1 - 1/4 x 1/2) = 7/16.
    let facts = facts(&[("a", 0.5, &[]), ("b", 0.75, &[]), ("c", 0.5, &[])]);
    let found = attribute(&journey("Series(a, Race(b, c))"), &facts).unwrap();
    let parts: Vec<_> =
        found.iter().map(|f| (f.component.as_str(), f.unavailability, f.importance, f.gain)).collect();
    let expected = [
        ("a", 0.5, 7.0 / 8.0, 7.0 / 16.0),
        ("b", 0.25, 1.0 / 2.0 - 1.0 / 4.0, 1.0 / 16.0),
        ("c", 0.5, 1.0 / 2.0 - 3.0 / 8.0, 1.0 / 16.0),
    ];
    assert_eq!(parts, expected);
}

#[test]
fn the_smallest_change_is_that_of_the_first_component_that_needs_least() {
    let change = |text: &str, values: &[(&str, f64)], objective: f64| {
        let list: Vec<(&str, f64, &[&str])> = values.iter().map(|&(n, a)| (n, a, [].as_slice())).collect();
        let change = smallest_change(&journey(text), &facts(&list), objective).unwrap()?;
        Some((change.component.to_string(), change.from, change.to))
    };
    let found = |name: &str, from, to| Some((name.to_owned(), from, to));
    // An eighth more is 7/64 of a, 1/16 of b and 3/32 of c.
    let three = [("a", 7.0 / 8.0), ("b", 1.0 / 2.0), ("c", 3.0 / 4.0)];
    assert_eq!(change("Series(a, b, c)", &three, 9.0 / 8.0 * 21.0 / 64.0), found("b", 0.5, 0.5625));
    let equals = [("a", 0.5), ("b", 0.5)];
    assert_eq!(change("Series(a, b)", &equals, 0.375), found("a", 0.5, 0.75));
    // a gives at most 1/2.
    let two = [("a", 0.75), ("b", 0.5)];
    assert_eq!(change("Series(a, b)", &two, 0.5625), found("b", 0.5, 0.75));
    assert_eq!(change("Series(a, b)", &two, 0.75), found("b", 0.5, 1.0));
    assert_eq!(change("Series(a, b)", &two, 0.8), None);
    assert_eq!(change("Series(a, b)", &two, 0.375), None, "met");
}

#[test]
fn an_error_budget_is_split_so_that_the_objective_holds() {
    let facts = facts(&[("a", 0.99, &[]), ("b", 0.98, &[]), ("c", 1.0, &[])]);
    let journey = journey("Series(a, b, c)");
    let split = split_budget(&journey, &facts, 0.995).unwrap().unwrap();
    let held: f64 = split.iter().map(|(_, u)| 1.0 - u).product();
    assert!((0.995..0.995 + 1e-12).contains(&held), "{split:?}");
    assert!((split[1].1 / split[0].1 - 2.0).abs() < 1e-9 && split[2].1 == 0.0);
    assert_eq!(split_budget(&journey, &facts, 1.1), Ok(None));
    assert_eq!(required(&journey, &facts, &name("a"), 0.99), Ok(None), "b alone misses it");
    assert_eq!(required(&journey, &facts, &name("a"), 0.5), Ok(Some(0.99)));
}

#[test]
fn an_error_budget_that_is_not_spent_is_split_too() {
    let split = |a: f64, b: f64, objective: f64| {
        let facts = facts(&[("a", a, &[]), ("b", b, &[])]);
        let split = split_budget(&journey("Series(a, b)"), &facts, objective).unwrap().unwrap();
        split.into_iter().map(|(_, u)| u).collect::<Vec<_>>()
    };
    // Twice the unavailabilities: (1 - 1/2) (1 - 1/4).
    let twice = split(0.75, 0.875, 0.375);
    assert!((twice[0] - 0.5).abs() < 1e-12 && (twice[1] - 0.25).abs() < 1e-12, "{twice:?}");
    assert_eq!(split(0.75, 0.875, 0.0), [1.0, 0.5], "no more than all");
    assert_eq!(split(1.0, 1.0, 0.5), [0.0, 0.0], "nothing fails");
    let nobody_waits = split_budget(&journey("Async(a)"), &facts(&[("a", 1.0, &[])]), 0.5);
    assert_eq!(nobody_waits, Ok(Some(vec![(name("a"), 0.0)])));
}
