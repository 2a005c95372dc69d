//! What sites are called in the model: the intent's component where it binds one, else the service, with its operation where one service is called
//! with several.

use std::collections::{BTreeMap, BTreeSet};

use emac_core::journey::ComponentName;

use super::journeys::TraceGroup;
use super::observe::{Observations, Site, SiteId};
use crate::mesh::Name;
use emac_document::sha256_hex;
use emac_journey::intent::{Component, Intent, Reach};
use emac_trace::{Symbol, Symbols};

/// Names of a journey's sites.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    by_site: BTreeMap<SiteId, ComponentName>,
    /// Sites that are no component of the intent but the mesh's way into it.
    edges: BTreeSet<SiteId>,
    /// Components of the intent that some site is.
    bound: BTreeSet<ComponentName>,
}

impl Names {
    /// Names every site of a group. O(sites · components).
    pub(super) fn of(
        group: &TraceGroup,
        observations: &Observations,
        symbols: &Symbols,
        intent: Option<&Intent>,
    ) -> Self {
        let mut names = Self::default();
        let sites: Vec<_> =
            group.sites.iter().filter_map(|&id| Some((id, *observations.sites().get(id)?))).collect();
        for (id, site) in &sites {
            if let Some(component) = intent.and_then(|intent| bound(intent, site, symbols)) {
                names.bound.insert(component.clone());
                names.by_site.insert(*id, component.clone());
            } else if *id == group.root && intent.is_some_and(|intent| is_edge(intent, site, symbols)) {
                names.edges.insert(*id);
            }
        }
        let free: Vec<_> = sites.iter().filter(|(id, _)| !names.by_site.contains_key(id)).collect();
        let mut operations: BTreeMap<Symbol, BTreeSet<Symbol>> = BTreeMap::new();
        free.iter().for_each(|(_, site)| {
            operations.entry(site.service).or_default().insert(site.operation);
        });
        // What each name would stand for: letters that a name may not have are lost, and two services must not become one by that.
        let mut meant: BTreeMap<ComponentName, BTreeSet<(&str, &str)>> = BTreeMap::new();
        let of = |site: &Site| {
            let several = operations.get(&site.service).is_some_and(|all| all.len() > 1);
            (symbols.text(site.service), if several { symbols.text(site.operation) } else { "" })
        };
        for (_, site) in &free {
            let (service, operation) = of(site);
            meant.entry(component(service, operation)).or_default().insert((service, operation));
        }
        for (id, site) in free {
            let (service, operation) = of(site);
            let name = component(service, operation);
            let alone = meant.get(&name).is_none_or(|meant| meant.len() == 1) && !names.bound.contains(&name);
            names.by_site.insert(*id, if alone { name } else { told_apart(&name, service, operation) });
        }
        names
    }

    /// The name of a site of the group.
    pub(super) fn get(&self, site: SiteId) -> Option<&ComponentName> {
        self.by_site.get(&site)
    }

    /// Services of each component.
    pub(super) fn services(&self, observations: &Observations) -> BTreeMap<ComponentName, BTreeSet<Symbol>> {
        let mut services: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (site, name) in &self.by_site {
            let service = observations.sites().get(*site).map(|site| site.service);
            services.entry(name.clone()).or_default().extend(service);
        }
        services
    }

    /// What is called of each component: service and operation.
    pub(super) fn operations(
        &self,
        observations: &Observations,
    ) -> BTreeMap<ComponentName, BTreeSet<(Symbol, Symbol)>> {
        let mut operations: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (site, name) in &self.by_site {
            let called = observations.sites().get(*site).map(|site| (site.service, site.operation));
            operations.entry(name.clone()).or_default().extend(called);
        }
        operations
    }

    /// Whether a site is only the way in.
    pub(super) fn is_edge(&self, site: SiteId) -> bool {
        self.edges.contains(&site)
    }

    /// Components of the intent that were seen.
    pub(super) const fn bound(&self) -> &BTreeSet<ComponentName> {
        &self.bound
    }
}

/// How well an intent declares a group: the share of its callable components that occur among the sites, 0 when it has none; and the share of the sites
/// that are its components, which tells apart journeys that all call what it declares.
pub(super) fn fit(
    group: &TraceGroup,
    observations: &Observations,
    symbols: &Symbols,
    intent: &Intent,
) -> (f64, f64) {
    let sites = group.sites.iter().filter_map(|&id| observations.sites().get(id));
    let bound: Vec<_> = sites.filter_map(|site| bound(intent, site, symbols)).collect();
    let explained = bound.len() as f64 / group.sites.len().max(1) as f64;
    let found: BTreeSet<_> = bound.into_iter().collect();
    (share_seen(intent, |name| found.contains(name)).unwrap_or(0.0), explained)
}

/// Share of an intent's components that are seen, of those that are called at all; `None` when none is.
pub(super) fn share_seen(intent: &Intent, seen: impl Fn(&ComponentName) -> bool) -> Option<f64> {
    let is_called = |name: &&ComponentName| {
        intent.components.get(*name).is_some_and(|component| !matches!(component.reach, Reach::Static(_)))
    };
    let callable: BTreeSet<_> = intent.structure.leaves().into_iter().filter(is_called).collect();
    let count = callable.iter().filter(|name| seen(name)).count();
    (!callable.is_empty()).then(|| count as f64 / callable.len() as f64)
}

/// The component of an intent that a site is.
fn bound<'a>(intent: &'a Intent, site: &Site, symbols: &Symbols) -> Option<&'a ComponentName> {
    let seen = SiteNames {
        service: symbols.text(site.service),
        operations: [symbols.text(site.operation), symbols.text(site.via)],
    };
    let found =
        intent.components.iter().filter_map(|(name, component)| Some((seen.is(name, component)?, name)));
    found.max_by_key(|(how, name)| (*how, std::cmp::Reverse(*name))).map(|(_, name)| name)
}

struct SiteNames<'a> {
    service: &'a str,
    operations: [&'a str; 2],
}

impl SiteNames<'_> {
    /// How surely it is the component: by service and operation, by service, by name alone.
    fn is(&self, name: &ComponentName, component: &Component) -> Option<u8> {
        let of = |service: &str, operation: &str| {
            let exact = self.operations.contains(&operation);
            (same_service(service, self.service) && (operation.is_empty() || exact))
                .then_some(2 + u8::from(exact))
        };
        if let Some(span) = &component.telemetry.span {
            let found = of(&span.service, span.operation.as_deref().unwrap_or_default());
            if found.is_some() {
                return found;
            }
        }
        match &component.reach {
            Reach::Static(_) => None,
            Reach::Hop(hop) => {
                let workload = hop.workload.as_ref().map(ToString::to_string);
                of(&hop.destination, &hop.operation).or_else(|| of(&workload?, &hop.operation))
            }
            Reach::Unseen if component.telemetry.span.is_none() => {
                same_service(name.as_str(), self.service).then_some(1)
            }
            Reach::Unseen => None,
        }
    }
}

fn is_edge(intent: &Intent, site: &Site, symbols: &Symbols) -> bool {
    let edges = &intent.runtime.policy.edges;
    edges.iter().any(|edge| same_service(&edge.to_string(), symbols.text(site.service)))
}

/// Whether two names mean one service.
fn same_service(a: &str, b: &str) -> bool {
    !a.is_empty() && Name::new(a).meets(&Name::new(b))
}

/// A component's name from a service and, where it needs one, an operation.
pub(super) fn component(service: &str, operation: &str) -> ComponentName {
    let service = slug(service);
    let service = if service.is_empty() { "unknown".to_owned() } else { service };
    let operation = slug(operation.trim_matches('/'));
    let text = if operation.is_empty() { service } else { format!("{service}/{operation}") };
    let cut: String = text.chars().take(ComponentName::BYTES_MAX).collect();
    ComponentName::new(&cut).unwrap_or_else(|_| unreachable_name())
}

/// A name that others would have as well, with six digits of a digest of what it stands for; the one whose letters are all there keeps it.
fn told_apart(name: &ComponentName, service: &str, operation: &str) -> ComponentName {
    if operation.is_empty() && name.as_str() == service {
        return name.clone();
    }
    let digest: String = sha256_hex(format!("{service}\0{operation}").as_bytes()).chars().take(6).collect();
    let room = ComponentName::BYTES_MAX - digest.len() - 1;
    let cut: String = name.as_str().chars().take(room).collect();
    ComponentName::new(&format!("{cut}-{digest}")).unwrap_or_else(|_| name.clone())
}

/// `slug` leaves allowed characters only, so this is never asked; a name rather than a panic.
fn unreachable_name() -> ComponentName {
    match ComponentName::new("unknown") {
        Ok(name) => name,
        Err(_) => unreachable!("letters are allowed"),
    }
}

/// Allowed characters; what is between them becomes one `-`.
pub(super) fn slug(text: &str) -> String {
    let mut slug = String::with_capacity(text.len());
    for character in text.chars() {
        if ComponentName::allows(character) {
            slug.push(character);
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_gives_a_name() {
        assert_eq!(component("front", "GET /users/{id}").as_str(), "front/GET-/users/-id");
        assert_eq!(component("", "").as_str(), "unknown");
        assert_eq!(component("größe", "").as_str(), "gr-e");
        assert_eq!(component("ü", "ü").as_str(), "unknown");
    }

    #[test]
    fn what_loses_its_letters_keeps_its_difference() {
        let name = component("日本", "");
        assert_eq!(name, component("注文", ""));
        assert_ne!(told_apart(&name, "日本", ""), told_apart(&name, "注文", ""));
        let cart = component("cart", "");
        assert_eq!(told_apart(&cart, "cart", "").as_str(), "cart");
        let long = component(&"x".repeat(400), "");
        assert_eq!(told_apart(&long, &"x".repeat(400), "").as_str().len(), ComponentName::BYTES_MAX);
    }
}
