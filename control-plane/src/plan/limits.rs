//! What an intent allows planned values to be, whatever the evidence says.
//!
//! Evidence comes from outside: from sidecars that may be wrong, and from whoever reports in their place. It chooses within these bounds
//! and never leaves them:
//!
//! - No timeout is below `timeout.min`, nor below the component's declared median (`latency.p50`): less would cut a service that is as
//!   the intent says it is. Where the declared medians do not fit into the deadline, all are scaled down alike.
//! - No timeout is above `timeout.max`, the deadline, or the `Timeout` of the structure around it.
//! - What is kept back for later calls leaves a call that starts in time its shortest timeout.
//! - No call is refused as too late while its shortest timeout is left, where a latency is declared.
//!
//! A component without `latency` has only the journey's `timeout` for bounds.

use emac_core::budget::HopBudget;
use emac_core::journey::{ComponentName, Expr};
use emac_core::units::Millis;

use super::input::JourneyInput;
use super::journey::margin;
use super::snapshot::Bound;

/// The bounds of every leaf, from left to right.
#[derive(Debug)]
pub(super) struct Limits(Vec<Limit>);

/// The bounds of one leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    /// Shortest timeout, at least 1 ms.
    pub(super) least: Millis,
    /// Longest timeout, at least `least`.
    most: Millis,
    /// Most that may be kept back for what follows.
    reserve_max: Millis,
    /// Most that may have to be left for the call to be made; `None`: its timeout.
    useful_max: Option<Millis>,
}

impl Limits {
    /// Cost: one walk over the structure, or two.
    pub(super) fn new(intent: &JourneyInput) -> Self {
        let planned = intent.deadline.0.saturating_sub(margin(intent).0).max(1);
        let walk = |scale: f64| {
            let mut walk = Walk { intent, scale, limits: Vec::new() };
            let length = walk.node(intent.structure.root(), 0, intent.deadline.0);
            (length, walk.limits)
        };
        let (length, limits) = walk(1.0);
        if length <= planned { Self(limits) } else { Self(walk(planned as f64 / length as f64).1) }
    }

    /// Of the leaf at a place; every place of the structure has one.
    pub(super) fn get(&self, place: usize) -> Limit {
        let least = Millis(1);
        let none = Limit { least, most: Millis(u64::MAX), reserve_max: Millis(0), useful_max: None };
        self.0.get(place).copied().unwrap_or(none)
    }
}

impl Limit {
    /// A timeout within the bounds, and within the `whole` time there is; `bound` when it already was.
    pub(super) fn timeout(self, wanted: Millis, whole: Millis, bound: Bound) -> (Millis, Bound) {
        let max = self.most.min(whole).max(Millis(1));
        match wanted {
            wanted if wanted > max => (max, Bound::Maximum),

            wanted if wanted < self.least.min(max) => (self.least.min(max), Bound::Minimum),
            wanted => (wanted, bound),
        }
    }

    /// Brings all that follows from the timeout of a budget within the bounds.
    pub(super) fn hold(self, budget: &mut HopBudget) {
        let timeout = budget.timeout.unwrap_or(self.most);
        budget.per_try_timeout = budget.per_try_timeout.map(|time| time.max(self.least).min(timeout));
        budget.useful_min = budget.useful_min.min(self.useful_max.unwrap_or(timeout)).min(timeout);
        budget.reserve = budget.reserve.min(self.reserve_max);
        if let Some(alone) = &mut budget.alone {
            alone.reserve = alone.reserve.min(budget.reserve);
        }
    }
}

struct Walk<'a> {
    intent: &'a JourneyInput,
    /// Of declared medians.
    scale: f64,
    limits: Vec<Limit>,
}

impl Walk<'_> {
    /// Notes the leaves below `expr`, which starts at `start` and may take `most`; returns the least it takes. Milliseconds.
    fn node(&mut self, expr: &Expr, start: u64, most: u64) -> u64 {
        match expr {
            Expr::Leaf(name) => self.leaf(name, start, most),
            Expr::Series(steps) => self.chain(steps.iter(), start, most),
            Expr::Parallel { branches, .. } | Expr::Race { branches, .. } => {
                self.beside(branches.iter(), start, most)
            }
            Expr::Branch(choices) => self.beside(choices.iter().map(|choice| &choice.expr), start, most),
            Expr::Fallback { primary, alternates } => {
                let rungs = std::iter::once(primary.as_ref()).chain(alternates.iter().map(|a| &a.expr));
                self.chain(rungs, start, most)
            }
            Expr::Retry { attempts, per_try_timeout, body } => {
                let most = per_try_timeout.map_or(most, |time| time.0.min(most));
                self.node(body, start, most).saturating_mul(u64::from(*attempts))
            }
            Expr::Timeout { after, body } => self.node(body, start, after.0.min(most)),
            Expr::Repeat { count, body } => self.node(body, start, most).saturating_mul(u64::from(*count)),
            Expr::Async(body) => {
                self.node(body, start, most);
                0
            }
        }
    }

    fn chain<'e>(&mut self, steps: impl Iterator<Item = &'e Expr>, start: u64, most: u64) -> u64 {
        steps.fold(0_u64, |before, step| {
            before.saturating_add(self.node(step, start.saturating_add(before), most))
        })
    }

    fn beside<'e>(&mut self, branches: impl Iterator<Item = &'e Expr>, start: u64, most: u64) -> u64 {
        branches.fold(0, |longest, branch| self.node(branch, start, most).max(longest))
    }

    fn leaf(&mut self, name: &ComponentName, start: u64, most: u64) -> u64 {
        let policy = &self.intent.runtime;
        let declared = self.intent.components.get(name).and_then(|component| component.latency);
        let median = declared.map_or(0, |latency| (latency.p50.0 as f64 * self.scale) as u64);
        let most = policy.timeout_max.map_or(most, |max| max.0.min(most)).max(1);
        let least = median.max(policy.timeout_min.0).clamp(1, most);
        let end = start.saturating_add(least);
        self.limits.push(Limit {
            least: Millis(least),
            most: Millis(most),
            reserve_max: Millis(self.intent.deadline.0.saturating_sub(end)),
            useful_max: declared.map(|_| Millis(least)),
        });
        least
    }
}
