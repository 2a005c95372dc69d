//! Delays and timeouts that fit: a hedge that starts in every fifth request, a timeout that one in fifty meets. They depend on how long the
//! body takes, so they are set after it has run a few dozen times.

use emac_core::units::Millis;

use super::draw::Draw;
use super::execute::Engine;
use super::faults::Outages;
use super::service::Service;
use super::step::{Call, Step};

/// Stands for a delay or timeout that is to be set.
pub const UNTUNED: Millis = Millis(u64::MAX);
/// Runs of a body; a more would only cost.
const RUNS: u64 = 129;

/// Sets what is not set yet, innermost first.
pub(super) fn tune(call: &mut Call, services: &[Service], seed: u64) {
    if let Some(body) = &mut call.body {
        tune_step(body, services, seed);
    }
}

fn tune_step(step: &mut Step, services: &[Service], seed: u64) {
    if let Step::Call(call) = step {
        tune(call, services, seed);
    }
    step.children_mut().into_iter().for_each(|child| tune_step(child, services, seed));
    match step {
        Step::Race { delay, branches, .. } if *delay == UNTUNED => {
            *delay = quantile(&branches[0], services, seed, 0.8);
        }
        Step::Timeout { after, body, .. } if *after == UNTUNED => {
            *after = quantile(body, services, seed, 0.97);
        }
        _ => {}
    }
}

/// Quantile of how long a step takes, rounded up to a millisecond.
fn quantile(step: &Step, services: &[Service], seed: u64, q: f64) -> Millis {
    let outages = Outages::default();
    let run = |n| Engine::new(services, &outages, Draw::new(seed, "tune", n), 0).duration_of(step);
    let mut all: Vec<i64> = (0..RUNS).map(run).collect();
    all.sort_unstable();
    let at = (q * (RUNS - 1) as f64).round() as usize;
    Millis((all[at].max(0) as u64).div_ceil(1_000_000).max(1))
}
