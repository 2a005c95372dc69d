//! A- as a function of its leaves, evaluated again and again.
//!
//! The values of all nodes and what their operands share are worked out once; asking "what if this component were that good" then
//! touches only the nodes above it. Same value as [`shared_fate`](crate::bound::shared_fate())'s lower end; a test holds them together.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use crate::bound::evaluate::{Part, running};
use crate::bound::shared_fate::{SharedFate, any_lower, at_least_lower};
use crate::bound::{Facts, Interval, Unbound};
use crate::journey::{ComponentName, Expr, Join, Journey};
use crate::probability;

/// The lower end, with its parts.
pub(super) struct Tree<'a> {
    root: Node<'a>,
    /// Where each component stands among the leaves.
    places: BTreeMap<&'a ComponentName, Vec<usize>>,
}

struct Node<'a> {
    expr: &'a Expr,
    /// Lower end with the facts as they are.
    value: f64,
    /// Share of a timeout's answers that come in time, at least.
    within: f64,
    /// Operands; those an idempotent operator counts once are left out.
    parts: Vec<Self>,
    /// For each number of first operands of a fallback, or for all operands of another: who shares with whom.
    clusters: Vec<Vec<usize>>,
    leaves: Range<usize>,
}

/// What leaves are worth while a value is computed.
struct Question<'a> {
    /// Value of a leaf, if it differs from the facts.
    of: &'a dyn Fn(&ComponentName) -> Option<f64>,
    /// Places of the leaves that may differ; `None`: any.
    places: Option<&'a [usize]>,
    /// A node whose value is given.
    given: Option<(&'a Expr, f64)>,
}

impl<'a> Tree<'a> {
    /// O(size · depth).
    pub(super) fn new(journey: &'a Journey, facts: &'a Facts) -> Result<Self, Unbound> {
        let mut places: BTreeMap<&ComponentName, Vec<usize>> = BTreeMap::new();
        for (place, name) in journey.leaves().into_iter().enumerate() {
            places.entry(name).or_default().push(place);
        }
        let root = Grow { facts, rules: SharedFate { facts }, next: 0 }.node(journey.root())?;
        Ok(Self { root, places })
    }

    /// A-.
    pub(super) const fn value(&self) -> f64 {
        self.root.value
    }

    /// A- if one component were worth `value`.
    pub(super) fn with(&self, name: &ComponentName, value: f64) -> f64 {
        let of = |other: &ComponentName| (other == name).then_some(value);
        let places = self.places.get(name).map(Vec::as_slice);
        self.root.ask(&Question { of: &of, places: Some(places.unwrap_or_default()), given: None })
    }

    /// A- if every component were worth what `of` says.
    pub(super) fn with_all(&self, of: &dyn Fn(&ComponentName) -> Option<f64>) -> f64 {
        self.root.ask(&Question { of, places: None, given: None })
    }

    /// A- if one node were worth `value`.
    pub(super) fn with_node(&self, node: &Expr, value: f64) -> f64 {
        self.root.ask(&Question { of: &|_| None, places: None, given: Some((node, value)) })
    }

    /// Component names, each once.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a ComponentName> + '_ {
        self.places.keys().copied()
    }
}

struct Grow<'a> {
    facts: &'a Facts,
    rules: SharedFate<'a>,
    next: usize,
}

impl<'a> Grow<'a> {
    fn node(&mut self, expr: &'a Expr) -> Result<Node<'a>, Unbound> {
        let start = self.next;
        let mut parts = Vec::new();
        for child in expr.children() {
            parts.push(self.node(child)?);
        }
        let mut node =
            Node { expr, value: 0.0, within: 1.0, parts, clusters: Vec::new(), leaves: start..start };
        match expr {
            Expr::Leaf(name) => {
                self.next += 1;
                let known = self.facts.components.get(name).ok_or_else(|| Unbound(name.clone()))?;
                node.value = known.availability.lo();
            }
            Expr::Timeout { after, body } => node.within = self.facts.within(body, *after).lo(),
            Expr::Series(_) | Expr::Race { .. } | Expr::Parallel { join: Join::All, .. } => node.distinct(),
            _ => {}
        }
        node.leaves.end = self.next;
        node.clusters = self.clusters(&node);
        if !matches!(expr, Expr::Leaf(_)) {
            node.value = node.combine(&node.parts.iter().map(|part| part.value).collect::<Vec<_>>());
        }
        Ok(node)
    }

    fn clusters(&self, node: &Node<'a>) -> Vec<Vec<usize>> {
        let part = |part: &Node<'a>| Part { expr: part.expr, value: Interval::UNKNOWN };
        let parts: Vec<Part<'_>> = node.parts.iter().map(part).collect();
        match node.expr {
            Expr::Fallback { .. } => (1..=parts.len())
                .map(|n| self.rules.clusters(parts.get(..n).unwrap_or_default(), true))
                .collect(),
            Expr::Race { .. } | Expr::Parallel { join: Join::AtLeast(_), .. } => {
                alloc::vec![self.rules.clusters(&parts, true)]
            }
            _ => Vec::new(),
        }
    }
}

impl Node<'_> {
    /// The same component twice is one event.
    fn distinct(&mut self) {
        let mut seen = alloc::collections::BTreeSet::new();
        self.parts.retain(|part| match part.expr {
            Expr::Leaf(name) => seen.insert(name),
            _ => true,
        });
    }

    fn ask(&self, question: &Question<'_>) -> f64 {
        if let Some((_, value)) = question.given.filter(|(node, _)| core::ptr::eq(*node, self.expr)) {
            return value;
        }
        let touched = |places: &[usize]| places.iter().any(|place| self.leaves.contains(place));
        if !question.places.is_none_or(touched) {
            return self.value;
        }
        if let Expr::Leaf(name) = self.expr {
            return (question.of)(name).unwrap_or(self.value);
        }
        self.combine(&self.parts.iter().map(|part| part.ask(question)).collect::<Vec<_>>())
    }

    fn combine(&self, lows: &[f64]) -> f64 {
        let first = lows.first().copied().unwrap_or(1.0);
        let clusters = self.clusters.first().map_or(&[][..], Vec::as_slice);
        let value = match self.expr {
            Expr::Leaf(_) => self.value,
            Expr::Series(_) | Expr::Parallel { join: Join::All, .. } => lows.iter().product(),
            Expr::Parallel { join: Join::AtLeast(k), .. } => at_least_lower(*k as usize, clusters, lows),
            Expr::Race { .. } => any_lower(clusters, lows),
            Expr::Fallback { alternates, .. } => {
                let weights = core::iter::once(1.0).chain(alternates.iter().map(|a| a.weight.get()));
                self.fallback(&running(weights, f64::min), lows)
            }
            Expr::Branch(choices) => {
                let weighted = choices.iter().zip(lows);
                let weighted = weighted.map(|(c, &low)| (c.probability.lo(), c.probability.hi(), low));
                probability::least_mixture(weighted.collect())
            }
            Expr::Retry { .. } => first,
            Expr::Timeout { .. } => first * self.within,
            Expr::Repeat { count, .. } => probability::repeat(first, *count),
            Expr::Async(_) => 1.0,
        };
        value.clamp(0.0, 1.0)
    }

    fn fallback(&self, weights: &[f64], lows: &[f64]) -> f64 {
        let next = weights.iter().skip(1).chain(&[0.0]);
        let drops = weights.iter().zip(next).map(|(weight, next)| weight - next);
        let unions = self
            .clusters
            .iter()
            .map(|clusters| any_lower(clusters, lows.get(..clusters.len()).unwrap_or_default()));
        drops.zip(unions).map(|(drop, union)| drop * union).sum()
    }
}
