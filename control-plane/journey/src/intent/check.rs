//! Rules that concern several sections of an intent.

use std::collections::BTreeSet;

use emac_core::budget::EntryRule;
use emac_core::journey::{Expr, Journey};

use super::component::{Component, Declaration, Declared, Meaning};
use super::evidence::DomainRule;
use super::objectives::Objectives;
use super::reach::Reach;
use super::runtime::Runtime;
use emac_document::{Reader, did_you_mean};

/// Rules of components: known failure domains, a caller for every hop, static answers only as alternates.
pub(super) fn components(
    declared: &Declared<'_>,
    domains: &[DomainRule],
    runtime: &Runtime,
    structure: Option<&Journey>,
) {
    let used: BTreeSet<&str> = structure
        .map_or_else(BTreeSet::new, |journey| journey.leaves().iter().map(|name| name.as_str()).collect());
    for declaration in declared.all() {
        let Meaning::Component(component) = &declaration.meaning else { continue };
        failure_domains(declaration, component, domains);
        caller(declaration, component, runtime);
        if structure.is_some() && !used.contains(declaration.name.as_str()) {
            let name = &declaration.name;
            declaration
                .reader
                .warn(format!("`{name}` is not part of the operator"), "refer to it, or leave it out");
        }
    }
    if let Some(journey) = structure {
        static_answers(journey.root(), declared, false);
    }
}

fn failure_domains(declaration: &Declaration<'_>, component: &Component, rules: &[DomainRule]) {
    if rules.is_empty() {
        return;
    }
    let names = || rules.iter().map(|rule| rule.name.as_str());
    for domain in
        component.failure_domains.iter().filter(|domain| !names().any(|name| name == domain.as_str()))
    {
        let help = match did_you_mean(domain, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "give it a rule under failureDomains.rules".to_owned(),
        };
        let place = declaration.reader.find(&["failureDomains"], domain);
        place.refuse_with::<()>(format!("`{domain}` is not a failure domain"), help);
    }
}

fn caller(declaration: &Declaration<'_>, component: &Component, runtime: &Runtime) {
    let Reach::Hop(hop) = &component.reach else { return };
    if hop.source.is_none() && runtime.policy.edges.is_empty() {
        declaration.reader.refuse_with::<()>(
            "nobody calls this hop",
            "give hop.source as <namespace>/<workload>, or governance.runtime.edge for calls of the edge",
        );
    }
}

/// A static answer is nobody's primary: it would always succeed and mean nothing.
fn static_answers(expr: &Expr, declared: &Declared<'_>, alternate: bool) {
    match expr {
        Expr::Leaf(name) => {
            let declaration = declared.get(name.as_str());
            let fixed = declaration.filter(|declaration| match &declaration.meaning {
                Meaning::Component(component) => matches!(component.reach, Reach::Static(_)),
                _ => false,
            });
            if let Some(declaration) = fixed.filter(|_| !alternate) {
                let help = "name it among the alternates of a fallback";
                declaration.reader.refuse_with::<()>(
                    format!("`{name}` is a static response, which only stands in for another"),
                    help,
                );
            }
        }
        Expr::Fallback { primary, alternates } => {
            static_answers(primary, declared, false);
            alternates.iter().for_each(|alternate| static_answers(&alternate.expr, declared, true));
        }
        other => other.children().into_iter().for_each(|child| static_answers(child, declared, false)),
    }
}

/// A journey that is entered needs a deadline.
pub(super) fn objectives(
    reader: Reader<'_>,
    objectives: &Objectives,
    entry: &[EntryRule],
    runtime: &Runtime,
) {
    let deadline = runtime.deadline.is_some() || objectives.latency.is_some();
    if !entry.is_empty() && !deadline {
        reader.refuse_with::<()>(
            "a journey with an entry needs a deadline",
            "give objectives.latency, or governance.runtime.deadline",
        );
    }
}
