//! Random models for laws: every operator, every field, names with awkward characters.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::journey::{Alternative, Choice, ComponentName, Expr, Join, Journey, Probability};
use emac_core::units::{Millis, Ratio};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use crate::model::*;

const COMPONENTS: [&str; 8] = ["front", "cart", "pricing", "paya", "payb", "a/b.c", "404", "true"];

fn component() -> impl Strategy<Value = ComponentName> {
    proptest::sample::select(&COMPONENTS[..]).prop_map(|name| ComponentName::new(name).unwrap())
}

fn ratio() -> impl Strategy<Value = Ratio> {
    prop_oneof![Just(1.0), Just(0.0), 0.0..=1.0_f64, (1..1000_u32).prop_map(|n| f64::from(n) / 1000.0)]
        .prop_map(|value| Ratio::new(value).unwrap())
}

fn millis() -> impl Strategy<Value = Millis> {
    (1..10_000_u64).prop_map(Millis)
}

/// A branch over two operands whose probabilities add up, exact or as intervals.
fn branch((p, a, b, exact): (u32, Expr, Expr, bool)) -> Expr {
    let share = |n: u32| Ratio::new(f64::from(n) / 16.0).unwrap();
    let between = |n: u32| match exact {
        true => Probability::exactly(share(n)),
        false => Probability::between(share(n.saturating_sub(1)), share((n + 1).min(16))).unwrap(),
    };
    Expr::Branch(vec![
        Choice { probability: between(p), expr: a },
        Choice { probability: between(16 - p), expr: b },
    ])
}

fn without_async(expr: Expr) -> Expr {
    match expr {
        Expr::Async(body) => *body,
        other => other,
    }
}

/// An expression in normal form; components may occur more than once.
pub(crate) fn journey() -> impl Strategy<Value = Journey> {
    let leaf = component().prop_map(Expr::Leaf);
    let expr = leaf.prop_recursive(4, 24, 4, |inner| {
        let several = || vec(inner.clone(), 1..4);
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            several().prop_map(Expr::Series),
            (several(), 0..5_u32).prop_map(|(branches, k)| {
                let join =
                    if (1..=branches.len() as u32).contains(&k) { Join::AtLeast(k) } else { Join::All };
                Expr::Parallel { join, branches }
            }),
            (several(), 0..3_u64)
                .prop_map(|(branches, delay)| Expr::Race { delay: Millis(delay * 50), branches }),
            (boxed(), vec((1..=16_u32, inner.clone()), 1..3)).prop_map(|(primary, mut alternates)| {
                // Weights do not rise.
                alternates.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
                let alternate = |(weight, expr)| Alternative {
                    weight: Ratio::new(f64::from(weight) / 16.0).unwrap(),
                    expr,
                };
                Expr::Fallback { primary, alternates: alternates.into_iter().map(alternate).collect() }
            }),
            (0..=16_u32, inner.clone(), inner.clone(), any::<bool>()).prop_map(branch),
            (1..=4_u32, option::of(millis()), boxed()).prop_map(|(attempts, per_try_timeout, body)| {
                Expr::Retry { attempts, per_try_timeout, body }
            }),
            (millis(), boxed()).prop_map(|(after, body)| Expr::Timeout { after, body }),
            (1..=3_u32, boxed()).prop_map(|(count, body)| Expr::Repeat { count, body }),
            boxed().prop_map(Expr::Async),
        ]
    });
    expr.prop_map(|expr| Journey::new(expr.clone()).or_else(|_| Journey::new(calm(expr))).unwrap())
}

/// The same without async, which may not stand everywhere.
fn calm(expr: Expr) -> Expr {
    let all = |all: Vec<Expr>| all.into_iter().map(calm).collect();
    match expr {
        Expr::Leaf(_) => expr,
        Expr::Series(steps) => Expr::Series(all(steps)),
        Expr::Parallel { join, branches } => Expr::Parallel { join, branches: all(branches) },
        Expr::Race { delay, branches } => Expr::Race { delay, branches: all(branches) },
        Expr::Fallback { primary, alternates } => Expr::Fallback {
            primary: Box::new(calm(*primary)),
            alternates: alternates.into_iter().map(|a| Alternative { expr: calm(a.expr), ..a }).collect(),
        },
        Expr::Branch(choices) => {
            Expr::Branch(choices.into_iter().map(|c| Choice { expr: calm(c.expr), ..c }).collect())
        }
        Expr::Retry { attempts, per_try_timeout, body } => {
            Expr::Retry { attempts, per_try_timeout, body: Box::new(calm(*body)) }
        }
        Expr::Timeout { after, body } => Expr::Timeout { after, body: Box::new(calm(*body)) },
        Expr::Repeat { count, body } => Expr::Repeat { count, body: Box::new(calm(*body)) },
        Expr::Async(body) => calm(without_async(*body)),
    }
}

/// Names as services in the wild have them.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(&COMPONENTS[..]).prop_map(str::to_owned),
        "[!-~][ -~]{0,8}[!-~]",
        Just("a->b: #c".to_owned()),
        Just("überweisung\u{2028}x".to_owned()),
    ]
}

fn status() -> impl Strategy<Value = Status> {
    proptest::sample::select(&[Status::Identified, Status::Unresolved, Status::Contradictory][..])
}

fn field() -> impl Strategy<Value = Field> {
    prop_oneof![
        (name(), name()).prop_map(|(from, to)| Field::Edge { from, to }),
        (name(), name()).prop_map(|(from, to)| Field::Runtime { from, to }),
        journey().prop_map(|journey| Field::Operator(journey.to_string())),
        name().prop_map(Field::Probability),
        component().prop_map(Field::Domains),
    ]
}

fn source() -> impl Strategy<Value = EvidenceSource> {
    proptest::sample::select(&EvidenceSource::ALL[..])
}

fn provenance() -> impl Strategy<Value = Provenance> {
    (source(), "[ -~\\n]{0,20}", vec("[0-9a-f]{32}", 0..3), option::of((name(), name())))
        .prop_map(|(source, says, traces, place)| Provenance { source, says, traces, place })
}

fn finding() -> impl Strategy<Value = Finding> {
    (status(), ratio(), 0..=i64::MAX as u64, vec(provenance(), 1..3)).prop_map(
        |(status, confidence, samples, provenance)| Finding { status, confidence, samples, provenance },
    )
}

fn edge() -> impl Strategy<Value = Edge> {
    let other = name().prop_map(|word| CallType::from(word.as_str()));
    let call_type = option::of(prop_oneof![Just(CallType::Sync), Just(CallType::Async), other]);
    (name(), name(), call_type, option::of(ratio()), option::of(1..=1_000_u32)).prop_map(
        |(from, to, call_type, probability, attempts)| Edge { from, to, call_type, probability, attempts },
    )
}

fn runtime() -> impl Strategy<Value = RuntimeParameters> {
    let small = || option::of(any::<u32>());
    let millis = || option::of(0..=i64::MAX as u64);
    (
        (millis(), millis()),
        small(),
        option::of("[ -~]{0,9}"),
        small(),
        small(),
        small(),
        option::of((name(), ratio())),
    )
        .prop_map(
            |(
                (timeout_ms, per_try_timeout_ms),
                attempts,
                retry_on,
                max_connections,
                max_pending,
                consecutive_errors,
                mirror,
            )| {
                RuntimeParameters {
                    timeout_ms,
                    per_try_timeout_ms,
                    attempts,
                    retry_on,
                    max_connections,
                    max_pending,
                    consecutive_errors,
                    mirror,
                }
            },
        )
}

fn domains() -> impl Strategy<Value = BTreeMap<ComponentName, DomainFinding>> {
    let finding =
        (btree_set(name(), 0..3), status()).prop_map(|(domains, status)| DomainFinding { domains, status });
    btree_map(component(), finding, 0..6)
}

fn redundancy() -> impl Strategy<Value = Redundancy> {
    (name(), btree_set(component(), 0..4))
        .prop_map(|(pattern, group)| Redundancy { pattern: pattern.as_str().into(), group })
}

fn confidence() -> impl Strategy<Value = Confidence> {
    (option::of(ratio()), btree_map(name(), ratio(), 0..3), vec(name(), 0..3))
        .prop_map(|(overall, fields, flags)| Confidence { overall, fields, flags })
}

prop_compose! {
    /// A model with evidence, so that whatever it says has a provenance.
    pub(crate) fn model()(
        structure in option::weighted(0.9, journey()),
        nodes in btree_set(name(), 0..4),
        edges in vec(edge(), 0..5),
        redundancy in vec(redundancy(), 0..3),
        domains in domains(),
        runtime in btree_map((name(), name()), runtime(), 0..3),
        findings in btree_map(field(), finding(), 0..4),
        disagreements in vec((field(), name(), name()), 0..2),
        evidence in vec((name(), source(), "[0-9a-f]{64}"), 1..3),
        confidence in confidence(),
        edge_coverage in option::of(ratio()),
    ) -> Model {
        let disagreement = |(field, declared, observed)| Disagreement { field, declared, observed };
        let evidence_ref = |(name, source, digest)| EvidenceRef { name, source, digest };
        Model {
            journey: "checkout".to_owned(),
            structure,
            nodes,
            edges,
            redundancy,
            domains,
            runtime,
            findings,
            disagreements: disagreements.into_iter().map(disagreement).collect(),
            evidence: evidence.into_iter().map(evidence_ref).collect(),
            confidence,
            edge_coverage,
            origin: Origin::File("model.yaml".to_owned()),
            digest: String::new(),
        }
    }
}

/// Names only, for tests that need a set.
pub(crate) fn names(text: &[&str]) -> BTreeSet<String> {
    text.iter().map(|name| (*name).to_owned()).collect()
}
