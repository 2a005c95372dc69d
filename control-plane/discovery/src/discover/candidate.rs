//! From a tree of calls to a candidate model: expression, topology, redundancy, and a finding for each field.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::bound::latency::clopper_pearson;
use emac_core::journey::{Alternative, Choice, ComponentName, Expr, Join, Journey, Probability};
use emac_core::units::{Millis, Ratio};

use super::names::Names;
use super::observe::Observations;
use super::structure::{Activity, Block, Node, Share, Support};
use emac_compile::model::{EvidenceSource, Field, Finding, Provenance, Status, shares_told};

/// Probability from which a field is taken for identified: the default of `governance.autoAcceptConfidence`.
pub const IDENTIFIED_MIN: f64 = 0.8;
/// Error of a branch's interval: it holds the true probability with 95 %, as is usual where a person reads intervals.
const SHARE_ERROR: f64 = 0.05;
/// Worth of a degraded answer of which nothing is known but that it is not the real one: the middle, until the intent says better.
const DEGRADED: f64 = 0.5;

/// An expression with its reasons.
#[derive(Debug)]
pub(super) struct ReasonedExpr {
    pub(super) expr: Expr,
    /// Reasons by operator and leaves.
    pub(super) supports: BTreeMap<NodeKey, Support>,
    /// Intervals of choices seen, by leaves of the branch.
    pub(super) shares: BTreeMap<BTreeSet<ComponentName>, Support>,
}

impl ReasonedExpr {
    /// Reasons under other names of components.
    pub(super) fn rename(&mut self, names: &BTreeMap<ComponentName, BTreeSet<ComponentName>>) {
        let renamed = |leaves: BTreeSet<ComponentName>| -> BTreeSet<ComponentName> {
            let each = leaves.into_iter();
            each.flat_map(|leaf| names.get(&leaf).cloned().unwrap_or_else(|| BTreeSet::from([leaf])))
                .collect()
        };
        let supports = std::mem::take(&mut self.supports).into_iter();
        self.supports =
            supports.map(|((operator, leaves), one)| ((operator, renamed(leaves)), one)).collect();
        let shares = std::mem::take(&mut self.shares).into_iter();
        self.shares = shares.map(|(leaves, one)| (renamed(leaves), one)).collect();
    }
}

/// Which node: what normal form does not change.
pub(super) type NodeKey = (&'static str, BTreeSet<ComponentName>);

/// Writes a tree as an expression.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    names: &'a Names,
    observations: &'a Observations,
    supports: BTreeMap<NodeKey, Support>,
    shares: BTreeMap<BTreeSet<ComponentName>, Support>,
    /// Inside a race, where the language has no calls that nobody waits for.
    in_race: bool,
    /// Calls that nobody waits for, out of the race that is being written.
    unawaited: Vec<Expr>,
}

/// Operator and leaves of an expression.
pub(super) fn key(expr: &Expr) -> NodeKey {
    (expr.operator(), expr.leaves().into_iter().cloned().collect())
}

impl<'a> Writer<'a> {
    pub(super) const fn new(names: &'a Names, observations: &'a Observations) -> Self {
        Self {
            names,
            observations,
            supports: BTreeMap::new(),
            shares: BTreeMap::new(),
            in_race: false,
            unawaited: Vec::new(),
        }
    }

    /// `None` when nothing of the tree is a component (the mesh's edge alone).
    pub(super) fn write(mut self, node: &Node) -> Option<ReasonedExpr> {
        let expr = self.expr(node)?;
        Some(ReasonedExpr { expr, supports: self.supports, shares: self.shares })
    }

    fn expr(&mut self, node: &Node) -> Option<Expr> {
        let expr = match &node.block {
            Block::Call(activity) => return self.leaf(*activity).map(Expr::Leaf),
            Block::Kept(activity) => return Some(Expr::Leaf(kept(&self.leaf(*activity)?))),
            Block::Nothing => return None,
            Block::Series(steps) => several(self.each(steps), Expr::Series)?,
            Block::Parallel(join, branches) => {
                let branches = self.each(branches);
                let join = within(*join, branches.len());
                several(branches, |branches| Expr::Parallel { join, branches })?
            }
            Block::Race(delay, branches) => {
                let (delay, outside) = (Millis(*delay), std::mem::replace(&mut self.in_race, true));
                let branches = self.each(branches);
                self.in_race = outside;
                let race = several(branches, |branches| Expr::Race { delay, branches })?;
                if outside || self.unawaited.is_empty() {
                    race
                } else {
                    self.keep(key(&race), node.support.clone());
                    let mut steps = vec![race];
                    steps.append(&mut self.unawaited);
                    Expr::Series(steps)
                }
            }
            Block::Fallback(primary, alternates) => self.fallback(primary, alternates)?,
            Block::Branch(choices) => self.branch(choices, &node.support)?,
            Block::Retry(attempts, body) => {
                let body = Box::new(self.expr(body)?);
                Expr::Retry { attempts: *attempts, per_try_timeout: None, body }
            }
            Block::Repeat(count, body) => Expr::Repeat { count: *count, body: Box::new(self.expr(body)?) },
            Block::Timeout(after, body) => {
                Expr::Timeout { after: Millis((*after).max(1)), body: Box::new(self.expr(body)?) }
            }
            // The answer that a race needs has nothing to do with it, and the language has none there: it stands beside the race.
            Block::Async(body) if self.in_race => {
                let unawaited = Expr::Async(Box::new(self.expr(body)?));
                self.keep(key(&unawaited), node.support.clone());
                self.unawaited.push(unawaited);
                return None;
            }
            Block::Async(body) => Expr::Async(Box::new(self.expr(body)?)),
        };
        if expr.operator() == operator(&node.block) {
            self.keep(key(&expr), node.support.clone());
        }
        Some(expr)
    }

    /// The weaker reason of two for one node.
    fn keep(&mut self, key: NodeKey, support: Support) {
        let kept = self.supports.entry(key).or_insert_with(|| support.clone());
        if support.confidence < kept.confidence {
            *kept = support;
        }
    }

    fn leaf(&self, activity: Activity) -> Option<ComponentName> {
        let site = self.observations.sites().at(activity as usize)?;
        if self.names.is_edge(site) { None } else { self.names.get(site).cloned() }
    }

    fn each(&mut self, nodes: &[Node]) -> Vec<Expr> {
        nodes.iter().filter_map(|node| self.expr(node)).collect()
    }

    fn fallback(&mut self, primary: &Node, alternates: &[Node]) -> Option<Expr> {
        let expr = self.expr(primary)?;
        let alternates = alternates.iter().filter_map(|node| {
            let degraded = matches!(node.block, Block::Kept(_));
            let weight = if degraded { ratio(DEGRADED) } else { Ratio::ONE };
            Some(Alternative { weight, expr: self.expr(node)? })
        });
        let alternates = super::reconcile::falling(alternates);
        Some(if alternates.is_empty() {
            expr
        } else {
            Expr::Fallback { primary: Box::new(expr), alternates }
        })
    }

    fn branch(&mut self, choices: &[(Share, Node)], support: &Support) -> Option<Expr> {
        let (mut written, mut shares) = (Vec::new(), Vec::new());
        // Of two shares one is what the other leaves; of more, all intervals together hold with 95 % (Bonferroni).
        let error = if choices.len() > 2 { SHARE_ERROR / choices.len() as f64 } else { SHARE_ERROR };
        for (share, node) in choices {
            if let Some(expr) = self.expr(node) {
                written.push(Choice { probability: interval(*share, error), expr });
                shares.push((share.of, share.all));
            }
        }
        // A way that leads nowhere a component is: what is left is not all there is.
        if written.len() < choices.len() || written.len() < 2 {
            return written.pop().map(|choice| choice.expr);
        }
        let expr = Expr::Branch(written);
        let claimed =
            Support { says: shares_told(&shares), confidence: 1.0 - SHARE_ERROR, ..support.clone() };
        self.shares.insert(key(&expr).1, claimed);
        Some(expr)
    }
}

/// One operand stands for itself, none for nothing.
fn several(mut operands: Vec<Expr>, operator: impl FnOnce(Vec<Expr>) -> Expr) -> Option<Expr> {
    match operands.len() {
        0 => None,
        1 => operands.pop(),
        _ => Some(operator(operands)),
    }
}

fn within(join: Join, branches: usize) -> Join {
    match join {
        Join::AtLeast(k) if k as usize >= branches => Join::All,
        join => join,
    }
}

const fn operator(block: &Block) -> &'static str {
    match block {
        Block::Call(_) | Block::Kept(_) | Block::Nothing => "Leaf",
        Block::Series(_) => "Series",
        Block::Parallel(..) => "Parallel",
        Block::Race(..) => "Race",
        Block::Fallback(..) => "Fallback",
        Block::Branch(_) => "Branch",
        Block::Retry(..) => "Retry",
        Block::Repeat(..) => "Repeat",
        Block::Timeout(..) => "Timeout",
        Block::Async(_) => "Async",
    }
}

/// The name of the answer kept in a sidecar, until somebody gives it a better one.
fn kept(of: &ComponentName) -> ComponentName {
    ComponentName::new(&format!("{of}-fallback")).unwrap_or_else(|_| of.clone())
}

pub(super) fn ratio(value: f64) -> Ratio {
    Ratio::new(value.clamp(0.0, 1.0)).unwrap_or(Ratio::ONE)
}

/// The exact interval of a share at an error (Clopper and Pearson 1934), widened to four decimals.
fn interval(share: Share, error: f64) -> Probability {
    let limits = clopper_pearson(share.of, share.all, error);
    let (lo, hi) = ((limits.lo() * 1e4).floor() / 1e4, (limits.hi() * 1e4).ceil() / 1e4);
    Probability::between(ratio(lo), ratio(hi)).unwrap_or_else(|_| Probability::exactly(ratio(limits.lo())))
}

/// A finding for every operator and branch of a journey that something is known of.
pub(super) fn findings(
    journey: &Journey,
    written: &ReasonedExpr,
    source: EvidenceSource,
) -> BTreeMap<Field, Finding> {
    let mut found = BTreeMap::new();
    let mut open = vec![journey.root()];
    while let Some(expr) = open.pop() {
        open.extend(expr.children());
        if matches!(expr, Expr::Leaf(_)) {
            continue;
        }
        let Some(support) = support_of(expr, written) else { continue };
        let text = expr.to_string();
        if let Some(shares) = written.shares.get(&key(expr).1).filter(|_| matches!(expr, Expr::Branch(_))) {
            found.insert(Field::Probability(text.clone()), finding(shares, source));
        }
        found.insert(Field::Operator(text), finding(&support, source));
    }
    found
}

/// The reason of a node; of one that normal form made of several, the weakest of theirs.
fn support_of(expr: &Expr, written: &ReasonedExpr) -> Option<Support> {
    let (operator, leaves) = key(expr);
    if let Some(support) = written.supports.get(&(operator, leaves.clone())) {
        return Some(support.clone());
    }
    let parts = written.supports.iter().filter(|((of, some), _)| *of == operator && some.is_subset(&leaves));
    parts.map(|(_, support)| support).min_by(|a, b| a.confidence.total_cmp(&b.confidence)).cloned()
}

/// What a support means for a field.
pub(super) fn finding(support: &Support, source: EvidenceSource) -> Finding {
    let traces = support.traces.iter().map(ToString::to_string).collect();
    Finding {
        status: if support.confidence >= IDENTIFIED_MIN { Status::Identified } else { Status::Unresolved },
        confidence: ratio((support.confidence * 1e8).round() / 1e8),
        samples: support.agree + support.against,
        provenance: vec![Provenance { source, says: support.says.clone(), traces, place: None }],
    }
}
