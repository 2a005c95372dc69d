//! `spec.failureDomains`: what each component fails together with.

use std::collections::BTreeMap;

use emac_core::journey::ComponentName;

use super::{status, testimony};
use crate::model::{DomainFinding, Field, Finding, Status};
use emac_document::Fields;
use emac_document::types::{by_name, list, mapping, owned};
use emac_journey::component;

#[derive(Default)]
pub(super) struct Domains {
    pub(super) found: BTreeMap<ComponentName, DomainFinding>,
    pub(super) findings: Vec<(Field, Finding)>,
}

/// `effective` by component, with `details.<component>.status`; or `inferred` and `declared` by domain.
pub(super) fn read(fields: &mut Fields<'_>) -> Option<Domains> {
    fields.accept_rest();
    let mut found = BTreeMap::new();
    for (list_, says) in
        [("inferred", "domains inferred from evidence"), ("declared", "domains declared by people")]
    {
        let groups = fields.field(list_, list(mapping(group)), says).optional();
        for (domain, members) in groups.unwrap_or_default() {
            members.into_iter().for_each(|member| add(&mut found, member, &domain));
        }
    }
    let effective = by_name(list(owned()));
    let effective = fields.field("effective", effective, "domains in effect, by component").optional();
    for (name, domains) in effective.unwrap_or_default() {
        let Ok(name) = ComponentName::new(&name) else { continue };
        found.entry(name.clone()).or_insert_with(unknown);
        domains.iter().for_each(|domain| add(&mut found, name.clone(), domain));
    }
    let details = by_name(mapping(detail));
    let details = fields.field("details", details, "status of the domains, by component").optional();
    let mut findings = Vec::new();
    for (name, (status, papers)) in details.unwrap_or_default() {
        let Ok(name) = ComponentName::new(&name) else { continue };
        if let Some(finding) = found.get_mut(&name) {
            finding.status = status;
        }
        findings.extend(papers.map(|finding| (Field::Domains(name), finding)));
    }
    Some(Domains { found, findings })
}

fn unknown() -> DomainFinding {
    DomainFinding { domains: Default::default(), status: Status::Unresolved }
}

fn add(found: &mut BTreeMap<ComponentName, DomainFinding>, component: ComponentName, domain: &str) {
    let finding = found.entry(component).or_insert_with(unknown);
    finding.status = Status::Identified;
    finding.domains.insert(domain.to_owned());
}

fn group(fields: &mut Fields<'_>) -> Option<(String, Vec<ComponentName>)> {
    fields.accept_rest();
    let name = fields.field("name", owned(), "name of the domain").required();
    let members = fields.field("members", list(component()), "components of the domain").required();
    name.zip(members)
}

fn detail(fields: &mut Fields<'_>) -> Option<(Status, Option<Finding>)> {
    fields.accept_rest();
    let says = "evidence agrees (consistent, identified), is missing (missing, unresolved) or disagrees (conflicting, contradictory)";
    let status = fields.field("status", status(), says).required();
    let papers = testimony::papers_finding(fields);
    let status = status?;
    Some((status, papers.map(|finding| Finding { status, ..finding })))
}
