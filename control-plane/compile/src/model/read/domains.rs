//! `spec.failureDomains`: what each component fails together with.

use std::collections::BTreeMap;

use emac_core::journey::ComponentName;

use super::{component, known_status, testimony};
use crate::model::{DomainFinding, Field, Finding, Status};
use emac_document::{Fields, Reader};

#[derive(Default)]
pub(super) struct Domains {
    pub(super) found: BTreeMap<ComponentName, DomainFinding>,
    pub(super) findings: Vec<(Field, Finding)>,
}

/// `effective` by component, with `details.<component>.status`; or `inferred` and `declared` by domain.
pub(super) fn read(fields: &mut Fields<'_>) -> Option<Domains> {
    fields.accept_rest();
    let mut found = BTreeMap::new();
    for list in ["inferred", "declared"] {
        let groups =
            fields.optional(list, |list| list.list(|group| group.fields(group_))).unwrap_or_default();
        for (domain, members) in groups {
            members.into_iter().for_each(|member| add(&mut found, member, &domain));
        }
    }
    fields.optional("effective", |effective| {
        effective.map(|entry, domains| {
            let name = ComponentName::new(&entry.key).ok()?;
            let domains = domains.list(Reader::word)?;
            found.entry(name.clone()).or_insert_with(unknown);
            domains.into_iter().for_each(|domain| add(&mut found, name.clone(), domain));
            Some(())
        })
    });
    let mut findings = Vec::new();
    fields.optional("details", |details| {
        details.map(|entry, detail| {
            let (status, papers) = detail.fields(detail_)?;
            let Ok(name) = ComponentName::new(&entry.key) else { return Some(()) };
            if let Some(finding) = found.get_mut(&name) {
                finding.status = status;
            }
            findings.extend(papers.map(|finding| (Field::Domains(name), finding)));
            Some(())
        })
    });
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

fn group_<'a>(fields: &mut Fields<'a>) -> Option<(String, Vec<ComponentName>)> {
    fields.accept_rest();
    let name = fields.required("name", Reader::word);
    let members = fields.required("members", |members| members.list(component));
    Some((name?.to_owned(), members?))
}

fn detail_(fields: &mut Fields<'_>) -> Option<(Status, Option<Finding>)> {
    fields.accept_rest();
    let status = fields.required("status", known_status)?;
    Some((status, testimony::papers_finding(fields, status)))
}
