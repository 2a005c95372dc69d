//! What is conditioned on costs where it stands, and nowhere else.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::prelude::v1::*;

use super::super::evaluate::{Alone, Part, Rules, Walk};
use super::super::independent::Independent;
use super::super::{Interval, View};
use super::{facts, journey};
use crate::journey::ComponentName;

/// Counts how often operands are combined.
#[derive(Default)]
struct Counted {
    rules: Independent,
    combined: Cell<u64>,
}

impl Counted {
    fn count(&self) -> &Independent {
        self.combined.set(self.combined.get() + 1);
        &self.rules
    }
}

impl Rules for Counted {
    fn all(&self, parts: &[Part<'_>]) -> Interval {
        self.count().all(parts)
    }

    fn any(&self, parts: &[Part<'_>]) -> Interval {
        self.count().any(parts)
    }

    fn at_least(&self, k: usize, parts: &[Part<'_>]) -> Interval {
        self.count().at_least(k, parts)
    }

    fn tries(&self, n: u32, body: Interval, tied: bool) -> Interval {
        self.count().tries(n, body, tied)
    }

    fn times(&self, n: u32, body: Interval, tied: bool) -> Interval {
        self.count().times(n, body, tied)
    }

    fn conditions(&self, name: &ComponentName, others: &BTreeSet<&ComponentName>) -> Option<Alone> {
        self.rules.conditions(name, others)
    }
}

/// Combinations and value of ten components that stand in two races each, beside so many races without them.
fn worked_out(others: usize) -> (u64, f64) {
    let shared = (0..10).map(|i| format!("Race(a{i}, b{i}), Race(a{i}, c{i})"));
    let text = shared.chain((0..others).map(|i| format!("Race(p{i}, q{i})"))).collect::<Vec<_>>().join(", ");
    let journey = journey(&format!("Series({text})"));
    let names: BTreeSet<String> = journey.leaves().iter().map(ToString::to_string).collect();
    let known: Vec<(&str, f64, &[&str])> = names.iter().map(|name| (name.as_str(), 0.9, &[][..])).collect();
    let (facts, rules) = (facts(&known), Counted::default());
    let value = Walk::new(&journey, &facts, &rules, View::Immediate).value(journey.root()).unwrap();
    (rules.combined.get(), value.lo())
}

#[test]
fn what_holds_nothing_conditioned_on_is_worked_out_once_and_not_for_each_state() {
    let ((few, alone), (many, beside)) = (worked_out(0), worked_out(100));
    // Once for the states in turn, and once each for the best and the worst of all.
    assert!(many - few <= 300, "{few} {many}");
    let (pair, other) = (0.9_f64 + 0.1 * 0.9 * 0.9, 0.99_f64);
    assert!((alone - pair.powi(10)).abs() < 1e-12, "{alone}");
    assert!((beside - pair.powi(10) * other.powi(100)).abs() < 1e-12, "{beside}");
}
