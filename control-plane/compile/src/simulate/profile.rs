//! What-if profiles: the numbers that a model's topology lacks.
//!
//! ```yaml
//! apiVersion: emac.dev/v1alpha1
//! kind: SimulationProfile
//! metadata: {name: three-replicas}
//! spec:
//!   defaults: {replicas: 1, nodeAvailability: 1, edgeAvailability: 1}
//!   nodes: {pricing: {replicas: 3, availability: 0.99}, front: {protected: true}}
//!   edges: [{from: front, to: mail, availability: 0.85, callType: async}]
//!   domains: [{name: zone-a, members: [cart, pricing], beta: 0.3}]
//!   endpoints:
//!     - {name: home, entry: front, targets: [cart, pricing], predicate: all, weight: 0.6}
//!     - {name: journey, semantics: eventual}      # the model's expression
//!   failStop: {fractions: [0.1, 0.5], counts: [2, 4]}
//! ```
//!
//! Nodes and edges of the profile are added to the model's. Without endpoints the model's expression is asked, both outcomes.

use std::collections::BTreeMap;

use emac_core::journey::ComponentName;

use super::StopAmount;
use super::endpoint::{Endpoint, Goal, Predicate, Semantics};
use super::world::{Edge, InvalidWorld, Node, Stated, World};
use crate::model::{CallType, Model};
use emac_document::shape::{Mapping, Rule};
use emac_document::types::{
    self, Shown, Type, by_name, checked, choice, either, flag, integer, list, mapping, owned, word,
};
use emac_document::{API_VERSION, Document, Fields, Problems, Reader, describe};

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
    /// Points of a fail-stop sweep.
    pub stops: Vec<StopAmount>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct NodeNumbers {
    replicas: Option<u32>,
    availability: Option<f64>,
    protected: bool,
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
        fields.required("apiVersion", |version| version.choice(&[(API_VERSION, ())]));
        fields.required("kind", |kind| kind.choice(&[(KIND, ())]));
        profile(fields)
    });
    profile.filter(|_| problems.errors() == before)
}

/// The table of a profile.
pub fn table() -> &'static Mapping {
    describe(profile)
}

fn profile(fields: &mut Fields<'_>) -> Option<Profile> {
    fields.field("metadata", mapping(metadata), "free text").optional();
    fields.field("spec", mapping(spec), "numbers of the simulation").required()
}

fn metadata(fields: &mut Fields<'_>) -> Option<()> {
    fields.accept_rest();
    fields.field("name", word(), "free text").optional().map(drop)
}

fn spec(fields: &mut Fields<'_>) -> Option<Profile> {
    let defaults = fields.field("defaults", mapping(defaults), "default values").optional();
    let says = "nodes by name; added to those of the model";
    let nodes = fields.field("nodes", by_name(mapping(node)), says).optional();
    let edges = fields.field("edges", list(mapping(edge)), "calls; added to those of the model").optional();
    let domains = fields.field("domains", list(mapping(domain)), "failure domains").optional();
    let says = "endpoints to estimate; default: the model's expression, immediate and eventual";
    let endpoints = fields.field("endpoints", list(mapping(endpoint)), says).optional();
    let says = "fail-stop sweep: containers stopped, drawn without replacement";
    let stops = fields.field("failStop", mapping(fail_stop), says).optional();
    Some(Profile {
        nodes: nodes.unwrap_or_default().into_iter().collect(),
        edges: edges.unwrap_or_default(),
        domains: domains.unwrap_or_default(),
        endpoints: endpoints.unwrap_or_default(),
        stops: stops.unwrap_or_default(),
        ..defaults.unwrap_or_default()
    })
}

fn share<'a>() -> impl Shown<'a, Value = f64> {
    checked(types::share(), |_, share| Some(share.get()))
}

fn replicas<'a>() -> impl Type<'a, Value = u32> {
    integer("count", 1..=10_000)
}

fn defaults(fields: &mut Fields<'_>) -> Option<Profile> {
    let says = "availability of a replica; default: 1";
    Some(Profile {
        replicas: fields.field("replicas", replicas(), "replicas of a node; default: 1").optional(),
        node_availability: fields.field("nodeAvailability", share(), says).optional(),
        edge_availability: fields
            .field("edgeAvailability", share(), "availability of a call; default: 1")
            .optional(),
        ..Profile::default()
    })
}

fn node(fields: &mut Fields<'_>) -> Option<NodeNumbers> {
    let says = "replicas; a node is up while one replica is";
    let replicas = fields.field("replicas", replicas(), says).optional();
    let availability = fields.field("availability", share(), "availability of a replica").optional();
    let says = "a fail-stop sweep stops none of its replicas, as it stops no load generator";
    let protected = fields.field("protected", flag(), says).or(false);
    Some(NodeNumbers { replicas, availability, protected })
}

fn edge(fields: &mut Fields<'_>) -> Option<EdgeNumbers> {
    let from = fields.field("from", owned(), "caller").required();
    let to = fields.field("to", owned(), "callee").required();
    let availability = fields.field("availability", share(), "availability of the call itself").optional();
    let call_type = choice(&[("sync", false), ("async", true)]);
    let says = "`async` calls are not awaited; default: that of the model, else `sync`";
    let asynchronous = fields.field("callType", call_type, says).optional();
    Some(EdgeNumbers { from: from?, to: to?, availability, asynchronous })
}

fn domain(fields: &mut Fields<'_>) -> Option<DomainNumbers> {
    let name = fields.field("name", owned(), "name").required();
    let members = fields.field("members", list(owned()), "member nodes").required();
    let says = "how often a failure domain fails, as a share of the unavailability of its most available member; when it fails, all its members fail";
    let beta = fields.field("beta", share(), says).required();
    Some(DomainNumbers { name: name?, members: members?, beta: beta? })
}

fn endpoint(fields: &mut Fields<'_>) -> Option<EndpointNumbers> {
    let name = fields.field("name", owned(), "name").required();
    let reach = fields.together(&["entry", "targets"], |fields| {
        let says =
            "node where requests enter; needs `targets`; without both the model's expression is evaluated";
        let entry = fields.field("entry", owned(), says).required();
        let targets = fields.field("targets", list(owned()), "nodes that must be reached").required();
        let says = "how many targets must be reached";
        let predicate = fields.field("predicate", predicate(), says).or_as(Predicate::All, "all");
        Some((entry?, targets?, predicate))
    });
    let weight = fields.field("weight", share(), "weight in the weighted sum").or(1.0);
    let says = "immediate: without asynchronous calls; eventual: with them";
    let semantics = fields.field("semantics", choice(&SEMANTICS), says).or(Semantics::Immediate);
    Some(EndpointNumbers { name: name?, weight, semantics, reach })
}

fn predicate<'a>() -> impl Type<'a, Value = Predicate> {
    let word = choice(&[("all", Predicate::All), ("any", Predicate::Any)]);
    either(|it: Reader<'a>| it.node().entries().is_none(), word, mapping(at_least))
}

fn at_least(fields: &mut Fields<'_>) -> Option<Predicate> {
    let least = fields.field("atLeast", integer("count", 1..=100_000), "number of targets").required();
    least.map(Predicate::AtLeast)
}

fn fail_stop(fields: &mut Fields<'_>) -> Option<Vec<StopAmount>> {
    let says = "shares of all containers that are stopped, rounded up, one point of the sweep each";
    let fractions = fields.field("fractions", list(share()), says).optional();
    let says = "exactly so many containers stopped, one point of the sweep each";
    let counts = fields.field("counts", list(integer("count", 0..=CONTAINERS_MAX)), says).optional();
    fields.rule(Rule::Something);
    if !fields.has("fractions") && !fields.has("counts") {
        return fields.reader().refuse("give `fractions` or `counts`");
    }
    let fractions = fractions.unwrap_or_default().into_iter().map(StopAmount::Fraction);
    let counts = counts.unwrap_or_default().into_iter().map(StopAmount::Count);
    Some(fractions.chain(counts).collect())
}

/// Replicas of as many nodes as a world may have.
const CONTAINERS_MAX: u64 = 1_000_000_000;

const SEMANTICS: [(&str, Semantics); 2] =
    [("immediate", Semantics::Immediate), ("eventual", Semantics::Eventual)];

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
        let world = World::new(build.nodes, edges, stated, endpoints)?;
        let containers = world.containers();
        let above = |stop: &StopAmount| match *stop {
            StopAmount::Count(count) if count > containers => Some(InvalidWorld::TooMany(count, containers)),
            _ => None,
        };
        self.stops.iter().find_map(above).map_or(Ok(world), Err)
    }

    fn endpoints_of(&self, model: &Model, build: &mut Build<'_>) -> Vec<Endpoint> {
        let default = SEMANTICS.map(|(name, semantics)| EndpointNumbers {
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
            protected: stated.protected,
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
