//! Labels, the intent's word and correlated failures, set side by side. The table is in [`super`].

use std::collections::{BTreeMap, BTreeSet};

use emac_core::journey::ComponentName;

use super::correlation::CorrelatedGroup;
use super::labels::{self, RuleFinding};
use super::profile::{ConfidenceProfile, DECLARED, ratio};
use super::{DomainFindings, Subject};
use emac_compile::model::{Disagreement, DomainFinding, EvidenceSource, Field, Finding, Provenance, Status};
use emac_journey::intent::{DomainKind, DomainRule};

/// Effective failure domains of every component, by the intent's rules and the groups that fail together. O(components · (rules · observations +
/// groups)).
pub fn domains(
    subjects: &BTreeMap<ComponentName, Subject>,
    rules: &[DomainRule],
    groups: &[CorrelatedGroup],
    profile: ConfidenceProfile,
) -> DomainFindings {
    let named: BTreeSet<&str> = subjects.values().flat_map(|one| &one.declared).map(String::as_str).collect();
    let known: BTreeMap<_, _> = subjects
        .iter()
        .map(|(name, subject)| (name, ComponentDomains::of(subject, rules, &named, profile)))
        .collect();
    let mut found = DomainFindings::default();
    for (name, one) in &known {
        let mut one = one.clone();
        for group in groups.iter().filter(|group| group.members.contains(*name)) {
            one.join(name, group, &known);
        }
        one.tell(name, &mut found);
    }
    found
}

/// What is known of one component.
#[derive(Clone, Debug)]
struct ComponentDomains {
    /// Domains that only the intent names.
    declared: BTreeSet<String>,
    /// Domains from labels.
    labelled: BTreeSet<String>,
    /// Rules that the component does not name, and that say something.
    unnamed: BTreeSet<String>,
    /// Domains from groups.
    inferred: BTreeSet<String>,
    /// Whether any rule found evidence.
    seen: bool,
    status: Status,
    confidence: f64,
    samples: u64,
    provenance: Vec<Provenance>,
}

impl ComponentDomains {
    fn of(
        subject: &Subject,
        rules: &[DomainRule],
        named: &BTreeSet<&str>,
        profile: ConfidenceProfile,
    ) -> Self {
        let found = labels::findings(subject, rules, named);
        let inferred =
            |name: &String| rules.iter().any(|rule| rule.kind == DomainKind::Inferred && rule.name == *name);
        let declared: BTreeSet<String> =
            subject.declared.iter().filter(|name| !inferred(name)).cloned().collect();
        let unnamed = found.iter().filter(|one| !subject.declared.contains(&one.rule));
        let each = found.iter().map(|one| profile.confidence(one.tally));
        let word = (!declared.is_empty()).then_some(DECLARED);
        let nothing = found.is_empty() && declared.is_empty();
        Self {
            unnamed: unnamed.flat_map(|one| one.domains.clone()).collect(),
            labelled: found.iter().flat_map(|one| one.domains.clone()).collect(),
            inferred: BTreeSet::new(),
            seen: found.iter().any(|one| one.samples > 0),
            status: if nothing { Status::Unresolved } else { worst(&found) },
            confidence: if nothing {
                profile.confidence(super::profile::Tally::Missing)
            } else {
                profile.together(each.chain(word))
            },
            samples: found.iter().map(|one| one.samples).sum(),
            provenance: words(&declared).chain(found.into_iter().flat_map(|one| one.provenance)).collect(),
            declared,
        }
    }

    fn domains(&self) -> impl Iterator<Item = &String> {
        self.declared.iter().chain(&self.labelled)
    }

    fn meets(&self, other: &Self) -> bool {
        let mine: BTreeSet<_> = self.domains().collect();
        other.domains().any(|domain| mine.contains(domain))
    }

    /// Takes a group this component is in.
    fn join(
        &mut self,
        name: &ComponentName,
        group: &CorrelatedGroup,
        known: &BTreeMap<&ComponentName, Self>,
    ) {
        let others = group.members.iter().filter(|&other| other != name).filter_map(|other| known.get(other));
        let agrees = self.status == Status::Identified && others.clone().all(|other| self.meets(other));
        self.provenance.push(group.provenance());
        self.samples = self.samples.saturating_add(group.support);
        if agrees {
            self.confidence = 1.0 - (1.0 - self.confidence) * (1.0 - group.confidence.get());
            return;
        }
        let nothing = self.is_only_group();
        self.inferred.insert(group.name());
        match self.status {
            _ if nothing => {
                self.status = Status::Identified;
                self.confidence = group.confidence.get();
            }
            Status::Identified if self.seen => {
                self.status = Status::Contradictory;
                self.confidence *= 1.0 - group.confidence.get();
            }
            Status::Identified => self.confidence = self.confidence.min(group.confidence.get()),
            Status::Unresolved | Status::Contradictory => {}
        }
    }

    /// Whether correlation is all there is: provenance holds groups only.
    fn is_only_group(&self) -> bool {
        self.provenance.iter().all(|one| one.source == EvidenceSource::Correlation)
    }

    /// Writes the finding down.
    fn tell(self, name: &ComponentName, found: &mut DomainFindings) {
        let field = Field::Domains(name.clone());
        let mut domains: BTreeSet<String> = self.domains().chain(&self.inferred).cloned().collect();
        let added: BTreeSet<_> = self
            .unnamed
            .union(&self.inferred)
            .filter(|domain| !self.declared.contains(*domain))
            .cloned()
            .collect();
        if !self.declared.is_empty() && !added.is_empty() {
            let text = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
            let (declared, observed) = (text(&self.declared), text(&added));
            found.disagreements.push(Disagreement { field: field.clone(), declared, observed });
        }
        if domains.is_empty() && self.status == Status::Identified {
            domains.insert(format!("own:{name}"));
        }
        let nothing = Provenance {
            source: EvidenceSource::Intent,
            says: "no failure domain is declared, and no rule matches".to_owned(),
            traces: Vec::new(),
            place: None,
        };
        let provenance = if self.provenance.is_empty() { vec![nothing] } else { self.provenance };
        found.domains.insert(name.clone(), DomainFinding { domains, status: self.status });
        let confidence = ratio(self.confidence);
        found
            .findings
            .insert(field, Finding { status: self.status, confidence, samples: self.samples, provenance });
    }
}

fn worst(found: &[RuleFinding]) -> Status {
    let has = |status| found.iter().any(|one| one.status == status);
    match (has(Status::Contradictory), has(Status::Unresolved)) {
        (true, _) => Status::Contradictory,
        (_, true) => Status::Unresolved,
        _ => Status::Identified,
    }
}

fn words(declared: &BTreeSet<String>) -> impl Iterator<Item = Provenance> {
    declared.iter().map(|domain| Provenance {
        source: EvidenceSource::Intent,
        says: format!("declared: {domain}"),
        traces: Vec::new(),
        place: None,
    })
}
