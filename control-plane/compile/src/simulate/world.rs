//! A topology with numbers: nodes with replicas, edges, failure domains.

use std::collections::{BTreeMap, VecDeque};

use super::endpoint::{Endpoint, Semantics};

/// Nodes and edges of one world; a larger one is refused.
pub(super) const NODES_MAX: usize = 100_000;

/// A service.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Containers; it lives while one does. At least 1.
    pub replicas: u32,
    /// Availability of one container.
    pub availability: f64,
    /// Indices of its failure domains.
    pub domains: Vec<usize>,
    /// A fail-stop sweep stops none of its containers.
    pub protected: bool,
}

impl Node {
    /// Containers that a fail-stop sweep may stop.
    pub(super) fn stoppable(&self) -> usize {
        if self.protected { 0 } else { self.replicas as usize }
    }
}

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// Index of the caller.
    pub from: usize,
    /// Index of the callee.
    pub to: usize,
    /// How often the call gets through.
    pub availability: f64,
    /// Nobody waits for its answer.
    pub asynchronous: bool,
}

/// Nodes that can fail together.
#[derive(Clone, Debug, PartialEq)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// How often it fails as a whole.
    pub failure: f64,
}

/// Everything.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// Services.
    pub nodes: Vec<Node>,
    /// Calls.
    pub edges: Vec<Edge>,
    /// Failure domains.
    pub domains: Vec<Domain>,
    /// What is asked.
    pub endpoints: Vec<Endpoint>,
    outgoing: Vec<Vec<usize>>,
    incoming: Vec<Vec<usize>>,
    well: BTreeMap<usize, Vec<bool>>,
    live: Vec<f64>,
}

/// Why there is no such world.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidWorld {
    /// Too large.
    #[error("more than {NODES_MAX} nodes or edges")]
    TooLarge,
    /// A domain's share leaves its member no failures of its own, and more.
    #[error("the failure domains of {0} cause more failures than it has: lower their beta")]
    Excess(String),
    /// No call leads to a target, not even when all is well.
    #[error("endpoint {endpoint}: no calls lead from {entry} to {target}, so it is never reached")]
    Unreachable {
        /// Name of the endpoint.
        endpoint: String,
        /// Name of the node where its requests enter.
        entry: String,
        /// Name of the target.
        target: String,
    },
    /// A predicate asks for more targets than there are.
    #[error("endpoint {0} asks for {1} of {2} targets")]
    TooFewTargets(String, usize, usize),
    /// More containers are to be stopped than may be.
    #[error("failStop.counts: {0} of {1} containers that may be stopped")]
    TooMany(usize, usize),
    /// Nothing is asked.
    #[error("no endpoint: give endpoints in the profile, or a model with an expression")]
    NoEndpoint,
}

/// Who is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) nodes: Vec<bool>,
    pub(super) edges: Vec<bool>,
}

/// A domain as stated: members and the share of their failures that it causes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stated {
    pub(super) name: String,
    pub(super) members: Vec<usize>,
    pub(super) beta: f64,
}

impl World {
    /// Builds a world. A domain of `beta` fails with `beta · min u` over its members' unavailabilities (the beta-factor model).
    pub(super) fn new(
        mut nodes: Vec<Node>,
        edges: Vec<Edge>,
        stated: Vec<Stated>,
        endpoints: Vec<Endpoint>,
    ) -> Result<Self, InvalidWorld> {
        if nodes.len() > NODES_MAX || edges.len() > NODES_MAX {
            return Err(InvalidWorld::TooLarge);
        }
        if endpoints.is_empty() {
            return Err(InvalidWorld::NoEndpoint);
        }
        let mut domains = Vec::new();
        for domain in stated {
            let least =
                domain.members.iter().map(|&member| 1.0 - nodes[member].availability).fold(1.0, f64::min);
            domain.members.iter().for_each(|&member| nodes[member].domains.push(domains.len()));
            domains.push(Domain { name: domain.name, failure: domain.beta * least });
        }
        let live = nodes.iter().map(|node| live(node, &domains)).collect::<Result<_, _>>()?;
        let (mut outgoing, mut incoming) = (vec![Vec::new(); nodes.len()], vec![Vec::new(); nodes.len()]);
        for (place, edge) in edges.iter().enumerate() {
            outgoing[edge.from].push(place);
            incoming[edge.to].push(place);
        }
        let mut world =
            Self { nodes, edges, domains, endpoints, outgoing, incoming, well: BTreeMap::new(), live };
        world.well = world
            .entries()
            .into_iter()
            .map(|entry| (entry, world.reached(entry, &world.all_up(), Semantics::Immediate)))
            .collect();
        world.endpoints.iter().try_for_each(|endpoint| world.check(endpoint))?;
        Ok(world)
    }

    /// What can never be reached is a mistake of the model or of the profile, and waived by no outcome.
    fn check(&self, endpoint: &Endpoint) -> Result<(), InvalidWorld> {
        let super::Goal::Reach { entry, targets, predicate } = &endpoint.goal else { return Ok(()) };
        let well = self.reached(*entry, &self.all_up(), Semantics::Eventual);
        if let Some(&target) = targets.iter().find(|&&target| !well[target]) {
            let name = |node: usize| self.nodes[node].name.clone();
            let endpoint = endpoint.name.clone();
            return Err(InvalidWorld::Unreachable { endpoint, entry: name(*entry), target: name(target) });
        }
        match *predicate {
            super::Predicate::AtLeast(least) if least > targets.len() => {
                Err(InvalidWorld::TooFewTargets(endpoint.name.clone(), least, targets.len()))
            }
            _ => Ok(()),
        }
    }

    fn entries(&self) -> Vec<usize> {
        let entry = |endpoint: &Endpoint| match &endpoint.goal {
            super::Goal::Reach { entry, .. } => Some(*entry),
            super::Goal::Expression { .. } => None,
        };
        self.endpoints.iter().filter_map(entry).collect()
    }

    pub(super) fn all_up(&self) -> State {
        State { nodes: vec![true; self.nodes.len()], edges: vec![true; self.edges.len()] }
    }

    /// Containers that a fail-stop sweep may stop: those of all nodes that are not protected.
    pub fn containers(&self) -> usize {
        self.nodes.iter().map(Node::stoppable).sum()
    }

    /// Probability that a node lives while its domains are up.
    pub(super) fn live(&self, node: usize) -> f64 {
        self.live[node]
    }

    /// Who is reached from `entry` through living nodes and edges. O(nodes + edges).
    pub(super) fn reached(&self, entry: usize, state: &State, semantics: Semantics) -> Vec<bool> {
        let mut reached = vec![false; self.nodes.len()];
        if !state.nodes[entry] {
            return reached;
        }
        reached[entry] = true;
        let mut open = VecDeque::from([entry]);
        while let Some(node) = open.pop_front() {
            for &place in &self.outgoing[node] {
                let edge = &self.edges[place];
                let followed = state.edges[place] && (semantics == Semantics::Eventual || !edge.asynchronous);
                if followed && state.nodes[edge.to] && !reached[edge.to] {
                    reached[edge.to] = true;
                    open.push_back(edge.to);
                }
            }
        }
        reached
    }

    /// Who is reached without asynchronous edges when everything is up.
    pub(super) fn reached_when_well(&self, entry: usize) -> &[bool] {
        self.well.get(&entry).map_or(&[], Vec::as_slice)
    }

    /// Whether a node lives and, if anything calls it, is called.
    pub(super) fn answers(&self, node: usize, state: &State) -> bool {
        let calls = &self.incoming[node];
        let called = |&place: &usize| state.edges[place] && state.nodes[self.edges[place].from];
        state.nodes[node] && (calls.is_empty() || calls.iter().any(called))
    }
}

/// `1 - (1 - own)^replicas`, with `own` what a container's availability is while its domains are up.
fn live(node: &Node, domains: &[Domain]) -> Result<f64, InvalidWorld> {
    let up: f64 = node.domains.iter().map(|&domain| 1.0 - domains[domain].failure).product();
    let own = if up > 0.0 { node.availability / up } else { 0.0 };
    // Rounding may leave 1 by a few units in the last place.
    if own > 1.0 + 1e-9 || (up <= 0.0 && node.availability > 0.0) {
        return Err(InvalidWorld::Excess(node.name.clone()));
    }
    Ok(1.0 - (1.0 - own.min(1.0)).powi(node.replicas.min(1_000_000) as i32))
}
