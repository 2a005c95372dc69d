//! How far one control plane goes, on paper: its structure, event by event, with what each piece of work was measured to cost.
//!
//! What is simulated is what the code does: sidecars with one report in flight, which is offered again without an answer and whose stream comes back
//! with the filter's waits; cores that threads share by turns; the bounded queue; the committer, who waits for company and for the disk; the
//! planner's steps, with the time that each class of journeys has; publishing; renewals. No clock is read, and a seed gives the same figures
//! everywhere.
//!
//! What is not: the network, connecting, memory's bandwidth, locks that two threads want at once, journeys whose evidence moves by more than its noise,
//! and reports that grow while they wait: their hops stay the same ten.

pub mod costs;
mod mesh;
mod planning;
pub mod queue;
mod report;
mod sidecar;
#[cfg(test)]
mod tests;

pub use mesh::{Mesh, Setting};
pub use report::section;

use costs::Costs;
use queue::Nanos;

const SECOND: Nanos = 1_000_000_000;
/// Before the steady state, which is watched for as long: everybody has reported twice.
const WATCHED: Nanos = 10 * SECOND;
/// A change that takes longer is not waited for.
const PATIENCE: Nanos = 60 * SECOND;
/// The first plan is waited for longer.
const FIRST_PATIENCE: Nanos = 600 * SECOND;

/// What a setting comes to. Times in seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predicted {
    /// As asked for.
    pub sidecars: usize,
    /// As asked for.
    pub cores: usize,
    /// Reports that became durable, a second.
    pub reports_per_s: f64,
    /// From sealing to acknowledgement, median and 99th percentile; `None` where none came.
    pub durable: Option<[f64; 2]>,
    /// Of the reports that came to the queue, those that found it full.
    pub refused: f64,
    /// Of those that were counted, or had been, those that had been.
    pub again: f64,
    /// From the start of the process to the first budgets; `None`: not within ten minutes.
    pub first_plan: Option<f64>,
    /// Changes of one journey until its last sidecar is told, median and longest; `None` where one was not in time.
    pub single: Option<[f64; 2]>,
    /// Changes of all journeys, the longest.
    pub whole: Option<f64>,
    /// Cores used by what serves reports and streams, by the committer, by planning, by renewals, and by clients where they share the cores.
    pub used: Vec<f64>,
    /// Share of the time in which the committer was at work or waited for the disk.
    pub committer: f64,
    /// Longest look at all journeys.
    pub look: f64,
    /// Resident, by the measured bytes of each sidecar.
    pub bytes: f64,
}

/// How often journeys are changed.
#[derive(Clone, Copy, Debug)]
pub struct Changes {
    /// Of one journey.
    pub single: usize,
    /// Of all journeys.
    pub whole: usize,
}

/// Simulates a start, a steady state, and changes. Cost: some millions of events a second of one core.
pub fn predict(setting: &Setting, costs: &Costs, changes: Changes) -> Predicted {
    let mut mesh = Mesh::new(setting.clone(), costs);
    mesh.run(FIRST_PATIENCE, |mesh| mesh.told.0 > 0);
    let first_plan = (mesh.told.0 > 0).then(|| seconds(mesh.told.1));
    mesh.connect();
    let begun = mesh.events.now();
    mesh.run(begun + WATCHED, |_| false);
    mesh.counted = mesh::Counted::default();
    let before = mesh.cores.busy().to_vec();
    mesh.run(begun + 2 * WATCHED, |_| false);
    let counted = std::mem::take(&mut mesh.counted);
    let busy = mesh.cores.busy().iter().zip(before).map(|(now, before)| now - before);
    let used = busy.map(|busy| busy as f64 / WATCHED as f64).collect();
    let journeys = setting.sidecars.div_ceil(mesh::WORKLOADS);
    let single = repeated(&mut mesh, changes.single, 1);
    let whole = single.as_ref().and_then(|_| repeated(&mut mesh, changes.whole, journeys));
    Predicted {
        sidecars: setting.sidecars,
        cores: setting.cores,
        reports_per_s: counted.durable.len() as f64 / seconds(WATCHED),
        durable: quantile(&counted.durable, 0.5)
            .zip(quantile(&counted.durable, 0.99))
            .map(|(p50, p99)| [p50, p99]),
        refused: share(counted.refused, counted.came),
        again: share(counted.again, counted.again + counted.durable.len() as u64),
        first_plan,
        single: single
            .map(|times| [quantile(&times, 0.5), quantile(&times, 0.99)].map(Option::unwrap_or_default)),
        whole: whole.and_then(|times| quantile(&times, 0.99)),
        used,
        committer: counted.committing as f64 / WATCHED as f64,
        look: seconds(mesh.planning.longest_look),
        bytes: costs.bytes + costs.bytes_sidecar * setting.sidecars as f64,
    }
}

/// How long some changes took, one after the other; `None` once one is not in time, as no later one will be.
fn repeated(mesh: &mut Mesh, times: usize, journeys: usize) -> Option<Vec<Nanos>> {
    let told = (journeys * mesh::WORKLOADS).min(mesh.setting.sidecars) as u64;
    let mut took = Vec::new();
    for _ in 0..times {
        let (begun, wanted) = (mesh.events.now(), mesh.told.0 + told);
        mesh.change(journeys);
        mesh.run(begun + PATIENCE, |mesh| mesh.told.0 >= wanted);
        if mesh.told.0 < wanted {
            return None;
        }
        took.push(mesh.told.1 - begun);
        // Not in step with the planner's period.
        let pause = mesh.events.now() + SECOND + 77_000_000 * took.len() as Nanos;
        mesh.run(pause, |_| false);
    }
    Some(took)
}

/// Seconds; `None` of nothing.
fn quantile(times: &[Nanos], q: f64) -> Option<f64> {
    let mut times = times.to_vec();
    times.sort_unstable();
    let place = ((times.len() as f64 * q).ceil() as usize).saturating_sub(1);
    times.get(place).map(|time| seconds(*time))
}

fn seconds(time: Nanos) -> f64 {
    time as f64 / SECOND as f64
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
