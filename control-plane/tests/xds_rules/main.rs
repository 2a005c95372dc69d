//! What an xDS server must show, case by case: the numbers are those of the 51 rules in the design data (`xds-rules`), retold
//! from public test suites and the protocol document. A test's name begins with the numbers it holds.
//!
//! Case 45 (a stream that fails leaves nothing behind) needs a running service and is in `ads`.

mod both;
mod delta;
mod property;
mod script;
mod sotw;
mod wire;

/// Every case has a test that carries its number.
#[test]
fn none_of_the_51_cases_is_missing() {
    let sources = [
        include_str!("both.rs"),
        include_str!("delta.rs"),
        include_str!("sotw.rs"),
        include_str!("../ads/main.rs"),
    ];
    let names = sources.iter().flat_map(|source| source.lines()).filter_map(|line| line.split_once("fn c"));
    let numbers =
        names.flat_map(|(_, name)| name.split("_c").map(|part| part.chars().take(2).collect::<String>()));
    let covered: std::collections::BTreeSet<usize> =
        numbers.filter_map(|number| number.parse().ok()).collect();
    assert_eq!(covered, (1..=51).collect());
}
