//! Failure domains: which components fail together.
//!
//! Two kinds of evidence. Labels say what replicas stand on (zones, networks, providers); failures that come together in time say what labels do
//! not know of. `labels` reads the first by the intent's rules, [`correlation`] tests the second, `combine` sets them side by side:
//!
//! | labels | correlation | finding |
//! |---|---|---|
//! | one value per rule | none, or with those who share it | identified |
//! | one value per rule, others than the group's | a group | contradictory: labels say apart, failures say together |
//! | only the intent's word | a group | identified with the group's domain, and a disagreement with the intent |
//! | a rule of the component finds nothing | any | unresolved |
//! | two values of a single-valued key | any | contradictory |
//! | no rule, no word | a group | identified: it is all that is known |
//!
//! That a group is missing contradicts nothing: what has not failed yet leaves no trace. Domains are names that meet or do not; a component that
//! nothing can take down but itself is in a domain of its own, `own:<component>`.
//!
//! Everything here is pure: observations in, findings out.

mod combine;
pub mod correlation;
mod labels;
mod profile;

use std::collections::BTreeMap;

use emac_core::journey::ComponentName;

use crate::mesh::{MeshFacts, Name, Observation, canonical_key};
use emac_compile::model::{Disagreement, DomainFinding, EvidenceSource, Field, Finding, Provenance};
use emac_journey::intent::Component;

pub use combine::domains;
pub use profile::ConfidenceProfile;

/// What is known of one component before the rules are applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject {
    /// `failureDomains` of the intent, in the order written.
    pub declared: Vec<String>,
    /// Labels from wherever.
    pub observations: Vec<Observation>,
}

/// An attribute of a service's spans or resource, counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TraceLabel {
    /// Service as traces name it.
    pub service: String,
    /// Key as written.
    pub key: String,
    /// Value.
    pub value: String,
    /// Spans that say so, at least 1.
    pub count: u64,
}

/// What is known of the domains of all components.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DomainFindings {
    /// Effective domains by component.
    pub domains: BTreeMap<ComponentName, DomainFinding>,
    /// `domains/...` fields: how sure, and why.
    pub findings: BTreeMap<Field, Finding>,
    /// Where evidence adds to what the intent declares.
    pub disagreements: Vec<Disagreement>,
}

impl Subject {
    /// Gathers what traces and mesh say of a component. `names` are its names there; `declared` is what the intent says, if it knows it.
    pub fn new(
        names: &[Name],
        declared: Option<&Component>,
        traces: &[TraceLabel],
        mesh: &MeshFacts,
    ) -> Self {
        let of = |label: &&TraceLabel| names.iter().any(|name| name.meets(&Name::new(&label.service)));
        let mut observations: Vec<Observation> =
            traces.iter().filter(of).map(TraceLabel::observation).collect();
        observations.extend(names.iter().flat_map(|name| mesh.observations(name)));
        observations.sort();
        observations.dedup();
        Self {
            declared: declared.map(|component| component.failure_domains.clone()).unwrap_or_default(),
            observations,
        }
    }
}

impl TraceLabel {
    /// Replicas report for themselves: values that differ come from different ones.
    fn observation(&self) -> Observation {
        let key = canonical_key(&self.key).to_owned();
        let says = format!("{} spans of {}: {} is {}", self.count, self.service, self.key, self.value);
        Observation {
            key,
            value: self.value.clone(),
            instance: Some(format!("{} with {}", self.service, self.value)),
            count: self.count,
            provenance: Provenance { source: EvidenceSource::Traces, says, traces: Vec::new(), place: None },
        }
    }
}

#[cfg(test)]
mod tests;
