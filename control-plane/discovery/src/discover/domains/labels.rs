//! Domains from labels, by the rules of the intent.
//!
//! A declared rule's name is the domain itself. An inferred rule looks a key up and gives the domain `<rule>:<value>` (or the value alone where it
//! already begins so, or is a domain that the intent names). It bears on the components that name it, which are unresolved when the key is not
//! found, and on all others about which the key says something: a shared network is no less shared because nobody declared it.
//!
//! The key decides, wherever it is found; a rule's `source` tells people where it is expected.
//!
//! Placement keys (zone, region, node, cluster) have a value per replica. A component falls with a zone only when its replicas are there, so
//! the rule is: where no value holds more than [`LARGEST_MAX`] of the replicas, the component is spread and the key gives no domain, because the
//! replicas elsewhere stay; otherwise the largest value is its domain, for a tenth of the replicas will not carry the load. Replicas are counted from pods
//! and endpoints where those are listed, else in proportion to spans. A statement about all replicas (a node selector) that a replica's own label
//! denies is a contradiction, and so is configuration and traces that have no value in common.
//!
//! Any other key (provider, network) has one value: two contradict each other, whoever says them.

use std::collections::{BTreeMap, BTreeSet};

use super::Subject;
use super::profile::{SPANS_MAX, Tally};
use crate::mesh::{LabelKind, Observation, canonical_key, label_kind};
use emac_compile::model::{EvidenceSource, Provenance, Status};
use emac_journey::intent::{DomainKind, DomainRule};

/// Largest share of the replicas in one place that still leaves a component standing without them.
pub(super) const LARGEST_MAX: f64 = 0.9;

/// What one rule says of one component.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RuleFinding {
    /// Name of the rule.
    pub(super) rule: String,
    /// Its domains: one; none for a spread; all that were said for a contradiction.
    pub(super) domains: BTreeSet<String>,
    pub(super) status: Status,
    pub(super) tally: Tally,
    /// Observations.
    pub(super) samples: u64,
    pub(super) provenance: Vec<Provenance>,
}

/// What the labels of a component say, rule by rule; rules that do not bear on it are left out. O(rules · observations).
pub(super) fn findings(subject: &Subject, rules: &[DomainRule], named: &BTreeSet<&str>) -> Vec<RuleFinding> {
    let inferred = rules.iter().filter(|rule| rule.kind == DomainKind::Inferred);
    inferred.filter_map(|rule| finding(subject, rule, named)).collect()
}

fn finding(subject: &Subject, rule: &DomainRule, named: &BTreeSet<&str>) -> Option<RuleFinding> {
    let key = canonical_key(rule.key.as_deref()?);
    let seen: Vec<&Observation> = subject.observations.iter().filter(|one| one.key == key).collect();
    if seen.is_empty() {
        return subject.declared.contains(&rule.name).then(|| missing(rule, key));
    }
    let values = Values::of(&seen);
    let (kept, status, tally) = match label_kind(key) {
        LabelKind::Single => values.single(),
        LabelKind::Placement => values.placement(&seen),
    };
    Some(RuleFinding {
        rule: rule.name.clone(),
        domains: kept.iter().map(|value| domain(rule, value, named)).collect(),
        status,
        tally,
        samples: seen.iter().map(|one| one.count).sum(),
        provenance: provenance(&seen, key, tally),
    })
}

fn missing(rule: &DomainRule, key: &str) -> RuleFinding {
    let says = format!("rule {} looks up {key}, which has no value for this component", rule.name);
    RuleFinding {
        rule: rule.name.clone(),
        domains: BTreeSet::new(),
        status: Status::Unresolved,
        tally: Tally::Missing,
        samples: 0,
        provenance: vec![Provenance {
            source: EvidenceSource::Intent,
            says,
            traces: Vec::new(),
            place: None,
        }],
    }
}

fn domain(rule: &DomainRule, value: &str, named: &BTreeSet<&str>) -> String {
    let complete = value.strip_prefix(rule.name.as_str()).is_some_and(|rest| rest.starts_with(':'));
    if complete || named.contains(value) { value.to_owned() } else { format!("{}:{value}", rule.name) }
}

/// Witnesses by value.
struct Values<'a> {
    witnesses: BTreeMap<&'a str, u64>,
    all: u64,
}

impl<'a> Values<'a> {
    /// Spans count in proportion, at most [`SPANS_MAX`] in all; everything else counts once, a replica once per value.
    fn of(seen: &[&'a Observation]) -> Self {
        let mut witnesses: BTreeMap<&str, u64> = BTreeMap::new();
        for (value, count) in replicas(seen) {
            *witnesses.entry(value).or_default() += count;
        }
        let whole = seen.iter().filter(|one| one.instance.is_none());
        whole.for_each(|one| *witnesses.entry(&one.value).or_default() += 1);
        for (value, count) in spans(seen) {
            *witnesses.entry(value).or_default() += count;
        }
        Self { all: witnesses.values().sum(), witnesses }
    }

    /// The most frequent value; of equals the first by name.
    fn most(&self) -> (&'a str, u64) {
        let most = self.witnesses.iter().max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)));
        most.map_or(("", 0), |(value, count)| (value, *count))
    }

    fn value(&self, conflicting: bool) -> Tally {
        Tally::Value { most: self.most().1, all: self.all, values: self.witnesses.len() as u64, conflicting }
    }

    fn everything(&self) -> (Vec<&'a str>, Status, Tally) {
        (self.witnesses.keys().copied().collect(), Status::Contradictory, self.value(true))
    }

    fn single(&self) -> (Vec<&'a str>, Status, Tally) {
        if self.witnesses.len() > 1 {
            return self.everything();
        }
        (vec![self.most().0], Status::Identified, self.value(false))
    }

    fn placement(&self, seen: &[&'a Observation]) -> (Vec<&'a str>, Status, Tally) {
        let of = |wanted: fn(&Observation) -> bool| -> BTreeSet<&str> {
            seen.iter().filter(|one| wanted(one)).map(|one| one.value.as_str()).collect()
        };
        let whole = of(|one| one.instance.is_none());
        let listed = of(|one| one.instance.is_some() && one.provenance.source != EvidenceSource::Traces);
        let traced = of(|one| one.provenance.source == EvidenceSource::Traces);
        let denied = !whole.is_empty() && !(listed.is_subset(&whole) && traced.is_subset(&whole));
        let apart = !listed.is_empty() && !traced.is_empty() && listed.is_disjoint(&traced);
        if whole.len() > 1 || denied || apart {
            return self.everything();
        }
        // Pods and endpoints are counted, spans only weighed.
        let counted = if listed.is_empty() { spans(seen) } else { replicas(seen) };
        let all: u64 = counted.values().sum();
        let largest = counted.iter().max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)));
        match largest {
            Some((_, &most)) if most as f64 <= LARGEST_MAX * all as f64 => {
                (Vec::new(), Status::Identified, Tally::Spread { outside: all - most })
            }
            Some((value, _)) => (vec![value], Status::Identified, self.value(false)),
            None => (vec![self.most().0], Status::Identified, self.value(false)),
        }
    }
}

/// Pods and endpoints by value; one that says a value twice counts once.
fn replicas<'a>(seen: &[&'a Observation]) -> BTreeMap<&'a str, u64> {
    let listed = seen.iter().filter(|one| one.provenance.source != EvidenceSource::Traces);
    let listed: BTreeSet<(&str, &str)> =
        listed.filter_map(|one| Some((one.value.as_str(), one.instance.as_deref()?))).collect();
    let mut counts = BTreeMap::new();
    listed.into_iter().for_each(|(value, _)| *counts.entry(value).or_default() += 1);
    counts
}

/// Spans by value as witnesses: in proportion, [`SPANS_MAX`] in all, rounded to at least one.
fn spans<'a>(seen: &[&'a Observation]) -> BTreeMap<&'a str, u64> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for one in seen.iter().filter(|one| one.provenance.source == EvidenceSource::Traces) {
        let count = counts.entry(&one.value).or_default();
        *count = count.saturating_add(one.count);
    }
    let all = counts.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
    if all > SPANS_MAX {
        let witnesses = |count: u64| (SPANS_MAX as f64 * count as f64 / all as f64).round() as u64;
        counts.values_mut().for_each(|count| *count = witnesses(*count).max(1));
    }
    counts
}

/// One line per source and value, with how often and the first place.
fn provenance(seen: &[&Observation], key: &str, tally: Tally) -> Vec<Provenance> {
    let mut groups: BTreeMap<(EvidenceSource, &str), (u64, &Provenance)> = BTreeMap::new();
    for one in seen {
        let entry = groups.entry((one.provenance.source, one.value.as_str()));
        entry.or_insert((0, &one.provenance)).0 += one.count;
    }
    let spread = if matches!(tally, Tally::Spread { .. }) { ", spread over several places" } else { "" };
    let line = |((_, value), (count, first)): ((EvidenceSource, &str), (u64, &Provenance))| Provenance {
        says: format!("{key} is {value}, {count} observations, first: {}{spread}", first.says),
        ..first.clone()
    };
    groups.into_iter().map(line).collect()
}
