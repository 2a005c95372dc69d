//! From the times of leaves to the budgets of hops.
//!
//! - A primary gets its share of the split: waiting longer would take time from its alternate.
//! - A call that nothing else can answer for may use whatever the rest of the journey does not need; cutting it earlier would turn
//!   a late success into a sure failure. Its reserve is the least with which what follows still has a chance.
//! - A primary's call after whose failure no fallback can follow (the sidecar sees that: gRPC, a POST, a long body, a spent budget) is
//!   such a call too: it has those longer bounds beside its own.
//! - A call that encloses others lasts as long as they may.
//! - A primary of which neither a latency is declared nor enough calls were seen is not acted upon (dry-run) until they were.

use emac_core::budget::curve::{Allocation, Place};
use emac_core::budget::{Alone, Alternate, Fallback, FallbackKind, HopBudget, Mode, RetryBudget};
use emac_core::id::WorkloadName;
use emac_core::units::{Millis, Ppm, Ratio};

use super::input::{ComponentInput, JourneyInput};
use super::journey::margin;
use super::limits::Limits;
use super::roles::{Role, Roles, hop_ref};
use super::snapshot::{Bound, CurveSource, JourneyPlan};
use emac_journey::intent::Reach;

/// Fills in the hops, timeouts and bounds of `plan` and returns the budgets with their sources.
pub(super) fn hop_budgets(
    intent: &JourneyInput,
    roles: &Roles,
    limits: &Limits,
    plan: &mut JourneyPlan,
) -> Vec<(WorkloadName, HopBudget)> {
    let mut budgets = Vec::new();
    for place in 0..plan.leaves.len() {
        let builder = Builder { intent, roles, limits, plan };
        let Some(built) = builder.build(place) else { continue };
        plan.notes.extend(built.note);
        if let Some(leaf) = plan.leaves.get_mut(place) {
            leaf.timeout = Some(built.timeout);
            leaf.bound = built.bound;
            leaf.hops = if built.budgets.is_empty() { Vec::new() } else { roles.hops(place).to_vec() };
        }
        budgets.extend(built.budgets);
    }
    budgets
}

struct Built {
    timeout: Millis,
    bound: Bound,
    budgets: Vec<(WorkloadName, HopBudget)>,
    note: Option<String>,
}

struct Builder<'a> {
    intent: &'a JourneyInput,
    roles: &'a Roles,
    limits: &'a Limits,
    plan: &'a JourneyPlan,
}

impl Builder<'_> {
    fn allocation(&self, place: usize) -> Option<&Allocation> {
        self.plan.leaves.get(place).map(|leaf| &leaf.allocation)
    }

    /// `None` for what no sidecar calls, or nobody waits for.
    fn build(&self, place: usize) -> Option<Built> {
        let allocation = self.allocation(place)?;
        if allocation.place == Place::Detached {
            return None;
        }
        let component = self.intent.components.get(&allocation.leaf)?;
        if let Some(Role::Alternate { of }) = self.roles.get(place) {
            let (timeout, bound) = self.alternate_timeout(*of, place)?;
            return Some(Built { timeout, bound, budgets: Vec::new(), note: None });
        }
        let hop = hop_ref(self.intent, &allocation.leaf)?;
        let sources = hop.source.as_ref().map_or(self.intent.runtime.edges.clone(), |one| vec![one.clone()]);
        let note = sources.is_empty().then(|| {
            format!("{}: no source and no edge, so its budget is sent to no workload", allocation.leaf)
        });
        let (fallback, fallback_note) = self.fallback(place, component);
        let mut timeout = Millis(0);
        let mut bound = Bound::Optimum;
        let mut budgets = Vec::new();
        for source in sources {
            (timeout, bound) = self.timeout(place, allocation, &source);
            let mut budget = HopBudget {
                journey: self.intent.name.clone(),
                destination: hop.destination.clone(),
                operation: hop.operation.clone(),
                mode: self.mode(place, component),
                timeout: Some(timeout),
                // On the wire 0 is none.
                per_try_timeout: (allocation.tries > 1)
                    .then_some(allocation.time.max(Millis(1)).min(timeout)),
                reserve: self.reserve(place, allocation, &source),
                useful_min: allocation.useful.max(Millis(1)),
                alone: self.alone(place, allocation, &source, timeout),
                retry: self.retry(allocation),
                fallback: fallback.clone(),
                success: component.success.clone(),
                without_context: hop.without_context,
                stream: hop.stream,
            };
            self.limits.get(place).hold(&mut budget);
            budgets.push((source, budget));
        }
        Some(Built { timeout, bound, budgets, note: note.or(fallback_note) })
    }

    /// Giving up on a primary early by nothing but a guess could turn good answers away: it is watched first.
    fn mode(&self, place: usize, component: &ComponentInput) -> Mode {
        let leaf = self.plan.leaves.get(place);
        let guessed = component.latency.is_none()
            && leaf.is_some_and(|leaf| matches!(leaf.source, CurveSource::Default { .. }))
            && matches!(self.roles.get(place), Some(Role::Primary { .. }));
        if guessed { self.intent.runtime.mode.min(Mode::DryRun) } else { self.intent.runtime.mode }
    }

    /// The edge itself receives the answer: for its calls nothing is kept back for the way.
    fn margin(&self, source: &WorkloadName) -> Millis {
        if self.intent.runtime.edges.contains(source) { Millis(0) } else { margin(self.intent) }
    }

    fn timeout(&self, place: usize, allocation: &Allocation, source: &WorkloadName) -> (Millis, Bound) {
        let whole = Millis(self.plan.deadline.0.saturating_sub(self.margin(source).0));
        let (wanted, bound) = if self.roles.encloses(place) {
            (less(whole, self.useful_after(place)), Bound::Encloses)
        } else if allocation.place == Place::Primary {
            (times(allocation.time, allocation.tries), Bound::Optimum)
        } else {
            (less(whole, allocation.useful_after), Bound::Remaining)
        };
        self.limits.get(place).timeout(wanted, whole, bound)
    }

    /// Bounds of a primary's call that no fallback can follow: those it would have without the fallback. `None` where they are its own,
    /// and where the application falls back by itself.
    fn alone(
        &self,
        place: usize,
        allocation: &Allocation,
        source: &WorkloadName,
        timeout: Millis,
    ) -> Option<Alone> {
        if !matches!(self.roles.get(place), Some(Role::Primary { .. })) {
            return None;
        }
        let only = Allocation { place: Place::Only, ..allocation.clone() };
        let alone = Alone {
            timeout: self.timeout(place, &only, source).0.max(timeout),
            reserve: self.reserve(place, &only, source),
        };
        (alone.timeout > timeout || alone.reserve < self.reserve(place, allocation, source)).then_some(alone)
    }

    /// Least time for what follows a hop and everything it encloses.
    fn useful_after(&self, place: usize) -> Millis {
        let inside = self.roles.enclosed(place).into_iter().chain([place]);
        inside.filter_map(|place| self.allocation(place)).map(|a| a.useful_after).min().unwrap_or_default()
    }

    fn reserve(&self, place: usize, allocation: &Allocation, source: &WorkloadName) -> Millis {
        let after = if self.roles.encloses(place) {
            self.useful_after(place)
        } else if allocation.place == Place::Primary {
            allocation.needed_after
        } else {
            allocation.useful_after
        };
        Millis(after.0.saturating_add(self.margin(source).0).min(self.plan.deadline.0))
    }

    fn retry(&self, allocation: &Allocation) -> Option<RetryBudget> {
        let mut budget = self.intent.runtime.retry?;
        if allocation.tries > 1 {
            budget.max_retries = (allocation.tries - 1).min(10);
        }
        Some(budget)
    }

    /// From the primary's start to the alternate's end: a primary that fails at once leaves its time to the alternate.
    fn alternate_timeout(&self, of: usize, place: usize) -> Option<(Millis, Bound)> {
        let (primary, alternate) = (self.allocation(of)?, self.allocation(place)?);
        let both = times(primary.time, primary.tries).0 + times(alternate.time, alternate.tries).0;
        Some(self.limits.get(place).timeout(Millis(both), self.plan.planned, Bound::Optimum))
    }

    fn fallback(&self, place: usize, component: &ComponentInput) -> (Option<Fallback>, Option<String>) {
        let Some(Role::Primary { alternate, weight }) = self.roles.get(place) else { return (None, None) };
        let weight = parts(*weight);
        let budget = component.fallback_budget.unwrap_or(self.intent.runtime.fallback);
        let budget = (weight < Ppm::ONE).then_some(budget);
        if budget.is_some_and(|budget| budget.share == Ppm::ZERO) {
            return (None, Some("a fallback budget of 0 switches the fallback off".to_owned()));
        }
        match self.answer(place, *alternate) {
            Ok(kind) => (Some(Fallback { kind, weight, budget }), None),
            Err(note) => (None, Some(note)),
        }
    }

    fn answer(&self, place: usize, alternate: usize) -> Result<FallbackKind, String> {
        let missing = || "the alternate has no component".to_owned();
        let leaf = &self.allocation(alternate).ok_or_else(missing)?.leaf;
        let component = self.intent.components.get(leaf).ok_or_else(missing)?;
        let hop = match &component.reach {
            Reach::Static(response) => return Ok(FallbackKind::Static(response.clone())),
            Reach::Unseen => return Err(format!("{leaf}: an alternate needs a hop or a response")),
            Reach::Hop(hop) => hop,
        };
        let options = hop.callout.clone();
        Ok(FallbackKind::Alternate(Alternate {
            cluster: options.cluster.unwrap_or_else(|| hop.destination.clone()),
            authority: options.authority,
            path: options.path,
            route_header: options.route_header,
            allow_non_idempotent: options.allow_non_idempotent,
            body_bytes_max: options.body_bytes_max,
            timeout: self.alternate_timeout(place, alternate).ok_or_else(missing)?.0,
        }))
    }
}

fn less(whole: Millis, part: Millis) -> Millis {
    Millis(whole.0.saturating_sub(part.0).max(1))
}

fn times(time: Millis, tries: u32) -> Millis {
    Millis(time.0.saturating_mul(u64::from(tries)))
}

/// At least one part: a weight is above zero.
fn parts(weight: Ratio) -> Ppm {
    Ppm::new(((weight.get() * 1e6).round() as u32).max(1)).unwrap_or(Ppm::ONE)
}
