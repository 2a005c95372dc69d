//! A- as a function of its leaves, evaluated again and again.
//!
//! The values of all nodes and what their operands share are worked out once; asking "what if this component were that good" then
//! touches only the nodes above it. Of journeys, and parts, in which no component occurs twice; same value as
//! [`shared_fate`](crate::bound::shared_fate())'s lower end; a test holds them together.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use crate::bound::evaluate::{Part, Walk, weights};
use crate::bound::seen::seen;
use crate::bound::shared_fate::{SharedFate, any_lower, at_least_lower};
use crate::bound::{Facts, Interval, Unbound, View};
use crate::journey::{ComponentName, Expr, Join, Journey};
use crate::probability;
use crate::units::Millis;

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
    /// Of a timeout, or a try's: what is in time.
    time: Option<Time>,
    parts: Vec<Self>,
    /// For each number of first operands of a fallback, or for all operands of another: who shares with whom.
    clusters: Vec<Vec<usize>>,
    leaves: Range<usize>,
}

/// How much of a body is in time, at least.
enum Time {
    /// This share.
    Share(f64),
    /// Of one component: so much of all requests, and its availability that belongs to that.
    Leaf { timely: f64, ever: f64 },
    /// Of several: so much of all requests while the body is worth `ever`; what makes it better makes it no quicker.
    Body { timely: f64, ever: f64 },
}

impl Time {
    fn of(&self, body: f64) -> f64 {
        match *self {
            Self::Share(share) => body * share,
            Self::Leaf { timely, ever } => {
                let whole = body.max(ever);
                if whole > 0.0 { body * (timely / whole).min(1.0) } else { 0.0 }
            }
            Self::Body { timely, ever } => timely * if body < ever { body / ever } else { 1.0 },
        }
    }
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
    /// Of a part in which no component occurs twice. O(size · depth).
    pub(super) fn new(journey: &'a Journey, part: &'a Expr, facts: &'a Facts) -> Result<Self, Unbound> {
        let mut places: BTreeMap<&ComponentName, Vec<usize>> = BTreeMap::new();
        for (place, name) in part.leaves().into_iter().enumerate() {
            places.entry(name).or_default().push(place);
        }
        let rules = SharedFate { facts: Some(facts), conditions: false };
        let root = Grow { journey, facts, rules, next: 0 }.node(part)?;
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
}

struct Grow<'a> {
    journey: &'a Journey,
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
            Node { expr, value: 0.0, time: None, parts, clusters: Vec::new(), leaves: start..start };
        match expr {
            Expr::Leaf(name) => {
                self.next += 1;
                let known = self.facts.components.get(name).ok_or_else(|| Unbound(name.clone()))?;
                node.value = known.availability.lo();
            }
            Expr::Timeout { after, body } | Expr::Retry { per_try_timeout: Some(after), body, .. } => {
                let ever = node.parts.first().map_or(1.0, |part| part.value);
                node.time = Some(self.time(body, *after, ever)?);
            }
            _ => {}
        }
        node.leaves.end = self.next;
        node.clusters = self.clusters(&node);
        if !matches!(expr, Expr::Leaf(_)) {
            node.value = node.combine(&node.parts.iter().map(|part| part.value).collect::<Vec<_>>());
        }
        Ok(node)
    }

    fn time(&self, body: &'a Expr, after: Millis, ever: f64) -> Result<Time, Unbound> {
        if let Some(share) = self.facts.stated(body, after) {
            return Ok(Time::Share(share.lo()));
        }
        if let Expr::Leaf(name) = body {
            let (timely, ever) = self.facts.leaf_timely(name, after);
            return Ok(Time::Leaf { timely, ever });
        }
        let timely = Walk::new(self.journey, self.facts, &self.rules, View::Immediate).timely(body, after)?;
        Ok(Time::Body { timely: timely.lo(), ever })
    }

    fn clusters(&self, node: &Node<'a>) -> Vec<Vec<usize>> {
        let part = |part: &Node<'a>| {
            let leaves = seen(part.expr, View::Immediate).into();
            Part { expr: part.expr, value: Interval::UNKNOWN, leaves }
        };
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
            Expr::Fallback { alternates, .. } => self.fallback(&weights(alternates), lows),
            Expr::Branch(choices) => {
                let weighted = choices.iter().zip(lows);
                let weighted = weighted.map(|(c, &low)| (c.probability.lo(), c.probability.hi(), low));
                probability::least_mixture(weighted.collect())
            }
            Expr::Retry { .. } | Expr::Timeout { .. } => {
                self.time.as_ref().map_or(first, |time| time.of(first))
            }
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
