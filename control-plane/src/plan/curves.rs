//! The curves of a journey's leaves: measured where there is evidence, the default otherwise.

use std::collections::BTreeMap;

use emac_core::budget::Mode;
use emac_core::budget::curve::{Curve, Fate, Grid, Inputs, at_once, lognormal, lower_confidence, measured};
use emac_core::id::HopKey;
use emac_core::journey::{ComponentName, Expr};
use emac_core::outcome::Outcome;
use emac_core::sketch::Sketch;
use emac_core::units::Millis;

use super::input::{ComponentInput, HopEvidence, JourneyInput};
use super::journey::Known;
use super::roles::{Role, direct_leaf};
use super::snapshot::CurveSource;
use emac_journey::intent::{LatencyDefault, Reach};

/// One-sided 95 %: normal quantile.
const Z_95: f64 = 1.645;

/// What is known of one leaf.
pub(super) struct LeafCurve {
    pub(super) measured: Curve,
    pub(super) lower: Curve,
    pub(super) source: CurveSource,
    /// Time that nine tenths of its calls usually need; see `LeafPlan::usual`.
    pub(super) usual: Millis,
    /// Shortest timeout the intent allows.
    least: Millis,
}

/// The curves of all leaves, and the journey's budgets, as the algebra asks for them.
pub(super) struct Curves<'a> {
    intent: &'a JourneyInput,
    pub(super) leaves: BTreeMap<ComponentName, LeafCurve>,
}

/// One reading of the curves.
pub(super) struct Reading<'a> {
    curves: &'a Curves<'a>,
    lower: bool,
}

impl<'a> Curves<'a> {
    pub(super) fn new(intent: &'a JourneyInput, known: &Known<'_>, grid: &Grid) -> Self {
        let leaf = |(place, name): (usize, &ComponentName)| {
            (name.clone(), Builder { intent, known, grid }.leaf(place, name))
        };
        let leaves = intent.structure.leaves().into_iter().enumerate().map(leaf).collect();
        Self { intent, leaves }
    }

    /// Shares as measured.
    pub(super) const fn measured(&'a self) -> Reading<'a> {
        Reading { curves: self, lower: false }
    }

    /// Lower confidence bounds of the shares.
    pub(super) const fn lower(&'a self) -> Reading<'a> {
        Reading { curves: self, lower: true }
    }
}

impl Inputs for Reading<'_> {
    fn curve(&self, leaf: &ComponentName) -> Option<&Curve> {
        let known = self.curves.leaves.get(leaf)?;
        Some(if self.lower { &known.lower } else { &known.measured })
    }

    fn fallback_share(&self, primary: &Expr) -> f64 {
        let component = direct_leaf(primary).and_then(|name| self.curves.intent.components.get(name));
        let own = component.and_then(|component| component.fallback_budget);
        own.unwrap_or(self.curves.intent.runtime.fallback).share.ratio()
    }

    /// Time for nine tenths of its usual answers: enough to see it recover. What is usual is evidence too, so at least its shortest timeout.
    fn primary_least(&self, primary: &Expr) -> Millis {
        let known = direct_leaf(primary).and_then(|name| self.curves.leaves.get(name));
        known.map_or(Millis(0), |known| known.usual.max(known.least))
    }

    fn retry_share(&self, _: &Expr) -> f64 {
        self.curves.intent.runtime.retry.map_or(1.0, |budget| budget.ratio.ratio())
    }

    fn fate(&self) -> Fate {
        Fate::Independent
    }
}

struct Builder<'a> {
    intent: &'a JourneyInput,
    known: &'a Known<'a>,
    grid: &'a Grid,
}

/// Calls of a leaf and the latency of those that succeeded.
#[derive(Default)]
struct Seen {
    calls: u64,
    latency: Sketch,
}

impl Builder<'_> {
    fn leaf(&self, place: usize, name: &ComponentName) -> LeafCurve {
        let fallback = ComponentInput::default();
        let component = self.intent.components.get(name).unwrap_or(&fallback);
        if let Reach::Static(_) = component.reach {
            let always = at_once(self.grid, 1.0);
            return LeafCurve {
                measured: always.clone(),
                lower: always,
                source: CurveSource::Static,
                usual: Millis(0),
                least: Millis(0),
            };
        }
        let default = self.default_curve(component);
        let before = self
            .known
            .previous
            .and_then(|plan| plan.leaves.get(place))
            .filter(|leaf| leaf.allocation.leaf == *name);
        let usual = before
            .map_or_else(|| self.usual(component, &default), |leaf| Some(leaf.usual))
            .unwrap_or_default();
        let least = self.known.limits.get(place).least;
        let seen = self.seen(place);
        let calls = seen.calls;
        // A hop that encloses others was seen with them inside: its own time is not in the evidence.
        if calls < self.intent.runtime.evidence_min.max(1) || self.known.roles.encloses(place) {
            let default = self.bounded(component, &default);
            let source = CurveSource::Default { calls };
            return LeafCurve { measured: default.clone(), lower: default, source, usual, least };
        }
        let curve = measured(self.grid, &seen.latency, calls, &default);
        LeafCurve {
            lower: self.bounded(component, &lower_confidence(&curve, calls, Z_95)),
            measured: self.bounded(component, &curve),
            source: CurveSource::Measured { calls },
            usual: self.usual(component, &curve).unwrap_or(usual),
            least,
        }
    }

    fn default_curve(&self, component: &ComponentInput) -> Curve {
        let deadline = self.intent.deadline.0;
        let built_in =
            LatencyDefault { p50: Millis((deadline / 20).max(1)), p99: Millis((deadline / 5).max(1)) };
        let LatencyDefault { p50, p99 } = component.latency.unwrap_or(built_in);
        lognormal(self.grid, p50, p99, component.availability.get())
    }

    /// `None` when too few answer at all, or within the timeout in force: then the service is not as usual.
    fn usual(&self, component: &ComponentInput, curve: &Curve) -> Option<Millis> {
        curve.first_at_least(0.9 * component.availability.get()).map(|cell| self.grid.time(cell))
    }

    /// Bounds on a timeout are bounds on the curve: less than the minimum is never given, more than the maximum never used.
    fn bounded(&self, component: &ComponentInput, curve: &Curve) -> Curve {
        if !matches!(component.reach, Reach::Hop(_)) {
            return curve.clone();
        }
        let policy = &self.intent.runtime;
        let max = policy.timeout_max.map_or(self.grid.cells(), |max| self.grid.cell(max));
        curve.bounded(self.grid.cell(policy.timeout_min).min(max), max)
    }

    /// Its own calls, and those in which it stood in for another.
    fn seen(&self, place: usize) -> Seen {
        let mut seen = Seen::default();
        self.hops(place).for_each(|hop| seen.add_own(hop));
        if let Some(Role::Alternate { of }) = self.known.roles.get(place)
            && self.intent.runtime.mode == Mode::Enforce
        {
            self.hops(*of).for_each(|hop| seen.add_as_alternate(hop));
        }
        seen
    }

    fn hops(&self, place: usize) -> impl Iterator<Item = &HopEvidence> {
        let keys = self.known.roles.hops(place);
        let matching = move |(key, _): &(&HopKey, &HopEvidence)| {
            keys.iter().any(|wanted| {
                same_destination(wanted, key)
                    && (wanted.operation.is_empty() || wanted.operation == key.operation)
            })
        };
        self.known.evidence.iter().filter(matching).map(|(_, hop)| hop)
    }
}

fn same_destination(a: &HopKey, b: &HopKey) -> bool {
    (&a.journey, &a.source, &a.destination) == (&b.journey, &b.source, &b.destination)
}

impl Seen {
    /// Calls that were not made, or given up by the caller, or without an end say nothing about the destination.
    fn add_own(&mut self, hop: &HopEvidence) {
        let silent = [Outcome::Cancelled, Outcome::Shed, Outcome::Stream];
        let silent = silent.iter().fold(0_u64, |sum, &outcome| sum.saturating_add(hop.outcomes.get(outcome)));
        self.calls = self.calls.saturating_add(hop.outcomes.total().saturating_sub(silent));
        self.latency.merge(&hop.latency);
    }

    /// Asked and not answered is at most what ended badly all the same.
    fn add_as_alternate(&mut self, hop: &HopEvidence) {
        let answered = hop.alternate_latency.count();
        let bad = hop.outcomes.get(Outcome::Error).saturating_add(hop.outcomes.get(Outcome::Timeout));
        let unanswered = hop.alternate_asked.saturating_sub(answered).min(bad);
        self.calls = self.calls.saturating_add(answered).saturating_add(unanswered);
        self.latency.merge(&hop.alternate_latency);
    }
}
