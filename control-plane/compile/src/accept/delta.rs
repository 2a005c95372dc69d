//! One change, typed, with what speaks for it.

use std::collections::BTreeSet;
use std::fmt;

use emac_core::journey::ComponentName;

use super::Impact;
use crate::model::{CallType, DomainFinding, Edge, Finding, Redundancy, RuntimeParameters};
use emac_document::sha256_hex;

/// Names a delta: the first 40 bits of the SHA-256 of what it changes, so that it is the same wherever it is computed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeltaId(String);

impl DeltaId {
    /// Hexadecimal digits. 40 bits: among 1 000 deltas two collide with probability 5e-7.
    pub const DIGITS: usize = 10;

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeltaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the members of a redundant group can fail together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainRelation {
    /// They share no failure domain.
    Separate,
    /// Two of them share one.
    Shared,
    /// Of one of them nothing is known, or evidence disagrees.
    Unknown,
}

impl DomainRelation {
    /// Stable label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Separate => "separate failure domains",
            Self::Shared => "a shared failure domain",
            Self::Unknown => "unknown failure domains",
        }
    }
}

/// What changes. Expressions are canonical text; `of` is the candidate's operator in which it happens, whose finding speaks for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A service or other callee that was not known.
    NodeAdded(String),
    /// One that is no longer seen.
    NodeRemoved(String),
    /// A call that was not known.
    EdgeAdded(Edge),
    /// A call that is no longer made.
    EdgeRemoved(Edge),
    /// How often, in which way or with how many tries a call is made.
    EdgeChanged {
        /// As accepted.
        before: Edge,
        /// As seen.
        after: Edge,
    },
    /// A part of the journey that was not there.
    ComponentAdded {
        /// The part.
        part: String,
        /// Where it stands.
        of: String,
    },
    /// A part of the journey that is no longer there.
    ComponentRemoved {
        /// The part.
        part: String,
        /// Where it stood, as accepted.
        from: String,
        /// What is left there.
        of: String,
    },
    /// The same parts combine in another way.
    OperatorKind {
        /// As accepted.
        before: String,
        /// As seen.
        after: String,
        /// The candidate's operator.
        of: String,
    },
    /// The same way with other parameters: attempts, delays, timeouts, weights, how many must answer.
    OperatorParameter {
        /// As accepted.
        before: String,
        /// As seen.
        after: String,
        /// The candidate's operator.
        of: String,
    },
    /// How often each choice is taken.
    BranchProbability {
        /// As accepted.
        before: String,
        /// As seen.
        after: String,
        /// The candidate's operator.
        of: String,
    },
    /// The same steps in another order.
    Order {
        /// As accepted.
        before: String,
        /// As seen.
        after: String,
        /// The candidate's operator.
        of: String,
    },
    /// A redundancy group.
    Redundancy {
        /// As accepted.
        before: Option<Redundancy>,
        /// As seen.
        after: Option<Redundancy>,
    },
    /// What a component fails together with.
    FailureDomain {
        /// Which.
        component: ComponentName,
        /// As accepted.
        before: Option<DomainFinding>,
        /// As seen.
        after: Option<DomainFinding>,
    },
    /// Timeouts, retries and breakers of a call.
    Runtime {
        /// Who calls.
        from: String,
        /// Who is called.
        to: String,
        /// As accepted.
        before: Option<RuntimeParameters>,
        /// As seen.
        after: Option<RuntimeParameters>,
    },
    /// What follows for a redundant group from its members' failure domains: not taken by itself, but with them.
    SharedFate {
        /// The group.
        group: BTreeSet<ComponentName>,
        /// As accepted.
        before: DomainRelation,
        /// As seen.
        after: DomainRelation,
    },
}

/// Types of change: a [`Change`] without its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// [`Change::NodeAdded`].
    NodeAdded,
    /// [`Change::NodeRemoved`].
    NodeRemoved,
    /// [`Change::EdgeAdded`].
    EdgeAdded,
    /// [`Change::EdgeRemoved`].
    EdgeRemoved,
    /// [`Change::EdgeChanged`].
    EdgeChanged,
    /// [`Change::ComponentAdded`].
    ComponentAdded,
    /// [`Change::ComponentRemoved`].
    ComponentRemoved,
    /// [`Change::OperatorKind`].
    OperatorKind,
    /// [`Change::OperatorParameter`].
    OperatorParameter,
    /// [`Change::BranchProbability`].
    BranchProbability,
    /// [`Change::Order`].
    Order,
    /// [`Change::Redundancy`].
    Redundancy,
    /// [`Change::FailureDomain`].
    FailureDomain,
    /// [`Change::Runtime`].
    Runtime,
    /// [`Change::SharedFate`].
    SharedFate,
}

impl ChangeKind {
    /// Stable label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NodeAdded => "node_added",
            Self::NodeRemoved => "node_removed",
            Self::EdgeAdded => "edge_added",
            Self::EdgeRemoved => "edge_removed",
            Self::EdgeChanged => "edge_changed",
            Self::ComponentAdded => "component_added",
            Self::ComponentRemoved => "component_removed",
            Self::OperatorKind => "operator_kind",
            Self::OperatorParameter => "operator_parameter",
            Self::BranchProbability => "branch_probability",
            Self::Order => "order",
            Self::Redundancy => "redundancy_group",
            Self::FailureDomain => "failure_domain_assignment",
            Self::Runtime => "runtime_parameter",
            Self::SharedFate => "redundancy_domain_relation",
        }
    }
}

impl serde::Serialize for ChangeKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}

impl Change {
    /// Its type.
    pub const fn kind(&self) -> ChangeKind {
        match self {
            Self::NodeAdded(_) => ChangeKind::NodeAdded,
            Self::NodeRemoved(_) => ChangeKind::NodeRemoved,
            Self::EdgeAdded(_) => ChangeKind::EdgeAdded,
            Self::EdgeRemoved(_) => ChangeKind::EdgeRemoved,
            Self::EdgeChanged { .. } => ChangeKind::EdgeChanged,
            Self::ComponentAdded { .. } => ChangeKind::ComponentAdded,
            Self::ComponentRemoved { .. } => ChangeKind::ComponentRemoved,
            Self::OperatorKind { .. } => ChangeKind::OperatorKind,
            Self::OperatorParameter { .. } => ChangeKind::OperatorParameter,
            Self::BranchProbability { .. } => ChangeKind::BranchProbability,
            Self::Order { .. } => ChangeKind::Order,
            Self::Redundancy { .. } => ChangeKind::Redundancy,
            Self::FailureDomain { .. } => ChangeKind::FailureDomain,
            Self::Runtime { .. } => ChangeKind::Runtime,
            Self::SharedFate { .. } => ChangeKind::SharedFate,
        }
    }

    /// Its id.
    pub fn id(&self) -> DeltaId {
        let text = format!("{}\0{self}\0{}", self.kind().label(), self.place().unwrap_or_default());
        let mut digest = sha256_hex(text);
        digest.truncate(DeltaId::DIGITS);
        DeltaId(digest)
    }

    /// The candidate's operator in which a change of the structure happens.
    pub(super) fn place(&self) -> Option<&str> {
        match self {
            Self::ComponentAdded { of, .. }
            | Self::ComponentRemoved { of, .. }
            | Self::OperatorKind { of, .. }
            | Self::OperatorParameter { of, .. }
            | Self::BranchProbability { of, .. }
            | Self::Order { of, .. } => Some(of),
            _ => None,
        }
    }

    /// Whether bounds of availability and latency can move: they are computed from the structure and failure domains alone.
    pub fn enters_bounds(&self) -> bool {
        let of_domains = matches!(self, Self::FailureDomain { .. } | Self::SharedFate { .. });
        of_domains || self.place().is_some()
    }

    /// What it is about, as accepted, as seen: for a table.
    pub fn parts(&self) -> (String, String, String) {
        let none = || "none".to_owned();
        let both = |before: &String, after: &String| (before.clone(), after.clone());
        let (what, (before, after)) = match self {
            Self::NodeAdded(name) => (format!("node {name}"), (none(), name.clone())),
            Self::NodeRemoved(name) => (format!("node {name}"), (name.clone(), none())),
            Self::EdgeAdded(edge) => (call(edge), (none(), calls(edge))),
            Self::EdgeRemoved(edge) => (call(edge), (calls(edge), none())),
            Self::EdgeChanged { before, after } => (call(after), (calls(before), calls(after))),
            Self::ComponentAdded { part, of } => (format!("part {part}"), (none(), of.clone())),
            Self::ComponentRemoved { part, from, of } => (format!("part {part}"), both(from, of)),
            Self::OperatorKind { before, after, .. } => ("operator".to_owned(), both(before, after)),
            Self::OperatorParameter { before, after, .. } => ("parameters".to_owned(), both(before, after)),
            Self::BranchProbability { before, after, .. } => {
                ("probabilities".to_owned(), both(before, after))
            }
            Self::Order { before, after, .. } => ("order".to_owned(), both(before, after)),
            Self::Redundancy { before, after } => {
                let text = |one: &Option<Redundancy>| one.as_ref().map_or_else(none, redundancy);
                ("redundancy".to_owned(), (text(before), text(after)))
            }
            Self::FailureDomain { component, before, after } => {
                let text = |one: &Option<DomainFinding>| one.as_ref().map_or_else(none, domains);
                (format!("failure domains of {component}"), (text(before), text(after)))
            }
            Self::Runtime { from, to, before, after } => {
                let text = |one: &Option<RuntimeParameters>| one.as_ref().map_or_else(none, parameters);
                (format!("runtime of {from} -> {to}"), (text(before), text(after)))
            }
            Self::SharedFate { group, before, after } => {
                let relation = (before.label().to_owned(), after.label().to_owned());
                (format!("redundancy of {}", names(group)), relation)
            }
        };
        (what, before, after)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, before, after) = self.parts();
        write!(f, "{what}: {before} -> {after}")
    }
}

fn names(group: &BTreeSet<ComponentName>) -> String {
    group.iter().map(ComponentName::as_str).collect::<Vec<_>>().join(", ")
}

fn call(edge: &Edge) -> String {
    format!("call {} -> {}", edge.from, edge.to)
}

fn calls(edge: &Edge) -> String {
    let call_type = edge.call_type.as_ref().map_or("call", CallType::label);
    let mut parts = vec![call_type.to_owned()];
    parts.extend(edge.probability.map(|probability| format!("probability {}", probability.get())));
    parts.extend(edge.attempts.map(|attempts| format!("attempts {attempts}")));
    parts.join(", ")
}

fn redundancy(redundancy: &Redundancy) -> String {
    format!("{} of {}", redundancy.pattern.label(), names(&redundancy.group))
}

fn domains(finding: &DomainFinding) -> String {
    let names: Vec<_> = finding.domains.iter().map(String::as_str).collect();
    match finding.status {
        crate::model::Status::Identified => names.join(", "),
        status if names.is_empty() => status.label().to_owned(),
        status => format!("{} ({})", names.join(", "), status.label()),
    }
}

fn parameters(parameters: &RuntimeParameters) -> String {
    let RuntimeParameters { timeout_ms, per_try_timeout_ms, attempts, retry_on, .. } = parameters;
    let RuntimeParameters { max_connections, max_pending, consecutive_errors, mirror, .. } = parameters;
    let mut parts: Vec<String> = Vec::new();
    parts.extend(timeout_ms.map(|ms| format!("timeout {ms}ms")));
    parts.extend(per_try_timeout_ms.map(|ms| format!("per try {ms}ms")));
    parts.extend(attempts.map(|attempts| format!("attempts {attempts}")));
    parts.extend(retry_on.as_ref().map(|on| format!("on {on:?}")));
    parts.extend(max_connections.map(|max| format!("connections {max}")));
    parts.extend(max_pending.map(|max| format!("pending {max}")));
    parts.extend(consecutive_errors.map(|errors| format!("ejected after {errors} errors")));
    parts.extend(mirror.as_ref().map(|(to, share)| format!("{} mirrored to {to}", share.get())));
    if parts.is_empty() { "unset".to_owned() } else { parts.join(", ") }
}

/// A change with what speaks for it. Without provenance there is none: see [`Delta::new`].
#[derive(Clone, Debug, PartialEq)]
pub struct Delta {
    /// Its name.
    pub id: DeltaId,
    /// What changes.
    pub change: Change,
    /// What it would do; `None` until predicted.
    pub impact: Option<Impact>,
    /// Deltas from which it follows; it is taken with them, never without.
    pub follows: Vec<DeltaId>,
    evidence: Finding,
}

impl Delta {
    /// `None` when the evidence names no source: a delta without provenance does not exist.
    pub fn new(change: Change, evidence: Finding) -> Option<Self> {
        let founded = !evidence.provenance.is_empty();
        founded.then(|| Self { id: change.id(), change, impact: None, follows: Vec::new(), evidence })
    }

    /// How sure it is, and why; at least one source.
    pub fn evidence(&self) -> &Finding {
        &self.evidence
    }

    /// Whether it can be taken by itself.
    pub fn is_consequence(&self) -> bool {
        matches!(self.change, Change::SharedFate { .. })
    }
}
