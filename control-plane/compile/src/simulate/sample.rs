//! Drawing states, on any number of threads, with the same sums.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::SimulationSettings;
use super::random::Random;
use super::world::{State, World};

/// Trials that share one stream of random numbers.
const CHUNK: u64 = 4_096;

/// Who is up by chance.
pub(super) fn draw(world: &World, random: &mut Random) -> State {
    let failed: Vec<bool> = world.domains.iter().map(|domain| random.chance(domain.failure)).collect();
    let mut state = world.all_up();
    for (place, node) in world.nodes.iter().enumerate() {
        let own = random.chance(world.live(place));
        state.nodes[place] = own && !node.domains.iter().any(|&domain| failed[domain]);
    }
    for (place, edge) in world.edges.iter().enumerate() {
        state.edges[place] = random.chance(edge.availability);
    }
    state
}

/// Who is left when `stopped` containers are drawn without replacement.
pub(super) fn stop(world: &World, stopped: usize, random: &mut Random) -> State {
    let owner = |(place, node): (usize, &super::Node)| std::iter::repeat_n(place, node.stoppable());
    let mut containers: Vec<usize> = world.nodes.iter().enumerate().flat_map(owner).collect();
    let mut left: Vec<u32> = world.nodes.iter().map(|node| node.replicas).collect();
    for drawn in 0..stopped.min(containers.len()) {
        let other = drawn + random.below(containers.len() - drawn);
        containers.swap(drawn, other);
        left[containers[drawn]] -= 1;
    }
    let mut state = world.all_up();
    state.nodes = left.into_iter().map(|left| left > 0).collect();
    state
}

/// Sums of `width` values over all trials. Chunks have streams of their own and are added up in order, so that threads change nothing.
pub(super) fn run(
    settings: SimulationSettings,
    width: usize,
    trial: impl Fn(&mut Random, &mut Vec<f64>) + Sync,
) -> Vec<f64> {
    let chunks = settings.trials.div_ceil(CHUNK);
    let next = AtomicU64::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let chunk = next.fetch_add(1, Ordering::Relaxed);
            if chunk >= chunks {
                return done;
            }
            let trials = CHUNK.min(settings.trials - chunk * CHUNK);
            done.push((chunk, sums(&mut Random::new(settings.seed, chunk), trials, width, &trial)));
        }
    };
    let mut parts: Vec<(u64, Vec<f64>)> = thread::scope(|scope| {
        let workers: Vec<_> = (1..settings.threads.max(1)).map(|_| scope.spawn(work)).collect();
        let mut parts = work();
        workers.into_iter().for_each(|worker| parts.extend(worker.join().unwrap_or_default()));
        parts
    });
    parts.sort_by_key(|(chunk, _)| *chunk);
    let add = |mut total: Vec<f64>, (_, part): (u64, Vec<f64>)| {
        total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
        total
    };
    parts.into_iter().fold(vec![0.0; width], add)
}

fn sums(
    random: &mut Random,
    trials: u64,
    width: usize,
    trial: &impl Fn(&mut Random, &mut Vec<f64>),
) -> Vec<f64> {
    let mut sums = vec![0.0; width];
    let mut values = Vec::with_capacity(width);
    for _ in 0..trials {
        values.clear();
        trial(random, &mut values);
        sums.iter_mut().zip(&values).for_each(|(sum, value)| *sum += value);
    }
    sums
}

/// Threads of this machine.
pub fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}
