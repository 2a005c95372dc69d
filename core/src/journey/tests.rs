use std::prelude::v1::*;
use std::{format, vec};

use proptest::prelude::*;

use super::*;
use crate::units::{Millis, Ratio};

fn leaf(name: &str) -> Expr {
    Expr::Leaf(ComponentName::new(name).unwrap())
}

fn ratio(value: f64) -> Ratio {
    Ratio::new(value).unwrap()
}

fn parallel(branches: Vec<Expr>) -> Expr {
    Expr::Parallel { join: Join::All, branches }
}

fn race(branches: Vec<Expr>) -> Expr {
    Expr::Race { delay: Millis(0), branches }
}

fn choice(p: f64, expr: Expr) -> Choice {
    Choice { probability: Probability::exactly(ratio(p)), expr }
}

fn problems(expr: Expr) -> Vec<String> {
    Journey::new(expr).unwrap_err().into_iter().map(|p| format!("{:?} {p}", p.path)).collect()
}

#[test]
fn the_checkout_journey_has_the_text_of_the_paper() {
    let expr = Expr::Series(vec![
        leaf("front"),
        parallel(vec![leaf("pricing"), leaf("cart")]),
        race(vec![leaf("paya"), leaf("payb")]),
    ]);
    let journey = Journey::new(expr).unwrap();
    assert_eq!(format!("{journey}"), "Series(front, Parallel(cart, pricing), Race(paya, payb))");
    assert_eq!(journey.leaves().len(), 5);
}

#[test]
fn every_rule_has_its_reason_and_place() {
    assert_eq!(problems(Expr::Series(vec![])), ["[] Series has no operands"]);
    assert_eq!(
        problems(Expr::Series(vec![leaf("a"), Expr::Branch(vec![choice(0.5, leaf("b"))])])),
        ["[1] the probabilities of a branch add up to 1, these to 0.5"]
    );
    let off = Expr::Branch(vec![choice(0.5, leaf("a")), choice(0.5 + 1e-9, leaf("b"))]);
    assert!(Journey::new(off).is_err(), "a slip of 1e-9 is a slip");
    let k = |k| Expr::Parallel { join: Join::AtLeast(k), branches: vec![leaf("a"), leaf("b")] };
    assert_eq!(problems(k(3)), ["[] atLeast is between 1 and the number of branches (2), not 3"]);
    assert_eq!(problems(k(0)).len(), 1);
    let timeout = Expr::Timeout { after: Millis(0), body: Box::new(leaf("a")) };
    assert_eq!(problems(timeout), ["[] a timeout is above zero"]);
    let nested = race(vec![leaf("a"), Expr::Series(vec![Expr::Async(Box::new(leaf("b")))])]);
    assert_eq!(
        problems(nested),
        ["[1, 0] async inside race: a race waits for an answer, an async has none to wait for"]
    );
    let retry =
        Expr::Retry { attempts: 0, per_try_timeout: Some(Millis(0)), body: Box::new(Expr::Series(vec![])) };
    assert_eq!(problems(retry).len(), 3, "all problems at once");
    let free = Expr::Fallback {
        primary: Box::new(leaf("a")),
        alternates: vec![Alternative { weight: Ratio::ZERO, expr: leaf("b") }],
    };
    assert_eq!(problems(free).len(), 1);
    let rising = parse("Series(x, Fallback(a, 0.75*b, 0.5*c, 0.75*d, 0.75*e))").unwrap();
    assert_eq!(
        problems(rising),
        [
            "[1, 3] an alternate is worth at most what those before it are, not 0.75 after 0.5: put the better one first"
        ]
    );
    assert_eq!(problems(Expr::Repeat { count: 1_001, body: Box::new(leaf("a")) }).len(), 1);
}

#[test]
fn an_interval_of_probability_must_leave_room_for_one() {
    let interval = |lo, hi| Probability::between(ratio(lo), ratio(hi)).unwrap();
    let two = |a, b| {
        Expr::Branch(vec![
            Choice { probability: a, expr: leaf("a") },
            Choice { probability: b, expr: leaf("b") },
        ])
    };
    assert!(Journey::new(two(interval(0.2, 0.6), interval(0.4, 0.9))).is_ok());
    assert!(Journey::new(two(interval(0.2, 0.3), interval(0.4, 0.5))).is_err());
    assert!(Journey::new(two(interval(0.7, 0.8), interval(0.4, 0.5))).is_err());
    assert!(Probability::between(ratio(0.6), ratio(0.4)).is_err());
}

#[test]
fn hostile_size_is_refused_before_it_costs() {
    let mut deep = leaf("a");
    for _ in 0..10_000 {
        deep = Expr::Async(Box::new(deep));
    }
    assert!(matches!(
        Journey::new(deep).unwrap_err().as_slice(),
        [InvalidExpr { problem: Problem::TooDeep { .. }, .. }]
    ));
    assert!(matches!(
        Journey::new(Expr::Series(vec![leaf("a"); 100_000])).unwrap_err().as_slice(),
        [InvalidExpr { problem: Problem::TooManyLeaves { .. }, .. }]
    ));
    assert!(parse(&"Async(".repeat(100_000)).is_err());
    assert!(parse(&"x".repeat(parse::BYTES_MAX + 1)).is_err());
    assert!(problems(Expr::Series(vec![Expr::Series(vec![]); 1_000])).len() <= 100);
}

#[test]
fn equal_meaning_has_one_spelling() {
    let normal = |text: &str| Journey::new(parse(text).unwrap()).unwrap().to_string();
    assert_eq!(normal("Series(a, Series(b, Series(c)))"), "Series(a, b, c)");
    assert_eq!(normal("Parallel(c, Parallel(b, a))"), "Parallel(a, b, c)");
    assert_eq!(normal("Parallel(atLeast=2, b, a)"), "Parallel(a, b)");
    assert_eq!(normal("Parallel(atLeast=1, b, a)"), "Parallel(atLeast=1, a, b)");
    assert_eq!(normal("Race(delay=50ms, b, Race(d, c))"), "Race(delay=50ms, b, Race(c, d))");
    assert_eq!(normal("Fallback(b, Fallback(a, 0.5*c))"), "Fallback(b, a, 0.5*c)");
    // Not where something is asked after a degraded answer.
    assert_eq!(normal("Fallback(z, Fallback(b, 0.5*c), d)"), "Fallback(z, Fallback(b, 0.5*c), d)");
    assert_eq!(normal("Fallback(z, Fallback(b, c), 0.5*d)"), "Fallback(z, b, c, 0.5*d)");
    assert_eq!(
        normal("Fallback(z, Fallback(Fallback(b, c), Fallback(e, 0.5*f)), d)"),
        "Fallback(z, Fallback(Fallback(b, c), e, 0.5*f), d)"
    );
    assert_eq!(normal("Fallback(z, Fallback(Fallback(b, c), e), d)"), "Fallback(z, b, c, e, d)");
    assert_eq!(normal("Timeout(after=9ms, Timeout(after=7ms, a))"), "Timeout(after=7ms, a)");
    assert_eq!(normal("Retry(attempts=1, perTry=5ms, Repeat(count=1, a))"), "Timeout(after=5ms, a)");
    assert_eq!(normal("Branch(0.5*b,0.5*a)"), "Branch(0.5*a, 0.5*b)");
}

#[test]
fn text_that_does_not_fit_is_refused_with_its_place() {
    for (text, at) in [
        ("", 0),
        ("Series(a", 8),
        ("Series(a,)", 9),
        ("Serie(a)", 0),
        ("a b", 2),
        ("Retry(a)", 0),
        ("Series(0.5*a)", 0),
        ("Branch(a)", 0),
        ("Branch(2*a)", 7),
        ("Race(delay=5s, a)", 5),
        ("Series(k=1, a)", 7),
        ("Branch([0.5*a)", 11),
        ("Fallback(0.5*a, b)", 0),
    ] {
        assert_eq!(parse(text).map_err(|e| e.at), Err(at), "{text}");
    }
}

/// Expressions over every operator, mostly valid.
pub(crate) fn any_expr() -> impl Strategy<Value = Expr> {
    let name = prop_oneof![Just("a"), Just("b"), Just("pay-a"), Just("0.5"), Just("Series"), Just("ns/x_1")];
    name.prop_map(leaf).prop_recursive(4, 24, 4, |inner| {
        let some = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            some.clone().prop_map(Expr::Series),
            (some.clone(), 0_u32..4).prop_map(|(branches, k)| {
                let join = if k == 0 { Join::All } else { Join::AtLeast(k.min(branches.len() as u32)) };
                Expr::Parallel { join, branches }
            }),
            (some.clone(), 0_u64..2).prop_map(|(branches, d)| Expr::Race { delay: Millis(d * 50), branches }),
            (inner.clone(), some.clone(), 1_u32..=4).prop_map(|(primary, others, w)| Expr::Fallback {
                primary: Box::new(primary),
                alternates: others
                    .into_iter()
                    .map(|expr| Alternative { weight: ratio(f64::from(w) / 4.0), expr })
                    .collect(),
            }),
            (inner.clone(), inner.clone(), 0.0..=1.0_f64, 0.0..0.2_f64).prop_map(|(a, b, p, w)| {
                let lo = ratio((p - w).max(0.0));
                let first = Probability::between(lo, ratio(p)).unwrap();
                let second = Probability::exactly(ratio(1.0 - p));
                Expr::Branch(vec![
                    Choice { probability: first, expr: a },
                    Choice { probability: second, expr: b },
                ])
            }),
            (inner.clone(), 1_u32..4, prop::option::of(1_u64..90)).prop_map(|(body, attempts, t)| {
                Expr::Retry { attempts, per_try_timeout: t.map(Millis), body: Box::new(body) }
            }),
            (inner.clone(), 1_u64..900)
                .prop_map(|(body, t)| Expr::Timeout { after: Millis(t), body: Box::new(body) }),
            (inner.clone(), 1_u32..4).prop_map(|(body, count)| Expr::Repeat { count, body: Box::new(body) }),
            inner.prop_map(|body| Expr::Async(Box::new(body))),
        ]
    })
}

proptest! {
    #![proptest_config(crate::laws::config(400, 7))]

    #[test]
    fn text_round_trips(expr in any_expr()) {
        prop_assert_eq!(parse(&expr.to_string()), Ok(expr));
    }

    #[test]
    fn the_normal_form_is_its_own(expr in any_expr()) {
        if let Ok(journey) = Journey::new(expr) {
            let again = Journey::new(journey.root().clone()).unwrap();
            prop_assert_eq!(&again, &journey);
            prop_assert_eq!(parse(&journey.to_string()), Ok(journey.root().clone()));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[SeriesParlAync()=*,\\[\\]0-9. a-z]{0,60}") {
        let _ = parse(&text).map(Journey::new);
    }
}
