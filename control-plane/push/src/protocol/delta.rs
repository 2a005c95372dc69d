//! Incremental: requests add and take away names, responses carry what changed and name what is gone.
//!
//! The server remembers, per name, what the client holds. A name the client subscribes to is always answered, even when it is
//! subscribed already: it may have forgotten the resource. A name unsubscribed under a wildcard is owed once more, because only
//! the server knows whether the wildcard still covers it.

use super::exchange::{ErrorDetail, Shipment};
use super::kind::Kind;
use super::resource::{Name, Resource, ResourceSet, Version};
use super::sotw::{any, fitting};
use super::stream::{Due, Part, Request, StreamLimits, Watch};
use super::subscription::{Interest, WILDCARD};
use emac_proto::xds::{self, DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node};
use std::collections::BTreeMap;

/// One kind on one incremental stream.
///
/// Invariant: every name the client gave has an entry in `held`; other entries come from the wildcard.
#[derive(Debug, Default)]
pub struct DeltaWatch {
    started: bool,
    interest: Interest,
    /// A wildcard subscription is answered at once, with nothing if need be: the client waits for it.
    greeting: bool,
    held: BTreeMap<Name, Held>,
}

/// What the client knows of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Held {
    /// It must be told, whatever is the case.
    Owed,
    /// It was sent this version, accepted or not: a refused version is not repeated.
    At(Version),
    /// It was told that there is none.
    Absent,
}

impl Request for DeltaDiscoveryRequest {
    fn type_url(&self) -> &str {
        &self.type_url
    }
    fn nonce(&self) -> &str {
        &self.response_nonce
    }
    fn error_detail(&self) -> Option<ErrorDetail> {
        self.error_detail.as_ref().map(|s| ErrorDetail { code: s.code, message: s.message.clone() })
    }
    fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }
    fn named(&self) -> Option<&str> {
        self.resource_names_subscribe.iter().map(String::as_str).find(|name| *name != WILDCARD)
    }
}

impl Watch for DeltaWatch {
    type Request = DeltaDiscoveryRequest;
    type Response = DeltaDiscoveryResponse;
    const STALE_SUBSCRIBES: bool = true;

    fn receive(&mut self, _kind: &Kind, request: &DeltaDiscoveryRequest) {
        let first = !std::mem::replace(&mut self.started, true);
        if first && request.resource_names_subscribe.is_empty() {
            self.subscribe(WILDCARD);
        }
        request.resource_names_subscribe.iter().for_each(|name| self.subscribe(name));
        if first {
            self.believe(&request.initial_resource_versions);
        }
        request.resource_names_unsubscribe.iter().for_each(|name| self.unsubscribe(name));
    }

    fn names_len(&self) -> usize {
        self.interest.names_len()
    }

    fn asked(&self) -> impl Iterator<Item = &str> {
        self.interest.asked()
    }

    fn due(&mut self, _kind: &Kind, set: &ResourceSet) -> Due {
        Due {
            updates: self.greeting || self.changed(set).next().is_some(),
            removals: self.vanished(set).next().is_some(),
        }
    }

    fn respond(
        &mut self,
        kind: &Kind,
        set: &ResourceSet,
        part: Part,
        nonce: &str,
        limits: StreamLimits,
    ) -> (DeltaDiscoveryResponse, Shipment) {
        self.greeting = false;
        let (resources, sent) = match part {
            Part::Removals => (Vec::new(), Vec::new()),
            Part::Updates | Part::Both => self.ship(kind, set, limits.response_bytes_max),
        };
        let removed_resources = match part {
            Part::Updates => Vec::new(),
            Part::Removals | Part::Both => self.bury(set),
        };
        let response = DeltaDiscoveryResponse {
            system_version_info: String::new(),
            resources,
            type_url: kind.type_url.to_string(),
            nonce: nonce.to_string(),
            removed_resources,
        };
        (response, Shipment { version: set.version.clone(), resources: sent })
    }

    fn refresh(&mut self) {
        self.held.values_mut().for_each(|held| *held = Held::Owed);
    }
}

// === impl DeltaWatch ===

impl DeltaWatch {
    fn subscribe(&mut self, name: &str) {
        self.interest.add(name);
        if name == WILDCARD {
            self.greeting = true;
            self.refresh();
        } else {
            self.held.insert(name.into(), Held::Owed);
        }
    }

    /// What a client that reconnects says it still holds.
    fn believe(&mut self, versions: &BTreeMap<String, String>) {
        for (name, version) in versions.iter().filter(|(name, _)| self.interest.covers(name)) {
            self.held.insert(name.as_str().into(), Held::At(version.as_str().into()));
        }
    }

    /// Names that are not subscribed are ignored.
    fn unsubscribe(&mut self, name: &str) {
        if !self.interest.remove(name) {
            return;
        }
        if name == WILDCARD {
            self.greeting = false;
            self.held.retain(|held, _| self.interest.names(held));
        } else if self.interest.is_wildcard() {
            self.held.insert(name.into(), Held::Owed);
        } else {
            self.held.remove(name);
        }
    }

    /// Existing resources the client does not hold in this version.
    fn changed<'a>(&'a self, set: &'a ResourceSet) -> impl Iterator<Item = (&'a Name, &'a Resource)> {
        let current = |name, resource: &Resource| match self.held.get(name) {
            Some(Held::At(version)) => *version == resource.version,
            _ => false,
        };
        self.interest.pick(set).filter(move |(name, resource)| !current(*name, resource))
    }

    /// Names the client must be told are not there.
    fn vanished<'a>(&'a self, set: &'a ResourceSet) -> impl Iterator<Item = &'a Name> {
        let told = |held: &Held| *held == Held::Absent;
        let gone = move |(name, held): &(&Name, &Held)| !told(held) && !set.resources.contains_key(*name);
        self.held.iter().filter(gone).map(|(name, _)| name)
    }

    fn ship(
        &mut self,
        kind: &Kind,
        set: &ResourceSet,
        bytes_max: usize,
    ) -> (Vec<xds::Resource>, Vec<(Name, Version)>) {
        let chosen = fitting(self.changed(set), bytes_max);
        let sent: Vec<_> = chosen.iter().map(|(n, r)| ((*n).clone(), r.version.clone())).collect();
        let resources = chosen.into_iter().map(|(name, r)| wire(kind, name, r)).collect();
        self.held.extend(sent.iter().map(|(name, version)| (name.clone(), Held::At(version.clone()))));
        (resources, sent)
    }

    /// Only a name the client gave is remembered as absent; what came by wildcard is forgotten.
    fn bury(&mut self, set: &ResourceSet) -> Vec<String> {
        let gone: Vec<Name> = self.vanished(set).cloned().collect();
        for name in &gone {
            if self.interest.names(name) {
                self.held.insert(name.clone(), Held::Absent);
            } else {
                self.held.remove(name);
            }
        }
        gone.iter().map(ToString::to_string).collect()
    }
}

fn wire(kind: &Kind, name: &Name, resource: &Resource) -> xds::Resource {
    xds::Resource {
        version: resource.version.to_string(),
        resource: Some(any(kind, resource)),
        name: name.to_string(),
    }
}
