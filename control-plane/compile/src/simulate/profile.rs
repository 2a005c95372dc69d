//! What-if profiles: the numbers that a model's topology lacks.
//!
//! ```yaml
//! apiVersion: emac.dev/v1alpha1
//! kind: SimulationProfile
//! metadata: {name: three-replicas}
//! spec:
//!   defaults: {replicas: 1, nodeAvailability: 1, edgeAvailability: 1}
//!   nodes: {pricing: {replicas: 3, availability: 0.99}}
//!   edges: [{from: front, to: mail, availability: 0.85, callType: async}]
//!   domains: [{name: zone-a, members: [cart, pricing], beta: 0.3}]
//!   endpoints:
//!     - {name: home, entry: front, targets: [cart, pricing], predicate: all, weight: 0.6}
//!     - {name: journey, semantics: eventual}      # the model's expression
//!   failStop: {fractions: [0.1, 0.5]}
//! ```
//!
//! Nodes and edges of the profile are added to the model's. Without endpoints the model's expression is asked, both outcomes.

use std::collections::BTreeMap;

use emac_core::journey::ComponentName;

use super::endpoint::{Endpoint, Goal, Predicate, Semantics};
use super::world::{Edge, InvalidWorld, Node, Stated, World};
use crate::model::{CallType, Model};
use emac_document::API_VERSION;
use emac_document::{Document, Fields, Problems, Reader, Value};

/// Kind of the document.
pub const KIND: &str = "SimulationProfile";

/// A profile as read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    replicas: Option<u32>,
    node_availability: Option<f64>,
    edge_availability: Option<f64>,
    nodes: BTreeMap<String, NodeNumbers>,
    edges: Vec<EdgeNumbers>,
    domains: Vec<DomainNumbers>,
    endpoints: Vec<EndpointNumbers>,
    /// Shares of containers to stop.
    pub fractions: Vec<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct NodeNumbers {
    replicas: Option<u32>,
    availability: Option<f64>,
}

#[derive(Clone, Debug, PartialEq)]
struct EdgeNumbers {
    from: String,
    to: String,
    availability: Option<f64>,
    asynchronous: Option<bool>,
}

#[derive(Clone, Debug, PartialEq)]
struct DomainNumbers {
    name: String,
    members: Vec<String>,
    beta: f64,
}

#[derive(Clone, Debug, PartialEq)]
struct EndpointNumbers {
    name: String,
    weight: f64,
    semantics: Semantics,
    /// `None`: the model's expression.
    reach: Option<(String, Vec<String>, Predicate)>,
}

/// Reads a profile; references are checked against the model by [`Profile::world`].
pub fn read(document: &Document, problems: &Problems) -> Option<Profile> {
    let before = problems.errors();
    let profile = document.reader(problems).fields(|fields| {
        let _ = fields.required("apiVersion", |version| version.choice(&[(API_VERSION, ())]));
        let _ = fields.required("kind", |kind| kind.choice(&[(KIND, ())]));
        let _ = fields.optional("metadata", |metadata| {
            metadata.fields(|fields| {
                fields.accept_rest();
                fields.optional("name", Reader::word)
            })
        });
        fields.required("spec", |spec| spec.fields(spec_))
    });
    profile.filter(|_| problems.errors() == before)
}

fn spec_(fields: &mut Fields<'_>) -> Option<Profile> {
    let defaults = fields.optional("defaults", |defaults| defaults.fields(defaults_)).unwrap_or_default();
    let nodes = fields
        .optional("nodes", |nodes| nodes.map(|entry, node| Some((entry.key.clone(), node.fields(node_)?))));
    let edges = fields.optional("edges", |edges| edges.list(|edge| edge.fields(edge_)));
    let domains = fields.optional("domains", |domains| domains.list(|domain| domain.fields(domain_)));
    let endpoints =
        fields.optional("endpoints", |endpoints| endpoints.list(|endpoint| endpoint.fields(endpoint_)));
    let fractions = fields.optional("failStop", |stop| {
        stop.fields(|fields| fields.required("fractions", |all| all.list(share)))
    });
    let (replicas, node_availability, edge_availability) = defaults;
    Some(Profile {
        replicas,
        node_availability,
        edge_availability,
        nodes: nodes.unwrap_or_default().into_iter().collect(),
        edges: edges.unwrap_or_default(),
        domains: domains.unwrap_or_default(),
        endpoints: endpoints.unwrap_or_default(),
        fractions: fractions.unwrap_or_default(),
    })
}

fn share(reader: Reader<'_>) -> Option<f64> {
    reader.ratio().map(|ratio| ratio.get())
}

fn replicas(reader: Reader<'_>) -> Option<u32> {
    reader.integer(1..=10_000).and_then(|count| u32::try_from(count).ok())
}

fn name(reader: Reader<'_>) -> Option<String> {
    reader.word().map(str::to_owned)
}

fn defaults_(fields: &mut Fields<'_>) -> Option<(Option<u32>, Option<f64>, Option<f64>)> {
    let replicas = fields.optional("replicas", replicas);
    let nodes = fields.optional("nodeAvailability", share);
    let edges = fields.optional("edgeAvailability", share);
    Some((replicas, nodes, edges))
}

fn node_(fields: &mut Fields<'_>) -> Option<NodeNumbers> {
    let replicas = fields.optional("replicas", replicas);
    let availability = fields.optional("availability", share);
    Some(NodeNumbers { replicas, availability })
}

fn edge_(fields: &mut Fields<'_>) -> Option<EdgeNumbers> {
    let from = fields.required("from", name);
    let to = fields.required("to", name);
    let availability = fields.optional("availability", share);
    let asynchronous = fields.optional("callType", |kind| kind.choice(&[("sync", false), ("async", true)]));
    Some(EdgeNumbers { from: from?, to: to?, availability, asynchronous })
}

fn domain_(fields: &mut Fields<'_>) -> Option<DomainNumbers> {
    let name_ = fields.required("name", name);
    let members = fields.required("members", |members| members.list(name));
    let beta = fields.required("beta", share);
    Some(DomainNumbers { name: name_?, members: members?, beta: beta? })
}

fn endpoint_(fields: &mut Fields<'_>) -> Option<EndpointNumbers> {
    const SEMANTICS: [(&str, Semantics); 2] =
        [("immediate", Semantics::Immediate), ("eventual", Semantics::Eventual)];
    let name_ = fields.required("name", name);
    let weight = fields.optional("weight", share);
    let semantics =
        fields.optional("semantics", |semantics| semantics.choice(&SEMANTICS)).unwrap_or_default();
    let reach = if fields.has("entry") || fields.has("targets") {
        let entry = fields.required("entry", name);
        let targets = fields.required("targets", |targets| targets.list(name));
        let predicate = fields.optional("predicate", predicate);
        Some((entry?, targets?, predicate.unwrap_or(Predicate::All)))
    } else {
        None
    };
    Some(EndpointNumbers { name: name_?, weight: weight.unwrap_or(1.0), semantics, reach })
}

fn predicate(reader: Reader<'_>) -> Option<Predicate> {
    match &reader.node().value {
        Value::Mapping(_) => reader.fields(|fields| {
            let least = fields.required("atLeast", |least| least.integer(1..=100_000))?;
            Some(Predicate::AtLeast(least as usize))
        }),
        _ => reader.choice(&[("all", Predicate::All), ("any", Predicate::Any)]),
    }
}

impl Profile {
    /// The model's topology with the profile's numbers.
    ///
    /// # Errors
    /// [`InvalidWorld`].
    pub fn world(&self, model: &Model) -> Result<World, InvalidWorld> {
        let mut build = Build { profile: self, nodes: Vec::new(), places: BTreeMap::new() };
        let mut edges = Vec::new();
        for edge in &model.edges {
            let asynchronous = edge.call_type == Some(CallType::Async);
            edges.push(build.edge(&edge.from, &edge.to, None, asynchronous));
        }
        for stated in &self.edges {
            let edge = build.edge(
                &stated.from,
                &stated.to,
                stated.availability,
                stated.asynchronous.unwrap_or_default(),
            );
            match edges.iter_mut().find(|known: &&mut Edge| (known.from, known.to) == (edge.from, edge.to)) {
                Some(known) => {
                    known.availability = edge.availability;
                    known.asynchronous = stated.asynchronous.unwrap_or(known.asynchronous);
                }
                None => edges.push(edge),
            }
        }
        for name in self.nodes.keys() {
            build.node(name);
        }
        let stated = self.domains.iter().map(|domain| Stated {
            name: domain.name.clone(),
            members: domain.members.iter().map(|member| build.node(member)).collect(),
            beta: domain.beta,
        });
        let stated = stated.collect();
        let endpoints = self.endpoints_of(model, &mut build);
        World::new(build.nodes, edges, stated, endpoints)
    }

    fn endpoints_of(&self, model: &Model, build: &mut Build<'_>) -> Vec<Endpoint> {
        let both = [("immediate", Semantics::Immediate), ("eventual", Semantics::Eventual)];
        let default = both.map(|(name, semantics)| EndpointNumbers {
            name: name.to_owned(),
            weight: 1.0,
            semantics,
            reach: None,
        });
        let stated = if self.endpoints.is_empty() { &default[..] } else { &self.endpoints[..] };
        let endpoint = |stated: &EndpointNumbers| {
            let goal = match &stated.reach {
                Some((entry, targets, predicate)) => Goal::Reach {
                    entry: build.node(entry),
                    targets: targets.iter().map(|target| build.node(target)).collect(),
                    predicate: *predicate,
                },
                None => {
                    let journey = model.structure.clone()?;
                    let node = |name: &ComponentName| (name.clone(), build.node(name.as_str()));
                    let nodes = journey.leaves().into_iter().map(node).collect();
                    Goal::Expression { journey, nodes }
                }
            };
            Some(Endpoint {
                name: stated.name.clone(),
                weight: stated.weight,
                semantics: stated.semantics,
                goal,
            })
        };
        stated.iter().filter_map(endpoint).collect()
    }
}

/// Nodes so far.
struct Build<'a> {
    profile: &'a Profile,
    nodes: Vec<Node>,
    places: BTreeMap<String, usize>,
}

impl Build<'_> {
    fn node(&mut self, name: &str) -> usize {
        if let Some(&place) = self.places.get(name) {
            return place;
        }
        let stated = self.profile.nodes.get(name).copied().unwrap_or_default();
        self.nodes.push(Node {
            name: name.to_owned(),
            replicas: stated.replicas.or(self.profile.replicas).unwrap_or(1),
            availability: stated.availability.or(self.profile.node_availability).unwrap_or(1.0),
            domains: Vec::new(),
        });
        self.places.insert(name.to_owned(), self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    fn edge(&mut self, from: &str, to: &str, availability: Option<f64>, asynchronous: bool) -> Edge {
        let (from, to) = (self.node(from), self.node(to));
        let availability = availability.or(self.profile.edge_availability).unwrap_or(1.0);
        Edge { from, to, availability, asynchronous }
    }
}
