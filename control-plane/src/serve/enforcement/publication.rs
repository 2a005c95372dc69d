//! What is published: the last plan, less what is stopped, under generations of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use emac_core::budget::{OnExpiry, WorkloadBudgets};
use emac_core::id::WorkloadName;
use emac_core::units::{Generation, Millis, Moment};
use emac_push::proxies::Proxies;
use emac_push::snapshot::{Published, Publisher};
use tracing::warn;

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
    version: u64,
    /// What the planner handed over last.
    plan: Option<Arc<PlanSnapshot>>,
    out: Arc<Out>,
    /// From what `out` was made.
    made_of: Option<(Generation, u64, BTreeSet<WorkloadName>)>,
    /// Whether orders are kept at all.
    durable: bool,
    /// Why the orders in force are not kept.
    pub(super) unkept: Option<String>,
    /// See [`View`].
    unheard: bool,
    /// What readers see: they do not wait while a plan of thousands is published.
    pub(super) view: Arc<ArcSwap<View>>,
}

/// What was published last.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Out {
    pub(in super::super) generation: Generation,
    budgets: Arc<Budgets>,
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
        self.budgets.workloads()
    }
}

impl Budgets {
    fn workloads(&self) -> &BTreeMap<WorkloadName, Arc<WorkloadBudgets>> {
        match self {
            Self::Planned(plan) => &plan.workloads,
            Self::Changed(workloads) => workloads,
        }
    }
}

impl Publication {
    pub(super) fn begin(stops: Arc<Stops>, out: Arc<Out>, durable: bool, unheard: bool) -> Self {
        let view = View { stops: Arc::clone(&stops), out: Arc::clone(&out), unheard, durable, unkept: None };
        let view = Arc::new(ArcSwap::from_pointee(view));
        let (version, plan, made_of, unkept) = (0, None, None, None);
        Self { stops, version, plan, out, made_of, durable, unkept, unheard, view }
    }

    /// Takes a plan.
    pub(super) fn plan(
        &mut self,
        plan: Arc<PlanSnapshot>,
        to: (&Publisher, &Proxies),
        now: Moment,
    ) -> Published {
        self.plan = Some(plan);
        self.unheard = false;
        let published = self.put_out(to.0, to.1, now);
        self.show();
        published
    }

    /// To readers.
    pub(super) fn show(&self) {
        let (unheard, unkept) = (self.unheard, self.unkept.clone());
        let durable = self.durable && unkept.is_none();
        let (stops, out) = (Arc::clone(&self.stops), Arc::clone(&self.out));
        self.view.store(Arc::new(View { stops, out, unheard, durable, unkept }));
    }

    pub(super) fn obey(&mut self, switch: Switch, changed: bool, to: (&Publisher, &Proxies), now: Moment) {
        let stops = Stops { switch, configured: self.stops.configured.clone() };
        if changed {
            self.change(stops, to, now);
        } else {
            self.stops = Arc::new(stops);
            self.show();
        }
    }

    pub(super) fn change(&mut self, stops: Stops, (publisher, proxies): (&Publisher, &Proxies), now: Moment) {
        self.stops = Arc::new(stops);
        self.version += 1;
        self.unheard = self.plan.is_none();
        self.put_out(publisher, proxies, now);
        let generation = self.out.generation.0;
        Arc::make_mut(&mut self.stops).switch.generation = generation;
        self.show();
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
        let ordered = self.made_of.as_ref().is_none_or(|made| made.1 != self.version);
        self.made_of = Some(of);
        if budgets.workloads().is_empty() && self.out.workloads().is_empty() {
            // Nothing was there, nothing is: no generation is spent on it.
            return publisher.publish(budgets.workloads(), now);
        }
        let (needed, since) = match ordered {
            true => (Arc::default(), generation),
            false => (Arc::clone(&self.out.needed), self.out.ordered),
        };
        // To readers first: whoever gets budgets can look up why.
        let mut out = Out { generation, budgets: Arc::new(budgets), needed, ordered: since };
        self.out = Arc::new(out.clone());
        self.show();
        let published = publisher.publish(out.workloads(), now);
        if ordered {
            // Whose budgets it did not change has them already.
            let offered = |name: &WorkloadName| Some((name.clone(), publisher.generation(name)?));
            out.needed = Arc::new(out.workloads().keys().filter_map(offered).collect());
            self.out = Arc::new(out);
        }
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
