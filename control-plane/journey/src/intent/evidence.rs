//! `spec.evidence` and `spec.failureDomains`: where the structure is learnt, and what fails together.

use emac_core::units::{Micros, Ratio};

use super::share::{owned, refuse_duplicates};
use emac_document::{Fields, Reader};

/// `evidence.modelDiscovery`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// `enabled`. Default false.
    pub enabled: bool,
    /// `discoveredModelRef`: the model file, relative to the intent.
    pub discovered_model: Option<String>,
    /// `inputs`.
    pub inputs: Vec<DiscoveryInput>,
    /// `evidenceWindow`: how far back evidence counts.
    pub window: Option<Micros>,
    /// `freshness.maxAge`: older evidence makes a decision REVIEW.
    pub max_age: Option<Micros>,
    /// `coveragePolicy.minTraceEdgeCoverage`: less makes a decision REVIEW.
    pub edge_coverage_min: Option<Ratio>,
    /// `coveragePolicy.requirePaymentBranchCoverage`, `requireBranchCoverage`: every branch of a race must have been seen.
    pub require_branch_coverage: bool,
}

/// One of `inputs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveryInput {
    /// `type`: such as `opentelemetry-traces`.
    pub kind: String,
    /// `notes`.
    pub notes: Option<String>,
}

/// One of `failureDomains.rules`.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainRule {
    /// `name`, as `components.<leaf>.failureDomains` uses it.
    pub name: String,
    /// `kind`.
    pub kind: DomainKind,
    /// `source`: of an inferred domain, such as `kubernetes`.
    pub source: Option<String>,
    /// `key`: of an inferred domain, such as a label.
    pub key: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// `beta`: share of a member's unavailability that the domain causes.
    pub beta: Option<Ratio>,
}

/// How members of a domain are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainKind {
    /// Said by a person.
    Declared,
    /// Read from evidence by `source` and `key`.
    Inferred,
}

impl Evidence {
    pub(super) fn read(reader: Reader<'_>) -> Option<Self> {
        reader.fields(|fields| fields.required("modelDiscovery", |discovery| discovery.fields(discovery_)))
    }
}

fn discovery_(fields: &mut Fields<'_>) -> Option<Evidence> {
    let enabled = fields.optional("enabled", Reader::boolean).unwrap_or_default();
    let discovered_model = fields.optional("discoveredModelRef", owned);
    let inputs = fields.optional("inputs", |inputs| inputs.list(|input| input.fields(input_)));
    let window = fields.optional("evidenceWindow", Reader::duration);
    let max_age = fields.optional("freshness", |freshness| {
        freshness.fields(|fields| fields.required("maxAge", Reader::duration))
    });
    let coverage = fields.optional("coveragePolicy", |coverage| coverage.fields(coverage_));
    let (edge_coverage_min, require_branch_coverage) = coverage.unwrap_or_default();
    let inputs = inputs.unwrap_or_default();
    Some(Evidence {
        enabled,
        discovered_model,
        inputs,
        window,
        max_age,
        edge_coverage_min,
        require_branch_coverage,
    })
}

fn input_(fields: &mut Fields<'_>) -> Option<DiscoveryInput> {
    let kind = fields.required("type", owned);
    let notes = fields.optional("notes", owned);
    Some(DiscoveryInput { kind: kind?, notes })
}

fn coverage_(fields: &mut Fields<'_>) -> Option<(Option<Ratio>, bool)> {
    let edges = fields.optional("minTraceEdgeCoverage", Reader::ratio);
    let payment = fields.optional("requirePaymentBranchCoverage", Reader::boolean).unwrap_or_default();
    let branches = fields.optional("requireBranchCoverage", Reader::boolean).unwrap_or_default();
    Some((edges, payment || branches))
}

/// `failureDomains`.
pub(super) fn rules(reader: Reader<'_>) -> Option<Vec<DomainRule>> {
    reader.fields(|fields| {
        let list = fields.get("rules").filter(|rules| !rules.is_null());
        let rules = list.and_then(|rules| rules.list(|rule| rule.fields(rule_)))?;
        let places = list.and_then(Reader::items).into_iter().flatten();
        refuse_duplicates(rules.iter().map(|rule| rule.name.as_str()).zip(places), "failure domain");
        Some(rules)
    })
}

fn rule_(fields: &mut Fields<'_>) -> Option<DomainRule> {
    const KINDS: [(&str, DomainKind); 2] =
        [("declared", DomainKind::Declared), ("inferred", DomainKind::Inferred)];
    let name = fields.required("name", owned);
    let kind = fields.required("kind", |kind| kind.choice(&KINDS));
    let source = fields.optional("source", owned);
    let key = fields.optional("key", owned);
    let description = fields.optional("description", owned);
    let beta = fields.optional("beta", Reader::ratio);
    if kind == Some(DomainKind::Inferred) && (source.is_none() || key.is_none()) {
        fields.reader().refuse_with::<()>(
            "an inferred failure domain needs `source` and `key`",
            "such as source: kubernetes, key: topology.kubernetes.io/zone",
        );
    }
    Some(DomainRule { name: name?, kind: kind?, source, key, description, beta })
}
