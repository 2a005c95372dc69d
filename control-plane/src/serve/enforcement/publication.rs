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
use super::{Told, View, said};
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
    /// See [`View`].
    pub(super) told: Told,
    /// Several replicas publish the same plans, under the same numbers.
    pub(super) several: bool,
    /// The orders that all replicas share were read.
    pub(super) known: bool,
    /// Stands in for a plan's generation while there is none; only where there are several.
    bare: Option<u64>,
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
    /// `durable`: whether orders are kept at all.
    pub(super) fn begin(
        stops: Arc<Stops>,
        (out, durable): (Arc<Out>, bool),
        unheard: bool,
        told: Told,
    ) -> Self {
        let view = View {
            stops: Arc::clone(&stops),
            out: Arc::clone(&out),
            unheard,
            durable,
            unkept: None,
            told: told.clone(),
        };
        let view = Arc::new(ArcSwap::from_pointee(view));
        Self {
            stops,
            version: 0,
            plan: None,
            out,
            made_of: None,
            durable,
            unkept: None,
            unheard,
            told,
            several: false,
            known: false,
            bare: None,
            view,
        }
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
        let kept = self.durable && unkept.is_none();
        let shared = self.several && self.known && !self.stops.switch.several.is_untold();
        let durable = kept || shared;
        let unkept = unkept.filter(|_| !shared);
        let (stops, out) = (Arc::clone(&self.stops), Arc::clone(&self.out));
        let told = self.told.clone();
        self.view.store(Arc::new(View { stops, out, unheard, durable, unkept, told }));
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
        let any = stops.any() || self.stops.any();
        self.stops = Arc::new(stops);
        self.version += 1;
        self.unheard = self.plan.is_none();
        self.put_out(publisher, proxies, now);
        let generation = self.out.generation.0;
        Arc::make_mut(&mut self.stops).switch.generation = generation;
        self.show();
        if any {
            warn!(generation, "{}", said(&self.stops));
        }
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
        let ordered = self.made_of.as_ref().is_none_or(|made| made.1 != self.version);
        let generation = if self.several {
            self.raised(now)
        } else {
            plan.max(Generation(self.out.generation.0.saturating_add(1)))
        };
        let budgets = self.budgets(generation, &of.2, ordered);
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

    /// The plan's generation, raised. Never below what was published: where this replica published without a plan, or the shared orders were lost, it raises
    /// more, and all will.
    fn raised(&mut self, now: Moment) -> Generation {
        let base = self.base(now.unix_ms);
        let published = self.out.generation.0;
        let several = &mut Arc::make_mut(&mut self.stops).switch.several;
        let reached = base.saturating_add(several.raised);
        if reached < published {
            several.raised += published - reached + 1;
            several.lifted = several.waiting.is_empty();
        }
        Generation(base.saturating_add(several.raised))
    }

    /// What is raised.
    fn base(&mut self, now_unix_ms: u64) -> u64 {
        match &self.plan {
            Some(plan) => plan.generation.0,
            None => *self.bare.get_or_insert(now_unix_ms),
        }
    }

    /// By how much a change raises generations. `apart`: others may have plans of which this replica has not heard, and sidecars that come from them shall
    /// obey it too: then to above whatever a planner numbers by the calendar.
    pub(super) fn raise(&mut self, raised: u64, apart: bool, now_unix_ms: u64) -> u64 {
        let above = if apart { now_unix_ms.saturating_sub(self.base(now_unix_ms)) } else { 0 };
        raised.max(above) + 1
    }

    /// The plan's budgets, less what is stopped, and those of strangers. `ordered`: what is stopped is not what it was.
    fn budgets(&self, generation: Generation, strangers: &BTreeSet<WorkloadName>, ordered: bool) -> Budgets {
        let raised = self.stops.switch.several.raised;
        let same =
            |plan: &PlanSnapshot| if self.several { raised == 0 } else { plan.generation == generation };
        if let Some(plan) = self.plan.as_ref().filter(|plan| same(plan) && !self.stops.any()) {
            return Budgets::Planned(Arc::clone(plan));
        }
        let number = |budgets: &WorkloadBudgets| match self.several {
            true => Generation(budgets.generation.0.saturating_add(raised)),
            false => generation,
        };
        let made = |(name, planned): (&WorkloadName, &Arc<WorkloadBudgets>)| {
            let number = number(planned);
            // A workload that is told nothing new keeps its number, and so what was made of it.
            let before = self.out.workloads().get(name).filter(|it| !ordered && it.generation == number);
            let budgets = before
                .filter(|_| self.several)
                .map_or_else(|| Arc::new(self.allowed(planned, number)), Arc::clone);
            (name.clone(), budgets)
        };
        let planned = self.plan.iter().flat_map(|plan| &plan.workloads).map(made);
        let strange = strangers
            .iter()
            .map(|name| (name.clone(), Arc::new(WorkloadBudgets { generation, ..empty(name.clone()) })));
        Budgets::Changed(planned.chain(strange).collect())
    }

    /// Of budgets what is not stopped.
    fn allowed(&self, planned: &WorkloadBudgets, generation: Generation) -> WorkloadBudgets {
        let mut budgets = WorkloadBudgets { generation, ..planned.clone() };
        apply(&self.stops, &mut budgets);
        budgets
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
