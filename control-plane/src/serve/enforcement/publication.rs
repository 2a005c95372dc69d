//! What is published: the last plan, less what is stopped, under generations of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use emac_core::budget::{OnExpiry, WorkloadBudgets};
use emac_core::id::WorkloadName;
use emac_core::units::{Generation, Millis, Moment};
use emac_push::proxies::Proxies;
use emac_push::snapshot::{Published, Publisher};
use tracing::warn;

use super::keep::Keep;
use super::switch::{Stops, Switch, apply};
use super::{View, said};
use crate::plan::PlanSnapshot;

/// Validity of budgets without any journey.
const EMPTY_FOR: Millis = Millis(60_000);
/// What was handed over, what is stopped, and what both came to.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) stops: Arc<Stops>,
    /// Grows with each change of `stops`.
    pub(super) version: u64,
    /// What the planner handed over last.
    pub(super) plan: Option<Arc<PlanSnapshot>>,
    pub(super) out: Arc<Out>,
    /// From what `out` was made.
    pub(super) made_of: Option<(Generation, u64, BTreeSet<WorkloadName>)>,
    /// Why the orders in force are not kept.
    pub(super) unkept: Option<String>,
    /// See [`View`].
    pub(super) unheard: bool,
}

/// What was published last.
#[derive(Debug, Default)]
pub(in super::super) struct Out {
    pub(in super::super) generation: Generation,
    budgets: Budgets,
    /// The generation from which a workload's sidecars do as the newest order says.
    pub(in super::super) needed: Arc<BTreeMap<WorkloadName, Generation>>,
    /// The same for workloads that came later.
    pub(in super::super) ordered: Generation,
}

/// Budgets of every workload.
#[derive(Debug)]
enum Budgets {
    /// Those of the plan, as they are: nothing is held twice while nothing is stopped.
    Planned(Arc<PlanSnapshot>),
    Changed(BTreeMap<WorkloadName, Arc<WorkloadBudgets>>),
}

impl Default for Budgets {
    fn default() -> Self {
        Self::Changed(BTreeMap::new())
    }
}

impl Out {
    /// Before anything was published; what is comes above this generation.
    pub(super) fn nothing(generation: Generation) -> Self {
        Self { generation, ordered: generation, ..Self::default() }
    }

    /// Budgets by workload.
    pub(in super::super) fn workloads(&self) -> &BTreeMap<WorkloadName, Arc<WorkloadBudgets>> {
        match &self.budgets {
            Budgets::Planned(plan) => &plan.workloads,
            Budgets::Changed(workloads) => workloads,
        }
    }
}

impl Publication {
    pub(super) fn view(&self, keep: &Keep) -> View {
        View {
            stops: Arc::clone(&self.stops),
            out: Arc::clone(&self.out),
            unheard: self.unheard,
            durable: matches!(keep, Keep::File(_)) && self.unkept.is_none(),
            unkept: self.unkept.clone(),
        }
    }

    pub(super) fn obey(&mut self, switch: Switch, changed: bool, to: (&Publisher, &Proxies), now: Moment) {
        let stops = Stops { switch, configured: self.stops.configured.clone() };
        if changed {
            self.change(stops, to, now);
        } else {
            self.stops = Arc::new(stops);
        }
    }

    pub(super) fn change(&mut self, stops: Stops, (publisher, proxies): (&Publisher, &Proxies), now: Moment) {
        self.stops = Arc::new(stops);
        self.version += 1;
        self.unheard = self.plan.is_none();
        self.put_out(publisher, proxies, now);
        let generation = self.out.generation.0;
        Arc::make_mut(&mut self.stops).switch.generation = generation;
        warn!(generation, "{}", said(&self.stops));
    }

    /// Publishes the last plan as far as it is not stopped, if that is news.
    pub(super) fn put_out(&mut self, publisher: &Publisher, proxies: &Proxies, now: Moment) -> Published {
        let strangers = if self.stops.all() { self.strangers(proxies) } else { BTreeSet::new() };
        if self.plan.is_none() && strangers.is_empty() {
            return Published::default();
        }
        let plan = self.plan.as_ref().map_or(Generation(0), |plan| plan.generation);
        let of = (plan, self.version, strangers);
        if self.made_of.as_ref() == Some(&of) {
            return Published { unchanged: self.out.workloads().len(), ..Published::default() };
        }
        let generation = plan.max(Generation(self.out.generation.0.saturating_add(1)));
        let budgets = self.budgets(generation, &of.2);
        let mut out = Out { generation, budgets, ..Out::default() };
        if out.workloads().is_empty() && self.out.workloads().is_empty() {
            // Nothing was there, nothing is: no generation is spent on it.
            self.made_of = Some(of);
            return publisher.publish(out.workloads(), now);
        }
        let published = publisher.publish(out.workloads(), now);
        (out.needed, out.ordered) = if self.made_of.as_ref().is_none_or(|made| made.1 != self.version) {
            let offered = |name: &WorkloadName| Some((name.clone(), publisher.generation(name)?));
            (Arc::new(out.workloads().keys().filter_map(offered).collect()), generation)
        } else {
            (Arc::clone(&self.out.needed), self.out.ordered)
        };
        self.out = Arc::new(out);
        self.made_of = Some(of);
        published
    }

    /// The plan's budgets, less what is stopped, and those of strangers.
    fn budgets(&self, generation: Generation, strangers: &BTreeSet<WorkloadName>) -> Budgets {
        let plan = self.plan.as_ref();
        let unchanged = |plan: &&Arc<PlanSnapshot>| plan.generation == generation && !self.stops.any();
        if let Some(plan) = plan.filter(unchanged) {
            return Budgets::Planned(Arc::clone(plan));
        }
        let mut workloads = plan.map(|plan| plan.workloads.clone()).unwrap_or_default();
        workloads.extend(strangers.iter().map(|name| (name.clone(), Arc::new(empty(name.clone())))));
        for budgets in workloads.values_mut() {
            let budgets = Arc::make_mut(budgets);
            budgets.generation = generation;
            apply(&self.stops, budgets);
        }
        Budgets::Changed(workloads)
    }

    /// Connected workloads that the plan does not know.
    fn strangers(&self, proxies: &Proxies) -> BTreeSet<WorkloadName> {
        let known =
            |name: &WorkloadName| self.plan.as_ref().is_some_and(|plan| plan.workloads.contains_key(name));
        let asked = proxies.list().into_iter().filter_map(|proxy| WorkloadName::new(&proxy.workload).ok());
        asked.filter(|name| !known(name)).collect()
    }
}

/// Budgets without any journey: all a sidecar's calls pass.
pub(super) fn empty(workload: WorkloadName) -> WorkloadBudgets {
    WorkloadBudgets {
        workload,
        generation: Generation(0),
        model_digest: String::new(),
        issued_at_unix_ms: 0,
        valid_for: EMPTY_FOR,
        on_expiry: OnExpiry::Release,
        journeys: Vec::new(),
        hops: Vec::new(),
    }
}
