//! Numbers of the paper and its artifacts, to 8 decimals.

use std::prelude::v1::*;

use super::*;

const CHECKOUT: &str = "Series(front, Parallel(cart, pricing), Race(paya, payb))";
const OBJECTIVE: f64 = 0.995;

fn checkout(paya: &[&str], payb: &[&str]) -> Facts {
    facts(&[
        ("front", 0.9995, &["k8s/zone", "k8s/cluster"]),
        ("cart", 0.999, &["k8s/zone", "k8s/cluster"]),
        ("pricing", 0.999, &["k8s/zone", "k8s/cluster"]),
        ("paya", 0.995, paya),
        ("payb", 0.995, payb),
    ])
}

fn shared() -> Facts {
    checkout(&["payment-network"], &["payment-network"])
}

#[test]
fn checkout_with_separate_and_with_shared_payment_domains() {
    let separate = bounds(CHECKOUT, &checkout(&["a"], &["b"]));
    assert!((separate[0].lo() - 0.997_477_061_950_012_4).abs() < 1e-15);
    assert_eq!(separate[1].lo(), separate[0].lo(), "A- is A+");
    let [plus, minus, any] = bounds(CHECKOUT, &shared());
    assert!((minus.lo() - 0.992_514_489_502_5).abs() < 1e-13);
    assert!(near(plus.lo() - minus.lo(), 0.004_962_57));
    assert!(near(any.lo(), 0.9925) && near(any.hi(), 0.999));
    assert!(near(OBJECTIVE - minus.lo(), 0.002_485_51));
    let spent = |a: f64| (1.0 - a) / (1.0 - OBJECTIVE);
    assert!((spent(minus.lo()) - 1.4971).abs() < 5e-5 && (spent(plus.lo()) - 0.5046).abs() < 5e-5);
    let race = bounds("Race(paya, payb)", &shared());
    assert!(near(race[0].lo() - race[1].lo(), 0.004_975));
    assert!(near(bounds("Parallel(cart, pricing)", &shared())[0].lo(), 0.998_001));
}

#[test]
fn checkout_what_would_restore_the_objective() {
    let (journey, facts) = (journey(CHECKOUT), shared());
    let race = required_at(&journey, &facts, &[2], OBJECTIVE).unwrap().unwrap();
    assert!(near(race, 0.997_491_73), "{race}");
    let change = smallest_change(&journey, &facts, OBJECTIVE).unwrap().unwrap();
    assert!(change.component.as_str().starts_with("pay") && near(change.to, 0.997_491_73), "{change:?}");
    let first = &attribute(&journey, &facts).unwrap()[0];
    assert!(first.component.as_str().starts_with("pay") && near(first.gain, 0.004_987_51), "{first:?}");
    let split = split_budget(&journey, &facts, OBJECTIVE).unwrap().unwrap();
    let mut met = facts;
    for (name, u) in split {
        met = met.with(&name, Interval::of(1.0 - u, 1.0 - u));
    }
    assert!((bounds(CHECKOUT, &met)[1].lo() - OBJECTIVE).abs() < 1e-12);
    assert_eq!(required_at(&journey, &met, &[9, 9], OBJECTIVE), Ok(None));
}

#[test]
fn checkout_break_even_beta() {
    let journey = journey(CHECKOUT);
    let beta =
        break_even_beta(&journey, &shared(), &BTreeMap::new(), "payment-network", OBJECTIVE, View::Immediate);
    let beta = beta.unwrap().unwrap();
    assert!((beta - 0.5004).abs() < 5e-5, "{beta}");
    let betas = [("payment-network".to_string(), beta)].into_iter().collect();
    let value = common_cause(&journey, &shared(), &betas, View::Immediate).unwrap().interval.lo();
    assert!((value - OBJECTIVE).abs() < 1e-9);
    let never =
        break_even_beta(&journey, &shared(), &BTreeMap::new(), "k8s/zone", OBJECTIVE, View::Immediate);
    assert_eq!(never, Ok(None), "a shared domain raises a series");
}

#[test]
fn the_runtime_operator_of_petclinic() {
    let permitted = 5_940.0 / 6_000.0;
    assert!(near(with_fallback(1.0, permitted, 1.0, 0.0), 0.99));
    assert!(near(with_fallback(1.0, permitted, 1.0, 1.0), 1.0));
}

/// `steps` components of availability `theta` joined by `links` of `rho`, all in series.
fn in_series(steps: usize, theta: f64, links: usize, rho: f64) -> f64 {
    let mut list = Vec::new();
    let names: Vec<(String, f64)> = (0..steps)
        .map(|i| (format!("s{i}"), theta))
        .chain((0..links).map(|i| (format!("l{i}"), rho)))
        .collect();
    for (name, a) in &names {
        list.push((name.as_str(), *a, [].as_slice()));
    }
    let text: Vec<&str> = names.iter().map(|(n, _)| n.as_str()).collect();
    bounds(&format!("Series({})", text.join(", ")), &facts(&list))[0].lo()
}

#[test]
fn fan_out_chain_and_bottleneck() {
    for (d, expected) in [(1, 0.893_855), (2, 0.823_687), (4, 0.699_444), (8, 0.504_353), (12, 0.363_677)] {
        let value = in_series(d + 1, 0.97, d, 0.95);
        assert!((value - expected).abs() < 5e-7, "{d}: {value}");
    }
    assert!(near(in_series(3, 0.98, 2, 0.97), 0.885_567_552_8), "chain of two links");
    for (replicas, expected) in [(1, 0.738), (2, 0.8118), (3, 0.81918)] {
        let names: Vec<String> = (0..replicas).map(|i| format!("r{i}")).collect();
        let mut list: Vec<(&str, f64, &[&str])> =
            names.iter().map(|n| (n.as_str(), 0.9, [].as_slice())).collect();
        list.push(("link", 0.82, &[]));
        let value = bounds(&format!("Series(link, Race({}))", names.join(", ")), &facts(&list))[0].lo();
        assert!(near(value, expected), "{replicas}: {value}");
    }
}

#[test]
fn replicas_in_one_failure_domain() {
    // The domain is a component of its own that all replicas need; together they fail as one.
    let replicas =
        facts(&[("zone", 0.95, &[]), ("a", 0.9, &["rack"]), ("b", 0.9, &["rack"]), ("c", 0.9, &["rack"])]);
    let [product, correlated, _] = bounds("Series(zone, Race(a, b, c))", &replicas);
    assert!(near(product.lo(), 0.949_05) && near(correlated.lo(), 0.855));
}

#[test]
fn immediate_and_eventual_outcome() {
    let list = facts(&[
        ("entry", 0.97, &[]),
        ("queue", 0.96, &[]),
        ("link", 0.97, &[]),
        ("worker", 0.97 * 0.85, &[]),
        ("mail", 0.97 * 0.85, &[]),
    ]);
    let journey = journey("Series(entry, link, queue, Async(Series(worker, mail)))");
    let value = |view| independent(&journey, &list, view).unwrap().interval.lo();
    assert!((value(View::Immediate) - 0.903_264).abs() < 5e-7);
    assert!((value(View::Eventual) - 0.614_039).abs() < 5e-7, "{}", value(View::Eventual));
}
