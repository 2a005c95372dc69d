//! The model that an intent declares.

use super::{Confidence, DomainFinding, Model, Origin, Status};
use emac_journey::intent::Intent;

/// The intent's structure and failure domains, with the confidence of somebody's word.
pub(super) fn model(intent: &Intent) -> Model {
    let finding = |domains: &Vec<String>| DomainFinding {
        domains: domains.iter().cloned().collect(),
        status: if domains.is_empty() { Status::Unresolved } else { Status::Identified },
    };
    let components = intent.components.iter();
    Model {
        journey: intent.name.to_string(),
        structure: Some(intent.structure.clone()),
        nodes: Default::default(),
        edges: Vec::new(),
        redundancy: Vec::new(),
        runtime: Default::default(),
        findings: Default::default(),
        disagreements: Vec::new(),
        evidence: Vec::new(),
        domains: components
            .map(|(name, component)| (name.clone(), finding(&component.failure_domains)))
            .collect(),
        confidence: Confidence::default(),
        edge_coverage: None,
        origin: Origin::Declared,
        digest: intent.digest.clone(),
    }
}
