//! From the budgets of hops to the resource of each workload.

use std::collections::BTreeMap;
use std::sync::Arc;

use emac_core::budget::{Alone, HopBudget, JourneyBudget, OnExpiry, WorkloadBudgets};
use emac_core::id::WorkloadName;
use emac_core::units::{Generation, Millis};

use super::input::JourneyInput;
use super::roles::hop_ref;
use emac_document::sha256_hex;
use emac_journey::intent::Lease;

/// Most journeys and hops of one resource (`emac/v1/budgets.proto`).
const JOURNEYS_MAX: usize = 64;
const HOPS_MAX: usize = 256;
const ENTRIES_MAX: usize = 16;

/// Budgets by workload, under no generation yet.
#[derive(Default)]
pub(super) struct Workloads {
    resources: BTreeMap<WorkloadName, WorkloadBudgets>,
    digests: BTreeMap<WorkloadName, Vec<String>>,
}

impl Workloads {
    /// Adds a journey; returns what did not fit.
    pub(super) fn add(
        &mut self,
        intent: &JourneyInput,
        deadline: Millis,
        hops: Vec<(WorkloadName, HopBudget)>,
    ) -> Vec<String> {
        let mut notes = Vec::new();
        for workload in members(intent) {
            notes.extend(self.add_journey(intent, deadline, workload));
        }
        for (source, hop) in hops {
            notes.extend(self.add_hop(&source, hop));
        }
        notes
    }

    /// Adds what one of its workloads is told of a journey; returns what did not fit.
    pub(super) fn add_to<'a>(
        &mut self,
        workload: &WorkloadName,
        intent: &JourneyInput,
        deadline: Millis,
        hops: impl Iterator<Item = &'a HopBudget>,
    ) -> Vec<String> {
        let mut notes = Vec::from_iter(self.add_journey(intent, deadline, workload.clone()));
        notes.extend(hops.filter_map(|hop| self.add_hop(workload, hop.clone())));
        notes
    }

    fn add_journey(
        &mut self,
        intent: &JourneyInput,
        deadline: Millis,
        workload: WorkloadName,
    ) -> Option<String> {
        let policy = &intent.runtime;
        let resource =
            self.resources.entry(workload.clone()).or_insert_with(|| empty(workload.clone(), policy.lease));
        if resource.journeys.len() >= JOURNEYS_MAX {
            return Some(format!(
                "{workload}: more than {JOURNEYS_MAX} journeys; {} is left out",
                intent.name
            ));
        }
        resource.valid_for = resource.valid_for.min(policy.lease.valid_for);
        if policy.lease.on_expiry == OnExpiry::Release {
            resource.on_expiry = OnExpiry::Release;
        }
        let entry = if policy.edges.contains(&workload) { intent.entry.clone() } else { Vec::new() };
        resource.journeys.push(JourneyBudget {
            journey: intent.name.clone(),
            deadline,
            mode: policy.mode,
            priority: policy.priority,
            record: policy.record,
            entry: entry.into_iter().take(ENTRIES_MAX).collect(),
        });
        self.digests.entry(workload).or_default().push(intent.model_digest.clone());
        None
    }

    fn add_hop(&mut self, source: &WorkloadName, hop: HopBudget) -> Option<String> {
        let resource = self.resources.get_mut(source)?;
        if !resource.journeys.iter().any(|journey| journey.journey == hop.journey) {
            return None;
        }
        let same = |other: &HopBudget| {
            (&other.journey, &other.destination, &other.operation)
                == (&hop.journey, &hop.destination, &hop.operation)
        };
        let known = resource.hops.iter().position(same);
        if let Some(other) = known.and_then(|place| resource.hops.get_mut(place)) {
            tighten(other, &hop);
        } else if resource.hops.len() < HOPS_MAX {
            resource.hops.push(hop);
        } else {
            return Some(format!("{source}: more than {HOPS_MAX} hops; {} is left out", hop.destination));
        }
        None
    }

    /// All resources, under one generation.
    pub(super) fn finish(
        self,
        generation: Generation,
        now_unix_ms: u64,
    ) -> BTreeMap<WorkloadName, Arc<WorkloadBudgets>> {
        let digests = self.digests;
        let finished = |(workload, mut resource): (WorkloadName, WorkloadBudgets)| {
            resource.generation = generation;
            resource.issued_at_unix_ms = now_unix_ms;
            resource.model_digest = joint_digest(digests.get(&workload).map_or(&[], Vec::as_slice));
            (workload, Arc::new(resource))
        };
        self.resources.into_iter().map(finished).collect()
    }
}

/// A hop that occurs twice on a journey has one budget: the tighter times hold wherever it stands.
fn tighten(held: &mut HopBudget, other: &HopBudget) {
    let alone = alone(held)
        .zip(alone(other))
        .map(|(a, b)| Alone { timeout: a.timeout.min(b.timeout), reserve: a.reserve.min(b.reserve) });
    held.timeout = held.timeout.into_iter().chain(other.timeout).min();
    held.per_try_timeout = held.per_try_timeout.into_iter().chain(other.per_try_timeout).min();
    held.reserve = held.reserve.min(other.reserve);
    held.useful_min = held.useful_min.min(other.useful_min);
    held.alone = alone.filter(|&alone| Some(alone.timeout) > held.timeout || alone.reserve < held.reserve);
    held.without_context |= other.without_context;
    held.stream |= other.stream;
    held.fallback = held.fallback.take().or_else(|| other.fallback.clone());
}

/// Bounds of the hop's calls where no fallback can follow.
fn alone(hop: &HopBudget) -> Option<Alone> {
    let reserve = hop.reserve;
    hop.alone.or_else(|| hop.timeout.map(|timeout| Alone { timeout, reserve }))
}

/// Every workload on the journey: edges, callers and those who answer.
pub(super) fn members(intent: &JourneyInput) -> Vec<WorkloadName> {
    let mut names = intent.runtime.edges.clone();
    for leaf in intent.structure.leaves() {
        let hop = hop_ref(intent, leaf);
        names.extend(hop.iter().filter_map(|hop| hop.source.clone()));
        names.extend(hop.iter().filter_map(|hop| hop.workload.clone()));
    }
    names.sort();
    names.dedup();
    names
}

fn empty(workload: WorkloadName, lease: Lease) -> WorkloadBudgets {
    WorkloadBudgets {
        workload,
        generation: Generation(0),
        model_digest: String::new(),
        issued_at_unix_ms: 0,
        valid_for: lease.valid_for,
        on_expiry: OnExpiry::Hold,
        journeys: Vec::new(),
        hops: Vec::new(),
    }
}

/// The digest itself when there is one, otherwise the digest of all of them in order.
fn joint_digest(digests: &[String]) -> String {
    match digests {
        [] => String::new(),
        [only] => only.clone(),
        several => sha256_hex(several.join("\n")),
    }
}
