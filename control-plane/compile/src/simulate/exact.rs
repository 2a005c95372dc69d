//! Enumeration, where few enough things can fail.

use super::world::{State, World};

/// Things that can be up or down: 2^20 states.
const UNCERTAIN_MAX: usize = 20;

/// Something that is up with a probability strictly between 0 and 1.
#[derive(Clone, Copy)]
enum Uncertain {
    Domain(usize),
    Node(usize),
    Edge(usize),
}

/// Expected value of every endpoint; `None` when too many things can fail.
pub(super) fn availability(world: &World) -> Option<Vec<f64>> {
    let between = |probability: f64| probability > 0.0 && probability < 1.0;
    let domains =
        (0..world.domains.len()).filter(|&place| world.domains[place].failure > 0.0).map(Uncertain::Domain);
    let nodes = (0..world.nodes.len()).filter(|&place| between(world.live(place))).map(Uncertain::Node);
    let edges =
        (0..world.edges.len()).filter(|&place| between(world.edges[place].availability)).map(Uncertain::Edge);
    let uncertain: Vec<_> = domains.chain(nodes).chain(edges).collect();
    if uncertain.len() > UNCERTAIN_MAX {
        return None;
    }
    let mut sums = vec![0.0; world.endpoints.len()];
    for states in 0_u32..1 << uncertain.len() {
        let (probability, state) = state(world, &uncertain, states);
        if probability > 0.0 {
            add(world, &state, probability, &mut sums);
        }
    }
    Some(sums)
}

fn add(world: &World, state: &State, probability: f64, sums: &mut [f64]) {
    for (sum, endpoint) in sums.iter_mut().zip(&world.endpoints) {
        *sum += probability * endpoint.value(world, state);
    }
}

/// The state in which the uncertain things of set bits are up, with its probability.
fn state(world: &World, uncertain: &[Uncertain], states: u32) -> (f64, State) {
    let mut state = world.all_up();
    for (place, node) in state.nodes.iter_mut().enumerate() {
        *node = world.live(place) > 0.0;
    }
    for (edge, up) in world.edges.iter().zip(&mut state.edges) {
        *up = edge.availability > 0.0;
    }
    let mut failed = vec![false; world.domains.len()];
    let mut probability = 1.0;
    for (bit, thing) in uncertain.iter().enumerate() {
        let up = states >> bit & 1 == 1;
        let chance = match *thing {
            Uncertain::Domain(place) => {
                failed[place] = !up;
                1.0 - world.domains[place].failure
            }
            Uncertain::Node(place) => {
                state.nodes[place] = up;
                world.live(place)
            }
            Uncertain::Edge(place) => {
                state.edges[place] = up;
                world.edges[place].availability
            }
        };
        probability *= if up { chance } else { 1.0 - chance };
    }
    for (node, up) in world.nodes.iter().zip(&mut state.nodes) {
        *up = *up && !node.domains.iter().any(|&domain| failed[domain]);
    }
    (probability, state)
}

/// Expected value of every endpoint when `stopped` containers are drawn without replacement: the sum over all sets of dead services, each
/// weighted by the share of the ways to draw that draw exactly that set.
pub(super) fn fail_stop(world: &World, stopped: usize) -> Option<Vec<f64>> {
    let stoppable = |&place: &usize| !world.nodes[place].protected;
    let stoppable: Vec<usize> = (0..world.nodes.len()).filter(stoppable).collect();
    if stoppable.len() > UNCERTAIN_MAX {
        return None;
    }
    let draws = Draws::new(world, stopped);
    let all = draws.of(world.containers(), stopped);
    let mut sums = vec![0.0; world.endpoints.len()];
    for dead in 0_u32..1 << stoppable.len() {
        let mut state = world.all_up();
        stoppable.iter().enumerate().for_each(|(bit, &place)| state.nodes[place] = dead >> bit & 1 == 0);
        let here = draws.exactly(world, &state, stopped);
        if here > 0.0 {
            add(world, &state, here / all, &mut sums);
        }
    }
    Some(sums)
}

/// Ways to draw containers, each container counted with a probability: as often as it is stopped. That leaves shares of ways as they are,
/// and keeps numbers of ways, which may have thousands of digits, near 1.
struct Draws {
    /// Logarithms of the probability and of the rest.
    ln: (f64, f64),
    ln_factorial: Vec<f64>,
}

impl Draws {
    fn new(world: &World, stopped: usize) -> Self {
        let all = world.containers();
        let share = (stopped as f64 + 0.5) / (all as f64 + 1.0);
        let sum = |sum: &mut f64, number: usize| {
            *sum += (number.max(1) as f64).ln();
            Some(*sum)
        };
        Self { ln: (share.ln(), (1.0 - share).ln()), ln_factorial: (0..=all).scan(0.0, sum).collect() }
    }

    /// To draw `k` of `n`.
    fn of(&self, n: usize, k: usize) -> f64 {
        let ways = self.ln_factorial[n] - self.ln_factorial[k] - self.ln_factorial[n - k];
        (ways + k as f64 * self.ln.0 + (n - k) as f64 * self.ln.1).exp()
    }

    /// To draw `stopped` such that exactly the services that are down lose all of theirs.
    fn exactly(&self, world: &World, state: &State, stopped: usize) -> f64 {
        let mut ways = vec![0.0; stopped + 1];
        ways[0] = 1.0;
        for (node, &up) in world.nodes.iter().zip(&state.nodes).filter(|(node, _)| !node.protected) {
            let replicas = node.stoppable();
            let drawn = if up { 0..replicas } else { replicas..replicas + 1 };
            let mut next = vec![0.0; stopped + 1];
            for count in drawn.filter(|&count| count <= stopped) {
                let choose = self.of(replicas, count);
                for (before, &value) in ways.iter().enumerate().take(stopped + 1 - count) {
                    next[before + count] += value * choose;
                }
            }
            ways = next;
        }
        ways[stopped]
    }
}
