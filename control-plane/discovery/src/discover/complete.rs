//! From everything that is known to complete candidates: structure from traces, failure domains from labels, mesh and failures in time, runtime
//! parameters from configuration.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::journey::ComponentName;

use super::domains::correlation::{self, Options, Slot, correlated};
use super::domains::{ConfidenceProfile, Subject, TraceLabel, domains};
use super::model::confidence;
use super::observe::Observations;
use super::{Discovered, DiscoveryContext, LeftOut, Wanted, discover_wanted};
use crate::mesh::{MeshFacts, Name};
use crate::mesh::{ModelCall, runtime};
use emac_compile::model::{Field, Model, Status};
use emac_journey::intent::{DomainKind, DomainRule, Intent, Reach};
use emac_trace::{Labels, Symbol, Symbols};

/// Everything discovery looks at.
#[derive(Clone, Copy, Debug)]
pub struct DiscoveryEvidence<'a> {
    /// Traces.
    pub observations: &'a Observations,
    /// Their names.
    pub symbols: &'a Symbols,
    /// What their resources say of where they run.
    pub labels: &'a Labels,
    /// Mesh and cluster configuration.
    pub mesh: &'a MeshFacts,
    /// Constants and formulas of confidence in domains.
    pub profile: ConfidenceProfile,
}

/// Most components of a journey among which failures that come together are looked for; pairs grow with the square.
const CORRELATED_MAX: usize = 200;

/// Every journey with everything that is known of it, most frequent first.
pub fn complete(known: &DiscoveryEvidence<'_>, given: &DiscoveryContext<'_>) -> Vec<Discovered> {
    complete_wanted(known, given, &Wanted::default()).0
}

/// The journeys that are wanted with everything that is known of them, and the others by name.
pub fn complete_wanted(
    known: &DiscoveryEvidence<'_>,
    given: &DiscoveryContext<'_>,
    wanted: &Wanted<'_>,
) -> (Vec<Discovered>, Vec<LeftOut>) {
    let labels = trace_labels(known);
    let (mut found, left) = discover_wanted(known.observations, known.symbols, given, wanted);
    for one in &mut found {
        let intent = one.declared.and_then(|place| given.intents.get(place).copied());
        add_domains(one, intent, &labels, known);
        add_runtime(one, &labels, known);
        doubt_nameless(one, known.symbols);
        one.model.confidence = confidence(&one.model);
    }
    (found, left)
}

/// Flag of a model some of whose spans name no service: what is taken for one may be many.
const NAMELESS: &str = "nameless_services";
/// Most confidence in any field of such a model: an even chance, which is below what acts ([`super::IDENTIFIED_MIN`]).
const NAMELESS_MAX: f64 = 0.5;

/// Where no service is named nothing is known: neither who calls nor who is called.
fn doubt_nameless(one: &mut Discovered, symbols: &Symbols) {
    let nameless = |service: &Symbol| emac_trace::is_nameless(symbols.text(*service));
    if !one.services.values().flatten().any(nameless) {
        return;
    }
    one.model.confidence.flags.push(NAMELESS.to_owned());
    for finding in one.model.findings.values_mut() {
        if finding.confidence.get() > NAMELESS_MAX {
            finding.confidence = super::candidate::ratio(NAMELESS_MAX);
        }
        if finding.status == Status::Identified {
            finding.status = Status::Unresolved;
        }
    }
}

/// What resources say, by service.
type LabelsOf = BTreeMap<Symbol, Vec<TraceLabel>>;

fn trace_labels(known: &DiscoveryEvidence<'_>) -> LabelsOf {
    let mut labels = LabelsOf::new();
    for (service, key, value, count) in known.labels.iter() {
        labels.entry(service).or_default().push(TraceLabel {
            service: known.symbols.text(service).to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
            count,
        });
    }
    labels
}

// === failure domains ===

fn add_domains(
    one: &mut Discovered,
    intent: Option<&Intent>,
    labels: &LabelsOf,
    known: &DiscoveryEvidence<'_>,
) {
    let components: BTreeSet<ComponentName> =
        one.structure().map(|journey| journey.leaves().into_iter().cloned().collect()).unwrap_or_default();
    let shared = shared_services(one, &components);
    let subject = |name: &ComponentName| {
        let names = names_of(one, name, known.symbols);
        let services = || one.services.get(name).into_iter().flatten();
        let mut own: Vec<_> =
            services().filter_map(|service| labels.get(service)).flatten().cloned().collect();
        own.extend(services().filter(|service| shared.contains(service)).map(|service| {
            let service = known.symbols.text(*service).to_owned();
            TraceLabel {
                value: service.clone(),
                service,
                key: SERVICE_KEY.to_owned(),
                count: one.traces.max(1),
            }
        }));
        Subject::new(&names, intent.and_then(|intent| intent.components.get(name)), &own, known.mesh)
    };
    let subjects: BTreeMap<_, _> = components.iter().map(|name| (name.clone(), subject(name))).collect();
    let groups = if components.len() <= CORRELATED_MAX {
        correlated(&series(one, known), &edges(&one.model), &Options::default()).groups
    } else {
        Vec::new()
    };
    let mut rules = intent.map_or_else(usual_rules, |intent| intent.domains.clone());
    if !rules.iter().any(|rule| rule.key.as_deref() == Some(SERVICE_KEY)) {
        rules.push(inferred_rule("service", SERVICE_KEY));
    }
    let found = domains(&subjects, &rules, &groups, known.profile);
    one.model.domains = found.domains;
    // An answer kept in a sidecar stands on nothing of its own that could be known or not.
    let weighed = found
        .findings
        .into_iter()
        .filter(|(field, _)| !matches!(field, Field::Domains(name) if is_kept(name, one, intent)));
    one.model.findings.extend(weighed.collect::<Vec<_>>());
    one.model.disagreements.extend(found.disagreements);
}

fn is_kept(name: &ComponentName, one: &Discovered, intent: Option<&Intent>) -> bool {
    let declared = intent.and_then(|intent| intent.components.get(name));
    declared.map_or(!one.services.contains_key(name), |component| matches!(component.reach, Reach::Static(_)))
}

/// What is looked at where no intent names rules: what cloud and cluster say of every workload.
fn usual_rules() -> Vec<DomainRule> {
    [("cluster", "k8s.cluster.name"), ("zone", "topology.kubernetes.io/zone"), ("provider", "cloud.provider")]
        .map(|(name, key)| inferred_rule(name, key))
        .into()
}

fn inferred_rule(name: &str, key: &str) -> DomainRule {
    DomainRule {
        name: name.to_owned(),
        kind: DomainKind::Inferred,
        source: None,
        key: Some(key.to_owned()),
        description: None,
        beta: None,
    }
}

/// Under which several components of one service (its operations) share that service's domain: they run in the same processes.
const SERVICE_KEY: &str = "service.name";

/// Services that are several of the components.
fn shared_services(one: &Discovered, components: &BTreeSet<ComponentName>) -> BTreeSet<Symbol> {
    let mut count: BTreeMap<Symbol, usize> = BTreeMap::new();
    let of = components.iter().filter_map(|name| one.services.get(name));
    of.flatten().for_each(|service| *count.entry(*service).or_default() += 1);
    count.into_iter().filter(|(_, count)| *count > 1).map(|(service, _)| service).collect()
}

/// Names of a component in traces, and its own.
fn names_of(one: &Discovered, component: &ComponentName, symbols: &Symbols) -> Vec<Name> {
    let services = one.services.get(component).into_iter().flatten();
    let mut names: Vec<_> = services.map(|service| Name::new(symbols.text(*service))).collect();
    if names.is_empty() {
        names.push(Name::new(component.as_str()));
    }
    names
}

/// Own failures of each component in time.
fn series(one: &Discovered, known: &DiscoveryEvidence<'_>) -> correlation::SlotSeries {
    let mut series = correlation::SlotSeries::new();
    for (component, services) in &one.services {
        let mut slots: BTreeMap<u64, Slot> = BTreeMap::new();
        for service in services {
            for (number, count) in known.observations.series().of(*service) {
                let Ok(slot) = u64::try_from(number) else { continue };
                let sum = slots.entry(slot).or_insert(Slot { slot, requests: 0, failures: 0 });
                sum.requests += count.requests;
                sum.failures += count.failures;
            }
        }
        series.insert(component.clone(), slots.into_values().collect());
    }
    series
}

fn edges(model: &Model) -> Vec<(ComponentName, ComponentName)> {
    let name = |text: &str| ComponentName::new(text).ok();
    model.edges.iter().filter_map(|edge| Some((name(&edge.from)?, name(&edge.to)?))).collect()
}

// === runtime parameters ===

/// The attribute that says in which namespace a workload runs.
const NAMESPACE_KEY: &str = "k8s.namespace.name";

/// The one namespace that resources say; none where they say several.
fn namespace<'a>(labels: impl Iterator<Item = &'a TraceLabel>) -> Option<&'a str> {
    let said: BTreeSet<_> =
        labels.filter(|label| label.key == NAMESPACE_KEY).map(|label| label.value.as_str()).collect();
    let mut said = said.into_iter();
    said.next().filter(|_| said.next().is_none())
}

fn add_runtime(one: &mut Discovered, labels: &LabelsOf, known: &DiscoveryEvidence<'_>) {
    let name = |text: &str| {
        let component = ComponentName::new(text).ok();
        let names = component.as_ref().map(|name| names_of(one, name, known.symbols)).unwrap_or_default();
        let found = names.into_iter().next().unwrap_or_else(|| Name::new(text));
        let services = component.as_ref().and_then(|name| one.services.get(name)).into_iter().flatten();
        match namespace(services.filter_map(|service| labels.get(service)).flatten()) {
            Some(namespace) if found.namespace().is_none() => {
                Name::in_namespace(found.service(), Some(namespace))
            }
            _ => found,
        }
    };
    let call = |edge: &emac_compile::model::Edge| ModelCall {
        from_name: name(&edge.from),
        to_name: name(&edge.to),
        ..ModelCall::new(&edge.from, &edge.to)
    };
    let calls: Vec<_> = one.model.edges.iter().map(call).collect();
    let found = runtime(known.mesh, &calls);
    one.model.runtime = found.parameters;
    one.model.findings.extend(found.findings);
    one.model.disagreements.extend(found.disagreements);
}

#[cfg(test)]
mod tests;
