//! `spec.evidence` and `spec.failureDomains`: where the structure is learnt, and what fails together.

use emac_core::units::{Micros, Ratio};

use super::share::refuse_duplicates;
use emac_document::Fields;
use emac_document::types::{checked, choice, duration, flag, list, mapping, owned, share};

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
    /// `beta`: how often a failure domain fails, as a share of the unavailability of its most available member; when it fails, all its
    /// members fail.
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

pub(super) fn evidence(fields: &mut Fields<'_>) -> Option<Evidence> {
    fields.field("modelDiscovery", mapping(discovery), "how the model is discovered").required()
}

fn discovery(fields: &mut Fields<'_>) -> Option<Evidence> {
    let enabled = fields.field("enabled", flag(), "whether discovery is enabled").or(false);
    let says = "path of the model file, relative to the intent";
    let discovered_model = fields.field("discoveredModelRef", owned(), says).optional();
    let inputs = fields.field("inputs", list(mapping(input)), "evidence sources").optional();
    let window = fields.field("evidenceWindow", duration(), "length of the evidence window").optional();
    let max_age = fields.field("freshness", mapping(freshness), "maximum age of evidence").optional();
    let coverage = fields.field("coveragePolicy", mapping(coverage), "required coverage").optional();
    let (edge_coverage_min, require_branch_coverage) = coverage.unwrap_or_default();
    Some(Evidence {
        enabled,
        discovered_model,
        inputs: inputs.unwrap_or_default(),
        window,
        max_age,
        edge_coverage_min,
        require_branch_coverage,
    })
}

fn input(fields: &mut Fields<'_>) -> Option<DiscoveryInput> {
    let kind = fields.field("type", owned(), "such as `opentelemetry-traces`").required();
    let notes = fields.field("notes", owned(), "for people").optional();
    Some(DiscoveryInput { kind: kind?, notes })
}

fn freshness(fields: &mut Fields<'_>) -> Option<Micros> {
    fields.field("maxAge", duration(), "with older evidence the decision is REVIEW").required()
}

fn coverage(fields: &mut Fields<'_>) -> Option<(Option<Ratio>, bool)> {
    let says = "if a smaller share of the expected edges was observed, the decision is REVIEW";
    let edges = fields.field("minTraceEdgeCoverage", share(), says).optional();
    let says = "every branch of a race must have been observed";
    let branches = fields.field("requireBranchCoverage", flag(), says).or(false);
    let says = "the same under the paper's name";
    let payment = fields.field("requirePaymentBranchCoverage", flag(), says).or(false);
    Some((edges, payment || branches))
}

/// `failureDomains`.
pub(super) fn domains(fields: &mut Fields<'_>) -> Option<Vec<DomainRule>> {
    let rules = checked(list(mapping(rule)), |it, rules: Vec<DomainRule>| {
        let places = it.items().into_iter().flatten();
        refuse_duplicates(rules.iter().map(|rule| rule.name.as_str()).zip(places), "failure domain");
        Some(rules)
    });
    fields.field("rules", rules, "the failure domains").optional()
}

fn rule(fields: &mut Fields<'_>) -> Option<DomainRule> {
    const KINDS: [(&str, DomainKind); 2] =
        [("declared", DomainKind::Declared), ("inferred", DomainKind::Inferred)];
    let name = fields.field("name", owned(), "name used in `components.<leaf>.failureDomains`").required();
    let says = "declared by a person, or inferred from evidence";
    let kind = fields.field("kind", choice(&KINDS), says).required();
    let says = "evidence source, such as `kubernetes`; required for inferred domains";
    let source = fields.field("source", owned(), says).optional();
    let says = "key to look up, such as a label; required for inferred domains";
    let key = fields.field("key", owned(), says).optional();
    let description = fields.field("description", owned(), "for people").optional();
    let says = "how often a failure domain fails, as a share of the unavailability of its most available member; when it fails, all its members fail. If given, the journey's availability under common cause is computed exactly";
    let beta = fields.field("beta", share(), says).optional();
    if kind == Some(DomainKind::Inferred) && (source.is_none() || key.is_none()) {
        fields.reader().refuse_with::<()>(
            "an inferred failure domain needs `source` and `key`",
            "such as source: kubernetes, key: topology.kubernetes.io/zone",
        );
    }
    Some(DomainRule { name: name?, kind: kind?, source, key, description, beta })
}
