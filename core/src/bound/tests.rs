mod attribution;
mod break_even;
mod golden;
mod importance;
mod oracle;
pub(crate) mod random;
mod remembered;
mod soundness;
mod twin;

use std::collections::BTreeMap;
use std::prelude::v1::*;

use super::*;
use crate::journey::{ComponentName, Journey, parse};

fn name(text: &str) -> ComponentName {
    ComponentName::new(text).unwrap()
}

pub(super) fn journey(text: &str) -> Journey {
    Journey::new(parse(text).unwrap()).unwrap()
}

fn known(domains: &[&str]) -> Domains {
    Domains::Known(domains.iter().map(|d| (*d).to_string()).collect())
}

fn component(a: f64, domains: &[&str]) -> Component {
    Component { availability: Interval::new(a, a).unwrap(), domains: known(domains) }
}

pub(super) fn facts(components: &[(&str, f64, &[&str])]) -> Facts {
    Facts::new(components.iter().map(|(n, a, d)| (name(n), component(*a, d))).collect())
}

/// The three bounds of the immediate outcome: independent, envelope, any dependence.
fn bounds(text: &str, facts: &Facts) -> [Interval; 3] {
    let journey = journey(text);
    let now = View::Immediate;
    [
        independent(&journey, facts, now).unwrap().interval,
        shared_fate(&journey, facts, now).unwrap().interval,
        any_dependence(&journey, facts, now).unwrap().interval,
    ]
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 5e-9
}

#[test]
fn an_interval_is_one() {
    for (lo, hi) in
        [(f64::NAN, 0.5), (0.5, f64::NAN), (0.6, 0.5), (-1e-9, 0.5), (0.5, 1.0 + 1e-9), (0.0, f64::INFINITY)]
    {
        assert!(Interval::new(lo, hi).is_err(), "{lo} {hi}");
    }
    assert!(Interval::new(-0.0, 0.0).unwrap().lo().is_sign_positive());
    assert_eq!(Interval::of(-1e-17, 1.0 + 1e-15), Interval::UNKNOWN);
}

#[test]
fn a_component_that_occurs_twice_is_one_event() {
    let facts = facts(&[("a", 0.9, &[]), ("b", 0.8, &[]), ("c", 0.7, &[])]);
    assert_eq!(bounds("Series(a, a)", &facts).map(|i| (i.lo(), i.hi())), [(0.9, 0.9); 3]);
    assert_eq!(bounds("Race(a, a)", &facts).map(|i| (i.lo(), i.hi())), [(0.9, 0.9); 3]);
    // P(a (b or c a)) = a (1 - (1 - b)(1 - c)).
    let [independent, ..] = bounds("Series(a, Race(b, Series(c, a)))", &facts);
    assert!(near(independent.lo(), 0.9 * 0.94), "{independent}");
    // a or (a b) is a.
    let [independent, ..] = bounds("Race(a, Series(a, b))", &facts);
    assert!(near(independent.lo(), 0.9), "{independent}");
    // 2 of {a, a, b}: a twice is two votes of one event.
    let [independent, ..] = bounds("Parallel(atLeast=2, a, a, b)", &facts);
    assert!(near(independent.lo(), 0.9), "{independent}");
    // Trying again what is down does not bring it up.
    let [independent, ..] = bounds("Series(a, Retry(attempts=3, a))", &facts);
    assert!(near(independent.lo(), 0.9), "{independent}");
}

#[test]
fn too_many_shared_components_widen_and_stay_right() {
    for (shared, widens) in [(10, false), (11, true)] {
        let names: Vec<String> = (0..shared).map(|i| format!("c{i}")).collect();
        let all = names.join(", ");
        let list: Vec<(&str, f64, &[&str])> =
            names.iter().map(|n| (n.as_str(), 0.99, [].as_slice())).collect();
        let mut facts = facts(&list);
        facts.components.insert(name("x"), component(0.9, &[]));
        facts.components.insert(name("y"), component(0.8, &[]));
        let exact = 0.99_f64.powi(shared) * 0.98;
        let [independent, ..] = bounds(&format!("Race(Series({all}, x), Series({all}, y))"), &facts);
        assert!(independent.encloses(Interval::of(exact, exact), 1e-12));
        assert_eq!(independent.width() > 0.01, widens, "{shared}: {independent}");
        assert!(widens || independent.width() < 1e-12, "{shared}: {independent}");
    }
}

#[test]
fn only_a_component_that_an_outcome_depends_on_twice_is_repeated() {
    let repeats = |text, view| !evaluate::repeated(journey(text).root(), view).is_empty();
    let now = ["a", "Race(a, b)", "Series(a, Race(b, a))", "Series(a, Async(a))"];
    assert_eq!(now.map(|text| repeats(text, View::Immediate)), [false, false, true, false]);
    assert!(repeats("Series(a, Async(a))", View::Eventual));
}

#[test]
fn of_a_vote_among_members_of_a_domain_each_end_is_the_better_of_two() {
    let vote = "Parallel(atLeast=2, a, b, c)";
    let envelope = |facts: &Facts| {
        let [_, envelope, _] = bounds(vote, facts);
        (envelope.lo(), envelope.hi())
    };
    // The best two in series (Rueger: 0.125); all but the worst two failing together (Rueger: 0.5).
    let together = facts(&[("a", 0.25, &["x"]), ("b", 0.25, &["x"]), ("c", 0.75, &[])]);
    assert_eq!(envelope(&together), (0.75 * 0.25, 1.0 - 0.75 * 0.75));
    // Rueger: (0.75 + 0.75 + 0.75 - 1) / 2 and (3 x 0.25) / 2, where the best two in series give 0.5625 and 0.4375.
    let good = facts(&[("a", 0.875, &["x"]), ("b", 0.875, &["x"]), ("c", 0.875, &[])]);
    assert_eq!(envelope(&good).0, 1.0 - 3.0 * 0.125 / 2.0);
    // c with one of a and b, or those two without it.
    let exact = 0.75 * (1.0 - 0.75 * 0.75) + 0.25 * 0.25 * 0.25;
    let mut apart = facts(&[("a", 0.25, &["x"]), ("b", 0.25, &["y"]), ("c", 0.75, &[])]);
    assert_eq!(envelope(&apart), (exact, exact));
    apart.components.get_mut(&name("b")).unwrap().domains = Domains::Missing;
    assert_eq!(envelope(&apart), (0.75 * 0.25, exact), "shared for the lower end, separate for the upper");
}

#[test]
fn what_is_not_known_counts_against_both_ends() {
    let mut facts = facts(&[("a", 0.9, &["x"]), ("b", 0.8, &["y"])]);
    let [_, envelope, _] = bounds("Race(a, b)", &facts);
    assert!(near(envelope.lo(), 0.98) && near(envelope.hi(), 0.98));
    facts.components.get_mut(&name("b")).unwrap().domains = Domains::Missing;
    assert!(facts.components[&name("b")].domains.needs_review());
    let [_, envelope, _] = bounds("Race(a, b)", &facts);
    assert!(near(envelope.lo(), 0.9) && near(envelope.hi(), 0.98));
    let [_, envelope, _] = bounds("Series(a, b)", &facts);
    assert!(near(envelope.lo(), 0.72) && near(envelope.hi(), 0.72));
}

#[test]
fn a_timeout_takes_its_share_of_the_answers() {
    let mut facts = facts(&[("a", 0.9, &[])]);
    let [independent, ..] = bounds("Timeout(after=50ms, a)", &facts);
    assert_eq!((independent.lo(), independent.hi()), (0.0, 0.9));
    let body = parse("a").unwrap();
    facts.set_within(&body, crate::units::Millis(50), Interval::new(0.5, 0.6).unwrap());
    let [independent, ..] = bounds("Timeout(after=50ms, a)", &facts);
    assert!(near(independent.lo(), 0.45) && near(independent.hi(), 0.54));
}

#[test]
fn async_counts_in_the_end_only() {
    let facts = facts(&[("a", 0.9, &[]), ("b", 0.8, &[])]);
    let journey = journey("Series(a, Async(b))");
    let value = |view| independent(&journey, &facts, view).unwrap().interval.lo();
    assert!(near(value(View::Immediate), 0.9) && near(value(View::Eventual), 0.72));
}

#[test]
fn rueger_is_attained_on_small_cases() {
    let facts = facts(&[("a", 0.5, &[]), ("b", 0.5, &[]), ("c", 0.5, &[])]);
    // Three fair coins: two of three heads at most 3/4, at least 1/4.
    let [independent, _, any] = bounds("Parallel(atLeast=2, a, b, c)", &facts);
    assert!(near(any.lo(), 0.25) && near(any.hi(), 0.75) && near(independent.lo(), 0.5));
}

#[test]
fn unbound_leaves_are_named() {
    let facts = facts(&[("a", 0.5, &[])]);
    let journey = journey("Series(a, Async(b))");
    assert_eq!(independent(&journey, &facts, View::Immediate), Err(Unbound(name("b"))));
    let cause = common_cause(&journey, &facts, &BTreeMap::new(), View::Immediate);
    assert_eq!(cause, Err(InvalidBeta::Unbound(Unbound(name("b")))));
}

#[test]
fn betas_are_checked() {
    let facts = facts(&[("a", 0.5, &["d", "e"]), ("b", 0.5, &["d", "e"])]);
    let with = |betas: &[(&str, f64)]| {
        let betas = betas.iter().map(|(d, b)| ((*d).to_string(), *b)).collect();
        common_cause(&journey("Race(a, b)"), &facts, &betas, View::Immediate)
    };
    assert!(matches!(with(&[("d", 1.5)]), Err(InvalidBeta::Range { .. })));
    assert!(matches!(with(&[("d", f64::NAN)]), Err(InvalidBeta::Range { .. })));
    assert!(matches!(with(&[("d", 1.0), ("e", 1.0)]), Err(InvalidBeta::Excess { .. })));
    assert!(near(with(&[("d", 1.0)]).unwrap().interval.lo(), 0.5), "all together");
    assert!(near(with(&[("nobody", 1.0)]).unwrap().interval.lo(), 0.75), "nobody is in it");
}

#[test]
fn two_domains_fail_independently() {
    let facts = facts(&[("a", 0.5, &["x"]), ("b", 0.5, &["x"]), ("c", 0.5, &["y"]), ("d", 0.5, &["y"])]);
    let betas = [("x".to_string(), 1.0), ("y".to_string(), 0.5)].into();
    let journey = journey("Series(Race(a, b), Race(c, d))");
    let value = common_cause(&journey, &facts, &betas, View::Immediate).unwrap().interval;
    // x takes all failures of a and b; y fails a quarter of the time, c and d a third of the rest.
    let exact = 0.5 * (0.75 * (1.0 - 1.0 / 9.0));
    assert!((value.lo() - exact).abs() < 1e-15, "{value} {exact}");
}

#[test]
fn probabilities_of_a_branch_are_one_choice_for_all_states_of_its_domains() {
    let facts = facts(&[("a", 0.9, &["x"]), ("b", 0.9, &["x"]), ("c", 0.9, &["y"]), ("d", 0.8, &["x"])]);
    let betas = [("x".to_string(), 0.5)].into();
    let ends = |text: &str| {
        let bound = common_cause(&journey(text), &facts, &betas, View::Immediate).unwrap();
        assert!(!bound.loose.any(), "{text}");
        (bound.interval.lo(), bound.interval.hi())
    };
    // Whatever the mixture, and whatever fails together.
    let (lo, hi) = ends("Branch([0,0.2]*a, [0.3,0.6]*b, [0.3,0.6]*c)");
    assert!(near(lo, 0.9) && near(hi, 0.9), "{lo} {hi}");
    let (lo, hi) = ends("Branch([0.2,0.4]*a, [0.6,0.8]*d)");
    assert!(near(lo, 0.82) && near(hi, 0.84), "{lo} {hi}");
}

#[test]
fn a_component_works_at_most_as_often_as_its_domains_let_it() {
    let with = |a: f64| {
        let facts = facts(&[("a", 0.75, &["x"]), ("b", 0.75, &["y"]), ("c", a, &["x", "y"])]);
        let betas = [("x".to_string(), 1.0), ("y".to_string(), 1.0)].into();
        common_cause(&journey("Series(a, b, c)"), &facts, &betas, View::Immediate)
    };
    // Each domain is up three quarters of the time; a rounding more is none.
    let both = 0.75 * 0.75;
    assert!(with(both).is_ok() && with(both + 1e-12).is_ok());
    assert_eq!(with(both + 1e-11), Err(InvalidBeta::Excess { component: name("c") }));
}

#[test]
fn a_thirteenth_domain_is_one_too_many() {
    let names: Vec<String> = (0..13).map(|i| format!("d{i:02}")).collect();
    let domains: Vec<&str> = names.iter().map(String::as_str).collect();
    let facts = facts(&[("a", 0.5, &domains), ("b", 0.5, &domains)]);
    let journey = journey("Race(a, b)");
    let mut betas: BTreeMap<_, _> = names[..12].iter().map(|domain| (domain.clone(), 0.01)).collect();
    assert!(common_cause(&journey, &facts, &betas, View::Immediate).is_ok());
    let too_many = InvalidBeta::TooMany { count: 13, max: 12 };
    let one_more = BreakEven::new(&journey, &facts, &betas, View::Immediate).unwrap().of("d12", 0.5);
    assert_eq!(one_more, Err(too_many.clone()));
    betas.insert("d12".to_string(), 0.01);
    assert_eq!(common_cause(&journey, &facts, &betas, View::Immediate), Err(too_many));
}

#[test]
fn an_interval_lies_within_another_give_or_take() {
    let interval = |lo, hi| Interval::new(lo, hi).unwrap();
    let outer = interval(0.25, 0.75);
    assert!(outer.encloses(interval(0.25, 0.75), 0.0) && outer.encloses(interval(0.125, 0.875), 0.125));
    assert!(!outer.encloses(interval(0.125, 0.5), 0.0) && !outer.encloses(interval(0.5, 0.875), 0.0));
    assert_eq!(
        (interval(0.5, 0.5).to_string(), outer.to_string()),
        ("0.50000000".into(), "[0.25000000, 0.75000000]".into())
    );
    // No zero has a sign, which would be written.
    assert!([interval(-0.0, -0.0).lo(), interval(-0.0, -0.0).hi()].iter().all(|end| end.is_sign_positive()));
    assert!(
        [Interval::of(-0.0, -0.0).lo(), Interval::of(-0.0, -0.0).hi()]
            .iter()
            .all(|end| end.is_sign_positive())
    );
}

#[test]
fn labels_are_those_of_the_documentation() {
    let all = [
        Assumption::Independent,
        Assumption::DomainEnvelope,
        Assumption::AnyDependence,
        Assumption::CommonCause,
    ];
    assert_eq!(
        all.map(Assumption::label),
        ["independent", "domain_envelope", "any_dependence", "common_cause"]
    );
}

#[test]
fn a_person_looks_where_domains_are_missing_or_conflict() {
    let needed = [known(&[]), known(&["d"]), Domains::Missing, Domains::Conflicting];
    assert_eq!(needed.map(|domains| domains.needs_review()), [false, false, true, true]);
}

#[test]
fn the_runtime_operator_weighs_what_the_fallback_answers() {
    // Of half the requests: 0.8 x 0.5 directly, and of the other 0.6 a quarter.
    assert!((with_fallback(0.5, 0.8, 0.5, 0.25) - 0.5 * (0.4 + 0.6 * 0.25)).abs() < 1e-15);
}

#[test]
fn of_tries_and_repeats_any_dependence_leaves_both_extremes() {
    let facts = facts(&[("a", 0.25, &[]), ("b", 0.875, &[])]);
    let [_, _, tries] = bounds("Retry(attempts=2, a)", &facts);
    assert_eq!((tries.lo(), tries.hi()), (0.25, 0.5), "fail together, or never both");
    let [_, _, repeats] = bounds("Repeat(count=2, b)", &facts);
    assert_eq!((repeats.lo(), repeats.hi()), (0.75, 0.875), "never fail together, or always");
}
