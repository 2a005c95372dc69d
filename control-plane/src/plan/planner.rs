//! Planning what moved.
//!
//! [`Planner`] keeps the plan of every journey and works anew on those whose intent, model or evidence moved, the most pressing first:
//!
//! 1. journeys whose intent or accepted model changed, before any other is looked at;
//! 2. journeys whose evidence moved by more than its noise ([`super::moved`]), the farthest first, and those that damping still holds
//!    back from where they want to be;
//! 3. the others with evidence, once in [`REFRESH`], the longest ago first.
//!
//! Who calls says by [`Class`] how long each may take, so that a change is in force before everything else is looked at, and planning takes a
//! bounded share of the machine however many journeys there are. A journey without traffic costs one look at when its hops were
//! last reported. Journeys are independent, so they are planned on all cores.
//!
//! [`super::plan`] is the slow exact twin: with all the time it wants, a planner comes to the same plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use emac_core::budget::{HopBudget, Mode, WorkloadBudgets};
use emac_core::id::{HopKey, JourneyName, WorkloadName};
use emac_core::units::{Generation, Micros, Moment};

use super::cores::on_all_cores;
use super::input::{EvidenceByHop, JourneyInput};
use super::journey::{Known, plan_journey};
use super::limits::Limits;
use super::moved::Basis;
use super::roles::Roles;
use super::snapshot::{Damped, JourneyPlan, PlanSnapshot};
use super::workloads::{Workloads, members};
use super::{hops, next_generation, tells_alike};

/// A journey with evidence is planned anew this often although nothing moved: what is shown of it is at most so old.
const REFRESH: Micros = Micros(5_000_000);
/// Where journeys change all the time, the others are looked at this often only: a look at all of them can cost more than planning those that changed, and what
/// was planned goes out after it.
const LOOK: Micros = Micros(1_000_000);

/// Where evidence is read.
pub trait EvidenceSource: Sync {
    /// When any of some hops was last reported. An empty operation stands for all of them.
    fn last_seen(&self, hops: &[HopKey]) -> Option<Micros>;

    /// What some hops did in the planning window; without those that had no calls. `enforced`: decisions for their journey are acted
    /// upon.
    fn read(&self, hops: &[HopKey], enforced: bool) -> EvidenceByHop;
}

/// How pressing the plan of a journey is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Its intent or model changed.
    Changed,
    /// Its evidence moved, or damping holds it back.
    Moved,
    /// It has evidence.
    Refresh,
}

/// What a step came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Workloads that are told something new.
    pub changed: Vec<WorkloadName>,
    /// Workloads that are on no journey any more.
    pub removed: Vec<WorkloadName>,
    /// Journeys planned.
    pub planned: usize,
    /// Journeys that changed and are not planned yet: call again at once.
    pub waiting: usize,
    /// Journeys that moved and are not planned yet, of those looked at.
    pub postponed: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Planner {
    journeys: BTreeMap<JourneyName, Kept>,
    snapshot: Arc<PlanSnapshot>,
    /// Journeys of each workload by their place among the intents.
    members: BTreeMap<WorkloadName, BTreeMap<usize, JourneyName>>,
    /// Whether `members` is to be made anew.
    members_moved: bool,
    /// Workloads whose budgets are to be put together anew.
    touched: BTreeSet<WorkloadName>,
    /// What did not fit into the budgets of a workload, by journey.
    overflow: BTreeMap<WorkloadName, Vec<(JourneyName, String)>>,
    /// When those that did not change were last looked at.
    looked: Option<Micros>,
}

#[derive(Debug)]
struct Kept {
    /// Place among the intents.
    place: usize,
    /// What is to be planned; it may wait.
    intent: Arc<JourneyInput>,
    roles: Roles,
    limits: Limits,
    /// Every hop that evidence is read of.
    wanted: Vec<HopKey>,
    changed: bool,
    planned: Option<Planned>,
}

/// A journey's plan, with what it was made from and what it tells its workloads.
#[derive(Debug)]
struct Planned {
    intent: Arc<JourneyInput>,
    plan: JourneyPlan,
    hops: Vec<(WorkloadName, HopBudget)>,
    members: Vec<WorkloadName>,
    basis: Basis,
    /// When its evidence was read, and whether there was any.
    read: Micros,
    had_evidence: bool,
}

/// A journey to be planned.
struct Task {
    name: JourneyName,
    class: Class,
    /// Larger is more pressing within the class.
    weight: f64,
    /// What it did, where that was looked at already.
    evidence: Option<EvidenceByHop>,
}

// === impl Planner ===

impl Planner {
    /// With nothing planned; generations grow from `last`.
    pub fn new(last: Generation) -> Self {
        let snapshot = Arc::new(PlanSnapshot { generation: last, ..PlanSnapshot::default() });
        Self { snapshot, ..Self::default() }
    }

    /// Going on from the plan of another planner: what it tells alike keeps its generation, and damping holds. Journeys are planned anew, and workloads of
    /// none leave, with the first steps.
    pub fn resume(plan: Arc<PlanSnapshot>) -> Self {
        let touched = plan.workloads.keys().cloned().collect();
        Self { snapshot: plan, touched, ..Self::default() }
    }

    /// The plan in force.
    pub fn snapshot(&self) -> &Arc<PlanSnapshot> {
        &self.snapshot
    }

    /// Takes over the intents, in the order in which their entry rules are tried. Nothing is planned by it: what was planned stays
    /// until it is planned anew, and journeys that are gone leave with the next step. Cost: a comparison a journey.
    pub fn retarget(&mut self, intents: &[JourneyInput]) {
        let mut before = std::mem::take(&mut self.journeys);
        for (place, intent) in intents.iter().enumerate() {
            let kept = before.remove(&intent.name);
            if kept.as_ref().is_some_and(|kept| kept.place != place) {
                self.touched.extend(kept.iter().flat_map(Kept::members).cloned());
            }
            self.journeys.insert(intent.name.clone(), Kept::of(kept, place, intent));
        }
        self.touched.extend(before.values().flat_map(Kept::members).cloned());
        self.members_moved = true;
        if self.snapshot.journeys.keys().any(|name| !self.journeys.contains_key(name)) {
            let journeys = &self.journeys;
            Arc::make_mut(&mut self.snapshot).journeys.retain(|name, _| journeys.contains_key(name));
        }
    }

    /// One round of work: journeys that changed, as long as `may_go_on` says so, else a look at the others and those of them that moved. `may_go_on` is
    /// asked before each, on any thread. However much changes, the others have their turn once a second.
    pub fn step(
        &mut self,
        source: &impl EvidenceSource,
        now: Moment,
        may_go_on: impl Fn(Class) -> bool + Sync,
    ) -> Step {
        let mut step = Step::default();
        let changed = self.changed();
        step.waiting = changed.len() - self.work(&changed, source, now, &may_go_on);
        step.planned = changed.len() - step.waiting;
        if changed.is_empty() || self.looked.is_none_or(|at| now.at.since(at) >= LOOK) {
            self.looked = Some(now.at);
            let moved = self.moved(source, now);
            let planned = self.work(&moved, source, now, &may_go_on);
            let left = moved.iter().skip(planned);
            step.postponed = left.filter(|task| task.class == Class::Moved).count();
            step.planned += planned;
        }
        self.assemble(now, &mut step);
        step
    }

    /// Journeys that somebody changed.
    fn changed(&self) -> Vec<Task> {
        let changed = self.journeys.iter().filter(|(_, kept)| kept.is_changed());
        let task = |name: &JourneyName| Task {
            name: name.clone(),
            class: Class::Changed,
            weight: 0.0,
            evidence: None,
        };
        changed.map(|(name, _)| task(name)).collect()
    }

    /// What there is to do of the others, the most pressing first.
    fn moved(&self, source: &impl EvidenceSource, now: Moment) -> Vec<Task> {
        // Those of this step were planned just now.
        let before = |kept: &Kept| kept.planned.as_ref().is_some_and(|planned| planned.read != now.at);
        let others = self.journeys.iter().filter(|(_, kept)| !kept.is_changed() && before(kept));
        let others: Vec<_> = others.collect();
        let found = on_all_cores(&others, |_| true, |(name, kept)| kept.task(name, source, now));
        let mut tasks: Vec<Task> = found.into_iter().filter_map(|(_, task)| task).collect();
        tasks.sort_by(|a, b| a.class.cmp(&b.class).then(b.weight.total_cmp(&a.weight)));
        tasks
    }

    /// Plans the first of some, as many as may be. Returns how many.
    fn work(
        &mut self,
        tasks: &[Task],
        source: &impl EvidenceSource,
        now: Moment,
        may_go_on: &(impl Fn(Class) -> bool + Sync),
    ) -> usize {
        let plan = |task: &Task| {
            let shown = self.snapshot.journeys.get(&task.name).map(Arc::as_ref);
            self.journeys.get(&task.name).map(|kept| kept.plan(task.evidence.as_ref(), source, shown, now))
        };
        let done = on_all_cores(tasks, |task| may_go_on(task.class), plan);
        let count = done.len();
        for (task, planned) in done {
            if let Some(planned) = planned {
                self.keep(&task.name, planned);
            }
        }
        count
    }

    fn keep(&mut self, name: &JourneyName, planned: Planned) {
        let Some(kept) = self.journeys.get_mut(name) else { return };
        let before = kept.planned.as_ref();
        if before.is_none_or(|before| before.members != planned.members) {
            self.members_moved = true;
        }
        if !before.is_some_and(|before| before.tells_like(&planned)) {
            let both = before.iter().flat_map(|before| &before.members).chain(&planned.members);
            self.touched.extend(both.cloned());
        }
        let shown = before.is_some_and(|before| before.plan == planned.plan);
        kept.changed = false;
        kept.planned = Some(planned);
        if !shown {
            self.show(name);
        }
    }

    /// Puts together what the touched workloads are told, and numbers the plan if anything is new.
    fn assemble(&mut self, now: Moment, step: &mut Step) {
        if std::mem::take(&mut self.members_moved) {
            self.list_members();
        }
        let next = next_generation(self.snapshot.generation, now.unix_ms);
        for workload in std::mem::take(&mut self.touched) {
            let (budgets, overflow) = self.budgets(&workload, next, now.unix_ms);
            self.note_overflow(&workload, overflow);
            let before = self.snapshot.workloads.get(&workload);
            match budgets {
                None if before.is_some() => {
                    Arc::make_mut(&mut self.snapshot).workloads.remove(&workload);
                    step.removed.push(workload);
                }
                Some(budgets) if !before.is_some_and(|before| tells_alike(before, &budgets)) => {
                    Arc::make_mut(&mut self.snapshot).workloads.insert(workload.clone(), budgets);
                    step.changed.push(workload);
                }
                _ => {}
            }
        }
        if !step.changed.is_empty() || !step.removed.is_empty() {
            Arc::make_mut(&mut self.snapshot).generation = next;
        }
    }

    /// `None` for a workload that is on no journey.
    fn budgets(
        &self,
        workload: &WorkloadName,
        generation: Generation,
        now_unix_ms: u64,
    ) -> (Option<Arc<WorkloadBudgets>>, Vec<(JourneyName, String)>) {
        let (mut workloads, mut overflow) = (Workloads::default(), Vec::new());
        for name in self.members.get(workload).into_iter().flat_map(BTreeMap::values) {
            let Some(planned) = self.journeys.get(name).and_then(|kept| kept.planned.as_ref()) else {
                continue;
            };
            let hops = planned.hops.iter().filter(|(source, _)| source == workload).map(|(_, hop)| hop);
            let left = workloads.add_to(workload, &planned.intent, planned.plan.deadline, hops);
            overflow.extend(left.into_iter().map(|note| (name.clone(), note)));
        }
        (workloads.finish(generation, now_unix_ms).remove(workload), overflow)
    }

    fn note_overflow(&mut self, workload: &WorkloadName, now: Vec<(JourneyName, String)>) {
        let before = match now.is_empty() {
            true => self.overflow.remove(workload),
            false => self.overflow.insert(workload.clone(), now.clone()),
        };
        let before = before.unwrap_or_default();
        if before != now {
            let names: BTreeSet<_> = before.into_iter().chain(now).map(|(name, _)| name).collect();
            names.iter().for_each(|name| self.show(name));
        }
    }

    /// Puts the plan of a journey into the snapshot, with what did not fit.
    fn show(&mut self, name: &JourneyName) {
        let Some(planned) = self.journeys.get(name).and_then(|kept| kept.planned.as_ref()) else { return };
        let mut plan = planned.plan.clone();
        let overflow = planned.members.iter().filter_map(|workload| self.overflow.get(workload)).flatten();
        plan.notes.extend(overflow.filter(|(of, _)| of == name).map(|(_, note)| note.clone()));
        Arc::make_mut(&mut self.snapshot).journeys.insert(name.clone(), Arc::new(plan));
    }

    fn list_members(&mut self) {
        self.members.clear();
        for (name, kept) in &self.journeys {
            for workload in kept.members() {
                self.members.entry(workload.clone()).or_default().insert(kept.place, name.clone());
            }
        }
    }
}

// === impl Kept ===

impl Kept {
    fn of(before: Option<Self>, place: usize, intent: &JourneyInput) -> Self {
        match before {
            Some(kept) if *kept.intent == *intent => Self { place, ..kept },
            before => {
                let planned = before.and_then(|kept| kept.planned);
                let (roles, limits) = (Roles::new(intent), Limits::new(intent));
                let wanted = roles.all_hops();
                let intent = Arc::new(intent.clone());
                Self { place, intent, roles, limits, wanted, changed: true, planned }
            }
        }
    }

    fn members(&self) -> impl Iterator<Item = &WorkloadName> {
        self.planned.iter().flat_map(|planned| &planned.members)
    }

    fn is_enforced(&self) -> bool {
        self.intent.runtime.mode == Mode::Enforce
    }

    /// It is to be planned whatever its evidence says.
    fn is_changed(&self) -> bool {
        self.changed || self.planned.is_none()
    }

    fn read(&self, source: &impl EvidenceSource) -> EvidenceByHop {
        source.read(&self.wanted, self.is_enforced())
    }

    /// What there is to do about one that did not change, if anything.
    fn task(&self, name: &JourneyName, source: &impl EvidenceSource, now: Moment) -> Option<Task> {
        let planned = self.planned.as_ref()?;
        let held_back = planned.is_held_back(now.unix_ms);
        let is_idle =
            !planned.had_evidence && source.last_seen(&self.wanted).is_none_or(|at| at < planned.read);
        if is_idle && !held_back {
            return None;
        }
        let (evidence, age) = (self.read(source), now.at.since(planned.read));
        let distance = planned.basis.distance(&evidence, self.intent.runtime.evidence_min.max(1));
        let (class, weight) = match distance > 1.0 {
            true => (Class::Moved, distance),
            false if held_back => (Class::Moved, 1.0),
            false if age >= REFRESH => (Class::Refresh, age.0 as f64),
            false => return None,
        };
        Some(Task { name: name.clone(), class, weight, evidence: Some(evidence) })
    }

    /// `seen`: its evidence, if it was read already. `shown`: its plan by another planner, if this one has none.
    fn plan(
        &self,
        seen: Option<&EvidenceByHop>,
        source: &impl EvidenceSource,
        shown: Option<&JourneyPlan>,
        now: Moment,
    ) -> Planned {
        let read;
        let evidence = match seen {
            Some(seen) => seen,
            None => {
                read = self.read(source);
                &read
            }
        };
        let previous = self.planned.as_ref().map(|planned| &planned.plan).or(shown);
        let known = Known { roles: &self.roles, limits: &self.limits, evidence, previous };
        let mut plan = plan_journey(&self.intent, &known, now.unix_ms);
        let hops = hops::hop_budgets(&self.intent, &self.roles, &self.limits, &mut plan);
        Planned {
            members: members(&self.intent),
            intent: Arc::clone(&self.intent),
            plan,
            hops,
            basis: Basis::of(evidence),
            read: now.at,
            had_evidence: !evidence.is_empty(),
        }
    }
}

// === impl Planned ===

impl Planned {
    /// Damping keeps it from where it wants to be, and may let it go on now.
    fn is_held_back(&self, now_unix_ms: u64) -> bool {
        let since = now_unix_ms.checked_sub(self.plan.changed_unix_ms);
        let over = since.is_none_or(|since| since >= self.intent.runtime.damping.period.0);
        over && matches!(self.plan.damped, Damped::Period | Damped::Step)
    }

    /// Whether every workload is told the same.
    fn tells_like(&self, other: &Self) -> bool {
        let same_intent = Arc::ptr_eq(&self.intent, &other.intent);
        same_intent && self.plan.deadline == other.plan.deadline && self.hops == other.hops
    }
}

#[cfg(test)]
mod tests;
