//! Which resource each workload has, since when, and when it must be issued anew.

use crate::protocol::{Name, Resource, ResourceSet, Version};
use emac_core::budget::WorkloadBudgets;
use emac_core::id::WorkloadName;
use emac_core::units::Moment;
use emac_core::units::{Generation, Micros};
use emac_document::hex;
use emac_proto::v1;
use prost::Message;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What publishing a plan came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Workloads with a new resource.
    pub issued: Vec<WorkloadName>,
    /// Workloads whose resource stays.
    pub unchanged: usize,
    /// Workloads that have a resource no more.
    pub removed: Vec<WorkloadName>,
    /// Workloads whose budgets were of a lower generation than the one issued: the newer ones stay.
    pub refused: Vec<WorkloadName>,
}

/// The issued resources.
#[derive(Debug, Default)]
pub struct Issuer {
    /// The newest plan's: renewals are issued under it.
    generation: Generation,
    /// Renewals are issued under the workload's own generation instead.
    own: bool,
    leases: BTreeMap<WorkloadName, IssuedLease>,
}

#[derive(Debug)]
struct IssuedLease {
    /// Name of the resource, shared with every snapshot and stream.
    name: Name,
    /// Newest of the plan; what the next issue carries.
    offered: Arc<WorkloadBudgets>,
    /// Generation of the issued resource.
    generation: Generation,
    resource: Resource,
    renew_at: Micros,
}

// === impl Issuer ===

impl Issuer {
    /// Takes over a plan. Workloads that are not in it lose their resource; those that are told the same keep theirs, whatever its
    /// generation. Cost: a look at each workload, a comparison where it is not the very same value as before, one encoding where it changed.
    pub fn publish(&mut self, plan: &BTreeMap<WorkloadName, Arc<WorkloadBudgets>>, now: Moment) -> Published {
        let gone = self.leases.extract_if(.., |workload, _| !plan.contains_key(workload));
        let removed = gone.map(|(workload, _)| workload).collect();
        let mut published = Published { removed, ..Published::default() };
        let newest = plan.values().map(|budgets| budgets.generation).max().unwrap_or_default();
        self.generation = self.generation.max(newest);
        for (workload, budgets) in plan {
            self.offer(workload, (budgets, newest), now, &mut published);
        }
        published
    }

    /// From now on renewals are issued under the generation in which a workload's budgets last changed, for several issuers of the same plans: each renews
    /// at times of its own, and a client that comes from one to another must not be offered a lower generation. So budgets that come under a higher
    /// generation are issued at once, though they tell the same.
    pub fn renew_under_own(&mut self) {
        self.own = true;
    }

    /// Issues anew what is due. Returns the names.
    pub fn renew(&mut self, now: Moment) -> Vec<Name> {
        let mut renewed = Vec::new();
        for (workload, lease) in self.leases.iter_mut().filter(|(_, lease)| lease.renew_at <= now.at) {
            let newest = if self.own { lease.offered.generation } else { self.generation };
            let generation = lease.generation.max(newest);
            *lease = IssuedLease::issue(workload, Arc::clone(&lease.offered), generation, now);
            renewed.push(Name::clone(&lease.name));
        }
        renewed
    }

    /// When [`Issuer::renew`] has work next.
    pub fn next_renewal(&self) -> Option<Micros> {
        self.leases.values().map(|lease| lease.renew_at).min()
    }

    /// Generation a workload's sidecars should hold.
    pub fn generation(&self, workload: &WorkloadName) -> Option<Generation> {
        self.leases.get(workload).map(|lease| lease.generation)
    }

    /// The resources as they are. Its version is derived from theirs.
    pub fn set(&self) -> ResourceSet {
        let entry = |lease: &IssuedLease| (Name::clone(&lease.name), lease.resource.clone());
        let resources: BTreeMap<Name, Resource> = self.leases.values().map(entry).collect();
        ResourceSet { version: self.version(), resources }
    }

    fn offer(
        &mut self,
        workload: &WorkloadName,
        (budgets, newest): (&Arc<WorkloadBudgets>, Generation),
        now: Moment,
        out: &mut Published,
    ) {
        match self.leases.get_mut(workload) {
            Some(lease) if stays(lease, budgets, self.own) => {
                lease.offered = Arc::clone(budgets);
                out.unchanged += 1;
            }
            Some(lease) if newest < lease.generation => out.refused.push(workload.clone()),
            lease => {
                // What it holds may be of a plan between.
                let held = lease.map_or(Generation(0), |lease| lease.generation);
                let generation = if budgets.generation > held { budgets.generation } else { newest };
                let lease = IssuedLease::issue(workload, Arc::clone(budgets), generation, now);
                self.leases.insert(workload.clone(), lease);
                out.issued.push(workload.clone());
            }
        }
    }

    fn version(&self) -> Version {
        let mut digest = Sha256::new();
        for (workload, lease) in &self.leases {
            digest.update(workload.as_str());
            digest.update([0]);
            digest.update(&*lease.resource.version);
            digest.update([0]);
        }
        let generation = self.leases.values().map(|lease| lease.generation.0).max().unwrap_or(0);
        format!("g{generation}.{}", short(digest)).into()
    }
}

// === impl Lease ===

impl IssuedLease {
    fn issue(
        workload: &WorkloadName,
        offered: Arc<WorkloadBudgets>,
        generation: Generation,
        now: Moment,
    ) -> Self {
        let mut message = v1::WorkloadBudgets::from(&*offered);
        message.workload = workload.to_string();
        message.generation = generation.0;
        message.issued_at_unix_ms = now.unix_ms;
        let body = message.encode_to_vec();
        let digest = short(Sha256::new_with_prefix(&body));
        // The time of issue makes a renewal a new version, also across a restart of the control plane, where a counter would
        // begin again and a client that reconnects would be taken to hold what is current.
        let version = format!("g{}.{}.{digest}", generation.0, now.unix_ms).into();
        let renew_at = now.at.after(renewal_after(workload, &offered));
        let name = workload.as_str().into();
        Self { name, offered, generation, resource: Resource { version, body: body.into() }, renew_at }
    }
}

/// Whether what was issued need not be issued anew. `own`: each workload has a generation of its own.
fn stays(lease: &IssuedLease, budgets: &Arc<WorkloadBudgets>, own: bool) -> bool {
    let raised = own && budgets.generation > lease.generation;
    !raised && (Arc::ptr_eq(&lease.offered, budgets) || same(&lease.offered, budgets))
}

/// Between a quarter and a third of the validity, by the workload's name.
fn renewal_after(workload: &WorkloadName, budgets: &WorkloadBudgets) -> Micros {
    let validity = budgets.valid_for.to_micros().0;
    let spread = u64::from(Sha256::digest(workload.as_str())[0]);
    Micros(validity / 4 + validity / 12 * spread / 255)
}

/// Equal in what they tell a sidecar to do: generation and time of issue aside.
fn same(a: &WorkloadBudgets, b: &WorkloadBudgets) -> bool {
    let told = |x: &WorkloadBudgets| (x.valid_for, x.on_expiry);
    told(a) == told(b) && a.model_digest == b.model_digest && a.journeys == b.journeys && a.hops == b.hops
}

fn short(digest: Sha256) -> String {
    hex(&digest.finalize()[..6])
}

/// The generation named by a version this module made.
pub fn generation_of(version: &str) -> Option<Generation> {
    version.strip_prefix('g')?.split('.').next()?.parse().ok().map(Generation)
}

#[cfg(test)]
mod tests;
